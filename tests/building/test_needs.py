"""What a method needs of its networks, and its own constructor, are looked at before a run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

PLUGIN = """
import torch
from torch import nn

from i2i import hookimpl
from i2i.kinds import DiscriminatorSlot, GeneratorSlot, MethodSlots, TestSettings
from i2i.maps import Maps

i2i_api = 1


@hookimpl
def i2i_register(registry):
    registry.generator("timed", ":Timed", "one convolution, and a time")
    registry.generator("outward", ":Outward", "one convolution, which hands out features")
    registry.generator("made", ":made", "the timed one, by a function")
    registry.generator("wired", ":Wired", "always of three channels")
    registry.discriminator("judge", ":Judge", "one convolution, with features")
    registry.discriminator("mute", ":mute", "one convolution")
    registry.method("flow", ":Flow", "needs a time, of source and target as one stack")
    registry.method("contrast", ":Contrast", "needs features")
    registry.method("match", ":Match", "needs features of its discriminator")
    registry.method("plain", ":Plain", "needs nothing")


class Net(nn.Module):
    def __init__(self, *, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.only = nn.Conv2d(in_channels, out_channels, 3, padding=1)


class Timed(Net):
    def forward(self, image, time):
        assert time.shape == image.shape[:1] and time.is_floating_point()
        return torch.tanh(self.only(image) + time[:, None, None, None])


def made(*, in_channels: int, out_channels: int) -> Timed:
    return Timed(in_channels=in_channels, out_channels=out_channels)


class Outward(Net):
    def forward(self, image):
        return torch.tanh(self.only(image))

    def features(self, image):
        return [self.only(image)]


class Wired(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.only = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, image, time):
        return self.only(image)


class Judge(nn.Module):
    def __init__(self, *, in_channels: int) -> None:
        super().__init__()
        self.only = nn.Conv2d(in_channels, 1, 1)

    def forward(self, image) -> Maps:
        logits = self.only(image)
        return Maps([logits], [[logits]])


def mute(*, in_channels: int) -> nn.Module:
    return nn.Conv2d(in_channels, 1, 1)


class Plain:
    test = TestSettings()
    slots = MethodSlots(
        generators={"main": GeneratorSlot()},
        exported="main",
        discriminators=DiscriminatorSlot(),
        loss_kinds=frozenset({"paired-loss", "adversarial-loss"}),
    )

    def __init__(self, networks, losses, *, steps: int = 4) -> None:
        if steps > 100:
            raise ValueError("'steps' is at most 100")
        if steps == 77:
            raise ValueError("needy/plain needs steps other than 77")
        if steps == 13:
            raise KeyError("unlucky")
        self.start = float(next(networks.generators["main"].parameters()).detach().mean())

    def step(self, batches, run):
        raise NotImplementedError

    def translate(self, source):
        raise NotImplementedError


class Flow(Plain):
    both = GeneratorSlot(("source", "target"), needs=frozenset({"time"}))
    slots = MethodSlots(generators={"main": both}, exported="main")


class Contrast(Plain):
    slots = MethodSlots(
        generators={"main": GeneratorSlot(needs=frozenset({"features"}))}, exported="main"
    )


class Match(Plain):
    slots = MethodSlots(
        generators={"main": GeneratorSlot()},
        exported="main",
        discriminators={"judge": DiscriminatorSlot(needs=frozenset({"features"}))},
        loss_kinds=frozenset({"adversarial-loss"}),
    )
"""

RECIPE = """
recipe = 1
name = "needs"

[data]
use = "shapes"

[generator]
use = "needy/timed"

[losses.l1]
use = "l1"

[method]
use = "needy/flow"

[optimizers.generators]
use = "adam"

[train]
steps = 1
"""

JUDGE = (
    "discriminators.judge.use=needy/mute",
    "optimizers.discriminators.use=adam",
    "losses.game.use=lsgan",
)


@pytest.fixture
def checked(i2i, distribution, tmp_path: Path, monkeypatch) -> Callable[..., tuple[int, str]]:
    """Return a function that checks the recipe with settings on top, and gives the exit code and the text."""
    distribution("i2i-needy", "1.0", "needy", {"i2i_needy/__init__.py": PLUGIN})
    monkeypatch.chdir(tmp_path)
    Path("needs.toml").write_text(RECIPE)

    def check(*settings: str, build: bool = True, unset: str = "") -> tuple[int, str]:
        words = [word for setting in settings for word in ("--set", setting)]
        words += ["--unset", unset] if unset else []
        ended = i2i("recipe", "check", "needs.toml", *(["--build"] if build else []), *words)
        return ended.code, " ".join((ended.err + ended.out).split())

    return check


def test_a_time_and_a_stack_of_sides_are_given_where_the_method_says_so(checked):
    code, text = checked()
    assert code == 0, text
    assert "generators.main needy/timed 6x" in text


def test_a_generator_without_a_time_is_refused_with_those_that_would_fit(checked):
    code, text = checked("generator.use=unet")
    assert code == 2
    assert text.startswith("--set generator.use=unet generator.use needy/flow needs a generator that reads a")
    assert "and core/unet does not; needy/timed, needy/made, needy/wired would fit" in text
    assert checked("generator.use=unet", build=False) == (code, text), "classes show it before any is built"


def test_what_a_function_makes_is_looked_at_when_it_is_built(checked):
    settings = ("method.use=needy/match", "generator.use=needy/outward", *JUDGE)
    assert checked(*settings, unset="losses.l1", build=False)[0] == 0
    assert checked("generator.use=needy/made", build=False)[0] == 0


def test_the_place_is_the_line_in_the_file(checked):
    code, text = checked("method.use=needy/contrast")
    assert code == 2
    assert text.startswith(
        "needs.toml:9 generator.use needy/contrast needs a generator that hands out features"
    )
    assert "and needy/timed does not; " in text
    assert "needy/outward would fit" in text


def test_features_are_taken_where_they_are_handed_out(checked):
    assert checked("method.use=needy/contrast", "generator.use=needy/outward")[0] == 0


def test_a_generator_that_wants_a_time_is_refused_where_there_is_none(checked):
    code, text = checked("method.use=needy/plain")
    assert code == 2
    assert "generator.use needy/timed reads a time beside the image, and needy/plain gives it none; " in text
    assert "unet" in text.partition("none; ")[2]


def test_a_discriminator_has_to_hand_out_features_where_the_method_needs_them(checked):
    settings = ("method.use=needy/match", "generator.use=needy/outward", *JUDGE)
    code, text = checked(*settings, unset="losses.l1")
    assert code == 2
    assert "needy/match needs a discriminator that hands out features" in text
    assert "and needy/mute does not" in text
    assert "needy/judge would fit" in text
    assert checked(*settings, "discriminators.judge.use=needy/judge", unset="losses.l1")[0] == 0


def test_channels_that_do_not_fit_a_stack_are_told_as_those_of_a_stack(checked):
    code, text = checked("generator.use=needy/wired")
    assert code == 2
    assert "needy/wired cannot take 6 x 64 x 64, source and target as one stack: " in text


def test_what_the_methods_constructor_refuses_is_told_with_its_place(checked):
    other = RECIPE.replace("needy/timed", "needy/outward").replace('needy/flow"', 'needy/plain"\nsteps = 101')
    Path("needs.toml").write_text(other)
    code, text = checked()
    assert code == 2
    assert "needs.toml:14 method needy/plain: 'steps' is at most 100" in text


def test_a_constructor_that_names_its_method_is_told_by_that_name_once(checked):
    other = RECIPE.replace("needy/timed", "needy/outward").replace('needy/flow"', 'needy/plain"\nsteps = 77')
    Path("needs.toml").write_text(other)
    assert "needs.toml:14 method needy/plain needs steps other than 77" in checked()[1]


def test_a_constructor_that_reads_weights_is_tried_with_real_ones(checked):
    assert checked("method.use=needy/plain", "generator.use=needy/outward")[0] == 0


def test_a_constructor_that_fails_is_the_plug_ins_fault(checked):
    code, text = checked("method.use=needy/plain", "generator.use=needy/outward", "method.steps=13")
    assert code == 6
    assert "needy/plain failed: KeyError: 'unlucky'" in text


def test_a_need_that_there_is_not_is_the_plug_ins_fault(i2i, distribution, tmp_path, monkeypatch):
    files = {"i2i_needy/__init__.py": PLUGIN.replace('frozenset({"time"})', 'frozenset({"tiem"})')}
    distribution("i2i-needy", "1.0", "needy", files)
    monkeypatch.chdir(tmp_path)
    Path("needs.toml").write_text(RECIPE)
    ended = i2i("recipe", "check", "needs.toml", "--build")
    assert ended.code == 6
    assert "needy/flow needs 'tiem' of a generator, and what can be needed is time and features" in ended.err
