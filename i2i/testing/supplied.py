"""A loss under examination, called as the engine calls it: with what it asks for beside its tensors."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import torch
from torch import Tensor

from i2i.context import Run
from i2i.kinds import Batch
from i2i.networks import CALLS, GIVEN, LossTerm, asked_of
from i2i.testing import samples
from i2i.testing.outcomes import fail

STEP = 3
"""The step that losses are told."""


class Supplied:
    """A loss that is called with its tensors alone, and is given what else it asks for.

    Its sources are one picture, as often and on the device as the tensors say.
    """

    def __init__(self, loss: Any, kind: str) -> None:
        self.loss, self.kind = loss, kind
        self._term = LossTerm("examined", kind, loss, 1.0)

    def __call__(self, *tensors: Any) -> Tensor:
        return self._term(*tensors, batch=_batch(tensors), run=_RUN)

    def __getattr__(self, name: str) -> Any:
        if name in ("loss", "kind", "_term"):  # not made yet, as in a copy
            raise AttributeError(name)
        found = getattr(self.loss, name)
        return self._method(name) if name in CALLS[self.kind] else found

    def _method(self, name: str) -> Any:
        method = getattr(self._term, name)
        return lambda fake, real: method(fake, real, batch=_batch((*fake, *real)), run=_RUN)


def supplied(loss: Any, kind: str) -> Any:
    """Return a loss as it is, or with what it asks for; end the check where that is not to be had."""
    asked: dict[str, bool] = {}
    for call, count in CALLS[kind].items():
        if not callable(getattr(loss, call, None) if call else loss):
            return loss  # another check says so
        asked |= asked_of(loss, call, count)
    for name, needed in asked.items():
        if needed and name not in GIVEN:
            fail(f"its call asks for '{name}', and losses are given {', '.join(GIVEN)}: give it a default")
    return Supplied(loss, kind) if asked.keys() & {*GIVEN} else loss


_RUN = cast("Run", SimpleNamespace(step=STEP))


def _batch(given: Any) -> Batch:
    like = next(tensor for tensor in _tensors(given))
    size = like.shape[-2:] if like.dim() == 4 else torch.Size((samples.SIDE, samples.SIDE))
    source = samples.images(1, 3, *size).to(like.device).expand(like.shape[0], -1, -1, -1)
    return Batch(source, source, tuple(f"pair {place}" for place in range(like.shape[0])))


def _tensors(value: Any) -> Any:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _tensors(item)
