"""What is told of data as a whole: sizes that do not fit each other, and values that were hardly meant so."""

from __future__ import annotations

from collections.abc import Collection

from i2i.errors import Problem
from i2i.recipe.recipe import Recipe
from i2i.records import ImageSpec, PairSpec, Side

SLIVER = 0.25
"""Images that use no more of their range were probably stored with fewer bits: 14 of 16, or 6 of 8."""

FEW = 64
"""Whole numbers from 0 that stay below this may be the numbers of classes."""

Size = tuple[int, int]
"""Height and width."""


def size_problem(recipe: Recipe, spec: PairSpec, seen: Collection[tuple[Size, Size]] = ()) -> Problem | None:
    """Return what is wrong with the sizes of a split, if anything, and the key that mends it.

    `seen` are the sizes of pairs, source and target: where the data could be given a size and has none, they
    have to be alike.
    """
    if spec.source.size != spec.target.size:
        message = (
            f"the source is {_pixels(spec.source.size)} pixels and the target {_pixels(spec.target.size)}, "
            "and both have to be of one size."
        )
        return _with_key(recipe, message, spec.target.size)
    if len(set(seen)) > 1 and recipe.data.params.get("size", ...) is None:
        sizes = (
            sorted({target for _, target in seen}) if len({t for _, t in seen}) > 1 else [s for s, _ in seen]
        )
        message = (
            f"pairs are of different sizes, from {_pixels(sizes[0])} to {_pixels(sizes[-1])} pixels, and "
            "training takes place at one."
        )
        return _with_key(recipe, message, spec.target.size)
    return None


def value_remark(
    recipe: Recipe, side: Side, spec: ImageSpec, least: float, most: float, *, part: str = ""
) -> str | None:
    """Return what is odd about the values of a side, which go from `least` to `most`, and the key for it.

    Where the side has several files, that is of a `part` of it, and `spec` is the part's.
    """
    if spec.labels or spec.parts or not least <= most:
        return None
    whole = spec.depth != "float32"
    whose = f"'{part}' of the {side}" if part else f"the {side}"
    used = f"values of {whose} go from {least:g} to {most:g}"
    labels, span_of = (f"{side}_{key}{f'.{part}' if part else ''}" for key in ("labels", "range"))
    if whole and spec.channels == 1 and 1 <= most < FEW and f"{side}_labels" in recipe.data.params:
        return f"{used}: where these are class numbers, say data.{labels} = {int(most) + 1}"
    share = (most - least) / (spec.high - spec.low)
    if share > SLIVER:
        return None
    told = f"{used}, {share:.1%} of the range from {spec.low:g} to {spec.high:g}"
    if f"{side}_range" not in recipe.data.params or least == most:
        return told
    span = f"[0, {2 ** int(most).bit_length() - 1}]" if whole else f"[{least:.4g}, {most:.4g}]"
    return f"{told}: where that is all that there is, say data.{span_of} = {span}"


def _with_key(recipe: Recipe, message: str, size: Size) -> Problem:
    if "size" not in recipe.data.params:
        return Problem(message, hint="bring the images to one size")
    hint = f"say the size to train at, like data.size = [{size[0]}, {size[1]}] (height, width)"
    return Problem(message, where="data.size", hint=hint)


def _pixels(size: Size) -> str:
    """Return a size as people write it: width first."""
    return f"{size[1]}x{size[0]}"
