"""What a discriminator says, in one form: a list of logit maps, whatever it returned.

A pixel discriminator gives (B,1,H,W), a patch discriminator (B,1,30,30), an image discriminator
(B,1) and a multi-scale one a list of those. Losses only ever see the list, so all of them are
interchangeable.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, overload

from torch import Tensor


@dataclass(frozen=True)
class Maps:
    """Logit maps, one a scale, and the features that led to each, for feature matching.

    Duck-typed: any object with these two attributes does.
    """

    logits: list[Tensor]
    features: list[list[Tensor]] = field(default_factory=list)


def as_maps(output: Any) -> list[Tensor]:
    """Return the logit maps in a discriminator's output: a tensor, a list of tensors, or `Maps`.

    Raises TypeError for anything else, and for an empty list.
    """
    if isinstance(output, Tensor):
        return [output]
    logits = getattr(output, "logits", output)
    if isinstance(logits, Sequence) and logits and all(isinstance(item, Tensor) for item in logits):
        return list(logits)
    raise TypeError(
        "a discriminator returns a tensor, a list of tensors, or an object with `logits` and `features`; "
        f"this one returned {type(output).__name__}"
    )


def as_features(output: Any) -> list[list[Tensor]]:
    """Return the features in a discriminator's output, a list of tensors for each scale.

    Empty where the discriminator hands out none.
    """
    features = getattr(output, "features", [])
    return [list(scale) for scale in features]


class Deferred(Sequence[Tensor]):
    """Logit maps that are computed when a loss first looks at them, and not at all if none does."""

    def __init__(self, compute: Callable[[], Any]) -> None:
        self._compute = compute

    @cached_property
    def _maps(self) -> list[Tensor]:
        return as_maps(self._compute())

    @overload
    def __getitem__(self, index: int) -> Tensor: ...
    @overload
    def __getitem__(self, index: slice) -> list[Tensor]: ...
    def __getitem__(self, index: int | slice) -> Tensor | list[Tensor]:
        return self._maps[index]

    def __len__(self) -> int:
        return len(self._maps)
