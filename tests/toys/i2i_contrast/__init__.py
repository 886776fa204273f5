"""A third party's plug-in in the style of CUT: a network on a generator's features, beside the usual two."""

from i2i import hookimpl

i2i_api = 1


@hookimpl
def i2i_register(registry):
    registry.network("head", "i2i_contrast.contrast:Head", "a small MLP on each of some features")
    registry.network("deaf", "i2i_contrast.contrast:Deaf", "a network that asks for a side")
    registry.method(
        "contrast", "i2i_contrast.contrast:Contrast", "patches of a fake are told by their source"
    )
