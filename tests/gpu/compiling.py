"""Networks compiled by torch beside the same ones as they are: losses, weights, images a second.

In the mode "default" torch writes kernels; "reduce-overhead" also records them as CUDA graphs, which are
played from the third step on, and always write their outputs to the same places.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from itertools import pairwise
from typing import Any

import torch
from parity import WEIGHTS, Answers, relative, trained
from parts import METRICS, ROOT, Settings, tf32
from rows import Row, holds, measured, within
from speed import engine
from torch._dynamo.utils import counters
from torch._inductor import cudagraph_trees
from turns import Turns, stretch

from i2i.data.opening import open_splits
from i2i.engine import stored
from i2i.engine.session import Session
from i2i.recipe.recipe import Recipe, load_recipe
from i2i.system.device import Runtime

COMPILING, GRAPHS = "compiled training", "CUDA graphs"

STEPS = 8
"""Of the small recipe: two before graphs are played, and some that are."""

LOSSES = 1e-3
"""Kernels that torch writes round otherwise than its own, and Adam makes much of that; see `parity`."""

DRAWS = 5
UNLIKE, ALIKE = 1e-5, 1e-6
"""By which part the losses of two draws of dropout differ at least, and those of one draw at most."""

ROUNDS, LONGEST = 5, 1.0
"""Stretches of each contender, and the seconds of one."""


def of_compiling(settings: Settings) -> Iterator[Row]:
    """Kernels of torch's compiler: a small recipe with a penalty, then the speed of the paper's networks."""
    with _compiling(settings):
        yield from _beside_eager(COMPILING, "default", settings)
        yield _speed(COMPILING, "default", settings)


def of_graphs(settings: Settings) -> Iterator[Row]:
    """The same of CUDA graphs, with saves and validations between steps; and dropout is drawn anew."""
    with _compiling(settings):
        yield from _beside_eager(GRAPHS, "reduce-overhead", settings, between=_saved_and_validated)
        graphs, skipped = _recorded(settings.device), counters["inductor"]["cudagraph_skips"]
        on_card = torch.device(settings.device).type == "cuda"
        told = f"{graphs} graphs, {skipped} times none" if on_card else "none on a CPU"
        yield holds(GRAPHS, "recorded", graphs > 0 or not on_card, value=told, wanted="some")
        yield _dropout("reduce-overhead", settings)
        yield _speed(GRAPHS, "reduce-overhead", settings)


def _compiling(settings: Settings) -> AbstractContextManager[object]:
    """Return the context in which networks are compiled; in a smoke test, where that takes minutes, not."""
    stance: AbstractContextManager[object] = torch.compiler.set_stance(
        "force_eager" if settings.smoke else "default"
    )
    return stance


# --- the same numbers --------------------------------------------------------------------------------


def _small(changes: Mapping[str, Any]) -> Recipe:
    """Return the small recipe, with weights that are averaged, and a penalty, which never is compiled."""
    usual = {
        "losses.r1.use": "r1",
        "losses.r1.every": 2,
        "train.ema": 0.9,
        "train.steps": STEPS,
        "data.count": 64,
    }
    return load_recipe(
        ROOT / "recipes/shapes.toml", set={**usual, **changes}, unset=("callbacks.samples", "metrics.ssim")
    )


def _beside_eager(
    part: str,
    mode: str,
    settings: Settings,
    *,
    between: Callable[[Session], object] = lambda session: None,
) -> Iterator[Row]:
    data = open_splits(_small({}))
    with tf32(False):
        ours = trained(_small({}), data, settings.device)
        found = trained(_small({"train.compile": mode}), data, settings.device, between=between)
    yield within(part, f"losses of {STEPS} steps, fp32", relative(found[0], ours[0]), LOSSES)
    yield within(part, f"weights after {STEPS} steps, fp32", relative(found[1], ours[1]), WEIGHTS)


def _saved_and_validated(session: Session) -> None:
    if session.step % 2 == 0:
        stored.files(session)
        session.evaluate()


def _recorded(device: str) -> int:
    """Return how many CUDA graphs this process has recorded."""
    if torch.device(device).type != "cuda":
        return 0
    manager = cudagraph_trees.get_manager(torch.device(device).index or 0, create_if_none_exists=False)
    return 0 if manager is None else manager.new_graph_id().id


def _dropout(mode: str, settings: Settings) -> Row:
    """Steps that change no weight, on one batch: only dropout makes their losses differ."""
    still = dict.fromkeys(("optimizers.generators.lr", "optimizers.discriminators.lr"), 1e-30)
    recipe = _small({"train.compile": mode, "generator.dropout": 0.5, **still})
    session = Session(recipe, data=open_splits(recipe), runtime=_fp32(settings.device), provenance={})
    batch = next(session.batches(last=1))

    def losses() -> Answers:
        logs = session.advance([batch])
        return {name: value.cpu() for name, value in logs.items() if not name.startswith("r1")}

    drawn = [losses() for _ in range(DRAWS)]
    session.run.step = DRAWS - 1
    anew = all(relative(one, other) > UNLIKE for one, other in pairwise(drawn))
    same = relative(losses(), drawn[-1]) < ALIKE
    again = "alike in one made again" if same else "otherwise in one made again"
    told = f"{'drawn anew' if anew else 'not drawn'} in each step, {again}"
    return holds(GRAPHS, "dropout", anew and same, value=told, wanted="drawn by (seed, step)")


# --- images a second ---------------------------------------------------------------------------------


def _speed(part: str, mode: str, settings: Settings) -> Row:
    """The paper's networks, a picture at a time in bf16 and channels last, in turns with uncompiled ones."""
    steps: dict[str, Callable[[], object]] = {}
    for name in ("no", mode):
        recipe = settings.recipe({"data.batch_size": 1, "train.compile": name}, unset=METRICS)
        runtime = Runtime(settings.device, "bf16", True, torch.get_num_threads())
        session = Session(recipe, data=open_splits(recipe), runtime=runtime, provenance={})
        steps[name] = engine(session, list(session.batches(last=2)))
    began = time.perf_counter()
    for step in steps.values():
        for _ in range(4):  # on the second, graphs are recorded; on the third, played for the first time
            step()
    warm = time.perf_counter() - began
    each = 0.02 if settings.smoke else LONGEST
    counts = {name: stretch(step, seconds=each, device=settings.device) for name, step in steps.items()}
    turns = Turns(steps, device=settings.device, steps=counts)
    for _ in range(1 if settings.smoke else ROUNDS):
        turns.round()
    plain, compiled = (1 / turns.medians()[name] for name in ("no", mode))
    told = f"{compiled:.1f} images/s, {compiled / plain:.2f} x uncompiled, after {warm:.0f} s of compiling"
    return measured(part, "batch 1, bf16, channels last", told)


def _fp32(device: str) -> Runtime:
    return Runtime(device, "fp32", channels_last=False, threads=torch.get_num_threads())
