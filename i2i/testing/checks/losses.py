"""What losses of every kind promise: nothing is remembered in secret, nothing is on another device."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from i2i.kinds import LOSS_KINDS
from i2i.runs import state
from i2i.seeds import seeded
from i2i.testing import samples
from i2i.testing.outcomes import check, fail, require, told
from i2i.testing.subjects import Subject
from i2i.testing.supplied import Supplied
from i2i.testing.uses import USES, Judging, images_for, tensors_in

SOUND = ("scalar", "both-sides", "scalar-of-features", "penalty-scalar")
"""What must hold before the number that comes out means anything."""

FREE = ("__getitem__", "__get__", "copy_", "to", "type_as")
"""What may be given tensors of two devices."""

DRAWS = 64
"""How often a loss is called that draws at random, to know its mean."""


@check("loss-resumes", *LOSS_KINDS, needs=[*SOUND, "random-state-untouched"])
def loss_resumes(subject: Subject) -> None:
    """It costs the same whatever it was called with before, or its state is saved, and goes on alike."""
    first, other = subject.build(), subject.build()
    saves, loads = (hasattr(first, name) for name in ("state_dict", "load_state_dict"))
    require(
        saves == loads,
        f"it has {'state_dict' if saves else 'load_state_dict'} without the other: define both",
    )
    for _ in range(2):
        value = torch.stack(_values(subject, first)).sum()
        if value.requires_grad:
            _backward(value)
    if saves:
        try:
            tensors, skeleton = state.pack(state.of(first))
        except TypeError as error:
            fail(
                f"its state cannot be saved ({told(error)}): return tensors and JSON values from state_dict()"
            )
        state.restore(other, state.unpack(tensors, skeleton))
    then, fresh = _values(subject, first), _values(subject, other)
    require(
        all(map(torch.allclose, then, fresh)),
        f"it costs {_shown(then)} after other calls and {_shown(fresh)} in a resumed run: compute it from "
        "what it is given, or keep what it remembers in a state_dict() and take it over in "
        "load_state_dict(state)",
    )


@check("same-each-call", *LOSS_KINDS, needs=["loss-resumes"])
def same_each_call(subject: Subject) -> None:
    """The same inputs cost the same at the second call as at the first, however many calls make a step."""
    loss = subject.build()
    first, second = _values(subject, loss), _values(subject, loss)
    require(
        all(map(torch.allclose, first, second)),
        f"the same inputs cost {_shown(first)} at the first call and {_shown(second)} at the second: it is "
        "called several times in a step that accumulates, so count no calls; a weight that changes in the "
        "course of a training is a schedule's",
    )


@check("any-device", *LOSS_KINDS, needs=["loss-resumes"])
def any_device(subject: Subject) -> None:
    """What it computes with is on the device of what it is given."""
    loss = _on_meta(subject.build())
    inputs = tuple(_on_meta(value) for value in USES[subject.kind].inputs(subject, loss))
    met = _Met()
    # Without values not everything works, which says nothing about a real device.
    with met, suppress(Exception):
        USES[subject.kind].call(loss, *inputs)
    require(
        not met.apart,
        f"{met.apart}() is given tensors of two devices when its inputs are on another one: create tensors "
        "with device=fake.device, and make a loss that keeps some an nn.Module with buffers, which is moved",
    )


@check("mean-over-batch", "paired-loss", "feature-loss", "penalty", needs=["loss-resumes"])
def mean_over_batch(subject: Subject) -> None:
    """A batch that holds each image twice costs as much as the batch."""
    inputs = USES[subject.kind].inputs(subject, subject.build())
    once, near = cost(subject, lambda loss: loss(*inputs))
    twice, nearby = cost(subject, lambda loss: loss(*map(_doubled, inputs)))
    require_same(
        once,
        twice,
        "it grows with the batch: take the mean over images, so that a weight means the same",
        within=near + nearby,
    )


@check("gradient-at-equality", "paired-loss", "feature-loss", needs=["loss-resumes"])
def gradient_at_equality(subject: Subject) -> None:
    """Where fake and real are equal its gradient is finite too."""
    loss = subject.build()
    real: Any = samples.features() if subject.kind == "feature-loss" else images_for(loss)
    fake = _leaves(real)
    with seeded(0, "loss"):
        _backward(loss(fake, real))
    require(
        all(leaf.grad is None or leaf.grad.isfinite().all() for leaf in _flat(fake)),
        "where fake and real are equal its gradient is not finite: add a small number under the root",
    )


@check("half-precision", "paired-loss", "feature-loss", needs=["loss-resumes"])
def half_precision(subject: Subject) -> None:
    """What comes in bfloat16 costs about what it costs in float32, and the result is float32."""
    given = USES[subject.kind].inputs(subject, subject.build())
    half = [_map(lambda tensor: tensor.detach().bfloat16(), value) for value in given]
    with seeded(0, "loss"):
        whole = subject.build()(*(_map(Tensor.float, value) for value in half))
    with torch.autocast("cpu", torch.bfloat16), seeded(0, "loss"):
        found = scalar(subject.build()(*half), "under bfloat16 it")
    require(
        found.dtype == torch.float32,
        f"under bfloat16 it returns {found.dtype}: turn its inputs to float32 first, with .float()",
    )
    require(
        torch.isclose(found, whole, rtol=0.05, atol=1e-3),
        f"under bfloat16 the same inputs cost {found.item():.4g} rather than {whole.item():.4g}: compute it "
        "in float32",
    )


class _Met(TorchFunctionMode):
    """Notes in `apart` what is given tensors of two devices; numbers may be on any, and so may indices."""

    apart = ""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name = getattr(func, "__name__", "")
        found = {
            str(tensor.device) for tensor in tensors_in([*args, *(kwargs or {}).values()]) if tensor.dim()
        }
        if len(found) > 1 and name not in FREE:
            self.apart = self.apart or name
        return func(*args, **(kwargs or {}))


def scalar(value: Any, what: str = "it") -> Tensor:
    """Return `value` if it is a finite scalar tensor; end the check if it is not."""
    if not isinstance(value, Tensor):
        fail(f"{what} returns a {type(value).__name__}: return a tensor without dimensions, on its graph")
    require(
        value.dim() == 0,
        f"{what} returns a tensor of shape {tuple(value.shape)}: take the mean over it",
    )
    require(
        value.isfinite(),
        f"{what} returns {value.item()}: look for logarithms, roots and divisions at 0",
    )
    return value


def cost(subject: Subject, call: Callable[[Any], Tensor]) -> tuple[float, float]:
    """Return what `call` makes of a fresh loss, and how far that may be off.

    A loss that draws at random is called many times, for the mean.
    """

    def drawn(loss: Any, seed: int) -> float:
        with seeded(seed, "loss"):
            return call(loss).item()

    one, other = (drawn(subject.build(), seed) for seed in (0, 1))
    if one == other:
        return one, 0.0
    loss = subject.build()
    values = torch.tensor([drawn(loss, seed) for seed in range(DRAWS)])
    return values.mean().item(), 4 * values.std().item() / DRAWS**0.5


def require_same(one: float, other: float, sentence: str, *, within: float = 0.0) -> None:
    """End the check with `sentence` where two costs differ by more than rounding, and than `within`."""
    require(
        abs(one - other) <= within + 1e-4 * max(1.0, abs(one)), f"{one:.4g} becomes {other:.4g}: {sentence}"
    )


def _values(subject: Subject, loss: Any) -> list[Tensor]:
    use = USES[subject.kind]
    with seeded(0, "loss"):
        found = use.call(loss, *use.inputs(subject, loss))
    return [scalar(value) for value in (found if isinstance(found, tuple) else (found,))]


def _backward(value: Tensor) -> None:
    try:
        value.backward()  # type: ignore[no-untyped-call]
    except RuntimeError as error:
        fail(f"going backward through it raises {told(error)}: detach what it keeps for later")


def _map(change: Callable[[Tensor], Tensor], value: Any) -> Any:
    """Return nested lists of tensors with each one changed."""
    return change(value) if isinstance(value, Tensor) else [_map(change, item) for item in value]


def _flat(value: Any) -> list[Tensor]:
    return [value] if isinstance(value, Tensor) else [leaf for item in value for leaf in _flat(item)]


def _leaves(value: Any) -> Any:
    return _map(lambda tensor: tensor.detach().clone().requires_grad_(True), value)


def _doubled(value: Any) -> Any:
    return value if isinstance(value, Judging) else _map(lambda tensor: torch.cat([tensor, tensor]), value)


def _on_meta(value: Any) -> Any:
    if isinstance(value, Judging):
        return Judging(value.network.to("meta"))
    if isinstance(value, Supplied):
        return Supplied(_on_meta(value.loss), value.kind, value.fields)
    if isinstance(value, (Tensor, list)):
        return _map(lambda tensor: tensor.to("meta"), value)
    return value.to("meta") if isinstance(value, nn.Module) else value


def _shown(values: list[Tensor]) -> str:
    return " and ".join(f"{value.item():.4g}" for value in values)


CHECKS = (loss_resumes, same_each_call, any_device, mean_over_batch, gradient_at_equality, half_precision)
