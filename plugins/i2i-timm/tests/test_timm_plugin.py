"""What the package declares, and what importing it costs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from i2i.plugins.catalog import Catalog
from i2i.recipe.recipe import load_recipe
from i2i.testing import isolated_plugins, parametrize_components

SMALL = {
    "timm/unet": {"backbone": "test_resnet", "widths": [4, 8, 8]},
    "timm/projected": {"backbone": "test_resnet", "width": 8},
    "timm/perceptual": {"backbone": "test_convnext"},
    "timm/kid": {"backbone": "test_resnet", "random": True},
    "timm/frechet": {"backbone": "test_resnet", "random": True},
    "timm/precision-recall": {"backbone": "test_resnet", "random": True},
}


@parametrize_components("timm/*", params=SMALL)
def test_the_plug_in_and_its_components_keep_their_contracts(check):
    check()


@pytest.mark.parametrize("name", ["timm/pix2pix", "timm/projected"])
def test_its_recipes_are_sound(name):
    recipe = load_recipe(name, set=["data.use=shapes"])  # the images they name are another package's
    assert "i2i-timm" in {slot.entry.distribution for slot in recipe.slots.values()}


def test_the_shipped_recipe_takes_the_generator_in_place_of_its_own():
    recipe = load_recipe("pix2pix", set=["data.use=shapes", "generator.use=timm/unet"])
    assert recipe.slots["generators.main"].params["backbone"] == "resnet18"


def test_the_table_in_the_readme_is_sound(tmp_path):
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    (table,) = re.findall(r"```toml\n(.*?)```", readme, flags=re.S)
    (tmp_path / "x.toml").write_text(f'recipe = 1\nextends = "shapes"\nname = "x"\n{table}')
    assert load_recipe(tmp_path / "x.toml").slots["generators.main"].entry.ref == "timm/unet"


def test_without_it_nothing_else_is_missing():
    with isolated_plugins("core") as catalog:
        assert "timm/pix2pix" not in {entry.ref for entry in catalog.recipes()}
        assert load_recipe("shapes", catalog=catalog).slots
    assert "timm" in Catalog.installed().namespaces()


def test_importing_the_plug_in_imports_nothing_heavy():
    script = "import i2i_timm, sys, json; print(json.dumps(sorted(sys.modules)))"
    paths = os.pathsep.join(path for path in sys.path if path)
    answer = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        check=True,
        env={**os.environ, "PYTHONPATH": paths},
    )
    assert not {"torch", "timm", "torchvision", "huggingface_hub", "numpy"} & set(json.loads(answer.stdout))
