"""Whose fault an exception is: the component of a recipe in whose code it was raised, and where.

The engine calls components in many places (a batch, a step, a metric), and a traceback knows all the code
that an exception came through. So no place has to name the component that it calls: the files in the
traceback are compared with those of the recipe's plug-ins afterwards. An exception that came through no code
but i2i's own and that of libraries is a bug of ours, and keeps its traceback.
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

PACKAGE = Path(__file__).parents[1]
"""The folder of i2i itself; components that ship with it lie there too: their failures are our bugs."""

MOST_PLACES = 3
"""Lines of a component's code that are told, the innermost one last."""

Call = tuple[FrameType, int]
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
    def of(cls, slot: Slot) -> Suspect:
        """Return who is to blame when the component in `slot` raises something."""
        return cls(slot.entry.ref, slot.problem(""), _code_of(slot))

    def at_fault(self, error: BaseException) -> PluginError:
        """Return what to tell of `error`: the component, what it raised, and the lines of its code."""
        calls = list(traceback.walk_tb(error.__traceback__))
        own = [call for call in calls if _is_in(self.code, call[0])]
        message = f"{self.ref} {_failure(error)}"
        return PluginError(replace(self.place, message=message, hint=_code_places(own or calls[-1:])))

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
        self.__wrapped__ = component  # whose signature this has

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with self._suspect.named():
            return self._component(*args, **kwargs)


@contextmanager
def components_blamed(recipe: Recipe) -> Iterator[None]:
    """Turn what a component of `recipe` raises into a PluginError that names it.

    Running out of memory is nobody's fault, and is raised as it is.
    """
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
    of the component that called it. If there is none, Python itself may have refused the engine's call: the
    component lacks a method, or takes other arguments.
    """
    calls = list(traceback.walk_tb(error.__traceback__))
    for frame, _ in reversed(calls):
        owners = [slot for slot in recipe.slots.values() if _frame_is_of(slot, frame)]
        if owners:
            return _plugin_error(error, owners, [call for call in calls if _frame_is_of(owners[0], call[0])])
    for slot in recipe.slots.values():
        if not _ships_with_i2i(slot) and _python_refused(error, slot):
            return PluginError(slot.problem(f"{slot.entry.ref} {_failure(error)}"))
    return None


def slot_at_fault(slot: Slot, error: BaseException) -> PluginError:
    """Return what to tell of `error`, which the component in `slot` raised."""
    return Suspect.of(slot).at_fault(error)


def _plugin_error(error: BaseException, owners: Sequence[Slot], own: Sequence[Call]) -> PluginError:
    """Name the component among `owners`, which are of one plug-in; the plug-in where it could be any of them.

    Components of one package share its code, so a frame in it says which only where it is a call of the
    component's own class or function.
    """
    running = [slot for frame, _ in reversed(own) for slot in owners if _is_call_of(slot, frame)]
    if running or len(owners) == 1:
        return slot_at_fault((running or owners)[0], error)
    plugin = f"plug-in '{owners[0].entry.namespace}'"
    return PluginError(Problem(f"{plugin} {_failure(error)}", hint=_code_places(own)))


def _failure(error: BaseException) -> str:
    """Return the error's type and its first line, to stand after the component's name."""
    reason = (str(error).splitlines() or [""])[0]
    return f"failed: {type(error).__name__}: {reason}"


def _code_places(calls: Sequence[Call]) -> str:
    spots = [f"{Path(f.f_code.co_filename).name}:{line}, in {f.f_code.co_name}" for f, line in calls]
    return "; ".join(spots[-MOST_PLACES:])


def _frame_is_of(slot: Slot, frame: FrameType) -> bool:
    """Whether the code of `frame` is part of the package, or the file, of the slot's component."""
    return _is_in(_code_of(slot), frame)


def _is_in(code: Path | None, frame: FrameType) -> bool:
    filename = Path(frame.f_code.co_filename)
    return code is not None and not filename.is_relative_to(PACKAGE) and filename.is_relative_to(code)


def _code_of(slot: Slot) -> Path | None:
    """Return the folder of the package that a component is in, or its one file; None for i2i's own."""
    top = sys.modules.get(slot.entry.target.partition(":")[0].partition(".")[0])
    file = getattr(top, "__file__", None)
    if file is None or _ships_with_i2i(slot):
        return None
    path = Path(file)
    return path.parent if path.name == "__init__.py" else path


def _ships_with_i2i(slot: Slot) -> bool:
    """Whether the slot's component is one of i2i's own, by where its module was loaded from."""
    module = sys.modules.get(slot.entry.target.partition(":")[0])
    file = getattr(module, "__file__", None)
    return file is not None and Path(file).is_relative_to(PACKAGE)


def _python_refused(error: BaseException, slot: Slot) -> bool:
    """Whether Python itself refused to look something up in a slot's component, or to call it."""
    if isinstance(error, AttributeError):
        return inspect.isclass(slot.factory) and type(error.obj) is slot.factory
    called, opened, _ = str(error).partition("(")  # "Trend.step_end() takes 2 positional arguments but ..."
    return isinstance(error, TypeError) and bool(opened) and called.partition(".")[0] == _factory_name(slot)


def _factory_name(slot: Slot) -> str:
    return slot.entry.target.partition(":")[2]


def _is_call_of(slot: Slot, frame: FrameType) -> bool:
    """Whether `frame` is a call of the slot's component itself, and not of a helper beside it."""
    itself = frame.f_locals.get("self")
    if inspect.isclass(slot.factory):
        return isinstance(itself, slot.factory)
    # A function's component may be a function or an object that it made.
    made_here = frame.f_code.co_qualname.partition(".")[0] == _factory_name(slot)
    return made_here and frame.f_globals.get("__name__") == slot.entry.target.partition(":")[0]
