"""What every network promises, generator or discriminator: its weights can be made, copied and saved."""

from __future__ import annotations

import copy
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from i2i.building.needs import beside
from i2i.maps import as_features, as_maps
from i2i.runs import weights
from i2i.seeds import seeded
from i2i.testing import samples
from i2i.testing.checks.manners import MANNERS
from i2i.testing.outcomes import check, fail, require, told
from i2i.testing.subjects import MODULES, NETWORKS, Subject, side_for
from i2i.testing.uses import images_for, shown

SOUND = ("module", "shapes", "maps")
"""What must hold before the answer of a network means anything."""

LEAST = 16
"""Pixels to a side that a component takes which does not say that it needs more."""


@check("modes", *NETWORKS, needs=["module", "works", *MANNERS])
def modes(subject: Subject) -> None:
    """eval() and train() switch its mode and nothing else; a call changes no mode and adds no weights."""
    network = subject.build()
    image = images_for(network)
    known = network.state_dict().keys()
    shown(network, image)
    late = sorted(network.state_dict().keys() - known)
    require(
        not late,
        f"it makes {' and '.join(late[:2])} when it is first called, and the optimizer has its weights by "
        "then: make all of them in __init__",
    )
    wanted = [parameter.requires_grad for parameter in network.parameters()]
    for switch, mode in ((network.eval, False), (network.train, True)):
        require(
            switch() is network,
            "its train() does not return the module, as torch's does: end it on `return self`",
        )
        switched = [part.training for part in network.modules()]
        shown(network, image)
        require(
            (mode or not any(switched)) and switched == [part.training for part in network.modules()],
            f"after {'train' if mode else 'eval'}() and a call, parts of it are in the other mode: let "
            "train() and eval() switch all of its parts, and nothing else switch any",
        )
        require(
            wanted == [parameter.requires_grad for parameter in network.parameters()],
            "eval() or train() changes which of its weights are trained, so a validation would change the "
            "training: leave requires_grad alone",
        )


@check("single-image", *NETWORKS, needs=SOUND)
def single_image(subject: Subject) -> None:
    """It can be trained on one image at a time."""
    network = subject.build()
    image = images_for(network, count=1)
    try:
        out = answer(network, image)
    except Exception as error:
        fail(
            f"of one image alone it raises {told(error)}: where a single value is left of each channel, use "
            "a norm that needs no other, or none"
        )
    for tensor in out:
        require(
            tensor.dim() > 0 and len(tensor) == 1,
            f"of one image alone it returns a tensor of shape {tuple(tensor.shape)}: keep the batch as the "
            "first dimension, with no squeeze()",
        )
        require(
            tensor.isfinite().all(), "of one image alone what comes out is not finite: do not divide by n - 1"
        )


@check("least-size", *NETWORKS, "paired-loss", needs=["rectangles", "judged-rectangles", "scalar"])
def least_size(subject: Subject) -> None:
    """It takes images as small as its `smallest` says, or of 16 pixels where it says nothing."""
    built = subject.build()
    side = side_for(built, at_least=LEAST if getattr(built, "smallest", None) is None else 1)
    images = [samples.images(2, 3, side, side, seed=seed) for seed in (0, 5)]
    said = "says that it takes" if hasattr(built, "smallest") else "does not say what it needs, and gets"
    try:
        if subject.kind == "paired-loss":
            built(*images)
        else:
            answer(built, images[0])
    except Exception as error:
        fail(
            f"it {said} {side} pixels to a side, and raises {told(error)}: say with the attribute `smallest` "
            "from which side on it works"
        )


@check("channels-last", *NETWORKS, needs=SOUND)
def channels_last(subject: Subject) -> None:
    """In the memory layout channels-last, in which half precision is trained, it answers alike."""
    network = subject.build().eval()
    image = images_for(network)
    plain = answer(network, image)
    other = subject.build().eval()
    other.load_state_dict(network.state_dict())
    other.to(memory_format=torch.channels_last)
    try:
        turned = answer(other, image.contiguous(memory_format=torch.channels_last))
    except Exception as error:
        fail(f"in channels-last layout it raises {told(error)}: use reshape in place of view")
    if draws(network, image):
        return  # noise is drawn in the order of memory
    near = [
        torch.allclose(one, other, rtol=1e-3, atol=1e-3) for one, other in zip(plain, turned, strict=True)
    ]
    require(
        all(near),
        "in channels-last layout it answers otherwise: go by dimensions, never by strides or by the order in "
        "memory",
    )


@check("same-seed-same-weights", *MODULES, needs=["module"])
def same_seed_same_weights(subject: Subject) -> None:
    """Built twice under one seed it has the same weights."""
    first, second = subject.build(seed=3).state_dict(), subject.build(seed=3).state_dict()
    for name, value in first.items():
        require(
            name in second and torch.equal(value, second[name]),
            f"'{name}' differs between two builds under one seed: draw it from torch's global generator, "
            "which the engine seeds",
        )


@check("gradient-everywhere", *NETWORKS, needs=SOUND)
def gradient_everywhere(subject: Subject) -> None:
    """Every trainable parameter gets a finite gradient from what comes out."""
    network = subject.build()
    _spread(answer(network)).backward()  # type: ignore[no-untyped-call]
    trainable = {name: p for name, p in network.named_parameters() if p.requires_grad}
    idle = [name for name, parameter in trainable.items() if parameter.grad is None]
    if idle:
        fail(
            f"{len(idle)} of {len(trainable)} parameters get no gradient, such as '{idle[0]}': use them, "
            "take them out, or say requires_grad_(False)"
        )
    if broken := _broken_gradient(network):
        fail(f"the gradient of '{broken}' is not finite: look for roots, logarithms and divisions at 0")
    require(
        any(p.grad is not None and p.grad.abs().sum() > 0 for p in trainable.values()),
        "the gradient of every parameter is 0, so it learns nothing: do not begin with weights that are "
        "all 0, or so large that what comes last is saturated",
    )


@check("deepcopy", *NETWORKS, needs=SOUND)
def deep_copy(subject: Subject) -> None:
    """copy.deepcopy gives a network that answers alike and shares no weights."""
    network = subject.build()
    try:
        copied = copy.deepcopy(network)
    except Exception as error:
        fail(
            f"copy.deepcopy raises {told(error)}: keep tensors with a history, open files "
            "and generators out of the module's attributes"
        )
    before = answer(copied)
    require(
        _alike(answer(network), before),
        "its deep copy answers otherwise: keep all that the answer depends on in parameters and buffers",
    )
    shared = _places(network) & _places(copied)
    require(
        not shared,
        "its deep copy has the same weights, not weights of its own: let __deepcopy__ copy them too",
    )


@check("safetensors-round-trip", *NETWORKS, needs=SOUND)
def safetensors_round_trip(subject: Subject) -> None:
    """Saved as a weights file and loaded into a fresh one it answers as before."""
    network, fresh = subject.build(seed=1), subject.build(seed=2)
    with tempfile.TemporaryDirectory(prefix="i2i-check-") as folder:
        path = Path(folder, "weights.safetensors")
        answer(network)  # batch norms and the like have seen something
        weights.write(path, network.state_dict(), {})
        file = weights.read(path)
    weights.load_into(fresh, file.tensors, source="its weights file", target="a fresh one")
    require(
        _alike(answer(network.eval()), answer(fresh.eval())),
        "loaded from its weights file it answers otherwise: register all that the answer depends on as "
        "parameters or as persistent buffers",
    )


@check("torch-export", "generator", needs=["eval-deterministic"])
def torch_export(subject: Subject) -> None:
    """torch.export takes it, and what it makes answers alike."""
    network = subject.build().eval()
    image = images_for(network, count=1)
    timed = beside(network, image)
    try:
        exported: nn.Module = torch.export.export(network, (image,), timed).module()
    except Exception as error:
        fail(
            f"torch.export raises {told(error)}: let shapes, never values of "
            "tensors, decide what forward does"
        )
    with seeded(0, "answer"):
        found = exported(image, **timed)
    require(
        draws(network, image) or torch.allclose(found, shown(network, image), atol=1e-4),
        "what torch.export makes of it answers otherwise: let forward read nothing but its input, parameters "
        "and buffers",
    )


@check("meta-build", *NETWORKS, needs=SOUND)
def meta_build(subject: Subject) -> None:
    """It can be built and run on the meta device, as the engine does to check shapes without memory."""
    image = images_for(subject.shared)
    with torch.device("meta"):
        network = subject.build()
    for name, tensor in network.state_dict().items():
        require(
            tensor.is_meta,
            f"'{name}' is not on the device that torch.device says: create tensors without device=",
        )
    try:
        with torch.no_grad():
            shown(network, image.to("meta"))
    except Exception as error:
        fail(
            f"on the meta device it raises {told(error)}: create tensors on the device of "
            "the input, and let no value of a tensor decide what is done"
        )


@check("bf16-finite", *NETWORKS, needs=["gradient-everywhere"])
def bf16_finite(subject: Subject) -> None:
    """Under autocast to bfloat16, what comes out and every gradient is finite."""
    network = subject.build()
    with torch.autocast("cpu", torch.bfloat16):
        out = answer(network)
    require(
        all(tensor.isfinite().all() for tensor in out),
        "under bfloat16 what comes out is not finite: do sums, squares and exponentials in float32",
    )
    _spread(out).backward()  # type: ignore[no-untyped-call]
    if broken := _broken_gradient(network):
        fail(
            f"under bfloat16 the gradient of '{broken}' is not finite: do sums, squares and exponentials in "
            "float32"
        )


def answer(network: nn.Module, image: Tensor | None = None, *, seed: int = 0) -> list[Tensor]:
    """Return the tensors that come out of a network, its draws from `seed`; features too where it has any."""
    with seeded(seed, "answer"):
        output: Any = shown(network, images_for(network) if image is None else image)
    return [*as_maps(output), *(tensor for scale in as_features(output) for tensor in scale)]


def draws(network: nn.Module, image: Tensor) -> bool:
    """Whether the answer of a network depends on what torch's global generator draws."""
    return not _alike(answer(network, image), answer(network, image, seed=1))


def enlarge(network: nn.Module, *, factor: float = 4.0, seed: int = 0) -> nn.Module:
    """Return a network with much larger weights, as training may lead to."""
    rng = samples.generator(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(factor).add_(0.1 * torch.randn(parameter.shape, generator=rng))
    return network


def shifted(network: nn.Module, shift: float, *, factor: float = 4.0) -> nn.Module:
    """Return a network with weights that are `factor` times as large, and all biases at `shift`."""
    with torch.no_grad():
        for name, parameter in enlarge(network, factor=factor).named_parameters():
            if name.endswith("bias"):
                parameter.fill_(shift)
    return network


def _places(network: nn.Module) -> set[int]:
    """Return where in memory the parameters and buffers of a network stand."""
    return {tensor.data_ptr() for tensor in network.state_dict().values() if tensor.numel()}


def _broken_gradient(network: nn.Module) -> str:
    """Return the name of a parameter whose gradient is not finite, or nothing."""
    for name, parameter in network.named_parameters():
        if parameter.grad is not None and not parameter.grad.isfinite().all():
            return name
    return ""


def _spread(tensors: list[Tensor]) -> Tensor:
    """Return a scalar that depends on every value in its own way, so that no gradient cancels out."""
    total = torch.zeros(())
    for number, tensor in enumerate(tensors):
        total = total + (tensor.float() * samples.noise(tensor, seed=number)).mean()
    return total


def _alike(one: list[Tensor], other: list[Tensor]) -> bool:
    return len(one) == len(other) and all(map(torch.equal, one, other))


CHECKS = (
    modes,
    single_image,
    least_size,
    channels_last,
    same_seed_same_weights,
    gradient_everywhere,
    deep_copy,
    safetensors_round_trip,
    torch_export,
    meta_build,
    bf16_finite,
)
