"""References: what they find, and what is said when they find nothing."""

from __future__ import annotations

import sys

import pytest

from i2i.errors import PluginError, RecipeError
from i2i.kinds import KINDS, LOSS_KINDS
from i2i.plugins.catalog import Catalog, split_ref


@pytest.fixture
def catalog(bits) -> Catalog:
    return Catalog.installed(environ={})


def test_a_bare_name_always_means_core():
    assert split_ref("unet") == ("core", "unet")
    assert split_ref("bits/net") == ("bits", "net")


def test_a_reference_finds_the_component_of_its_kind(catalog: Catalog):
    assert catalog.get(("generator",), "bits/net").target == "i2i_bits.parts:Net"
    assert catalog.get(LOSS_KINDS, "bits/game").kind == "adversarial-loss"


def test_finding_a_component_does_not_import_it(catalog: Catalog):
    catalog.get(("generator",), "bits/net")
    assert "i2i_bits.parts" not in sys.modules


@pytest.mark.parametrize(
    ("kinds", "ref", "message"),
    [
        (("generator",), "bits/nett", "no generator 'nett' in plug-in 'bits' - did you mean 'net'?"),
        (("generator",), "bits/xyz", "no generator 'xyz' in plug-in 'bits'; it has net, other"),
        (("generator",), "bits/judge", "'bits/judge' is a discriminator, not a generator"),
        (LOSS_KINDS, "bits/net", "'bits/net' is a generator, not a loss"),
        (("executor",), "bits/xyz", "no executor 'xyz' in plug-in 'bits'; it has no executor at all"),
    ],
)
def test_a_name_the_plug_in_does_not_have(catalog: Catalog, kinds, ref: str, message: str):
    with pytest.raises(RecipeError) as refused:
        catalog.get(kinds, ref)
    assert str(refused.value) == message


def test_a_namespace_nobody_provides(catalog: Catalog):
    with pytest.raises(PluginError) as refused:
        catalog.get(("generator",), "bitz/net")
    message = str(refused.value)
    assert message.startswith(
        "'bitz/net' needs a plug-in that provides 'bitz'; none is installed - did you mean 'bits'?"
    )
    assert "pip" not in message


def test_a_component_of_a_file_that_was_not_given(catalog: Catalog):
    with pytest.raises(PluginError, match="'local/net' is in a file, and none is given: say which"):
        catalog.get(("generator",), "local/net")


def test_a_namespace_that_is_switched_off(bits):
    catalog = Catalog.installed(environ={"I2I_DISABLE": "bits"})
    with pytest.raises(
        PluginError, match="'bits/net' needs the plug-in 'bits', which I2I_DISABLE switches off"
    ):
        catalog.get(("generator",), "bits/net")


def test_components_are_listed_kind_by_kind_and_core_first(catalog: Catalog):
    entries = catalog.entries()
    kinds = [entry.kind for entry in entries]
    assert kinds == sorted(kinds, key=list(KINDS).index)
    generators = [entry.ref for entry in catalog.entries("generator")]
    assert generators[0].startswith("core/")
    assert {"bits/net", "bits/other"} <= {*generators}


def test_a_broken_plug_in_is_left_out_of_the_list(catalog: Catalog, distribution):
    distribution("i2i-broken", "0.1", "broken", {"i2i_broken.py": "1 / 0"})
    assert Catalog.installed(environ={}).entries() == catalog.entries()


def test_shipped_recipes_are_found_by_name(catalog: Catalog):
    assert {"pix2pix", "l1-only"} <= {entry.ref for entry in catalog.recipes()}
    assert catalog.recipe("pix2pix").path().name == "pix2pix.toml"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("pix2pixx", "did you mean 'pix2pix'?"),
        ("zzz", "see `i2i recipe list`"),
        ("bits/zzz", "no recipe 'bits/zzz'"),
    ],
)
def test_a_recipe_that_is_not_shipped(catalog: Catalog, name: str, message: str):
    with pytest.raises(RecipeError) as refused:
        catalog.recipe(name)
    assert message in str(refused.value)


def test_a_benchmark_that_is_asked_for_as_a_recipe_is_told_with_its_command():
    with pytest.raises(
        RecipeError, match="'bridge/evaluations' is a benchmark, not a recipe: `i2i bench bridge/"
    ):
        Catalog.installed().recipe("bridge/evaluations")
