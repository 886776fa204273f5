"""Whose fault an exception is: the component of a recipe in whose code it was raised, and where.

What passes through no code but i2i's own and that of libraries is a bug of ours, and keeps its traceback.
"""

from __future__ import annotations

import inspect
import re
import sys
import traceback
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from i2i.errors import I2IError, PluginError, Problem, ran_out_of_memory
from i2i.recipe.recipe import Recipe, Slot

OURS = Path(__file__).parents[1]
MOST_PLACES = 3
"""Lines of a component's code that are told, the innermost one last."""

_CALL = re.compile(r'^  File "(.+)", line (\d+), in (.+)$', re.MULTILINE)

Step = tuple[FrameType, int]
"""A call on the way to an exception, and the line in it."""


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
            return _told(error, owners, [step for step in steps if _holds(owners[0], step[0])])
    if str(error).startswith("Caught "):
        return _told_by_a_worker(recipe.slots.values(), str(error))
    for slot in recipe.slots.values():
        if not _is_ours(slot) and _concerns(error, slot):
            return PluginError(slot.problem(f"{slot.entry.ref} {_failed(error)}"))
    return None


def _told_by_a_worker(slots: Iterable[Slot], text: str) -> PluginError | None:
    """Return what to tell of an exception that came out of a loader's process, where torch made it a text."""
    calls = _CALL.findall(text)
    reading = [slot for slot in slots if slot.kind in ("data", "transform")]
    for file, _, _ in reversed(calls):
        owners = [slot for slot in reading if _has(slot, Path(file))]
        if owners:
            own = [call for call in calls if _has(owners[0], Path(call[0]))]
            hint = "; ".join(
                f"{Path(file).name}:{line}, in {name}" for file, line, name in own[-MOST_PLACES:]
            )
            failed = f"failed: {text.strip().splitlines()[-1]}"
            if len(owners) == 1:
                return PluginError(owners[0].problem(f"{owners[0].entry.ref} {failed}", hint))
            return PluginError(Problem(f"plug-in '{owners[0].entry.namespace}' {failed}", hint=hint))
    return None


def slot_at_fault(slot: Slot, error: BaseException) -> PluginError:
    """Return what to tell of `error`, which the component in `slot` raised."""
    steps = list(traceback.walk_tb(error.__traceback__))
    own = [step for step in steps if _holds(slot, step[0])]
    return PluginError(slot.problem(f"{slot.entry.ref} {_failed(error)}", _places(own or steps[-1:])))


def _told(error: BaseException, owners: Sequence[Slot], own: Sequence[Step]) -> PluginError:
    running = [slot for frame, _ in reversed(own) for slot in owners if _runs(slot, frame)]
    if running or len(owners) == 1:
        return slot_at_fault((running or owners)[0], error)
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
    return _has(slot, Path(frame.f_code.co_filename))


def _has(slot: Slot, filename: Path) -> bool:
    if filename.is_relative_to(OURS):
        return False
    top = sys.modules.get(slot.entry.target.partition(":")[0].partition(".")[0])
    file = getattr(top, "__file__", None)
    if file is None:
        return False
    path = Path(file)
    return filename == path or (path.name == "__init__.py" and filename.is_relative_to(path.parent))


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
