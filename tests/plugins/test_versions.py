"""A plug-in of another version than a recipe knew: what is told names both versions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from i2i.errors import PluginError, RecipeError
from i2i.plugins.versions import plugin_versions
from i2i.recipe.recipe import load_recipe, load_sections

SHINY = """
from i2i import hookimpl

i2i_api = {api}


@hookimpl
def i2i_register(registry):
    registry.generator({name!r}, ":Net", "a net")


class Net:
    def __init__(self, *, {parameters}) -> None: ...
"""


@pytest.fixture
def shiny(distribution):
    """Return a function that installs a version of i2i-shiny in front of the ones before."""

    def install(version: str, *, api: int = 1, name: str = "net", parameters: str = "width: int = 8") -> None:
        module = f"i2i_shiny_{version.replace('.', '_')}"
        text = SHINY.format(api=api, name=name, parameters=parameters)
        distribution("i2i-shiny", version, "shiny", {f"{module}.py": text})

    return install


@pytest.fixture
def resolved(shiny, recipe_file, tmp_path) -> str:
    """A run's resolved recipe, made with i2i-shiny 0.1: its generator has a depth of 5."""
    shiny("0.1", parameters="width: int = 8, depth: int = 5")
    recipe = load_recipe(recipe_file(old="bits/net", new="shiny/net"))
    Path("run").mkdir()
    about = {"plugins": [{"namespace": "shiny", "distribution": "i2i-shiny", "version": "0.1"}]}
    Path("run/provenance.json").write_text(json.dumps(about))
    Path("run/resolved.toml").write_text(recipe.to_toml())
    return "run/resolved.toml"


def refused(path: str, kind=RecipeError) -> str:
    with pytest.raises(kind) as error:
        load_recipe(path)
    assert type(error.value) is kind
    return str(error.value)


@pytest.mark.parametrize(
    ("api", "reason"),
    [
        (0, "is for plug-in API 0, this i2i speaks 1 and up: update the plug-in."),
        (2, "is for plug-in API 2, this i2i speaks 1: update i2i-toolkit."),
    ],
)
def test_a_plug_in_for_another_api_is_told_where_a_recipe_names_it(shiny, recipe_file, i2i, api, reason):
    shiny("0.3", api=api)
    ended = i2i("recipe", "check", recipe_file(old="bits/net", new="shiny/net"))
    assert (ended.code, ended.out) == (6, "")
    assert ended.err == f"x.toml:9  generator.use\n  plug-in 'shiny' (i2i-shiny 0.3) {reason}\n"


def test_a_run_of_the_installed_version_says_nothing_of_versions(resolved, recipe_file):
    assert load_recipe(resolved).slots["generators.main"].params["depth"] == 5
    Path(resolved).write_text(Path(resolved).read_text().replace("depth", "dept"))
    assert "written with" not in refused(resolved)


def test_a_removed_parameter_names_both_versions(resolved, shiny):
    shiny("0.2", parameters="blocks: int = 3")
    Path(resolved).write_text(Path(resolved).read_text().replace("width = 8\n", ""))
    assert refused(resolved).endswith(
        "generators.main.depth\n  unknown key 'depth' for shiny/net   (keys: blocks; written with "
        "i2i-shiny 0.1, installed is i2i-shiny 0.2)"
    )


def test_a_new_and_a_narrower_parameter_name_both_versions(resolved, shiny):
    shiny("0.2", parameters="blocks: int, width: bool = True, depth: int = 5")
    told = refused(resolved)
    assert "shiny/net needs 'blocks' (int)   (written with i2i-shiny 0.1, installed is" in told
    assert "'width' cannot be 8" in told
    assert told.count("installed is i2i-shiny 0.2)") == 2


def test_a_removed_component_names_both_versions(resolved, shiny):
    shiny("0.2", name="network")
    assert refused(resolved).endswith(
        "  no generator 'net' in plug-in 'shiny' - did you mean 'network'?   (written with i2i-shiny 0.1, "
        "installed is i2i-shiny 0.2)"
    )


def test_a_newer_api_names_both_versions(resolved, shiny):
    shiny("0.2", api=2)
    told = refused(resolved, PluginError)
    assert told.endswith("update i2i-toolkit.   (written with i2i-shiny 0.1, installed is i2i-shiny 0.2)")


def test_a_plug_in_that_is_gone_is_simply_missing(resolved, monkeypatch):
    monkeypatch.setenv("I2I_DISABLE", "shiny")
    assert "which I2I_DISABLE switches off.\n" in refused(resolved, PluginError) + "\n"


def test_tables_without_a_file_say_what_they_were_written_with(shiny, bits):
    from i2i.plugins.catalog import Catalog

    table = {"name": "x", "data": {"use": "bits/squares", "root": "images", "corners": 4}}
    with pytest.raises(RecipeError, match=r"size; written with i2i-bits 0.9, installed is i2i-bits 1.0\)"):
        load_sections(
            table, ["data"], shown="m", written={"bits": "i2i-bits 0.9"}, catalog=Catalog.installed()
        )


@pytest.mark.parametrize("content", ["", "[1, 2]", '{"plugins": 3}', '{"plugins": [3, {"namespace": "x"}]}'])
def test_a_record_that_cannot_be_read_costs_a_remark_and_no_more(resolved, shiny, content):
    Path("run/provenance.json").write_text(content)
    shiny("0.2")
    told = refused(resolved)
    assert "unknown key 'depth' for shiny/net" in told
    assert "written with" not in told


def test_versions_are_those_of_the_record():
    about = {"plugins": [{"namespace": "timm", "distribution": "i2i-timm", "version": "0.1"}]}
    assert plugin_versions(about) == {"timm": "i2i-timm 0.1"}
    assert plugin_versions(None) == {}


def test_a_name_that_two_packages_claim_has_no_installed_version(resolved, shiny, distribution):
    distribution("i2i-rival", "9", "shiny", {"i2i_rival.py": ""})
    told = refused(resolved, PluginError)
    assert told.endswith("i2i-rival 9 and i2i-shiny 0.1. Uninstall one, or set I2I_DISABLE=shiny.")
