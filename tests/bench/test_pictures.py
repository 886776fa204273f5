"""Pictures of a benchmark: the same held-out images for every variant, the same each time."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from i2i import run
from i2i.bench.pictures import make_pictures, sheet
from i2i.bench.results import PicturedPair, Pictures
from i2i.data.opening import open_data
from i2i.errors import DataError, PluginError
from i2i.plugins.catalog import Catalog
from i2i.recipe.recipe import load_recipe


@pytest.fixture
def trained(desk):
    """Return a function that trains the desk's recipe for a step and returns the recipe and its model."""

    def train(name, *settings):
        recipe = load_recipe("desk.toml", set=("train.steps=1", *settings))
        return recipe, run(recipe, Path(name)).folder / "model.safetensors"

    return train


def pixels(path: Path) -> bytes:
    with Image.open(path) as image:
        assert image.mode == "RGB"
        return image.tobytes()


def make(models, recipe, folder, **options):
    data = open_data(recipe, "val")
    return make_pictures(models, recipe, data, folder, catalog=Catalog.installed(), device="cpu", **options)


def test_pairs_are_spread_evenly_over_the_validation_split(trained, tmp_path):
    recipe, model = trained("a", "data.count=10")
    pictures = make({"a": model}, recipe, tmp_path / "bench", count=4)
    assert [image.id for image in pictures.images] == ["0", "2", "5", "7"]
    assert len(pictures.outputs["a"]) == 4
    assert len(make({"a": model}, recipe, tmp_path / "all", count=99).images) == 10


def test_files_are_small_pngs_beside_the_results(trained, tmp_path):
    recipe, model = trained("a")
    root = tmp_path / "bench"
    pictures = make({"a/../b <x>": model}, recipe, root, count=2)
    first = pictures.images[0]
    source, target = pixels(root / first.source), pixels(root / first.target)
    assert bytes(255 - value for value in source) == target
    (output, _) = pictures.outputs["a/../b <x>"]
    assert pixels(root / output) not in (source, target)
    assert output == "pictures/1-a_.._b__x_/0-0.png"
    assert {path.parent.parent for path in root.rglob("*.png")} == {root / "pictures"}


def test_variants_get_the_same_images_and_answer_in_their_own_way(trained, tmp_path):
    recipe, one = trained("one")
    _, other = trained("other", "seed=9")
    root = tmp_path / "bench"
    outputs = make({"one": one, "other": other, "again": one}, recipe, root, count=1).outputs
    one_, other_, again = (pixels(root / outputs[name][0]) for name in ("one", "other", "again"))
    assert one_ == again != other_


def test_what_is_drawn_at_random_is_drawn_the_same_each_time(trained, tmp_path):
    recipe, model = trained("a", "generator.dropout=0.5", "method.test_dropout=true")
    first = make({"a": model}, recipe, tmp_path / "1", count=2).outputs["a"]
    again = make({"z": model, "a": model}, recipe, tmp_path / "2", count=2).outputs["a"]
    assert [pixels(tmp_path / "1" / path) for path in first] == [
        pixels(tmp_path / "2" / path) for path in again
    ]


def test_a_model_that_is_not_there_leaves_gaps(trained, tmp_path):
    recipe, model = trained("a")
    outputs = make({"a": model, "b": tmp_path / "none"}, recipe, tmp_path / "bench", count=2).outputs
    assert outputs["b"] == [None, None]
    assert None not in outputs["a"]


def test_a_model_for_other_channels_leaves_gaps(trained, tmp_path):
    _, grey = trained("grey")
    for split in ("train", "val"):
        (tmp_path / "pairs" / split).mkdir(parents=True)
        for name in ("a.png", "b.png"):
            Image.new("RGB", (16, 8), "red").save(tmp_path / "pairs" / split / name)
    settings = ("data.use=paired-images", f"data.root={tmp_path / 'pairs'}", "data.size=[8, 8]")
    recipe, colour = trained("colour", *settings)
    outputs = make({"grey": grey, "colour": colour}, recipe, tmp_path / "bench", count=1).outputs
    assert outputs["grey"] == [None]
    assert outputs["colour"] != [None]


def test_a_damaged_model_is_named(trained, tmp_path):
    recipe, model = trained("a")
    model.write_bytes(model.read_bytes()[:-4])
    with pytest.raises(DataError, match=r"model\.safetensors"):
        make({"a": model}, recipe, tmp_path / "bench")


def test_a_data_set_that_raises_is_named(trained, tmp_path, monkeypatch):
    recipe, model = trained("a")
    monkeypatch.setenv("DESK_BROKEN", "1")
    with pytest.raises(PluginError, match="desk/noise failed: RuntimeError: the shelf is empty") as caught:
        make({"a": model}, recipe, tmp_path / "bench")
    assert caught.value.exit_code == 6


def test_a_sheet_has_a_row_for_each_variant_between_input_and_target(tmp_path):
    def made(name, colour):
        Image.new("RGB", (10, 5), colour).save(tmp_path / f"{name}.png")
        return f"{name}.png"

    images = [PicturedPair(str(i), made(f"s{i}", "red"), made(f"t{i}", "blue")) for i in range(3)]
    outputs = {"a rather long name of a variant": [made("a", "lime"), None, "a.png"], "b": ["a.png"] * 3}

    def drawn(**options):
        return Image.open(io.BytesIO(sheet(Pictures(images, outputs, seed=0), tmp_path, cell=40, **options)))

    image = drawn()
    column = [image.getpixel((image.width - 30, y)) for y in range(image.height)]
    blocks = [colour for before, colour in zip([None, *column], column, strict=False) if before != colour]
    assert [c for c in blocks if c != (255, 255, 255)] == [(255, 0, 0), (0, 255, 0), (0, 255, 0), (0, 0, 255)]
    assert drawn(order=["b"]).height < image.height
