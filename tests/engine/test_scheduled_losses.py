"""Losses whose weight follows a schedule, and losses that ask for more than their tensors."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from i2i import load_recipe, run
from i2i.building import components
from i2i.building.objective import objective
from i2i.data.opening import open_data
from i2i.engine import stored
from i2i.engine.session import Session
from i2i.runs import checkpoint, weights
from i2i.system.device import Runtime

CPU = Runtime("cpu", "fp32", False, 1)

PLUGIN = '''
import torch

from i2i import hookimpl

i2i_api = 1


@hookimpl
def i2i_register(registry):
    registry.schedule("warm-up", ":WarmUp", "from 0 to 1 within some steps")
    registry.paired_loss("fading", ":Fading", "asks for the source and the step")
    registry.adversarial_loss("game", ":Game", "asks for the step on one side, for the batch on the other")
    registry.feature_loss("match", ":Match", "asks for the step")
    registry.penalty("slope", ":Slope", "asks for the source")
    registry.paired_loss("masked", ":Masked", "asks for what there is not")
    registry.paired_loss("optional", ":Optional", "could use what there is not")
    registry.callback("gradients", ":Gradients", "logs the size of each network's gradient")


class WarmUp:
    """From 0 to 1.

    Args:
        steps: how many steps that takes.
    """

    def __init__(self, *, steps: int = 4) -> None:
        self.steps = steps

    def __call__(self, step):
        return min(step / self.steps, 1.0)


class Fading(torch.nn.Module):
    def forward(self, fake, real, *, source, step):
        assert source.shape[0] == fake.shape[0]
        return (fake - real).abs().mean() / (1 + step) + 0 * source.mean()


class Game:
    def generator(self, fake, real, step):
        return torch.stack([(1 - m).square().mean() for m in fake]).mean() / (1 + step)

    def discriminator(self, fake, real, *, batch):
        assert len(batch.ids) == len(fake[0])
        return torch.stack([f.square().mean() + (1 - r).square().mean() for f, r in zip(fake, real)]).mean()


class Match:
    def __call__(self, fake, real, *, step=None):
        assert step is not None
        return torch.stack([(f - r).abs().mean() for a, b in zip(fake, real) for f, r in zip(a, b)]).mean()


class Slope:
    def __call__(self, judge, real, fake, source):
        assert source.shape == real.shape
        return torch.stack([m.square().mean() for m in judge(real)]).mean()


class Masked:
    def __call__(self, fake, real, *, mask):
        return ((fake - real) * mask).abs().mean()


class Optional:
    def __call__(self, fake, real, reduction="mean"):
        assert reduction == "mean"
        return (fake - real).abs().mean()


class Gradients:
    """Listens to what is minimised, and takes its gradients at the weights: public names alone."""

    def run_start(self, run):
        self.found = {}
        run.listen(lambda slot, parts: self.hear(run, slot, parts))

    def hear(self, run, slot, parts):
        if not run.logged:
            return
        for path, module in run.networks.modules():
            if path.startswith(slot):
                trained = [p for p in module.parameters() if p.requires_grad]
                total = sum(part for part in parts.values() if part.requires_grad)
                found = torch.autograd.grad(total, trained, retain_graph=True, allow_unused=True)
                size = sum(g.square().sum() for g in found if g is not None).sqrt()
                self.found[f"gradient.{path}"] = size

    def step_end(self, run, logs):
        if run.logged:
            run.record("gradients", {name: float(value) for name, value in self.found.items()})
'''

WARM = 'schedules."losses.adversarial".use=pace/warm-up'


@pytest.fixture
def pace(distribution, gan):
    """Return a function that loads the toy recipe with settings, beside a plug-in of schedules and losses."""
    distribution("i2i-pace", "1.0", "pace", {"i2i_pace.py": PLUGIN})
    return lambda *settings: load_recipe(gan, set=settings)


def session_of(recipe) -> Session:
    data = {split: open_data(recipe, split) for split in ("train", "val")}
    return Session(recipe, data=data, runtime=CPU, provenance={})


def networks_of(session: Session) -> list[torch.Tensor]:
    return [value for _, module in session.networks.modules() for value in module.state_dict().values()]


@pytest.mark.parametrize("accumulate", [1, 2])
def test_the_factor_of_a_step_is_on_the_weight_of_all_its_batches(pace, accumulate):
    scheduled = session_of(pace(WARM, f"train.accumulate={accumulate}"))
    by_hand = session_of(pace(f"train.accumulate={accumulate}"))
    terms = by_hand.losses.terms
    for step in range(6):
        factor = min(step / 4, 1.0)
        weighed = [replace(t, weight=factor) if t.name == "adversarial" else t for t in terms]
        by_hand.method.losses = replace(by_hand.losses, terms=tuple(weighed))
        logs = []
        for session in (scheduled, by_hand):
            batches = session.batches(last=(step + 1) * accumulate)
            logs.append(session.advance([next(batches) for _ in range(accumulate)]))
        assert scheduled.losses["adversarial"].factor == factor
        assert all(map(torch.equal, networks_of(scheduled), networks_of(by_hand))), step
        # What is logged stays without weight.
        assert all(torch.equal(value, logs[1][name]) for name, value in logs[0].items())
        assert logs[0]["adversarial"] > 0.01


def test_a_run_with_a_scheduled_loss_goes_on_to_the_same_bits(pace, tmp_path):
    watching = (
        'schedules."losses.l1".use=plateau',
        'schedules."losses.l1".metric=mae',
        'schedules."losses.l1".direction=max',
        'schedules."losses.l1".patience=1',
        "train.eval_every=3",
    )
    run(pace(WARM, *watching), tmp_path / "whole")
    for stop in (2, 7, None):
        run(pace(WARM, *watching), tmp_path / "parts", stop_at=stop)
    one, other = (checkpoint.newest(tmp_path / name / "checkpoints").folder for name in ("whole", "parts"))
    for name in ("generator", "discriminators.judge"):
        first, second = (weights.read(at / f"{name}.safetensors").tensors for at in (one, other))
        assert all(torch.equal(first[key], second[key]) for key in first), name
    (plateau,) = [
        part for name, part in json.loads(json.dumps(_parts(one))).items() if name == "schedules.losses.l1"
    ]
    assert plateau["cuts"] > 0  # a validation has been told to the loss's schedule


def test_a_resumed_run_looks_back_at_the_weights_of_its_last_step(pace):
    first, second = (session_of(pace(WARM)) for _ in range(2))
    batches = first.batches(last=3)
    for _ in range(3):
        first.advance([next(batches)])
    files = stored.files(first)
    stored.load(second, Path("000003"), read=lambda path: files[path.name].read(path))
    assert second.losses["adversarial"].factor == first.losses["adversarial"].factor == 0.5


def _parts(folder):
    from i2i.runs import state

    file = weights.read(folder / "trainer.safetensors")
    parts = state.unpack(file.tensors, file.header["trainer"])["parts"]
    return {name: part for name, part in parts.items() if name.startswith("schedules.")}


def test_the_objective_names_the_schedule_of_a_weight(pace):
    assert objective(pace(WARM)) == (
        "G minimises 1 adversarial(judge) x pace/warm-up + 10 l1; judge minimises lsgan, halved"
    )


def test_a_general_schedule_is_of_networks_alone(pace):
    recipe = pace()
    assert recipe.slot_for("schedules", "generators.main").name == "all"
    assert recipe.slot_for("schedules", "losses.l1") is None
    assert session_of(recipe).losses["l1"].factor == 1.0


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            ['schedules."losses.adversarail".use=constant'],
            "the recipe has no loss 'adversarail' - did you mean 'adversarial'?",
        ),
        (
            ['schedules."losses.x".use=constant'],
            "the recipe has no loss 'x'; there are adversarial, l1",
        ),
        (["losses.masked.use=pace/masked"], "asks for 'mask', and losses are given source, batch, step"),
    ],
)
def test_what_is_not_there_is_refused_when_the_recipe_is_checked(pace, gan, i2i, settings, sentence):
    ended = i2i("recipe", "check", str(gan), "--build", *(o for s in settings for o in ("--set", s)))
    assert ended.code == 2
    assert sentence in ended.err


def test_a_table_without_quotes_is_told_how_to_be_written(pace, gan, i2i):
    gan.write_text(
        gan.read_text().replace("[schedule]", "[schedules.all]")
        + '\n[schedules.losses.l1]\nuse = "constant"\n'
    )
    ended = i2i("recipe", "check", str(gan))
    assert ended.code == 2
    assert '[schedules."losses.l1"]' in ended.err


@pytest.mark.parametrize("more", [(), ("train.accumulate=2",), ("method.update=simultaneous",)])
def test_losses_of_each_kind_are_given_what_they_ask_for(pace, more):
    recipe = pace(
        "losses.l1.use=pace/fading",
        "losses.adversarial.use=pace/game",
        "losses.match.use=pace/match",
        "losses.slope.use=pace/slope",
        "losses.optional.use=pace/optional",
        *more,
    )
    session = session_of(recipe)
    batches = session.batches(last=2 * session.accumulate)
    for _ in range(2):
        logs = session.advance([next(batches) for _ in range(session.accumulate)])
    assert {"l1", "adversarial", "match", "optional", "slope.judge"} <= logs.keys()
    assert all(value.isfinite() for value in logs.values())


def test_a_loss_that_asks_for_nothing_can_be_called_by_itself(pace):
    session = session_of(pace())
    image = torch.zeros(1, 3, 8, 8)
    assert session.losses["l1"].loss(image, image + 1) == 1.0


def test_a_loss_is_built_for_what_it_asks(pace):
    recipe = pace("losses.l1.use=pace/optional")
    session = session_of(recipe)
    assert components.build_losses(recipe, "cpu", session.spec)["l1"].factor == 1.0


def test_a_callback_logs_gradients_by_what_is_public(pace, tmp_path):
    run(pace("callbacks.gradients.use=pace/gradients"), tmp_path / "run")
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    found = [record for record in map(json.loads, lines) if record["kind"] == "gradients"]
    assert [record["step"] for record in found] == [1, 2, 4, 6, 8, 10, 12]
    for record in found:
        assert record["values"].keys() == {"gradient.generators.main", "gradient.discriminators.judge"}
        assert all(value > 0 for value in record["values"].values())
