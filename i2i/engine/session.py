"""Everything that one run is made of.

A session is built the same way whether it starts, resumes or only rehearses: from the recipe, the
data and the runtime. It takes steps and scores itself; `stored` writes it down and reads it back.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from i2i.abilities import Observes, Stateful
from i2i.augmentation import Augmentation
from i2i.building import components
from i2i.building.compiled import begin_step, compile_networks, eager
from i2i.building.written_model import size_multiple
from i2i.context import Keep, Run, Show, Tell
from i2i.data.extra import extra_of
from i2i.data.scale import pictures_of, scale_of
from i2i.data.stream import Epochs, HeldOutPairs, collate, held_out_batches, training_batches
from i2i.data.views import First
from i2i.engine.average import Average
from i2i.engine.exported_model import Exported, exported_networks
from i2i.engine.part_metrics import build_metrics
from i2i.engine.scoring import Scorer, Scores, Spectator
from i2i.engine.stages import Stages
from i2i.engine.waiting import check_figures
from i2i.engine.worst import Worst
from i2i.kinds import Data, Method, Transform
from i2i.processes.group import ALONE, Group
from i2i.recipe.recipe import Recipe
from i2i.records import Batch, PairSpec, Pictures, Scale
from i2i.slot_keys import Place
from i2i.system.device import Runtime

WORST_SHOWN = 6
"""Held-out images that are kept for their bad scores."""

FEW = 4
"""Training pairs that a metric is prepared on in a rehearsal."""


@dataclass
class Duties:
    """What is still owed to the step just made, in this order: callbacks to tell of it, a validation.

    A checkpoint is saved before any of it, and holds it: whoever resumes from there does it first.
    """

    callbacks: list[str] = field(default_factory=list)
    validation: bool = False
    logs: Mapping[str, Tensor] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.callbacks) or self.validation


class Session:
    """The built parts of a run: networks, losses, method, optimizers, schedules, metrics, callbacks.

    `run` makes what the method and the callbacks see of it, for who wants to look over its shoulder. Each
    process of a `group` has a session of its own, and takes its share of every batch.
    """

    def __init__(
        self,
        recipe: Recipe,
        *,
        data: Mapping[str, Data],
        runtime: Runtime,
        provenance: Mapping[str, Any],
        folder: Path | None = None,
        start: bool = True,
        show: Show = lambda step, batch, fake: None,
        keep: Keep = lambda step, kind, values: None,
        tell: Tell = lambda step, text: None,
        run: Callable[..., Run] = Run,
        group: Group = ALONE,
    ) -> None:
        self.recipe, self.runtime, self.group = recipe, runtime, group
        self.data, self.provenance = data, provenance
        self.spec: PairSpec = data["train"].spec
        self.scored: PairSpec = _scored_spec(self.spec, data)
        self.scale = scale_of(recipe, data["train"])
        self.accumulate = recipe.train.accumulate
        self.steps_per_epoch, self.total_steps = length_of(recipe, len(data["train"]))

        self.networks = components.build_networks(recipe, self.spec, start=start)
        for _, module in self.networks.modules():
            module.to(runtime.device, memory_format=runtime.memory_format)  # type: ignore[call-overload]
            module.train()
        self.stages = Stages(recipe, self.networks, self.total_steps)
        compile_networks(recipe, self.networks)
        self.losses = components.build_losses(
            recipe, runtime.device, self.spec, extra=extra_of(data["train"])
        )
        self.method: Method = components.make(
            recipe,
            recipe.method,
            networks=self.networks,
            losses=self.losses,
            augmentation=Augmentation(self._transforms("judging"), self.spec),
            spec=self.spec,
        )
        self.optimizers = components.build_optimizers(recipe, self.networks)
        self._base_rates = {path: _rates(optimizer) for path, optimizer in self.optimizers.items()}
        self.schedules = components.build_schedules(
            recipe,
            self.optimizers,
            total_steps=self.total_steps,
            steps_per_epoch=max(1, round(self.steps_per_epoch)),
        )
        draws = {slot.name: slot.settings.draws for slot in recipe.section("metrics")}
        metrics = build_metrics(recipe, self.scored)
        self.scorer = Scorer(metrics, self.scored, runtime, seed=recipe.seed, draws=draws)
        self.callbacks = components.build_callbacks(recipe, self.spec)
        averaged = {**self.networks.generators} | {
            path: module
            for path, module in exported_networks(recipe, self.networks).items()
            if path.startswith("networks.")
        }
        self.average = Average(averaged, recipe.train.ema) if recipe.train.ema else None
        self.exported = Exported(
            self.method,
            self.average,
            runtime,
            size_multiple=size_multiple(exported_networks(recipe, self.networks)),
            eagerly=partial(eager, recipe),
        )
        self.scores = Scores()
        self.worst = Worst(WORST_SHOWN, self.scorer.directions)
        self.best: dict[str, float] = {}
        self._copied: Scores | None = None
        self._prepared = False
        self.waited = 0
        self.saved_by = 1
        """Processes that saved the state which this session went on from."""
        self.run = run(
            seed=recipe.seed,
            runtime=runtime,
            networks=self.networks,
            losses=self.losses,
            directions=self.scorer.directions,
            optimizers=self.optimizers,
            clip=recipe.train.clip,
            folder=folder,
            total_steps=self.total_steps,
            log_every=recipe.train.log_every,
            exported=self.exported,
            held_out=partial(_held_out, data, self.scale, runtime),
            show=show,
            keep=keep,
            tell=tell,
            group=group,
        )
        self.run.stage = self.stages.enter(0)  # now that optimizers know what any stage trains
        self.figures: dict[str, float] = {}
        check_figures(recipe, self.schedules, self.scorer.directions)

    # --- one step -------------------------------------------------------------------------------

    @property
    def step(self) -> int:
        """Steps that are done."""
        return self.run.step

    @property
    def is_over(self) -> bool:
        """Whether the last step is done, or the last that its patience allows."""
        return self.step >= self.total_steps or self.out_of_patience

    @property
    def epoch(self) -> float:
        """Epochs that are done."""
        return self.step / self.steps_per_epoch

    def advance(self, batches: Sequence[Batch]) -> Mapping[str, Tensor]:
        """Take one step on `batches`, which are on the device; return what was logged, still there."""
        self.pace_losses(self.step)
        for path, schedule in self.schedules.items():
            if path.startswith("losses."):
                continue
            factor = schedule(self.step)
            for group, rate in zip(self.optimizers[path].param_groups, self._base_rates[path], strict=True):
                group["lr"] = rate * factor
        self.run.stage = self.stages.enter(self.step)
        self.run.begin(self.step, self.epoch, ids=[name for batch in batches for name in batch.ids])
        begin_step(self.recipe)
        logs = self.method.step(batches, self.run)
        if self.average:
            self.average.update()
        self.run.finish()
        found: Mapping[str, Tensor] = _without_graphs(logs)
        return found

    def pace_losses(self, step: int) -> None:
        """Put the factors of schedules on the weights of losses, as they are at `step`."""
        for path, schedule in self.schedules.items():
            if path.startswith("losses."):
                self.losses.factors[path.removeprefix("losses.")] = float(schedule(step))

    def try_stages(self, batches: Sequence[Batch]) -> None:
        """Take the first step of each further stage, for a rehearsal, and go back to the step before."""
        before = self.step
        for step in self.stages.begins()[1:]:
            self.run.step = step
            self.advance(batches)
        self.run.step = before
        self.run.stage = self.stages.enter(max(before - 1, 0))

    def batches(self, *, last: int, workers: int | None = None) -> Iterator[Batch]:
        """Yield batches on the device, from this step's first one up to `last`, counted from the start.

        They are loaded by so many processes; by default, as many as the recipe says.
        """
        settings = self.recipe.data.settings
        return training_batches(
            self.data["train"],
            self._transforms("loading"),
            settings if workers is None else replace(settings, workers=workers),
            seed=self.recipe.seed,
            first=self.step * self.accumulate,
            last=last,
            on_device=self._transforms("device"),
            place=lambda batch: batch.moved(self.runtime.place),
            share=self.group.rank,
            shares=self.group.size,
        )

    def _transforms(self, place: Place) -> dict[str, Transform]:
        return components.build_transforms(self.recipe, at=place, spec=self.spec)

    def learning_rates(self) -> dict[str, float]:
        """Return the learning rate of each network in the step just taken."""
        return {path: optimizer.param_groups[0]["lr"] for path, optimizer in self.optimizers.items()}

    # --- scoring --------------------------------------------------------------------------------

    def evaluate(self) -> tuple[dict[str, float], dict[str, float]]:
        """Return the figures of the exported model on the validation split, and those of its inputs.

        Several processes translate in turns, and the first one scores.
        """
        self.share_buffers()
        if self.group.rank:
            self.scores = self._scored(self.scorer, group=self.group)
            self.figures, copied = self.group.share(None)
            return self.figures, copied
        figures, copied = self._evaluate()
        self.group.share([figures, copied])
        return figures, copied

    def share_buffers(self) -> None:
        """Give all processes the first one's buffers: running statistics, of which each saw its share."""
        buffers = [buffer for _, module in self.networks.modules() for buffer in module.buffers()]
        self.group.share_tensors([*buffers, *(self.average.buffers() if self.average else ())])

    def _evaluate(self) -> tuple[dict[str, float], dict[str, float]]:
        if not self._prepared:
            for metric in self.scorer.unprepared.values():
                metric.prepare(self.data["train"])
            self._prepared = True
        if self._copied is None:
            self._copied = self.scorer.copy_input(self._held_out_batches())
        self.worst = Worst(WORST_SHOWN, self.scorer.directions)
        # Beside a target that is not its own, no image is worse than another.
        watching = self.worst if self.scored.aligned else None
        self.scores = self._scored(self.scorer, spectator=watching, group=self.group)
        self.figures = self.scores.figures
        return self.figures, self._copied.figures

    def copied(self, figure: str, image: str) -> float | None:
        """Return what copying the input scores on one validation image, if that is known."""
        values = self._copied.images.get(figure) if self._copied else None
        return None if values is None else values[self.scores.ids.index(image)]

    def try_metrics(self) -> None:
        """Score the first held-out batch, for a rehearsal.

        A metric that must be prepared is so on a few pairs, as one that cannot be would be found out at the
        first validation; it is left out of the scoring. So are the figures of sets, which take more images:
        DataError says where the split has too few of them.
        """
        if not self.scorer.metrics:
            return  # there may be no held-out images either
        self.scorer.check_count("val", len(self.data["val"]))
        unprepared = self.scorer.unprepared
        for metric in unprepared.values():
            metric.prepare(First(self.data["train"], FEW))
        scorer, limit = self.scorer.without(unprepared), self.recipe.data.settings.batch_size
        if scorer.metrics:
            scorer.copy_input(self._held_out_batches(limit), trial=True)
            self.scores = self._scored(scorer, limit, trial=True)
            self.figures = self.scores.figures

    def _scored(
        self,
        scorer: Scorer,
        limit: int | None = None,
        *,
        spectator: Spectator | None = None,
        trial: bool = False,
        group: Group = ALONE,
    ) -> Scores:
        batches = self._held_out_batches(limit)
        with self.exported() as translate:
            return scorer.score(translate, batches, spectator=spectator, trial=trial, group=group)

    def _held_out_batches(self, limit: int | None = None) -> Iterator[Batch]:
        settings = self.recipe.data.settings
        return held_out_batches(self.data["val"], settings, limit=limit, scale=self.scale)

    def observe(self, metrics: Mapping[str, float]) -> None:
        """Tell the schedules that listen what the validation found."""
        for schedule in self.schedules.values():
            if isinstance(schedule, Observes):
                schedule.observe(metrics)

    @property
    def out_of_patience(self) -> bool:
        """Whether as many validations as the recipe's `patience` have found no better figure."""
        patience = self.recipe.train.patience
        return patience is not None and self.waited >= patience

    def is_best(self) -> bool:
        """Whether the last figures beat all before them by the recipe's `save_best`; keeps them if so."""
        if self.recipe.train.save_best is None:
            return False
        self.waited += 1
        name, _, way = self.recipe.train.save_best.partition(":")
        value, best = self.figures[name], self.best.get(name)
        if not math.isfinite(value):
            return False
        if best is not None and (value >= best if way == "min" else value <= best):
            return False
        self.best = dict(self.figures)
        self.waited = 0
        return True

    @cached_property
    def pictures(self) -> Pictures | None:
        """What kind of files the training pictures are, as far as that is known."""
        return pictures_of(self.data["train"])

    def stateful(self) -> dict[str, Stateful]:
        """Every part with a state of its own, beside the networks."""
        parts: dict[str, Any] = {
            f"optimizers.{path}": optimizer for path, optimizer in self.optimizers.items()
        }
        parts |= {f"schedules.{path}": schedule for path, schedule in self.schedules.items()}
        parts |= {f"callbacks.{name}": callback for name, callback in self.callbacks.items()}
        parts |= {f"losses.{term.name}": term.loss for term in self.losses.terms}
        parts |= {"method": self.method, "average": self.average}
        return {name: part for name, part in parts.items() if hasattr(part, "state_dict")}


def _without_graphs(logs: Any) -> Any:
    """Return what a step logged without graphs, none of which outlives its step; what is no logs stays."""
    if not isinstance(logs, Mapping):
        return logs
    return {k: value.detach() if isinstance(value, Tensor) else value for k, value in logs.items()}


def length_of(recipe: Recipe, pairs: int) -> tuple[float, int]:
    """Return the steps of an epoch over `pairs`, and those of the whole run, which is not in minutes."""
    epochs = Epochs(pairs, recipe.data.settings.batch_size, recipe.seed)
    steps = epochs.batches / recipe.train.accumulate
    return steps, recipe.train.steps or math.ceil((recipe.train.epochs or 0) * steps)


def _held_out(data: Mapping[str, Data], scale: Scale, runtime: Runtime, count: int) -> Batch:
    """Return `count` validation pairs, spread evenly over the split, as one batch on the device."""
    return collate(HeldOutPairs(data["val"], scale=scale).spread(count)).moved(runtime.place)


def _scored_spec(spec: PairSpec, data: Mapping[str, Data]) -> PairSpec:
    """Return the spec of what is scored: its targets may belong to their sources where training's do not."""
    return replace(spec, aligned=data["val"].spec.aligned) if "val" in data else spec


def _rates(optimizer: torch.optim.Optimizer) -> list[float]:
    return [group["lr"] for group in optimizer.param_groups]
