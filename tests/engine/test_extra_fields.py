"""Further fields of items: masks that move with the picture, values beside it, and who may ask for them."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch
from PIL import Image

from i2i import run
from i2i.building.probe import network_facts, probe
from i2i.core.data.paired_images import PairedImages
from i2i.data.extra import extra_of
from i2i.data.opening import open_data
from i2i.data.stream import HeldOutPairs, held_out_batches, training_batches
from i2i.errors import DataError, PluginError, RecipeError
from i2i.images import resize
from i2i.recipe.recipe import load_recipe
from i2i.runs import checkpoint

PLUGIN = '''
from __future__ import annotations

from dataclasses import replace

import torch

from i2i import hookimpl
from i2i.kinds import ExtraSpec, ImageSpec, PairSpec

i2i_api = 1


@hookimpl
def i2i_register(registry):
    registry.data("holes", ":Holes", "pictures with a mask, and a number for each")
    registry.paired_loss("masked-l1", ":MaskedL1", "L1 where the mask is set")
    registry.metric("hole-error", ":HoleError", "mean error where the mask is set")
    registry.callback("reader", ":Reader", "needs a depth")
    registry.transform("sideways", ":Sideways", "flips the sides, and says nothing of it")
    registry.transform("upright", ":Upright", "says that it moves pixels, as pairs are read")
    registry.transform("forgetful", ":Forgetful", "says that it moves fields, and cuts the sides alone")


class Holes:
    """The mask is 1 where the target's first channel is bright; the number is the index."""

    extra = {
        "mask": ExtraSpec("1 where there is a hole"),
        "number": ExtraSpec("the index of the item", image=False),
    }

    def __init__(self, split: str, *, size: int = 16, count: int = 8) -> None:
        self.spec = PairSpec(ImageSpec(3, size, size), ImageSpec(3, size, size))
        self._offset = {"train": 0, "val": 100, "test": 200}[split]
        self._count = count

    def __len__(self):
        return self._count

    def __getitem__(self, index):
        if not 0 <= index < self._count:
            raise IndexError(index)
        rng = torch.Generator().manual_seed(index + self._offset)
        size = self.spec.target.height
        blocks = torch.randint(0, 2, (1, size // 4, size // 4), generator=rng)
        mask = blocks.repeat_interleave(4, 1).repeat_interleave(4, 2)
        target = (mask * 255).to(torch.uint8).expand(3, -1, -1).clone()
        return {
            "source": 255 - target,
            "target": target,
            "id": f"h{index + self._offset}",
            "mask": mask,
            "number": torch.tensor([index, self._offset]),
        }


class MaskedL1:
    requires = {"extra:mask": "local masked-l1 needs the field mask"}

    def __call__(self, fake, real, *, mask):
        return ((fake - real).abs() * mask).mean()


class HoleError:
    """Mean absolute error where the mask is set."""

    directions = {"hole_error": "min"}

    def __init__(self) -> None:
        self.reset()

    def reset(self):
        self._errors, self._pixels = 0.0, 0

    def update(self, source, fake, real, ids, *, mask):
        self._errors += ((fake - real).abs() * mask).sum().item()
        self._pixels += mask.sum().item() * fake.shape[1]

    def compute(self):
        return {"hole_error": self._errors / max(1, self._pixels)}


class Reader:
    requires = {"extra:depth": "local reader needs the depth of each pixel"}

    def step_end(self, run, logs):
        pass


class Sideways:
    def __call__(self, pair, *, size, rng):
        return replace(pair, source=pair.source.flip(-1), target=pair.target.flip(-1))


class Upright(Sideways):
    moves = True

    def spec(self, spec):
        return spec


class Forgetful:
    moves = True

    def __call__(self, pair, *, size, rng):
        return replace(pair, source=pair.source[..., :8, :8], target=pair.target[..., :8, :8])
'''

RECIPE = """
recipe = 1
name = "holes"

[data]
use = "holes/holes"
batch_size = 2

[generator]
use = "unet"
depth = 2
width = 4

[losses.l1]
use = "holes/masked-l1"

[method]
use = "paired-adversarial"

[optimizers.generators]
use = "adam"

[transforms.jitter]
use = "jitter"
resize = 20

[transforms.mirror]
use = "mirror"

[train]
steps = 6
precision = "fp32"
eval_every = 3
save_every = 2

[metrics.hole]
use = "holes/hole-error"
"""


@pytest.fixture
def load(distribution, tmp_path):
    """Return a function that reads the recipe of masked pictures with settings on top."""
    distribution("i2i-holes", "1.0", "holes", {"i2i_holes/__init__.py": PLUGIN})
    path = tmp_path / "holes.toml"
    path.write_text(RECIPE)
    return lambda *settings, unset=(): load_recipe(path, set=settings, unset=unset)


def bits(folder: Path) -> dict[str, bytes]:
    last = checkpoint.newest(folder / "checkpoints")
    files = {path.name: path.read_bytes() for path in last.folder.glob("*.safetensors")}
    return files | {"model": (folder / "model.safetensors").read_bytes()}


def batches(recipe, *, at: str = "loading"):
    """Return the first batches of a recipe, its transforms applied at one place."""
    from i2i.building.components import build_transforms

    data = open_data(recipe, "train")
    found = build_transforms(recipe, at="loading", spec=data.spec)
    places = {"loading": (found, {}), "device": ({}, found)}[at]
    settings = recipe.data.settings
    return list(training_batches(data, places[0], settings, seed=3, first=0, last=8, on_device=places[1]))


FLIPS = ("transforms.jitter.use=flip", "transforms.mirror.use=rotate90")
CROP = ("transforms.jitter.use=crop", "transforms.jitter.size=12")


@pytest.mark.parametrize("at", ["loading", "device"])
@pytest.mark.parametrize("settings", [FLIPS, CROP, ()], ids=["flips", "crop", "jitter"])
def test_a_mask_moves_with_its_picture_pixel_by_pixel(load, settings, at):
    recipe = load(*settings, unset=("transforms.jitter.resize",) if settings else ())
    moved = False
    data = open_data(recipe, "train")
    plain = {data[index]["id"]: data[index] for index in range(len(data))}
    for batch in batches(recipe, at=at):
        mask = batch.extra["mask"]
        assert mask.dtype == torch.int64
        assert mask.shape == (2, 1, 16, 16)
        bright = (batch.target[:, :1] > 0).long()
        # Bilinear edges may fall either way; what is clearly bright or dark has to agree.
        clear = batch.target[:, :1].abs() > 0.9
        assert clear.float().mean() > 0.3
        assert torch.equal(mask[clear], bright[clear])
        moved |= any(
            not torch.equal(mask[place], plain[name]["mask"]) for place, name in enumerate(batch.ids)
        )
        assert batch.extra["number"].tolist() == [[int(name[1:]), 0] for name in batch.ids]
    assert moved


def test_held_out_items_have_their_fields_at_the_size_of_the_data(load):
    recipe = load()
    data = open_data(recipe, "val")
    (batch, *_) = held_out_batches(data, recipe.data.settings)
    assert torch.equal(batch.extra["mask"], (batch.target[:, :1] > 0).long())
    (_, _, _, fields), *_ = HeldOutPairs(data).spread(2)
    assert set(fields) == {"mask", "number"}


def test_a_batch_takes_its_fields_wherever_it_is_moved(load):
    (batch, *_) = batches(load())
    moved = batch.moved(lambda tensor: tensor + 1)
    assert torch.equal(moved.extra["number"], batch.extra["number"] + 1)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_masked_loss_trains_and_goes_on_to_the_same_bits(load, tmp_path, workers):
    run(load(), tmp_path / "whole")
    settings = (f"data.workers={workers}", "data.cache=none")
    run(load(*settings), tmp_path / "parts", stop_at=3)
    run(load(*settings), tmp_path / "parts")
    assert bits(tmp_path / "parts") == bits(tmp_path / "whole")


def refused(recipe) -> str:
    """Return the one sentence with which a recipe is refused on its data."""
    data = open_data(recipe, "train")
    with pytest.raises(RecipeError) as caught:
        probe(recipe, data.spec, extra=extra_of(data))
    (problem,) = caught.value.problems
    assert problem.file.endswith("holes.toml") or problem.file.startswith("--set")
    return problem.message


def test_a_field_that_is_asked_for_and_not_there_is_refused_with_those_that_are(load):
    told = refused(load("callbacks.reader.use=holes/reader"))
    assert told == (
        "local reader needs the depth of each pixel (the data has the further fields mask (1 where there is "
        "a hole), number (the index of the item))"
    )


def test_a_loss_and_a_metric_are_refused_where_the_data_has_no_mask(load, tmp_path, i2i):
    recipe = load("data.use=shapes", "data.size=16")
    data = open_data(recipe, "train")
    with pytest.raises(RecipeError) as caught:
        probe(recipe, data.spec, extra=extra_of(data))
    told = {problem.where: problem.message for problem in caught.value.problems}
    assert told["losses.l1"] == "local masked-l1 needs the field mask (the data has no further fields)"
    assert told["metrics.hole"].startswith("holes/hole-error asks for the field 'mask' of each item, and the")
    assert all(problem.line for problem in caught.value.problems)
    with pytest.raises(RecipeError):
        run(recipe, tmp_path / "run")
    assert not list((tmp_path / "run").glob("*.toml"))
    words = ("--set", "data.use=shapes", "--set", "data.size=16")
    ended = i2i("recipe", "check", str(tmp_path / "holes.toml"), "--build", *words)
    assert ended.code == 2
    assert "needs the field mask" in ended.err


def test_a_transform_that_says_nothing_of_pixels_is_refused_where_there_are_masks(load):
    told = refused(load("transforms.mirror.use=holes/sideways"))
    assert told.startswith(
        "holes/sideways does not say by `moves` whether it moves pixels, and the data has mask"
    )


def test_it_is_taken_where_there_are_none(load):
    recipe = load(
        "transforms.mirror.use=holes/sideways",
        "data.use=shapes",
        "data.size=16",
        "losses.l1.use=l1",
        unset=("metrics",),
    )
    assert probe(recipe, open_data(recipe, "train").spec)


def test_a_transform_that_leaves_a_field_behind_is_named(load):
    recipe = load("transforms.mirror.use=holes/forgetful", unset=("transforms.jitter",))
    with pytest.raises(PluginError, match=r"transforms\.mirror: it left 'mask' of pair.extra of shape"):
        batches(recipe)


@pytest.mark.parametrize(
    ("new", "sentence"),
    [
        (
            '"mask": mask.float()[0],',
            r"the field 'mask' of 'h\d' is of shape \(16, 16\), and has to be a tensor",
        ),
        ("", r"the field 'mask' of 'h\d' is missing"),
        (
            '"mask": mask.expand(2, -1, -1),',
            r"the field 'mask' of 'h\d' has 2 channels, and the data set says 1",
        ),
        ('"mask": [1],', r"the field 'mask' of 'h\d' is a list"),
    ],
)
def test_items_that_have_not_what_was_declared_are_named(distribution, tmp_path, new, sentence):
    text = PLUGIN.replace('"mask": mask,', new)
    distribution("i2i-holes", "1.0", "holes", {"i2i_holes/__init__.py": text})
    (tmp_path / "holes.toml").write_text(RECIPE)
    with pytest.raises((DataError, PluginError), match=sentence):
        batches(load_recipe(tmp_path / "holes.toml"))


@pytest.mark.parametrize(
    ("extra", "sentence"),
    [
        (
            '{"source": ExtraSpec("x")}',
            "further field 'source', which is no name of a parameter, or is taken",
        ),
        ('{"a-b": ExtraSpec("x")}', "further field 'a-b'"),
        ('{"mask": "x"}', "the `extra` of the data is a dict: map names of fields to ExtraSpec"),
    ],
)
def test_a_declaration_that_nobody_could_use_is_named(distribution, tmp_path, extra, sentence):
    text = PLUGIN.replace("    extra = {", f"    extra = {extra}\n    was = {{")
    distribution("i2i-holes", "1.0", "holes", {"i2i_holes/__init__.py": text})
    (tmp_path / "holes.toml").write_text(RECIPE)
    with pytest.raises(PluginError, match=sentence):
        batches(load_recipe(tmp_path / "holes.toml"))


def test_values_of_different_shapes_cannot_be_one_batch(distribution, tmp_path):
    text = PLUGIN.replace("torch.tensor([index, self._offset])", "torch.zeros(index + 1)")
    distribution("i2i-holes", "1.0", "holes", {"i2i_holes/__init__.py": text})
    (tmp_path / "holes.toml").write_text(RECIPE)
    with pytest.raises(DataError, match=r"the field 'number' is \(\d+,\) of 'h\d' and \(\d+,\) of 'h\d'"):
        batches(load_recipe(tmp_path / "holes.toml"))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.bool])
def test_maps_of_any_type_are_resized_to_the_same_pixels(dtype):
    plain = torch.randint(0, 2, (1, 13, 17))
    for size in ((7, 5), (29, 40), (13, 20)):
        wanted = resize(plain.float(), size, labels=True)
        assert torch.equal(resize(plain.to(dtype), size, labels=True).float(), wanted)


# --- masks in a manifest ------------------------------------------------------------------------


@pytest.fixture
def masked(tmp_path: Path) -> Path:
    """A manifest of ten pairs with a mask each, which is white where the target is."""
    rows = []
    for number in range(10):
        target = Image.new("L", (16, 12))
        target.paste(255, (number, 0, 16, 6))
        target.convert("RGB").save(tmp_path / f"t{number}.png")
        Image.new("RGB", (16, 12), (number, 0, 0)).save(tmp_path / f"s{number}.png")
        target.resize((32, 24), Image.Resampling.NEAREST).save(tmp_path / f"m{number}.png")
        split = "val" if number > 7 else "train"
        rows.append(
            {"source": f"s{number}.png", "target": f"t{number}.png", "mask": f"m{number}.png", "split": split}
        )
    with (tmp_path / "manifest.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return tmp_path


def test_a_column_of_a_manifest_becomes_a_field_of_its_name(load, masked):
    recipe = load("data.use=paired-images", f"data.root={masked}", 'data.extra=["mask"]', "data.size=16")
    data = open_data(recipe, "train")
    assert extra_of(data)["mask"].channels == 1
    for batch in batches(recipe):
        clear = batch.target[:, :1].abs() > 0.98
        assert torch.equal((batch.extra["mask"] > 127)[clear], (batch.target[:, :1] > 0)[clear])


def test_masks_of_a_manifest_train(load, masked, tmp_path):
    settings = ("data.use=paired-images", f"data.root={masked}", 'data.extra=["mask"]', "data.size=16")
    assert run(load(*settings), tmp_path / "run").status == "done"


def test_data_check_tells_the_fields(masked, tmp_path, i2i):
    recipe = tmp_path / "masked.toml"
    recipe.write_text(
        f'recipe = 1\nname = "m"\n[data]\nuse = "paired-images"\nroot = "{masked}"\nextra = ["mask"]\n'
    )
    ended = i2i("data", "check", str(recipe))
    assert ended.code == 0, ended.err
    assert "field mask: the picture in the column mask, as stored" in ended.out


def test_columns_that_are_not_there_and_names_that_are_taken_are_refused(masked, tmp_path):
    with pytest.raises(
        DataError, match="the manifest has no column depth; it has source, target, mask, split"
    ):
        PairedImages("train", root=masked, extra=("depth",))
    for name in ("target", "source", "a-b"):
        with pytest.raises(ValueError, match=f"not '{name}'"):
            PairedImages("train", root=masked, extra=(name,))
    (masked / "m3.png").unlink()
    problems = PairedImages("train", root=masked, extra=("mask",)).problems
    assert [problem.line for problem in problems] == [5]
    folders = tmp_path / "folders"
    for side in "AB":
        (folders / side).mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(folders / side / "1.png")
    with pytest.raises(DataError, match=r"holds no manifest, whose columns data\.extra would name"):
        PairedImages("train", root=folders, extra=("mask",))


def test_a_mask_of_another_picture_is_told_by_its_file(masked):
    Image.new("L", (16, 16)).save(masked / "m2.png")
    data = PairedImages("train", root=masked, extra=("mask",))
    with pytest.raises(DataError, match="'mask' is 16x16 pixels and the target 16x12") as caught:
        data[2]
    assert caught.value.problems[0].file.endswith("m2.png")


def test_how_large_the_networks_of_a_run_are_does_not_hang_on_its_data(load):
    recipe = load()
    data = open_data(recipe, "train")
    with pytest.raises(RecipeError):
        probe(recipe, data.spec)
    assert network_facts(recipe, data.spec) == probe(recipe, data.spec, extra=extra_of(data))


def test_what_moves_pixels_as_pairs_are_read_is_refused_where_fields_would_stay(load):
    told = refused(load("transforms.upright.use=holes/upright"))
    assert told.startswith(
        "holes/upright moves pixels as pairs are read, where mask of the data stay in place"
    )
