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
        means[count] = json.loads(ended.out)["figures"]["mae"]["mean"]
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
    started = load_recipe(refine, set=[f"generator.init_from={file}", "train.steps=1"])
    run(started, tmp_path / "next", stop_at=1)
    assert (tmp_path / "next" / "model.safetensors").is_file()
