"""Slot keys: what stands in a component's table beside `use` and belongs to the engine.

One class a kind; its fields, like a factory's parameters, are the keys, and are checked the same way.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from annotated_types import Ge, Le

Weight = Annotated[float, Ge(0)]
Count = Annotated[int, Ge(1), Le(10**9)]
Byte = Annotated[int, Ge(0), Le(255)]
Init = Literal["normal", "xavier", "kaiming", "orthogonal", "none"]
Place = Literal["loading", "device", "judging"]
InitFrom = Path | dict[str, Path]
Frozen = bool | tuple[str, ...]


@dataclass(frozen=True)
class AtTest:
    """Marks a parameter, in its annotation, as a test key: it changes no weights, and how they are used.

    ``steps: Annotated[int, Ge(1), AtTest()] = 4`` of a method, or of a network that its model files hold,
    can be given another value whenever a model translates or is scored.
    """

    @classmethod
    def marks(cls, annotation: Any) -> bool:
        """Whether an annotation has this mark, or a part of it has."""
        marked = any(isinstance(mark, cls) for mark in getattr(annotation, "__metadata__", ()))
        return marked or any(map(cls.marks, get_args(annotation)))


@dataclass(frozen=True, kw_only=True)
class NoSettings:
    """A table whose only slot key is `use`."""


@dataclass(frozen=True, kw_only=True)
class GeneratorSettings:
    """Slot keys of a generator.

    Args:
        init: how convolutions, linear layers and norms start; "none" leaves the module's own values.
        init_from: a weights file to start from instead (fine-tuning), or one for each of some groups.
        frozen: keep the network, or these groups of its parts, as they are: not trained, in eval mode.
    """

    init: Init = "normal"
    init_from: InitFrom | None = None
    frozen: Frozen | None = None


@dataclass(frozen=True, kw_only=True)
class DiscriminatorSettings:
    """Slot keys of a discriminator.

    Args:
        conditional: show it the source beside the image (source first); left out, what the method has to
            show beside the image.
        init: how convolutions, linear layers and norms start; "none" leaves the module's own values.
        init_from: a weights file to start from instead, or one for each of some groups.
        frozen: keep the network, or these groups of its parts, as they are: not trained, in eval mode.
    """

    conditional: bool | None = None
    init: Init = "normal"
    init_from: InitFrom | None = None
    frozen: Frozen | None = None


@dataclass(frozen=True, kw_only=True)
class NetworkSettings:
    """Slot keys of a network that is neither generator nor discriminator.

    Args:
        init: how convolutions, linear layers and norms start; "none" leaves the module's own values.
        init_from: a weights file to start from instead, or one for each of some groups.
        frozen: keep the network, or these groups of its parts, as they are: not trained, in eval mode.
    """

    init: Init = "normal"
    init_from: InitFrom | None = None
    frozen: Frozen | None = None


@dataclass(frozen=True, kw_only=True)
class LossSettings:
    """Slot keys of a loss between two images.

    Args:
        weight: its factor in the generator's objective.
        part: the part that it compares, by name, where the target has several files; left out, the whole.
    """

    weight: Weight = 1.0
    part: str | None = None


@dataclass(frozen=True, kw_only=True)
class JudgedLossSettings:
    """Slot keys of a loss that works through discriminators.

    Args:
        weight: its factor in the generator's objective.
        on: the discriminators it applies to; empty means all of them.
    """

    weight: Weight = 1.0
    on: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class PenaltySettings:
    """Slot keys of a penalty on discriminators.

    Args:
        weight: its factor in the discriminator's objective.
        on: the discriminators it applies to; empty means all of them.
        every: apply it each so many steps, with the weight times as much.
    """

    weight: Weight = 1.0
    on: tuple[str, ...] = ()
    every: Count = 1


@dataclass(frozen=True, kw_only=True)
class DataSettings:
    """Slot keys of the data.

    Args:
        batch_size: pairs in a batch.
        workers: processes that load images beside the training; 0 loads them in it.
        cache: "ram" keeps decoded images in memory; "auto" does so where they take at most a quarter
            of what is free.
        on_bad: what to do about items that cannot be used: "refuse" stops at the first; "skip" reads all
            before it starts, lists the bad ones and goes on without them.
        paired: false trains without pairs: beside a source stands any target of the training split, drawn
            anew each time. Held-out pairs stay pairs, so that translations are scored against their targets.
        fingerprint: what tells these data from others when a run goes on, or its model is scored: "names",
            the ids and the sizes of files; "contents" reads every pair at the start, and sees each pixel.
    """

    batch_size: Count = 1
    workers: Annotated[int, Ge(0), Le(256)] = 0
    cache: Literal["auto", "ram", "none"] = "auto"
    on_bad: Literal["refuse", "skip"] = "refuse"
    paired: bool = True
    fingerprint: Literal["names", "contents"] = "names"


@dataclass(frozen=True, kw_only=True)
class TransformSettings:
    """Slot keys of a transform.

    Args:
        at: where it is applied: to each pair as it is loaded; to the batch, on the device, after all of
            those; or to what the discriminators see, real and fake alike, each time they look.
    """

    at: Place = "loading"


@dataclass(frozen=True, kw_only=True)
class MetricSettings:
    """Slot keys of a metric.

    Args:
        draws: answers drawn for each source; above 1 the metric gets `fake` as (draws,B,C,H,W).
        part: the part that it scores, by name, where the target has several files; its figures are called
            like mae(depth). Left out, it scores the whole.
    """

    draws: Count = 1
    part: str | None = None


@dataclass(frozen=True, kw_only=True)
class CallbackSettings:
    """Slot keys of a callback.

    Args:
        every: call its `step_end` each so many steps.
    """

    every: Count = 1
