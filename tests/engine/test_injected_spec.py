"""The spec of the pairs, for components that ask for it: in training, in model files, where it is refused."""

from __future__ import annotations

import json

import pytest

from i2i import load_generator, load_recipe, run

PLUGIN = '''
import torch
from torch import nn

from i2i import hookimpl
from i2i.kinds import ImageSpec, PairSpec

i2i_api = 1


@hookimpl
def i2i_register(registry):
    registry.data("maps", ":Maps", "pictures of three colours, and where each of them is")
    registry.generator("net", ":Net", "a convolution that knows whether it draws classes")
    registry.paired_loss("palette", ":Palette", "how far a map's colours are from the right ones")
    registry.metric("hue", ":Hue", "a figure of three channels")
    registry.callback("asks", ":Asks", "remembers what pairs are like")
    registry.transform("asks", ":Turned", "remembers it too")


class Maps:
    def __init__(self, split, *, size: int = 16) -> None:
        palette = ((250, 0, 0), (0, 250, 0), (0, 0, 250))
        target = ImageSpec(3, size, size, high=1.0, labels=True, palette=palette)
        self.spec = PairSpec(ImageSpec(1, size, size), target)

    def __len__(self):
        return 4

    def __getitem__(self, index):
        rng = torch.Generator().manual_seed(index)
        grey = torch.randint(0, 256, (1, 16, 16), generator=rng).to(torch.uint8)
        classes = torch.nn.functional.one_hot((grey[0] // 86).long(), 3).movedim(-1, 0).to(torch.uint8)
        return {"source": grey, "target": classes, "id": f"m{index}"}


class Net(nn.Module):
    def __init__(self, *, in_channels: int, out_channels: int, spec: PairSpec) -> None:
        super().__init__()
        assert (spec.source.channels, spec.target.channels) == (in_channels, out_channels)
        self.classes = spec.target.one_hot
        self.body = nn.Conv2d(in_channels, out_channels, 3, padding=1)

    def forward(self, source):
        image = self.body(source)
        return torch.softmax(image, 1) * 2 - 1 if self.classes else image.tanh()


class Palette:
    """The distance of the colours that a map's classes have."""

    def __init__(self, *, spec: PairSpec) -> None:
        if not spec.target.palette:
            raise ValueError("it compares colours, and the target has no palette")
        self.colours = torch.tensor(spec.target.palette) / 255

    def __call__(self, fake, real):
        one, other = (torch.einsum("bchw,cd->bdhw", (x.float() + 1) / 2, self.colours) for x in (fake, real))
        return (one - other).abs().mean()


class Hue:
    directions = {"hue": "min"}

    def __init__(self, *, spec: PairSpec) -> None:
        if spec.target.channels != 3:
            raise ValueError(f"it scores three channels, and the target has {spec.target.channels}")

    def reset(self):
        self.values = []

    def update(self, source, fake, real, ids):
        self.values.append((fake - real).abs().mean().item())

    def compute(self):
        return {"hue": sum(self.values) / len(self.values)}


class Asks:
    def __init__(self, *, spec: PairSpec) -> None:
        self.spec = spec

    def run_start(self, run):
        run.note(f"Pairs of {self.spec.source.channels} and {self.spec.target.channels} channels.")


class Turned(Asks):
    def __call__(self, pair, *, size, rng):
        assert pair.spec == self.spec
        return pair
'''

MAPS = (
    "data.use=fit/maps",
    "generator.use=fit/net",
    "losses.palette.use=fit/palette",
    "metrics.hue.use=fit/hue",
    "callbacks.asks.use=fit/asks",
    "transforms.asks.use=fit/asks",
)


@pytest.fixture
def fit(distribution, gan):
    """Return a function that loads the toy recipe with settings of the plug-in."""
    distribution("i2i-fit", "1.0", "fit", {"i2i_fit.py": PLUGIN})
    return lambda *settings: load_recipe(gan, set=settings)


def test_components_are_given_what_the_pairs_of_the_training_are_like(fit, tmp_path, i2i, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where scores are written
    run(fit(*MAPS), tmp_path / "run")
    notes = [
        record["text"]
        for record in map(json.loads, (tmp_path / "run" / "metrics.jsonl").read_text().splitlines())
        if record["kind"] == "note"
    ]
    assert "Pairs of 1 and 3 channels." in notes
    model = tmp_path / "run" / "model.safetensors"
    assert load_generator(model).classes
    ended = i2i("eval", str(model), "--json")
    assert ended.code == 0, ended.err
    assert "hue" in json.loads(ended.out)["figures"]


def test_a_generator_that_reads_the_target_is_given_its_own_sides(two_way, distribution, tmp_path):
    distribution("i2i-fit", "1.0", "fit", {"i2i_fit.py": PLUGIN})
    settings = ("generators.there.use=fit/net", "generators.back.use=fit/net")
    assert run(load_recipe(two_way, set=settings), tmp_path / "run").status == "done"


@pytest.mark.parametrize(
    ("settings", "place", "sentence"),
    [
        (
            ("losses.palette.use=fit/palette",),
            "losses.palette",
            "fit/palette: it compares colours, and the target has no palette",
        ),
        (
            ("metrics.hue.use=fit/hue", "data.use=unpaired-one"),
            "metrics.hue",
            "fit/hue: it scores three channels, and the target has 1",
        ),
    ],
)
def test_a_component_that_the_pairs_do_not_fit_says_so_when_the_recipe_is_checked(
    fit, gan, i2i, settings, place, sentence, distribution
):
    one = PLUGIN.replace('"maps", ":Maps"', '"one", ":One"').replace(
        "class Net(",
        "class One(Maps):\n    def __init__(self, split) -> None:\n        "
        "self.spec = PairSpec(ImageSpec(3, 16, 16), ImageSpec(1, 16, 16))\n\n\nclass Net(",
        1,
    )
    distribution("i2i-one", "1.0", "one", {"i2i_one.py": one})
    words = [word.replace("unpaired-one", "one/one") for word in settings]
    options = [option for word in words for option in ("--set", word)]
    ended = i2i("recipe", "check", str(gan), "--build", *options)
    assert ended.code == 2
    assert place in ended.err
    assert sentence in ended.err


def test_a_recipe_cannot_set_what_the_engine_gives(fit, gan, i2i):
    ended = i2i(
        "recipe", "check", str(gan), "--set", "metrics.hue.use=fit/hue", "--set", "metrics.hue.spec=3"
    )
    assert ended.code == 2
    assert "'spec' is given to fit/hue by i2i itself; leave it out" in ended.err


def test_the_kit_gives_a_spec_of_its_own(fit, i2i):
    ended = i2i("plugin", "check", "fit", "--json")
    found = {(row["component"], row["check"]): row["status"] for row in json.loads(ended.out)["outcomes"]}
    for subject in ("metric fit/hue", "generator fit/net", "callback fit/asks", "transform fit/asks"):
        assert found[subject, "builds"] == "passed", subject
