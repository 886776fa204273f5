"""Each variant tried before any is trained: one dry pass, then steps taken in turn to time them.

Every variant has a process of its own, so that its memory is its own; only one of them computes at
any time, and they take turns, so that whatever else the machine does falls on all of them alike.
"""

from __future__ import annotations

import math
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median, stdev
from typing import TYPE_CHECKING, Any

from i2i.abilities import NeedsImages, Prepares
from i2i.bench import processes
from i2i.bench.jobs import Job
from i2i.bench.keys import Marks
from i2i.errors import I2IError, PluginError, Problem
from i2i.kinds import NETWORK_SECTIONS, Direction

if TYPE_CHECKING:
    from i2i.engine.session import Session
    from i2i.engine.threads import Threads
    from i2i.recipe.recipe import Recipe

ROUNDS = 5
STEPS = 2  # of each variant in a round
TOGETHER = 8  # processes alive at once on a CPU; on a GPU one, since its memory is small and its times steady


@dataclass(frozen=True)
class Rehearsal:
    """What was found out about a variant; numbers of parameters are sums over its networks.

    `flops_per_step` counts multiplications and additions of one optimizer step, forward and backward;
    `step_seconds` is the median over `ROUNDS` turns, `step_deviation` their deviation (n - 1);
    `peak_memory_mb` is what a process that trains it takes (on CUDA, the device's memory); `total_steps`
    is the length its recipe gives; `image_seconds` one held-out image takes to be translated, as the exported
    model will; `directions` says for each figure which way is better, None for one to
    compare others with, `references` names those of them that belong beside one that can be better, and
    `owners` says which metric of the recipe each figure is of; `data` has the fingerprints.
    """

    generator_parameters: int
    discriminator_parameters: int
    receptive_field: Mapping[str, int]
    flops_per_step: float | None
    step_seconds: float
    peak_memory_mb: float | None
    images_per_step: int
    steps_per_epoch: float
    total_steps: int
    directions: Mapping[str, Direction | None]
    definitions: Mapping[str, str]
    credit: str
    owners: Mapping[str, str] = field(default_factory=dict)
    data: Marks = field(default_factory=dict)
    references: tuple[str, ...] = ()
    step_deviation: float | None = None
    image_seconds: float | None = None


@dataclass(frozen=True)
class Trial:
    """The jobs of variants, by name, that differ in test keys alone: the first is tried for all of them."""

    jobs: Mapping[str, Job]

    @property
    def first(self) -> str:
        """The variant that is tried."""
        return next(iter(self.jobs))


def rehearse(
    trials: Sequence[Trial], *, log: Path, tried: Callable[[str], None] = lambda name: None
) -> dict[str, Rehearsal]:
    """Make each trial, without leaving a trace, and return what was found, by variant.

    `tried` is called with a variant's name once it is through its dry pass. Raises the error of the first
    variant that cannot be trained.
    """
    found: dict[str, Rehearsal] = {}
    together = TOGETHER if all(job.device == "cpu" for trial in trials for job in trial.jobs.values()) else 1
    for first in range(0, len(trials), together):
        group = trials[first : first + together]
        begun: dict[str, _Process] = {}
        try:
            for trial in group:
                begun[trial.first] = _Process(trial, log)
                found |= begun[trial.first].facts()
                tried(trial.first)
            times: dict[str, list[float]] = {name: [] for name in begun}
            # In turns rather than one variant at a time: a machine that gets busy slows all of them down.
            for _ in range(ROUNDS):
                for name, process in begun.items():
                    times[name].append(process.seconds_a_step(STEPS))
            for trial in group:
                # The median: one round that something else interrupted says nothing of the variant.
                seconds = times[trial.first]
                for name in trial.jobs:
                    found[name] = replace(
                        found[name], step_seconds=median(seconds), step_deviation=stdev(seconds)
                    )
        finally:
            processes.end(process.child for process in begun.values())
    return found


def threads_beside(job: Job, *, at_once: int, step_seconds: float, log: Path) -> Threads:
    """Return how many threads each of `at_once` processes is to train with, while the others do so too.

    All of them make steps of the same job, `step_seconds` long, at the same time.
    """
    from i2i.engine.cost import MOST_STEPS, SECONDS
    from i2i.engine.threads import choose

    steps = max(1, min(MOST_STEPS, int(SECONDS / step_seconds)))
    trials: list[_Process] = []
    try:
        while len(trials) < at_once:
            trials.append(_Process(Trial({job.key: job}), log))
        for trial in trials:
            trial.facts()

        def seconds_with(threads: int) -> float:
            for trial in trials:
                trial.begin(steps, threads)
            return max(trial.seconds() for trial in trials)

        return choose(job.threads, seconds_with)
    finally:
        for trial in trials:
            trial.child.end()


class _Process:
    """A trial's process, seen from here: it makes its dry pass, then steps when it is asked to."""

    def __init__(self, trial: Trial, log: Path) -> None:
        self._name = trial.first
        self.child = processes.start(_make_trial, trial, log=log)

    def facts(self) -> dict[str, Rehearsal]:
        """Wait for the dry pass, and return what it found out; `step_seconds` is not a number yet."""
        facts: dict[str, Rehearsal] = self._answer()
        return facts

    def seconds_a_step(self, steps: int) -> float:
        """Let the process make so many steps, and return how long one of them took."""
        self.begin(steps)
        return self.seconds()

    def begin(self, steps: int, threads: int | None = None) -> None:
        """Let the process make so many steps, from now on with so many threads if that is given."""
        self.child.pipe.send((steps, threads))

    def seconds(self) -> float:
        """Wait for the steps that were begun, and return how long one of them took."""
        return float(self._answer())

    def _answer(self) -> Any:
        """Return the process's next answer; raise what went wrong there."""
        try:
            error, answer = self.child.pipe.recv()
        except (EOFError, OSError):
            self.child.process.join(5.0)
            raise PluginError(
                f"variant '{self._name}': its process died while it was tried "
                f"(exit code {self.child.process.exitcode})."
            ) from None
        if error is None:
            return answer
        # The recipe was a file for this process alone; people know it by the variant.
        raise error(*(replace(problem, file=f"variant '{self._name}'", line=None) for problem in answer))


# --- within a variant's process ---------------------------------------------------------------------


def _make_trial(pipe: Connection, trial: Trial) -> None:
    """Send (None, what was found out of each variant), then (None, seconds a step) for each (steps, threads).

    Whatever goes wrong is sent as (its class, its problems): an exception itself may not survive the pipe.
    """
    try:
        _try_and_time(pipe, trial)
    except I2IError as error:
        pipe.send((type(error), error.problems))
    except Exception as error:  # nobody hears the one with which the pipe's other end tells to stop
        spot = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(spot.filename).name}:{spot.lineno}, in {spot.name}"
        pipe.send((PluginError, (Problem(f"{type(error).__name__}: {error}", hint=where),)))


def _try_and_time(pipe: Connection, trial: Trial) -> None:
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from i2i.building.probe import probe
    from i2i.data.extra import extra_of
    from i2i.data.fingerprint import fingerprints
    from i2i.data.opening import open_splits
    from i2i.engine.rehearsal import dry_pass
    from i2i.engine.scoring import definition, references_of
    from i2i.engine.surroundings import under
    from i2i.plugins.catalog import Catalog
    from i2i.recipe.recipe import load_recipe
    from i2i.system.device import peak_memory_mb, resolve

    job = trial.jobs[trial.first]
    torch.set_num_threads(job.threads)
    catalog = Catalog.installed(local=Path(job.plugin) if job.plugin else None)
    recipe, *others = (load_recipe(Path(each.recipe), catalog=catalog) for each in trial.jobs.values())
    runtime = resolve(job.device, recipe.train.precision, recipe.train.threads)
    with under(runtime, recipe):
        data = open_splits(recipe)
        networks = probe(recipe, data["train"].spec, extra=extra_of(data["train"]))
        session = dry_pass(recipe, data, runtime).session
        batches = session.batches(last=10**9)  # whoever asks for steps says when to end

        def step() -> None:
            session.advance([next(batches) for _ in range(session.accumulate)])
            if torch.device(runtime.device).type == "cuda":
                # A GPU is still at work when the call returns: its time counts too.
                torch.cuda.synchronize(runtime.device)

        # This step is the first, which warms up what is made once; no timed one pays for that.
        counter = FlopCounterMode(display=False)
        with counter:
            step()
        parameters = dict.fromkeys(NETWORK_SECTIONS, 0)
        for fact in networks:
            parameters[fact.section] += fact.parameters
        metrics = session.scorer.metrics.values()
        references = [name for metric in metrics for name in references_of(metric)]
        facts = Rehearsal(
            generator_parameters=parameters["generators"],
            discriminator_parameters=parameters["discriminators"],
            receptive_field={
                fact.name: fact.receptive_field for fact in networks if fact.receptive_field is not None
            },
            # 0 where it knows none of the operations
            flops_per_step=float(counter.get_total_flops()) or None,
            step_seconds=math.nan,
            peak_memory_mb=peak_memory_mb(runtime.device),
            images_per_step=recipe.data.settings.batch_size * session.accumulate,
            steps_per_epoch=session.steps_per_epoch,
            total_steps=session.total_steps,
            directions={
                **dict.fromkeys([*session.figures, *references]),
                **session.scorer.directions,
            },
            definitions={figure: definition(metric) for metric in metrics for figure in _figures_of(metric)},
            credit=getattr(data["train"], "credit", ""),
            owners={
                figure: name
                for name, metric in session.scorer.metrics.items()
                for figure in _figures_of(metric)
            },
            data=fingerprints(data, contents=recipe.data.settings.fingerprint == "contents"),
            references=tuple(references),
            image_seconds=_image_seconds(session),
        )
        times = [facts.image_seconds, *(_image_seconds(_translating(other, session)) for other in others)]
        pipe.send(
            (None, {n: replace(facts, image_seconds=s) for n, s in zip(trial.jobs, times, strict=True)})
        )
        while True:
            count, threads = pipe.recv()
            if threads is not None:
                torch.set_num_threads(threads)
                step()  # the first one after a change makes the threads
            begun = time.perf_counter()
            for _ in range(count):
                step()
            pipe.send((None, (time.perf_counter() - begun) / count))


def _translating(recipe: Recipe, session: Session) -> Session:
    """Return a session of a recipe with other test keys than that of `session`, to translate with alone."""
    from i2i.engine.session import Session

    slots = {
        path: slot for path, slot in recipe.slots.items() if slot.section not in ("metrics", "callbacks")
    }
    bare = replace(recipe, slots=slots)
    return Session(bare, data=session.data, runtime=session.runtime, provenance={})


def _image_seconds(session: Session) -> float:
    """Return how long one held-out image takes to be translated: the median of some turns after a first."""
    import torch

    image = session.run.held_out(1).source
    times = []
    with session.exported() as translate, torch.no_grad():
        for _ in range(1 + ROUNDS):
            begun = time.perf_counter()
            translate(image)
            if torch.device(session.runtime.device).type == "cuda":
                torch.cuda.synchronize(session.runtime.device)
            times.append(time.perf_counter() - begun)
    return median(times[1:])


def _figures_of(metric: Any) -> list[str]:
    """Return the names of a metric's figures; of those without a direction, if the trial had them."""
    from i2i.engine.scoring import references_of

    scored = not isinstance(metric, (Prepares, NeedsImages))
    return [*metric.directions, *references_of(metric), *(metric.compute() if scored else ())]


def common_figures(found: Mapping[str, Rehearsal]) -> dict[str, Direction | None]:
    """Return the figures that every variant gives, in the first one's order."""
    each: Sequence[Rehearsal] = list(found.values())
    return {
        name: way
        for name, way in each[0].directions.items()
        if all(name in other.directions and other.directions[name] == way for other in each)
    }
