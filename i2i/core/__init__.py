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
    add.generator(
        "encoder-decoder",
        "i2i.core.generators.encoder_decoder:EncoderDecoder",
        "the U-Net without its skips, for comparison",
    )
    add.generator(
        "resnet",
        "i2i.core.generators.resnet:ResNet",
        "residual blocks at a quarter of the size, as in CycleGAN",
    )
    add.generator(
        "noise", "i2i.core.generators.noise:Noise", "U-Net with a noise input, which it learns to ignore"
    )

    add.discriminator("patch", "i2i.core.discriminators.patch:Patch", "PatchGAN: judges overlapping patches")
    add.discriminator("pixel", "i2i.core.discriminators.pixel:Pixel", "PixelGAN: judges each pixel alone")
    add.discriminator("image", "i2i.core.discriminators.image:Image", "one logit for the whole image")
    add.discriminator(
        "multi-scale",
        "i2i.core.discriminators.multi_scale:MultiScale",
        "patches of the image at several sizes, as in pix2pixHD",
    )

    add.paired_loss(
        "l1", "i2i.core.losses.paired:L1", "mean absolute difference; its best answer is the median"
    )
    add.paired_loss("l2", "i2i.core.losses.paired:L2", "mean squared difference; its best answer is the mean")
    add.paired_loss(
        "charbonnier", "i2i.core.losses.paired:Charbonnier", "mean absolute difference, rounded off at 0"
    )
    add.paired_loss(
        "gradient-difference",
        "i2i.core.losses.paired:GradientDifference",
        "how steep edges are; goes beside another loss",
    )
    add.paired_loss(
        "st-lpips", "i2i.core.losses.st_lpips:STLPIPSLoss", "perceptual distance that forgives small shifts"
    )
    add.adversarial_loss("lsgan", "i2i.core.losses.adversarial:LSGAN", "least squares GAN")
    add.adversarial_loss(
        "vanilla", "i2i.core.losses.adversarial:Vanilla", "cross-entropy GAN, non-saturating"
    )
    add.adversarial_loss("hinge", "i2i.core.losses.adversarial:Hinge", "hinge GAN")
    add.adversarial_loss("wgan", "i2i.core.losses.adversarial:WGAN", "Wasserstein GAN; needs a penalty")
    add.adversarial_loss(
        "relativistic",
        "i2i.core.losses.relativistic:Relativistic",
        "relativistic average GAN, in three forms",
    )
    add.penalty(
        "gradient-penalty",
        "i2i.core.losses.penalties:GradientPenalty",
        "a slope of 1 between real and fake, as in WGAN-GP",
    )
    add.penalty("r1", "i2i.core.losses.penalties:R1", "a flat discriminator around real images")
    add.feature_loss(
        "feature-matching",
        "i2i.core.losses.features:FeatureMatching",
        "L1 between a discriminator's features of fake and real",
    )

    add.data("paired-images", "i2i.core.data.paired_images:PairedImages", "pairs from folders or a list")
    add.data("shapes", "i2i.core.data.shapes:Shapes", "drawn shapes and their colours, to try things out")
    geometry, photometry = "i2i.core.transforms.geometry", "i2i.core.transforms.photometry"
    add.transform("jitter", f"{geometry}:Jitter", "resize, then crop at random")
    add.transform("mirror", f"{geometry}:Mirror", "flip left to right at random")
    add.transform("flip", f"{geometry}:Flip", "flip in both directions at random")
    add.transform("rotate90", f"{geometry}:Rotate90", "quarter turns at random")
    add.transform("crop", f"{geometry}:Crop", "cut a window at random, without a resize")
    add.transform("colour-jitter", f"{photometry}:ColourJitter", "brightness, contrast, saturation, hue")
    add.transform("blur", f"{photometry}:Blur", "a Gaussian of random width")
    add.transform("noise", f"{photometry}:Noise", "Gaussian noise")
    add.transform(
        "diff-augment",
        "i2i.core.transforms.diff_augment:DiffAugment",
        "what discriminators see, changed alike in real and fake",
    )

    add.method(
        "paired-adversarial",
        "i2i.core.methods.paired_adversarial:PairedAdversarial",
        "pix2pix's training: discriminators, then the generator; plain regression without any",
    )

    add.metric("mae", "i2i.core.metrics.pixel:MAE", "mean absolute error, 0 to 1")
    add.metric("psnr", "i2i.core.metrics.pixel:PSNR", "peak signal-to-noise ratio in dB")
    add.metric("ssim", "i2i.core.metrics.ssim:SSIM", "structural similarity, Gaussian window")
    add.metric("ms-ssim", "i2i.core.metrics.ssim:MSSSIM", "structural similarity over five scales")
    add.metric(
        "st-lpips", "i2i.core.metrics.st_lpips:STLPIPS", "perceptual distance that forgives small shifts"
    )
    add.metric("lpips", "i2i.core.metrics.fidelity:LPIPS", "perceptual distance, by torch-fidelity")
    add.metric("fid", "i2i.core.metrics.fidelity:FID", "Frechet distance of two sets, by torch-fidelity")
    add.metric("kid", "i2i.core.metrics.fidelity:KID", "kernel distance of two sets, for few images too")
    add.metric(
        "histogram-intersection",
        "i2i.core.metrics.colour:HistogramIntersection",
        "how far the colours of two sets overlap, in Lab",
    )
    add.metric("sharpness", "i2i.core.metrics.sharpness:Sharpness", "fine structure, relative to the truth's")
    add.metric(
        "diversity", "i2i.core.metrics.diversity:Diversity", "how much the answers to one source differ"
    )
    add.metric(
        "segmentation-score",
        "i2i.core.metrics.segmentation:SegmentationScore",
        "labels found again in translated photos",
    )

    add.callback(
        "samples", "i2i.core.callbacks.samples:Samples", "translate the same held-out images over time"
    )

    add.optimizer("adam", "i2i.core.optim:adam", "Adam")
    add.optimizer("adamw", "i2i.core.optim:adamw", "Adam with decoupled weight decay")
    add.optimizer("sgd", "i2i.core.optim:sgd", "stochastic gradient descent with momentum")
    add.schedule("constant", "i2i.core.schedules:Constant", "the learning rate stays as it is")
    add.schedule("linear-decay", "i2i.core.schedules:LinearDecay", "constant, then down in a straight line")
    add.schedule("cosine", "i2i.core.schedules:Cosine", "down along half a cosine")
    add.schedule("step", "i2i.core.schedules:Step", "down by a factor at regular times")
    add.schedule("plateau", "i2i.core.schedules:Plateau", "down by a factor when a metric stops improving")

    add.executor("local", "i2i.core.executors.local:Local", "processes of this machine")

    add.recipe("pix2pix", "i2i:recipes/pix2pix.toml", "colour line drawings on a CPU in five minutes")
    add.recipe("l1-only", "i2i:recipes/l1-only.toml", "the plain CNN with L1 that pix2pix grew out of")
    add.recipe("shapes", "i2i:recipes/shapes.toml", "coloured shapes in half a minute, to try components")
    add.recipe(
        "paper-aerial-to-maps",
        "i2i:recipes/paper/aerial-to-maps.toml",
        "aerial photos to maps: 1,096 images, 200 epochs",
    )
    add.recipe(
        "paper-cityscapes",
        "i2i:recipes/paper/cityscapes.toml",
        "labels to street scenes: 2,975 images, 200 epochs",
    )
    add.recipe(
        "paper-day2night",
        "i2i:recipes/paper/day2night.toml",
        "day to night: 17,823 images, 17 epochs (figures not verified)",
    )
    add.recipe(
        "paper-edges2handbags",
        "i2i:recipes/paper/edges2handbags.toml",
        "edges to handbags: 137,000 images, 15 epochs (figures not verified)",
    )
    add.recipe(
        "paper-edges2shoes", "i2i:recipes/paper/edges2shoes.toml", "edges to shoes: 50,000 images, 15 epochs"
    )
    add.recipe("paper-facades", "i2i:recipes/paper/facades.toml", "labels to facades: 400 images, 200 epochs")
    add.recipe(
        "paper-maps-to-aerial",
        "i2i:recipes/paper/maps-to-aerial.toml",
        "maps to aerial photos: 1,096 images, 200 epochs",
    )
    add.recipe(
        "paper-pix2pix-256",
        "i2i:recipes/paper/pix2pix-256.toml",
        "the paper's network and training, without its data; the others here extend it",
    )
    add.recipe("ablation-cgan", "i2i:recipes/ablations/cgan.toml", "cGAN alone, no L1")
    add.recipe(
        "ablation-dropout-off",
        "i2i:recipes/ablations/dropout-off.toml",
        "dropout off at test; l1-cgan keeps it on",
    )
    add.recipe("ablation-image", "i2i:recipes/ablations/image.toml", "the whole image is judged, at 128 px")
    add.recipe(
        "ablation-l1-cgan", "i2i:recipes/ablations/l1-cgan.toml", "L1 + cGAN: pix2pix with the paper's loss"
    )
    add.recipe(
        "ablation-l1-gan",
        "i2i:recipes/ablations/l1-gan.toml",
        "L1 + GAN: the discriminator is blind to the input",
    )
    add.recipe("ablation-l1", "i2i:recipes/ablations/l1.toml", "plain CNN, L1 alone")
    add.recipe("ablation-l2", "i2i:recipes/ablations/l2.toml", "plain CNN, L2 alone")
    add.recipe("ablation-lsgan", "i2i:recipes/ablations/lsgan.toml", "LSGAN, against l1-cgan's cross-entropy")
    add.recipe("ablation-noise", "i2i:recipes/ablations/noise.toml", "noise as an input, to see it ignored")
    add.recipe("ablation-patch-16", "i2i:recipes/ablations/patch-16.toml", "16 x 16 patches at 128 px")
    add.recipe("ablation-patch-286", "i2i:recipes/ablations/patch-286.toml", "286 x 286 patches at 128 px")
    add.recipe(
        "ablation-patch-70",
        "i2i:recipes/ablations/patch-70.toml",
        "70 x 70 patches at 128 px, the paper's choice",
    )
    add.recipe("ablation-pixel", "i2i:recipes/ablations/pixel.toml", "single pixels are judged, at 128 px")

    add.benchmark("losses", "i2i:recipes/bench/losses.toml", "Table 1 of pix2pix: the parts of the loss")
    add.benchmark("generators", "i2i:recipes/bench/generators.toml", "Table 2: skip connections, or the loss")
    add.benchmark(
        "receptive-field", "i2i:recipes/bench/receptive-field.toml", "Table 3: pixels, patches, or the image"
    )
    add.benchmark("adversarial", "i2i:recipes/bench/adversarial.toml", "five adversarial losses beside L1")
    add.benchmark("l1-or-l2", "i2i:recipes/bench/l1-or-l2.toml", "why L1 and not L2")
    add.benchmark(
        "dropout-at-test", "i2i:recipes/bench/dropout-at-test.toml", "does dropout at test give variety?"
    )
