"""Transforms that add channels, and transforms that mix pairs."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image

from i2i import Translator, load_generator, load_recipe, run
from i2i.data.changes import changes_of
from i2i.data.opening import open_data
from i2i.data.stream import HeldOutPairs, training_batches
from i2i.errors import DataError, PluginError, RecipeError
from i2i.kinds import GeneratorSlot
from i2i.models.translate import Model, load_model, translate
from i2i.runs import checkpoint, weights

PLUGIN = '''
from dataclasses import replace

import torch
from torch.nn import functional as F

from i2i import hookimpl

i2i_api = 1


@hookimpl
def i2i_register(registry):
    registry.transform("edges", ":Edges", "one more channel of the source: how fast its light changes")
    registry.transform("grey", ":Grey", "grey targets")
    registry.transform("peeks", ":Peeks", "a source with a channel of the target")
    registry.transform("wrong", ":Wrong", "says one thing and does another")
    registry.transform("cutmix", ":CutMix", "a part of another pair in the place of a pair's own")
    registry.metric("channels", ":Channels", "how many channels it is shown")


class Edges:
    """The size of the gradient of the mean of all channels, as one more.

    Args:
        strength: what it is multiplied by.
    """

    def __init__(self, *, strength: float = 1.0) -> None:
        self.strength = strength

    def spec(self, spec):
        if spec.source.labels:
            raise ValueError("label maps have no light whose edges could be found")
        return replace(spec, source=replace(spec.source, channels=spec.source.channels + 1))

    def __call__(self, pair, *, size, rng):
        light = F.pad(pair.source.mean(dim=0, keepdim=True), (0, 1, 0, 1), mode="replicate")
        right, down = light[:, :-1, 1:] - light[:, :-1, :-1], light[:, 1:, :-1] - light[:, :-1, :-1]
        edges = (self.strength * (right.abs() + down.abs())).clamp(0, 2) - 1
        return replace(pair, source=torch.cat([pair.source, edges]))


class Grey:
    def spec(self, spec):
        return replace(spec, target=replace(spec.target, channels=1))

    def __call__(self, pair, *, size, rng):
        return replace(pair, target=pair.target.mean(dim=0, keepdim=True))


class Peeks(Edges):
    def __call__(self, pair, *, size, rng):
        return replace(pair, source=torch.cat([pair.source, pair.target[:1]]))


class Wrong(Edges):
    def __call__(self, pair, *, size, rng):
        return pair


class CutMix:
    """Yun et al. 2019, "CutMix" (arXiv 1905.04899), on both sides of a pair.

    Args:
        probability: how often a pair is mixed.
    """

    def __init__(self, *, probability: float = 1.0) -> None:
        self.probability = probability

    def __call__(self, pair, *, size, rng, another):
        if float(torch.rand((), generator=rng)) >= self.probability:
            return pair
        other, (height, width) = another(), pair.target.shape[-2:]
        top, left = (int(torch.randint(side // 2, (), generator=rng)) for side in (height, width))
        inside = torch.zeros(1, height, width, dtype=torch.bool)
        inside[:, top : top + height // 2, left : left + width // 2] = True
        inside = inside.to(pair.target.device)
        return replace(
            pair,
            source=torch.where(inside, other.source, pair.source),
            target=torch.where(inside, other.target, pair.target),
        )


class Channels:
    directions = {"channels": "max"}

    def reset(self):
        self.seen = set()

    def update(self, source, fake, real, ids):
        assert fake.shape == real.shape
        self.seen.add((source.shape[1], real.shape[1]))

    def compute(self):
        ((source, target),) = self.seen
        return {"channels": 10.0 * source + target}
'''

NETWORKS = ("generator", "discriminators.judge")
EDGES = ("transforms.edges.use=mix/edges", "metrics.channels.use=mix/channels")


@pytest.fixture
def mix(distribution, gan):
    """Return a function that loads the toy recipe with settings, beside a plug-in of transforms."""
    distribution("i2i-mix", "1.0", "mix", {"i2i_mix.py": PLUGIN})
    return lambda *settings: load_recipe(gan, set=settings)


def same_networks(one, other) -> bool:
    folders = [checkpoint.newest(place / "checkpoints").folder for place in (one, other)]
    found = [[weights.read(f / f"{name}.safetensors").tensors for name in NETWORKS] for f in folders]
    pairs = [(a, b) for a, b in zip(*found, strict=True)]
    return all(torch.equal(value, b[key]) for a, b in pairs for key, value in a.items())


# --- one more channel ---------------------------------------------------------------------------


def test_all_that_reads_pairs_sees_the_channel_that_a_transform_adds(mix, tmp_path):
    found = run(mix(*EDGES), tmp_path / "run")
    assert found.status == "done"
    assert found.summary["metrics"]["channels"] == 43
    recipe = mix(*EDGES)
    data = open_data(recipe, "val")
    assert data.spec.source.channels == data[0]["source"].shape[0] == 4
    assert HeldOutPairs(data)[0][0].shape == (4, 16, 16)


def test_a_run_with_a_channel_more_goes_on_to_the_same_bits(mix, tmp_path):
    run(mix(*EDGES), tmp_path / "whole")
    run(mix(*EDGES, "data.workers=1"), tmp_path / "parts", stop_at=5)
    run(mix(*EDGES, "data.workers=1"), tmp_path / "parts")
    assert same_networks(tmp_path / "whole", tmp_path / "parts")


def test_a_model_is_evaluated_and_translates_from_plain_pictures(mix, tmp_path, i2i, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where scores are written
    settings = (*EDGES, "transforms.edges.strength=2.0", "method.test_dropout=false")
    run(mix(*settings), tmp_path / "run")
    model = tmp_path / "alone.safetensors"
    model.write_bytes((tmp_path / "run" / "model.safetensors").read_bytes())
    figures = json.loads((tmp_path / "run" / "summary.json").read_text())["metrics"]
    for place in (tmp_path / "run", model):
        ended = i2i("eval", str(place), "--split", "val", "--json")
        assert ended.code == 0, ended.err
        scored = json.loads(ended.out)["figures"]
        assert scored["channels"]["mean"] == 43
        assert scored["mae"]["mean"] == pytest.approx(figures["mae"], abs=1e-6)

    generator = load_generator(model)
    assert generator(torch.zeros(1, 4, 16, 16)).shape == (1, 3, 16, 16)

    data = open_data(mix(), "val")  # as the files hold it
    assert data.spec.source.channels == 3
    picture = data[0]["source"].permute(1, 2, 0).numpy()
    loaded, changed = load_model(model), open_data(mix(*EDGES, "transforms.edges.strength=2.0"), "val")
    assert (loaded.files.source.channels, loaded.spec.source.channels) == (3, 4)
    wanted = translate(loaded, HeldOutPairs(changed)[0][0])
    answer = Translator(model, device="cpu", size="native")(picture)
    levels = (wanted.permute(1, 2, 0).numpy() + 1) * 127.5
    assert np.abs(answer.astype(float) - levels).max() <= 0.51

    Image.fromarray(picture).save(tmp_path / "one.png")
    ended = i2i("translate", str(model), str(tmp_path / "one.png"), str(tmp_path / "out.png"))
    assert ended.code == 0, ended.err
    assert np.array_equal(np.asarray(Image.open(tmp_path / "out.png")), answer)


def test_targets_of_other_channels_are_learnt_scored_and_written(mix, tmp_path, i2i, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where scores are written
    run(mix("transforms.grey.use=mix/grey", "metrics.channels.use=mix/channels"), tmp_path / "run")
    ended = i2i("eval", str(tmp_path / "run"), "--json")
    assert json.loads(ended.out)["figures"]["channels"]["mean"] == 31
    picture = np.zeros((16, 16, 3), np.uint8)
    assert Translator(tmp_path / "run", device="cpu")(picture).shape == (16, 16, 1)


def test_a_source_never_has_anything_of_its_target(mix):
    data = open_data(mix("transforms.peeks.use=mix/peeks"), "train")
    assert data[0]["source"].shape[0] == 4
    assert data[0]["source"][3].unique().numel() == 1  # what stands for a target says nothing


def test_other_transforms_follow_and_see_all_channels(mix):
    recipe = mix(*EDGES, "transforms.mirror.probability=1.0")
    data = open_data(recipe, "train")
    from i2i.building import components

    mirror = components.build_transforms(recipe, at="loading", spec=data.spec)
    assert list(mirror) == ["mirror"]
    (batch,) = training_batches(data, mirror, recipe.data.settings, seed=3, first=0, last=1)
    (plain,) = training_batches(data, {}, recipe.data.settings, seed=3, first=0, last=1)
    assert torch.equal(batch.source, plain.source.flip(-1))


def test_what_a_transform_says_and_does_has_to_agree(mix):
    data = open_data(mix("transforms.wrong.use=mix/wrong"), "train")
    with pytest.raises(PluginError, match=r"has to make, as its spec\(\) says, 4 channels"):
        data[0]


@pytest.mark.parametrize("place", ["device", "judging"])
def test_a_transform_that_changes_what_pairs_are_has_one_place(mix, place):
    with pytest.raises(RecipeError, match="changes what pairs are, which is done as they are read"):
        mix(*EDGES, f"transforms.edges.at={place}")


def test_a_transform_refuses_pairs_where_the_recipe_is_checked(mix, gan, i2i, distribution):
    labelled = (
        "from i2i_toys.data import Squares\nfrom i2i.kinds import ImageSpec, PairSpec\n"
        "from i2i import hookimpl\ni2i_api = 1\n\n@hookimpl\ndef i2i_register(registry):\n"
        "    registry.data('maps', ':Maps', 'classes')\n\nclass Maps(Squares):\n"
        "    def __init__(self, split) -> None:\n        super().__init__(split)\n"
        "        side = ImageSpec(3, 16, 16, high=1.0, labels=True)\n"
        "        self.spec = PairSpec(side, side)\n"
    )
    distribution("i2i-maps", "1.0", "maps", {"i2i_maps.py": labelled})
    options = ("--set", "data.use=maps/maps", "--set", "transforms.edges.use=mix/edges")
    ended = i2i("recipe", "check", str(gan), "--build", *options)
    assert ended.code == 2
    assert "mix/edges: label maps have no light" in ended.err
    assert "transforms.edges" in ended.err


def test_unpaired_data_are_changed_as_they_are_drawn(mix, two_way, tmp_path):
    settings = ("transforms.edges.use=mix/edges", "transforms.cut.use=mix/cutmix")
    run(load_recipe(two_way, set=settings), tmp_path / "whole")
    run(load_recipe(two_way, set=settings), tmp_path / "parts", stop_at=3)
    run(load_recipe(two_way, set=settings), tmp_path / "parts")
    found = [weights.read(tmp_path / name / "model.safetensors") for name in ("whole", "parts")]
    assert all(torch.equal(value, found[1].tensors[key]) for key, value in found[0].tensors.items())
    loaded = load_model(tmp_path / "whole")
    assert (loaded.files.source.channels, loaded.spec.source.channels) == (1, 2)


@pytest.mark.parametrize(
    ("sides", "reads", "becomes"), [(("target",), 3, 1), (("source", "target"), 6, 4), (("source",), 3, 3)]
)
def test_a_picture_of_each_side_that_a_generator_reads_is_changed_as_that_side(mix, sides, reads, becomes):
    recipe = mix("transforms.grey.use=mix/grey")
    plain = open_data(mix(), "train").spec
    changes = changes_of(recipe, plain)
    spec = changes.spec.seen_by(GeneratorSlot(sides))
    model = Model(torch.nn.Identity(), spec, (), changes=changes, sides=sides)
    picture = torch.rand(reads, 8, 8) * 2 - 1
    assert model.files.source.channels == reads
    assert model.source(picture, "one").shape == (becomes, 8, 8)


def test_a_file_whose_transform_is_another_by_now_is_refused(mix, tmp_path, distribution):
    run(mix(*EDGES), tmp_path / "run")
    file = weights.read(tmp_path / "run" / "model.safetensors")
    table = {**file.header["reading"]["transforms"], "more": {"use": "mix/edges"}}
    header = {**file.header, "reading": {**file.header["reading"], "transforms": table}}
    weights.write(tmp_path / "other.safetensors", file.tensors, header)
    with pytest.raises(RecipeError, match="reads 4 channels, and the installed mix/edges, mix/edges makes"):
        load_model(tmp_path / "other.safetensors")
    damaged = {**file.header, "reading": {"spec": 3}}
    weights.write(tmp_path / "other.safetensors", file.tensors, damaged)
    with pytest.raises(DataError, match=r"is not a model: .*'reading"):
        load_model(tmp_path / "other.safetensors")


# --- another pair -------------------------------------------------------------------------------

CUT = ("transforms.cut.use=mix/cutmix",)


@pytest.mark.parametrize("place", ["loading", "device"])
def test_pairs_are_mixed_alike_whenever_and_wherever_it_is_done(mix, tmp_path, place):
    settings = (*CUT, f"transforms.cut.at={place}")
    run(mix(*settings), tmp_path / "whole")
    for stop in (4, None):
        run(mix(*settings, "data.workers=2", "data.cache=none"), tmp_path / "parts", stop_at=stop)
    run(mix(), tmp_path / "plain")
    assert same_networks(tmp_path / "whole", tmp_path / "parts")
    assert not same_networks(tmp_path / "whole", tmp_path / "plain")


def test_another_pair_comes_as_it_is_before_the_transform(mix):
    from i2i.building import components

    recipe = mix(*CUT, "transforms.mirror.probability=1.0")
    data = open_data(recipe, "train")
    transforms = components.build_transforms(recipe, at="loading", spec=data.spec)
    flipped = [data[index]["source"].flip(-1).float() / 127.5 - 1 for index in range(len(data))]
    (batch,) = training_batches(data, transforms, recipe.data.settings, seed=3, first=0, last=1)
    for source, target in zip(batch.source, batch.target, strict=True):
        assert torch.allclose(source, -target, atol=1e-6)  # what belongs together was moved together
        near = [torch.isclose(source, one, atol=1e-5).all(dim=0) for one in flipped]
        shares = sorted((place.float().mean().item() for place in near), reverse=True)
        assert shares[:2] == pytest.approx([0.75, 0.25], abs=0.02)


def test_a_batch_of_one_pair_has_no_other(mix, distribution, gan):
    for place in ("device", "judging"):
        with pytest.raises(RecipeError, match="takes another pair of the batch, and a batch holds one"):
            mix(*CUT, f"transforms.cut.at={place}", "data.batch_size=1")
    assert mix(*CUT, "data.batch_size=1").data.settings.batch_size == 1
    from i2i.augmentation import transformed
    from i2i.testing import samples

    image = torch.zeros(1, 3, 8, 8)
    cut = mix(*CUT).section("transforms")[-1].factory()
    with pytest.raises(RecipeError, match="this one holds a single pair"):
        transformed(
            image, image, samples.pair().spec, {"cut": cut}, lambda name, place: samples.generator(place)
        )


def test_a_pair_of_another_size_comes_at_the_size_of_the_one_that_asks(mix):
    from i2i.data.stream import TrainingPairs

    recipe = mix(*CUT)
    data = open_data(recipe, "train")

    class Uneven:
        spec = data.spec

        def __len__(self):
            return 4

        def __getitem__(self, index):
            item = data[index]
            return {**item, **{side: item[side][:, : 12 + index] for side in ("source", "target")}}

    cut = recipe.section("transforms")[-1].factory()
    pairs = TrainingPairs(Uneven(), {"cut": cut}, seed=0)
    source, target, *_ = pairs[0, 1]
    assert source.shape == target.shape == (3, 16, 16)
    assert torch.equal(pairs[0, 1][0], source)
