"""Whose fault an exception is: the component of a recipe in whose code it was raised, and where.

What passes through no code but i2i's own and that of libraries is a bug of ours, and keeps its traceback.
"""

from __future__ import annotations

import inspect
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any

from i2i.errors import I2IError, PluginError, Problem, ran_out_of_memory
from i2i.recipe.recipe import Recipe, Slot

OURS = Path(__file__).parents[1]
MOST_PLACES = 3
"""Lines of a component's code that are told, the innermost one last."""

Step = tuple[FrameType, int]
"""A call on the way to an exception, and the line in it."""


@dataclass(frozen=True)
class Suspect:
    """All that is needed to name a component that failed; it can be sent to another process.

    `place` is where the component stands in the recipe, `code` the folder of its package, or its file. Code
    of i2i itself is None: what is raised there is a bug of ours.
    """

    ref: str
    place: Problem
    code: Path | None

    @classmethod
    def of(cls, recipe: Recipe, slot: Slot) -> Suspect:
        """Return who is to blame when the component in `slot` raises something."""
        return cls(slot.entry.ref, recipe.problem(slot.path, ""), _code_of(slot))

    def at_fault(self, error: BaseException) -> PluginError:
        """Return what to tell of `error`: the component, what it raised, and the lines of its code."""
        steps = list(traceback.walk_tb(error.__traceback__))
        own = [step for step in steps if _is_in(self.code, step[0])]
        message = f"{self.ref} {_failed(error)}"
        return PluginError(replace(self.place, message=message, hint=_places(own or steps[-1:])))

    @contextmanager
    def named(self) -> Iterator[None]:
        """Turn what the component raises inside into a PluginError that names it; memory passes."""
        try:
            yield
        except I2IError:
            raise
        except Exception as error:
            if self.code is None or ran_out_of_memory(error):
                raise
            raise self.at_fault(error) from error


class Named:
    """A component that is called, and is named where it fails, in whichever process that is."""

    def __init__(self, component: Callable[..., Any], suspect: Suspect) -> None:
        self._component, self._suspect = component, suspect

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with self._suspect.named():
            return self._component(*args, **kwargs)


@contextmanager
def components_blamed(recipe: Recipe) -> Iterator[None]:
    """Turn what a component of `recipe` raises into a PluginError that names it; memory is another matter."""
    try:
        yield
    except I2IError:
        raise
    except Exception as error:
        fault = None if ran_out_of_memory(error) else component_at_fault(recipe, error)
        if fault is None:
            raise
        raise fault from error


def component_at_fault(recipe: Recipe, error: BaseException) -> PluginError | None:
    """Return what to tell of `error` if code of one of the recipe's plug-ins raised it, else None.

    The innermost call within a plug-in counts, so that what a library or the engine refuses is the fault
    of the component that called it. Without one, it is a component that has not got what the engine asks
    it for, or that cannot be called as the engine does.
    """
    steps = list(traceback.walk_tb(error.__traceback__))
    for frame, _ in reversed(steps):
        owners = [slot for slot in recipe.slots.values() if _holds(slot, frame)]
        if owners:
            return _told(recipe, error, owners, [step for step in steps if _holds(owners[0], step[0])])
    for slot in recipe.slots.values():
        if not _is_ours(slot) and _concerns(error, slot):
            return PluginError(recipe.problem(slot.path, f"{slot.entry.ref} {_failed(error)}"))
    return None


def slot_at_fault(recipe: Recipe, slot: Slot, error: BaseException) -> PluginError:
    """Return what to tell of `error`, which the component in `slot` raised."""
    return Suspect.of(recipe, slot).at_fault(error)


def _told(recipe: Recipe, error: BaseException, owners: Sequence[Slot], own: Sequence[Step]) -> PluginError:
    running = [slot for frame, _ in reversed(own) for slot in owners if _runs(slot, frame)]
    if running or len(owners) == 1:
        return slot_at_fault(recipe, (running or owners)[0], error)
    plugin = f"plug-in '{owners[0].entry.namespace}'"
    return PluginError(Problem(f"{plugin} {_failed(error)}", hint=_places(own)))


def _failed(error: BaseException) -> str:
    reason = (str(error).splitlines() or [""])[0]
    return f"failed: {type(error).__name__}: {reason}"


def _places(steps: Sequence[Step]) -> str:
    spots = [f"{Path(f.f_code.co_filename).name}:{line}, in {f.f_code.co_name}" for f, line in steps]
    return "; ".join(spots[-MOST_PLACES:])


def _holds(slot: Slot, frame: FrameType) -> bool:
    """Whether the code of `frame` is part of the package, or the file, of the slot's component."""
    return _is_in(_code_of(slot), frame)


def _is_in(code: Path | None, frame: FrameType) -> bool:
    filename = Path(frame.f_code.co_filename)
    return code is not None and not filename.is_relative_to(OURS) and filename.is_relative_to(code)


def _code_of(slot: Slot) -> Path | None:
    """Return the folder of the package that a component is in, or its one file; None for i2i's own."""
    top = sys.modules.get(slot.entry.target.partition(":")[0].partition(".")[0])
    file = getattr(top, "__file__", None)
    if file is None or _is_ours(slot):
        return None
    path = Path(file)
    return path.parent if path.name == "__init__.py" else path


def _is_ours(slot: Slot) -> bool:
    module = sys.modules.get(slot.entry.target.partition(":")[0])
    file = getattr(module, "__file__", None)
    return file is not None and Path(file).is_relative_to(OURS)


def _concerns(error: BaseException, slot: Slot) -> bool:
    """Whether Python itself refused to look something up in a slot's component, or to call it."""
    if isinstance(error, AttributeError):
        return inspect.isclass(slot.factory) and type(error.obj) is slot.factory
    called, opened, _ = str(error).partition("(")  # "Trend.step_end() takes 2 positional arguments but ..."
    return isinstance(error, TypeError) and bool(opened) and called.partition(".")[0] == _name(slot)


def _name(slot: Slot) -> str:
    return slot.entry.target.partition(":")[2]


def _runs(slot: Slot, frame: FrameType) -> bool:
    """Whether `frame` is a call of the slot's component itself, and not of a helper beside it."""
    itself = frame.f_locals.get("self")
    if inspect.isclass(slot.factory):
        return isinstance(itself, slot.factory)
    # A function's component may be a function or an object that it made.
    made_here = frame.f_code.co_qualname.partition(".")[0] == _name(slot)
    return made_here and frame.f_globals.get("__name__") == slot.entry.target.partition(":")[0]
