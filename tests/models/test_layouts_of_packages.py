"""Layouts of weights that packages declare: used, named where they fail, chosen where two know a file."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
import torch

from i2i import load_generator
from i2i.core.discriminators.patch import Patch
from i2i.core.generators.resnet import ResNet
from i2i.errors import DataError, PluginError, RecipeError
from i2i.models.importing import import_weights
from i2i.plugins.catalog import Catalog

ENTRY = """
from i2i import hookimpl

i2i_api = 1


@hookimpl
def i2i_register(registry):
    registry.generator("point", "i2i_points.net:Point", "a colour for a colour")
    registry.network("head", "i2i_points.net:Head", "a layer on each feature")
    registry.layout("theirs", "i2i_points.theirs:POINT", "the colours of another code")
    registry.layout("their-head", "i2i_points.theirs:HEAD", "its heads")
"""

NET = """
from torch import nn


class Point(nn.Module):
    def __init__(self, *, in_channels: int, out_channels: int, width: int = 4):
        super().__init__()
        if width > 99:
            raise ValueError("'width' is 99 at most")
        self.a, self.b = nn.Conv2d(in_channels, width, 1), nn.Conv2d(width, out_channels, 1)

    def forward(self, source):
        return self.b(self.a(source).relu()).tanh()


class Head(nn.Module):
    def __init__(self, *, feature_channels: tuple[int, ...]):
        super().__init__()
        self.heads = nn.ModuleList(nn.Linear(count, 2) for count in feature_channels)
"""

LAYOUTS = """
from i2i.layouts import Layout, Make, size_along


def make(shapes):
    return Make(
        {"width": size_along(shapes, "first.weight", 0)},
        {"in_channels": size_along(shapes, "first.weight", 1), "out_channels": 3},
        rename=lambda ours: ours.replace("a.", "first.").replace("b.", "second."),
        zero=lambda theirs: theirs == "second.bias",
        unused=lambda theirs: theirs == "epoch",
        size=32,
    )


def make_heads(shapes):
    counts = tuple(shape[1] for name, shape in sorted(shapes.items()) if name.endswith("weight"))
    return Make({}, {"feature_channels": counts}, rename=lambda ours: ours.replace("heads.", "mlp_"))


POINT = Layout("point net", "generator", "points/point", lambda shapes: "first.weight" in shapes, make)
HEAD = Layout("head", "network", "points/head", lambda shapes: "mlp_0.weight" in shapes, make_heads)
"""

FILES = {"i2i_points/__init__.py": ENTRY, "i2i_points/net.py": NET, "i2i_points/theirs.py": LAYOUTS}

STATE = {
    "first.weight": torch.full((5, 3, 1, 1), 0.1),
    "first.bias": torch.zeros(5),
    "second.weight": torch.full((3, 5, 1, 1), 0.2),
    "epoch": torch.tensor(7),
}


@pytest.fixture
def points(distribution):
    distribution("i2i-points", "1.0", "points", FILES)


def saved(folder: Path, state: dict[str, torch.Tensor] = STATE) -> Path:
    torch.save(state, folder / "net.pth")
    return folder / "net.pth"


def imported(folder: Path, state: dict[str, torch.Tensor] = STATE, **options):
    return import_weights(
        saved(folder, state), folder / "net.safetensors", catalog=Catalog.installed(), **options
    )


def test_a_file_that_a_package_knows_becomes_a_model_of_its_component(tmp_path: Path, points, i2i) -> None:
    ended = i2i("import", str(saved(tmp_path)), "--out", str(tmp_path / "net.safetensors"), "--json")
    assert (ended.code, ended.err) == (0, "")
    facts = json.loads(ended.out)
    assert (facts["ref"], facts["layout"]) == ("points/point", "points/theirs")
    assert (facts["parameters"], facts["keys"]) == (5 * 4 + 3 * 6, {"width": 5})
    module = load_generator(tmp_path / "net.safetensors")
    answer = module(torch.full((1, 3, 2, 2), 0.5))
    torch.testing.assert_close(answer, torch.full((1, 3, 2, 2), 5 * 0.15 * 0.2).tanh())


def test_a_network_of_another_kind_is_imported_too(tmp_path: Path, points) -> None:
    state = {"mlp_0.weight": torch.ones(2, 4), "mlp_0.bias": torch.ones(2)}
    state |= {"mlp_1.weight": torch.ones(2, 8), "mlp_1.bias": torch.ones(2)}
    found = imported(tmp_path, state)
    assert (found.entry.ref, found.layout, found.parameters) == ("points/head", "points/their-head", 28)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"first.weight": torch.ones(5)}, "a point net, but 'first.weight' is missing or of another shape"),
        ({"third": torch.ones(1)}, "points/point (width 5), which has no place for 'third'"),
        ({"second.weight": torch.ones(3, 4, 1, 1)}, "'second.weight' is 3x4x1x1 and not 3x5x1x1"),
        (
            {"first.weight": torch.ones(100, 3, 1, 1)},
            "looks like a point net, but points/point cannot be one: ValueError: 'width' is 99 at most",
        ),
    ],
)
def test_what_does_not_fit_is_named_in_a_sentence(tmp_path: Path, points, change, sentence: str) -> None:
    with pytest.raises(DataError) as refused:
        imported(tmp_path, STATE | change)
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "net.safetensors").exists()


def test_a_file_that_no_layout_knows_lists_those_that_are_installed(tmp_path: Path, points, i2i) -> None:
    path = saved(tmp_path, {"stem.weight": torch.ones(2, 3, 3, 3)})
    ended = i2i("import", str(path), "--out", str(tmp_path / "net.safetensors"))
    assert (ended.code, ended.out) == (3, "")
    assert ended.err.startswith(
        f"{path} holds no network that can be imported by the layouts that are installed (core/pix2pix-unet, "
        "core/pix2pix-resnet, core/pix2pix-patch, core/pix2pix-pixel, "
    )
    assert ended.err.endswith("points/theirs, points/their-head): its first tensor is 'stem.weight'.\n")


def test_two_layouts_that_know_one_file_are_both_named_and_one_is_chosen(
    tmp_path: Path, points, distribution, i2i
) -> None:
    second = {
        name.replace("points", "others"): text.replace("points", "others") for name, text in FILES.items()
    }
    distribution("i2i-others", "2.0", "others", second)
    out = tmp_path / "net.safetensors"
    ended = i2i("import", str(saved(tmp_path)), "--out", str(out))
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == (
        f"{tmp_path}/net.pth is known to several layouts, others/theirs (a point net) and points/theirs "
        "(a point net): say which one it is, with --layout others/theirs.\n"
    )
    assert not out.exists()
    ended = i2i("import", str(tmp_path / "net.pth"), "--out", str(out), "--layout", "points/theirs")
    assert ended.code == 0
    assert "is points/point with width = 5: 38 parameters" in ended.out


def test_a_chosen_layout_that_does_not_know_the_file_or_is_not_there(tmp_path: Path, points) -> None:
    with pytest.raises(DataError, match="can be imported by the layout core/pix2pix-unet: its first"):
        imported(tmp_path, layout="pix2pix-unet")
    with pytest.raises(RecipeError, match="no layout 'their' in plug-in 'points' - did you mean 'theirs'"):
        imported(tmp_path, layout="points/their")
    with pytest.raises(PluginError, match="needs a plug-in that provides 'nowhere'"):
        imported(tmp_path, layout="nowhere/x")


BROKEN = [
    ("target", "i2i_points.theirs:POINT", "i2i_points.theirs:POINTS", "points/theirs .+ could not be loaded"),
    ("claims", '"first.weight" in shapes', 'shapes["x"]', "layout points/theirs .+ raised KeyError: 'x'"),
]


@pytest.mark.parametrize(("old", "new", "words"), [case[1:] for case in BROKEN], ids=[c[0] for c in BROKEN])
def test_a_layout_that_cannot_be_asked_stands_in_no_other_files_way(
    tmp_path: Path, distribution, i2i, old: str, new: str, words: str
) -> None:
    distribution("i2i-points", "1.0", "points", {k: v.replace(old, new) for k, v in FILES.items()})
    path = saved(tmp_path, dict(Patch(in_channels=3, width=2, layers=2).state_dict()))
    ended = i2i("import", str(path), "--out", str(tmp_path / "judge.safetensors"))
    assert ended.code == 0
    assert "core/patch" in ended.out
    with pytest.raises(PluginError, match=words):
        imported(tmp_path, layout="points/theirs")
    with pytest.raises(DataError, match=f"'first.weight'. Not asked: .*{words}"):
        imported(tmp_path)


def test_code_of_a_layout_that_fails_is_named(tmp_path: Path, distribution) -> None:
    theirs = LAYOUTS.replace('ours.replace("a.", "first.")', "{}[ours]")
    distribution("i2i-points", "1.0", "points", FILES | {"i2i_points/theirs.py": theirs})
    with pytest.raises(PluginError, match=r"the layout points/theirs \(i2i-points 1.0\) raised KeyError: 'a"):
        imported(tmp_path)


def test_layouts_are_loaded_for_an_import_alone(distribution, i2i) -> None:
    distribution("i2i-points", "1.0", "points", FILES | {"i2i_points/theirs.py": "1 / 0"})
    ended = i2i("components", "list", "layout")
    assert (ended.code, ended.err) == (0, "")
    assert "points/theirs" in ended.out


def test_files_with_changed_bytes_are_read_whole_or_refused_in_a_sentence(tmp_path: Path) -> None:
    """Each is imported as some network or refused; nothing else is raised, and nothing half is written."""
    state = dict(ResNet(in_channels=3, out_channels=3, blocks=1, width=2, norm="instance").state_dict())
    whole = saved(tmp_path, state).read_bytes()
    rng, target, refused = random.Random(0), tmp_path / "net.safetensors", []
    for _ in range(150):
        damaged = bytearray(whole)
        for _ in range(rng.choice((1, 4, 40))):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        (tmp_path / "net.pth").write_bytes(damaged)
        try:
            import_weights(tmp_path / "net.pth", target, catalog=CATALOG)
        except DataError as error:
            refused.append(str(error))
        else:
            target.unlink()
        assert not target.exists()
    assert len(refused) > 50
    assert not any("\n" in sentence for sentence in refused)


CATALOG = Catalog.installed()
