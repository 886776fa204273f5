"""Whether data are those of another day: how many pairs, and a digest of their ids and of their files' sizes.

No image is opened, unless the contents are asked for. The order of the pairs counts too, for the order of
training depends on it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch

from i2i.data.extra import extra_of
from i2i.kinds import Data

Fingerprint = Mapping[str, Any]
"""``pairs``, a count; ``ids`` and ``file_sizes``, hexadecimal digits, where the data set offers them;
``contents``, of all pixels, where they were asked for."""

_WORDS = {
    "ids": "they have other ids, or come in another order",
    "file_sizes": "their files have other sizes",
    "contents": "their pixels are others",
}


def fingerprints(splits: Mapping[str, Any], *, contents: bool = False) -> dict[str, Fingerprint]:
    """Return the fingerprint of each split."""
    return {split: fingerprint(data, contents=contents) for split, data in splits.items()}


def fingerprint(data: Data, *, contents: bool = False) -> Fingerprint:
    """Return the fingerprint of a data set: of its `ids` and `file_sizes` if it has them, else its length.

    With `contents` every pair is read, and its stored values are in it too.
    """
    found: dict[str, Any] = {"pairs": len(data)}
    if contents:
        digest = hashlib.sha256()
        for index in range(len(data)):
            item = data[index]
            for image in (item["source"], item["target"], *(item[name] for name in sorted(extra_of(data)))):
                digest.update(f"{image.dtype}{tuple(image.shape)}".encode())
                digest.update(image.contiguous().view(torch.uint8).numpy().data)
        found["contents"] = digest.hexdigest()
    for name in ("ids", "file_sizes"):
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
    digest = hashlib.sha256()
    for value in values:
        digest.update(f"{value}\0".encode(errors="surrogatepass"))
    return digest.hexdigest()
