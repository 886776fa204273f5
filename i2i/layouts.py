"""Layouts: how the weights of a network elsewhere become those of a component here.

`i2i import` reads the tensors of a ``.pth`` file and asks each layout that is installed whether it knows
them, by their names and shapes alone. A package declares one with ``registry.layout(name,
"package.module:LAYOUT", summary)``; it belongs to the package whose component the network becomes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from i2i.records import TestSettings

Shapes = Mapping[str, tuple[int, ...]]
"""The shape of each tensor of a file, by its name there."""


@dataclass(frozen=True)
class Make:
    """What the tensors of a file tell about the network that they are of.

    `table` are the keys of its component, as a recipe would have them, and `channels` what the engine gives
    otherwise, such as `in_channels`. `rename` returns the file's name of the tensor that the component calls
    by the given one. `zero` says whether a tensor that a file lacks, by its name there, is zero, and `unused`
    whether one that has no place here is left out on purpose; None: there is no such. Anything else that does
    not fit is refused.

    Of a generator, `size` is the side of the square pictures that it was made for, in pixels, and `test` how
    that implementation runs a trained one.
    """

    table: Mapping[str, Any]
    channels: Mapping[str, Any]
    rename: Callable[[str], str] = str
    zero: Callable[[str], bool] | None = None
    unused: Callable[[str], bool] | None = None
    size: int = 256
    test: TestSettings = field(default_factory=TestSettings)


@dataclass(frozen=True)
class Layout:
    """A network of somebody's implementation, and the component that it is here.

    `title` stands in sentences ("looks like a U-Net"); `component` is a reference, as `use` has it. `claims`
    says whether tensors of these names and shapes are of such a network, by what no other network has.
    `make` is asked for those alone, and raises LookupError with the name of a tensor that is missing or of
    another number of dimensions.
    """

    title: str
    kind: Literal["generator", "discriminator", "network"]
    component: str
    claims: Callable[[Shapes], bool]
    make: Callable[[Shapes], Make]


def size_along(shapes: Shapes, name: str, axis: int, *, dimensions: int = 4) -> int:
    """Return the length of a tensor along an axis; LookupError where it is missing or of other dimensions."""
    shape = shapes.get(name, ())
    if len(shape) != dimensions:
        raise LookupError(name)
    return shape[axis]
