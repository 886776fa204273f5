"""What a resolved recipe consists of: one slot for each component, and the settings of its training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Lt

from i2i.registry import Entry
from i2i.slot_keys import Count


@dataclass(frozen=True)
class Slot:
    """One component in its place, checked and ready to build.

    `path` is ``generators.main``, ``losses.l1``, ``data``; `name` is what follows the section: the
    table's name, empty for data and method, and for optimizers and schedules what they are for
    (``generators``, ``discriminators.patch``, ``all``). `params` are all the factory's keywords but
    the `injected` ones; `settings` is an instance of the kind's settings.
    """

    path: str
    name: str
    entry: Entry
    factory: Callable[..., Any]
    params: Mapping[str, Any]
    settings: Any
    injected: frozenset[str]

    @property
    def kind(self) -> str:
        """The kind of its component."""
        return self.entry.kind


@dataclass(frozen=True, kw_only=True)
class HeadSettings:
    """The keys above the first table.

    Args:
        name: what a run's folder and report are called.
        summary: one line about it, for lists.
        seed: decides every random draw of a run.
    """

    name: str
    summary: str = ""
    seed: Annotated[int, Ge(0), Lt(2**32)] = 0


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """The keys of `[train]`.

    Args:
        steps: how long to train; give either steps or epochs.
        epochs: how often to go through the data instead.
        precision: the arithmetic of the forward pass; "auto" picks what this machine does well.
        log_every: write the losses each so many steps.
        eval_every: run the metrics each so many steps, and at the end.
        save_every: save a checkpoint each so many steps, and at the end.
        save_best: keep the weights with the best figure too, like "mae:min" or "psnr:max".
        keep: how many checkpoints stay on disk.
        ema: decay of an averaged copy of the weights, like 0.999; 0 means none.
        accumulate: batches that make one step.
        clip: largest norm of a network's gradient; 0 means no limit.
    """

    steps: Count | None = None
    epochs: Annotated[float, Gt(0), Le(10**6)] | None = None
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    log_every: Count = 10
    eval_every: Count = 500
    save_every: Count = 500
    save_best: str | None = None
    keep: Count = 3
    ema: Annotated[float, Ge(0), Lt(1)] = 0.0
    accumulate: Count = 1
    clip: Annotated[float, Ge(0)] = 0.0
