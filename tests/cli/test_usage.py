"""What all commands have in common: examples that work, `--json`, `--quiet`, and exit codes that are told."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from i2i import cli
from i2i.cli.usage import examples_of
from i2i.errors import EXIT_CODES

README = Path(__file__).parents[2] / "README.md"
ROOT = typer.main.get_command(cli.app)
LONG = {"run", "bench", "eval", "translate", "calibrate", "compare", "data get", "data check"}
"""The commands that may work for minutes."""


def walk(command, path=()) -> Iterator[tuple[str, object]]:
    """Yield every group and command of the command line, with what is typed for it."""
    yield " ".join(path), command
    for name, child in getattr(command, "commands", {}).items():
        yield from walk(child, (*path, name))


ALL = dict(walk(ROOT))
COMMANDS = {path: command for path, command in ALL.items() if not hasattr(command, "commands")}


def options(command) -> set[str]:
    return {word for parameter in command.params for word in parameter.opts}


def test_the_walk_finds_the_commands():
    assert {"run", "recipe check", "components list", "plugin new", "doctor"} <= set(COMMANDS)


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_has_json(path):
    assert "--json" in options(COMMANDS[path])


def test_the_commands_that_work_for_long_have_quiet():
    assert {path for path, command in COMMANDS.items() if "--quiet" in options(command)} == LONG


@pytest.mark.parametrize("path", ALL, ids=lambda path: path or "i2i")
def test_help_ends_with_examples_that_can_be_typed(path, i2i):
    shown = examples_of(ALL[path])
    assert 1 <= len(shown) <= 2
    told = i2i(*path.split(), "--help").out.splitlines()
    assert [line.strip() for line in told[-len(shown) :]] == shown
    for line in shown:
        name, *words = shlex.split(line)
        assert name == "i2i"
        assert path in ("", " ".join(words[: len(path.split())])), f"not an example of i2i {path}"
        command = ROOT
        while hasattr(command, "commands"):
            command = command.commands[words.pop(0)]
        command.make_context(line, words)  # raises for an option, a value or a number of words that is wrong


def test_wrong_usage_shows_what_to_write(i2i):
    for words in (["translate", "model"], ["translate", "--wrong"], ["recipe", "check"]):
        ended = i2i(*words)
        assert ended.code == 2
        path = words[0] if words[0] in COMMANDS else " ".join(words)
        assert ended.err.rstrip().splitlines()[-1] == f"For example: {examples_of(COMMANDS[path])[0]}"


def test_with_json_wrong_usage_is_an_object_too(i2i):
    ended = i2i("components", "show", "--json")
    found = json.loads(ended.out)
    assert (ended.code, found["exit"]) == (2, 2)
    assert "REF" in found["error"][0]["message"]
    assert "For example: i2i components show unet" in ended.err


def test_with_json_an_error_is_an_object_with_the_places_and_the_exit_code(i2i, recipe_file):
    recipe = recipe_file(old="depth = 5", new="dept = 5")
    ended = i2i("run", recipe, "--json")
    found = json.loads(ended.out)
    assert (ended.code, found["exit"]) == (2, 2)
    (problem,) = found["error"]
    assert (problem["where"], problem["file"], problem["line"]) == ("generator.dept", "x.toml", 10)
    assert "did you mean 'depth'?" in problem["message"]
    assert "did you mean 'depth'?" in ended.err


def test_with_json_a_bug_is_an_object_before_its_traceback(monkeypatch, capsys):
    def fail(*_: object) -> None:
        raise ZeroDivisionError("by nought")

    monkeypatch.setattr(cli, "app", fail)
    with pytest.raises(ZeroDivisionError):
        cli.main(["plugins", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert (found["exit"], found["error"][0]["message"]) == (1, "ZeroDivisionError: by nought")


def test_the_exit_codes_are_told_in_the_help(i2i):
    told = i2i("--help").out
    for code, meaning in EXIT_CODES.items():
        assert re.search(rf"^ +{code} +{re.escape(meaning)}$", told, flags=re.M), code


def test_the_exit_codes_of_the_readme_are_those_of_the_code():
    own = README.read_text(encoding="utf-8").partition("\n## Exit codes")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `([\d, ]+)` \| (.+?) \|$", own, flags=re.M)
    assert dict(rows) == EXIT_CODES


def test_the_readme_has_the_environment_variables_that_are_read():
    own = README.read_text(encoding="utf-8").partition("\n## Exit codes")[2].partition("\n## ")[0]
    sources = [*README.parent.glob("i2i/**/*.py"), *README.parent.glob("plugins/*/src/**/*.py")]
    text = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    read = set(re.findall(r'environ(?:\.get\(|\[)"([A-Z0-9_]+)"', text))
    assert {"I2I_CACHE_DIR", "I2I_DISABLE"} <= read
    assert {name for name in read - {"PYTHONPATH"} if f"`{name}`" not in own} == set()  # that one is Python's
