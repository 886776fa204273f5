"""Which emojis make a clean pair: something to see in the drawing, something to colour, lines that stay.

For the version of OpenMoji that the list beside this file was made from, the list is the selection;
for any other the filter runs, which takes some 10 seconds. ``python -m i2i_openmoji.selection`` prints
what the filter selects from the installed version, one name a line: so the list was made.
"""

from __future__ import annotations

import logging
from importlib.resources import files
from typing import TYPE_CHECKING

from i2i_openmoji.rendering import OPENMOJI_VERSION, all_names, render_pair

if TYPE_CHECKING:
    from torch import Tensor

FILTER_SIZE = 64
"""Height and width in pixels at which pairs are judged."""

_SKIN_TONES = range(0x1F3FB, 0x1F400)
_REGIONAL_INDICATORS = range(0x1F1E6, 0x1F200)  # two of them spell the flag of a country
_TAGS = range(0xE0020, 0xE0080)  # they spell the flag of a region
_LEFT_OUT = range(0xE000, 0xE010)  # OpenMoji's own; left out of the published selection of 1,381

_log = logging.getLogger("i2i")


def shipped_names(version: str) -> list[str] | None:
    """Return the list made for `version` of OpenMoji, or None where there is none."""
    file = files("i2i_openmoji") / f"selection-{version}.txt"
    return file.read_text(encoding="utf-8").split() if file.is_file() else None


def is_candidate(name: str) -> bool:
    """Whether an emoji is no flag, no skin-tone variant and none of those left out.

    A skin tone by itself is a swatch, not a variant.
    """
    points = [int(code, 16) for code in name.split("-")]
    flag = any(point in _REGIONAL_INDICATORS or point in _TAGS for point in points)
    return not flag and not any(point in _SKIN_TONES for point in points[1:]) and points[0] not in _LEFT_OUT


def is_clean(pair: Tensor) -> bool:
    """Whether a pair (2,3,H,W) of `FILTER_SIZE` is worth learning from.

    At least 2 % of the source is drawn on, at least 2 % of the target has a colour, and of the
    source's black pixels at least 90 % are dark in the target, that is, not painted over.
    """
    source, target = pair
    drawn = source.amin(0) < 128
    coloured = target.amax(0) - target.amin(0) > 24
    black = source.amax(0) < 64
    dark = target.amax(0) < 110
    return bool(
        drawn.float().mean() >= 0.02
        and coloured.float().mean() >= 0.02
        and black.any()
        and dark[black].float().mean() >= 0.90
    )


def filter_names(names: list[str]) -> list[str]:
    """Return the clean ones of `names`, in their order, the first of each line drawing."""
    kept, drawings = [], set()
    for name in names:
        if not is_candidate(name):
            continue
        pair = render_pair(name, FILTER_SIZE)
        drawing = pair[0].numpy().tobytes()
        if drawing not in drawings and is_clean(pair):
            drawings.add(drawing)
            kept.append(name)
    return kept


def compute_names() -> list[str]:
    """Return the selection from the installed version of OpenMoji by its filter."""
    names = all_names()
    _log.info(
        "choosing among the %d emojis of OpenMoji %s, once: a quarter of a minute",
        len(names),
        OPENMOJI_VERSION,
    )
    return filter_names(names)


if __name__ == "__main__":
    print("\n".join(compute_names()))
