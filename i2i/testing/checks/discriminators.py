"""What a discriminator promises: raw logits that any adversarial loss can use, a gradient to the image."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from i2i.errors import PluginError
from i2i.maps import as_features, as_maps
from i2i.registry import Entry
from i2i.testing import samples
from i2i.testing.checks.networks import enlarge
from i2i.testing.outcomes import check, fail, require, told
from i2i.testing.subjects import Subject, side_for
from i2i.testing.uses import images_for


@check("maps", "discriminator", needs=["module", "works"])
def maps(subject: Subject) -> None:
    """It returns logit maps: a tensor, a list of tensors, or an object with logits and features."""
    network = subject.build()
    image = images_for(network)
    output = network(image)
    try:
        logits, features = as_maps(output), as_features(output)
    except TypeError as error:
        fail(f"{error}: return one of these")
    for tensor in (*logits, *(tensor for scale in features for tensor in scale)):
        require(
            isinstance(tensor, Tensor) and tensor.is_floating_point() and len(tensor) == len(image),
            f"of {len(image)} images it returns {_shape(tensor)}: keep the batch as the first dimension of "
            "each map and feature, in floating point",
        )
    require(
        not features or len(features) == len(logits),
        f"it hands out {len(logits)} maps and features of {len(features)} scales: `features` holds a list of "
        "tensors for each map",
    )


@check("judged-channels", "discriminator", needs=["maps"])
def judged_channels(subject: Subject) -> None:
    """It takes as many channels as it is told: 1, and 6 where it also sees the source."""
    for count, condition in ((1, 0), (6, 3)):
        network = subject.build(in_channels=count, condition_channels=condition)
        try:
            as_maps(network(images_for(network, channels=count)))
        except Exception as error:
            fail(
                f"built with in_channels = {count}, it raises {told(error)}: let "
                "the first layer take in_channels"
            )


@check("judged-rectangles", "discriminator", needs=["maps"])
def judged_rectangles(subject: Subject) -> None:
    """It takes images that are not square, and sides that are odd."""
    network = subject.build()
    side = side_for(network, at_least=samples.SIDE)
    step = getattr(network, "size_multiple", 5)
    for height, width in ((side, side + step), (side + step, side)):
        try:
            network(samples.images(2, 3, height, width))
        except Exception as error:
            fail(
                f"{height}x{width} raises {told(error)}: pool before a linear layer, so that any size will do"
            )


@check("raw-logits", "discriminator", needs=["maps"])
def raw_logits(subject: Subject) -> None:
    """Its logits are raw: no sigmoid, tanh or ReLU holds them back."""
    seen = []
    for seed, shift in enumerate((5.0, -5.0)):
        network = _shifted(subject.build(seed=seed), shift)
        for factor in (1.0, 100.0):  # norms may hold back large weights, and large weights a large input
            seen += [logits.detach().flatten() for logits in as_maps(network(factor * images_for(network)))]
    values = torch.cat(seen)
    values = values[values.isfinite()]
    least, most = values.min().item(), values.max().item()
    squashed = least >= -1 and most <= 1
    require(
        not squashed and least < 0 < most,
        f"whatever its weights, its logits stay between {least:.3g} and {most:.3g}: take the last sigmoid, "
        "tanh or ReLU out, the losses want raw logits",
    )


@check("gradient-to-image", "discriminator", needs=["maps"])
def gradient_to_image(subject: Subject) -> None:
    """A gradient reaches the image that it judges, also with its own parameters frozen."""
    network = subject.build().requires_grad_(False)
    image = images_for(network).requires_grad_(True)
    total = torch.stack([logits.float().mean() for logits in as_maps(network(image))]).sum()
    require(
        total.requires_grad,
        "no gradient reaches the image, and no generator can learn from it: take detach, no_grad or rounding "
        "out of forward",
    )
    (gradient,) = torch.autograd.grad(total, image, allow_unused=True)
    require(
        gradient is not None and gradient.isfinite().all() and gradient.abs().sum() > 0,
        "the gradient at the image is nothing or not finite: let the logits depend on every pixel smoothly",
    )


@check("every-adversarial-loss", "discriminator", needs=["gradient-everywhere"])
def every_adversarial_loss(subject: Subject) -> None:
    """It can be trained, and trains a generator, with each adversarial loss of core."""
    for entry in _of_core(subject, "adversarial-loss"):
        loss, network = Subject(entry, subject.catalog).build(), subject.build()
        real = images_for(network)
        fake = (real + 0.3 * samples.noise(real)).clamp(-1, 1).requires_grad_(True)
        on_fake, on_real = as_maps(network(fake.detach())), as_maps(network(real))
        score = loss.discriminator(on_fake, on_real)
        score.backward()
        persuading = loss.generator(as_maps(network(fake)), on_real)
        (gradient,) = torch.autograd.grad(persuading, fake)
        learnt = [p.grad for p in network.parameters() if p.grad is not None]
        require(
            score.isfinite() and persuading.isfinite() and gradient.isfinite().all(),
            f"with {entry.ref} its loss or gradient is not finite: keep logits in a range of a few units",
        )
        require(
            any(grad.abs().sum() > 0 for grad in learnt),
            f"with {entry.ref} it learns nothing: its gradients are all 0",
        )


@check("double-backward", "discriminator", needs=["gradient-to-image"])
def double_backward(subject: Subject) -> None:
    """It can be trained with each penalty of core, which take the gradient of a gradient."""
    for entry in _of_core(subject, "penalty"):
        penalty, network = Subject(entry, subject.catalog).build(), subject.build()
        real = images_for(network)
        try:
            value = penalty(lambda image: as_maps(network(image)), real, real.flip(-1))  # noqa: B023
            value.backward()
        except (RuntimeError, NotImplementedError) as error:
            fail(
                f"{entry.ref} cannot be computed on it ({told(error)}): use operations that torch can "
                "differentiate twice, none of them in place"
            )
        require(value.isfinite(), f"{entry.ref} of it is not finite: look for roots and divisions at 0")


def _shifted(network: nn.Module, shift: float) -> nn.Module:
    """Return a network with large weights, and all biases at `shift`."""
    with torch.no_grad():
        for name, parameter in enlarge(network).named_parameters():
            if name.endswith("bias"):
                parameter.fill_(shift)
    return network


def _of_core(subject: Subject, kind: str) -> list[Entry]:
    """Return the components of core of one kind: what every recipe can name."""
    plugin = subject.catalog.plugin("core", wanted=f"a {kind}")
    found = [entry for entry in plugin.entries if entry.kind == kind]
    if not found:
        raise PluginError(f"core has no {kind} to try it with")
    return found


def _shape(value: Any) -> str:
    return f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__


CHECKS = (
    maps,
    judged_channels,
    judged_rectangles,
    raw_logits,
    gradient_to_image,
    every_adversarial_loss,
    double_backward,
)
