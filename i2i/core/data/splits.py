"""Which split a pair belongs to where no folder says so: a matter of its name alone."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, get_args

from annotated_types import Ge, Le

from i2i.kinds import Split

Share = Annotated[float, Ge(0), Le(1)]
Shares = tuple[Share, Share, Share]
"""How much of the data is for training, validation and testing; together 1."""

FOLDERS: Mapping[Split, tuple[str, ...]] = {
    "train": ("train",),
    "val": ("val", "valid", "validation"),
    "test": ("test",),
}
"""The names that a split's folder may have."""

LONGEST_PATTERN = 200
LONGEST_NAME = 255
MOST_REPEATS = 4
"""Caps on a regular expression and on what it is tried on: a stranger's recipe ends in bearable time."""

_QUOTED = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]")  # an escaped character, or a set in brackets
_MARK = re.compile(r"[()|*+]|\{\d*,\d*\}")


@dataclass(frozen=True)
class ByName:
    """How names decide about splits: the shares, and which names belong together."""

    shares: Shares
    group: re.Pattern[str] | None = None

    def split(self, name: str) -> Split:
        """Return the split of the pair called `name`."""
        return split_of(self.group_of(name), self.shares)

    def group_of(self, name: str) -> str:
        """Return what the names of one group share; a name that the expression does not match is alone."""
        match = self.group.search(name[:LONGEST_NAME]) if self.group else None
        if not match:
            return name
        return (match[1] if match.re.groups else match[0]) or name

    def without_test(self) -> ByName:
        """Return the rule that shares out the pairs of training and validation alone."""
        train, val, _ = self.shares
        both = train + val
        return ByName((train / both, val / both, 0.0), self.group) if both else self


def split_of(name: str, shares: Shares) -> Split:
    """Return the split of a pair: where sha256 of its name falls, as a number from 0 to 1.

    Other pairs have no part in it, so a pair that is added or removed moves none of the others.
    """
    place = (
        int.from_bytes(hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()[:8], "big") / 2**64
    )
    train, val, _ = shares
    if place < train:
        return "train"
    return "val" if place < train + val else "test"


def named_split(text: str) -> Split | None:
    """Return the split that a word in a manifest means."""
    return next((split for split in get_args(Split) if text.strip().lower() in FOLDERS[split]), None)


def check_shares(shares: Shares) -> None:
    """Raise ValueError unless `shares` make a whole."""
    if not math.isclose(sum(shares), 1, abs_tol=1e-6):
        raise ValueError(f"'splits' are shares of the whole and add up to 1, not to {sum(shares):g}")


def check_group(group: re.Pattern[str]) -> None:
    """Raise ValueError for an expression that could take for ever: a repeat inside a repeat, or too many."""
    if len(group.pattern) > LONGEST_PATTERN:
        raise ValueError(f"'group' is a short expression, of at most {LONGEST_PATTERN} characters")
    repeats, inside = 0, [False]
    bare = _QUOTED.sub("x", group.pattern)
    for found in _MARK.finditer(bare):
        mark = found[0]
        if mark == "(":
            inside.append(False)
        elif mark == ")" and len(inside) > 1:
            open_ended = inside.pop()
            if open_ended and bare[found.end() : found.end() + 1] in ("*", "+", "{"):
                message = "'group' repeats what repeats already, which can take for ever: keep one of the two"
                raise ValueError(message)
            inside[-1] |= open_ended
        elif mark != ")":
            inside[-1] = True
            repeats += mark != "|"
    if repeats > MOST_REPEATS:
        raise ValueError(f"'group' has at most {MOST_REPEATS} of *, + and {{}}; this one has {repeats}")
