"""Methods that need a time and a stack of sides, or features, train, resume bit for bit, leave a model."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from i2i import load_generator, load_recipe, run
from i2i.networks import Judge
from i2i.runs import weights
from i2i.testing.stand_ins import Judge as TimedJudge

SOUND = Path(__file__).parents[1] / "testing" / "sound"


@pytest.fixture(autouse=True)
def sound(distribution) -> None:
    """Install the plug-in that keeps every promise, with its sampler and its method of features."""
    files = {
        str(path.relative_to(SOUND)): path.read_text()
        for path in SOUND.rglob("*")
        if path.suffix in (".py", ".toml")
    }
    first = "i2i_sound/__init__.py"
    distribution("i2i-sound", "1.0", "sound", {first: files.pop(first), **files})


@pytest.mark.parametrize(("name", "count"), [("flow", 1), ("alike", 2)])
def test_what_has_needs_resumes_bit_for_bit(tmp_path, name, count):
    small = ["generators.velocity.wide=4"] if name == "flow" else []
    recipe = load_recipe(f"sound/{name}", set=[*small, "train.precision=fp32"])
    run(recipe, tmp_path / "whole", device="cpu")
    run(recipe, tmp_path / "parts", device="cpu", stop_at=2)
    run(recipe, tmp_path / "parts", device="cpu")
    files = sorted((tmp_path / "whole" / "checkpoints" / "000004").glob("*.safetensors"))
    networks = [file for file in files if file.name != "trainer.safetensors"]
    assert len(networks) == count
    for file in networks:
        whole = weights.read(file).tensors
        parts = weights.read(tmp_path / "parts" / "checkpoints" / "000004" / file.name).tensors
        assert whole.keys() == parts.keys()
        assert all(torch.equal(value, parts[key]) for key, value in whole.items())


def test_the_model_of_a_generator_that_hands_out_features_translates(tmp_path):
    recipe = load_recipe("sound/alike", set=["train.precision=fp32"], steps=2)
    result = run(recipe, tmp_path / "run", device="cpu")
    model = load_generator(result.folder / "model.safetensors")
    source = torch.linspace(-1, 1, 3 * 16 * 16).reshape(1, 3, 16, 16)
    torch.manual_seed(5)
    once = model(source)
    torch.manual_seed(5)
    assert torch.equal(once, model(source))
    assert once.shape == source.shape


def test_a_judge_is_shown_the_time_beside_image_and_condition():
    torch.manual_seed(0)
    module = TimedJudge(in_channels=6)
    judge = Judge("at-a-time", module, conditional=True)
    image, condition = torch.rand(2, 3, 8, 8), torch.rand(2, 3, 8, 8)
    time = torch.tensor([0.0, 1.0])
    stack = torch.cat((condition, image), dim=1)
    for shown in (judge.maps(image, condition, time=time), judge.given(condition, time=time)(image)):
        assert torch.equal(shown[0], module(stack, time).logits[0])
    assert torch.equal(judge.features(image, condition, time=time)[0][0], module(stack, time).features[0][0])
    assert not torch.equal(judge.maps(image, condition)[0], judge.maps(image, condition, time=time)[0])
