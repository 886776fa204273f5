"""What is told of a GAN's game: provoked by real trainings, silent in a sound one, and no trace in any."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from i2i import load_recipe, run
from i2i.core.callbacks import diagnoses
from i2i.core.callbacks.diagnoses import Look, Validation, Window
from i2i.core.callbacks.health import Health
from i2i.core.losses.adversarial import LSGAN
from i2i.core.losses.paired import L1
from i2i.networks import Losses, LossTerm
from i2i.plugins.catalog import Catalog
from i2i.testing import run_tiny
from i2i.testing.tiny_session import attend, tiny_session

PATIENCE = 60
WATCHED = ("callbacks.health.use=health", f"callbacks.health.patience={PATIENCE}", "train.log_every=3")


def records(folder: Path, kind: str) -> list[dict[str, Any]]:
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [record for record in map(json.loads, lines) if record["kind"] == kind]


def told(folder: Path, *settings: str, steps: int = 2 * PATIENCE) -> list[str]:
    """Return what a real tiny training with the callback tells the person."""
    run_tiny(*WATCHED, *settings, steps=steps, out=folder)
    return [record["text"] for record in records(folder, "note")]


# --- real trainings -------------------------------------------------------------------------------


def test_a_sound_training_is_told_nothing(tmp_path):
    assert told(tmp_path / "run", "train.eval_every=40", steps=150) == []


def test_a_discriminator_that_wins_is_told_once_with_what_to_try(tmp_path):
    settings = ("optimizers.generators.lr=1e-5", "optimizers.discriminators.lr=4e-3")
    (text,) = told(tmp_path / "run", *settings, steps=4 * PATIENCE)
    assert text.startswith("discriminators.patch is too strong: since step ")
    assert "losses.adversarial" in text
    assert "Lower optimizers.discriminators.lr" in text


def test_an_adversarial_loss_that_l1_drowns_is_told(tmp_path):
    (text,) = told(tmp_path / "run", "losses.l1.weight=10000")
    assert text.startswith("losses.adversarial is drowned: since step ")
    assert "Raise losses.adversarial.weight" in text


def test_a_discriminator_that_learns_nothing_is_told(tmp_path):
    (text,) = told(tmp_path / "run", "optimizers.discriminators.lr=1e-9")
    assert text.startswith("discriminators.patch learns nothing: since step ")
    assert "Raise optimizers.discriminators.lr" in text


def test_a_generator_that_answers_all_sources_alike_is_told(tmp_path):
    settings = ("optimizers.generators.lr=1", "optimizers.discriminators.lr=1e-5", "train.eval_every=20")
    texts = told(tmp_path / "run", *settings, steps=PATIENCE + 20)
    alike = "The generator answers all held-out sources nearly alike since step 20"
    assert sum(text.startswith(alike) for text in texts) == 1


# --- no trace in the training ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings",
    [
        (),
        ("train.accumulate=2", "train.clip=1.0", "train.ema=0.9"),
        ("losses.r1.use=r1", "losses.match.use=feature-matching"),
        ("train.precision=bf16",),
    ],
)
def test_the_weights_come_out_the_same_with_and_without_it(tmp_path, settings):
    alone, watched = (run_tiny(*more, *settings, steps=6) for more in ((), WATCHED[:1]))
    assert alone.losses == watched.losses
    for name, tensor in alone.weights.items():
        assert torch.equal(tensor, watched.weights[name]), name


def test_each_logged_step_has_a_record_and_no_other(tmp_path):
    run_tiny(
        *WATCHED, "losses.match.use=feature-matching", "train.eval_every=8", steps=8, out=tmp_path / "run"
    )
    found = records(tmp_path / "run", "health")
    assert [record["step"] for record in found] == [1, 3, 6, 8, 8]
    assert found[1]["values"].keys() == {
        "accuracy.fake.patch",
        "accuracy.real.patch",
        "gradient.generators.main",
        "gradient.discriminators.patch",
        "output.adversarial",
        "output.l1",
        "output.match",
    }
    assert found[-1]["values"].keys() == {"variation.outputs", "variation.targets"}


def test_the_size_at_the_output_is_that_of_the_weighted_loss(tmp_path):
    run_tiny(*WATCHED, steps=1, out=tmp_path / "run")
    (first, _) = records(tmp_path / "run", "health")
    # The slope of L1's mean over n values is 1/n for each of them; its weight is 10, and n 2 x 3 x 16 x 16.
    assert first["values"]["output.l1"] == pytest.approx(10 / (2 * 3 * 16 * 16) ** 0.5, rel=1e-4)


def test_a_method_of_two_generators_is_watched_as_far_as_it_logs_by_its_losses_names(two_way, tmp_path):
    recipe = load_recipe(two_way, set=("callbacks.health.use=health",))
    run(recipe, tmp_path / "run")
    first, *_ = records(tmp_path / "run", "health")
    assert first["values"].keys() == {
        "output.cycle",
        *(f"gradient.generators.{name}" for name in ("there", "back")),
        *(f"gradient.discriminators.{name}" for name in ("source", "target")),
    }


def test_a_run_without_discriminators_has_a_record_too(load, tmp_path):
    unset = ("discriminators.judge", "optimizers.discriminators", "losses.adversarial")
    run(load("callbacks.health.use=health", unset=unset), tmp_path / "run")
    first, *_ = records(tmp_path / "run", "health")
    assert first["values"].keys() == {"output.l1", "gradient.generators.main"}


@pytest.mark.parametrize("stop", [5, 6, 9])
def test_a_resumed_run_has_the_same_records_and_says_nothing_twice(load, tmp_path, stop):
    settings = (
        *("callbacks.health.use=health", "callbacks.health.patience=10", "losses.l1.weight=1e6"),
        *("train.log_every=1", "train.steps=20"),
    )
    run(load(*settings), tmp_path / "whole")
    run(load(*settings), tmp_path / "parts", stop_at=stop)
    run(load(*settings), tmp_path / "parts")
    clock = {"seconds": 0}
    for kind in ("health", "note"):
        whole, parts = ([r | clock for r in records(tmp_path / name, kind)] for name in ("whole", "parts"))
        assert whole == parts
    said = [note["text"].partition(":")[0] for note in whole]
    assert "losses.adversarial is drowned" in said
    assert len(said) == len(set(said))


def test_what_it_told_stands_in_the_report(load, tmp_path):
    settings = ("callbacks.health.use=health", "callbacks.health.patience=10", "losses.l1.weight=1e6")
    run(load(*settings, "train.log_every=1", "train.steps=11"), tmp_path / "run")
    page = (tmp_path / "run" / "report.html").read_text()
    said = [note["text"].partition(":")[0] for note in records(tmp_path / "run", "note")]
    assert "losses.adversarial is drowned" in said
    assert all(text in page for text in said)
    assert ">accuracy.real.judge<" in page


def test_hooks_are_gone_when_a_run_has_ended():
    session, health = tiny_session(Catalog.installed()), Health()
    attend(health, session)
    generator = session.networks.generators["main"]
    assert not generator._forward_hooks
    assert not any(optimizer._optimizer_step_pre_hooks for optimizer in session.optimizers.values())
    assert not any(parameter.grad is not None for parameter in generator.parameters())


@pytest.mark.filterwarnings("ignore")  # of torch, about its own compiler
def test_compiled_networks_are_watched_without_a_second_backward_pass():
    session, health = tiny_session(Catalog.installed()), Health()
    for _, module in session.networks.modules():
        module.compile(backend="eager")
    attend(health, session, steps=1)
    (look,) = health.state_dict()["looks"]
    assert {name.partition(".")[0] for name in look["values"]} == {"accuracy", "gradient"}


# --- single diagnoses -----------------------------------------------------------------------------

LOSSES = Losses(
    (
        LossTerm("adversarial", "adversarial-loss", LSGAN(), 1.0, frozenset({"patch"})),
        LossTerm("l1", "paired-loss", L1(), 100.0),
    )
)


def look(
    step: int,
    *,
    fake: float = 0.8,
    real: float = 0.8,
    own: float = 0.1,
    loss: float = 0.5,
    judge: float = 0.25,
) -> Look:
    values = {"accuracy.fake.patch": fake, "accuracy.real.patch": real}
    losses = {"adversarial": loss, "l1": 0.1, "discriminators.patch": judge}
    return Look(step, values | {"output.adversarial": own, "output.l1": 0.5}, losses)


def window(*halves: Mapping[str, float]) -> Window:
    looks = [look(10 * n, **halves[n > 10]) for n in range(21)]
    found = diagnoses.window_of(looks, LOSSES, 200)
    assert found is not None
    return found


SURE = {"fake": 0.99, "real": 0.98}


@pytest.mark.parametrize(
    ("older", "newer", "found"),
    [
        (SURE | {"loss": 0.5}, SURE | {"loss": 0.6}, True),
        (SURE | {"own": 0.10}, SURE | {"own": 0.07}, True),
        (SURE, SURE, False),  # it is always right, and the generator holds its own
        (SURE | {"loss": 0.5}, {"fake": 0.99, "real": 0.9, "loss": 0.6}, False),
        ({"fake": 0.9, "real": 0.98, "loss": 0.5}, SURE | {"loss": 0.6}, False),
        (SURE | {"loss": -0.5}, SURE | {"loss": -0.3}, True),  # of hinge, below 0
    ],
)
def test_too_strong_is_always_right_while_the_generator_falls_behind(older, newer, found):
    assert bool(diagnoses.too_strong(window(older, newer))) == found


@pytest.mark.parametrize(
    ("older", "newer", "found"),
    [
        ({"fake": 0.5, "real": 0.5}, {"fake": 1.0, "real": 0.0}, True),
        ({"fake": 0.5, "real": 0.5}, {"fake": 0.6, "real": 0.6}, False),
        ({"fake": 0.6, "real": 0.6}, {"fake": 0.5, "real": 0.5}, False),
        ({"fake": 0.5, "real": 0.5, "judge": 0.5}, {"fake": 0.5, "real": 0.5, "judge": 0.4}, False),
    ],
)
def test_blind_is_as_good_as_guessing_all_the_time_and_learning_nothing(older, newer, found):
    assert bool(diagnoses.blind(window(older, newer))) == found


def test_a_discriminator_that_has_nothing_left_to_tell_apart_is_not_blind():
    equal = [
        Look(n, {"accuracy.fake.patch": 0.5, "accuracy.real.patch": 0.5}, {"l1": 0.001}) for n in range(21)
    ]
    found = diagnoses.window_of(equal, LOSSES, 20)
    assert found is not None
    assert diagnoses.blind(found) is None


@pytest.mark.parametrize(("older", "newer", "found"), [(0.004, 0.004, True), (0.004, 0.006, False)])
def test_drowned_is_below_a_hundredth_of_the_others_all_the_time(older, newer, found):
    assert bool(diagnoses.drowned(window({"own": older}, {"own": newer}))) == found


def test_what_a_schedule_holds_back_is_not_drowned():
    looks = [look(10 * number, own=0.004) for number in range(21)]
    terms = tuple(replace(term, factors={"adversarial": 0.1}) for term in LOSSES.terms)
    assert diagnoses.diagnose(looks, [], LOSSES, {}, 200).keys() == {"drowned"}
    assert diagnoses.diagnose(looks, [], Losses(terms), {}, 200) == {}


def test_nothing_is_told_before_patience_is_over():
    looks = [look(step, fake=0.5, real=0.5, own=0.0) for step in range(10, 210, 10)]
    assert diagnoses.diagnose(looks, [], LOSSES, {}, 200) == {}
    later = [*looks, look(210, fake=0.5, real=0.5, own=0.0)]
    assert diagnoses.diagnose(later, [], LOSSES, {}, 200).keys() == {"blind", "drowned"}


def test_of_looks_those_of_the_last_steps_are_kept_and_the_one_before():
    looks = [look(step) for step in range(0, 500, 10)]
    assert [kept.step for kept in diagnoses.recent(looks, 200)] == list(range(290, 500, 10))
    assert [kept.step for kept in diagnoses.recent(looks, 195)] == list(range(290, 500, 10))
    assert [kept.step for kept in diagnoses.recent(looks[:1], 200)] == [0]


def test_where_little_is_logged_more_steps_are_looked_at():
    looks = [look(step, own=0.0) for step in range(0, 900, 100)]
    assert diagnoses.diagnose(looks, [], LOSSES, {}, 200) == {}
    assert diagnoses.recent(looks, 200) == looks
    looks.append(look(900, own=0.0))
    assert diagnoses.diagnose(diagnoses.recent(looks, 200), [], LOSSES, {}, 200).keys() == {"drowned"}


def validations(figures: Sequence[float], trained: Sequence[float], outputs: float = 0.2) -> list[Validation]:
    pairs = zip(figures, trained, strict=True)
    return [Validation(100 * n, outputs, 0.2, {"mae": mae}, loss) for n, (mae, loss) in enumerate(pairs, 1)]


FALLING = (9.0, 7.0, 6.0, 5.0, 4.0)


@pytest.mark.parametrize(
    ("mae", "trained", "found"),
    [
        ((0.20, 0.10, 0.11, 0.12, 0.13), FALLING, True),
        ((0.20, 0.10, 0.101, 0.12, 0.13), FALLING, False),  # hardly worse in between
        ((0.20, 0.15, 0.10, 0.11, 0.12), FALLING, False),  # not for long
        ((0.20, 0.10, 0.11, 0.12, 0.13), (9.0, 7.0, 7.0, 7.0, 6.9), False),  # training stands still too
        ((0.20, 0.18, 0.16, 0.14, 0.12), FALLING, False),
    ],
)
def test_overfitting_is_held_out_figures_that_turn_while_training_goes_on(mae, trained, found):
    text = diagnoses.overfitting(validations(mae, trained), {"mae": "min"})
    assert bool(text) == found
    if text:
        assert "since step 200" in text
        assert 'train.save_best = "mae:min"' in text


def test_figures_that_do_not_all_turn_are_no_overfitting():
    seen = validations((0.20, 0.10, 0.11, 0.12, 0.13), FALLING)
    both = [Validation(**(vars(v) | {"figures": {**v.figures, "psnr": v.step}})) for v in seen]
    assert diagnoses.overfitting(both, {"mae": "min", "psnr": "max"}) is None
    assert diagnoses.overfitting(seen, {}) is None


def test_collapse_is_told_of_validations_in_a_row_for_as_long_as_patience_lasts():
    flat, varied = (validations((0.2,) * 3, (1.0,) * 3, outputs=outputs) for outputs in (0.001, 0.1))
    assert "since step 100" in str(diagnoses.collapsed(flat, 200))
    assert diagnoses.collapsed(flat, 201) is None
    assert diagnoses.collapsed(flat[:1], 1) is None
    assert diagnoses.collapsed([flat[0], varied[1], flat[2]], 100) is None
    assert "since step 200" in str(diagnoses.collapsed([varied[0], *flat[1:]], 100))
