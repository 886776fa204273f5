"""The packages of `plugins/`, installed for real: each with the core alone, and each left out of them all.

Every environment is a new one that holds wheels of ours and borrows what others wrote from this one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = sorted(folder.name.removeprefix("i2i-") for folder in (ROOT / "plugins").glob("i2i-*"))

Environment = Callable[..., Path]


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a wheel of the core and of each package."""
    folder = tmp_path_factory.mktemp("wheels")
    sources = [ROOT, *(ROOT / "plugins" / f"i2i-{name}" for name in PACKAGES)]
    pip(sys.executable, "wheel", "--no-deps", "--no-build-isolation", "-w", folder, *sources)
    return folder


@pytest.fixture(scope="module")
def environment(wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """Return a function that makes an environment with some of the packages and returns its interpreter."""
    made: dict[tuple[str, ...], Path] = {}

    def with_packages(*names: str) -> Path:
        if names not in made:
            folder = tmp_path_factory.mktemp("environment")
            venv.create(folder, symlinks=True)
            (site,) = folder.glob("lib/python*/site-packages")
            borrow(site)
            made[names] = folder / "bin" / "python"
            files = [next(wheels.glob(f"i2i_{name}-*.whl")) for name in ("toolkit", *names)]
            pip(made[names], "install", "--no-deps", "--no-index", *files)
        return made[names]

    return with_packages


def borrow(site: Path) -> None:
    """Link what is installed here into another environment, but for i2i and whatever plugs into it."""
    plugged = {point.dist.name.lower().replace("-", "_") for point in entry_points(group="i2i") if point.dist}
    for folder in map(Path, sys.path):
        if folder.name != "site-packages" or not folder.is_dir():
            continue
        for item in folder.iterdir():
            owner = item.name.partition("-")[0].lower().removeprefix("_editable_impl_")
            ours = owner == "i2i" or owner.startswith("i2i_") or owner in plugged
            if not ours and item.suffix != ".pth" and not (site / item.name).exists():
                (site / item.name).symlink_to(item)


def pip(python: object, *arguments: object) -> None:
    line = [sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check", "-q", *arguments]
    ended = subprocess.run(list(map(str, line)), capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr


def run(python: Path, *arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a module in an environment, where nothing of this one's path and variables is to be found."""
    foreign = {"PYTHONPATH", "VIRTUAL_ENV", "I2I_DISABLE"}
    own = {name: value for name, value in os.environ.items() if name not in foreign}
    return subprocess.run(
        [str(python), "-P", "-m", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**own, "OMP_NUM_THREADS": "1", "NO_COLOR": "1", "COLUMNS": "120"},
    )


def told(python: Path, *arguments: object, cwd: Path) -> dict[str, object]:
    """Return what a command of i2i says in JSON."""
    ended = run(python, "i2i", *arguments, "--json", cwd=cwd)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    answer: dict[str, object] = json.loads(ended.stdout)
    return answer


def namespaces(python: Path, cwd: Path) -> list[str]:
    """Return the plug-ins of an environment, all of them ready, in the order in which they are listed."""
    plugins = told(python, "plugins", cwd=cwd)["plugins"]
    assert all(not plugin["error"] for plugin in plugins)
    return [plugin["namespace"] for plugin in plugins]


@pytest.mark.parametrize("name", PACKAGES)
def test_a_package_alone_is_sound(environment, tmp_path, name):
    python = environment(name)
    assert namespaces(python, tmp_path) == ["core", name]
    assert told(python, "plugin", "check", name, "--only", name, cwd=tmp_path)["ok"] is True
    assert run(python, "i2i", "doctor", cwd=tmp_path).returncode == 0


@pytest.mark.parametrize("name", PACKAGES)
def test_without_a_package_the_others_are_there_and_what_needs_it_says_so(environment, tmp_path, name):
    others = [other for other in PACKAGES if other != name]
    python = environment(*others)
    assert namespaces(python, tmp_path) == ["core", *sorted(others)]
    ended = run(python, "i2i", "recipe", "check", f"{name}/anything", cwd=tmp_path)
    assert ended.returncode == 6
    assert f"needs a plug-in that provides '{name}'; none is installed" in ended.stderr
    assert f"Installed: {', '.join(['core', *sorted(others)])}." in ended.stderr


def test_the_core_alone_trains(environment, tmp_path):
    python = environment()
    assert namespaces(python, tmp_path) == ["core"]
    ended = run(python, "i2i", "run", "shapes", "--steps", 2, "--out", "run", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "run" / "model.safetensors").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("name", PACKAGES)
def test_a_package_alone_passes_its_own_tests(environment, tmp_path, name):
    tests = ROOT / "plugins" / f"i2i-{name}" / "tests"
    ended = run(environment(name), "pytest", tests, "-p", "no:cacheprovider", cwd=tmp_path)
    assert ended.returncode == 0, ended.stdout[-3000:]
    assert " passed" in ended.stdout
