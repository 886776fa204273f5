"""Compiled networks: each by itself, with the same gradients in each phase; what cannot be is told."""

from __future__ import annotations

import pytest
import torch
from torch._inductor.cudagraph_trees import MarkStepBox

from i2i import run
from i2i.building import components
from i2i.data.opening import open_splits
from i2i.engine.session import Session
from i2i.errors import RecipeError, ResourceError
from i2i.runs import weights
from i2i.system.device import Runtime

CPU = Runtime("cpu", "fp32", False, 1)


def test_a_mode_that_this_torch_lacks_is_refused(load, tmp_path):
    with pytest.raises(RecipeError, match=r"train.compile[\s\S]*no mode 'defualt'.* did you mean 'default'"):
        run(load("train.compile=defualt"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_mode_that_this_torch_lacks_is_a_sentence_of_the_command(gan, i2i, tmp_path):
    ended = i2i("run", str(gan), "--set", "train.compile=defualt", "--out", str(tmp_path / "run"), "--quiet")
    assert ended.code == 2
    place, sentence = ended.err.strip().splitlines()
    assert place.startswith("--set train.compile=defualt")
    assert f"torch {torch.__version__} has no mode 'defualt' to compile in" in sentence


def test_no_compiles_nothing(load, tmp_path):
    assert run(load("train.compile=no"), tmp_path / "run").status == "done"


def test_a_machine_that_cannot_compile_is_told_in_a_sentence(load, tmp_path, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    torch._dynamo.reset()

    def fails(model, inputs):
        raise RuntimeError("no compiler is there")

    compile_with = torch.nn.Module.compile
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self, **how: compile_with(self, backend=fails))
    with pytest.raises(
        ResourceError, match=r"train.compile = 'default': torch cannot compile .* no compiler is"
    ):
        run(load("train.compile=default"), tmp_path / "run")


@pytest.mark.parametrize(("mode", "marks"), [("reduce-overhead", 3), ("no", 0)])
def test_what_compiled_networks_gave_holds_for_a_whole_step_and_no_longer(load, mode, marks):
    # With a card, torch overwrites what CUDA graphs gave in the steps before its last mark.
    recipe = load(f"train.compile={mode}")
    session = Session(recipe, data=open_splits(recipe), runtime=CPU, provenance={})
    before = MarkStepBox.mark_step_counter
    with torch.compiler.set_stance("force_eager"):  # compiling would take its time
        for batch in session.batches(last=3):
            session.advance([batch])
    assert before - MarkStepBox.mark_step_counter == marks


@pytest.mark.slow  # the compiler of each network takes its time
@pytest.mark.filterwarnings("ignore")  # of torch, about its own compiler
@pytest.mark.parametrize(
    "extra",
    [(), ("losses.slope.use=r1",), ("method.update=simultaneous",)],
    ids=["plain", "penalty", "at once"],
)
def test_every_parameter_gets_its_gradient_in_each_phase_as_it_does_uncompiled(load, extra):
    # No Adam, which makes a whole step of the sign of a gradient near zero; no dropout: its draws are others.
    plain = (f"optimizers.{group}.use=sgd" for group in ("generators", "discriminators"))
    unet = ("generator.use=unet", "generator.depth=2", "generator.width=4", "generator.dropout=0")
    settings = (*unet, *plain, *extra)
    stepped = {}
    for mode in ("no", "default"):
        recipe = load(f"train.compile={mode}", *settings)
        session = Session(recipe, data=open_splits(recipe), runtime=CPU, provenance={})
        before = {
            f"{path}.{name}": parameter.detach().clone()
            for path, module in session.networks.modules()
            for name, parameter in module.named_parameters()
        }
        batches = session.batches(last=2)
        for batch in batches:
            session.advance([batch])
        after = {
            f"{path}.{name}": parameter.detach()
            for path, module in session.networks.modules()
            for name, parameter in module.named_parameters()
        }
        assert [name for name in after if torch.equal(after[name], before[name])] == []
        stepped[mode] = after
    for name, value in stepped["no"].items():
        assert torch.allclose(value, stepped["default"][name], rtol=1e-4, atol=1e-6), name


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_compiled_run_resumes_and_its_model_has_plain_names(load, tmp_path):
    recipe = load("train.compile=default", "generator.use=unet", "generator.depth=2", "generator.width=4")
    run(recipe, tmp_path / "run", stop_at=6)
    assert run(recipe, tmp_path / "run").status == "done"
    plain = components.build_networks(recipe, open_splits(recipe)["train"].spec).generators["main"]
    found = weights.read(tmp_path / "run" / "model.safetensors").tensors
    assert found.keys() == plain.state_dict().keys()
