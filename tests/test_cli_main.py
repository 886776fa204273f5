"""How the command line ends: exit codes, where text goes, and no traceback for a person's mistake."""

from __future__ import annotations

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
