"""Any timm network as one thing: images of any size in, feature maps (B,C,H,W) from fine to coarse out.

What sets the families apart is settled here, by asking timm and never by a network's name: some hand out
maps as (B,H,W,C), some begin at a quarter of the size, some take other sizes than their own only on demand,
and some never do, which is refused in a sentence. What a pretrained one expects of its input is applied too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from textwrap import shorten
from typing import Annotated, Any

import timm
import torch
from annotated_types import Ge, Le
from torch import Tensor, nn
from torch.nn import functional as F

from i2i.errors import DataError, did_you_mean
from i2i_timm import pretrained as weights_of
from i2i_timm.published import Published

COLOURS = 3
"""The channels of what published weights were trained on."""

Side = Annotated[int, Ge(1), Le(65536)]
Size = tuple[Side, Side]
"""Height and width in pixels."""

UNFIT = (AssertionError, IndexError, RuntimeError, ValueError)
"""What timm's networks raise when an image does not suit them."""

ANY_SIZE: tuple[dict[str, bool], ...] = ({"dynamic_img_size": True}, {"strict_img_size": False}, {})
"""How networks that are built for one size are told to take others, by the first of these that helps."""


class Unfit(DataError, ValueError):
    """An image of a size, or of a number of channels, that a network cannot take.

    It is the data's fault where a finished model is shown images of other sizes.
    """


class Backbone(nn.Module):
    """The feature maps of a timm network.

    (B,in_channels,H,W) in [-1,1] -> a list of (B,C,h,w), where `channels` holds each C and `reductions`
    how many times smaller than the image each is. Images are padded so that every map is whole (`whole`).
    How weights start is timm's own affair (`keep_init`). Raises ValueError for a name that timm does not
    have, and Unfit for a size or a number of channels that the network cannot take.

    Args:
        name: a name of timm's, with the tag of its weights if it is to have any but the usual ones.
        in_channels: channels of the image; pretrained filters are repeated over other than three.
        pretrained: start from published weights, and normalise as they expect.
        weights: a file of them, rather than a download.
        published: those of an installed distribution, rather than a download.
        fetch: False leaves the weights as they are, for others are about to replace them.
        layers: which of the maps to compute, all that timm offers if left out.
        img_size: the size to build a network for that is of one size; smaller images are padded to it.
    """

    keep_init = True

    def __init__(
        self,
        name: str,
        *,
        in_channels: int,
        pretrained: bool = False,
        weights: Path | None = None,
        published: Published | None = None,
        fetch: bool = True,
        layers: tuple[int, ...] | None = None,
        img_size: Size | None = None,
    ) -> None:
        super().__init__()
        check_name(name)
        weights_of.check(name, pretrained=pretrained, weights=weights, published=published)
        facts = _facts(name)
        options: dict[str, Any] = {**facts.options, "in_chans": in_channels}
        if layers is not None:
            _check_layers(name, layers, facts.layers)
            options["out_indices"] = layers
        if img_size is not None:
            _check_size(name, options, img_size)
            options["img_size"] = img_size
        self.name, self._options = name, options
        if pretrained and fetch:
            source = weights_of.find(name, weights, published)
            self.net = source.load({"features_only": True, **options})
        else:
            self.net = create(name, **options)
        info: Any = self.net.feature_info
        self.channels: tuple[int, ...] = tuple(info.channels())
        self.reductions: tuple[int, ...] = tuple(info.reduction())
        self.multiple = max(self.reductions)
        self.native: Size = img_size or tuple(_config(name).input_size[1:])
        self._built_for_it = img_size is not None
        # What timm knows to be of one size, and cannot tell to take others, may take others all the same.
        self._fixed = bool(_config(name).fixed_input_size) and not facts.options
        self._nhwc = getattr(self.net, "output_fmt", "NCHW") == "NHWC"
        self.scale: Tensor
        self.shift: Tensor
        # Not saved: they follow from the name.
        for key, values in zip(
            ("scale", "shift"), _normalisation(name, in_channels, pretrained), strict=True
        ):
            self.register_buffer(key, torch.tensor(values).view(1, -1, 1, 1), persistent=False)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return the feature maps of (B,in_channels,H,W), padded to whole maps."""
        padded = self.whole(image) * self.scale + self.shift
        reason = self._beyond(padded)
        if reason is not None:
            raise Unfit(self._of_size(image, padded, reason))
        try:
            maps: list[Tensor] = self.net(padded)
        except UNFIT as error:
            reason = str(error) if padded.is_meta else _reason(self.name, self._options, padded.shape)
            if reason is None:
                raise
            sentence = self._of_channels(padded, reason) or self._of_size(image, padded, reason)
            raise Unfit(sentence) from error
        return [part.permute(0, 3, 1, 2).contiguous() for part in maps] if self._nhwc else maps

    def whole(self, image: Tensor) -> Tensor:
        """Pad an image at its right and lower edge so that every map of it is whole.

        It comes to a multiple of `multiple`, and to two of them at least: a map of one value has nothing for
        a batch norm to work with. The size that the network was made for stays as it is, and is what smaller
        images come to if it was asked for.
        """
        height, width = image.shape[-2:]
        if (height, width) == self.native:
            return image
        if self._built_for_it and height <= self.native[0] and width <= self.native[1]:
            below, right = self.native[0] - height, self.native[1] - width
        else:
            below = max(-(-height // self.multiple), 2) * self.multiple - height
            right = max(-(-width // self.multiple), 2) * self.multiple - width
        if not below and not right:
            return image
        fits = below < height and right < width
        return F.pad(image, (0, right, 0, below), mode="reflect" if fits else "replicate")

    def _beyond(self, padded: Tensor) -> str | None:
        """Return why the network cannot take an image that is larger than what it was made for, or None.

        Some look up positions in a table that ends there. The meta device passes over that, and a GPU
        is of no use to the process any more, so that each size is first tried once on the CPU.
        """
        if not self._fixed or all(
            side <= own for side, own in zip(padded.shape[-2:], self.native, strict=True)
        ):
            return None
        return _tried(self.name, tuple(self._options.items()), tuple(padded.shape[1:]))

    def _of_size(self, image: Tensor, padded: Tensor, reason: str) -> str:
        height, width = image.shape[-2:]
        native = "x".join(map(str, self.native))
        sized = {**self._options, "img_size": tuple(padded.shape[-2:])}
        cure = "choose another backbone or size"
        if _why_not(self.name, sized, padded.shape) is None:
            cure = f"build it with img_size = {list(sized['img_size'])}, or {cure}"
        return (
            f"timm's '{self.name}' cannot take images of {height}x{width} pixels, it was made for "
            f"{native}: {cure}   ({_short(reason)})"
        )

    def _of_channels(self, padded: Tensor, reason: str) -> str | None:
        """Return the sentence for a network that could take this image if it had three channels, or None."""
        count, channels, *size = padded.shape
        coloured = {**self._options, "in_chans": COLOURS}
        if channels == COLOURS or _reason(self.name, coloured, (count, COLOURS, *size)) is not None:
            return None
        return (
            f"timm's '{self.name}' takes images of {COLOURS} channels alone, not of {channels}: choose "
            f"another backbone   ({_short(reason)})"
        )


def check_name(name: str) -> None:
    """Raise ValueError unless timm itself has a network of this name.

    Other places that timm can load from, such as a folder or anybody's page on a hub, are not for recipes.
    """
    plain, _, tag = name.partition(".")
    networks = timm.list_models()
    if plain not in networks:
        raise ValueError(f"timm {timm.__version__} has no network '{name}'{did_you_mean(plain, networks)}")
    known = timm.list_models(f"{plain}.*", include_tags=True)
    if tag and name not in known:
        tags = ", ".join(other.partition(".")[2] for other in known) or "none"
        raise ValueError(
            f"timm has no weights '{tag}' for '{plain}'{did_you_mean(name, known)}   (there are: {tags})"
        )


def create(name: str, **options: Any) -> Any:
    """Return timm's network `name` as one that hands out its feature maps."""
    return timm.create_model(name, features_only=True, **options)


def coarse_layers(name: str, *, reduction: int) -> tuple[int, ...]:
    """Return those of the usual maps of `name` that are at least so many times smaller than the image."""
    check_name(name)
    usual = _facts(name).usual
    return tuple(layer for layer, smaller in usual if smaller >= reduction) or tuple(
        layer for layer, _ in usual
    )


@dataclass(frozen=True)
class _Facts:
    """What must be known of a network before it is built.

    Its options, how many maps it has, and which it hands out when it is not told, each with its reduction.
    """

    options: Mapping[str, bool]
    layers: int
    usual: tuple[tuple[int, int], ...]


@cache
def _facts(name: str) -> _Facts:
    """Find them out by building it without memory, and showing it a size that it was not made for."""
    with torch.random.fork_rng(devices=[]), torch.device("meta"), torch.no_grad():
        for options in ANY_SIZE:
            try:
                shell = create(name, **options)
            except TypeError:
                if not options:
                    raise
                continue  # it does not know this option
            except (NotImplementedError, RuntimeError) as error:
                reason = shorten(str(error), 100)
                raise ValueError(
                    f"timm's '{name}' hands out no feature maps: choose another backbone   ({reason})"
                ) from error
            info = shell.feature_info
            side = 2 * max(info.reduction())
            try:
                shell(torch.empty(2, COLOURS, side, 2 * side))
            except UNFIT:
                if options:
                    continue  # it knows the option, and takes one size all the same
            break
    usual = (layer % len(info.info) for layer in info.out_indices)
    return _Facts(options, len(info.info), tuple(zip(usual, info.reduction(), strict=True)))


def _short(reason: str) -> str:
    return shorten(reason, 100) or "it says no more"


def _reason(
    name: str, options: Mapping[str, Any], shape: tuple[int, ...], *, device: str = "meta"
) -> str | None:
    """Return why a network cannot take images of a shape (B,C,H,W), or None: ask one of its kind."""
    with torch.random.fork_rng(devices=[]), torch.device(device), torch.no_grad():
        net = create(name, **options).eval()
        try:
            net(torch.zeros(shape))
        except UNFIT as error:
            return str(error) or type(error).__name__
    return None


def _why_not(name: str, options: Mapping[str, Any], shape: tuple[int, ...]) -> str | None:
    """Return why a network cannot be built, or not take images of a shape (B,C,H,W) then; or None."""
    try:
        return _reason(name, options, shape)
    except (TypeError, *UNFIT) as error:
        return str(error) or type(error).__name__


def _check_size(name: str, options: Mapping[str, Any], img_size: Size) -> None:
    """Raise ValueError unless a network can be built for images of that size."""
    reason = _why_not(name, {**options, "img_size": img_size}, (2, options["in_chans"], *img_size))
    if reason is None:
        return
    if "unexpected keyword argument 'img_size'" in reason:
        raise ValueError(f"timm's '{name}' is not built for a size: leave `img_size` out")
    height, width = img_size
    raise ValueError(
        f"timm's '{name}' cannot be built for images of {height}x{width} pixels: choose another `img_size`   "
        f"({_short(reason)})"
    )


@cache
def _tried(name: str, options: tuple[tuple[str, Any], ...], shape: tuple[int, ...]) -> str | None:
    return _reason(name, dict(options), (1, *shape), device="cpu")


def _check_layers(name: str, layers: tuple[int, ...], count: int) -> None:
    if not layers or len(set(layers)) != len(layers) or sorted(layers) != list(layers) or layers[-1] >= count:
        raise ValueError(
            f"`layers` cannot be {list(layers)}: timm's '{name}' has the layers 0 to {count - 1}, name some "
            "of them in rising order"
        )


def _config(name: str) -> Any:
    return timm.get_pretrained_cfg(name)


def _normalisation(name: str, channels: int, pretrained: bool) -> tuple[list[float], list[float]]:
    """Return factor and summand that take [-1,1] to what the pretrained network was shown."""
    if not pretrained:
        return [1.0] * channels, [0.0] * channels
    config = _config(name)
    mean, std = list(config.mean), list(config.std)
    if channels == 1:  # timm adds up the filters of the colours
        mean, std = [sum(mean) / len(mean)], [sum(std) / len(std)]
    mean, std = ([values[i % len(values)] for i in range(channels)] for values in (mean, std))
    return [0.5 / s for s in std], [(0.5 - m) / s for m, s in zip(mean, std, strict=True)]
