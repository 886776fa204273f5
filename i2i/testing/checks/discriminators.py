"""What a discriminator promises: raw logits that any adversarial loss can use, a gradient to the image."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from i2i.errors import PluginError
from i2i.maps import as_features, as_maps
from i2i.registry import Entry
from i2i.testing import samples
from i2i.testing.checks.networks import shifted
from i2i.testing.outcomes import check, fail, require, told
from i2i.testing.subjects import Subject, side_for
from i2i.testing.uses import images_for, shown


@check("maps", "discriminator", needs=["module", "works", "modes"])
def maps(subject: Subject) -> None:
    """It returns logit maps: a tensor, a list of tensors, or an object with logits and features."""
    network = subject.build()
    image = images_for(network)
    output = shown(network, image)
    require(
        not isinstance(getattr(output, "logits", None), Tensor),
        "its `logits` is one tensor: make it a list with a map for each scale, of one map too",
    )
    require(
        not any(isinstance(scale, Tensor) for scale in getattr(output, "features", ())),
        "its `features` holds tensors: make it a list of lists, with the features of each map in one of them",
    )
    try:
        logits, features = as_maps(output), as_features(output)
    except TypeError as error:
        fail(f"{error}: return one of these")
    for tensor in (*logits, *(tensor for scale in features for tensor in scale)):
        require(
            isinstance(tensor, Tensor)
            and tensor.is_floating_point()
            and tensor.dim() > 0
            and len(tensor) == len(image),
            f"of {len(image)} images it returns {_shape(tensor)}: keep the batch as the first dimension of "
            "each map and feature, in floating point",
        )
        require(
            tensor.numel(),
            f"of {image.shape[-2]}x{image.shape[-1]} pixels it returns {_shape(tensor)}, which is empty: "
            "use fewer layers, or say with `smallest` how large images must be",
        )
        require(
            tensor.dtype == torch.float32,
            f"images in float32 become {tensor.dtype}: leave precision to the engine",
        )
    channels = sorted({tensor.shape[1] for tensor in logits if tensor.dim() == 4})
    require(
        len(channels) < 2,
        f"the maps that it returns are of {' and '.join(map(str, channels))} channels: if features are among "
        "them, return i2i.maps.Maps(logits, features)",
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
            as_maps(shown(network, images_for(network, channels=count)))
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
            shown(network, samples.images(2, 3, height, width))
        except Exception as error:
            fail(
                f"{height}x{width} raises {told(error)}: pool before a linear layer, so that any size will do"
            )


@check("raw-logits", "discriminator", needs=["maps"])
def raw_logits(subject: Subject) -> None:
    """Its logits are raw: no sigmoid, tanh, clamp or ReLU holds them back."""
    least, most = _reach(subject, 4.0, 5.0)
    furthest = _reach(subject, 400.0, 5000.0)
    squashed = (least >= -1 and most <= 1) or (furthest[0] >= 1.01 * least and furthest[1] <= 1.01 * most)
    require(
        not squashed and least < 0 < most,
        f"whatever its weights, its logits stay between {least:.3g} and {most:.3g}: take the last sigmoid, "
        "tanh or ReLU out, the losses want raw logits",
    )


@check("gradient-to-image", "discriminator", needs=["maps"])
def gradient_to_image(subject: Subject) -> None:
    """From each map and feature a gradient reaches the image, also with its own parameters frozen."""
    network = subject.build().requires_grad_(False)
    image = images_for(network).requires_grad_(True)
    output = shown(network, image)
    maps, scales = as_maps(output), as_features(output)
    reached = torch.zeros(3)
    for number, logits in enumerate(maps, start=1):
        which = f" from map {number} of {len(maps)}" if len(maps) > 1 else ""
        require(
            logits.requires_grad,
            f"no gradient reaches the image{which}, and no generator can learn from it: take detach, "
            "no_grad or rounding out of forward",
        )
        (gradient,) = torch.autograd.grad(logits.float().mean(), image, allow_unused=True, retain_graph=True)
        require(
            gradient is not None and gradient.isfinite().all() and gradient.abs().sum() > 0,
            f"the gradient at the image{which} is nothing or not finite: let the logits depend on every "
            "pixel smoothly",
        )
        reached += gradient.abs().sum(dim=(0, 2, 3))
    require(
        reached.min() > 0,
        f"it does not look at channel {int(reached.argmin())} of the image: let the first layer take all of "
        "in_channels",
    )
    require(
        all(feature.requires_grad for scale in scales for feature in scale),
        "its features carry no gradient to the image, so no generator can match them: do not detach them",
    )


@check("every-adversarial-loss", "discriminator", needs=["gradient-everywhere", "gradient-to-image"])
def every_adversarial_loss(subject: Subject) -> None:
    """It can be trained, and trains a generator, with each adversarial loss of core."""
    for entry in _of_core(subject, "adversarial-loss"):
        loss, network = Subject(entry, subject.catalog).build(), subject.build()
        real = images_for(network)
        fake = (real + 0.3 * samples.noise(real)).clamp(-1, 1).requires_grad_(True)
        on_fake, on_real = as_maps(shown(network, fake.detach())), as_maps(shown(network, real))
        score = loss.discriminator(on_fake, on_real)
        score.backward()
        persuading = loss.generator(as_maps(shown(network, fake)), on_real)
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
            value = penalty(lambda image: as_maps(shown(network, image)), real, real.flip(-1))  # noqa: B023
            value.backward()
        except (RuntimeError, NotImplementedError) as error:
            fail(
                f"{entry.ref} cannot be computed on it ({told(error)}): use operations that torch can "
                "differentiate twice, none of them in place"
            )
        require(value.isfinite(), f"{entry.ref} of it is not finite: look for roots and divisions at 0")


def _reach(subject: Subject, factor: float, shift: float) -> tuple[float, float]:
    """Return the least and the largest logit of networks with weights and biases that are so large."""
    seen = []
    for seed, sign in enumerate((1, -1)):
        network = shifted(subject.build(seed=seed), sign * shift, factor=factor)
        for scale in (1.0, 100.0):  # norms may hold back large weights, and large weights a large input
            seen += [
                logits.detach().flatten() for logits in as_maps(shown(network, scale * images_for(network)))
            ]
    values = torch.cat(seen)
    values = values[values.isfinite()]
    return (values.min().item(), values.max().item()) if len(values) else (-math.inf, math.inf)


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
