"""How a generator is run once trained: dropout and normalisation are two settings.

pix2pix keeps dropout on at test time, its only source of variety, and normalises with the statistics
of the test batch, which at its batch size of 1 are each image's own (Isola et al. 2017, section 3.3).
Taking each image's own statistics always means that batching images changes none of them.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from functools import lru_cache
from typing import Any, ClassVar
from weakref import WeakSet

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd
from torch.overrides import TorchFunctionMode

from i2i.errors import PluginError, in_a_line
from i2i.records import TestSettings


def apply(module: nn.Module, settings: TestSettings) -> None:
    """Put `module` into test mode for good: eval, but for what `settings` keep as in training.

    With `settings.dropout`, its dropout modules are in train mode. With `settings.norm = "batch"`, its
    batch norms are `OwnStatistics` from then on, with "running" they are none. Both are what
    `module.train()` and `module.eval()` act on as on any module.

    Raises PluginError, before anything has changed, where a batch norm cannot take these statistics.
    """
    own = settings.norm == "batch"
    _check(module, own)
    module.eval()
    for part in module.modules():
        if isinstance(part, _DropoutNd) and settings.dropout:
            part.train()
        if isinstance(part, _BatchNorm):
            _take_own_statistics(part, own)


@contextmanager
def applied(module: nn.Module, settings: TestSettings) -> Iterator[nn.Module]:
    """Put `module` into test mode for a while, then back into the modes its parts were in.

    Every part stays the object that it is. Raises PluginError as `apply` does.
    """
    before = [(part, part.training, isinstance(part, OwnStatistics)) for part in module.modules()]
    try:
        apply(module, settings)
        yield module
    finally:
        for part, training, own in before:
            part.training = training
            if isinstance(part, _BatchNorm):
                _take_own_statistics(part, own)


class OwnStatistics(_BatchNorm):
    """A batch norm that in eval mode takes each image's own statistics; in train mode, as it was.

    It is the batch norm of before under another class, derived from its own: its parameters, buffers,
    hooks and the places where it is used stay. What a class of its own does beside normalising, such as
    an activation, it still does.
    """

    replaced: ClassVar[type[_BatchNorm]]
    """The class of the batch norm that it was."""

    def forward(self, image: Tensor) -> Tensor:
        """Return the images (B,C,...), normalised."""
        if self.training:
            return super().forward(image)
        if self.replaced.forward in _PLAIN:
            self._check_input_dim(image)  # type: ignore[no-untyped-call]
            return _by_itself(image, self.weight, self.bias, self.eps)
        with _EachByItself():
            return super().forward(image)

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Copy and pickle it as the batch norm it was: its own class is found under no name."""
        made: tuple[Any, ...] = super().__reduce_ex__(protocol)  # type: ignore[assignment]
        make, arguments, *state = made
        named = tuple(self.replaced if value is type(self) else value for value in arguments)
        return (_made_again, (make, named), *state)


_PLAIN = (_BatchNorm.forward, nn.SyncBatchNorm.forward)
"""What does nothing but normalise."""


def _made_again(make: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    norm = make(*arguments)
    kind: Any = type(norm)
    norm.__class__ = _own_class(kind)
    return norm


def _take_own_statistics(norm: _BatchNorm, own: bool) -> None:
    kind: Any = type(norm)
    if own == issubclass(kind, OwnStatistics):
        return
    norm.__class__ = _own_class(kind) if own else kind.replaced
    # torch.compile may look at a class again only after an attribute has changed.
    norm.training = not norm.training
    norm.training = not norm.training


@lru_cache(maxsize=256)
def _own_class(kind: Any) -> Any:
    """Return the class of a batch norm of class `kind` that takes own statistics."""
    # Under torch's name where it was torch's: torch.fx takes what lies below torch.nn for one operation.
    members: dict[str, Any] = {"replaced": kind, "__module__": kind.__module__}
    if hasattr(kind, "cls_to_become"):  # a lazy one takes another class when it first sees an image
        members["cls_to_become"] = _own_class(kind.cls_to_become)
    name = f"{OwnStatistics.__name__}{kind.__name__}"
    return types.new_class(name, (OwnStatistics, kind), exec_body=lambda space: space.update(members))


class _EachByItself(TorchFunctionMode):
    """Every `batch_norm` that is called meanwhile takes each image's own statistics."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is F.batch_norm:
            names = _FUNCTIONAL
        elif func is torch.batch_norm:
            names = _NATIVE
        else:
            return func(*args, **(kwargs or {}))
        given = {**dict(zip(names, args, strict=False)), **(kwargs or {})}
        return _by_itself(given["input"], given.get("weight"), given.get("bias"), given.get("eps", 1e-5))


_FUNCTIONAL = ("input", "running_mean", "running_var", "weight", "bias", "training", "momentum", "eps")
_NATIVE = ("input", "weight", "bias", "running_mean", "running_var", "training", "momentum", "eps")


def _by_itself(image: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> Tensor:
    if image.dim() == 2:  # (B,C): one value per channel
        return _by_itself(image[..., None], weight, bias, eps)[..., 0]
    # torch.instance_norm rather than functional's: it accepts a single value per channel (1x1 maps).
    return torch.instance_norm(image, weight, bias, None, None, True, 0.0, eps, torch.backends.cudnn.enabled)


# --- what can take own statistics ----------------------------------------------------------------


def _check(module: nn.Module, own: bool) -> None:
    """Raise PluginError that names, once for each class, what cannot take own statistics, or running ones."""
    why_not = _why_not_own if own else _why_not_running
    what = "each image's own statistics" if own else "its running statistics"
    cure = '; use the running ones (norm "running", in a recipe method.test_norm)' if own else ""
    problems: dict[type[nn.Module], str] = {}
    for name, part in module.named_modules():
        kind = type(part)
        if kind not in problems and (reason := why_not(part)):
            place = f"'{name}' ({kind.__name__})" if name else kind.__name__
            problems[kind] = f"{place} cannot take {what}: {reason}{cure}."
    if problems:
        raise PluginError(*problems.values())


def _why_not_running(part: nn.Module) -> str | None:
    """Return why `part` cannot be the batch norm again that it was; None if it can, or always was."""
    if not isinstance(part, OwnStatistics) or "replaced" in vars(type(part)):
        return None
    return "its class was changed after it took each image's own"


def _why_not_own(part: nn.Module) -> str | None:
    """Return why `part` cannot take own statistics; None if it can, or has no need to."""
    if isinstance(part, torch.jit.ScriptModule):
        graph: Any = getattr(part, "inlined_graph", None)  # None in a list of modules
        normalises = graph is not None and graph.findNode("aten::batch_norm")
        return "torch.jit has compiled its batch norm into it" if normalises else None
    if not isinstance(part, _BatchNorm):
        return None
    if "forward" in part.__dict__:
        return "its forward has been replaced by another"
    if isinstance(part, OwnStatistics) or part in _FOUND_SOUND:
        return None
    try:
        _take_own_statistics(part, True)
        _take_own_statistics(part, False)
        if type(part).forward not in _PLAIN and not _is_the_same(part):
            return "on a trial it did not give what it gives in training for one image alone"
    except Exception as error:
        return f"on a trial it failed with {in_a_line(error)}"
    _FOUND_SOUND.add(part)
    return None


_FOUND_SOUND: WeakSet[_BatchNorm] = WeakSet()
"""Batch norms that passed the trial, which need not take it again for every batch of a validation."""


@torch.no_grad()
def _is_the_same(norm: _BatchNorm) -> bool:
    """Whether own statistics make of `norm` what each image gives alone; tried on a copy, on the CPU.

    Alone means either in training mode, or in eval mode with that image's statistics as running ones.
    """
    if any(tensor.is_meta for tensor in (*norm.parameters(), *norm.buffers())):
        return True  # there are no values that could differ
    rng = torch.Generator().manual_seed(0)
    with torch.device("cpu"), torch.random.fork_rng(devices=()), torch.autocast("cpu", enabled=False):
        shape = (norm.num_features, *_extent(norm))
        noise = [torch.randn(shape, generator=rng, dtype=torch.float32) for _ in range(2)]
        images = torch.stack((3.0 * noise[0] + 2.0, 0.5 * noise[1] + 2.0))
        trial = _trial_of(norm, rng)
        alone = deepcopy(trial)
        _take_own_statistics(trial, True)
        own = trial(images.clone())
        references = (_with_running_statistics_of, _in_training)
        return any(
            all(
                torch.allclose(own[place], reference(deepcopy(alone), images[place][None])[0], atol=1e-4)
                for place in range(len(images))
            )
            for reference in references
        )


def _trial_of(norm: _BatchNorm, rng: torch.Generator) -> _BatchNorm:
    """Return a copy without hooks in eval mode, whose statistics and affine part leave a mark on images."""
    trial = deepcopy(norm).to("cpu", torch.float32).eval()
    for part in trial.modules():
        part._forward_hooks.clear()
        part._forward_pre_hooks.clear()
    for tensor in (*trial.parameters(recurse=False), *trial.buffers(recurse=False)):
        if tensor.is_floating_point():
            tensor.uniform_(0.5, 1.5, generator=rng)
    return trial


def _extent(norm: _BatchNorm) -> tuple[int, ...]:
    """Return how large the images of a trial are."""
    if isinstance(norm, nn.BatchNorm1d):
        return (6,)
    return (2, 3, 2) if isinstance(norm, nn.BatchNorm3d) else (4, 3)


def _with_running_statistics_of(norm: _BatchNorm, image: Tensor) -> Tensor:
    if norm.running_mean is not None and norm.running_var is not None:
        norm.running_mean.copy_(image.transpose(0, 1).flatten(1).mean(1))
        norm.running_var.copy_(image.transpose(0, 1).flatten(1).var(1, correction=0))
    output: Tensor = norm(image.clone())
    return output


def _in_training(norm: _BatchNorm, image: Tensor) -> Tensor:
    norm.reset_running_stats()  # what they were must not matter
    norm.training = True  # its parts stay in eval mode, which draws nothing
    output: Tensor = norm(image.clone())
    return output
