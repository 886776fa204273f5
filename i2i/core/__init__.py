"""The built-in plug-in: found through i2i's own entry point, on the same path as everybody else's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from i2i.hookspecs import hookimpl
from i2i.registry import Registrar

i2i_api = 1

COMPONENTS: Mapping[str, Sequence[tuple[str, str, str]]] = {
    "generator": (
        ("unet", "generators.unet:UNet", "pix2pix's U-Net with skip connections"),
        (
            "encoder-decoder",
            "generators.encoder_decoder:EncoderDecoder",
            "the U-Net without its skips, for comparison",
        ),
        ("resnet", "generators.resnet:ResNet", "residual blocks at a quarter of the size, as in CycleGAN"),
        ("noise", "generators.noise:Noise", "U-Net with a noise input, which it learns to ignore"),
    ),
    "discriminator": (
        ("patch", "discriminators.patch:Patch", "PatchGAN: judges overlapping patches"),
        ("pixel", "discriminators.pixel:Pixel", "PixelGAN: judges each pixel alone"),
        ("image", "discriminators.image:Image", "one logit for the whole image"),
        (
            "multi-scale",
            "discriminators.multi_scale:MultiScale",
            "patches of the image at several sizes, as in pix2pixHD",
        ),
    ),
    "paired_loss": (
        ("l1", "losses.paired:L1", "mean absolute difference; its best answer is the median"),
        ("l2", "losses.paired:L2", "mean squared difference; its best answer is the mean"),
        ("charbonnier", "losses.paired:Charbonnier", "mean absolute difference, rounded off at 0"),
        (
            "gradient-difference",
            "losses.paired:GradientDifference",
            "how steep edges are; goes beside another loss",
        ),
        ("cross-entropy", "losses.labels:CrossEntropy", "for targets that are label maps"),
        ("st-lpips", "losses.st_lpips:STLPIPSLoss", "perceptual distance that forgives small shifts"),
    ),
    "adversarial_loss": (
        ("lsgan", "losses.adversarial:LSGAN", "least squares GAN"),
        ("vanilla", "losses.adversarial:Vanilla", "cross-entropy GAN, non-saturating"),
        ("hinge", "losses.adversarial:Hinge", "hinge GAN"),
        ("wgan", "losses.adversarial:WGAN", "Wasserstein GAN; needs a penalty"),
        ("relativistic", "losses.relativistic:Relativistic", "relativistic average GAN, in three forms"),
    ),
    "penalty": (
        (
            "gradient-penalty",
            "losses.penalties:GradientPenalty",
            "a slope of 1 between real and fake, as in WGAN-GP",
        ),
        ("r1", "losses.penalties:R1", "a flat discriminator around real images"),
    ),
    "feature_loss": (
        (
            "feature-matching",
            "losses.features:FeatureMatching",
            "L1 between a discriminator's features of fake and real",
        ),
    ),
    "data": (
        ("paired-images", "data.paired_images:PairedImages", "pairs from folders or a list"),
        ("unpaired-images", "data.unpaired_images:UnpairedImages", "pictures of two kinds, without pairs"),
        ("shapes", "data.shapes:Shapes", "drawn shapes and their colours, to try things out"),
        ("edges", "data.edges:Edges", "an edge that the input does not tell, with the best answers"),
    ),
    "transform": (
        ("jitter", "transforms.geometry:Jitter", "resize, then crop at random"),
        ("mirror", "transforms.geometry:Mirror", "flip left to right at random"),
        ("flip", "transforms.geometry:Flip", "flip in both directions at random"),
        ("rotate90", "transforms.geometry:Rotate90", "quarter turns at random"),
        ("crop", "transforms.geometry:Crop", "cut a window at random, without a resize"),
        ("colour-jitter", "transforms.photometry:ColourJitter", "brightness, contrast, saturation, hue"),
        ("blur", "transforms.photometry:Blur", "a Gaussian of random width"),
        ("noise", "transforms.photometry:Noise", "Gaussian noise"),
        (
            "diff-augment",
            "transforms.diff_augment:DiffAugment",
            "what discriminators see, changed alike in real and fake",
        ),
    ),
    "method": (
        (
            "paired-adversarial",
            "methods.paired_adversarial:PairedAdversarial",
            "pix2pix's training: discriminators, then the generator; plain regression without any",
        ),
    ),
    "metric": (
        ("mae", "metrics.pixel:MAE", "mean absolute error, 0 to 1"),
        ("psnr", "metrics.pixel:PSNR", "peak signal-to-noise ratio in dB"),
        ("ssim", "metrics.ssim:SSIM", "structural similarity, Gaussian window"),
        ("ms-ssim", "metrics.ssim:MSSSIM", "structural similarity over five scales"),
        ("st-lpips", "metrics.st_lpips:STLPIPS", "perceptual distance that forgives small shifts"),
        ("lpips", "metrics.fidelity:LPIPS", "perceptual distance, by torch-fidelity"),
        ("fid", "metrics.fidelity:FID", "Frechet distance of two sets, by torch-fidelity"),
        ("kid", "metrics.fidelity:KID", "kernel distance of two sets, for few images too"),
        (
            "histogram-intersection",
            "metrics.colour:HistogramIntersection",
            "how far the colours of two sets overlap, in Lab",
        ),
        ("sharpness", "metrics.sharpness:Sharpness", "fine structure, relative to the truth's"),
        ("edge-width", "metrics.edge_width:EdgeWidth", "how many pixels an edge takes, in each row"),
        ("optima", "metrics.optima:Optima", "how far from the mean and from the median of what is plausible"),
        ("diversity", "metrics.diversity:Diversity", "how much the answers to one source differ"),
        (
            "segmentation-score",
            "metrics.segmentation:SegmentationScore",
            "labels found again in translated photos",
        ),
        (
            "label-accuracy",
            "metrics.label_accuracy:LabelAccuracy",
            "pixels, classes and IoU, where targets are labels",
        ),
    ),
    "callback": (
        ("samples", "callbacks.samples:Samples", "translate the same held-out images over time"),
        (
            "health",
            "callbacks.health:Health",
            "watch the GAN's balance; say once what is wrong, and what to try",
        ),
    ),
    "optimizer": (
        ("adam", "optim:adam", "Adam"),
        ("adamw", "optim:adamw", "Adam with decoupled weight decay"),
        ("sgd", "optim:sgd", "stochastic gradient descent with momentum"),
    ),
    "schedule": (
        ("constant", "schedules:Constant", "the learning rate stays as it is"),
        ("linear-decay", "schedules:LinearDecay", "constant, then down in a straight line"),
        ("cosine", "schedules:Cosine", "down along half a cosine"),
        ("step", "schedules:Step", "down by a factor at regular times"),
        ("plateau", "schedules:Plateau", "down by a factor when a metric stops improving"),
    ),
    "executor": (("local", "executors.local:Local", "processes of this machine"),),
}
"""By the registrar's method, each component's name, its target in this package, and what it is."""

LAYOUTS = (
    ("pix2pix-unet", "UNET", "U-Net generators of the pix2pix authors' PyTorch code"),
    ("pix2pix-resnet", "RESNET", "ResNet generators of the same code, CycleGAN's among them"),
    ("pix2pix-patch", "PATCH", "its patch discriminators, conditional or not"),
    ("pix2pix-pixel", "PIXEL", "its discriminators of single pixels"),
)
"""By name, what `i2i import` knows of weights from elsewhere, in ``pix2pix_layouts``."""

RECIPES = (
    ("", "recipes", ("pix2pix", "l1-only", "shapes", "edges", "facades-128")),
    (
        "paper-",
        "recipes/paper",
        (
            "aerial-to-maps",
            "cityscapes",
            "day2night",
            "edges2handbags",
            "edges2shoes",
            "facades",
            "maps-to-aerial",
            "pix2pix-256",
        ),
    ),
    (
        "ablation-",
        "recipes/ablations",
        (
            "cgan",
            "dropout-off",
            "image",
            "l1-cgan",
            "l1-gan",
            "l1",
            "l2",
            "lsgan",
            "noise",
            "patch-16",
            "patch-286",
            "patch-70",
            "pixel",
        ),
    ),
)
"""Folders of recipes: what their names begin with, and the files in them, which say what they are."""

BENCHMARKS = (
    ("losses", "Table 1 of pix2pix: the parts of the loss"),
    ("generators", "Table 2: skip connections, or the loss"),
    ("receptive-field", "Table 3: pixels, patches, or the image"),
    ("adversarial", "five adversarial losses beside L1"),
    ("l1-or-l2", "why L1 and not L2"),
    ("edges", "why L1 keeps edges: an edge whose place is uncertain"),
    ("facades-losses", "Table 1 on labels to facades, hours on a CPU"),
    ("facades-receptive-field", "Table 3 on labels to facades, hours on a CPU"),
    ("facades-generators", "Table 2 on labels to facades, hours on a CPU"),
    ("facades-l1-or-l2", "why L1 and not L2, on labels to facades, hours on a CPU"),
    ("facades-adversarial", "which adversarial loss, on labels to facades, hours on a CPU"),
    ("dropout-at-test", "does dropout at test give variety?"),
    ("default-recipe", "what the default recipe adds to a plain pix2pix"),
)
"""Files in ``recipes/bench``, and what each is about; the question that it asks is in the file."""


@hookimpl
def i2i_register(registry: Registrar) -> None:
    """Declare what ships with i2i."""
    for method, components in COMPONENTS.items():
        declare = getattr(registry, method)
        for name, target, summary in components:
            declare(name, f"{__name__}.{target}", summary)
    for name, target, summary in LAYOUTS:
        registry.layout(name, f"{__name__}.pix2pix_layouts:{target}", summary)
    for prefix, folder, names in RECIPES:
        for name in names:
            registry.recipe(f"{prefix}{name}", f"i2i:{folder}/{name}.toml")
    for name, summary in BENCHMARKS:
        registry.benchmark(name, f"i2i:recipes/bench/{name}.toml", summary)
