"""What a resolved recipe consists of: one slot for each component, and the settings of its training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Lt

from i2i.errors import Problem
from i2i.recipe.origins import Origin
from i2i.registry import Entry
from i2i.slot_keys import Count


@dataclass(frozen=True)
class Slot:
    """One component in its place, checked and ready to build.

    `section` is ``generators``, ``losses``, ``data``; `name` is the table's name within it, empty for data
    and method, and for optimizers and schedules what they are for (``generators``,
    ``discriminators.patch``, ``all``). `params` are all the factory's keywords but the `injected` ones;
    `settings` is an instance of the kind's settings; `origins` say where each key of the table was written,
    under "" where the table itself was.
    """

    section: str
    name: str
    entry: Entry
    factory: Callable[..., Any]
    params: Mapping[str, Any]
    settings: Any
    injected: frozenset[str]
    origins: Mapping[str, Origin] = field(repr=False, compare=False)

    @property
    def path(self) -> str:
        """Its place in a recipe: ``generators.main``, ``losses.l1``, ``data``."""
        return f"{self.section}.{self.name}" if self.name else self.section

    @property
    def kind(self) -> str:
        """The kind of its component."""
        return self.entry.kind

    def origin(self, key: str = "") -> Origin:
        """Return where `key` of its table was written; where nobody wrote it, the table itself.

        Of a key within one that is a table, ``init_from.encoder``, that is where this one was written.
        """
        if key in self.origins:
            return self.origins[key]
        outer, _, inner = key.partition(".")
        within = bool(inner) and outer in self.origins
        return self.origins[outer].below(inner) if within else self.origins[""].below(key)

    def problem(self, message: str, hint: str = "", *, key: str = "") -> Problem:
        """Return a problem placed at the slot's table in the recipe, or at one `key` of it."""
        return self.origin(key).problem(message, hint)


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


STAGES = "stages"
"""The section that holds the stages of a run, by name."""


@dataclass(frozen=True, kw_only=True)
class StageSettings:
    """The keys of a table in `[stages]`, the parts of a run, in the order of the file.

    Args:
        until: where the stage ends, as a share of the run; the last stage has none.
        frozen: networks, and groups of their parts, that are not trained in it, by their paths.
    """

    until: Annotated[float, Gt(0), Lt(1)] | None = None
    frozen: tuple[str, ...] = ()


LENGTHS = ("steps", "epochs", "minutes")
"""The keys of `[train]` that say how long to train: a recipe has one of them."""


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """The keys of `[train]`.

    Args:
        steps: how long to train; give one of steps, epochs and minutes.
        epochs: how often to go through the data instead.
        minutes: as many steps instead as this machine makes in that time, settled once at the start.
        patience: end after so many validations without a better `save_best` figure.
        compile: a mode of torch.compile, like "default", in which each network is compiled; "no": none is.
        threads: threads that compute on a CPU; left out, all cores, or fewer where that is much faster.
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
    minutes: Annotated[float, Gt(0), Le(10**6)] | None = None
    patience: Count | None = None
    compile: str | None = None
    threads: Annotated[int, Ge(1), Le(1024)] | None = None
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    log_every: Count = 10
    eval_every: Count = 500
    save_every: Count = 500
    save_best: str | None = None
    keep: Count = 3
    ema: Annotated[float, Ge(0), Lt(1)] = 0.0
    accumulate: Count = 1
    clip: Annotated[float, Ge(0)] = 0.0

    @property
    def length(self) -> dict[str, float]:
        """How long to train, as the one key of `LENGTHS` that is given, and its value."""
        return {key: value for key in LENGTHS if (value := getattr(self, key)) is not None}
