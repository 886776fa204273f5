"""Image files in and out, and the step between stored values and the engine's [-1,1].

The only place where image files are decoded and encoded. A decoded image is a (C,H,W) tensor of uint8,
uint16 or float32 with its values as stored: PNG, JPEG, WebP and BMP, TIFF and .npy of any number of
channels; GIF and TGA are read, and never written.
"""

from i2i.images.formats import IMAGE_SUFFIXES, LOSSY_SUFFIXES, READABLE_SUFFIXES, fitting
from i2i.images.labels import in_colours, label_spec, one_hot
from i2i.images.listing import (
    Images,
    by_stem,
    composed,
    entries,
    image_names,
    images_below,
    is_image,
    natural,
    no_images,
    other_kinds,
    other_kinds_told,
    stem,
)
from i2i.images.reading import DEPTHS, DTYPES, decode, image_spec, naming, read_image
from i2i.images.resizing import Interpolation, resize, resize_side
from i2i.images.values import as_saved, by_file, normalise, quantise, stacked, to_channels, without_loss
from i2i.images.writing import png_bytes, write_image

__all__ = [
    "DEPTHS",
    "DTYPES",
    "IMAGE_SUFFIXES",
    "LOSSY_SUFFIXES",
    "READABLE_SUFFIXES",
    "Images",
    "Interpolation",
    "as_saved",
    "by_file",
    "by_stem",
    "composed",
    "decode",
    "entries",
    "fitting",
    "image_names",
    "image_spec",
    "images_below",
    "in_colours",
    "is_image",
    "label_spec",
    "naming",
    "natural",
    "no_images",
    "normalise",
    "one_hot",
    "other_kinds",
    "other_kinds_told",
    "png_bytes",
    "quantise",
    "read_image",
    "resize",
    "resize_side",
    "stacked",
    "stem",
    "to_channels",
    "without_loss",
    "write_image",
]
