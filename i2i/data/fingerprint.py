"""Whether data are those of another day: how many pairs, and a digest of their ids and of their files' sizes.

No image is opened. The order of the pairs counts too, for the order of training depends on it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from i2i.kinds import Data

Fingerprint = Mapping[str, Any]
"""``pairs``, a count; ``ids`` and ``file_sizes``, hexadecimal digits, where the data set offers them."""

_WORDS = {
    "ids": "they have other ids, or come in another order",
    "file_sizes": "their files have other sizes",
}


def fingerprints(splits: Mapping[str, Any]) -> dict[str, Fingerprint]:
    """Return the fingerprint of each split."""
    return {split: fingerprint(data) for split, data in splits.items()}


def fingerprint(data: Data) -> Fingerprint:
    """Return the fingerprint of a data set: of its `ids` and `file_sizes` if it has them, else its length."""
    found: dict[str, Any] = {"pairs": len(data)}
    for name in _WORDS:
        values = getattr(data, name, None)
        if isinstance(values, Sequence) and len(values) == len(data):
            found[name] = _digest(values)
    return found


def differences(before: Mapping[str, Fingerprint], now: Mapping[str, Fingerprint]) -> list[str]:
    """Return what has changed of each split, in a sentence; what only one side knows is not compared."""
    told = []
    for split in before.keys() & now.keys():
        then, here = before[split], now[split]
        if then["pairs"] != here["pairs"]:
            told.append(f"the split '{split}' had {then['pairs']:,} pairs, and has {here['pairs']:,} now")
            continue
        changed = [words for name, words in _WORDS.items() if _differ(then.get(name), here.get(name))]
        if changed:
            told.append(f"the pairs of the split '{split}' are others: {' and '.join(changed)}")
    return sorted(told)


def _differ(before: str | None, now: str | None) -> bool:
    return before is not None and now is not None and before != now


def _digest(values: Iterable[object]) -> str:
    """Return a digest of a sequence of values, each ended by what no text holds."""
    text = "".join(f"{value}\0" for value in values)
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
