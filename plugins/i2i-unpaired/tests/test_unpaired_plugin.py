"""The package as i2i finds it: what it declares, the contract of each component, and what it refuses."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import i2i_unpaired
import pytest

from i2i import load_recipe
from i2i.bench.cells import Matrix
from i2i.bench.definition import read_benchmark
from i2i.building.objective import objective as told_objective
from i2i.cli import main
from i2i.plugins.catalog import Catalog
from i2i.registry import Registrar
from i2i.testing import parametrize_components


@parametrize_components("unpaired/*")
def test_the_contract(check) -> None:
    check()


def registered() -> Registrar:
    registrar = Registrar("unpaired", module="i2i_unpaired", distribution="i2i-unpaired", version="0.1.0")
    i2i_unpaired.i2i_register(registrar)
    return registrar


def test_its_read_me_tells_of_everything_that_it_declares_and_of_nothing_else() -> None:
    text = Path(__file__).parents[1].joinpath("README.md").read_text(encoding="utf-8")
    told = set(re.findall(r"\bunpaired/[a-z0-9-]+", text))
    own = registered()
    assert told == {entry.ref for entry in (*own.entries, *own.recipes, *own.benchmarks)}
    for block in re.findall(r"```toml\n(.*?)```", text, flags=re.S):
        assert tomllib.loads(block)


BENCHMARK = Path(i2i_unpaired.__file__).parent / "recipes" / "without-pairs.toml"


def test_its_benchmark_keeps_pairs_from_the_methods_that_need_none() -> None:
    matrix = Matrix(read_benchmark(BENCHMARK), Catalog.installed())
    paired = {variant.name: variant.recipe.data.settings.paired for variant in matrix.variants}
    assert paired == {"pix2pix": True, "cyclegan": False, "fastcut": False}
    assert {entry.ref for entry in registered().benchmarks} == {f"unpaired/{BENCHMARK.stem}"}


@pytest.mark.slow
def test_its_benchmark_scores_by_pairs_what_was_trained_without(tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        main(
            [
                *("bench", str(BENCHMARK), "--seeds", "1", "--each-seconds", "0.001", "--jobs", "1"),
                *("--set", "data.count=20", "--out", str(tmp_path / "b"), "--json"),
            ]
        )
    assert ended.value.code == 0
    found = json.loads((tmp_path / "b" / "results.json").read_text())
    assert [cell["steps"] for cell in found["cells"]] == [1, 1, 1]
    assert all(cell["metrics"]["mae"] > 0 for cell in found["cells"])
    assert len({cell["copy_input"]["mae"] for cell in found["cells"]}) == 1


def test_importing_the_plug_in_imports_nothing_heavy() -> None:
    paths = os.pathsep.join(path for path in sys.path if path)
    answer = subprocess.run(
        [sys.executable, "-c", "import i2i_unpaired, sys; print(*sys.modules)"],
        capture_output=True,
        check=True,
        text=True,
        env={**os.environ, "PYTHONPATH": paths},
    )
    assert not {"torch", "PIL", "numpy"} & set(answer.stdout.split())


@pytest.mark.parametrize(
    ("recipe", "settings", "objective"),
    [
        (
            "horse2zebra",
            [],
            "forward and backward minimise 1 adversarial(target, source) + 10 cycle [l1] (there and back, "
            "from both sides) + 5 identity [l1] (what is of its side already, on both sides); target "
            "minimises lsgan, halved; source minimises lsgan, halved",
        ),
        (
            "fastcut",
            ["method.nce=10.0"],
            "G minimises 1 adversarial(target) + 10 nce (patches of sources found again); target minimises "
            "lsgan, halved; heads minimises 10 nce (patches of sources found again)",
        ),
        (
            "fastcut",
            ["method.identity=true"],
            "G minimises 1 adversarial(target) + 0.5 nce (patches of sources found again) + 0.5 nce-identity "
            "(patches of targets found again); target minimises lsgan, halved; heads minimises 0.5 nce "
            "(patches of sources found again) + 0.5 nce-identity (patches of targets found again)",
        ),
    ],
    ids=["cyclegan", "fastcut", "cut"],
)
def test_the_objective_has_what_the_methods_add(recipe: str, settings: list[str], objective: str) -> None:
    pytest.importorskip("i2i_openmoji")
    assert told_objective(load_recipe(f"unpaired/{recipe}", set=settings)) == objective
