"""Everything that one run is made of, and its whole state as files.

A session is built the same way whether it starts, resumes or only rehearses: from the recipe, the
data and the runtime. It takes steps, scores itself, and can be written down and read back.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from i2i.augmentation import Augmentation
from i2i.building import components
from i2i.context import Run
from i2i.data.scale import pictures_of, scale_of
from i2i.data.stream import Epochs, HeldOutPairs, collate, held_out_batches
from i2i.data.views import First
from i2i.engine import scoring
from i2i.engine.average import Average
from i2i.errors import PluginError, RecipeError
from i2i.images.resizing import padded
from i2i.kinds import Batch, PairSpec
from i2i.recipe.recipe import Recipe, Slot
from i2i.records import Pictures
from i2i.runs import state, weights
from i2i.runs.header import ModelHeader, portable, shareable
from i2i.system.device import Runtime

TRAINER = "trainer.safetensors"

FEW = 4
"""Training pairs that a metric is prepared on in a rehearsal."""


class Session:
    """The built parts of a run: networks, losses, method, optimizers, schedules, metrics, callbacks."""

    def __init__(
        self,
        recipe: Recipe,
        *,
        data: Mapping[str, Any],
        runtime: Runtime,
        provenance: Mapping[str, Any],
        folder: Path | None = None,
        start: bool = True,
        show: Callable[[Batch, Tensor], None] = lambda batch, fake: None,
    ) -> None:
        self.recipe, self.runtime = recipe, runtime
        self.data, self._provenance = data, provenance
        self.spec: PairSpec = data["train"].spec
        self.scale = scale_of(recipe, data["train"])
        self._pictures: Pictures | None = None
        epochs = Epochs(len(data["train"]), recipe.data.settings.batch_size, recipe.seed)
        self.accumulate = recipe.train.accumulate
        self.steps_per_epoch = epochs.batches / self.accumulate
        self.total_steps = recipe.train.steps or math.ceil((recipe.train.epochs or 0) * self.steps_per_epoch)

        self.networks = components.build_networks(recipe, self.spec, start=start)
        for _, module in self.networks.modules():
            module.to(runtime.device, memory_format=runtime.memory_format)  # type: ignore[call-overload]
            module.train()
        self.losses = components.build_losses(recipe, runtime.device)
        self.method = components.make(
            recipe,
            recipe.method,
            networks=self.networks,
            losses=self.losses,
            augmentation=Augmentation(components.build_transforms(recipe, at="judging"), self.spec),
        )
        self.optimizers = components.build_optimizers(recipe, self.networks)
        self._base_rates = {path: _rates(optimizer) for path, optimizer in self.optimizers.items()}
        self.schedules = components.build_schedules(
            recipe,
            self.networks,
            total_steps=self.total_steps,
            steps_per_epoch=max(1, round(self.steps_per_epoch)),
        )
        self.metrics = components.build_named(recipe, "metrics")
        self._draws = {slot.name: slot.settings.draws for slot in recipe.section("metrics")}
        self._copied: dict[str, float] | None = None
        self._prepared = False
        self.callbacks = components.build_named(recipe, "callbacks")
        self.average = Average(self.networks.generators, recipe.train.ema) if recipe.train.ema else None
        self.figures: dict[str, float] = {}
        self.scores = scoring.Scores()
        self.best: dict[str, float] = {}
        self.run = Run(
            seed=recipe.seed,
            runtime=runtime,
            optimizers=self.optimizers,
            clip=recipe.train.clip,
            folder=folder,
            total_steps=self.total_steps,
            exported=self.exported,
            held_out=self.held_out,
            show=show,
        )
        self.directions = scoring.directions(self.metrics)
        self._check_figures()

    # --- one step -------------------------------------------------------------------------------

    @property
    def step(self) -> int:
        """Steps that are done."""
        return self.run.step

    @property
    def epoch(self) -> float:
        """Epochs that are done."""
        return self.step / self.steps_per_epoch

    def advance(self, batches: Sequence[Batch]) -> Mapping[str, Tensor]:
        """Take one step on `batches` and return what the method logged, still on the device."""
        for path, schedule in self.schedules.items():
            factor = schedule(self.step)
            for group, rate in zip(self.optimizers[path].param_groups, self._base_rates[path], strict=True):
                group["lr"] = rate * factor
        self.run.begin(self.step, self.epoch)
        placed = [self.placed(batch) for batch in batches]
        logs: Mapping[str, Tensor] = self.method.step(placed, self.run)
        if self.average:
            self.average.update()
        self.run.finish()
        return logs

    def learning_rates(self) -> dict[str, float]:
        """Return the learning rate of each network in the step just taken."""
        return {path: optimizer.param_groups[0]["lr"] for path, optimizer in self.optimizers.items()}

    # --- translating and scoring ---------------------------------------------------------------

    @contextmanager
    def exported(self) -> Iterator[Callable[[Tensor], Tensor]]:
        """Yield the function that the exported model will be: averaged weights, test settings."""

        name = components.method_slots(self.recipe).exported
        multiple = getattr(self.networks.generators[name], "size_multiple", 1)

        def translate(source: Tensor) -> Tensor:
            height, width = source.shape[-2:]
            with self.runtime.autocast():
                output: Tensor = self.method.translate(padded(source, multiple))
            return output[..., :height, :width].float()

        with self.average.swapped() if self.average else nullcontext():
            yield translate

    def held_out(self, count: int) -> Batch:
        """Return `count` validation pairs, spread evenly over the split, as one batch on the device."""
        return self.placed(collate(HeldOutPairs(self.data["val"], scale=self.scale).spread(count)))

    def evaluate(self, *, limit: int | None = None) -> tuple[dict[str, float], dict[str, float]]:
        """Return the metrics of the exported model on the validation split, and those of its inputs.

        `limit` scores only the first so many pairs. Metrics that must be prepared are so on a few pairs then,
        for one that cannot be would be found out at the first validation, and left out of the scoring.
        """
        metrics = self.metrics
        if limit is not None or not self._prepared:
            train = self.data["train"]
            for metric in metrics.values():
                if hasattr(metric, "prepare"):
                    metric.prepare(train if limit is None else First(train, FEW))
            self._prepared = limit is None
        if limit is not None:
            metrics = {name: m for name, m in metrics.items() if not hasattr(m, "prepare")}
        if not metrics:
            return {}, {}

        settings = self.recipe.data.settings

        def score(function: Callable[..., scoring.Scores], *translate: Any) -> scoring.Scores:
            batches = held_out_batches(self.data["val"], settings, limit=limit, scale=self.scale)
            return function(
                *translate,
                batches,
                metrics,
                spec=self.spec,
                runtime=self.runtime,
                seed=self.recipe.seed,
                draws=self._draws,
            )

        if self._copied is None or limit is not None:
            self._copied = score(scoring.copy_input).figures
        with self.exported() as translate:
            self.scores = score(scoring.evaluate, translate)
        self.figures = self.scores.figures
        return self.figures, self._copied

    def observe(self, metrics: Mapping[str, float]) -> None:
        """Tell the schedules that listen what the validation found."""
        for schedule in self.schedules.values():
            if hasattr(schedule, "observe"):
                schedule.observe(metrics)

    def is_best(self) -> bool:
        """Whether the last figures beat all before them by the recipe's `save_best`; keeps them if so."""
        if self.recipe.train.save_best is None:
            return False
        name, _, way = self.recipe.train.save_best.partition(":")
        value, best = self.figures[name], self.best.get(name)
        if not math.isfinite(value):
            return False
        if best is not None and (value >= best if way == "min" else value <= best):
            return False
        self.best = dict(self.figures)
        return True

    def _check_figures(self) -> None:
        """Every figure that something waits for is one that the metrics give."""
        wanted = {}
        if self.recipe.train.save_best is not None:
            wanted["train.save_best"] = self.recipe.train.save_best.partition(":")[0]
        for path, schedule in self.schedules.items():
            slot = self.recipe.slot_for("schedules", path)
            if slot is not None and hasattr(schedule, "watches"):
                wanted[slot.path] = schedule.watches
        known = ", ".join(sorted(self.directions)) or "none"
        problems = [
            self.recipe.problem(
                path, f"no metric of this recipe gives a figure '{figure}'", f"figures: {known}"
            )
            for path, figure in wanted.items()
            if figure not in self.directions
        ]
        if problems:
            raise RecipeError(*problems)

    def placed(self, batch: Batch) -> Batch:
        """Return a batch on the device, in its layout."""
        return Batch(self.runtime.place(batch.source), self.runtime.place(batch.target), batch.ids)

    # --- writing down and reading back -----------------------------------------------------------

    def files(self) -> dict[str, bytes]:
        """Return the whole state as the files of a checkpoint; PluginError for what cannot be saved."""
        self.run.check_finite(self.networks.modules())
        files = {}
        for path, module in self.networks.modules():
            header = self.describe(self.recipe.slots[path])
            files[f"{self._file_name(path)}.safetensors"] = weights.encode(
                module.state_dict(), header.entries()
            )
        networks = [module for _, module in self.networks.modules()]
        whole = {
            "step": self.step,
            "figures": self.figures,
            "best": self.best,
            "scaler": self.run.scaler.state_dict(),
            "parts": {name: state.of(part, but=networks) for name, part in self._stateful().items()},
        }
        try:
            tensors, skeleton = state.pack(whole)
        except TypeError as error:
            raise PluginError(f"a checkpoint cannot be written: {error}.") from error
        files[TRAINER] = weights.encode(tensors, {"trainer": skeleton})
        return files

    def load(self, folder: Path) -> list[str]:
        """Read the whole state back from a checkpoint's folder; return notes for the person.

        Raises RecipeError when a component's revision or parameters have changed since.
        """
        notes: list[str] = []
        for path, module in self.networks.modules():
            file = weights.read(folder / f"{self._file_name(path)}.safetensors")
            slot = self.recipe.slots[path]
            notes += ModelHeader.read(file.header, path=file.path).check(slot.entry, path=file.path)
            weights.load_into(module, file.tensors, source=str(file.path), target=slot.entry.ref)
        file = weights.read(folder / TRAINER)
        trainer = state.unpack(file.tensors, file.header["trainer"])
        self.run.step = trainer["step"]
        self.figures, self.best = trainer["figures"], trainer["best"]
        self.run.scaler.load_state_dict(trainer["scaler"])
        parts = self._stateful()
        if parts.keys() != trainer["parts"].keys():
            raise RecipeError(
                f"{file.path} does not hold the state of this recipe's parts; start with --fresh."
            )
        for name, part in parts.items():
            state.restore(part, trainer["parts"][name])
        return notes

    def model_file(self) -> bytes:
        """Return the exported generator as a self-describing weights file."""
        name = components.method_slots(self.recipe).exported
        module: nn.Module = self.networks.generators[name]
        with self.average.swapped() if self.average else nullcontext():
            header = self.describe(self.recipe.slots[f"generators.{name}"])
            return weights.encode(module.state_dict(), header.entries())

    def describe(self, slot: Slot) -> ModelHeader:
        """Return the header of a network's weights file: all that is needed to build and run it."""
        header = ModelHeader(
            component=slot.entry.ref,
            rev=slot.entry.rev,
            distribution=slot.entry.distribution,
            version=slot.entry.version,
            slot=portable(slot, self._table_of(slot.path)),
            provenance={**self._provenance, "step": self.step},
        )
        if slot.kind != "generator":
            return header
        role = components.method_slots(self.recipe).generators[slot.name]
        if self._pictures is None:
            self._pictures = pictures_of(self.data["train"])
        return replace(
            header,
            pair_spec=PairSpec(self.spec.side(role.reads), self.spec.side(role.writes)),
            test=self.method.test,
            scale=self.scale,
            pictures=self._pictures,
            **shareable(self.recipe),
        )

    def _table_of(self, path: str) -> Any:
        section, _, name = path.partition(".")
        return self.recipe.table[section][name]

    def _file_name(self, path: str) -> str:
        return "generator" if path == "generators.main" else path

    def _stateful(self) -> dict[str, Any]:
        """Every part with a state of its own, beside the networks."""
        parts: dict[str, Any] = {
            f"optimizers.{path}": optimizer for path, optimizer in self.optimizers.items()
        }
        parts |= {f"schedules.{path}": schedule for path, schedule in self.schedules.items()}
        parts |= {f"callbacks.{name}": callback for name, callback in self.callbacks.items()}
        parts |= {f"losses.{term.name}": term.loss for term in self.losses.terms}
        parts |= {"method": self.method, "average": self.average}
        return {name: part for name, part in parts.items() if hasattr(part, "state_dict")}


def _rates(optimizer: torch.optim.Optimizer) -> list[float]:
    return [group["lr"] for group in optimizer.param_groups]
