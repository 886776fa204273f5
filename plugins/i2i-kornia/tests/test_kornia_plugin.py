"""The package as i2i finds it: what it declares, the contract of each component, and runs with them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import i2i_kornia
import pytest
import torch
from packaging.version import Version

from i2i.registry import Registrar
from i2i.testing import parametrize_components, run_tiny


@parametrize_components("kornia/*")
def test_the_contract(check) -> None:
    check()


def registered() -> Registrar:
    registrar = Registrar("kornia", module="i2i_kornia", distribution="i2i-kornia", version="0.1.0")
    i2i_kornia.i2i_register(registrar)
    return registrar


def test_its_read_me_tells_of_everything_that_it_declares_and_of_nothing_else() -> None:
    text = Path(__file__).parents[1].joinpath("README.md").read_text(encoding="utf-8")
    told = set(re.findall(r"\bkornia/[a-z-]+", text))
    assert told == {entry.ref for entry in (*registered().entries, *registered().recipes)}
    for block in re.findall(r"```toml\n(.*?)```", text, flags=re.S):
        assert tomllib.loads(block)


def test_importing_the_plug_in_imports_nothing_heavy() -> None:
    paths = os.pathsep.join(path for path in sys.path if path)
    answer = subprocess.run(
        [sys.executable, "-c", "import i2i_kornia, sys; print(*sys.modules)"],
        capture_output=True,
        check=True,
        text=True,
        env={**os.environ, "PYTHONPATH": paths},
    )
    assert not {"torch", "PIL", "numpy", "kornia"} & set(answer.stdout.split())


def test_kornia_is_of_a_version_that_serves() -> None:
    assert Version(version("kornia")) >= Version("0.9")


@pytest.mark.parametrize(
    "settings",
    [
        [f"losses.{name.replace('-', '_')}.use=kornia/{name}" for name in ("ssim", "sobel", "tv", "lab")],
        [
            "losses.pyramid.use=kornia/laplacian-pyramid",
            "losses.ms.use=kornia/ms-ssim",
            "losses.ms.sigmas=[1.0,2.0]",
        ],
        [
            "transforms.augment.use=kornia/augment",
            "losses.same.use=kornia/consistency",
            "losses.same.every=2",
        ],
    ],
    ids=["plain losses", "losses of several scales", "augmentation"],
)
def test_they_train(settings: list[str]) -> None:
    run = run_tiny(*settings, "metrics.colours.use=kornia/delta-e", "metrics.edges.use=kornia/edges", steps=2)
    names = {setting.split(".")[1] for setting in settings if setting.startswith("losses.")}
    logged = {name.partition(".")[0] for losses in run.losses for name in losses}
    assert names <= logged
    assert run.metrics["delta_e"] > 0
    assert 0 <= run.metrics["edge_f"] <= 1
    assert all(tensor.isfinite().all() for tensor in run.weights.values())


def test_the_same_seed_draws_the_same_pairs_in_two_runs() -> None:
    settings = ("transforms.augment.use=kornia/augment", "losses.same.use=kornia/consistency")
    one, other = (run_tiny(*settings, steps=2) for _ in range(2))
    assert all(torch.equal(tensor, other.weights[name]) for name, tensor in one.weights.items())
    assert one.losses == other.losses
    assert one.losses != run_tiny(*settings, "transforms.augment.rotate=45", steps=2).losses


def test_its_recipe_trains_on_any_pairs() -> None:
    run = run_tiny(
        *("data.use=testing/pairs", "data.size=[64,64]", "generator.width=4", "discriminators.patch.width=4"),
        recipe="kornia/colouring",
        steps=2,
    )
    assert {"l1", "lab", "edges"} <= run.losses[-1].keys()
    assert {"mae", "delta_e", "edge_f"} <= run.metrics.keys()
