"""timm's backbones for i2i: a generator, a discriminator, a loss and metrics. This module stays thin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from i2i import hookimpl

if TYPE_CHECKING:
    from i2i.registry import Registrar

i2i_api = 1


@hookimpl
def i2i_register(registry: Registrar) -> None:
    """Declare the components and the recipes."""
    registry.generator("unet", "i2i_timm.unet:TimmUNet", "U-Net decoder on any timm backbone", rev=1)
    registry.discriminator(
        "projected",
        "i2i_timm.projected:Projected",
        "judges the features of a frozen backbone, as in Projected GANs",
        rev=1,
    )
    registry.paired_loss(
        "perceptual",
        "i2i_timm.perceptual:Perceptual",
        "how far apart two images are in the features of a frozen backbone",
        rev=1,
    )
    metrics = "i2i_timm.set_metrics"
    registry.metric("kid", f"{metrics}:KID", "kernel distance of translations and truths, as sets")
    registry.metric("frechet", f"{metrics}:Frechet", "Frechet distance of translations and truths, as sets")
    registry.metric(
        "precision-recall",
        f"{metrics}:PrecisionRecall",
        "how lifelike translations are, and how varied, as a set",
    )
    registry.recipe(
        "pix2pix",
        "i2i_timm:recipes/pix2pix.toml",
        "the shipped pix2pix with a ResNet's features in its U-Net",
    )
    registry.recipe(
        "projected",
        "i2i_timm:recipes/projected.toml",
        "pix2pix judged and compared on pretrained features, which are installed",
    )
    registry.benchmark(
        "features",
        "i2i_timm:recipes/features.toml",
        "Does a projected discriminator need pretrained features?",
    )
