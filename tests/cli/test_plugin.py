"""`i2i plugin check`: a table of what an installed plug-in promises, and whether it keeps it."""

from __future__ import annotations

import json
import re

import pytest

PLUGIN = """
from i2i import hookimpl

i2i_api = 1


@hookimpl
def i2i_register(registry):
    registry.paired_loss("sound", "i2i_shiny.losses:Sound", "mean absolute difference")
    registry.paired_loss("upside-down", "i2i_shiny.losses:UpsideDown", "least where it should be most")
    registry.schedule("steady", "i2i_shiny.losses:Steady", "the same factor all the time")
"""

LOSSES = '''
class Sound:
    """Mean absolute difference."""

    def __call__(self, fake, real):
        return (fake.float() - real.float()).abs().mean()


class UpsideDown:
    """The negative of it."""

    def __call__(self, fake, real):
        return -(fake.float() - real.float()).abs().mean()


class Steady:
    """A constant.

    Args:
        factor: what the learning rate is multiplied by.
    """

    def __init__(self, *, factor: float) -> None:
        self.factor = factor

    def __call__(self, step, /):
        return self.factor
'''


@pytest.fixture
def shiny(distribution) -> None:
    """A plug-in with a sound loss, one that is not, and a schedule with a parameter that must be given."""
    distribution(
        "i2i-shiny", "0.1", "shiny", {"i2i_shiny/__init__.py": PLUGIN, "i2i_shiny/losses.py": LOSSES}
    )


def rows(text: str) -> dict[tuple[str, str], list[str]]:
    """The table by component and check."""
    table = [line for line in text.splitlines() if line.startswith(("plug-in", "paired-loss", "schedule"))]
    return {(line.split()[1], line.split()[2]): line.split(maxsplit=4)[3:] for line in table}


def test_a_failed_check_is_told_with_its_cure_and_ends_with_6(i2i, shiny):
    ended = i2i("plugin", "check", "shiny")
    assert (ended.code, ended.err) == (6, "")
    found = rows(ended.out)
    assert found["shiny", "registers"] == ["passed"]
    assert found["shiny/sound", "minimal-at-equality"] == ["passed"]
    status, sentence = found["shiny/upside-down", "minimal-at-equality"]
    assert status == "failed"
    assert len(sentence) > 20
    assert found["shiny/upside-down", "monotone"][0] == "not"
    assert ended.out.splitlines()[-1].startswith("shiny: ")
    assert " failed, " in ended.out.splitlines()[-1]


def test_a_plug_in_that_keeps_the_contract_ends_with_0(i2i, shiny):
    ended = i2i("plugin", "check", "shiny", "--only", "shiny/sound")
    assert ended.code == 0
    assert {ref for ref, _ in rows(ended.out)} == {"shiny/sound"}
    assert ended.out.splitlines()[-1] == f"shiny: {len(rows(ended.out))} passed"


def test_what_failed_stands_once_more_below_a_long_table(i2i, shiny):
    long, short = i2i("plugin", "check", "shiny"), i2i("plugin", "check", "shiny", "--only", "scalar")
    whole, again = long.out.split("\nof these, failed:\n")
    failed = [line.split() for line in whole.splitlines() if " failed " in line]
    assert [
        line.split() for line in again.splitlines() if " failed " in line and "shiny: " not in line
    ] == failed
    assert failed
    assert " passed" not in again.splitlines()[2]
    assert "of these" not in short.out


def test_the_slowest_checks_are_told_with_their_seconds(i2i, shiny, monkeypatch):
    quick = i2i("plugin", "check", "shiny", "--only", "shiny/sound")
    assert "slowest: " not in quick.out
    monkeypatch.setattr("i2i.cli.plugin.SLOW", 0.0)
    ended = i2i("plugin", "check", "shiny", "--only", "shiny/sound")
    (line,) = [line for line in ended.out.splitlines() if line.startswith("slowest: ")]
    told = line.removeprefix("slowest: ").split(", ")
    assert len(told) == 5
    assert all(re.fullmatch(r"paired-loss shiny/sound [a-z-]+ \d+\.\d s", part) for part in told)
    found = json.loads(i2i("plugin", "check", "shiny", "--only", "scalar", "--json").out)
    assert all(one["seconds"] >= 0 for one in found["outcomes"])


def test_one_check_alone(i2i, shiny):
    ended = i2i("plugin", "check", "shiny", "--only", "monotone", "--only", "registers", "--json")
    assert ended.code == 0
    found = json.loads(ended.out)
    assert (found["plugin"], found["ok"]) == ("shiny", True)
    assert [(one["component"], one["check"], one["status"]) for one in found["outcomes"]] == [
        ("plug-in shiny", "registers", "passed"),
        ("paired-loss shiny/sound", "monotone", "passed"),
        ("paired-loss shiny/upside-down", "monotone", "not run"),
    ]


def test_json_of_a_failure(i2i, shiny):
    ended = i2i("plugin", "check", "shiny", "--json", "--only", "paired-loss shiny/upside-down")
    assert ended.code == 6
    found = json.loads(ended.out)
    assert found["ok"] is False
    assert {one["component"] for one in found["outcomes"]} == {"paired-loss shiny/upside-down"}
    assert all(one["sentence"] for one in found["outcomes"] if one["status"] == "failed")


def test_a_parameter_that_must_be_given(i2i, shiny):
    without = i2i("plugin", "check", "shiny", "--only", "shiny/steady")
    assert without.code == 6
    assert "--set shiny/steady.factor=VALUE" in rows(without.out)["shiny/steady", "builds"][1]
    given = i2i("plugin", "check", "shiny", "--only", "shiny/steady", "--set", "shiny/steady.factor=0.5")
    assert given.code == 0


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (
            ("--only", "monoton"),
            "--only monoton: there is no such check or component - did you mean 'monotone'?",
        ),
        (("--set", "shiny/soud.x=1"), "there is no component 'shiny/soud' - did you mean 'shiny/sound'?"),
        (("--set", "shiny/sound.x"), "write it as KEY=VALUE"),
    ],
)
def test_names_that_are_not_there(i2i, shiny, arguments, reason):
    ended = i2i("plugin", "check", "shiny", *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert reason in ended.err


def test_a_plug_in_that_is_not_installed(i2i, shiny):
    ended = i2i("plugin", "check", "shinny")
    assert ended.code == 6
    assert ended.err.startswith("no plug-in 'shinny' is installed - did you mean 'shiny'? Installed: core")


def test_a_plug_in_that_is_switched_off(i2i, shiny, monkeypatch):
    monkeypatch.setenv("I2I_DISABLE", "shiny")
    ended = i2i("plugin", "check", "shiny", "--json")
    assert (ended.code, json.loads(ended.out)["exit"]) == (6, 6)
    assert ended.err == "the plug-in 'shiny' cannot be checked: I2I_DISABLE switches it off.\n"


def test_a_plug_in_that_cannot_be_loaded_fails_its_first_check(i2i, distribution):
    distribution("i2i-broken", "0.1", "broken", {"i2i_broken.py": "1 / 0"})
    ended = i2i("plugin", "check", "broken")
    assert ended.code == 6
    assert "ZeroDivisionError" in rows(ended.out)["broken", "registers"][1]


def test_a_file_can_be_checked_before_it_is_a_package(i2i, tmp_path, monkeypatch):
    import sys

    path = tmp_path / "my_losses_1.py"
    head = "from i2i import hookimpl\ni2i_api = 1\n@hookimpl\ndef i2i_register(registry):\n"
    path.write_text(head + "    registry.paired_loss('mine', ':Sound', 'a loss')\n" + LOSSES)
    monkeypatch.setattr(sys, "path", [*sys.path])
    assert i2i("plugin", "check", "local", "--plugin", str(path)).code == 0
    del sys.modules["my_losses_1"]


def test_a_single_file_may_import_what_it_likes(i2i, tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "import torch\nfrom i2i import hookimpl\n\ni2i_api = 1\n\n\n@hookimpl\ndef i2i_register(registry):\n"
        '    registry.schedule("flat", ":flat", "always one")\n\n\n'
        'def flat():\n    """Always one."""\n    return lambda step: float(torch.ones(()))\n'
    )
    ended = i2i("plugin", "check", "local", "--plugin", str(file))
    assert ended.code == 0, ended.out
    assert rows(ended.out)["local", "thin-import"] == ["passed"]
