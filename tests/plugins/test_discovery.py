"""Plug-ins are found without being imported, fail alone, and never half."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from i2i.errors import RecipeError
from i2i.plugins.catalog import Catalog

REGISTER = """
from i2i import hookimpl
i2i_api = 1

@hookimpl
def i2i_register(registry):
    registry.generator("net", ":Net", "a net")

class Net: pass
"""


def load(namespace: str):
    return Catalog.installed(environ={}).load(namespace)


def test_a_distribution_with_an_entry_point_is_a_plug_in(distribution):
    distribution("i2i-shapes", "2.5", "shapes", {"i2i_shapes.py": REGISTER})
    record = load("shapes")
    assert (record.distribution, record.version, record.module, record.api) == (
        "i2i-shapes",
        "2.5",
        "i2i_shapes",
        1,
    )
    assert [entry.ref for entry in record.entries] == ["shapes/net"]
    assert record.error == ""


def test_discovering_imports_nothing(distribution):
    distribution("i2i-shapes", "1.0", "shapes", {"i2i_shapes.py": "raise RuntimeError"})
    catalog = Catalog.installed(environ={})
    assert {"core", "shapes"} <= set(catalog.namespaces())
    assert catalog.record("shapes").error == ""
    assert "i2i_shapes" not in sys.modules


def test_a_plug_in_is_imported_once(distribution):
    distribution("i2i-shapes", "1.0", "shapes", {"i2i_shapes.py": REGISTER})
    catalog = Catalog.installed(environ={})
    assert catalog.load("shapes") is catalog.load("shapes")


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import nowhere", "could not be loaded: ModuleNotFoundError: No module named 'nowhere'"),
        ("raise SystemExit(3)", "could not be loaded: SystemExit: 3"),
        ("def (", "could not be loaded: SyntaxError: "),
        (REGISTER.replace("i2i_api = 1", ""), "does not say which plug-in API it is for; add `i2i_api = 1`"),
        (
            REGISTER.replace("i2i_api = 1", "i2i_api = 99"),
            "is for plug-in API 99, this i2i speaks 1: update i2i-toolkit",
        ),
        (
            REGISTER.replace("i2i_api = 1", "i2i_api = 0"),
            "is for plug-in API 0, this i2i speaks 1 and up: update the",
        ),
        (
            REGISTER.replace("i2i_api = 1", "i2i_api = '1'"),
            "does not say which plug-in API it is for: its i2i_api is of type str; write `i2i_api = 1`",
        ),
        (REGISTER.replace("i2i_api = 1", "i2i_api = True"), "its i2i_api is of type bool"),
        ("class Quit(BaseException): ...\nraise Quit('now')", "could not be loaded: Quit: now"),
        ("def __getattr__(name): raise OSError(name)", "could not be loaded: OSError: i2i_api"),
        (
            "class Mute(Exception):\n    def __str__(self): raise OSError\nraise Mute",
            "could not be loaded: Mute",
        ),
        (
            REGISTER.replace("registry.gen", "raise GeneratorExit; registry.gen"),
            "failed while registering: GeneratorExit",
        ),
        (
            REGISTER.replace("def i2i_register", "async def i2i_register"),
            "its function i2i_register is to be an ordinary one, without async or yield",
        ),
        (REGISTER.replace("registry.gen", "yield registry.gen"), "without async or yield"),
        (
            REGISTER.replace("@hookimpl", ""),
            "it has no hook: decorate its function i2i_register with @i2i.hookimpl",
        ),
        (
            REGISTER.replace("i2i_register", "i2i_regster"),
            "there is no hook 'i2i_regster' - did you mean 'i2i_register'?",
        ),
        (
            REGISTER.replace("(registry)", "(registry, extra)"),
            "failed while registering: PluginValidationError: ",
        ),
        (REGISTER.replace('"net", ', '"Net", '), "a name is lower-case words joined by '-'"),
        (REGISTER.replace('":Net"', '"Net"'), "the target 'Net' is not of the form 'module:Name'"),
        (
            REGISTER.replace("registry.generator", "registry.genrator"),
            "AttributeError: 'Registrar' object has no",
        ),
    ],
)
def test_what_is_wrong_with_a_plug_in_is_one_sentence_in_its_record(distribution, source: str, reason: str):
    distribution("i2i-shapes", "0.1", "shapes", {"i2i_shapes.py": source})
    record = load("shapes")
    assert record.error.startswith("plug-in 'shapes' (i2i-shapes 0.1)")
    assert reason in record.error
    assert "\n" not in record.error


def test_a_folder_that_an_uninstallation_left_is_no_module(distribution):
    site = distribution("i2i-shapes", "0.1", "shapes", {"i2i_shapes/notes.txt": ""})
    assert load("shapes").error == (
        "plug-in 'shapes' (i2i-shapes 0.1) is not there: all that is left of 'i2i_shapes' is the folder "
        f"{site / 'i2i_shapes'}; install it anew."
    )


def test_a_long_reason_is_cut(distribution):
    distribution("i2i-shapes", "0.1", "shapes", {"i2i_shapes.py": "raise ValueError('x' * 100_000)"})
    assert len(load("shapes").error) < 600


def test_an_interruption_is_nobodys_fault(distribution):
    distribution("i2i-shapes", "0.1", "shapes", {"i2i_shapes.py": "raise KeyboardInterrupt"})
    with pytest.raises(KeyboardInterrupt):
        load("shapes")


def test_a_plug_in_registers_all_or_nothing(distribution):
    twice = '    registry.generator("net", ":Net", "a net")\n'
    distribution("i2i-shapes", "0.1", "shapes", {"i2i_shapes.py": REGISTER.replace(twice, twice * 2)})
    record = load("shapes")
    assert "generator 'net' is declared twice" in record.error
    assert (record.entries, record.recipes) == ((), ())


def test_a_broken_plug_in_leaves_the_others_alone(distribution):
    distribution("i2i-broken", "0.1", "broken", {"i2i_broken.py": "1 / 0"})
    distribution("i2i-shapes", "0.1", "shapes", {"i2i_shapes.py": REGISTER})
    records = {record.namespace: record for record in Catalog.installed(environ={}).load_all()}
    assert "ZeroDivisionError" in records["broken"].error
    assert records["shapes"].error == ""


def test_two_distributions_that_claim_one_namespace_make_it_unusable(distribution):
    distribution("i2i-b", "2.0", "shapes", {"i2i_b.py": REGISTER})
    distribution("i2i-a", "1.0", "shapes", {"i2i_a.py": REGISTER})
    assert load("shapes").error == (
        "two installed packages provide the plug-in 'shapes': i2i-a 1.0 and i2i-b 2.0. "
        "Uninstall one, or set I2I_DISABLE=shapes."
    )
    assert not {"i2i_a", "i2i_b"} & set(sys.modules)


def rewrite(site: Path, text: str | bytes, name: str = "entry_points.txt") -> None:
    (info,) = site.glob("*.dist-info")
    (info / name).write_bytes(text if isinstance(text, bytes) else text.encode())


@pytest.mark.parametrize(
    ("value", "example"),
    [
        ("i2i_shapes:plugin", "i2i_shapes"),
        ("i2i_shapes [extra]", "i2i_shapes"),
        (".i2i_shapes", "i2i_shapes"),
        ("", "i2i_shapes"),
        ("two words", "i2i_shapes"),
    ],
)
def test_an_entry_point_names_a_module(distribution, value: str, example: str):
    site = distribution("i2i-shapes", "0.1", "shapes", {"i2i_shapes.py": REGISTER})
    rewrite(site, f"[i2i]\nshapes = {value}\n")
    assert load("shapes").error == (
        f"plug-in 'shapes' (i2i-shapes 0.1) is unusable: its entry point '{value}' has to name a module "
        f"alone, like '{example}'."
    )
    assert "i2i_shapes" not in sys.modules


def test_one_distribution_that_names_two_modules_is_told_as_one(distribution):
    site = distribution("i2i-shapes", "0.1", "shapes", {"i2i_shapes.py": REGISTER})
    rewrite(site, "[i2i]\nshapes = i2i_shapes\nshapes = i2i_forms\n")
    assert load("shapes").error == (
        "plug-in 'shapes' (i2i-shapes 0.1) is unusable: its entry points name both 'i2i_forms' and "
        "'i2i_shapes'."
    )
    rewrite(site, "[i2i]\nshapes = i2i_shapes\nshapes = i2i_shapes\n")
    assert load("shapes").error == ""


@pytest.mark.parametrize("text", ["[console_scripts]\nno equals sign\n", b"[x]\ny = caf\xe9\n"])
def test_entry_points_that_cannot_be_read_cost_no_other_plug_in(distribution, i2i, text):
    distribution("i2i-shapes", "1.0", "shapes", {"i2i_shapes.py": REGISTER})
    site = distribution("strange", "2.0", None, {})
    rewrite(site, text)
    assert load("shapes").error == ""
    ended = i2i("plugins")
    assert ended.code == 0
    assert {"core", "shapes"} <= {line.split()[0] for line in ended.out.splitlines()}
    assert ended.err.startswith(
        f"the entry points of strange 2.0 in {site} cannot be read, so what it may offer"
    )


def test_the_first_of_two_installations_counts_beside_entry_points_that_cannot_be_read(distribution):
    distribution("i2i-shapes", "1.0", "shapes", {"i2i_shapes.py": REGISTER})
    distribution("i2i-shapes", "2.0", "shapes", {"i2i_shapes.py": REGISTER})
    rewrite(distribution("strange", "2.0", None, {}), "[x]\njunk\n")
    assert (load("shapes").version, load("shapes").error) == ("2.0", "")


@pytest.mark.parametrize("text", [b"Name: i2i-shapes\nAuthor: Caf\xe9\n", b"", b"\n"])
def test_metadata_that_cannot_be_read_costs_a_name_and_no_more(distribution, text: bytes):
    rewrite(distribution("i2i-shapes", "1.0", "shapes", {"i2i_shapes.py": REGISTER}), text, "METADATA")
    record = load("shapes")
    assert (record.distribution, record.version, record.error) == ("unknown", "?", "")


def test_what_a_cut_off_pip_left_behind_is_no_second_package(distribution):
    site = distribution("i2i-shapes", "2.0", "shapes", {"i2i_shapes.py": REGISTER})
    shutil.copytree(site / "i2i_shapes-2.0.dist-info", site / "~2i_shapes-1.0.dist-info")
    about = site / "~2i_shapes-1.0.dist-info" / "METADATA"
    about.write_text("Metadata-Version: 2.1\nName: i2i-shapes\nVersion: 1.0\n")
    assert (load("shapes").version, load("shapes").error) == ("2.0", "")


@pytest.mark.parametrize("namespace", ["Shapes", "2d", "a_b", "local"])
def test_a_namespace_of_the_wrong_form_is_refused(distribution, namespace: str):
    distribution("i2i-shapes", "0.1", namespace, {"i2i_shapes.py": REGISTER})
    assert "is unusable" in load(namespace).error
    assert "i2i_shapes" not in sys.modules


def test_i2i_disable_works_before_any_import(distribution):
    distribution("i2i-shapes", "0.1", "shapes", {"i2i_shapes.py": "raise RuntimeError"})
    catalog = Catalog.installed(environ={"I2I_DISABLE": "other, shapes"})
    assert "shapes" not in catalog.namespaces()
    record = catalog.load("shapes")
    assert (record.disabled, record.loaded, record.error) == (True, False, "")
    assert "i2i_shapes" not in sys.modules


def test_i2i_disable_settles_a_conflict(distribution):
    distribution("i2i-a", "1.0", "shapes", {"i2i_a.py": REGISTER})
    distribution("i2i-b", "2.0", "shapes", {"i2i_b.py": REGISTER})
    assert Catalog.installed(environ={"I2I_DISABLE": "shapes"}).load("shapes").error == ""


def test_a_file_becomes_the_plug_in_local(tmp_path: Path, monkeypatch):
    path = tmp_path / "my_parts_1.py"
    path.write_text(REGISTER)
    monkeypatch.setattr(sys, "path", [*sys.path])
    catalog = Catalog.installed(local=path, environ={})
    assert catalog.get(("generator",), "local/net").load().__name__ == "Net"
    del sys.modules["my_parts_1"]


@pytest.mark.parametrize("name", ["json.py", "__main__.py", "no-identifier.py", "notes.txt"])
def test_a_local_file_needs_a_name_that_can_be_imported(tmp_path: Path, monkeypatch, name: str):
    path = tmp_path / name
    path.write_text(REGISTER)
    monkeypatch.setattr(sys, "path", [*sys.path])
    with pytest.raises(RecipeError, match="--plugin"):
        Catalog.installed(local=path, environ={})


def test_a_local_file_that_is_not_there_is_refused(tmp_path: Path):
    with pytest.raises(RecipeError, match="there is no such Python file"):
        Catalog.installed(local=tmp_path / "nothing.py", environ={})


def test_without_its_entry_point_core_is_gone_and_every_built_in_with_it(distribution):
    assert Catalog.installed(environ={}).entries()
    distribution("i2i-toolkit", "0.1.0", None, {})
    assert "core" not in Catalog.installed(environ={}).namespaces()
    listed = subprocess.run(
        [sys.executable, "-m", "i2i", "components", "list", "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "core/" not in listed.stdout
    run = subprocess.run(
        [sys.executable, "-m", "i2i", "recipe", "check", "pix2pix"], capture_output=True, text=True
    )
    assert run.returncode == 6
    assert "needs a plug-in that provides 'core'; none is installed" in run.stderr
