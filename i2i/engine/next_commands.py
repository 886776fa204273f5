"""What a person may type next, of a run that has ended or is under way."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from i2i.plugins.versions import RESOLVED
from i2i.runs.folder import RunFolder

UNFINISHED = ("stopped", "interrupted")


def as_typed(command: Sequence[str]) -> str:
    """Return a command as a person typed it, or could have."""
    return f"i2i {shlex.join(command)}"


def next_commands(folder: RunFolder, status: str, command: Sequence[str]) -> list[tuple[str, str]]:
    """Return label and command of what can be done with a run; `command` is the one that started it.

    A plug-in file that was named there is named again.
    """
    root, plugins = str(folder.root), _plugins(command)
    found = []
    if status in UNFINISHED:
        found.append(("go on to the end", _going_on(folder, plugins)))
    if folder.model.is_file():
        found.append(("translate your own images", ["translate", root, "my-images", "my-answers", *plugins]))
        found.append(("score it, image by image", ["eval", root, "--split", "val", *plugins]))
    return [(label, as_typed(arguments)) for label, arguments in found]


def going_on(folder: RunFolder, command: Sequence[str]) -> str:
    """Return what goes on with a run that was stopped, whatever it was begun with; `command` began it."""
    return as_typed(_going_on(folder, _plugins(command)))


def _going_on(folder: RunFolder, plugins: Sequence[str]) -> list[str]:
    return ["run", str(folder.root / RESOLVED), "--out", str(folder.root), *plugins]


def _plugins(command: Sequence[str]) -> list[str]:
    """Return the options of `command` that name a plug-in file."""
    options: list[str] = []
    for place, argument in enumerate(command):
        if argument == "--plugin":
            options += command[place : place + 2]
        elif argument.startswith("--plugin="):
            options.append(argument)
    return options
