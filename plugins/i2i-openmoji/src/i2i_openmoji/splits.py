"""The splits: by what an emoji shows, never by file, so that no variant of one is on both sides.

Variants share their base, the first code point. Where Unicode gives man, woman and person a code
point each, or joins any sign with one keycap, the first code point would part what belongs together.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from i2i.kinds import Split

_KEYCAP = "20E3"
_FAMILIES = (
    ("1F468", "1F469", "1F9D1"),  # man, woman, person
    ("1F466", "1F467", "1F9D2"),  # boy, girl, child
    ("1F474", "1F475", "1F9D3"),  # old man, old woman, older person
    ("1F478", "1F934", "1FAC5"),  # princess, prince, person with crown
    ("1F930", "1FAC3", "1FAC4"),  # pregnant woman, man, person
    ("1F46B", "1F46C", "1F46D"),  # couples holding hands
    ("1F385", "1F936"),  # Santa and Mrs. Claus
)
_BASE_OF = {code: family[0] for family in _FAMILIES for code in family}


def base_code_point(name: str) -> str:
    """Return what the variants of an emoji have in common: ``1F468`` for ``1F469-200D-1F9B0``."""
    codes = name.split("-")
    return _KEYCAP if codes[-1] == _KEYCAP else _BASE_OF.get(codes[0], codes[0])


def split_of(name: str) -> Split:
    """Return the split of an emoji: 85 % train, 7.5 % val, 7.5 % test of the bases, by their hash."""
    digest = hashlib.sha256(base_code_point(name).encode()).digest()
    place = int.from_bytes(digest[:8], "big") / 2**64
    if place < 0.85:
        return "train"
    return "val" if place < 0.925 else "test"
