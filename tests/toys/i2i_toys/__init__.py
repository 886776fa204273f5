"""A third party's plug-in, as small as its components allow: one of each kind that core lacks."""

from i2i import hookimpl

i2i_api = 1


@hookimpl
def i2i_register(registry):
    registry.data("squares", "i2i_toys.data:Squares", "bright squares to dark ones", rev=1)
    registry.data("unpaired-squares", "i2i_toys.data:UnpairedSquares", "the same, without pairs")
    registry.generator("tiny", "i2i_toys.networks:Tiny", "one convolution")
    registry.discriminator("tiny", "i2i_toys.networks:TinyJudge", "one convolution, with features")
    registry.discriminator("two-scales", "i2i_toys.networks:TwoScales", "a list of maps")
    registry.paired_loss("huber", "i2i_toys.losses:Huber", "between L1 and L2")
    registry.adversarial_loss("margin", "i2i_toys.losses:Margin", "a hinge that wants a penalty")
    registry.feature_loss("features", "i2i_toys.losses:Features", "distance of features")
    registry.penalty("slope", "i2i_toys.losses:Slope", "squared gradient at real images")
    registry.paired_loss("poison", "i2i_toys.losses:Poison", "not a number from a step on")
    registry.method("two-way", "i2i_toys.method:TwoWay", "two generators on unpaired data")
    registry.method("refine", "i2i_toys.refine:Refine", "one generator, passed several times")
    registry.transform("rounded", "i2i_toys.transform:Rounded", "few shades of grey, without a gradient")
    registry.transform("early", "i2i_toys.transform:Early", "nothing, and not before discriminators")
    registry.metric("spread", "i2i_toys.metric:Spread", "a figure over the whole set")
    registry.callback("counter", "i2i_toys.callback:Counter", "counts, and remembers over a resume")
