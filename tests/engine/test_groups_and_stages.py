"""Stages of a run, groups of a network's parts, and what is frozen: what is not trained stays as it is."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from i2i import load_recipe, run
from i2i.bench.keys import key_of
from i2i.building.components import build_networks, build_optimizers
from i2i.building.probe import probe
from i2i.data.opening import open_data, open_splits, spec_of
from i2i.engine.session import Session
from i2i.errors import PluginError, RecipeError
from i2i.recipe.recipe import Recipe
from i2i.runs import checkpoint, state, weights
from i2i.runs.header import made_of
from i2i.system.device import resolve
from i2i.testing import fake_distribution

TOYS = Path(__file__).parents[1] / "toys"


@pytest.fixture
def taught(toys: Path, tmp_path: Path) -> Iterator[Callable[..., Recipe]]:
    """Return a function that loads the recipe whose encoder is trained first, with settings on top."""
    files = {f"i2i_taught/{path.name}": path.read_text() for path in (TOYS / "i2i_taught").glob("*.py")}
    recipe = tmp_path / "taught.toml"
    recipe.write_text((TOYS / "taught.toml").read_text())

    def load(*settings: str, unset: tuple[str, ...] = ()) -> Recipe:
        return load_recipe(recipe, set=settings, unset=unset)

    with fake_distribution("i2i-taught", files, namespace="taught", site=tmp_path / "more"):
        yield load


def saved(folder: Path) -> dict[str, bytes]:
    """The bytes of a finished run's state and model."""
    last = checkpoint.newest(folder / "checkpoints")
    files = {path.name: path.read_bytes() for path in last.folder.glob("*.safetensors")}
    return files | {"model": (folder / "model.safetensors").read_bytes()}


def tensors(folder: Path, step: int, path: str) -> dict[str, torch.Tensor]:
    return weights.read(folder / f"checkpoints/{step:06d}/{path}.safetensors").tensors


def optimizer(folder: Path, step: int, path: str) -> dict:
    file = weights.read(folder / f"checkpoints/{step:06d}/trainer.safetensors")
    return state.unpack(file.tensors, file.header["trainer"])["parts"][f"optimizers.{path}"]["state"]


def equal(one, other) -> bool:
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    return torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other


def losses(folder: Path) -> list[dict]:
    records = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [record["losses"] for record in records if record["kind"] == "train"]


@pytest.mark.parametrize("stop", [2, 4, 6])
def test_a_run_that_is_stopped_in_any_stage_goes_on_to_the_same_bits(taught, tmp_path, stop):
    run(taught("train.ema=0.9"), tmp_path / "whole")
    run(taught("train.ema=0.9"), tmp_path / "parts", stop_at=stop)
    run(taught("train.ema=0.9"), tmp_path / "parts")
    assert saved(tmp_path / "parts") == saved(tmp_path / "whole")
    assert losses(tmp_path / "parts") == losses(tmp_path / "whole")


def test_an_encoder_that_is_trained_first_stays_as_it_is_with_its_statistics_and_its_optimizer(
    taught, tmp_path
):
    run(taught(), tmp_path / "run")
    first, halfway, last = (tensors(tmp_path / "run", step, "networks.encoder") for step in (1, 4, 8))
    assert not any(torch.equal(first[name], halfway[name]) for name in first)
    assert equal(halfway, last)
    assert equal(
        optimizer(tmp_path / "run", 4, "networks.encoder"), optimizer(tmp_path / "run", 8, "networks.encoder")
    )
    first, halfway, last = (tensors(tmp_path / "run", step, "generator") for step in (1, 4, 8))
    assert equal(first, halfway)
    assert optimizer(tmp_path / "run", 4, "generators.main") == {}
    assert not any(torch.equal(halfway[name], last[name]) for name in last if "num" not in name)


def test_an_update_of_what_is_frozen_still_computes_and_logs(taught, tmp_path):
    run(taught(), tmp_path / "run")
    logged = losses(tmp_path / "run")
    assert ["colour" in record for record in logged] == [True] * 8
    assert ["alike" in record for record in logged] == [False] * 4 + [True] * 4


def test_a_gradient_scaler_has_nothing_to_do_with_what_is_frozen(taught):
    recipe = taught()
    data = {split: open_data(recipe, split) for split in ("train", "val")}
    session = Session(recipe, data=data, runtime=resolve("cpu", "fp32"), provenance={})
    session.run.scaler = torch.amp.GradScaler("cpu", enabled=True)
    before = {p: p.detach().clone() for p in session.networks.others["encoder"].parameters()}
    for step, moves in ((0, True), (4, False)):
        session.run.step = step
        session.advance([next(session.batches(last=step + 1))])
        session.run.check_finite(session.networks.modules())
        assert any(not torch.equal(p, before[p]) for p in before) == moves
        before = {p: p.detach().clone() for p in before}


def test_a_group_is_frozen_in_a_stage_and_the_rest_is_trained(taught, tmp_path):
    run(taught("stages.second.frozen=['networks.encoder.body', 'generators.main.encoder']"), tmp_path / "run")
    halfway, last = (tensors(tmp_path / "run", step, "networks.encoder") for step in (4, 8))
    kept = {name for name in last if torch.equal(halfway[name], last[name])}
    assert kept == {name for name in last if name.startswith("body.")}
    halfway, last = (tensors(tmp_path / "run", step, "generator") for step in (4, 8))
    kept = {name for name in last if torch.equal(halfway[name], last[name])}
    assert kept == {name for name in last if name.startswith("encoder.")}


def test_a_network_that_is_frozen_for_good_needs_no_optimizer(taught, tmp_path):
    frozen = taught("networks.encoder.frozen=true", unset=("optimizers.networks", "stages"))
    run(frozen, tmp_path / "run")
    assert equal(
        tensors(tmp_path / "run", 1, "networks.encoder"), tensors(tmp_path / "run", 8, "networks.encoder")
    )
    assert "colour" in losses(tmp_path / "run")[-1]
    assert "alike" in losses(tmp_path / "run")[0]


def test_a_key_freezes_groups_and_leaves_norms_alone(taught, tmp_path):
    run(taught("networks.encoder.frozen=['body']", unset=("stages",)), tmp_path / "run")
    first, last = (tensors(tmp_path / "run", step, "networks.encoder") for step in (1, 8))
    kept = {name for name in last if torch.equal(first[name], last[name])}
    assert kept == {name for name in last if name.startswith("body.")}


def test_what_comes_in_a_later_stage_is_tried_before_the_run(taught, tmp_path, toys):
    part = tmp_path / "more" / "i2i_taught" / "taught.py"
    part.write_text(part.read_text().replace("alike = F.l1_loss(", "alike = nowhere("))
    with pytest.raises(Exception, match="nowhere"):
        run(taught(), tmp_path / "run")
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_stages_belong_to_what_names_a_cell(taught):
    keys = {key_of(taught(*settings)) for settings in ((), ("stages.first.until=0.25",))}
    assert len(keys) == 2


@pytest.mark.parametrize(
    ("settings", "unset", "message"),
    [
        (("stages.second.until=0.7",), (), "the last stage ends with the run: leave `until` out"),
        (
            (),
            ("stages.first.until",),
            "stages.first.until\n  a stage that others follow needs `until`, the share of the run",
        ),
        (
            ("stages.third.frozen=[]", "stages.second.until=0.4"),
            (),
            "it ends at 0.4, and the stage before it at 0.5",
        ),
        (("stages.first.until=1.5",), (), "'until' cannot be 1.5"),
        (("stages.first.use='x'",), (), "unknown key 'use' for a stage"),
        (("stages.first=3",), (), "[stages] holds tables of such names alone"),
        (
            ("stages.first.frozen=['networks.encodr']",),
            (),
            "'networks.encodr' is no network and no group of parts - did you mean 'networks.encoder'?",
        ),
        (
            ("networks.encoder.frozen=true",),
            (),
            "this optimizer has nothing to do: all that it could train is frozen",
        ),
    ],
)
def test_what_is_wrong_with_stages_is_told_when_the_recipe_is_read(taught, settings, unset, message):
    with pytest.raises(RecipeError) as refused:
        taught(*settings, unset=unset)
    assert message in str(refused.value)


# --- groups of a network's parts ------------------------------------------------------------


FINE = (
    "optimizers.'generators.main.encoder'.use=adam",
    "optimizers.'generators.main.encoder'.lr=1e-5",
)


def rates(recipe) -> dict[str, float]:
    networks = build_networks(recipe, spec_of(recipe))
    return {path: o.param_groups[0]["lr"] for path, o in build_optimizers(recipe, networks).items()}


def test_a_group_has_an_optimizer_of_its_own_and_the_rest_the_general_one(taught, tmp_path):
    recipe = taught(*FINE, unset=("stages",))
    assert rates(recipe) == {
        "generators.main": 1e-3,
        "generators.main.encoder": 1e-5,
        "networks.encoder": 1e-2,
    }
    run(recipe, tmp_path / "whole")
    run(recipe, tmp_path / "parts", stop_at=3)
    run(recipe, tmp_path / "parts")
    assert saved(tmp_path / "parts") == saved(tmp_path / "whole")
    first, last = (tensors(tmp_path / "whole", step, "generator") for step in (1, 2))
    moved = {name: (first[name] - last[name]).abs().max() for name in first if name.endswith("conv.weight")}
    assert all(moved[name] < 2e-5 for name in moved if name.startswith("encoder."))
    assert all(moved[name] > 2e-5 for name in moved if name.startswith("decoder."))


def test_a_schedule_by_group_counts_for_the_group_alone(taught, tmp_path):
    schedule = "schedules.'generators.main.encoder'.use=linear-decay"
    start = "schedules.'generators.main.encoder'.start=0"
    recipe = taught(schedule, start, unset=("stages",))
    assert rates(recipe)["generators.main.encoder"] == 1e-3
    run(recipe, tmp_path / "run")
    text = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert '"generators.main": 0.001' in text[7]
    assert '"generators.main.encoder": 0.001' not in text[7]


def test_groups_that_cover_a_network_need_no_general_optimizer(taught):
    settings = [
        f"optimizers.'networks.encoder.{group}'.{key}"
        for group in ("body", "colour")
        for key in ("use=adam", "lr=1e-4")
    ]
    recipe = taught(*settings, unset=("optimizers.networks",))
    assert rates(recipe).keys() == {"generators.main", "networks.encoder.body", "networks.encoder.colour"}


def test_a_group_starts_from_an_earlier_training(taught, tmp_path):
    run(taught(), tmp_path / "first")
    model = tmp_path / "first" / "model.safetensors"
    recipe = taught("generator.init_from.encoder=" + str(model), "seed=5")
    fresh = build_networks(taught("seed=5"), spec_of(recipe)).generators["main"].state_dict()
    begun = build_networks(recipe, spec_of(recipe)).generators["main"].state_dict()
    earlier = tensors(tmp_path / "first", 8, "generator")
    for name in begun:
        assert torch.equal(begun[name], earlier[name] if name.startswith("encoder.") else fresh[name])
    run(recipe, tmp_path / "second", stop_at=3)
    run(taught("seed=5"), tmp_path / "second")  # how it began need not be said again
    assert losses(tmp_path / "second")[-1]


def test_a_part_alone_fills_a_group_of_one(taught, tmp_path):
    run(taught(), tmp_path / "first")
    file = tmp_path / "first/checkpoints/000008/networks.encoder.safetensors"
    recipe = taught(f"generator.init_from.decoder={file}")
    with pytest.raises(RecipeError, match=r"does not fit the part 'decoder' of core/unet"):
        build_networks(recipe, spec_of(recipe))
    recipe = taught(f"networks.encoder.init_from.body={file}")
    begun = build_networks(recipe, spec_of(recipe)).others["encoder"].body.state_dict()
    there = tensors(tmp_path / "first", 8, "networks.encoder")
    assert equal(dict(begun), {name[5:]: there[name] for name in there if name.startswith("body.")})


@pytest.mark.parametrize(
    ("settings", "unset", "message"),
    [
        (
            ("generator.frozen=['encodr']",),
            (),
            "generators.main (core/unet) has no group 'encodr' - did you mean 'encoder'?",
        ),
        (("generator.init_from.head=x",), (), "has no group 'head'; its groups: encoder, decoder"),
        (
            ("stages.first.frozen=['generators.main.x']",),
            (),
            "generators.main (core/unet) has no group 'x'; its groups: encoder, decoder",
        ),
        (("optimizers.'generators.main.x'.use=adam",), (), "has no group 'x'; its groups: encoder, decoder"),
        (
            ("optimizers.'networks.encoder.body'.use=adam",),
            ("optimizers.networks",),
            "no optimizer trains the rest of this network: add [optimizers.networks]",
        ),
        (
            (*FINE, "generator.frozen=['encoder']"),
            (),
            "this optimizer has nothing to do: all that it could train is frozen, or has one of its own",
        ),
    ],
)
def test_what_a_recipe_says_of_groups_in_vain_is_told_before_a_run(taught, settings, unset, message):
    recipe = taught(*settings, unset=unset)
    with pytest.raises(RecipeError) as refused:
        probe(recipe, spec_of(recipe))
    assert message in str(refused.value)


def test_an_optimizer_for_a_group_of_no_network_is_refused_when_the_recipe_is_read(taught):
    with pytest.raises(RecipeError, match=r"'generators\.min.encoder' is no network and no group of them"):
        taught("optimizers.'generators.min.encoder'.use=adam")


def test_a_start_for_a_group_that_there_is_not_is_told_at_its_key(taught, tmp_path):
    text = (tmp_path / "taught.toml").read_text()
    starts = 'width = 4\ninit_from = {encodr = "first"}\n'
    (tmp_path / "taught.toml").write_text(text.replace("width = 4\n", starts))
    recipe = taught()
    with pytest.raises(RecipeError) as refused:
        probe(recipe, spec_of(recipe))
    (problem,) = refused.value.problems
    assert problem.where == "generator.init_from.encodr"
    assert problem.line == text.splitlines().index("width = 4") + 2


def test_a_group_starts_from_a_file_that_holds_several_networks(taught, tmp_path):
    recipe = taught()
    slot = recipe.slots["generators.main"]
    made = asdict(made_of(slot, recipe))
    whole = build_networks(taught("seed=9"), spec_of(recipe)).generators["main"].state_dict()
    tensors = {f"generators.main.{name}": tensor for name, tensor in whole.items()}
    header = made | {"networks": {"generators.main": made}}
    weights.Snapshot(tensors, header).replace(tmp_path / "both.safetensors")
    recipe = taught(f"generator.init_from.encoder={tmp_path / 'both.safetensors'}")
    begun = build_networks(recipe, spec_of(recipe)).generators["main"].state_dict()
    assert all(torch.equal(begun[name], whole[name]) for name in begun if name.startswith("encoder."))


def test_a_scaler_takes_an_update_that_reaches_none_of_its_networks(taught):
    recipe = taught()
    session = Session(recipe, data=open_splits(recipe), runtime=resolve("cpu", "fp32"), provenance={})
    session.run.scaler = torch.amp.GradScaler("cpu")
    aside = torch.ones((), requires_grad=True)
    before = [p.clone() for p in session.networks.others["encoder"].parameters()]
    assert session.run.update("networks", [(aside * 2, {"aside": aside})])["aside"] == 1
    assert all(map(torch.equal, before, session.networks.others["encoder"].parameters()))
    head = session.networks.others["encoder"].colour.weight
    session.run.update("networks", [(head.square().sum(), {})])
    assert not torch.equal(before[-2], head)


def test_groups_that_share_a_parameter_are_their_plugins_fault(taught):
    recipe = taught("networks.encoder.use=taught/clumsy", "networks.encoder.frozen=['colour']")
    with pytest.raises(PluginError, match="taught/clumsy: its `groups` are wrong: 'all' and 'colour' share"):
        probe(recipe, spec_of(recipe))
