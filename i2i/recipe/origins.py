"""Where each key of a recipe was written, and the problems found with them, in the order of the files."""

from __future__ import annotations

import re
from dataclasses import dataclass

from i2i.errors import I2IError, PluginError, Problem, RecipeError, shortened
from i2i.recipe.toml_lines import KeyPath

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def dotted(path: KeyPath) -> str:
    """Return a key path as TOML writes it, quoting what needs it."""
    return ".".join(part if _BARE.fullmatch(part) else f'"{part}"' for part in path)


@dataclass(frozen=True)
class Origin:
    """A key as its author wrote it, and the place: a file's line, or ``--set …``.

    `rank` orders the sources as they were read: the recipe itself is 0, its parent 1, and so on. `word` is
    what the command line gave where it had no quotes and is no text in TOML, such as 2024.
    """

    where: str
    file: str
    line: int | None = None
    rank: int = 0
    word: str | None = None

    def below(self, *path: str) -> Origin:
        """Return the same place for a key further inside."""
        if not path:
            return self
        inside = dotted(path)
        return Origin(f"{self.where}.{inside}" if self.where else inside, self.file, self.line, self.rank)

    def problem(self, message: str, hint: str = "") -> Problem:
        """Return `message` at this place."""
        return Problem(message, self.where, self.file, self.line, hint)


class Findings:
    """Every problem of a recipe, gathered so that all of them are shown at once."""

    def __init__(self) -> None:
        self._found: list[tuple[tuple[int, int], Problem, bool]] = []

    def __len__(self) -> int:
        return len(self._found)

    def add(self, origin: Origin, message: str, hint: str = "") -> None:
        """Note one mistake in the recipe."""
        self._add(origin, message, hint, plugin=False)

    def add_error(self, origin: Origin, error: I2IError, hint: str = "") -> None:
        """Note what another part of i2i raised about the key at `origin`.

        A plug-in that fails is told once, however many tables name it.
        """
        plugin = isinstance(error, PluginError)
        told = {problem.message for _, problem, other in self._found if other}
        for problem in error.problems:
            if not plugin or problem.message not in told:
                hints = filter(None, (problem.hint, hint))
                self._add(origin, problem.message, "; ".join(hints), plugin=plugin)

    def _add(self, origin: Origin, message: str, hint: str, *, plugin: bool) -> None:
        self._found.append(((origin.rank, origin.line or 0), origin.problem(message, hint), plugin))

    def raise_any(self) -> None:
        """Raise all problems as one error, if there are any.

        It is a PluginError when plug-ins are all that is wrong, otherwise a RecipeError: a recipe
        that is mistaken stays so whatever is installed.
        """
        if not self._found:
            return
        found = sorted(self._found, key=lambda item: item[0])
        kind = PluginError if all(plugin for _, _, plugin in found) else RecipeError
        problems = [problem for _, problem, _ in found]
        raise kind(*shortened(problems, rest="mend these first"))
