"""What a training step does to networks, seeds and gradients."""

from __future__ import annotations

import gc
import itertools
import json
import weakref

import pytest
import torch

from i2i import run
from i2i.building import components
from i2i.data.opening import open_data, open_splits
from i2i.data.stream import epoch_order, training_batches
from i2i.engine import stored
from i2i.engine.rehearsal import dry_pass, rehearse
from i2i.engine.session import Session
from i2i.errors import DivergedError, RecipeError
from i2i.system.device import Runtime

CPU = Runtime("cpu", "fp32", False, 1)


def session_of(recipe) -> Session:
    data = {split: open_data(recipe, split) for split in ("train", "val")}
    return Session(recipe, data=data, runtime=CPU, provenance={})


def batches_of(session: Session, count: int):
    recipe = session.recipe
    transforms = components.build_transforms(recipe, at="loading", spec=session.spec)
    return list(
        training_batches(
            session.data["train"], transforms, recipe.data.settings, seed=recipe.seed, first=0, last=count
        )
    )


def weights(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(
    "swap",
    [
        ("discriminators.judge.use=pixel",),
        ("discriminators.judge.use=image",),
        ("discriminators.judge.conditional=false",),
        ("losses.adversarial.use=vanilla",),
        ("losses.features.use=toys/features",),
        ("train.ema=0.5",),
        ("optimizers.generators.use=sgd",),
    ],
)
def test_swapping_one_slot_leaves_initial_weights_and_data_as_they_were(load, swap):
    before, after = session_of(load()), session_of(load(*swap))
    assert same(weights(before.networks.generators["main"]), weights(after.networks.generators["main"]))
    for one, other in zip(batches_of(before, 11), batches_of(after, 11), strict=True):
        assert one.ids == other.ids
        assert torch.equal(one.source, other.source)
        assert torch.equal(one.target, other.target)


def test_swapping_the_generator_leaves_the_discriminator_as_it_was(load):
    before, after = session_of(load()), session_of(load("generator.width=8"))
    judges = [s.networks.judges["judge"].module for s in (before, after)]
    assert same(weights(judges[0]), weights(judges[1]))


def test_another_seed_changes_weights_order_and_augmentation(load):
    before, after = session_of(load()), session_of(load("seed=4"))
    assert not same(weights(before.networks.generators["main"]), weights(after.networks.generators["main"]))
    assert [b.ids for b in batches_of(before, 5)] != [b.ids for b in batches_of(after, 5)]


def test_building_leaves_the_global_generator_alone(load):
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    session = session_of(load())
    batches_of(session, 2)
    assert torch.equal(torch.rand(3), expected)


def test_a_run_leaves_the_global_generator_and_threads_alone(load, tmp_path):
    torch.manual_seed(1)
    expected, threads = torch.rand(3), torch.get_num_threads()
    torch.manual_seed(1)
    run(load("train.steps=2"), tmp_path / "run")
    assert torch.equal(torch.rand(3), expected)
    assert torch.get_num_threads() == threads


def test_every_epoch_visits_each_item_once_in_an_order_of_its_own():
    orders = [epoch_order(10, seed=0, epoch=epoch) for epoch in range(3)]
    assert all(sorted(order) == list(range(10)) for order in orders)
    assert len({tuple(order) for order in orders}) == 3
    assert orders[1] == epoch_order(10, seed=0, epoch=1)


def test_discriminators_have_no_gradients_after_a_step_and_can_still_be_trained(load):
    session = session_of(load())
    session.advance(batches_of(session, 1))
    judge = session.networks.judges["judge"].module
    assert all(p.grad is None and p.requires_grad for p in judge.parameters())


def test_the_generators_step_does_not_move_the_discriminator(load):
    session = session_of(load("optimizers.discriminators.lr=1e-30"))
    judge = session.networks.judges["judge"].module
    before = weights(judge)
    session.advance(batches_of(session, 1))
    assert all(
        torch.allclose(before[name], after, rtol=0, atol=1e-29) for name, after in weights(judge).items()
    )


def test_frozen_restores_what_was_frozen_before(load):
    session = session_of(load())
    module = session.networks.generators["main"]
    first = next(module.parameters())
    first.requires_grad_(False)

    def fail_inside() -> None:
        with session.run.frozen(module):
            assert not any(p.requires_grad for p in module.parameters())
            raise KeyError

    with pytest.raises(KeyError):
        fail_inside()
    assert [p.requires_grad for p in module.parameters()] == [False] + [True] * (
        len(list(module.parameters())) - 1
    )


def test_accumulating_batches_equals_one_large_batch(load):
    plain = ("generator.dropout=0.0", "generator.norm=false", "train.clip=0.1")
    small = session_of(load(*plain[:1], plain[2], "data.batch_size=1", "train.accumulate=2"))
    large = session_of(load(*plain[:1], plain[2], "data.batch_size=2"))
    for session in (small, large):
        # Batch statistics are the one thing that differs between two ones and a two.
        session.networks.generators["main"].eval()
    pair = batches_of(small, 2)
    both = type(pair[0])(
        torch.cat([b.source for b in pair]), torch.cat([b.target for b in pair]), pair[0].ids + pair[1].ids
    )
    one, other = small.advance(pair), large.advance([both])
    assert {name: pytest.approx(float(v), rel=1e-4) for name, v in one.items()} == {
        name: float(v) for name, v in other.items()
    }
    for a, b in zip(small.networks.modules(), large.networks.modules(), strict=True):
        for p, q in zip(a[1].parameters(), b[1].parameters(), strict=True):
            assert torch.allclose(p, q, atol=2e-4)


def test_clipping_bounds_what_a_step_moves(load):
    settings = ("optimizers.generators.use=sgd", "optimizers.generators.lr=1.0", "train.clip=1e-3")
    session = session_of(load(*settings, "optimizers.generators.momentum=0.0"))
    module = session.networks.generators["main"]
    before = torch.cat([p.detach().flatten() for p in module.parameters()]).clone()
    session.advance(batches_of(session, 1))
    moved = torch.cat([p.detach().flatten() for p in module.parameters()]) - before
    assert 0 < float(moved.norm()) <= 1.001e-3


def test_the_average_is_what_is_scored_and_exported(load, tmp_path):
    session = session_of(load("train.ema=0.9"))
    module = session.networks.generators["main"]
    start = weights(module)
    session.advance(batches_of(session, 1))
    live = weights(module)
    expected = {
        name: 0.9 * start[name] + 0.1 * live[name] if name.endswith(("weight", "bias")) else live[name]
        for name in live
    }
    with session.exported():
        averaged = weights(module)
    assert all(
        torch.allclose(averaged[name].double(), expected[name].double(), atol=1e-6) for name in expected
    )
    assert same(live, weights(module))


def test_the_learning_rate_follows_the_schedule(load, tmp_path):
    run(load("train.log_every=1"), tmp_path / "run")
    lines = map(json.loads, (tmp_path / "run" / "metrics.jsonl").read_text().splitlines())
    rates = [r["learning_rates"]["generators.main"] for r in lines if r["kind"] == "train"]
    assert rates[:6] == [1e-3] * 6
    assert all(a > b for a, b in itertools.pairwise(rates[6:]))
    assert 0 < rates[-1] < 3e-4


def test_epochs_are_turned_into_steps(load, tmp_path):
    recipe = load("train.epochs=2", unset=("train.steps",))
    assert run(recipe, tmp_path / "run").summary["steps"] == 10


def test_bf16_runs_and_is_recorded(load, tmp_path):
    result = run(load("train.precision=bf16", "train.steps=3"), tmp_path / "run")
    recorded = json.loads((tmp_path / "run" / "provenance.json").read_text())["runtime"]
    assert (recorded["precision"], recorded["channels_last"], result.status) == ("bf16", True, "done")


def test_bf16_with_channels_last_resumes_to_the_same_bits(load, tmp_path):
    settings = ("train.precision=bf16", "generator.use=unet", "generator.depth=2", "generator.width=8")
    run(load(*settings), tmp_path / "whole")
    run(load(*settings), tmp_path / "parts", stop_at=5)
    run(load(*settings), tmp_path / "parts")
    models = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "parts")]
    assert models[0] == models[1]


def test_fp16_on_a_cpu_is_refused(load, tmp_path):
    with pytest.raises(RecipeError, match=r"fp16.* needs a GPU"):
        run(load("train.precision=fp16"), tmp_path / "run")


def test_the_best_model_is_kept_whatever_follows(load, tmp_path):
    run(
        load("train.save_best=mae:max", "train.eval_every=2", "optimizers.generators.lr=0.05"),
        tmp_path / "run",
    )
    lines = list(map(json.loads, (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()))
    best = max((r for r in lines if r["kind"] == "val"), key=lambda r: r["metrics"]["mae"])
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["metrics"] == best["metrics"]
    from i2i.runs import weights as files

    header = files.read(tmp_path / "run" / "model.safetensors").header
    assert header["provenance"]["step"] == best["step"] < 12


def test_save_best_of_an_unknown_figure_is_refused_with_those_there_are(load, tmp_path):
    with pytest.raises(RecipeError, match=r"save_best[\s\S]*no metric[\s\S]*figures: mae"):
        run(load("train.save_best=fid:min"), tmp_path / "run")


def test_as_many_checkpoints_are_kept_as_the_recipe_says(load, tmp_path):
    run(load("train.keep=2", "train.save_every=2"), tmp_path / "run")
    assert sorted(f.name for f in (tmp_path / "run" / "checkpoints").iterdir()) == ["000010", "000012"]


def test_the_first_and_the_last_step_are_always_logged(load, tmp_path):
    run(load("train.log_every=5"), tmp_path / "run")
    lines = map(json.loads, (tmp_path / "run" / "metrics.jsonl").read_text().splitlines())
    assert [r["step"] for r in lines if r["kind"] == "train"] == [1, 5, 10, 12]


def test_a_rehearsal_finds_the_shapes_and_leaves_no_trace(load, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    facts = {fact.path: fact for fact in rehearse(load()).networks}
    assert facts["generators.main"].outputs == [(3, 16, 16)]
    assert facts["discriminators.judge"].inputs == (6, 16, 16)
    assert facts["discriminators.judge"].receptive_field == 3
    assert facts["discriminators.judge"].conditional is True
    assert sorted(tmp_path.rglob("*")) == before


def test_a_size_that_the_generator_cannot_halve_is_refused_before_training(load, tmp_path):
    with pytest.raises(RecipeError, match=r"multiples of 2, and the data is 15 x 15"):
        run(load("data.size=15"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_network_starts_from_another_runs_weights(load, tmp_path):
    first = run(load("train.steps=3"), tmp_path / "first")
    model = first.folder / "model.safetensors"
    session = session_of(load(f"generator.init_from={model}"))
    from i2i.runs import weights as files

    assert same(weights(session.networks.generators["main"]), files.read(model).tensors)
    with pytest.raises(RecipeError, match=r"generator.init_from[\s\S]*does not fit toys/tiny"):
        session_of(load(f"generator.init_from={model}", "generator.width=8"))


def test_several_discriminators_and_losses_on_some_of_them(load, tmp_path):
    settings = (
        "discriminators.patch.use=toys/two-scales",
        "discriminators.patch.conditional=false",
        "losses.second.use=vanilla",
        'losses.second.on=["patch"]',
        'losses.adversarial.on=["judge"]',
    )
    run(load(*settings), tmp_path / "run")
    lines = map(json.loads, (tmp_path / "run" / "metrics.jsonl").read_text().splitlines())
    losses = next(lines)["losses"]
    assert losses.keys() == {"discriminators.judge", "discriminators.patch", "l1", "adversarial", "second"}


def test_without_discriminators_it_is_plain_regression(load, tmp_path):
    recipe = load(unset=("discriminators", "losses.adversarial", "optimizers.discriminators"))
    run(recipe, tmp_path / "run")
    lines = map(json.loads, (tmp_path / "run" / "metrics.jsonl").read_text().splitlines())
    assert next(lines)["losses"].keys() == {"l1"}


def test_a_session_goes_with_the_last_that_holds_it(load):
    """Its networks would otherwise take memory beside those of the run until somebody collects."""
    recipe = load("train.ema=0.9")
    data = open_splits(recipe, lambda text: None)
    dry_pass(recipe, data, CPU)  # the first of a process stays for a while: see release_memory
    gc.collect()
    gc.disable()
    try:
        session = dry_pass(recipe, data, CPU).session
        networks = [weakref.ref(session), *(weakref.ref(module) for _, module in session.networks.modules())]
        del session
        assert [reference() for reference in networks] == [None] * len(networks)
    finally:
        gc.enable()


def test_statistics_that_are_not_finite_are_not_saved(load):
    session = session_of(load("generator.use=unet", "generator.depth=3", "generator.width=4"))
    parts = session.networks.generators["main"].modules()
    norm = next(part for part in parts if isinstance(part, torch.nn.BatchNorm2d))
    norm.running_var.fill_(torch.inf)
    with pytest.raises(DivergedError, match=r"'.*running_var'"):
        stored.files(session)


def test_what_a_step_logs_holds_no_graph(load, monkeypatch):
    session = session_of(load())
    step = session.method.step

    def with_a_graph(batches, run):
        return step(batches, run) | {"range": session.networks.generators["main"](batches[0].source).mean()}

    monkeypatch.setattr(session.method, "step", with_a_graph)
    logs = session.advance(batches_of(session, 1))
    assert not logs["range"].requires_grad
