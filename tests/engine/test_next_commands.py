"""What the report of a run says that can be typed next, and that it does what it says."""

from __future__ import annotations

import html
import json
import re
import shlex
import sys

from i2i import load_recipe, run
from i2i.engine.next_commands import next_commands
from i2i.runs.folder import RunFolder


def shown(report):
    """The commands of a report by their label."""
    text = report.read_text()
    rows = re.findall(r"<dt>([^<]*)</dt><dd><code class=\"command\">([^<]*)</code>", text)
    return {label: shlex.split(html.unescape(command)) for label, command in rows}


def test_a_stopped_run_shows_its_step_and_the_commands_that_go_on_and_use_it(i2i, tmp_path, monkeypatch):
    out = tmp_path / "a run"
    typed = ("run", "shapes", "--steps", "6", "--set", "data.count=12", "--out", str(out))
    monkeypatch.setattr(sys, "argv", ["i2i", *typed, "--stop-at", "3"])
    assert i2i(*typed, "--stop-at", "3").code == 0
    assert "Step 3 of 6" in (out / "report.html").read_text()
    assert json.loads((out / "summary.json").read_text())["steps"] == 3
    commands = shown(out / "report.html")
    assert list(commands) == [
        "made by",
        "go on to the end",
        "translate your own images",
        "score it, image by image",
    ]
    ended = i2i(*commands["go on to the end"][1:])
    assert ended.code == 0, ended.err
    assert "resumed after step 3 of 6" in ended.err
    assert json.loads((out / "summary.json").read_text())["status"] == "done"
    commands = shown(out / "report.html")
    assert "go on to the end" not in commands
    assert i2i(*commands["score it, image by image"][1:]).code == 0


def test_a_run_says_by_which_command_it_was_made_and_when_it_ended(i2i, tmp_path, monkeypatch):
    typed = ["run", "shapes", "--steps", "1", "--set", "data.count=12", "--out", str(tmp_path / "a")]
    monkeypatch.setattr("sys.argv", ["i2i", *typed])
    assert i2i(*typed).code == 0
    about = json.loads((tmp_path / "a" / "provenance.json").read_text())
    assert about["command"] == typed
    assert about["started"] <= json.loads((tmp_path / "a" / "summary.json").read_text())["ended"]
    assert shown(tmp_path / "a" / "report.html")["made by"] == ["i2i", *typed]


def test_a_run_from_python_tells_of_no_command(tmp_path):
    run(load_recipe("shapes", set=["data.count=12"], steps=1), tmp_path / "b")
    assert "command" not in json.loads((tmp_path / "b" / "provenance.json").read_text())
    assert "made by" not in shown(tmp_path / "b" / "report.html")


def test_a_plug_in_file_is_named_again_and_without_a_model_there_is_nothing_to_use(tmp_path):
    folder = RunFolder(tmp_path)
    command = ["run", "x.toml", "--plugin", "my part.py", "--plugin=b.py"]
    found = next_commands(folder, "interrupted", command)
    assert [label for label, _ in found] == ["go on to the end"]
    assert found[0][1].endswith("--plugin 'my part.py' --plugin=b.py")
    assert next_commands(folder, "running", command) == []
