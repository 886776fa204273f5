"""Whether a run's model files answer as its method does: both translate one held-out image under one seed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from i2i.building import components
from i2i.building.compiled import eager
from i2i.building.written_model import Find, module_of, takes_generator
from i2i.data.stream import HeldOutPairs, collate
from i2i.engine.session import Session
from i2i.engine.stored import model_names
from i2i.errors import I2IError, PluginError, in_a_line, ran_out_of_memory
from i2i.images.resizing import padded
from i2i.records import Batch
from i2i.registry import Entry
from i2i.runs.header import Made, ModelHeader
from i2i.runs.weights import WeightsFile
from i2i.seeds import seeded

MOST_APART = 2 / 255
"""How far two answers in [-1,1] may be apart by rounding: a level of 8 bits."""

CURE = (
    "name in the method's `translates_with` all networks that translate() takes, or in `exported` the one "
    "whose answer it returns as it is, under i2i.testtime.applied(generator, self.test)"
)


@torch.no_grad()
def disagreement(session: Session, read: Callable[[str], WeightsFile], *, apart: float = MOST_APART) -> str:
    """Return in a sentence how a model file's answer is not its method's; nothing where they agree.

    `read` gives a model file by its name. A generator besides the first exported one is compared where the
    method's `translate` asks for its name. Values may be `apart` so far.
    """
    exports = components.method_slots(session.recipe).exports
    image = _held_out(session)
    for file_name, name in model_names(session).items():
        if name != exports[0] and not takes_generator(session.method):
            continue
        file = read(file_name)
        role = ModelHeader.read(file.header, path=file.path).role
        try:
            module = module_of(file, find=_of(session), device=session.runtime.device).module
        except I2IError as error:
            return f"its model cannot be built again: {error.problems[0].message}"
        module.to(memory_format=session.runtime.memory_format)
        multiple = getattr(module, "size_multiple", 1)
        source = padded(image.seen_by(role).source, multiple)
        try:
            with seeded(session.recipe.seed, "agreement"):
                written: Tensor = module(source)
        except Exception as error:
            if ran_out_of_memory(error):
                raise
            return f"its model file for '{name}' cannot translate an image: {in_a_line(error)}"
        with _averaged(session), seeded(session.recipe.seed, "agreement"):
            which = {"generator": name} if takes_generator(session.method) else {}
            # A generator of several sides is one part of a translation, which is of the source.
            given = padded(image.source, multiple) if role.sides[1:] else source
            own: Tensor = session.method.translate(given, **which)
        if told := _difference(own, written, apart):
            return f"translate() and the model file of '{name}' do not give the same image: {told}"
    return ""


def require_agreement(session: Session, models: Mapping[str, WeightsFile]) -> None:
    """Raise PluginError, placed at the method, where a model file would not answer as the method does."""
    slots, slot = components.method_slots(session.recipe), session.recipe.method
    if slots.translates_with and slots.exports[1:] and not takes_generator(session.method):
        message = (
            f"{slot.entry.ref} exports several generators and translates with more than their one pass: its "
            "translate(source, generator=NAME) has to ask which of them"
        )
        raise PluginError(slot.problem(message))
    if told := disagreement(session, models.__getitem__):
        raise PluginError(slot.problem(f"{slot.entry.ref}: {told}", CURE))


def _held_out(session: Session) -> Batch:
    """Return one image of the validation split, or of the training's where there is none, on the device."""
    data = session.data.get("val") or session.data["train"]
    return collate(HeldOutPairs(data, scale=session.scale).spread(1)).moved(session.runtime.place)


def _averaged(session: Session) -> contextlib.ExitStack:
    """Put the weights of the model file in place for a while, not compiled, as `session.exported` does."""
    stack = contextlib.ExitStack()
    if session.average:
        stack.enter_context(session.average.swapped())
    stack.enter_context(eager(session.recipe))
    return stack


def _of(session: Session) -> Find:
    """Find components among those of the session's recipe."""
    entries = {(slot.kind, slot.entry.ref): slot.entry for slot in session.recipe.slots.values()}

    def find(kind: str, made: Made) -> Entry:
        return entries[kind, made.component]

    return find


def _difference(own: Tensor, written: Tensor, apart: float) -> str:
    if own.shape != written.shape:
        return f"{tuple(own.shape)} and {tuple(written.shape)}"
    if torch.allclose(own.float(), written.float(), rtol=0, atol=apart, equal_nan=True):
        return ""
    return f"values in [-1,1] are up to {(own - written).abs().max().item():.2g} apart"
