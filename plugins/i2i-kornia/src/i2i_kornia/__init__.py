"""kornia for i2i: losses, paired augmentation, a penalty and metrics. This module stays thin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from i2i import hookimpl

if TYPE_CHECKING:
    from i2i.registry import Registrar

i2i_api = 1


@hookimpl
def i2i_register(registry: Registrar) -> None:
    """Declare what the package offers."""
    add, losses = registry, "i2i_kornia.losses"
    add.paired_loss("ssim", f"{losses}:SSIM", "1 - SSIM: local brightness, contrast and structure")
    add.paired_loss("ms-ssim", f"{losses}:MSSSIM", "1 - MS-SSIM, by windows of several sizes")
    add.paired_loss("tv", f"{losses}:TV", "total variation of the translation alone; smooths it")
    add.paired_loss("lab", f"{losses}:Lab", "distance of colours in CIE Lab, as the eye sees them")
    add.paired_loss("sobel", f"{losses}:Sobel", "L1 between Sobel gradients; goes beside another loss")
    add.paired_loss(
        "laplacian-pyramid", f"{losses}:LaplacianPyramid", "L1 at each level of detail, from fine to coarse"
    )
    add.penalty(
        "consistency",
        "i2i_kornia.consistency:Consistency",
        "a discriminator that answers alike in slightly other colours",
    )
    add.transform(
        "augment",
        "i2i_kornia.augment:Augment",
        "affine and elastic warps of both sides; colour, blur and noise on the source",
    )
    metrics = "i2i_kornia.metrics"
    add.metric("delta-e", f"{metrics}:DeltaE", "mean colour difference in CIE Lab")
    add.metric("edges", f"{metrics}:Edges", "how many edges are found again, by Canny")
    add.recipe(
        "colouring",
        "i2i_kornia:recipes/colouring.toml",
        "pix2pix with augmented pairs, and losses on colours and edges",
    )
