"""`i2i components` and `i2i plugins`."""

from __future__ import annotations

import json
import re
import tomllib

import pytest

from i2i.plugins.catalog import Catalog


def test_the_list_has_a_line_for_each_component(i2i, bits):
    ended = i2i("components", "list")
    assert (ended.code, ended.err) == (0, "")
    header, *lines = ended.out.splitlines()
    assert header.split() == ["use", "kind", "summary"]
    assert len(lines) == len(Catalog.installed().entries())
    assert any(line.split()[:2] == ["bits/net", "generator"] for line in lines)
    assert any(line.split()[:2] == ["unet", "generator"] for line in lines)


@pytest.mark.parametrize(
    ("kind", "refs"),
    [
        ("generator", {"bits/net", "bits/other"}),
        ("generators", {"bits/net", "bits/other"}),
        ("losses", {"bits/distance", "bits/game", "bits/critic", "bits/match", "bits/slope"}),
        ("penalty", {"bits/slope"}),
    ],
)
def test_the_list_of_one_kind_or_section(i2i, bits, kind: str, refs: set[str]):
    listed = json.loads(i2i("components", "list", kind, "--json").out)["components"]
    assert {entry["ref"] for entry in listed if entry["namespace"] == "bits"} == refs


@pytest.mark.parametrize(
    ("text", "refs"),
    [
        ("NET", {"bits/net"}),
        ("another", {"bits/other"}),
        ("adversarial loss", {"bits/game"}),  # both words
        ("bits/s", {"bits/squares", "bits/slope"}),
    ],
)
def test_the_list_of_what_is_like_a_text(i2i, bits, text, refs):
    listed = json.loads(i2i("components", "list", "--like", text, "--json").out)["components"]
    assert {entry["ref"] for entry in listed if entry["namespace"] == "bits"} == refs


def test_a_text_that_nothing_is_like_leads_to_the_nearest_word(i2i):
    ended = i2i("components", "list", "--like", "frechat")
    assert ended == (0, "no component is like 'frechat' - did you mean 'frechet'?\n", "")
    assert json.loads(i2i("components", "list", "--like", "frechat", "--json").out) == {"components": []}


def test_a_text_that_components_of_another_kind_are_like_names_them(i2i, bits):
    ended = i2i("components", "list", "data", "--like", "plateau bits")
    assert ended.out == "no component of the kind data is like 'plateau bits'; of other kinds: " + (
        "bits/plateau (schedule)\n"
    )


def test_on_a_terminal_each_kind_has_a_heading(i2i, bits, monkeypatch):
    import sys

    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "40")
    printed = re.sub(r"\x1b\[[0-9;]*m", "", i2i("components", "list", "generators").out)
    lines = [line.rstrip() for line in printed.splitlines()]
    assert lines[0].startswith("generator  [generators.NAME]")
    assert any(line.startswith("bits/net") for line in lines)
    assert max(map(len, lines)) <= 40


def test_an_unknown_kind(i2i):
    ended = i2i("components", "list", "generater")
    assert ended.code == 2
    assert ended.err.startswith(
        "there is no kind 'generater' - did you mean 'generator'?; kinds: generator, discrim"
    )


def test_a_broken_plug_in_is_noted_beside_the_list(i2i, bits, distribution):
    distribution("i2i-broken", "0.1", "broken", {"i2i_broken.py": "1 / 0"})
    ended = i2i("components", "list", "--json")
    assert ended.code == 0
    assert "plug-in 'broken' (i2i-broken 0.1) could not be loaded: ZeroDivisionError" in ended.err
    assert json.loads(ended.out)["components"]


def test_a_component_is_shown_with_keys_place_and_a_table(i2i, bits):
    ended = i2i("components", "show", "bits/net")
    assert ended.code == 0
    assert ended.out.startswith("bits/net  generator, revision 1, from i2i-bits 1.0\n")
    assert "\nA generator.\n" in ended.out
    source = bits / "i2i_bits" / "parts.py"
    assert f"{source}:{source.read_text().splitlines().index('class Net:') + 1}\n" in ended.out
    lines = [line.split() for line in ended.out.splitlines()]
    assert ["depth", "6", "int", ">=", "1", "how", "deep."] in lines
    assert ["norm", '"batch"', '"batch"', "|", '"instance"', "which", "norm."] in lines
    assert "given by i2i: in_channels\n" in ended.out


def test_the_facts_of_a_component_as_json(i2i, bits):
    (facts,) = json.loads(i2i("components", "show", "bits/squares", "--json").out)["components"]
    assert facts["injected"] == ["split"]
    assert facts["parameters"][0] == {
        "name": "root",
        "type": "path",
        "required": True,
        "default": None,
        "help": "",
        "at_test": False,
    }
    assert [key["name"] for key in facts["slot_keys"]] == [
        "batch_size",
        "workers",
        "cache",
        "on_bad",
        "paired",
        "fingerprint",
    ]
    assert facts["toml"].startswith('[data]\nuse = "bits/squares"\nroot = "..."  # required: path\n')


def test_a_name_of_several_kinds_shows_them_all(i2i, distribution):
    source = """
from i2i import hookimpl
i2i_api = 1

@hookimpl
def i2i_register(registry):
    registry.generator("net", ":Net", "as a generator")
    registry.discriminator("net", ":Net", "as a discriminator")

class Net: pass
"""
    distribution("i2i-two", "1", "two", {"i2i_two.py": source})
    out = i2i("components", "show", "two/net").out
    assert "as a generator" in out
    assert "as a discriminator" in out


@pytest.mark.parametrize(
    ("ref", "code", "message"),
    [
        ("bits/nett", 2, "no component 'nett' in plug-in 'bits' - did you mean 'net'?"),
        ("bits/zzz", 2, "no component 'zzz' in plug-in 'bits'; see `i2i components list`"),
        ("nobody/net", 6, "'nobody/net' needs a plug-in that provides 'nobody'"),
    ],
)
def test_a_component_that_is_not_there(i2i, bits, ref: str, code: int, message: str):
    ended = i2i("components", "show", ref)
    assert ended.code == code
    assert ended.err.startswith(message)


def core_refs() -> list[str]:
    return sorted({entry.ref for entry in Catalog.installed().load("core").entries})


@pytest.mark.parametrize("ref", core_refs())
def test_every_built_in_is_documented_and_can_be_pasted(i2i, ref: str):
    for facts in json.loads(i2i("components", "show", ref, "--json").out)["components"]:
        assert facts["line"] > 0
        for parameter in facts["parameters"]:
            assert parameter["help"], parameter["name"]
        table = tomllib.loads(facts["toml"])
        while "use" not in table:
            (table,) = table.values()
        keys = {key["name"] for key in facts["parameters"] if key["required"] or key["default"] is not None}
        assert keys <= table.keys()


def test_layouts_are_listed_for_import(i2i, bits):
    ended = i2i("components", "list", "layout")
    assert (ended.code, ended.err) == (0, "")
    header, *lines = ended.out.splitlines()
    assert header.split() == ["layout", "summary"]
    assert [line.split()[0] for line in lines if line.startswith("core/")] == [
        f"core/pix2pix-{name}" for name in ("unet", "resnet", "patch", "pixel")
    ]
    listed = json.loads(i2i("components", "list", "layout", "--like", "cyclegan", "--json").out)["layouts"]
    assert [entry["ref"] for entry in listed] == ["core/pix2pix-resnet"]
    assert i2i("components", "list", "layout", "--like", "vae").out == "no layout is like 'vae'\n"


def test_plug_ins_are_listed_with_their_state(i2i, bits, distribution, monkeypatch):
    distribution("i2i-broken", "0.1", "broken", {"i2i_broken.py": "1 / 0"})
    distribution("i2i-quiet", "0.2", "quiet", {"i2i_quiet.py": "1 / 0"})
    monkeypatch.setenv("I2I_DISABLE", "quiet")
    ended = i2i("plugins")
    assert ended.code == 0
    lines = {line.split()[0]: line for line in ended.out.splitlines()}
    assert lines["bits"].split() == ["bits", "i2i-bits", "1.0", "1", "17", "0", "ready"]
    assert lines["broken"].endswith("could not be loaded: ZeroDivisionError: division by zero")
    assert lines["quiet"].endswith("switched off by I2I_DISABLE")


def test_plug_ins_as_json(i2i, bits):
    records = {record["namespace"]: record for record in json.loads(i2i("plugins", "--json").out)["plugins"]}
    assert records["bits"] == {
        "namespace": "bits",
        "distribution": "i2i-bits",
        "version": "1.0",
        "module": "i2i_bits",
        "api": 1,
        "disabled": False,
        "components": 17,
        "recipes": 0,
        "layouts": 0,
        "error": None,
    }
    assert records["core"]["recipes"] >= 2


def test_a_local_file_is_a_plug_in_for_one_command(i2i, tmp_path, monkeypatch):
    import sys

    path = tmp_path / "my_parts_2.py"
    path.write_text(
        "from i2i import hookimpl\ni2i_api = 1\n@hookimpl\ndef i2i_register(registry):\n"
        "    registry.paired_loss('mine', ':Mine', 'a loss')\nclass Mine: pass\n"
    )
    monkeypatch.setattr(sys, "path", [*sys.path])
    assert "local/mine" in i2i("components", "list", "losses", "--plugin", str(path)).out
    assert "[losses.mine]" in i2i("components", "show", "local/mine", "--plugin", str(path)).out
    assert i2i("plugins", "--plugin", str(tmp_path / "none.py")).code == 2
    del sys.modules["my_parts_2"]
