"""What a generator promises: any channels, any size, values that are images, the same answer each time."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from i2i import testtime
from i2i.kinds import ImageSpec, PairSpec, TestSettings
from i2i.models.translate import Model, translate
from i2i.recipe.network_needs import wants_time
from i2i.seeds import seeded
from i2i.testing import samples
from i2i.testing.checks.networks import draws, enlarge, shifted
from i2i.testing.outcomes import check, fail, require, told
from i2i.testing.subjects import Subject, side_for
from i2i.testing.uses import images_for, shown


@check("shapes", "generator", needs=["module", "works", "modes"])
def shapes(subject: Subject) -> None:
    """It turns (B,3,H,W) into float32 (B,3,H,W), in training and in eval mode, also of one image."""
    network = subject.build()
    image = images_for(network)
    out = shown(network, image)
    _an_image(out, image)
    require(
        out.is_floating_point() and out.requires_grad,
        f"it returns {out.dtype} {'with' if out.requires_grad else 'without'} a gradient: return "
        "floating-point values that the weights have led to, with no detach and no rounding on the way",
    )
    require(
        out.dtype == torch.float32,
        f"images in float32 become {out.dtype}: leave precision to the engine, and turn what comes last to "
        "the dtype of the input",
    )
    network.eval()
    for seen in (image, image[:1]):
        with torch.no_grad():
            out = shown(network, seen)
        _an_image(out, seen, "in eval mode ")
        require(
            not out.requires_grad,
            "under torch.no_grad it keeps a graph, and memory with it: take enable_grad out of forward",
        )


@check("channels", "generator", needs=["shapes"])
def channels(subject: Subject) -> None:
    """It takes and returns as many channels as it is told: 1 to 3, 3 to 1, and 4 to 2."""
    for wanted, given in (
        ({"in_channels": 1, "out_channels": 3}, 1),
        ({"in_channels": 3, "out_channels": 1}, 3),
        ({"in_channels": 4, "out_channels": 2}, 4),
    ):
        network = subject.build(**wanted)
        image = images_for(network, channels=given)
        try:
            out = shown(network, image)
        except Exception as error:
            fail(
                f"built with {wanted}, it raises {told(error)}: let the first "
                "layer take in_channels and the last one give out_channels"
            )
        _same_size(out, image, wanted["out_channels"])


@check("rectangles", "generator", needs=["shapes"])
def rectangles(subject: Subject) -> None:
    """It takes images that are not square."""
    network = subject.build()
    side = side_for(network, at_least=samples.SIDE)
    step = getattr(network, "size_multiple", 8)
    for height, width in ((side, side + step), (side + step, side)):
        image = samples.images(2, 3, height, width)
        try:
            out = shown(network, image)
        except Exception as error:
            fail(
                f"{height}x{width} raises {told(error)}: take height and width "
                "from the input's shape, each by itself"
            )
        _same_size(out, image, 3)


@check("odd-sizes", "generator", needs=["rectangles"])
def odd_sizes(subject: Subject) -> None:
    """It translates images of any size, padded to its `size_multiple` and cut again."""
    network = subject.build()
    side = side_for(network, at_least=samples.SIDE)
    height, width = (side + 3, side + 5) if getattr(network, "size_multiple", 1) < 6 else (side - 3, side - 5)
    spec = PairSpec(ImageSpec(3, height, width), ImageSpec(3, height, width))
    testtime.apply(network, TestSettings())
    try:
        out = translate(Model(AtOneTime(network), spec, ()), samples.images(1, 3, height, width)[0])
    except Exception as error:
        fail(
            f"an image of {height}x{width} raises {told(error)}: say with the "
            "attribute `size_multiple` what height and width must be multiples of"
        )
    require(
        tuple(out.shape) == (3, height, width),
        f"an image of {height}x{width} comes back as {_size(out.shape)}: say with the attribute "
        "`size_multiple` what height and width must be multiples of",
    )


@check("range", "generator", needs=["shapes"])
def value_range(subject: Subject) -> None:
    """Its values stay within -1 and 1, also where its weights have grown, and can fall below 0.

    What one that needs a time returns is for its method alone.
    """
    if wants_time(subject.build()):
        return
    reached = []
    for factor in (1.0, 4.0):
        network = enlarge(subject.build(), factor=factor)
        out = shown(network, images_for(network)).detach()
        if not out.isfinite().all() and factor > 1:
            return  # weights like these no training leads to
        least, most = out.min().item(), out.max().item()
        require(
            least >= -1.00001 and most <= 1.00001,
            f"its values go from {least:.3g} to {most:.3g}: end on a tanh, or clamp to [-1,1]",
        )
        reached += [least, most]
    for shift in (-5.0, 5.0):
        network = shifted(subject.build(), shift)
        out = shown(network, images_for(network)).detach()
        reached += [out.min().item(), out.max().item()]
    # What is not finite, or 0 throughout, says nothing about the half that a sigmoid leaves out.
    require(
        min(reached) < 0 or not max(reached) > 0,
        f"whatever its weights, its values stay between {min(reached):.3g} and {max(reached):.3g}: images "
        "are in [-1,1], so end on a tanh in place of a sigmoid",
    )


@check("eval-deterministic", "generator", needs=["shapes"])
def eval_deterministic(subject: Subject) -> None:
    """In eval mode it gives the same answer twice under one seed, though it may draw noise."""
    network = subject.build().eval()
    image = images_for(network)
    require(
        torch.equal(_drawn(network, image), _drawn(network, image)),
        "in eval mode two answers under one seed differ: draw noise from torch's global generator, which the "
        "engine seeds, and keep nothing from one call to the next",
    )


@check("batch-independent", "generator", needs=["eval-deterministic"])
def batch_independent(subject: Subject) -> None:
    """In eval mode an image's answer does not depend on the others in its batch, unless it draws noise."""
    network = subject.build().eval()
    image = images_for(network, count=3)
    if draws(network, image):
        return  # what is drawn for an image depends on its place in the batch
    alone = torch.cat([shown(network, one[None]) for one in image])
    require(
        torch.allclose(shown(network, image), alone, atol=1e-3),
        "in eval mode an image is translated otherwise alone than in a batch: take statistics over each "
        "image, or running ones",
    )


class AtOneTime(nn.Module):
    """A generator as a function of the image alone, at one time where it takes one."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.size_multiple = getattr(network, "size_multiple", 1)

    def forward(self, image: Tensor) -> Any:
        """Return what the network makes of (B,C,H,W)."""
        return shown(self.network, image)


def _drawn(network: nn.Module, image: Tensor) -> Tensor:
    with seeded(0, "answer"):
        answer: Tensor = shown(network, image)
    return answer


def _an_image(out: Any, image: Tensor, when: str = "") -> None:
    require(
        isinstance(out, Tensor),
        f"{when}it returns a {type(out).__name__}: return the image alone, as one tensor",
    )
    _same_size(out, image, 3, when)


def _same_size(out: Tensor, image: Tensor, channels: int, when: str = "") -> None:
    wanted = (len(image), channels, *image.shape[-2:])
    require(
        tuple(out.shape) == wanted,
        f"{when}{_size(image.shape)} becomes {_size(out.shape)}, and should become {_size(wanted)}: check "
        "strides, padding and the last layer's channels, or set `size_multiple`",
    )


def _size(shape: Any) -> str:
    return "x".join(map(str, shape))


CHECKS = (
    shapes,
    channels,
    rectangles,
    odd_sizes,
    value_range,
    eval_deterministic,
    batch_independent,
)
