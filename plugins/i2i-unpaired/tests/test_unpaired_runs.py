"""Whole runs on folders of pictures without pairs: what they learn, leave behind, go on with and refuse."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from i2i import load_generator, load_recipe, run
from i2i.errors import DataError, RecipeError
from i2i.testing import run_tiny

CYCLEGAN = """
recipe = 1
extends = "unpaired/cyclegan"
name = "small"
unset = ["data.paired", "transforms", "schedule", "callbacks"]

[data]
use = "unpaired-images"
root = "pictures"
size = [16, 16]
batch_size = 2

[generators]
forward = { depth = 3, width = 8 }
backward = { depth = 3, width = 8 }

[discriminators]
target = { receptive_field = 16, width = 8 }
source = { receptive_field = 16, width = 8 }
"""

CUT = """
recipe = 1
extends = "unpaired/fastcut"
name = "small"
unset = ["data.paired", "transforms", "schedule", "callbacks"]

[data]
use = "unpaired-images"
root = "pictures"
size = [16, 16]
batch_size = 2

[generator]
depth = 3
width = 8

[discriminators.target]
receptive_field = 16
width = 8

[networks.heads]
layers = [0, 1, 2]
width = 16

[method]
nce = 10.0
"""

RECIPES = {"cyclegan": CYCLEGAN, "cut": CUT}


@pytest.fixture
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four reddish pictures and six bright bluish ones in each split, no two pixels alike, and the working
    directory beside them.
    """
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for folder, count, colour in (("A", 4, (130, 60, 60)), ("B", 6, (90, 130, 255))):
        for split in ("train", "val", "test"):
            place = tmp_path / "pictures" / f"{split}{folder}"
            place.mkdir(parents=True)
            for number in range(count):
                image = np.array(colour) * rng.uniform(0.4, 1.0, size=(16, 16, 3))
                Image.fromarray(image.astype(np.uint8)).save(place / f"{number}.png")
    return tmp_path / "pictures"


@pytest.fixture(params=[*RECIPES])
def recipe(request: pytest.FixtureRequest, pictures: Path) -> Path:
    return written(request.param, pictures)


def written(name: str, pictures: Path) -> Path:
    path = pictures.parent / f"{name}.toml"
    path.write_text(RECIPES[name], encoding="utf-8")
    return path


def i2i(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command of i2i by itself, as a person would."""
    paths = os.pathsep.join(str(Path(path).absolute()) for path in sys.path if path)
    return subprocess.run(
        [sys.executable, "-m", "i2i", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "NO_COLOR": "1", "COLUMNS": "300"},
    )


def colours(folder: Path) -> torch.Tensor:
    """Return the mean colour of pictures, from -1 to 1."""
    each = [np.asarray(Image.open(path)).reshape(-1, 3).mean(axis=0) for path in sorted(folder.glob("*.png"))]
    return torch.tensor(np.mean(each, axis=0)) / 127.5 - 1


def shown(folder: Path) -> torch.Tensor:
    images = [np.asarray(Image.open(path)) for path in sorted(folder.glob("*.png"))]
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2) / 127.5 - 1


# --- what they learn


@pytest.mark.parametrize(("name", "steps"), [("cyclegan", 100), ("cut", 200)])
def test_few_pictures_come_to_look_like_those_of_the_other_side(name, steps, pictures):
    path = written(name, pictures)
    settings = [f"optimizers.{section}.lr=2e-3" for section in ("generators", "discriminators")]
    settings += ["optimizers.networks.lr=4e-3", "method.flip=false"] if name == "cut" else []
    found = run_tiny(*settings, recipe=path, steps=steps, out=pictures.parent / "run")
    kept = "cycle" if name == "cyclegan" else "nce"
    first, last = (np.mean([each[kept] for each in part]) for part in (found.losses[:5], found.losses[-5:]))
    assert last < 0.7 * first
    source, target = colours(pictures / "trainA"), colours(pictures / "trainB")
    with torch.no_grad():
        made = load_generator(pictures.parent / "run")(shown(pictures / "trainA"))
    colour = made.double().mean(dim=(0, 2, 3))
    assert (colour - target).norm() < 0.4 * (source - target).norm()


# --- what they leave behind


def test_both_directions_are_exported_translated_and_scored(pictures):
    path, folder = written("cyclegan", pictures), pictures.parent / "run"
    run_tiny(recipe=path, steps=2, out=folder)
    assert {file.name for file in folder.glob("*.safetensors")} == {
        "model.safetensors",
        "model-backward.safetensors",
    }
    image = shown(pictures / "trainA")
    there, back = load_generator(folder), load_generator(folder, generator="backward")
    with torch.no_grad():
        assert there(image).shape == back(image).shape == image.shape
        assert not torch.equal(there(image), back(image))
    scored = i2i("eval", folder, "--generator", "backward", "--metric", "mae", "--json", cwd=pictures.parent)
    assert scored.returncode == 0, scored.stderr
    assert "histogram_l" in scored.stdout
    assert "mae" in scored.stderr  # left out, and named


@pytest.mark.slow
def test_translate_takes_pictures_of_either_side(pictures):
    path, folder = written("cyclegan", pictures), pictures.parent / "run"
    run_tiny(recipe=path, steps=2, out=folder)
    for generator, side in (("forward", "A"), ("backward", "B")):
        made = i2i(
            *("translate", folder, pictures / f"test{side}", f"made{side}", "--generator", generator),
            cwd=pictures.parent,
        )
        assert made.returncode == 0, made.stderr
        names = {file.name for file in (pictures / f"test{side}").iterdir()}
        assert {file.name for file in (pictures.parent / f"made{side}").glob("*.png")} == names


# --- what they go on with


def weights_of(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.glob("*.safetensors"))}


def losses_of(folder: Path) -> list[Any]:
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    return [(record["step"], record["losses"]) for record in records if record["kind"] == "train"]


@pytest.mark.slow
def test_a_killed_run_ends_with_the_same_bits(recipe):
    settings = [
        part
        for setting in ("train.steps=80", "train.save_every=4", "train.eval_every=40", "train.log_every=1")
        for part in ("--set", setting)
    ]
    # A pool that is full long before, so that what it holds decides what comes after.
    settings += ["--set", "method.pool=6"] if recipe.stem == "cyclegan" else []
    folder = recipe.parent
    whole = i2i("run", recipe, *settings, "--out", "whole", cwd=folder)
    assert whole.returncode == 0, whole.stderr
    paths = os.pathsep.join(str(Path(path).absolute()) for path in sys.path if path)
    line = [sys.executable, "-m", "i2i", "run", str(recipe), *settings, "--out", "killed"]
    process = subprocess.Popen(
        line,
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
    )
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        steps = [
            int(path.name) for path in (folder / "killed/checkpoints").glob("[0-9]*") if path.name.isdigit()
        ]
        if steps and max(steps) >= 20:
            break
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    resumed = i2i("run", recipe, *settings, "--out", "killed", cwd=folder)
    assert resumed.returncode == 0, resumed.stderr
    assert losses_of(folder / "killed") == losses_of(folder / "whole")
    one, other = (load_generator(folder / run).state_dict() for run in ("killed", "whole"))
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())
    assert weights_of(folder / "killed").keys() == weights_of(folder / "whole").keys()


# --- exchanged parts


@pytest.mark.parametrize(
    "settings",
    [
        (
            "generators.forward.use=encoder-decoder",
            "generators.forward.depth=3",
            "generators.forward.width=8",
            "losses.adversarial.use=hinge",
            "method.pool=0",
        ),
        ("losses.adversarial.use=relativistic", "losses.r1.use=r1", "losses.r1.every=2"),
        (
            "transforms.seen.use=diff-augment",
            "transforms.seen.at=judging",
            "train.accumulate=2",
            "train.ema=0.9",
        ),
    ],
    ids=["another generator", "relativistic, with a penalty", "augmented and accumulated"],
)
def test_other_parts_train_with_either_method(settings, recipe):
    if recipe.stem == "cut":
        settings = [setting.replace("generators.forward", "generator") for setting in settings]
        settings = [setting for setting in settings if "pool" not in setting]
    found = run_tiny(*settings, recipe=recipe, steps=2)
    assert all(np.isfinite(value) for losses in found.losses for value in losses.values())
    assert {"adversarial", "discriminators.target"} <= found.losses[-1].keys()


def test_cut_itself_differs_from_fastcut_by_three_keys(pictures):
    path = written("cut", pictures)
    found = run_tiny("method.nce=1", "method.identity=true", "method.flip=false", recipe=path, steps=2)
    assert {"nce", "nce-identity", "adversarial"} <= found.losses[-1].keys()


@pytest.mark.slow
def test_a_benchmark_exchanges_generators_and_settings(pictures):
    written("cut", pictures)
    text = """
benchmark = 1
name = "swap"
summary = "Does the identity term matter?"
base = "cut.toml"
seeds = 2
baseline = "fastcut"
metrics = ["histogram_l"]

[budget]
steps = 3

[variants.fastcut]

[variants.cut]
method = { nce = 1.0, identity = true, flip = false }

[variants.heads]
networks.heads.width = 8
"""
    (pictures.parent / "swap.toml").write_text(text, encoding="utf-8")
    ended = i2i("bench", "swap.toml", "--out", "swap", cwd=pictures.parent)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "fastcut" in ended.stdout
    assert "histogram_l" in ended.stdout


# --- what is refused


def test_sizes_that_do_not_divide_are_refused_before_a_run(recipe):
    with pytest.raises(RecipeError, match=r"multiples? of 8"):
        run(load_recipe(recipe, set=["data.size=[20,20]"], steps=1), "run", device="cpu")
    assert not Path("run", "metrics.jsonl").exists()


@pytest.mark.parametrize(
    ("target", "sentence"),
    [("nothing", "nothing"), ("pictures/trainA", "pictures/trainA is the folder of both sides")],
    ids=["empty", "the same twice"],
)
def test_folders_that_are_no_two_sides_are_data_errors(target, sentence, recipe):
    Path("nothing").mkdir()
    sides = ["data.source=pictures/trainA", f"data.target={target}"]
    with pytest.raises(DataError, match=sentence) as caught:
        run(load_recipe(recipe, set=sides, unset=["data.root"], steps=1), "run", device="cpu")
    assert caught.value.exit_code == 3


def test_networks_of_the_papers_have_as_many_parameters(pictures):
    """As the authors' PyTorch code prints them: 11.378 M of resnet_9blocks, 2.765 M of basic."""
    ended = i2i(
        *("recipe", "check", "unpaired/horse2zebra", "--build", "--json"),
        *("--set", "data.root=pictures"),
        cwd=pictures.parent,
    )
    assert ended.returncode == 0, ended.stderr
    networks = {each["path"]: each["parameters"] for each in json.loads(ended.stdout)["networks"]}
    assert networks == {
        "generators.forward": 11_378_179,
        "generators.backward": 11_378_179,
        "discriminators.target": 2_764_737,
        "discriminators.source": 2_764_737,
    }


def test_a_single_patch_which_is_told_from_nothing_is_refused():
    pytest.importorskip("i2i_openmoji")
    with pytest.raises(RecipeError, match="'patches' cannot be 1: it should be greater than or equal to 2"):
        load_recipe("unpaired/fastcut", set=["method.patches=1"])


@pytest.mark.parametrize("name", ["cyclegan", "fastcut", "horse2zebra"])
def test_its_recipes_are_sound_and_take_no_pairs(name):
    pytest.importorskip("i2i_openmoji")
    recipe = load_recipe(f"unpaired/{name}")
    assert recipe.slots["method"].entry.distribution == "i2i-unpaired"
