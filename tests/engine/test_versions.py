"""Models and runs of another version of a plug-in: what is told names both versions."""

from __future__ import annotations

import sys
from dataclasses import asdict, replace

import pytest
import torch

from i2i import load_generator, run
from i2i.errors import PluginError, RecipeError
from i2i.kinds import ImageSpec, PairSpec, TestSettings
from i2i.models.trained import find_trained
from i2i.plugins.catalog import Catalog
from i2i.runs import weights

OLD = "written with i2i-toys 0.9, installed is i2i-toys 1.0"


@pytest.fixture
def model(toys, tmp_path):
    """Return a function that writes a model file of i2i-toys 0.9 with some of its header changed."""

    def write(**changes: object):
        from i2i_toys.networks import Tiny

        side = ImageSpec(3, 16, 16)
        plugins = [{"namespace": "toys", "distribution": "i2i-toys", "version": "0.9"}]
        header = {
            "component": "toys/tiny",
            "rev": 1,
            "distribution": "i2i-toys",
            "version": "0.9",
            "slot": {"use": "toys/tiny", "width": 4},
            "pair_spec": asdict(PairSpec(side, side)),
            "test": asdict(TestSettings()),
            "data": {"use": "toys/squares", "size": 16},
            "provenance": {"recipe": "toy", "seed": 3, "plugins": plugins},
        }
        tensors = Tiny(in_channels=3, out_channels=3).state_dict()
        weights.write(tmp_path / "model.safetensors", tensors, {**header, **changes})
        return tmp_path / "model.safetensors"

    return write


def refused(path, kind=RecipeError) -> str:
    with pytest.raises(kind) as error:
        load_generator(path)
    assert type(error.value) is kind
    return str(error.value)


def test_a_model_of_another_version_that_fits_is_used(model):
    assert load_generator(model())(torch.zeros(1, 3, 8, 8)).shape == (1, 3, 8, 8)


def test_a_parameter_that_was_removed_since(model):
    path = model(slot={"use": "toys/tiny", "width": 4, "depth": 5})
    assert refused(path) == f"{path}\n  the installed toys/tiny has no parameter 'depth'   ({OLD})"


def test_a_value_that_is_no_longer_taken(model):
    told = refused(model(slot={"use": "toys/tiny", "width": "wide"}))
    assert told.endswith(f"'width' cannot be \"wide\": it should be a valid integer, like 4   ({OLD})")


def test_a_parameter_that_is_asked_for_since(model, toys):
    path = model()
    networks = toys / "i2i_toys" / "networks.py"
    networks.write_text(networks.read_text().replace("width: int = 4,", "width: int = 4, blocks: int,"))
    del sys.modules["i2i_toys.networks"]
    assert refused(path) == f"{path}\n  toys/tiny needs 'blocks' (int)   ({OLD})"


def test_a_component_that_was_removed_since(model):
    path = model(component="toys/tinier")
    assert refused(path).endswith(f"no generator 'tinier' in plug-in 'toys' - did you mean 'tiny'?   ({OLD})")


def test_a_plug_in_that_is_missing_is_no_matter_of_versions(model):
    assert "none is installed" in (told := refused(model(component="nobody/tiny"), PluginError))
    assert "written with" not in told


def test_weights_of_another_revision(model):
    path = model(rev=3)
    assert refused(path) == (
        f"{path} holds toys/tiny revision 3, and installed is toys/tiny revision 1: its weights no longer "
        f"mean the same ({OLD}). Train anew, or use the version it was written with."
    )


def test_weights_of_another_revision_of_the_same_version(model):
    path = model(rev=3, version="1.0")
    assert refused(path) == (
        f"{path} holds toys/tiny revision 3, and installed is toys/tiny revision 1: its weights no longer "
        "mean the same (both are of i2i-toys 1.0). Train anew."
    )


@pytest.mark.parametrize("provenance", [[1], "x", None])
def test_a_model_whose_provenance_is_none_still_has_its_data(model, provenance):
    found = find_trained(model(provenance=provenance), catalog=Catalog.installed())
    assert found.recipe.data.entry.ref == "toys/squares"


def test_the_data_of_a_model_file(model):
    path = model(data={"use": "toys/squares", "size": 16, "corners": 4})
    with pytest.raises(RecipeError, match=f"unknown key 'corners' for toys/squares .*; {OLD}"):
        find_trained(path, catalog=Catalog.installed())


def begun_before(folder) -> None:
    """Make a run's folder say that it was begun with i2i-toys 0.9."""
    path = folder / "provenance.json"
    path.write_text(path.read_text().replace('"version": "1.0"', '"version": "0.9"'))


def test_a_run_whose_parameter_is_gone_is_not_resumed(load, tmp_path):
    run(load("train.steps=2"), tmp_path / "run", stop_at=1)
    begun_before(tmp_path / "run")
    resolved = tmp_path / "run" / "resolved.toml"
    resolved.write_text(resolved.read_text().replace("width = 4", "width = 4\ndepth = 5", 1))
    with pytest.raises(
        RecipeError,
        match=r"generators.main.depth was 5, now absent\. It was begun with i2i-toys 0.9, and installed is "
        r"i2i-toys 1.0\. Choose another --out",
    ):
        run(load("train.steps=2"), tmp_path / "run")
    resolved.write_text(resolved.read_text().replace("depth = 5\n", ""))
    with pytest.raises(RecipeError, match=r"train.steps was 2, now 3\. Choose another"):
        run(load("train.steps=3"), tmp_path / "run")


def test_a_checkpoint_of_another_revision_is_not_resumed(load, tmp_path):
    run(load("train.steps=2"), tmp_path / "run", stop_at=1)
    recipe = load("train.steps=2")
    slot = recipe.slots["generators.main"]
    newer = replace(slot, entry=replace(slot.entry, rev=2, version="1.1"))
    with pytest.raises(
        RecipeError,
        match=r"generator.safetensors holds toys/tiny revision 1, and installed is toys/tiny revision 2: .*"
        r"\(written with i2i-toys 1.0, installed is i2i-toys 1.1\)",
    ):
        run(replace(recipe, slots={**recipe.slots, slot.path: newer}), tmp_path / "run")
