"""Startup does not grow: of fifty installed plug-ins, only those that a recipe names are imported."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

COUNT = 50

PLUGIN = '''
import os
from pathlib import Path

from i2i import hookimpl

i2i_api = 1

with open(os.environ["IMPORTED"], "a") as file:
    print("{name}", file=file)


@hookimpl
def i2i_register(registry):
    registry.paired_loss("distance", ":Distance", "a loss")


class Distance:
    """Mean absolute difference."""

    def __call__(self, fake, real):
        return (fake.float() - real.float()).abs().mean()
'''

RECIPE = """
recipe = 1
extends = "shapes"
unset = ["metrics", "callbacks", "losses.l1"]
name = "two-of-fifty"

[requires]
plugins.fake-11 = ">=1"

[data]
size = [16, 16]
count = 16

[generator]
depth = 2
width = 4

[losses.near]
use = "fake-07/distance"

[losses.far]
use = "fake-42/distance"
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with fifty plug-ins, each of which writes its name to a file when it is imported."""
    site = tmp_path_factory.mktemp("site")
    for number in range(COUNT):
        name = f"fake-{number:02d}"
        module = f"i2i_fake_{number:02d}"
        (site / f"{module}.py").write_text(PLUGIN.format(name=name))
        info = site / f"{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: i2i-{name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[i2i]\n{name} = {module}\n")
    return site


@pytest.fixture
def imported_by(site: Path, tmp_path: Path):
    """Return a function that runs a command and returns the fake plug-ins it imported."""

    def run(*arguments: str, **environ: str) -> list[str]:
        record = tmp_path / "imported.txt"
        record.write_text("")
        path = os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH", "")]))
        environment = {**os.environ, "PYTHONPATH": path, "IMPORTED": str(record), **environ}
        line = [sys.executable, "-m", "i2i", *arguments]
        ended = subprocess.run(line, capture_output=True, text=True, cwd=tmp_path, env=environment)
        assert ended.returncode == 0, ended.stderr
        return record.read_text().split()

    return run


def test_the_plug_ins_are_there(imported_by):
    assert len(imported_by("plugins")) == COUNT
    assert len(imported_by("plugins", I2I_DISABLE="fake-03,fake-04")) == COUNT - 2


def test_help_imports_none(imported_by):
    assert imported_by("--help") == []
    assert imported_by("run", "--help") == []


def test_a_dry_run_imports_those_that_the_recipe_uses(imported_by, tmp_path):
    (tmp_path / "x.toml").write_text(RECIPE)
    assert sorted(imported_by("run", "x.toml", "--dry-run")) == ["fake-07", "fake-42"]
