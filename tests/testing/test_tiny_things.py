"""What plug-in authors get beside the checks: fake distributions, isolation, tiny data and tiny runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from i2i.errors import PluginError, RecipeError
from i2i.plugins.catalog import Catalog
from i2i.testing import check_component, fake_distribution, isolated_plugins, run_tiny
from i2i.testing.tiny_plugin import with_tiny_data

PLUGIN = """
from i2i import hookimpl

i2i_api = 1


@hookimpl
def i2i_register(registry):
    registry.paired_loss("half", "i2i_shiny:Half", "half the L1 distance")


class Half:
    def __call__(self, fake, real):
        return (fake - real).abs().mean() / 2
"""
LIST = [sys.executable, "-m", "i2i", "components", "list"]


def test_a_fake_distribution_is_there_for_a_while_also_for_subprocesses():
    paths, variable = list(sys.path), os.environ.get("PYTHONPATH")
    with fake_distribution("i2i-shiny", {"i2i_shiny.py": PLUGIN}, namespace="shiny", version="2.1") as site:
        record = Catalog.installed().load("shiny")
        assert (record.distribution, record.version, record.error) == ("i2i-shiny", "2.1", "")
        listed = subprocess.run(LIST, capture_output=True, text=True, check=True, env={**os.environ})
        assert "half the L1 distance" in listed.stdout
    assert not site.exists()
    assert Catalog.installed().record("shiny") is None
    assert "i2i_shiny" not in sys.modules
    assert (sys.path, os.environ.get("PYTHONPATH")) == (paths, variable)


def test_a_fake_distribution_goes_even_when_the_test_fails():
    with pytest.raises(KeyError), fake_distribution("i2i-shiny", {"i2i_shiny.py": PLUGIN}) as site:
        raise KeyError
    assert not site.exists()
    assert str(site) not in sys.path


def test_a_fake_distribution_can_have_dependencies_and_a_folder_of_ones_own(tmp_path: Path):
    files = {"i2i_shiny/__init__.py": PLUGIN, "i2i_shiny/recipes/x.toml": "recipe = 1\n"}
    with fake_distribution("i2i-shiny", files, requires=["torch>=2"], site=tmp_path / "site") as site:
        metadata = (site / "i2i_shiny-1.0.dist-info" / "METADATA").read_text()
        assert "Requires-Dist: torch>=2" in metadata
        assert (site / "i2i_shiny" / "recipes" / "x.toml").is_file()
        assert not list(site.rglob("entry_points.txt"))
    assert site.is_dir()


def test_isolated_plug_ins_are_the_only_ones():
    before = os.environ.get("I2I_DISABLE")
    with fake_distribution("i2i-shiny", {"i2i_shiny.py": PLUGIN}, namespace="shiny"):
        with isolated_plugins("shiny") as catalog:
            assert catalog.namespaces() == ["shiny"]
            assert Catalog.installed().namespaces() == ["shiny"]
            with pytest.raises(PluginError, match="which I2I_DISABLE switches off"):
                catalog.get(("generator",), "unet")
        assert {"core", "shiny"} <= set(Catalog.installed().namespaces())
    assert os.environ.get("I2I_DISABLE") == before


def test_isolation_brings_back_what_was_switched_off_and_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("I2I_DISABLE", "core,nobody")
    with isolated_plugins("core") as catalog:
        assert catalog.namespaces() == ["core"]
    assert os.environ["I2I_DISABLE"] == "core,nobody"


def test_a_tiny_run_trains_through_the_real_engine_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with fake_distribution("i2i-shiny", {"i2i_shiny.py": PLUGIN}, namespace="shiny"):
        result = run_tiny("losses.l1.use=shiny/half", "losses.l1.weight=5", steps=3)
    assert result.summary["status"] == "done"
    assert [set(losses) for losses in result.losses] == [{"l1", "adversarial", "discriminators.patch"}] * 3
    assert result.metrics.keys() == {"mae"}
    assert all(tensor.isfinite().all() for tensor in result.weights.values())
    assert list(tmp_path.iterdir()) == []


def test_a_tiny_run_is_the_same_each_time():
    one, other = run_tiny(steps=2), run_tiny(steps=2)
    assert all(torch.equal(value, other.weights[name]) for name, value in one.weights.items())


def test_a_tiny_run_of_a_recipe_takes_the_tiny_data(tmp_path):
    result = run_tiny(
        "data.use=testing/pairs",
        "data.size=32",
        "generator.depth=3",
        "generator.width=4",
        "discriminators.patch.width=4",
        "discriminators.patch.receptive_field=16",
        "train.ema=0.0",
        "transforms.mirror.use=mirror",
        recipe="pix2pix",
        steps=2,
        out=tmp_path / "run",
    )
    assert result.summary["steps"] == 2
    assert (tmp_path / "run" / "report.html").is_file()


def test_a_setting_that_is_wrong_is_an_ordinary_recipe_error():
    with pytest.raises(RecipeError, match="unknown key 'dept' for core/unet - did you mean 'depth'"):
        run_tiny("generator.dept=3")


def test_the_tiny_data_keeps_the_contract_and_is_in_no_other_catalog():
    assert Catalog.installed().record("testing") is None
    outcomes = check_component("testing/pairs", catalog=with_tiny_data(Catalog.installed()))
    assert [outcome for outcome in outcomes if outcome.status != "passed"] == []
