"""The built wheel, not only the checkout, carries the recipes, the report's template and the plug-in core."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]

TINY = """
recipe = 1
name = "tiny"
extends = "l1-only"

[data]
use = "paired-images"
root = "pairs"
size = [16, 16]
batch_size = 1

[generator]
depth = 2
width = 4

[train]
steps = 1
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel and install it into a folder of its own, which then comes before the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True, text=True, timeout=300)
    (wheel,) = folder.glob("i2i_toolkit-*.whl")
    with zipfile.ZipFile(wheel) as file:
        file.extractall(folder / "site")
    return folder / "site"


def i2i(site: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(site)}
    line = [sys.executable, "-m", "i2i", *arguments]
    return subprocess.run(line, capture_output=True, text=True, cwd=cwd, env=environment, timeout=300)


def test_the_wheel_holds_what_a_run_needs(installed):
    files = {str(path.relative_to(installed)) for path in installed.rglob("*") if path.is_file()}
    assert {
        "i2i/recipes/pix2pix.toml",
        "i2i/recipes/l1-only.toml",
        "i2i/pages/templates/report.html.j2",
        "i2i/pages/templates/report.js",
    } <= files
    assert "i2i/py.typed" in files
    assert {f"i2i/plugins/templates/{name}.txt" for name in ("package/init.py", "kinds/data.py")} <= files
    assert not any(name.startswith(("tests/", "plugins/")) for name in files)


def test_the_shipped_names_are_found_in_the_wheel(installed, tmp_path):
    listed = i2i(installed, "recipe", "list", cwd=tmp_path)
    assert listed.returncode == 0, listed.stderr
    assert "pix2pix" in listed.stdout
    shown = i2i(installed, "recipe", "show", "pix2pix", cwd=tmp_path)
    assert shown.stdout == (ROOT / "recipes" / "pix2pix.toml").read_text()


def test_a_recipe_that_extends_a_shipped_one_trains_from_the_wheel(installed, tmp_path):
    for split in ("train", "val"):
        (tmp_path / "pairs" / split).mkdir(parents=True)
        Image.effect_noise((32, 16), 80).convert("RGB").save(tmp_path / "pairs" / split / "1.png")
    (tmp_path / "tiny.toml").write_text(TINY)
    done = i2i(installed, "run", "tiny.toml", "--out", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    where = [sys.executable, "-c", "import i2i; print(i2i.__file__)"]
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    found = subprocess.run(where, capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=60)
    assert Path(found.stdout.strip()).is_relative_to(installed)
    assert (tmp_path / "out" / "report.html").stat().st_size > 1000
