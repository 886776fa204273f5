"""Sides of several files in training: label maps with edges as source, colour with depth as target."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from i2i import Translator, load_recipe, run
from i2i.building.components import build_losses, method_slots
from i2i.building.objective import objective
from i2i.building.probe import probe
from i2i.data.opening import spec_of
from i2i.errors import RecipeError
from i2i.images import read_image
from i2i.recipe.recipe import Recipe
from i2i.records import Batch
from i2i.runs import checkpoint

SIZE, CLASSES, DEEP = 16, 3, 4000

RECIPE = """
recipe = 1
name = "parts"

[data]
use = "paired-images"
root = "scenes"
batch_size = 2
{data}

[generator]
use = "unet"
depth = 2
width = 4
dropout = 0.0

[losses.l1]
use = "l1"
{losses}

[method]
use = "paired-adversarial"

[optimizers.generators]
use = "adam"
lr = 1e-3

[train]
steps = 6
eval_every = 6
save_every = 3

[metrics.mae]
use = "mae"
"""
LAYOUT = """
source = ["seg", "edges"]
target = "colour"
source_labels.seg = 3
"""
BOTH = """
source = "edges"
target = ["colour", "depth"]
target_range.depth = [0, 4000]
"""
APART = """
part = "colour"
weight = 100.0

[losses.depth]
use = "l1"
part = "depth"
weight = 10.0

[metrics.depth]
use = "mae"
part = "depth"
"""

GREY = """
from i2i import hookimpl
from i2i.kinds import PairSpec

i2i_api = 1


@hookimpl
def i2i_register(registry):
    registry.metric("grey", ":Grey", "of one channel")


class Grey:
    directions = {"grey": "min"}

    def __init__(self, *, spec: PairSpec) -> None:
        if spec.target.channels != 1:
            raise ValueError("takes targets of one channel")
"""


@pytest.fixture
def scenes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with 12 scenes: a label map, the edges between its instances, a photo, its depth."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for name in ("seg", "edges", "colour", "depth"):
        (tmp_path / "scenes" / name).mkdir(parents=True)
    for number in range(12):
        seg = np.repeat(np.repeat(rng.integers(0, CLASSES, (4, 4), np.uint8), 4, 0), 4, 1)
        edges = np.zeros_like(seg)
        edges[:, 1:] = 255 * (seg[:, 1:] != seg[:, :-1])
        Image.fromarray(seg).save(f"scenes/seg/{number}.png")
        Image.fromarray(edges).save(f"scenes/edges/{number}.png")
        Image.fromarray(np.stack([80 * seg, edges, 255 - edges], axis=-1)).save(f"scenes/colour/{number}.png")
        Image.fromarray(seg.astype(np.uint16) * 1999 + 1).save(f"scenes/depth/{number}.png")
    return tmp_path


def recipe(folder: Path, *, data: str, losses: str = "", set: tuple[str, ...] = ()) -> Recipe:  # noqa: A002
    path = folder / "parts.toml"
    path.write_text(RECIPE.format(data=data, losses=losses))
    return load_recipe(path, set=set)


def weights_of(folder: Path) -> dict[str, bytes]:
    last = checkpoint.newest(folder / "checkpoints")
    assert last is not None
    files = {path.name: path.read_bytes() for path in last.folder.glob("*.safetensors")}
    return files | {"model": (folder / "model.safetensors").read_bytes()}


def figures_of(folder: Path) -> set[str]:
    return set(json.loads((folder / "summary.json").read_text())["metrics"])


# --- a source of a label map and edges ---------------------------------------------------------------


def test_a_label_map_with_edges_trains_and_goes_on_to_the_same_bits(scenes: Path) -> None:
    jitter = ("transforms.jitter.use=jitter", "transforms.jitter.resize=20")
    whole = recipe(scenes, data=LAYOUT, set=jitter)
    assert run(whole, scenes / "whole").status == "done"
    run(whole, scenes / "parts", stop_at=4)
    run(whole, scenes / "parts")
    assert weights_of(scenes / "parts") == weights_of(scenes / "whole")


def test_it_translates_from_a_folder_for_each_file_as_in_memory(scenes: Path, i2i) -> None:
    run(recipe(scenes, data=LAYOUT), scenes / "run")
    for name in ("seg", "edges"):
        (scenes / "in" / name).mkdir(parents=True)
        (scenes / f"scenes/{name}/1.png").rename(scenes / f"in/{name}/1.png")
    ended = i2i("translate", "run", "in", "out", "--device", "cpu")
    assert (ended.code, ended.out) == (0, "1 image translated to out\n")
    written = read_image(scenes / "out/1.png")
    assert (written.dtype, tuple(written.shape)) == (torch.uint8, (3, SIZE, SIZE))
    given = {name: np.asarray(Image.open(f"in/{name}/1.png")) for name in ("seg", "edges")}
    answer = Translator(scenes / "run", device="cpu")(given, name="1.png")
    assert np.array_equal(answer, written.permute(1, 2, 0).numpy())


def test_cross_entropy_looks_at_the_label_map_that_it_names(scenes: Path, i2i) -> None:
    data = 'source = "colour"\ntarget = ["seg", "edges"]\ntarget_labels.seg = 3\n'
    named = ("losses.l1.use=cross-entropy", "losses.l1.part=seg")
    assert run(recipe(scenes, data=data, set=named), scenes / "run").status == "done"
    for part, words in {
        "": "of the parts seg would fit: name it by `part`",
        "edges": "needs a target that is",
    }.items():
        said = (named[0], *([f"losses.l1.part={part}"] if part else []))
        with pytest.raises(RecipeError, match=words):
            probe(unsound := recipe(scenes, data=data, set=said), spec_of(unsound))
    labels = ("metrics.mae.use=label-accuracy", "metrics.mae.part=seg")
    run(recipe(scenes, data=data, set=(*named, *labels)), scenes / "scored")
    assert {"pixel_accuracy(seg)", "class_iou(seg)"} <= figures_of(scenes / "scored")


# --- a target of colour and depth ---------------------------------------------------------------------


def test_each_part_has_its_own_loss_and_figure(scenes: Path) -> None:
    asked = recipe(scenes, data=BOTH, losses=APART, set=("train.save_best=mae(depth):min",))
    assert objective(asked) == "G minimises 100 l1(colour) + 10 depth [l1](depth)"
    spec = spec_of(asked)
    colour, depth = build_losses(asked, "cpu", spec).terms
    fake, real = torch.zeros(1, 4, 2, 2), torch.zeros(1, 4, 2, 2)
    real[:, 3] = 0.5
    given = {"batch": Batch(real, real, ("a",)), "run": None}
    assert (colour(fake, real, **given), depth(fake, real, **given)) == (0, 0.5)
    run(asked, scenes / "run")
    assert {"mae", "mae(depth)"} <= figures_of(scenes / "run")
    rows = [json.loads(row) for row in (scenes / "run/metrics.jsonl").read_text().splitlines()]
    trained = next(row for row in rows if row["kind"] == "train")
    assert {"l1", "depth"} <= trained["losses"].keys()


def test_two_targets_are_two_files_each_at_its_true_depth(scenes: Path, i2i) -> None:
    run(recipe(scenes, data=BOTH, losses=APART), scenes / "run")
    (scenes / "in").mkdir()
    (scenes / "scenes/edges/3.png").rename(scenes / "in/3.png")
    ended = i2i("translate", "run", "in", "out", "--device", "cpu")
    assert (ended.code, ended.out) == (0, "1 image translated to out, each as colour and depth\n")
    colour, depth = (read_image(scenes / f"out/{name}/3.png") for name in ("colour", "depth"))
    assert (colour.dtype, len(colour), depth.dtype, len(depth)) == (torch.uint8, 3, torch.uint16, 1)
    assert int(depth.int().max()) <= DEEP
    assert depth.int().unique().numel() > 50
    answer = Translator(scenes / "run", device="cpu")(Image.open("in/3.png"))
    assert np.array_equal(np.asarray(answer["depth"]), depth[0].numpy())
    beside = i2i("translate", "run", "in/3.png", "one.png", "--device", "cpu", "--samples", "1", "--json")
    assert json.loads(beside.out)["parts"] == ["colour", "depth"]
    assert np.array_equal(read_image(scenes / "one.depth.png"), depth)


def test_eval_scores_a_part_as_its_file_holds_it(scenes: Path, i2i) -> None:
    run(recipe(scenes, data=BOTH, losses=APART), scenes / "run")
    ended = i2i("eval", "run", "--split", "val", "--json")
    assert ended.code == 0, ended.err
    found = json.loads(ended.out)
    assert found["depth"] == {"colour": "uint8", "depth": "uint16"}
    assert found["definitions"]["depth"].startswith("Of the part 'depth' alone. Mean absolute difference")
    with (scenes / "run/eval/val.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    (scenes / "in").mkdir()
    for row in rows:
        (scenes / "in" / f"{row['id']}.png").write_bytes(Path(f"scenes/edges/{row['id']}.png").read_bytes())
    assert i2i("translate", "run", "in", "out", "--device", "cpu").code == 0
    for row in rows:
        fake, real = (
            read_image(scenes / place / f"depth/{row['id']}.png").double() for place in ("out", "scenes")
        )
        assert float(row["mae(depth)"]) == pytest.approx(float((fake - real).abs().mean()) / DEEP, abs=1e-6)


def test_a_metric_that_prepares_itself_sees_its_part_alone(scenes: Path) -> None:
    optima = ("metrics.depth.use=optima", "metrics.mae.use=label-accuracy", "metrics.mae.part=colour")
    run(recipe(scenes, data=BOTH, losses=APART, set=optima), scenes / "run")
    assert {"to_mean(depth)", "class_iou(colour)", "doubtful_pixels(colour)"} <= figures_of(scenes / "run")


@pytest.mark.parametrize(
    ("data", "section", "words"),
    [
        (BOTH, "losses.depth", "the target has no part 'deep': its parts are colour, depth"),
        (BOTH, "metrics.depth", "the target has no part 'deep': its parts are colour, depth"),
        (
            'source = "edges"\ntarget = "colour"\n',
            "losses.depth",
            "the target has no part 'deep': it has no parts",
        ),
    ],
)
def test_a_part_that_the_data_lacks_is_refused_where_it_stands(
    scenes: Path, i2i, data: str, section: str, words: str
) -> None:
    text = APART if data == BOTH else APART.replace('part = "colour"\n', "\n")
    head, found, tail = text.partition(f"[{section}]")
    (scenes / "wrong.toml").write_text(
        RECIPE.format(data=data, losses=head + found + tail.replace('part = "depth"', 'part = "deep"', 1))
    )
    for command in (("recipe", "check", "wrong.toml", "--build"), ("run", "wrong.toml", "--out", "run")):
        ended = i2i(*command)
        assert ended.code == 2
        assert words in ended.err
        number = next(
            n for n, row in enumerate((scenes / "wrong.toml").read_text().splitlines(), 1) if '"deep"' in row
        )
        assert f"wrong.toml:{number}" in ended.err
    assert not (scenes / "run").exists()


def test_samples_show_each_part_as_a_picture_of_its_own(scenes: Path) -> None:
    samples = ("callbacks.samples.use=samples", "callbacks.samples.every=3", "callbacks.samples.count=1")
    run(recipe(scenes, data=BOTH, losses=APART, set=samples), scenes / "run")
    (strip, *_) = sorted((scenes / "run/samples").rglob("*.png"))
    with Image.open(strip) as picture:
        assert (picture.mode, picture.size) == ("RGB", (3 * SIZE, 2 * SIZE))
        depth = np.asarray(picture)[SIZE:]
    assert (depth[:, :SIZE] == 255).all()  # the source has one file
    truth = depth[:, 2 * SIZE :]
    assert (truth[..., 0] == truth[..., 2]).all()
    assert set(np.unique(truth)) <= {0, round(2000 / DEEP * 255), 255}


def test_data_check_tells_of_each_part(scenes: Path, i2i) -> None:
    (scenes / "d.toml").write_text(
        RECIPE.format(data=LAYOUT.replace('"colour"', '["colour", "depth"]'), losses="")
    )
    ended = i2i("data", "check", "d.toml", "--json")
    assert ended.code == 0, ended.err
    train = json.loads(ended.out)["splits"]["train"]
    assert train["source"]["parts"]["seg"]["classes"] == CLASSES
    depth = train["target"]["parts"]["depth"]
    assert (depth["kinds"], depth["values"]) == ({"1 x uint16": train["usable"]}, [1, 3999])
    told = i2i("data", "check", "d.toml").out
    assert "seg: 3 classes; edges: 1 x uint8, 0 to 255; 16x16" in told
    assert "values of 'depth' of the target go from 1 to 3999" in told
    assert "say data.target_range.depth = [0, 4095]" in told


def test_the_methods_losses_compare_what_its_generators_write(scenes: Path) -> None:
    asked = recipe(scenes, data=BOTH, losses=APART)
    assert [role.writes for role in method_slots(asked).generators.values()] == ["target"]


def test_parts_in_another_order_than_the_models_are_refused(scenes: Path, i2i) -> None:
    run(recipe(scenes, data=LAYOUT), scenes / "run")
    ended = i2i("eval", "run", "--split", "val", "--data", 'source=["edges", "seg"]')
    assert ended.code == 3
    assert "was trained with a source of seg, edges, and core/paired-images has edges, seg there" in ended.err
    (scenes / "scenes/edges").rename(scenes / "scenes/lines")
    renamed = i2i("eval", "run", "--split", "val", "--data", 'source=["seg", "lines"]')
    assert renamed.code == 0, renamed.err


def test_the_labels_of_a_source_are_read_off_its_label_map(scenes: Path) -> None:
    score = ("metrics.mae.use=segmentation-score", "metrics.mae.epochs=1", "metrics.mae.size=16")
    run(recipe(scenes, data=LAYOUT, set=score), scenes / "run")
    assert {"pixel_accuracy", "class_iou_ceiling"} <= figures_of(scenes / "run")


def test_samples_of_an_answer_are_numbered_before_the_parts_name(scenes: Path, i2i) -> None:
    run(recipe(scenes, data=BOTH, set=("generator.dropout=0.5",)), scenes / "run")
    drawn = ("--samples", "2", "--dropout", "--device", "cpu")
    assert i2i("translate", "run", "scenes/edges/3.png", "some.png", *drawn).code == 0
    assert i2i("translate", "run", "scenes/edges/3.png", "some", *drawn).code == 0
    found = sorted(path.relative_to(scenes).as_posix() for path in scenes.glob("some*") if path.is_file())
    assert found == [f"some-{number}.{part}.png" for number in (1, 2) for part in ("colour", "depth")]
    below = sorted(path.relative_to(scenes / "some").as_posix() for path in scenes.glob("some/*/*"))
    assert below == [f"{part}/3-{number}.png" for part in ("colour", "depth") for number in (1, 2)]


def test_a_metric_that_asks_for_the_spec_is_checked_on_its_part(scenes: Path, i2i) -> None:
    (scenes / "grey.py").write_text(GREY)
    asked = ("metrics.depth.use=local/grey", "metrics.mae.part=colour")
    recipe(scenes, data=BOTH, losses=APART)
    words = [word for setting in asked for word in ("--set", setting)]
    command = ("recipe", "check", "parts.toml", "--build", "--plugin", "grey.py", *words)
    assert i2i(*command).code == 0
    ended = i2i(*command, "--set", "metrics.depth.part=colour")
    assert ended.code == 2
    assert "local/grey: takes targets of one channel" in ended.err
