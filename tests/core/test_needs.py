"""What built-in components cannot do without is asked for in a sentence when the recipe is read or probed."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from i2i.building.probe import probe
from i2i.engine.rehearsal import rehearse
from i2i.errors import RecipeError
from i2i.kinds import ImageSpec, PairSpec
from i2i.recipe.recipe import Recipe, load_recipe

RECIPE = """
recipe = 1
name = "needs"

[data]
use = "paired-images"
root = "nowhere"

[generator]
use = "unet"
depth = 5
width = 4

[discriminators.judge]
use = "patch"
layers = 1
width = 4

[losses.adversarial]
use = "lsgan"

[method]
use = "paired-adversarial"

[optimizers.generators]
use = "adam"

[optimizers.discriminators]
use = "adam"

[train]
steps = 8

[metrics.mae]
use = "mae"
"""

SILENT = """
from torch import nn
from i2i import hookimpl

i2i_api = 1

@hookimpl
def i2i_register(registry):
    registry.discriminator("judge", ":judge", "hands out no features")

def judge(*, in_channels: int) -> nn.Module:
    return nn.Conv2d(in_channels, 1, 1)
"""

SPEC = PairSpec(ImageSpec(3, 32, 32), ImageSpec(3, 32, 32))


@pytest.fixture
def recipe(tmp_path: Path):
    """Return a function that reads the recipe with settings on top."""
    path = tmp_path / "needs.toml"
    path.write_text(RECIPE)

    def read(*settings: str, unset: tuple[str, ...] = ()) -> Recipe:
        return load_recipe(path, set=settings, unset=unset)

    return read


def test_wgan_is_refused_without_a_penalty_and_taken_with_one(recipe) -> None:
    with pytest.raises(RecipeError, match="core/wgan needs a penalty on each critic, or its logits grow"):
        recipe("losses.adversarial.use=wgan")
    for penalty in ("gradient-penalty", "r1"):
        found = recipe("losses.adversarial.use=wgan", f"losses.slope.use={penalty}")
        assert found.slots["losses.slope"].entry.kind == "penalty"


def test_wgan_is_refused_where_only_some_of_its_critics_have_a_penalty(recipe) -> None:
    settings = ("losses.adversarial.use=wgan", "losses.slope.use=r1", "discriminators.other.use=pixel")
    assert recipe(*settings)
    with pytest.raises(RecipeError, match="core/wgan needs a penalty on each critic"):
        recipe(*settings, 'losses.slope.on=["judge"]')
    own = ("losses.second.use=lsgan", 'losses.second.on=["other"]', 'losses.adversarial.on=["judge"]')
    assert recipe(*settings, *own, 'losses.slope.on=["judge"]')


def test_plateau_is_refused_without_a_metric(recipe) -> None:
    settings = ("schedule.use=plateau", "schedule.metric=mae")
    with pytest.raises(RecipeError, match="core/plateau watches a figure, and the recipe has no metric"):
        recipe(*settings, unset=("metrics",))
    assert recipe(*settings).slots["schedules.all"].params["direction"] == "min"


def test_plateau_must_be_told_what_to_watch(recipe) -> None:
    with pytest.raises(RecipeError, match="core/plateau needs 'metric'"):
        recipe("schedule.use=plateau")


def test_feature_matching_is_refused_where_no_features_are_handed_out(recipe, distribution) -> None:
    distribution("i2i-silent", "1.0", "silent", {"i2i_silent/__init__.py": SILENT})
    settings = ("losses.match.use=feature-matching", "discriminators.other.use=silent/judge")
    with pytest.raises(RecipeError, match="core/feature-matching needs discriminators that hand out"):
        probe(recipe(*settings), SPEC)
    facts = probe(recipe(*settings, 'losses.match.on=["judge"]'), SPEC)
    assert [fact.path for fact in facts][1:] == ["discriminators.judge", "discriminators.other"]


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("losses.adversarial.smoothing=1.0", "'smoothing' cannot be 1.0"),
        ("losses.adversarial.smoothing=-0.1", "'smoothing' cannot be -0.1"),
        ("losses.adversarial.form=hinge", "unknown key 'form' for core/lsgan"),
    ],
)
def test_values_out_of_range_are_refused(recipe, setting: str, sentence: str) -> None:
    with pytest.raises(RecipeError, match=sentence):
        recipe(setting)


def test_a_form_that_does_not_exist_is_met_with_those_that_do(recipe) -> None:
    with pytest.raises(RecipeError, match=r"'form' cannot be \"hing\" - did you mean 'hinge'\?"):
        recipe("losses.adversarial.use=relativistic", "losses.adversarial.form=hing")


def test_plateau_on_a_figure_that_no_metric_gives_is_refused_before_the_run(recipe, tmp_path) -> None:
    for split in ("train", "val"):
        (tmp_path / "pairs" / split).mkdir(parents=True)
        Image.new("RGB", (64, 32), (90, 0, 0)).save(tmp_path / "pairs" / split / "0.png")
    settings = (f"data.root={tmp_path / 'pairs'}", "schedule.use=plateau", "schedule.metric=maee")
    with pytest.raises(RecipeError, match=r"no metric of this recipe gives a figure 'maee'.+figures: mae"):
        rehearse(recipe(*settings))
    assert rehearse(recipe(*settings, "schedule.metric=mae"))
