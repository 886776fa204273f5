"""A loss under examination, called as the engine calls it: with what it asks for beside its tensors."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, cast

import torch
from torch import Tensor

from i2i.context import Run
from i2i.engine.scoring import SEEN
from i2i.kind_table import FIELD
from i2i.kinds import Batch
from i2i.networks import CALLS, GIVEN, LossTerm, asked_of
from i2i.testing import samples
from i2i.testing.outcomes import fail

STEP = 3
"""The step that losses are told."""


class Supplied:
    """A loss that is called with its tensors alone, and is given what else it asks for.

    Its sources are one picture, as often and on the device as the tensors say; each of the `fields` is a
    map of one channel that is 1 in its left half.
    """

    def __init__(self, loss: Any, kind: str, fields: Collection[str] = ()) -> None:
        self.loss, self.kind, self.fields = loss, kind, fields
        self._term = LossTerm("examined", kind, loss, 1.0)

    def __call__(self, *tensors: Any) -> Tensor:
        return self._term(*tensors, batch=_batch(tensors, self.fields), run=_RUN)

    def __getattr__(self, name: str) -> Any:
        if name in ("loss", "kind", "fields", "_term"):  # not made yet, as in a copy
            raise AttributeError(name)
        found = getattr(self.loss, name)
        return self._method(name) if name in CALLS[self.kind] else found

    def _method(self, name: str) -> Any:
        method = getattr(self._term, name)
        return lambda fake, real: method(fake, real, batch=_batch((*fake, *real), self.fields), run=_RUN)


def supplied(loss: Any, kind: str) -> Any:
    """Return a loss as it is, or with what it asks for; end the check where that is not to be had."""
    asked: dict[str, bool] = {}
    for call, count in CALLS[kind].items():
        if not callable(getattr(loss, call, None) if call else loss):
            return loss  # another check says so
        asked |= asked_of(loss, call, count)
    fields = declared_fields(loss)
    for name, needed in asked.items():
        if needed and name not in GIVEN and name not in fields:
            fail(
                f"its call asks for '{name}', and losses are given {', '.join(GIVEN)}: give it a default, "
                f"or, where it is a further field of the data, say so by '{FIELD}{name}' in `requires`"
            )
    return Supplied(loss, kind, fields) if asked.keys() & {*GIVEN, *fields} else loss


class SuppliedMetric:
    """A metric whose `update` is given the further fields of the data that it asks for, as losses are."""

    def __init__(self, metric: Any) -> None:
        self.metric = metric

    def update(self, source: Tensor, fake: Tensor, real: Tensor, ids: Sequence[str]) -> Any:
        """Call the metric's own with the fields."""
        fields = {name: _field(real) for name in declared_fields(self.metric)}
        return self.metric.update(source, fake, real, ids, **fields)

    def __getattr__(self, name: str) -> Any:
        if name == "metric":  # not made yet, as in a copy
            raise AttributeError(name)
        return getattr(self.metric, name)


def supplied_metric(metric: Any) -> Any:
    """Return a metric as it is, or with the fields that it says in `requires` that it needs."""
    asked = asked_of(metric, "update", SEEN) if callable(getattr(metric, "update", None)) else {}
    return SuppliedMetric(metric) if asked.keys() & declared_fields(metric) else metric


def declared_fields(component: Any) -> set[str]:
    """Return the further fields that a component says in `requires` that it needs."""
    needs = getattr(component, "requires", {})
    found = [need for need in needs if isinstance(need, str)] if isinstance(needs, Mapping) else []
    return {need.removeprefix(FIELD) for need in found if need.startswith(FIELD)}


_RUN = cast("Run", SimpleNamespace(step=STEP))


def _batch(given: Any, fields: Collection[str]) -> Batch:
    like = next(tensor for tensor in _tensors(given))
    size = like.shape[-2:] if like.dim() == 4 else torch.Size((samples.SIDE, samples.SIDE))
    source = samples.images(1, 3, *size).to(like.device).expand(like.shape[0], -1, -1, -1)
    extra = {name: _field(source) for name in fields}
    return Batch(source, source, tuple(f"pair {place}" for place in range(like.shape[0])), extra)


def _field(like: Tensor) -> Tensor:
    """Return a field for pictures (B,C,H,W): 1 in the left half of each."""
    field = torch.zeros_like(like[:, :1])
    field[..., : like.shape[-1] // 2] = 1
    return field


def _tensors(value: Any) -> Any:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _tensors(item)
