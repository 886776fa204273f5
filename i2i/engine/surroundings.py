"""What a run computes under: its threads, random numbers of its own, and errors that are told in words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from i2i.building.blame import components_blamed
from i2i.building.compiled import compiler_told
from i2i.errors import PluginError, ResourceError, ran_out_of_memory
from i2i.recipe.recipe import Recipe
from i2i.system.device import Runtime


@contextmanager
def under(runtime: Runtime, recipe: Recipe) -> Iterator[None]:
    """Compute as `runtime` says, and leave torch's settings and its global generator as they were.

    Raises PluginError for what a component of `recipe` raises or ends the process with, ResourceError where
    memory runs out.
    """
    state = torch.get_rng_state()  # a run seeds it at every step
    try:
        with runtime.active(), compiler_told(recipe), components_blamed(recipe):
            yield
    except (RuntimeError, MemoryError) as error:
        if not ran_out_of_memory(error):
            raise
        raise ResourceError(_too_large(recipe)) from error
    except SystemExit as error:
        raise PluginError(
            f"a component of this recipe called sys.exit({error.code!r}) while it was used."
        ) from error
    finally:
        torch.set_rng_state(state)


def _too_large(recipe: Recipe) -> str:
    size = recipe.data.settings.batch_size
    advice = "lower it, and raise train.accumulate instead" if size > 1 else "take smaller images or networks"
    return f"memory ran out at data.batch_size = {size}: {advice}."
