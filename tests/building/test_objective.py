"""What a recipe minimises, told in a line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from i2i import load_recipe, run
from i2i.building.objective import objective
from i2i.building.stages_told import stages_told
from i2i.errors import PluginError

PLAIN = ("discriminators.patch", "losses.adversarial", "optimizers.discriminators")


def told(*settings: str, unset: tuple[str, ...] = ()) -> str:
    return objective(load_recipe("shapes", set=[*settings], unset=unset))


def test_weights_names_and_discriminators_are_those_of_the_recipe():
    assert told() == "G minimises 1 adversarial(patch) + 100 l1; patch minimises lsgan, halved"


def test_without_a_discriminator_there_is_one_side():
    assert told(unset=PLAIN) == "G minimises 100 l1"


def test_a_loss_is_told_through_the_discriminators_it_is_on():
    both = ("discriminators.dots.use=pixel", "losses.adversarial.weight=0.5")
    assert told(*both) == (
        "G minimises 0.5 adversarial(patch, dots) + 100 l1; patch minimises lsgan, halved; "
        "dots minimises lsgan, halved"
    )
    each = ('losses.adversarial.on=["dots"]', "losses.other.use=vanilla", 'losses.other.on=["patch"]')
    assert told(*both, *each) == (
        "G minimises 0.5 adversarial(dots) + 100 l1 + 1 other(patch); patch minimises vanilla, halved; "
        "dots minimises lsgan, halved"
    )


def test_a_penalty_belongs_to_the_discriminators_and_is_told_with_how_seldom_it_counts():
    assert told("losses.slope.use=r1", "losses.slope.weight=10", "losses.slope.every=16").endswith(
        "; patch minimises lsgan, halved + 10 slope [r1] every 16 steps"
    )


def test_a_loss_that_is_called_otherwise_than_its_component_is_told_with_it():
    assert told("losses.l1.use=l2", unset=PLAIN) == "G minimises 100 l1 [l2]"


# --- what a method adds

CONTRASTING = """
from i2i import hookimpl, testtime
from i2i.kinds import GeneratorSlot, LossSlot, MethodSlots, NetworkSlot, OwnTerm, TestSettings
from torch import nn

i2i_api = 1


@hookimpl
def i2i_register(registry):
    registry.method("contrast", ":Contrast", "a contrast of its own")
    registry.network("head", ":Head", "a head")


class Head(nn.Module):
    def __init__(self, *, in_channels: int):
        super().__init__()
        self.only = nn.Conv2d(in_channels, 1, 1)

    def forward(self, image):
        return self.only(image)


class Contrast:
    slots = MethodSlots(
        generators={"main": GeneratorSlot()},
        exported="main",
        networks={"head": NetworkSlot(reads="source")},
        losses={"cycle": LossSlot("paired-loss")},
    )
    test = TestSettings()

    @staticmethod
    def own_terms(keys):
        return {
            "cycle": OwnTerm("there and back"),
            "paired-loss": OwnTerm("against the target"),
            "nce": OwnTerm("patches", keys["weight"] / 2, ("generators", "networks.head")),
            "unnamed": OwnTerm(weight=3),
        }

    def __init__(self, networks, losses, *, weight: float = 1.0):
        self.losses, self.net, self.head = losses, networks.generators["main"], networks.others["head"]

    def step(self, batches, run):
        return run.update_together(("generators", "networks"), [self.both(b, run) for b in batches])

    def both(self, batch, run):
        value = self.losses["cycle"](self.net(batch.source), batch.target, batch=batch, run=run)
        nce = self.head(batch.source).square().mean()
        return {"generators": (value, {"cycle": value.detach()}), "networks": (nce, {"nce": nce.detach()})}

    def translate(self, source):
        with testtime.applied(self.net, self.test):
            return self.net(source)
"""

SETTINGS = (
    *("method.use=third/contrast", "networks.head.use=third/head", "optimizers.networks.use=adam"),
    *("losses.cycle.use=l1", "losses.cycle.weight=10", "data.size=[16,16]", "generator.depth=2"),
)
UNSET = (*PLAIN, "callbacks", "metrics")


@pytest.fixture
def third(distribution):
    """Install somebody's method; return a function that installs it with another text in place of one."""

    def install(old: str = "", new: str = "") -> None:
        distribution("i2i-third", "1.0", "third", {"i2i_third.py": CONTRASTING.replace(old, new)})

    return install


def test_terms_of_a_method_are_told_with_who_minimises_them(third):
    third()
    assert told(*SETTINGS, "method.weight=5", unset=UNSET) == (
        "G minimises 100 l1 (against the target) + 10 cycle [l1] (there and back) + 2.5 nce (patches) + "
        "3 unnamed; head minimises 2.5 nce (patches)"
    )


def test_a_network_that_is_trained_on_what_nobody_says_is_told_all_the_same(third):
    third('("generators", "networks.head")', '("generators",)')
    assert told(*SETTINGS, unset=UNSET).endswith(
        "; head is trained by third/contrast, which does not say on what"
    )
    kept = [setting for setting in SETTINGS if not setting.startswith("optimizers.networks")]
    assert "head" not in told(*kept, "networks.head.frozen=true", unset=UNSET)


def test_a_discriminator_that_is_called_as_a_generator_is_told_as_a_discriminator():
    assert told("discriminators.main.use=patch").endswith(
        "; patch minimises lsgan, halved; the discriminator main minimises lsgan, halved"
    )


def test_recipe_check_the_head_of_a_run_and_its_report_tell_them(third, i2i, tmp_path: Path):
    third()
    words = [word for setting in SETTINGS for word in ("--set", setting)]
    words += [word for path in UNSET for word in ("--unset", path)]
    line = told(*SETTINGS, unset=UNSET)
    assert f"objective: {line}\n" in i2i("recipe", "check", "shapes", "--build", *words).out
    stages = ("stages.first.until=0.5", 'stages.first.frozen=["networks.head"]', "stages.rest.frozen=[]")
    words += [word for stage in stages for word in ("--set", stage)]
    ended = i2i("run", "shapes", *words, "--steps", "4", "--out", str(tmp_path / "run"), "--device", "cpu")
    assert ended.code == 0, ended.err
    head = " ".join((ended.out + ended.err).split())
    assert f"objective {line}" in re.sub(r"\d{4}-\S+ ", "", head)
    assert "stages first, to step 2 (networks.head frozen); rest, to step 4 (nothing frozen)" in re.sub(
        r"\d{4}-\S+ ", "", head
    )
    report = (tmp_path / "run/report.html").read_text(encoding="utf-8")
    assert line in report
    assert "Stages: first, to step 2 (networks.head frozen); rest, to step 4 (nothing frozen)." in report


def test_a_recipe_without_stages_tells_of_none():
    assert stages_told(load_recipe("shapes"), 100) == ""


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('keys["weight"]', 'keys["wait"]', "third/contrast failed: KeyError: 'wait'"),
        ("return {", "return 3 or {", "its `own_terms` is to map names to i2i.kinds.OwnTerm, or to return"),
    ],
    ids=["raises", "another thing"],
)
def test_a_method_that_cannot_say_is_named_before_a_run(third, tmp_path: Path, old, new, words):
    third(old, new)
    recipe = load_recipe("shapes", set=[*SETTINGS], unset=UNSET, steps=1)
    with pytest.raises(PluginError, match=words):
        run(recipe, tmp_path / "run", device="cpu")
    assert not (tmp_path / "run").exists()
