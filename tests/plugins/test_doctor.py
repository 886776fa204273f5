"""`i2i doctor`: what is wrong with an installation is found, told in a sentence, and ends with 6."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import sys
from importlib.metadata import distribution as find
from pathlib import Path

import pytest

from i2i.plugins import doctor
from i2i.plugins.catalog import Catalog
from i2i.plugins.doctor import examine, one_edit
from i2i.plugins.installed import editable_project, needs, outdated, stale, verify

PLUGIN = """
from i2i import hookimpl

i2i_api = 1


@hookimpl
def i2i_register(registry):
    registry.generator("net", ":Net", "a net")


class Net: ...
"""


def hashed(site: Path, *names: str) -> str:
    """The rows of a RECORD, as an installer writes them."""
    rows = []
    for name in names:
        digest = base64.urlsafe_b64encode(hashlib.sha256((site / name).read_bytes()).digest()).decode()
        rows.append(f"{name},sha256={digest.rstrip('=')},{(site / name).stat().st_size}\n")
    return "".join(rows)


@pytest.fixture
def shiny(distribution) -> Path:
    """The metadata folder of i2i-shiny 0.1, installed with a record of its files."""
    site = distribution("i2i-shiny", "0.1", "shiny", {"i2i_shiny.py": PLUGIN, "i2i_shiny.txt": "text"})
    info = site / "i2i_shiny-0.1.dist-info"
    own = hashed(site, "i2i_shiny.py", "i2i_shiny.txt", f"{info.name}/METADATA")
    (info / "RECORD").write_text(f"{own}__pycache__/i2i_shiny.pyc,,\n{info.name}/RECORD,,\n")
    return info


def edit(info: Path, project: Path) -> None:
    """Make an installation an editable one of `project`."""
    about = {"url": project.as_uri(), "dir_info": {"editable": True}}
    (info / "direct_url.json").write_text(json.dumps(about))


def facts(namespace: str):
    (found,) = [one for one in examine(Catalog.installed()).plugins if one.namespace == namespace]
    return found


def told(name: str, of: str = "problems") -> list[str]:
    """What is said about one distribution or namespace."""
    return [sentence for sentence in getattr(examine(Catalog.installed()), of) if name in sentence]


# --- the files of a distribution ------------------------------------------------------------------


def test_files_are_compared_with_their_record(shiny):
    record = verify(find("i2i-shiny"))
    assert (record.state, record.files, record.changed) == ("unchanged", 3, ())
    assert len(record.digest) == 64


def test_a_changed_and_a_missing_file_are_named(shiny):
    (shiny.parent / "i2i_shiny.py").write_text(PLUGIN + "\nprint('mine now')\n")
    (shiny.parent / "i2i_shiny.txt").unlink()
    record = verify(find("i2i-shiny"))
    assert (record.state, record.changed) == ("changed", ("i2i_shiny.py", "i2i_shiny.txt"))
    assert told("i2i-shiny") == [
        "i2i-shiny 0.1 is not as it was installed: i2i_shiny.py and 1 more are changed or gone; install it "
        "anew, and find out who did it"
    ]


def test_the_digest_is_of_the_files_wherever_they_are(shiny, distribution):
    before = verify(find("i2i-shiny")).digest
    site = distribution("i2i-shiny", "0.1", "shiny", {"i2i_shiny.py": PLUGIN, "i2i_shiny.txt": "text"})
    record = site / "i2i_shiny-0.1.dist-info" / "RECORD"
    record.write_text(hashed(site, "i2i_shiny.txt", "i2i_shiny.py"))
    assert verify(find("i2i-shiny")).digest == before
    (site / "i2i_shiny.txt").write_text("other")
    record.write_text(hashed(site, "i2i_shiny.txt", "i2i_shiny.py"))
    assert verify(find("i2i-shiny")).digest != before


@pytest.mark.parametrize(
    "row", ["i2i_shiny.py,md5=aaaa,3", "i2i_shiny.py,sha256=,3", "../nowhere,sha256=a,3"]
)
def test_what_cannot_be_verified_is_not_unchanged(shiny, row):
    (shiny / "RECORD").write_text(row + "\n")
    assert verify(find("i2i-shiny")).state == "changed"


@pytest.mark.parametrize(
    "text", [b"", b"no, record, at all, here\n", b'"\n', b"caf\xe9,sha256=a,3\n", b'"' + b"x" * 200_000]
)
def test_without_hashes_there_is_no_record(shiny, text):
    (shiny / "RECORD").write_bytes(text)
    assert verify(find("i2i-shiny")).state == "none"
    assert told("i2i-shiny", "notes") == [
        "i2i-shiny 0.1 has no record of its files: nobody can tell whether they are as they were"
    ]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
def test_a_pipe_in_the_place_of_a_file_is_a_changed_file(shiny):
    (shiny.parent / "i2i_shiny.txt").unlink()
    os.mkfifo(shiny.parent / "i2i_shiny.txt")
    assert verify(find("i2i-shiny")).changed == ("i2i_shiny.txt",)


def test_code_that_came_later_is_noted(distribution):
    files = {"i2i_deep/__init__.py": PLUGIN, "i2i_deep/parts/net.py": "", "shared/deep.py": ""}
    site = distribution("i2i-deep", "0.1", "deep", files)
    (site / "i2i_deep-0.1.dist-info/RECORD").write_text(hashed(site, *files))
    assert told("i2i-deep", "notes") == []
    for name in ("i2i_deep/__pycache__/x.pyc", "i2i_deep/table.csv", "shared/of_another.py", "other.py"):
        (site / name).parent.mkdir(exist_ok=True)
        (site / name).write_text("")
    assert told("i2i-deep", "notes") == []
    (site / "i2i_deep/parts/more.py").write_text("")
    (site / "i2i_deep/fast.so").write_text("")
    assert verify(find("i2i-deep")).added == ("i2i_deep/fast.so", "i2i_deep/parts/more.py")
    assert told("i2i-deep", "notes") == [
        "i2i-deep 0.1 has code that it was not installed with: i2i_deep/fast.so and 1 more are not in its "
        "record"
    ]
    assert told("i2i-deep") == []


def test_a_plug_in_that_is_imported_from_elsewhere_than_it_is_installed(shiny, tmp_path, monkeypatch):
    (tmp_path / "front").mkdir()
    (tmp_path / "front/i2i_shiny.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(str(tmp_path / "front"))
    assert facts("shiny").record.state == "unchanged"
    assert told("shiny") == [
        f"the plug-in 'shiny' is imported from {tmp_path / 'front/i2i_shiny.py'}, though i2i-shiny 0.1 is in "
        f"{shiny.parent}: take that file off the path (PYTHONPATH, or the folder that Python starts in)"
    ]


def test_an_editable_installation_has_no_record_of_its_files(shiny, tmp_path):
    edit(shiny, tmp_path)
    assert editable_project(find("i2i-shiny")) == tmp_path
    assert facts("shiny").record.state == "none"
    assert (facts("shiny").editable, facts("shiny").location) == (True, str(tmp_path))


@pytest.mark.parametrize("text", ["", "{", "[]", '{"url": 3}', '{"url": "file:///x", "dir_info": {}}'])
def test_other_origins_are_not_editable(shiny, text):
    (shiny / "direct_url.json").write_text(text)
    assert editable_project(find("i2i-shiny")) is None


# --- editable installations that lag behind -------------------------------------------------------


def test_an_editable_installation_whose_folder_is_gone(shiny, tmp_path):
    edit(shiny, tmp_path / "gone")
    assert told("is installed as editable") == [
        f"i2i-shiny 0.1 is installed as editable from {tmp_path / 'gone'}, which is gone: install it anew or "
        "uninstall it"
    ]


def test_an_editable_installation_of_another_version(shiny, tmp_path):
    edit(shiny, tmp_path)
    project = tmp_path / "pyproject.toml"
    project.write_text('[project]\nname = "i2i-shiny"\nversion = "0.1"\n')
    assert stale(find("i2i-shiny")) == ""
    project.write_text('[project]\nname = "i2i-shiny"\nversion = "0.2"\n')
    assert told("i2i-shiny") == [
        f"i2i-shiny 0.1 was installed as 0.1, and {tmp_path} is at 0.2 by now: install it anew"
    ]


def test_an_editable_installation_that_misses_dependencies_or_entry_points(shiny, tmp_path):
    edit(shiny, tmp_path)
    project = tmp_path / "pyproject.toml"
    head = '[project]\nname = "i2i-shiny"\nversion = "0.1"\n'
    points = '[project.entry-points.i2i]\nshiny = "i2i_shiny"\n'
    project.write_text(head + "dependencies = []\n" + points)
    assert outdated(find("i2i-shiny"), "i2i") == ""
    project.write_text(head + 'dependencies = ["torch >= 2"]\n' + points + 'more = "i2i_more"\n')
    assert told("i2i-shiny", "notes") == [
        f"i2i-shiny 0.1 has new dependencies and entry points in {tmp_path} since it was installed: "
        "install it anew"
    ]


@pytest.mark.parametrize("url", ["3", "null", '""', '"file:///x\\u0000y"', '"relative"'])
def test_an_origin_that_leads_nowhere_is_not_editable(shiny, url):
    (shiny / "direct_url.json").write_text(f'{{"url": {url}, "dir_info": {{"editable": true}}}}')
    assert editable_project(find("i2i-shiny")) is None
    assert told("shiny") == []


@pytest.mark.parametrize("text", ["[project]", "project = 3", "[", "[project]\nentry-points = 3\n"])
def test_a_project_that_says_nothing_is_no_problem(shiny, tmp_path, text):
    edit(shiny, tmp_path)
    (tmp_path / "pyproject.toml").write_text(text)
    assert stale(find("i2i-shiny")) == outdated(find("i2i-shiny"), "i2i") == ""


# --- plug-ins ------------------------------------------------------------------------------------


def test_a_sound_plug_in_is_listed_with_all_there_is_to_know(shiny):
    found = facts("shiny")
    assert (found.distribution, found.version, found.api, found.components, found.state) == (
        "i2i-shiny",
        "0.1",
        1,
        1,
        "ready",
    )
    assert found.location == str(shiny.parent)
    assert told("shiny") == told("shiny", "notes") == []


def test_a_broken_plug_in_is_told_with_its_reason(distribution):
    distribution("i2i-broken", "0.1", "broken", {"i2i_broken.py": "1 / 0"})
    assert facts("broken").state == "unusable"
    assert told("broken") == [
        "plug-in 'broken' (i2i-broken 0.1) could not be loaded: ZeroDivisionError: division by zero"
    ]


def test_an_installation_that_was_cut_off_is_listed_as_far_as_it_is_known(i2i, distribution):
    site = distribution("i2i-half", "0.1", "half", {"i2i_half.py": PLUGIN})
    (site / "i2i_half-0.1.dist-info" / "METADATA").unlink()
    assert (facts("half").distribution, facts("half").version) == ("unknown", "?")
    assert "half" in i2i("doctor").out
    assert "unknown" in i2i("plugins").out
    assert told("half") == [
        f"what is installed in {site} as the plug-in half does not say its name, for its METADATA is gone or "
        "cannot be read: install it anew"
    ]


def test_installations_without_a_name_are_not_taken_for_each_other(distribution):
    for name in ("half", "more"):
        site = distribution(f"i2i-{name}", "0.1", name, {f"i2i_{name}.py": PLUGIN})
        (site / f"i2i_{name}-0.1.dist-info" / "METADATA").unlink()
    (site / "i2i_more-0.1.dist-info" / "RECORD").write_text("i2i_more.py,sha256=aaaa,3\n")
    assert [facts(name).record.state for name in ("half", "more")] == ["none", "changed"]


@pytest.mark.parametrize("namespace", ["half", None])
def test_metadata_that_is_not_utf_8_is_no_obstacle(distribution, i2i, namespace):
    site = distribution("i2i-half", "0.1", namespace, {"i2i_half.py": PLUGIN})
    about = b"Metadata-Version: 2.1\nName: i2i-half\nVersion: 0.1\nAuthor: Caf\xe9\n"
    (site / "i2i_half-0.1.dist-info" / "METADATA").write_bytes(about)
    assert len(told(f"{site} as the plug-in half does not say its name")) == (namespace == "half")
    assert i2i("doctor", "--json").err == ""


def test_entry_points_that_cannot_be_read_are_a_problem(distribution):
    site = distribution("strange", "2.0", None, {})
    (site / "strange-2.0.dist-info" / "entry_points.txt").write_text("[x]\njunk\n")
    (problem,) = told("strange")
    assert problem.startswith(f"the entry points of strange 2.0 in {site} cannot be read")
    assert facts("core").state == "ready"


def test_without_core_there_is_nothing_to_build_with(distribution):
    distribution("i2i-toolkit", "0.1.0", None, {})
    assert told("the plug-in 'core' is missing")


def test_a_plug_in_that_is_switched_off_is_not_imported(distribution, monkeypatch):
    distribution("i2i-broken", "0.1", "broken", {"i2i_broken.py": "1 / 0"})
    monkeypatch.setenv("I2I_DISABLE", "broken")
    assert facts("broken").state == "switched off"
    assert told("broken") == []
    assert "i2i_broken" not in sys.modules


def test_two_distributions_for_one_name_are_both_listed(distribution):
    distribution("i2i-b", "2.0", "twice", {"i2i_b.py": PLUGIN})
    distribution("i2i-a", "1.0", "twice", {"i2i_a.py": PLUGIN})
    listed = [one.distribution for one in examine(Catalog.installed()).plugins if one.namespace == "twice"]
    assert sorted(listed) == ["i2i-a", "i2i-b"]
    (problem,) = told("twice")
    assert problem.startswith("two installed packages provide the plug-in 'twice': i2i-a 1.0 and i2i-b 2.0.")


def test_a_dependency_that_is_missing_or_too_old(shiny):
    metadata = (shiny / "METADATA").read_text()
    wanted = ["torch>=2", "torch>=99", "nowhere-to-be-found", "absent; extra == 'more'", "?!"]
    (shiny / "METADATA").write_text(metadata + "".join(f"Requires-Dist: {one}\n" for one in wanted))
    assert [need.met for need in needs(find("i2i-shiny")) if need.name == "torch"] == [True, False]
    found = [sentence for sentence in told("i2i-shiny") if "needs" in sentence]
    assert "i2i-shiny 0.1 needs nowhere-to-be-found, which is not installed" in found
    assert any(one.startswith("i2i-shiny 0.1 needs torch>=99, installed is 2") for one in found)
    assert "i2i-shiny 0.1 needs '?!', which is no requirement that can be read: tell its authors" in found
    assert len(found) == 3


def test_a_dependency_whose_version_is_none(shiny, distribution):
    distribution("odd", "one", None, {})
    lost = distribution("lost", "1.0", None, {})
    (lost / "lost-1.0.dist-info" / "METADATA").unlink()
    with (shiny / "METADATA").open("a") as file:
        file.write("Requires-Dist: odd\nRequires-Dist: odd>=1\nRequires-Dist: lost>=1\n")
    found = [(need.name, need.wanted, need.installed, need.met) for need in needs(find("i2i-shiny"))]
    assert found == [("lost", ">=1", "?", False), ("odd", "", "one", True), ("odd", ">=1", "one", False)]


def test_a_second_installation_is_hidden_by_the_first(shiny, distribution):
    distribution("i2i-shiny", "0.2", "shiny", {"i2i_shiny_2.py": PLUGIN})
    (note,) = told("installed twice", "notes")
    assert note.startswith("i2i-shiny is installed twice: 0.2 in ")
    assert "hides 0.1 in" in note


def test_two_installations_in_one_folder_are_a_problem(shiny):
    other = shutil.copytree(shiny, shiny.parent / "i2i_shiny-0.2.dist-info")
    (other / "METADATA").write_text((shiny / "METADATA").read_text().replace("0.1", "0.2"))
    (problem,) = told("installed twice")
    assert problem.startswith(f"i2i-shiny is installed twice in {shiny.parent}, as 0.")
    assert problem.endswith("uninstall it until none is left, then install it anew")
    assert told("installed twice", "notes") == []


def test_a_folder_that_is_on_the_path_twice_is_one_installation(shiny, tmp_path, monkeypatch):
    (tmp_path / "link").symlink_to(shiny.parent)
    monkeypatch.syspath_prepend(str(tmp_path / "link"))
    assert told("installed twice") == told("installed twice", "notes") == []


def test_an_editable_installation_in_two_environments_names_both(shiny, distribution, tmp_path):
    site = distribution("i2i-shiny", "0.1", "shiny", {"i2i_shiny_2.py": PLUGIN})
    for info in (shiny, site / shiny.name):
        edit(info, tmp_path)
    (note,) = told("installed twice", "notes")
    assert note == f"i2i-shiny is installed twice: 0.1 in {site} hides 0.1 in {shiny.parent}"


def test_what_a_cut_off_pip_left_behind_is_noted(shiny):
    left = shutil.copytree(shiny, shiny.parent / f"~{shiny.name[1:]}")
    assert told("left behind", "notes") == [
        f"i2i-shiny 0.1 was left behind by a pip that was cut off, and is passed over: delete {left}"
    ]
    assert told("i2i-shiny") == []


def test_a_name_that_is_switched_off_in_vain_is_noted(shiny, monkeypatch):
    monkeypatch.setenv("I2I_DISABLE", "shinny, shiny,")
    assert told("I2I_DISABLE", "notes") == [
        "I2I_DISABLE names 'shinny', and no plug-in is called so - did you mean 'shiny'?"
    ]


# --- names ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("other", ["timmm", "tim", "tinm", "itmm", "xtimm", "t-imm", "timn"])
def test_names_one_edit_apart(other):
    assert one_edit("timm", other)
    assert one_edit(other, "timm")


@pytest.mark.parametrize("other", ["timm", "ti", "mitm", "tmmi", "kornia", "", "timmxx", "mimt"])
def test_names_further_apart(other):
    assert not one_edit("timm", other)
    assert not one_edit(other, "timm")


@pytest.mark.parametrize(
    ("name", "namespace", "note"),
    [
        ("i2i-timn", "timn", "the plug-in 'timn' is one letter away from 'timm': is it the one you mean?"),
        ("i2i-shin", "shin", "the plug-in 'shiny' is one letter away from 'shin': is it the one you mean?"),
        ("i2l-timm", "other", "i2l-timm is one letter away from i2i-timm: is it the one you mean?"),
        (
            "i2i-other",
            "ours",
            "the plug-in 'ours' comes from i2i-other; this project's own comes from i2i-ours",
        ),
    ],
)
def test_names_that_are_easily_mistaken_are_pointed_out(
    shiny, distribution, monkeypatch, name, namespace, note
):
    monkeypatch.setattr(doctor, "OWN", {**doctor.OWN, "ours": "i2i-ours"})
    distribution(name, "1.0", namespace, {f"{name.replace('-', '_')}.py": PLUGIN})
    assert note in examine(Catalog.installed()).notes
    assert told(name) == []


def test_names_of_one_distribution_are_its_own_affair(distribution):
    site = distribution("i2i-many", "1.0", "many", {"i2i_many.py": PLUGIN})
    points = "".join(f"part-{number} = i2i_many\n" for number in range(2000))
    (site / "i2i_many-1.0.dist-info" / "entry_points.txt").write_text(f"[i2i]\n{points}tim = i2i_many\n")
    assert told("one letter", "notes") == [
        "the plug-in 'tim' is one letter away from 'timm': is it the one you mean?"
    ]


# --- the machine and the command ------------------------------------------------------------------


def test_a_cache_that_cannot_be_written_is_noted(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("I2I_CACHE_DIR", str(tmp_path / "file" / "cache"))
    assert told("I2I_CACHE_DIR", "notes")


def test_a_torch_that_cannot_be_imported_is_a_problem(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    health = examine(Catalog.installed())
    assert "torch" not in health.versions
    assert any(problem.startswith("torch cannot be imported: ") for problem in health.problems)


def test_versions_and_machine_are_told(monkeypatch):
    import torch

    health = examine(Catalog.installed())
    assert health.versions["torch"] == torch.__version__
    assert health.machine["devices"][0] == "cpu"
    assert health.machine["memory"] > health.machine["free_memory"] > 0
    assert health.machine["cores"] >= health.machine["usable_cores"] >= 1
    assert {"torch", "pydantic"} <= {need.name for need in health.packages}


def test_the_command_ends_with_6_when_something_is_wrong(i2i, distribution):
    distribution("i2i-broken", "0.1", "broken", {"i2i_broken.py": "raise ValueError('\\x1b[31m')"})
    ended = i2i("doctor")
    assert ended.code == 6
    rows = [line.split() for line in ended.out.splitlines() if line.startswith("broken")]
    assert rows[0][:5] == ["broken", "i2i-broken", "0.1", "-", "unusable"]
    told = "problem  plug-in 'broken' (i2i-broken 0.1) could not be loaded: ValueError: \\x1b[31m\n"
    assert told in ended.out
    found = i2i("doctor", "--json")
    assert found.code == 6
    table = json.loads(found.out)
    assert table["ok"] is False
    assert any("broken" in problem for problem in table["problems"])


def test_the_command_ends_with_0_when_nothing_is_wrong(i2i, shiny, monkeypatch):
    found = examine(Catalog.installed())
    sound = doctor.Health(found.versions, found.machine, found.packages, found.plugins, (), ("a note",))
    monkeypatch.setattr(doctor, "examine", lambda plugins: sound)
    ended = i2i("doctor")
    assert ended.code == 0
    assert ended.out.splitlines()[-3:] == ["note  a note", "", "no problem found"]
    assert any(line.split()[:2] == ["shiny", "i2i-shiny"] for line in ended.out.splitlines())
    table = json.loads(i2i("doctor", "--json").out)
    assert table["ok"] is True
    (listed,) = [one for one in table["plugins"] if one["namespace"] == "shiny"]
    assert listed["record"]["state"] == "unchanged"
