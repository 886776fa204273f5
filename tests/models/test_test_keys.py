"""Test keys: parameters that change no weights, chosen anew whenever a model translates or is scored."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path

import pytest
import torch

from i2i import Translator, load_generator, load_recipe, run
from i2i.errors import RecipeError
from i2i.runs import weights
from i2i.runs.header import ModelHeader
from i2i.seeds import seeded

IMAGE = torch.linspace(-1, 1, 3 * 16 * 16).reshape(1, 3, 16, 16)


@pytest.fixture
def refined(refine: Path, tmp_path: Path) -> Path:
    run(load_recipe(refine), tmp_path / "run")
    return tmp_path / "run"


def test_a_model_file_holds_the_method_and_all_that_it_translates_with(refined):
    file = weights.read(refined / "model.safetensors")
    header = ModelHeader.read(file.header, path=file.path)
    assert header.method.component == "toys/refine"
    assert header.method.slot["evaluations"] == 4
    assert header.networks["generators.main"].given == {"in_channels": 6, "out_channels": 3}
    assert all(name.startswith("generators.main.body.") for name in file.tensors)
    assert (header.reads, header.writes, header.pair_spec.source.channels) == (("source",), "target", 3)


@torch.no_grad()
def test_the_module_is_the_whole_translation(refined, refine):
    module = load_generator(refined)
    answer = module(IMAGE)
    network = module.generators.main
    draft = torch.zeros(1, 3, 16, 16)
    for number in range(4):
        draft = draft + (network(torch.cat((IMAGE, draft), dim=1)) - draft) / (4 - number)
    torch.testing.assert_close(answer, draft)
    assert module.size_multiple == 2
    for again in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert torch.equal(again(IMAGE), answer)
        again.load_state_dict({name: 0 * tensor for name, tensor in module.state_dict().items()})
        assert not torch.equal(again(IMAGE), answer)
        assert torch.equal(module(IMAGE), answer)
    exported = torch.export.export(module, (IMAGE,)).module()
    torch.testing.assert_close(exported(IMAGE), answer)


@torch.no_grad()
def test_a_test_key_of_the_method_is_chosen_when_a_model_is_loaded(refined):
    answers = [load_generator(refined, test={"evaluations": count})(IMAGE) for count in (1, 4, 16)]
    assert torch.equal(answers[1], load_generator(refined)(IMAGE))
    assert torch.equal(answers[1], load_generator(refined, test={"method.evaluations": 4})(IMAGE))
    assert not any(torch.equal(answers[0], other) for other in answers[1:])


def test_a_model_is_scored_and_translates_under_other_values(refined, i2i, tmp_path):
    means = {}
    for count in (1, 4):
        ended = i2i("eval", str(refined), "--split", "val", "--test", f"evaluations={count}", "--json")
        assert ended.code == 0, ended.err
        record = json.loads(ended.out)
        assert record["test"] == {"evaluations": count}
        means[count] = record["figures"]["mae"]["mean"]
    summary = json.loads((refined / "summary.json").read_text())
    assert means[4] == pytest.approx(summary["metrics"]["mae"], abs=1e-5)
    assert means[1] != means[4]
    picture = (IMAGE[0].permute(1, 2, 0).numpy() * 127 + 128).astype("uint8")
    one, four = (Translator(refined, test={"evaluations": count})(picture) for count in (1, 4))
    assert (one != four).any()


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("evaluation=2", "has no test key 'evaluation' - did you mean 'evaluations'?"),
        ("colour=red", "has no test key 'colour'; its test keys are method.evaluations"),
        ("evaluations=0", "'evaluations' cannot be 0"),
        ("evaluations=many", "'evaluations' cannot be \"many\""),
        ("evaluations", "write it as KEY=VALUE"),
    ],
)
def test_what_is_no_value_of_a_test_key_is_refused_in_a_sentence(refined, i2i, setting, told):
    ended = i2i("eval", str(refined), "--test", setting)
    assert ended.code == 2
    assert told in ended.err


def test_short_options_are_refused_where_the_method_has_no_such_key(refined, i2i):
    ended = i2i("eval", str(refined), "--no-dropout")
    assert ended.code == 2
    assert "dropout is short for the test key 'test_dropout', which toys/refine does not have" in ended.err


def test_test_settings_of_a_single_network_are_test_keys_too(load, tmp_path):
    run(load(), tmp_path / "run")

    def answer(**options):
        with torch.no_grad(), seeded(0, "test"):
            return load_generator(tmp_path / "run", **options)(IMAGE)

    assert torch.equal(answer(test={"test_dropout": False}), answer(dropout=False))
    assert torch.equal(answer(test={"test_norm": "running"}), answer(norm="running"))
    assert not torch.equal(answer(norm="running", dropout=False), answer(dropout=False))
    with pytest.raises(RecipeError, match="'test_norm' cannot be \"some\""):
        answer(test={"test_norm": "some"})


def test_components_show_marks_test_keys(i2i, toys):
    ended = i2i("components", "show", "toys/refine")
    assert "passes of the generator for one image. Test key." in " ".join(ended.out.split())
    facts = json.loads(i2i("components", "show", "paired-adversarial", "--json").out)["components"][0]
    marked = {key["name"] for key in facts["parameters"] if key["at_test"]}
    assert marked == {"test_dropout", "test_norm"}


def test_a_whole_translation_starts_another_run(refined, refine, tmp_path):
    file = refined / "model.safetensors"
    for number, options in enumerate(({"set": [f"generator.init_from={file}"]}, {})):
        begun = None if options else file
        recipe = load_recipe(refine, **options, steps=1)
        run(recipe, tmp_path / str(number), init_from=begun)
        started = weights.read(tmp_path / str(number) / "model.safetensors").tensors
        name = "generators.main.body.0.weight"
        # One step of Adam moves each weight by its rate at most.
        assert (started[name] - weights.read(file).tensors[name]).abs().max() < 0.011


def test_a_method_translation_is_calibrated_where_its_keys_let_it(refined, i2i, tmp_path):
    ended = i2i("calibrate", str(refined), "--out", str(tmp_path / "new.safetensors"))
    assert ended.code == 2
    assert "norm is short for the test key 'test_norm', which toys/refine does not have" in ended.err


def test_a_run_of_a_method_with_its_networks_resumes_bit_for_bit(refine, refined, tmp_path):
    run(load_recipe(refine), tmp_path / "parts", stop_at=3)
    run(load_recipe(refine), tmp_path / "parts")
    whole, parts = (folder / "model.safetensors" for folder in (refined, tmp_path / "parts"))
    assert weights.read(whole).header["sha256"] == weights.read(parts).header["sha256"]


KNOB = """
from typing import Annotated

import torch
from annotated_types import Ge

from i2i import hookimpl
from i2i.slot_keys import AtTest

i2i_api = 1

@hookimpl
def i2i_register(registry):
    registry.generator("net", ":Knob", "a convolution and a volume")


class Knob(torch.nn.Conv2d):
    def __init__(
        self, *, in_channels: int, out_channels: int, evaluations: Annotated[int, Ge(0), AtTest()] = 1
    ) -> None:
        super().__init__(in_channels, out_channels, 1)
        self.evaluations = evaluations

    def forward(self, image):
        return super().forward(image) if self.training else self.evaluations * super().forward(image)
"""


def test_a_network_has_test_keys_too_and_one_of_two_owners_is_named(distribution, load, refine, tmp_path):
    distribution("i2i-knob", "1.0", "knob", {"i2i_knob.py": KNOB})
    run(load("generator.use=knob/net", "train.steps=1"), tmp_path / "alone")
    once, thrice = (load_generator(tmp_path / "alone", test={"evaluations": n})(IMAGE) for n in (1, 3))
    torch.testing.assert_close(thrice, 3 * once)
    recipe = load_recipe(refine, set=["generator.use=knob/net", "train.steps=1"])
    run(recipe, tmp_path / "both")
    with pytest.raises(
        RecipeError,
        match=r"several test keys 'evaluations': write generators\.main\.evaluations or method\.evaluations",
    ):
        load_generator(tmp_path / "both", test={"evaluations": 0})
    assert not load_generator(tmp_path / "both", test={"generator.evaluations": 0})(IMAGE).any()
    assert load_generator(tmp_path / "both", test={"method.evaluations": 1})(IMAGE).any()
