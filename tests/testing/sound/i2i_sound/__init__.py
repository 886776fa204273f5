"""A plug-in that keeps every promise: one component of each kind that trains or is trained with."""

from i2i import hookimpl

i2i_api = 1


@hookimpl
def i2i_register(registry):
    registry.generator("net", "i2i_sound.networks:Net", "two convolutions")
    registry.discriminator("judge", "i2i_sound.networks:Judge", "two convolutions, with features")
    registry.paired_loss("distance", "i2i_sound.losses:Distance", "a rounded distance")
    registry.adversarial_loss("game", "i2i_sound.losses:Game", "cross-entropy")
    registry.feature_loss("match", "i2i_sound.losses:Match", "distance of features")
    registry.penalty("slope", "i2i_sound.losses:Slope", "squared slope at real images")
    registry.data("squares", "i2i_sound.data:Squares", "noise and its negative, unpaired in training")
    registry.transform("shift", "i2i_sound.data:Shift", "a roll of both sides, and light on the source")
    registry.method("duel", "i2i_sound.method:Duel", "a generator against any discriminators")
    registry.method("refine", "i2i_sound.refine:Refine", "several passes of a generator that sees its draft")
    registry.metric("error", "i2i_sound.scoring:Error", "mean absolute error")
    registry.callback("counter", "i2i_sound.scoring:Counter", "counts steps")
    registry.optimizer("walk", "i2i_sound.descent:walk", "gradient descent with momentum")
    registry.schedule("fade", "i2i_sound.descent:Fade", "down when a figure stops falling")
    registry.executor("turns", "i2i_sound.work:Turns", "one after another")
    registry.recipe("duel", "i2i_sound:recipes/duel.toml", "all of it together")
