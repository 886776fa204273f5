"""The texts that a mistake in a recipe leads to, to the letter."""

from __future__ import annotations

from pathlib import Path

import pytest

from i2i.plugins.catalog import Catalog

CORE = """
from typing import Literal

from i2i import hookimpl
from i2i.kinds import GeneratorSlot, MethodSlots

i2i_api = 1

@hookimpl
def i2i_register(registry):
    registry.generator("unet", ":UNet", "a net")
    registry.paired_loss("l1", ":L1", "a loss")
    registry.method("paired-adversarial", ":Method", "a method")
    registry.optimizer("adam", ":Adam", "an optimizer")

def UNet(*, depth: int = 8, width: int = 64, norm: Literal["batch"] = "batch", dropout: float = 0.5): ...

class L1: pass

class Method:
    slots = MethodSlots({"main": GeneratorSlot()}, exported="main")

class Adam: pass
"""

OPENMOJI = """
from i2i import hookimpl

i2i_api = 1

@hookimpl
def i2i_register(registry):
    registry.data("squares", ":Squares", "squares")

class Squares: pass
"""

RECIPE = """\
recipe = 1
name = "x"

[data]
use = "openmoji/squares"

# generator
[generator]
use = "unet"
depth = 6

[losses.l1]
use = "l1"

[method]
use = "paired-adversarial"

[optimizers.generators]
use = "adam"

[train]
steps = 10
"""


@pytest.fixture
def check(distribution, tmp_path: Path, monkeypatch, i2i):
    """Return a function that checks a recipe, recipes/x.toml, with one passage replaced."""
    distribution("i2i-toolkit", "0.1.0", "core", {"i2i_core_for_test.py": CORE})
    distribution("i2i-openmoji", "0.1.0", "openmoji", {"i2i_openmoji_for_test.py": OPENMOJI})
    monkeypatch.chdir(tmp_path)
    Path("recipes").mkdir()

    def run(old: str, new: str):
        assert old in RECIPE
        Path("recipes/x.toml").write_text(RECIPE.replace(old, new) if old else RECIPE)
        return i2i("recipe", "check", "recipes/x.toml")

    return run


def test_an_unknown_key(check):
    ended = check("depth = 6", "dept = 6")
    assert ended.code == 2
    assert ended.err == (
        "recipes/x.toml:10  generator.dept\n"
        "  unknown key 'dept' for core/unet - did you mean 'depth'?   (keys: depth, dropout, norm, width)\n"
    )


def test_an_unknown_component(check):
    ended = check('use = "unet"', 'use = "unett"')
    assert ended.code == 2
    assert ended.err == (
        "recipes/x.toml:9  generator.use\n  no generator 'unett' in plug-in 'core' - did you mean 'unet'?\n"
    )


def test_a_namespace_that_nobody_provides(check, distribution):
    catalog = Catalog.installed()
    for name in {*catalog.namespaces()} - {"core", "openmoji"}:
        distribution(catalog.record(name).distribution, "0.1.0", None, {})  # hides it, and provides nothing
    ended = check('use = "unet"', 'use = "timm/unet"')
    assert ended.code == 6
    assert ended.err == (
        "recipes/x.toml:9  generator.use\n"
        "  'timm/unet' needs a plug-in that provides 'timm'; none is installed. Installed: core, openmoji.\n"
    )


def test_a_plug_in_that_cannot_be_loaded(check, distribution):
    distribution("i2i-timm", "0.1.0", "timm", {"i2i_timm_for_test.py": "import timm_of_nowhere"})
    ended = check('use = "unet"', 'use = "timm/unet"')
    assert ended.code == 6
    assert ended.err == (
        "recipes/x.toml:9  generator.use\n"
        "  plug-in 'timm' (i2i-timm 0.1.0) could not be loaded: "
        "ModuleNotFoundError: No module named 'timm_of_nowhere'\n"
    )


def test_two_packages_for_one_plug_in(check, distribution):
    distribution("i2i-a", "1.0", "shapes", {"i2i_a.py": ""})
    distribution("i2i-b", "2.0", "shapes", {"i2i_b.py": ""})
    ended = check('use = "unet"', 'use = "shapes/unet"')
    assert ended.code == 6
    assert ended.err == (
        "recipes/x.toml:9  generator.use\n"
        "  two installed packages provide the plug-in 'shapes': i2i-a 1.0 and i2i-b 2.0. "
        "Uninstall one, or set I2I_DISABLE=shapes.\n"
    )


def test_no_error_tells_anybody_to_install_what_a_file_names(check):
    assert "pip" not in check('use = "unet"', 'use = "evil-package/unet"').err


def test_without_a_mistake_nothing_is_told(check):
    ended = check("", "")
    assert (ended.code, ended.err) == (0, "")
