"""How the command line ends: exit codes, where text goes, and no traceback for a person's mistake."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import i2i as package
from i2i import cli
from i2i.errors import DataError, Interrupted, PluginError, Problem, RecipeError


@pytest.fixture
def ending(monkeypatch, i2i):
    """Return a function that runs a command which raises."""

    def end(error: BaseException):
        def fail(*_: object) -> None:
            raise error

        monkeypatch.setattr(cli, "app", fail)
        return i2i()

    return end


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RecipeError("no"), 2),
        (DataError("no"), 3),
        (PluginError("no"), 6),
        (Interrupted(2, "no"), 130),
        (Interrupted(15, "no"), 143),
    ],
)
def test_an_error_for_people_is_a_sentence_and_an_exit_code(ending, error, code: int):
    assert ending(error) == (code, "", "no\n")


def test_every_problem_is_told_with_its_place(ending):
    ended = ending(RecipeError(Problem("one", "a.b", "x.toml", 3, "a hint"), "two"))
    assert ended.err == "x.toml:3  a.b\n  one   (a hint)\ntwo\n"


def test_control_characters_do_not_reach_the_terminal(ending):
    assert ending(RecipeError("unknown key '\x1b[31m\r'")).err == "unknown key '\\x1b[31m\\r'\n"


def test_a_bug_keeps_its_traceback(monkeypatch):
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(cli, "app", fail)
    with pytest.raises(ZeroDivisionError):
        cli.main(["plugins"])


def test_the_version(i2i):
    assert i2i("--version") == (0, f"i2i {package.__version__}\n", "")


def test_without_a_command_there_is_help(i2i):
    ended = i2i()
    assert ended.code == 2
    for command in ("recipe", "components", "plugins"):
        assert command in ended.out + ended.err


def test_wrong_usage_ends_with_2(i2i):
    assert i2i("paint").code == 2
    assert i2i("recipe", "check").code == 2
    assert i2i("plugins", "--wrong").code == 2


def test_a_reader_that_leaves_early_is_no_error():
    with subprocess.Popen(
        [sys.executable, "-m", "i2i", "components", "list"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert b"Traceback" not in process.stderr.read()


def test_a_keyboard_interrupt_ends_with_130():
    source = (
        "import i2i.cli.options as o\n"
        "def stop(*a, **k): raise KeyboardInterrupt\n"
        "import i2i.cli.plugins as p\np.open_catalog = stop\n"
        "from i2i.cli import main\nmain(['plugins'])\n"
    )
    ended = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True)
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "")


def test_what_an_encoding_lacks_is_written_out(tmp_path):
    line = [sys.executable, "-m", "i2i", "plugin", "new", "shiny", "--out", "caf\u00e9"]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    ended = subprocess.run(line, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "caf\\xe9/i2i-shiny/pyproject.toml" in ended.stdout


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no full device here")
@pytest.mark.parametrize(
    ("target", "code", "told"),
    [
        (">/dev/full", 4, "no space is left for what this command prints or writes; make room first\n"),
        (">&-", 0, ""),
    ],
)
def test_an_output_that_takes_nothing_is_no_bug(target, code, told):
    # Unbuffered, for a few lines would otherwise wait for the end of the process.
    line = f"'{sys.executable}' -u -m i2i plugins {target}"
    ended = subprocess.run(["sh", "-c", line], capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (code, told)
