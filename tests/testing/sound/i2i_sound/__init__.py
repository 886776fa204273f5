"""A plug-in that keeps every promise: one component of each kind that trains or is trained with."""

from i2i import hookimpl

i2i_api = 1


@hookimpl
def i2i_register(registry):
    registry.generator("net", "i2i_sound.networks:Net", "two convolutions")
    registry.discriminator("judge", "i2i_sound.networks:Judge", "two convolutions, with features")
    registry.network("head", "i2i_sound.heads:Head", "a layer on each feature, and a fixed one")
    registry.paired_loss("distance", "i2i_sound.losses:Distance", "a rounded distance")
    registry.paired_loss("fading", "i2i_sound.losses:Fading", "L1 that asks for the source and the step")
    registry.paired_loss("masked", "i2i_sound.losses:Masked", "a rounded distance within a mask")
    registry.metric("hole-error", "i2i_sound.scoring:HoleError", "mean absolute error within a mask")
    registry.adversarial_loss("game", "i2i_sound.losses:Game", "cross-entropy")
    registry.feature_loss("match", "i2i_sound.losses:Match", "distance of features")
    registry.penalty("slope", "i2i_sound.losses:Slope", "squared slope at real images")
    registry.data("squares", "i2i_sound.data:Squares", "noise and its negative, unpaired in training")
    registry.data("scenes", "i2i_sound.scenes:Scenes", "label maps with edges, and colour with depth")
    registry.transform("shift", "i2i_sound.data:Shift", "a roll of both sides, and light on the source")
    registry.transform("cut", "i2i_sound.mixing:Cut", "the upper rows of another pair in some of the draws")
    registry.transform("slopes", "i2i_sound.mixing:Slopes", "one more channel of the source: its slopes")
    registry.method("duel", "i2i_sound.method:Duel", "a generator against any discriminators")
    registry.method("refine", "i2i_sound.refine:Refine", "several passes of a generator that sees its draft")
    registry.metric("error", "i2i_sound.scoring:Error", "mean absolute error")
    registry.callback("counter", "i2i_sound.scoring:Counter", "counts steps")
    registry.optimizer("walk", "i2i_sound.descent:walk", "gradient descent with momentum")
    registry.schedule("fade", "i2i_sound.descent:Fade", "down when a figure stops falling")
    registry.executor("turns", "i2i_sound.work:Turns", "one after another")
    registry.generator("drift", "i2i_sound.sampler:Drift", "a velocity at a time, without bounds")
    registry.generator("grain", "i2i_sound.contrast:Grain", "draws noise at test, hands out features")
    registry.method("flow", "i2i_sound.sampler:Flow", "from noise to the target in steps")
    registry.method(
        "alike", "i2i_sound.contrast:Alike", "judges of the image alone, features of the generator"
    )
    registry.layout("encdec", "i2i_sound.elsewhere:NET", "the net of an older code")
    registry.recipe("alike", "i2i_sound:recipes/alike.toml", "features and a judge of the image alone")
    registry.recipe("flow", "i2i_sound:recipes/flow.toml", "a sampler")
    registry.recipe("duel", "i2i_sound:recipes/duel.toml", "all of it together")
