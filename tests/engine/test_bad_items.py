"""What a run does about images that cannot be used, with and without worker processes."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from PIL import Image

RECIPE = """
recipe = 1
name = "bad"

[data]
use = "paired-images"
root = "pairs"
size = 8
splits = [1, 0, 0]
batch_size = 2

[generator]
use = "toys/tiny"

[losses.l1]
use = "l1"

[method]
use = "paired-adversarial"

[optimizers.generators]
use = "adam"

[train]
steps = 4
precision = "fp32"
"""


@pytest.fixture
def pairs(toys, tmp_path, monkeypatch):
    """A folder of pairs side by side with a recipe for it; the working directory."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "pairs" / "train"
    folder.mkdir(parents=True)
    for number in range(6):
        Image.effect_noise((16, 8), 80).convert("RGB").save(folder / f"{number}.png")
    (tmp_path / "bad.toml").write_text(RECIPE)
    return folder


@pytest.fixture
def run(pairs, i2i):
    """Return a function that runs the recipe with settings on top."""

    def run_with(*settings: str):
        sets = [word for setting in settings for word in ("--set", setting)]
        return i2i("run", "bad.toml", "--out", "out", *sets)

    return run_with


@pytest.mark.parametrize("workers", [0, 1])
def test_an_image_that_cannot_be_read_is_named_when_its_turn_comes(pairs, run, workers):
    (pairs / "3.png").write_bytes(b"broken")
    done = run(f"data.workers={workers}", "data.cache=none", "data.batch_size=1", "train.steps=6")
    assert done.code == 3, done.err
    assert done.err.strip().splitlines()[-2:] == [
        "pairs/train/3.png",
        "  this is not an image in a format that i2i reads."
        "   (formats: .bmp, .gif, .jfif, .jpe, .jpeg, .jpg, .npy, .png, .tga, .tif, .tiff, .webp)",
    ]
    assert "Traceback" not in done.err


def test_pairs_that_the_listing_cannot_use_are_refused_before_anything_is_trained(pairs, run):
    (pairs / "3.jpg").write_bytes((pairs / "3.png").read_bytes())
    done = run()
    assert done.code == 3
    assert "3.jpg and 3.png have one name" in done.err
    assert not (pairs.parents[1] / "out").exists()


def test_on_bad_skip_lists_them_and_trains_without_them(pairs, run):
    (pairs / "1.png").write_bytes(b"broken")
    (pairs / "3.jpg").write_bytes((pairs / "3.png").read_bytes())
    done = run("data.on_bad=skip")
    assert done.code == 0, done.err
    told = done.out + done.err
    assert "goes on with 4 pairs" in told
    assert "pairs/train/1.png" in told
    assert "3.jpg and 3.png" in told
    assert json.loads((pairs.parents[1] / "out" / "summary.json").read_text())["status"] == "done"


def test_metrics_without_a_validation_split_say_how_to_get_one(run):
    done = run("metrics.mae.use=mae")
    assert done.code == 3
    assert "has pairs for train, and none for val." in done.err
    assert "put some into val; a recipe without [metrics] and [callbacks] needs none" in done.err


def test_without_a_folder_for_val_some_of_train_are_kept_for_it_and_that_is_said_once(pairs, run):
    done = run("metrics.mae.use=mae", "data.splits=[0.6, 0.4, 0]")
    assert done.code == 0, done.err
    told = (done.out + done.err).replace("\n", " ")
    (kept,) = re.findall(r"no folder for val: (\d) of the 6 pairs of train are kept for it", told)
    assert f"{6 - int(kept)} training pairs" in told


def test_files_of_other_kinds_are_told_when_a_run_starts(pairs, run):
    for name in ("a.avif", "b.avif", "c.txt"):
        (pairs / name).write_bytes(b"x")
    done = run()
    assert done.code == 0, done.err
    assert "3 files of other kinds: .avif 2, .txt 1; these are left out" in done.out + done.err


def test_on_bad_skip_goes_on_to_the_first_pair_that_is_sound(pairs, run):
    for number in range(60):
        (pairs / f"00-{number:02d}.png").write_bytes(b"")
    done = run("data.on_bad=skip")
    assert done.code == 0, done.err
    assert "goes on with 6 pairs" in done.out + done.err


def test_sides_of_two_sizes_are_refused_before_anything_is_trained(pairs, run, i2i):
    for side, size in (("A", (8, 8)), ("B", (16, 16))):
        for number in range(4):
            path = pairs / side / f"{number}.png"
            path.parent.mkdir(exist_ok=True)
            Image.effect_noise(size, 80).convert("RGB").save(path)
    for path in pairs.glob("*.png"):
        path.unlink()
    text = (pairs.parents[1] / "bad.toml").read_text().replace("size = 8\n", "")
    (pairs.parents[1] / "bad.toml").write_text(text)
    told = "data.size\n  the source is 8x8 pixels and the target 16x16, and both have to be of one size."
    for ended in (run(), i2i("recipe", "check", "bad.toml", "--build")):
        assert ended.code == 3
        assert told in ended.err
    assert run("data.size=8").code == 0


def test_pairs_of_several_sizes_are_refused_before_anything_is_trained(pairs, run):
    Image.effect_noise((24, 12), 80).convert("RGB").save(pairs / "3.png")
    text = (pairs.parents[1] / "bad.toml").read_text().replace("size = 8\n", "")
    (pairs.parents[1] / "bad.toml").write_text(text)
    done = run()
    assert done.code == 3
    assert "pairs are of different sizes, from 8x8 to 12x12 pixels" in done.err


def test_a_run_starts_with_a_word_on_a_sliver_of_the_range(pairs, run):
    for path in pairs.glob("*.png"):
        Image.open(path).point(lambda value: 100 + value // 16).save(path)
    done = run()
    assert done.code == 0
    assert "In 6 of 6 pairs, values of the source go from 1" in done.out + done.err
    assert "say data.source_range = [0, 127]" in done.out + done.err


@pytest.mark.parametrize("value", [-1e30, 1e38, -9999.0])
def test_a_value_that_is_no_measurement_stops_a_run_before_it_starts(pairs, run, value):
    for path in pairs.glob("*.png"):
        path.unlink()
    for number in range(5):
        image = np.linspace(0, 10, 128, dtype=np.float32).reshape(8, 16)
        image[0, 0] = value if number == 3 else 1.0
        np.save(pairs / f"{number}.npy", image)
    done = run("data.source_range=[0, 10]", "data.target_range=[0, 10]")
    assert done.code == 3
    assert "pairs/train/3.npy" in done.err
    assert f"data.nodata = {value:g}" in done.err
    skipped = run("data.source_range=[0, 10]", "data.target_range=[0, 10]", "data.on_bad=skip")
    assert skipped.code == 0
    assert "goes on with 4 pairs" in skipped.out + skipped.err
