"""The device beside the CPU: networks, losses and a few training steps give the same numbers.

Differences are relative: the norm of the difference by that of the CPU's answer. A gradient jumps where a
ReLU's input, or the difference in an L1, changes its sign, and a sum taken in another order can do that: in
the U-Net this alone makes up a thousandth in float32, between two layouts of one CPU too. So gradients in
float32 are compared with a smooth activation in the place of each ReLU, and those of the networks as they are
in float64, where it does not happen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import replace

import torch
from parts import ROOT, Settings, tf32
from rows import Row, within
from torch import Tensor, nn

from i2i.building import components
from i2i.data.opening import open_splits
from i2i.engine.session import Session
from i2i.errors import ResourceError
from i2i.kinds import Data
from i2i.maps import as_maps
from i2i.plugins.catalog import Catalog
from i2i.plugins.schema import bind
from i2i.recipe.recipe import Recipe, load_recipe
from i2i.records import ImageSpec, PairSpec
from i2i.system.device import Runtime

BATCH = 2
FP32, FP64 = 1e-4, 1e-8
TF32, TF32_GRADIENTS = 1e-2, 5e-2
"""TF32 keeps 11 bits; emulated on a CPU it came to 0.001 forward, and to 0.01 in gradients."""

STEPS, WEIGHTS = 5, 1e-2
"""Adam's first steps are of one size whatever the gradient's, so they make much of differences near 0: in
weights, between two layouts of one CPU, a thousandth after 5 steps."""

Answers = dict[str, Tensor]
"""What is compared, by name, on the CPU in float64."""


def relative(found: Answers, reference: Answers) -> float:
    """Return the largest relative difference of the tensors in two answers."""
    differences = [
        (found[name] - answer).norm() / answer.norm().clamp(min=1e-30) for name, answer in reference.items()
    ]
    return float(torch.stack(differences).max())


# --- networks ----------------------------------------------------------------------------------------


def of_networks(settings: Settings) -> Iterator[Row]:
    """The recipe's generator and discriminator, forward and back, on the same weights and images."""
    recipe = settings.recipe({"generator.dropout": 0.0})
    side = ImageSpec(channels=3, height=settings.size, width=settings.size)
    networks = components.build_networks(recipe, PairSpec(side, side))
    rng = torch.Generator().manual_seed(0)
    for path, module in networks.modules():
        channels = 3 if path.startswith("generators") else 6
        images = torch.rand(BATCH, channels, settings.size, settings.size, generator=rng) * 2 - 1
        yield from _of_network(path, module, images, settings.device)


def _of_network(path: str, module: nn.Module, images: Tensor, device: str) -> Iterator[Row]:
    def row(what: str, found: Answers, reference: Answers, bound: float) -> Row:
        return within("networks", f"{path}, {what}", relative(found, reference), bound)

    smooth = with_smooth_activations(module)
    ours, ours_smooth = (_passed(network, images, "cpu") for network in (module, smooth))
    with tf32(False):
        yield row("forward, fp32", _passed(module, images, device)[0], ours[0], FP32)
        yield row("gradients, fp32", _passed(smooth, images, device)[1], ours_smooth[1], FP32)
    with tf32(True):
        yield row("forward, TF32", _passed(module, images, device)[0], ours[0], TF32)
        yield row("gradients, TF32", _passed(smooth, images, device)[1], ours_smooth[1], TF32_GRADIENTS)
    exact = _passed(module.double(), images.double(), "cpu")
    found = _passed(module.double(), images.double(), device)
    yield row("forward, fp64", found[0], exact[0], FP64)
    yield row("gradients, fp64", found[1], exact[1], FP64)


def _passed(module: nn.Module, images: Tensor, device: str) -> tuple[Answers, Answers]:
    """Return the outputs of a network in training, and the gradients of a fixed mixture of them."""
    module = deepcopy(module).to(device).train()
    outputs = as_maps(module(images.to(device)))
    rng = torch.Generator().manual_seed(1)
    total = torch.zeros((), device=device, dtype=images.dtype)
    for output in outputs:
        weights = torch.randn(output.shape, generator=rng).to(device, images.dtype)
        total = total + (output * weights).sum()
    total.backward()
    gradients = {name: p.grad for name, p in module.named_parameters() if p.grad is not None}
    return _answers(dict(zip(map(str, range(len(outputs))), outputs, strict=True))), _answers(gradients)


def _answers(tensors: Answers) -> Answers:
    return {name: tensor.detach().cpu().double() for name, tensor in tensors.items()}


def with_smooth_activations(module: nn.Module) -> nn.Module:
    """Return a copy of a network in which every ReLU is a SiLU."""
    copied = deepcopy(module)
    for part in list(copied.modules()):
        for name, child in part.named_children():
            if isinstance(child, (nn.ReLU, nn.LeakyReLU)):
                part.register_module(name, nn.SiLU())
    return copied


# --- losses ------------------------------------------------------------------------------------------


def of_losses(settings: Settings) -> Iterator[Row]:
    """Every loss between images, maps or features in `core`; those whose weights are not here are named."""
    for kind, value in _LOSSES.items():
        differences: dict[str, float] = {}
        without: list[str] = []
        for entry in Catalog.installed().entries(kind):
            if entry.namespace != "core":
                continue
            try:
                loss = bind(entry, {}).call(fetch=False)
            except ResourceError:
                without.append(f", without {entry.ref}")
                continue
            with tf32(False):
                found, reference = (
                    _of_loss(value, loss, settings, where) for where in (settings.device, "cpu")
                )
            differences[entry.ref] = relative(found, reference)
        worst = max(differences, key=lambda ref: differences[ref])
        row = within("losses", f"{kind}, value and gradient", differences[worst], FP32)
        told = f"{row.value}: {worst}, the worst of {len(differences)}{''.join(without)}"
        yield replace(row, value=told)


def _of_loss(value: Callable[..., Tensor], loss: object, settings: Settings, device: str) -> Answers:
    """Return the value of a loss and its gradient in what is not real."""
    rng = torch.Generator().manual_seed(0)
    fake, real = (
        (torch.rand(BATCH, 3, settings.size, settings.size, generator=rng) * 2 - 1).to(device) for _ in "12"
    )
    if isinstance(loss, nn.Module):
        loss = deepcopy(loss).to(device)
    fake.requires_grad_(True)
    scalar = value(loss, fake, real)
    (gradient,) = torch.autograd.grad(scalar, fake)
    return _answers({"value": scalar, "gradient": gradient})


_LOSSES: dict[str, Callable[..., Tensor]] = {
    "paired-loss": lambda loss, fake, real: loss(fake, real),
    "adversarial-loss": lambda loss, fake, real: (
        loss.generator([fake], [real]) + loss.discriminator([fake], [real])
    ),
    "feature-loss": lambda loss, fake, real: loss([[fake, fake[:, :1]]], [[real, real[:, :1]]]),
}


# --- training steps ----------------------------------------------------------------------------------


def of_training(settings: Settings) -> Iterator[Row]:
    """A few steps of a small recipe, with a penalty, from the same weights on the same batches."""
    changes = {"losses.r1.use": "r1", "losses.r1.every": 2, "train.steps": STEPS, "data.count": 64}
    recipe = load_recipe(ROOT / "recipes/shapes.toml", set=changes, unset=("callbacks.samples",))
    data = open_splits(recipe)
    with tf32(False):
        ours, found = (trained(recipe, data, device) for device in ("cpu", settings.device))
    yield within("training steps", f"losses of {STEPS} steps, fp32", relative(found[0], ours[0]), FP32)
    yield within("training steps", f"weights after {STEPS} steps, fp32", relative(found[1], ours[1]), WEIGHTS)


def trained(
    recipe: Recipe,
    data: Mapping[str, Data],
    device: str,
    *,
    between: Callable[[Session], object] = lambda session: None,
) -> tuple[Answers, Answers]:
    """Return the losses of all steps, each followed by what is done `between`, and the last weights."""
    runtime = Runtime(device, "fp32", channels_last=False, threads=torch.get_num_threads())
    session = Session(recipe, data=data, runtime=runtime, provenance={})
    losses: Answers = {}
    for batch in session.batches(last=session.total_steps):
        logs = session.advance([batch])
        losses |= {f"{name}, step {session.step}": value for name, value in logs.items()}
        between(session)
    weights = {
        path: torch.cat([parameter.flatten() for parameter in module.parameters()])
        for path, module in session.networks.modules()
    }
    return _answers(losses), _answers(weights)
