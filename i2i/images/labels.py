"""Maps of classes: from indices or colours in a file to one channel a class, and back to colours.

In memory a map is (C,H,W) uint8, 1 in the channel of each pixel's class and 0 in all others. Nothing
here mixes classes: there is no in-between of two of them.
"""

from __future__ import annotations

import colorsys

import torch
from torch import Tensor

from i2i.errors import DataError, Problem
from i2i.images.reading import DEPTHS
from i2i.records import Colour, ImageSpec, Part


def label_spec(classes: int | tuple[Colour, ...], *, height: int, width: int) -> ImageSpec:
    """Return the spec of a map of `classes`: so many by index, or these by colour."""
    count = classes if isinstance(classes, int) else len(classes)
    palette = () if isinstance(classes, int) else classes
    return ImageSpec(count, height, width, low=0.0, high=1.0, labels=True, palette=palette)


def one_hot(
    image: Tensor, spec: ImageSpec | Part, *, lossy: bool, void: int | None = None, key: str = "labels"
) -> Tensor:
    """Return the classes in a decoded image as (C,H,W) uint8, 1 where a pixel is of that class.

    `image` holds indices (1,H,W), or RGB where `spec` has a palette. Colours of a `lossy` file, a JPEG,
    count as the nearest class; of any other file each must be one of the palette. The index `void` is that
    of the last class; `key` is what the recipe calls the classes. Raises DataError for
    an index or a colour that is no class, and for indices in a lossy file: what lies a little off an
    index is another class.
    """
    indices = (
        _by_colour(image, spec.palette, lossy=lossy)
        if spec.palette
        else _by_index(image, spec.channels, lossy=lossy, void=void, key=key)
    )
    return (indices == torch.arange(spec.channels).view(-1, 1, 1)).to(torch.uint8)


def in_colours(one_hot: Tensor, spec: ImageSpec) -> Tensor:
    """Return a map (C,H,W) as a picture for people, (3,H,W) in [0,1]: its palette's, or made-up colours."""
    if spec.palette:
        palette = torch.tensor(spec.palette, device=one_hot.device) / 255
    else:
        golden = 0.61803  # of the circle: hues that follow each other this far apart never come close
        made_up = [colorsys.hsv_to_rgb(n * golden % 1, 0.75, 0.95) for n in range(spec.channels)]
        palette = torch.tensor(made_up, device=one_hot.device)
    return palette[one_hot.argmax(dim=0)].permute(2, 0, 1)


def _by_index(image: Tensor, classes: int, *, lossy: bool, void: int | None, key: str) -> Tensor:
    """Return (H,W) class indices from a grey image, or one whose colours are all grey."""
    if lossy:
        message = "this label map is in a format that changes values, and its classes are known by index."
        raise DataError(Problem(message, hint="save it anew as PNG, from where it was made"))
    first = image[0]
    if any(not torch.equal(first, channel) for channel in image[1:3]):
        message = "this label map is in colour, and its classes are known by index."
        hint = "list the colours of the classes, or save it as an index image"
        raise DataError(Problem(message, hint=hint))
    indices = first.long()
    if not torch.equal(indices.to(first.dtype), first):
        raise DataError("this label map has values between whole numbers, which are no classes.")
    if void is not None:
        indices = torch.where(indices == void, classes - 1, indices)
    least, most = int(indices.min()), int(indices.max())
    if least < 0 or most >= classes:
        message = f"this label map has values from {least} to {most}; the classes are 0 to {classes - 1}."
        raise DataError(Problem(message, hint=_advice(indices, classes, key)))
    return indices


def _advice(indices: Tensor, classes: int, key: str) -> str:
    """Say what the usual ways of writing a map that does not count from 0 are, and the key for each."""
    found = torch.unique(indices).tolist()
    if set(found) == {0, 255}:
        return f"a mask of 0 and 255 is known by its colours: {key} = [[0, 0, 0], [255, 255, 255]]"
    if found[-1] == 255 and classes < 255 and all(index < classes for index in found[:-1]):
        return f"255 for pixels of no class gets one of its own: data.void = 255, {key} = {classes + 1}"
    if found[0] >= 1 and found[-1] == classes:
        return f"classes are counted from 0: where yours are from 1 on, {key} = {classes + 1}"
    return ""


def _by_colour(image: Tensor, palette: tuple[Colour, ...], *, lossy: bool) -> Tensor:
    """Return (H,W) class indices from 8-bit RGB."""
    if image.dtype != torch.uint8 or image.shape[0] not in (1, 3, 4):
        found = f"{image.shape[0]} channel(s) of {DEPTHS[image.dtype]}"
        raise DataError(f"classes are known by their 8-bit colours, and this image has {found}.")
    rgb = image.expand(3, -1, -1) if image.shape[0] == 1 else image[:3]
    codes = (rgb[0].int() << 16) | (rgb[1].int() << 8) | rgb[2].int()
    values, places = torch.unique(codes, return_inverse=True)
    colours = torch.stack((values >> 16, values >> 8 & 255, values & 255), dim=1)
    distances = torch.cdist(
        colours.float(), torch.tensor(palette).float(), compute_mode="donot_use_mm_for_euclid_dist"
    )
    distance, nearest = distances.min(dim=1)
    if not lossy and bool(distance.any()):
        counts = torch.bincount(places.flatten()) * (distance > 0)
        commonest = tuple(colours[int(counts.argmax())].tolist())
        message = (
            f"this label map has {int((distance > 0).sum()):,} colour(s) that are no class, most of all "
            f"{commonest} in {int(counts.max()):,} pixels."
        )
        raise DataError(Problem(message, hint="list the colour of every class, background too"))
    return nearest[places]
