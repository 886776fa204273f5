"""The package as i2i finds it: what it declares, the contract of each component, and what it refuses."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import i2i_bridge
import pytest
import torch
from PIL import Image

from i2i.cli import main
from i2i.registry import Registrar
from i2i.testing import parametrize_components, run_tiny


@parametrize_components("bridge/*")
def test_the_contract(check):
    check()


def registered() -> Registrar:
    registrar = Registrar("bridge", module="i2i_bridge", distribution="i2i-bridge", version="0.1.0")
    i2i_bridge.i2i_register(registrar)
    return registrar


def test_its_read_me_tells_of_everything_that_it_declares_and_of_nothing_else():
    text = Path(__file__).parents[1].joinpath("README.md").read_text(encoding="utf-8")
    told, own = set(re.findall(r"\bbridge/[a-z-]+", text)), registered()
    assert told == {entry.ref for entry in (*own.entries, *own.recipes, *own.benchmarks)}
    for block in re.findall(r"```toml\n(.*?)```", text, flags=re.S):
        assert tomllib.loads(block)


def test_importing_the_plug_in_imports_nothing_heavy():
    paths = os.pathsep.join(path for path in sys.path if path)
    answer = subprocess.run(
        [sys.executable, "-c", "import i2i_bridge, sys; print(*sys.modules)"],
        capture_output=True,
        check=True,
        text=True,
        env={**os.environ, "PYTHONPATH": paths},
    )
    assert not {"torch", "PIL", "numpy"} & set(answer.stdout.split())


TINY = (
    *("data.use=testing/pairs", "data.size=[16,16]", "generator.width=8", "generator.depth=1"),
    *("method.evaluations=2", "train.ema=0.5"),
)


@pytest.mark.parametrize("name", ["bridge", "flow"])
def test_its_recipes_train_on_any_pairs_and_start_from_a_seed(name):
    one, other = (run_tiny(*TINY, recipe=f"bridge/{name}", steps=2) for _ in range(2))
    assert {"l2"} == one.losses[-1].keys()
    assert {"mae", "ssim", "diversity"} <= one.metrics.keys()
    assert one.losses == other.losses
    assert one.metrics == other.metrics
    assert all(name.startswith("generators.main.") for name in one.weights)
    assert all(tensor.isfinite().all() for tensor in one.weights.values())


@pytest.mark.parametrize("name", ["bridge", "flow"])
def test_other_paired_losses_train_it_too(name):
    run = run_tiny(
        *(*TINY, "losses.l2.weight=0", "losses.edges.use=gradient-difference", "losses.l1.use=l1"),
        recipe=f"bridge/{name}",
        steps=2,
    )
    assert {"l2", "l1", "edges"} == run.losses[-1].keys()


def test_its_network_keeps_groups_of_its_parts_as_they_are():
    keys = (*TINY, 'generator.frozen=["encoder","time"]', "train.ema=0")
    before, after = (run_tiny(*keys, recipe="bridge/bridge", steps=steps).weights for steps in (1, 3))
    moved = {name.split(".")[2] for name, tensor in after.items() if not torch.equal(tensor, before[name])}
    assert moved == {"enlarge", "up", "last"}


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (
            ["generator.use=unet"],
            "bridge/bridge needs a generator that reads a time beside the image (a parameter `time` of "
            "forward(), (B,) in [0,1]), and core/unet does not; bridge/attention-unet would fit",
        ),
        (["method.evaluations=51"], "'evaluations' cannot be 51: it should be less than or equal to 50"),
        (["generator.attention=5"], "attention = 5 is more than the 4 scales that depth = 3 makes"),
        (
            ["data.use=paired-images", "data.root={root}", "data.batch_size=1"],
            "a bridge starts as the source, which has 1 channels, and ends as the target, which has 3",
        ),
        (
            ["method.use=bridge/flow", "method.guidance=2.0"],
            "guidance = 2 compares predictions with and without the source, and drop = 0 trains with it",
        ),
        (
            ["data.size=[20,24]"],
            "--set data.size=[20,24] data.size bridge/attention-unet needs a height and width that are "
            "multiples of 8, and the data is 20 x 24",
        ),
    ],
    ids=[
        "no time",
        "too many passes",
        "attention nowhere",
        "other channels",
        "guidance without drop",
        "sizes",
    ],
)
def test_what_does_not_fit_is_refused_in_a_sentence_before_anything_is_built(
    settings, told, tmp_path, capsys
):
    for split in ("train", "val"):
        for side, mode in (("source", "L"), ("target", "RGB")):
            folder = tmp_path / "pairs" / split / side
            folder.mkdir(parents=True)
            Image.new(mode, (64, 64)).save(folder / f"{split}.png")
    changes = ["data.use=shapes", *(setting.format(root=tmp_path / "pairs") for setting in settings)]
    options = [word for change in changes for word in ("--set", change)]
    out = tmp_path / "run"
    for command in (["run", "--out", str(out)], ["recipe", "check", "--build"]):
        with pytest.raises(SystemExit) as ended:
            main([*command, "bridge/bridge", *options])
        assert ended.value.code == 2
        assert told in " ".join(capsys.readouterr().err.split())
    assert not out.exists()


@pytest.mark.parametrize("method", ["bridge", "flow"])
@pytest.mark.parametrize("generator", ["unet", "resnet", "encoder-decoder", "noise"])
def test_a_generator_without_a_time_is_refused_as_the_recipe_is_read(method, generator, capsys):
    words = ("recipe", "check", f"bridge/{method}", "--set", "data.use=shapes")
    with pytest.raises(SystemExit) as ended:
        main([*words, "--set", f"generator.use={generator}"])
    assert ended.value.code == 2
    told = " ".join(capsys.readouterr().err.split())
    assert f"and core/{generator} does not; bridge/attention-unet would fit" in told


@pytest.mark.parametrize("name", ["bridge", "flow"])
def test_unpaired_data_are_refused(name, tmp_path, capsys):
    for split in ("train", "val"):
        for side in "ab":
            folder = tmp_path / "pictures" / split / side
            folder.mkdir(parents=True)
            Image.new("RGB", (64, 64)).save(folder / f"{side}.png")
    settings = ("data.use=unpaired-images", f"data.root={tmp_path / 'pictures'}", "data.batch_size=1")
    options = [word for setting in settings for word in ("--set", setting)]
    with pytest.raises(SystemExit) as ended:
        main(["run", f"bridge/{name}", *options, "--out", str(tmp_path / "run")])
    assert ended.value.code == 2
    assert "and the data has no pairs" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("name", ["bridge", "flow"])
def test_the_objective_says_what_the_losses_compare(name, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["recipe", "check", f"bridge/{name}", "--build", "--set", "data.use=shapes"])
    assert ended.value.code == 0
    told = f"objective: G minimises 1 l2 (the target guessed at a time of the {name})\n"
    assert told in capsys.readouterr().out
