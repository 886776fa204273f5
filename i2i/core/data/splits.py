"""Which split a pair belongs to where no folder says so: a matter of its name alone."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
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
