"""Networks compiled by torch: each one by itself, never the step around them.

`nn.Module.compile` leaves a module the object that it is: its weights, names and hooks stay, and copies of it
are not compiled. What needs a second derivative (a penalty), and what is no training, runs eagerly.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch

from i2i.errors import RecipeError, ResourceError, did_you_mean, in_a_line
from i2i.networks import Networks
from i2i.recipe.recipe import Recipe

NO = (None, "no")
"""Values of `train.compile` with which nothing is compiled."""


def compile_networks(recipe: Recipe, networks: Networks) -> None:
    """Let torch compile each network, when it is first called, in the recipe's mode, if it names one.

    Raises RecipeError for a mode that this torch does not have.
    """
    mode = recipe.train.compile
    if mode is None or mode in NO:
        return
    modes = ["default", *torch._inductor.list_mode_options()]
    if mode not in modes:
        message = f"torch {torch.__version__} has no mode '{mode}' to compile in{did_you_mean(mode, modes)}"
        known = f"modes: {', '.join(dict.fromkeys(['no', *modes]))}"
        raise RecipeError(recipe.problem("train.compile", message, known))
    for _, module in networks.modules():
        module.compile(mode=mode, dynamic=False)


def begin_step(recipe: Recipe) -> None:
    """Let compiled networks of `recipe` write over what they returned in the steps before this one.

    CUDA graphs always write to the same places. Without this, torch would take the first call after any
    backward pass for a new step: the discriminators' would give up what the generator's has yet to read.
    """
    if recipe.train.compile not in NO:
        torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]


def eager(recipe: Recipe) -> AbstractContextManager[object]:
    """Return the context in which networks of `recipe` run as they are written, compiled or not."""
    if recipe.train.compile in NO:
        return nullcontext()
    stance: AbstractContextManager[object] = torch.compiler.set_stance("force_eager")
    return stance


def _graphs_kept(recipe: Recipe) -> AbstractContextManager[object]:
    """Return the context in which compiled networks can be gone back through more than once.

    Objectives of one update that share a forward pass (`Run.update_together`) need that; torch would write
    over what the second of them reads, and refuses it.
    """
    if recipe.train.compile in NO:
        return nullcontext()
    from torch._functorch import config  # what torch's compiler goes by

    kept: AbstractContextManager[object] = config.patch(donated_buffer=False)
    return kept


@contextmanager
def compiler_told(recipe: Recipe) -> Iterator[None]:
    """Let networks of `recipe` be compiled, and tell in a sentence where torch cannot: ResourceError."""
    try:
        with _graphs_kept(recipe):
            yield
    except Exception as error:
        at_fault: BaseException | None = error
        while at_fault is not None and not _of_the_compiler(at_fault):
            at_fault = at_fault.__cause__
        if recipe.train.compile in NO or at_fault is None:
            raise
        raise ResourceError(
            f"train.compile = '{recipe.train.compile}': torch cannot compile a network of this recipe here "
            f"({in_a_line(at_fault)}); leave it out, or install what torch asks for."
        ) from error


def _of_the_compiler(error: BaseException) -> bool:
    return type(error).__module__.startswith(("torch._dynamo", "torch._inductor"))
