"""The built-in plug-in: found through i2i's own entry point, on the same path as everybody else's."""

from __future__ import annotations

from i2i.hookspecs import hookimpl
from i2i.registry import Registrar

i2i_api = 1


@hookimpl
def i2i_register(registry: Registrar) -> None:
    """Declare what ships with i2i."""
    add = registry
    add.generator("unet", "i2i.core.generators.unet:UNet", "pix2pix's U-Net with skip connections")

    add.discriminator("patch", "i2i.core.discriminators.patch:Patch", "PatchGAN: judges overlapping patches")
    add.discriminator("pixel", "i2i.core.discriminators.pixel:Pixel", "PixelGAN: judges each pixel alone")
    add.discriminator("image", "i2i.core.discriminators.image:Image", "one logit for the whole image")

    add.paired_loss(
        "l1", "i2i.core.losses.paired:L1", "mean absolute difference; its best answer is the median"
    )
    add.paired_loss("l2", "i2i.core.losses.paired:L2", "mean squared difference; its best answer is the mean")
    add.adversarial_loss("lsgan", "i2i.core.losses.adversarial:LSGAN", "least squares GAN")
    add.adversarial_loss(
        "vanilla", "i2i.core.losses.adversarial:Vanilla", "cross-entropy GAN, non-saturating"
    )

    add.data("paired-images", "i2i.core.data.paired_images:PairedImages", "image pairs from a folder")
    add.transform("jitter", "i2i.core.transforms:Jitter", "resize, then crop at random")
    add.transform("mirror", "i2i.core.transforms:Mirror", "flip left to right at random")

    add.method(
        "paired-adversarial",
        "i2i.core.methods.paired_adversarial:PairedAdversarial",
        "pix2pix's training: discriminators, then the generator; plain regression without any",
    )

    add.metric("mae", "i2i.core.metrics.pixel:MAE", "mean absolute error, 0 to 1")
    add.metric("psnr", "i2i.core.metrics.pixel:PSNR", "peak signal-to-noise ratio in dB")
    add.metric("ssim", "i2i.core.metrics.ssim:SSIM", "structural similarity, Gaussian window")

    add.callback(
        "samples", "i2i.core.callbacks.samples:Samples", "translate the same held-out images over time"
    )

    add.optimizer("adam", "i2i.core.optim:adam", "Adam")
    add.optimizer("adamw", "i2i.core.optim:adamw", "Adam with decoupled weight decay")
    add.optimizer("sgd", "i2i.core.optim:sgd", "stochastic gradient descent with momentum")
    add.schedule("constant", "i2i.core.schedules:Constant", "the learning rate stays as it is")
    add.schedule("linear-decay", "i2i.core.schedules:LinearDecay", "constant, then down in a straight line")

    add.recipe("pix2pix", "i2i:recipes/pix2pix.toml", "colour line drawings on a CPU in five minutes")
    add.recipe("l1-only", "i2i:recipes/l1-only.toml", "the plain CNN with L1 that pix2pix grew out of")
