"""A third party's plug-in: an encoder that is trained first, and then looks on as a generator is."""

from i2i import hookimpl

i2i_api = 1


@hookimpl
def i2i_register(registry):
    registry.network("encoder", "i2i_taught.taught:Encoder", "an image to a vector, and back to its colour")
    registry.network("clumsy", "i2i_taught.taught:Clumsy", "groups that share a parameter")
    registry.method("taught", "i2i_taught.taught:Taught", "fakes are encoded as targets are")
