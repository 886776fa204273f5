"""A model file answers as its method does: compared before a run, and at its end."""

from __future__ import annotations

from pathlib import Path

import pytest

from i2i import load_recipe, run
from i2i.errors import PluginError

BRIGHT = """
from dataclasses import replace

from i2i import hookimpl
from i2i.core.methods.paired_adversarial import PairedAdversarial

i2i_api = 1

@hookimpl
def i2i_register(registry):
    registry.method("bright", ":Bright", "adds a little to what its generator gives")
    registry.method("later", ":Later", "does so in the end alone")


class Bright(PairedAdversarial):
    def translate(self, source):
        return super().translate(source) + 0.1


class Later(PairedAdversarial):
    steps = 0

    def step(self, batches, run):
        self.steps = run.step + 1
        return super().step(batches, run)

    def translate(self, source):
        return super().translate(source) + (0.5 if self.steps == 6 else 0)
"""


@pytest.fixture
def bright(distribution) -> None:
    distribution("i2i-bright", "1.0", "bright", {"i2i_bright.py": BRIGHT})


def test_a_method_that_its_model_file_cannot_repeat_is_refused_before_the_run(bright, load, tmp_path):
    with pytest.raises(PluginError) as caught:
        run(load("method.use=bright/bright"), tmp_path / "run")
    told = str(caught.value)
    assert "bright/bright: translate() and the model file of 'main' do not give the same image" in told
    assert "0.1 apart" in told
    assert "translates_with" in told
    assert not (tmp_path / "run").exists()


def test_a_generator_of_two_sides_alone_is_no_translation(refine, tmp_path, toys):
    import i2i_toys.refine as module

    slots = module.Refine.slots
    module.Refine.slots = type(slots)(slots.generators, slots.exported)
    try:
        with pytest.raises(PluginError, match="do not give the same image"):
            run(load_recipe(refine), tmp_path / "run")
    finally:
        module.Refine.slots = slots


def test_at_a_runs_end_a_difference_is_told(bright, load, tmp_path, i2i, gan: Path):
    ended = i2i(
        "run", str(gan), "--set", "method.use=bright/later", "--steps", "6", "--out", str(tmp_path / "run")
    )
    assert ended.code == 0, ended.err
    told = " ".join(ended.err.split())
    assert "The model that was written is not known to be what was validated: translate() and" in told


def test_a_run_whose_model_answers_alike_says_nothing_of_it(gan, tmp_path, i2i):
    ended = i2i("run", str(gan), "--steps", "6", "--set", "train.ema=0.9", "--out", str(tmp_path / "run"))
    assert ended.code == 0
    assert "what was validated" not in ended.err
