"""pix2pix's method: what its discriminators are shown, what it must not lose, and two learning rates."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from i2i import run
from i2i.data.opening import open_data
from i2i.data.stream import training_batches
from i2i.engine.session import Session
from i2i.errors import RecipeError
from i2i.runs import checkpoint
from i2i.seeds import seed_for
from i2i.system.device import Runtime

CPU = Runtime("cpu", "fp32", False, 1)


def judging(*policy: str) -> tuple[str, ...]:
    """Settings that change what discriminators see."""
    steps = ", ".join(f'"{step}"' for step in policy)
    return (
        "transforms.seen.use=diff-augment",
        "transforms.seen.at=judging",
        f"transforms.seen.policy=[{steps}]",
    )


def session_of(recipe) -> Session:
    data = {split: open_data(recipe, split) for split in ("train", "val")}
    return Session(recipe, data=data, runtime=CPU, provenance={})


def advance(session: Session, steps: int) -> None:
    recipe = session.recipe
    for batch in training_batches(
        session.data["train"], {}, recipe.data.settings, seed=recipe.seed, first=0, last=steps
    ):
        session.advance([batch])


def shown_to_the_judge(session: Session, steps: int) -> list[Tensor]:
    """All that the discriminator sees: in each step a fake, a real image, and the fake of G's turn."""
    seen: list[Tensor] = []
    judge = session.networks.judges["judge"].module
    judge.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].detach().clone()))
    advance(session, steps)
    assert len(seen) == 3 * steps
    return seen


def bits_of(folder: Path) -> dict[str, bytes]:
    last = checkpoint.newest(folder / "checkpoints")
    return {path.name: path.read_bytes() for path in last.folder.glob("*.safetensors")}


@pytest.mark.parametrize(
    "settings",
    [
        ("method.pool=3",),
        ("method.pool=3", "train.accumulate=2", 'train.precision="bf16"'),
        ("method.update=simultaneous", "train.accumulate=2", 'train.precision="bf16"'),
        (*judging("translation", "colour", "cutout"), "method.pool=5"),
        (
            "discriminators.judge.use=patch",
            "discriminators.judge.receptive_field=16",
            "discriminators.judge.width=4",
            "discriminators.judge.spectral=true",
        ),
    ],
)
def test_a_stopped_run_goes_on_to_the_same_bits(load, tmp_path, settings):
    run(load(*settings), tmp_path / "whole")
    run(load(*settings), tmp_path / "parts", stop_at=5)
    run(load(*settings), tmp_path / "parts")
    assert bits_of(tmp_path / "parts") == bits_of(tmp_path / "whole")


def test_the_pool_shows_earlier_fakes_beside_their_sources_and_the_generator_its_own(load):
    session = session_of(load("method.pool=2"))
    seen = shown_to_the_judge(session, 8)
    fakes, reals, own = seen[0::3], seen[1::3], seen[2::3]
    fresh = [
        [torch.equal(fake[i, :3], real[i, :3]) for i in range(len(fake))]
        for fake, real in zip(fakes, reals, strict=True)
    ]
    assert all(fresh[0])  # an empty pool has nothing else to show
    assert 0 < sum(map(sum, fresh[1:])) < sum(map(len, fresh[1:]))
    # Whatever is shown is a fake that was made before, with the source that it was made from. G's own turn
    # sees it after D's update, but the fake itself is the same.
    made = [pair for batch in own for pair in batch]
    for step, batch in enumerate(fakes):
        past = made[: 2 * (step + 1)]
        assert all(any(torch.equal(pair, other) for other in past) for pair in batch)
    assert all(torch.equal(one[:, :3], other[:, :3]) for one, other in zip(own, reals, strict=True))


def test_a_pool_changes_neither_the_generators_dropout_nor_its_first_step(load):
    plain, pooled = session_of(load()), session_of(load("method.pool=4"))
    for session in (plain, pooled):
        advance(session, 1)
    assert all(
        torch.equal(one, other)
        for one, other in zip(
            plain.networks.generators["main"].parameters(),
            pooled.networks.generators["main"].parameters(),
            strict=True,
        )
    )


def test_real_fake_and_condition_are_cut_alike_and_each_turn_has_its_own_draw(load):
    session = session_of(load(*judging("cutout")))
    seen = shown_to_the_judge(session, 2)
    hidden = [(image == 0).all(dim=1) for image in seen]  # condition and image together
    for fake, real, own in zip(hidden[0::3], hidden[1::3], hidden[2::3], strict=True):
        assert fake.any(dim=(1, 2)).all()
        assert torch.equal(fake, real)
        assert not torch.equal(fake, own)
    assert not torch.equal(hidden[0], hidden[3])


def test_colour_is_changed_beside_an_unchanged_condition(load):
    plain = shown_to_the_judge(session_of(load()), 1)
    coloured = shown_to_the_judge(session_of(load(*judging("colour"))), 1)
    for one, other in zip(plain[:2], coloured[:2], strict=True):
        assert torch.equal(one[:, :3], other[:, :3])
        assert not torch.equal(one[:, 3:], other[:, 3:])


AT_ONCE = "method.update=simultaneous"
BY_GRADIENTS = tuple(f"optimizers.{group}.use=sgd" for group in ("generators", "discriminators"))


@pytest.mark.parametrize("parts", [1, 2])
def test_at_once_both_step_by_their_gradients_at_the_weights_of_before(load, parts):
    session = session_of(load(AT_ONCE, *BY_GRADIENTS, f"train.accumulate={parts}"))
    settings = session.recipe.data.settings
    batches = list(training_batches(session.data["train"], {}, settings, seed=3, first=0, last=parts))
    generator, judge = session.networks.generators["main"], session.networks.judges["judge"].module
    of_generator, of_judge = list(generator.parameters()), list(judge.parameters())
    game = torch.nn.functional.mse_loss
    expected = [torch.zeros_like(p) for p in (*of_generator, *of_judge)]
    torch.manual_seed(seed_for(session.recipe.seed, "step", 0))  # the same dropout
    for batch in batches:
        fake = generator(batch.source)
        on_fake = judge(torch.cat((batch.source, fake), dim=1)).logits[0]
        on_real = judge(torch.cat((batch.source, batch.target), dim=1)).logits[0]
        telling = (game(on_real, torch.ones_like(on_real)) + game(on_fake, torch.zeros_like(on_fake))) / 2
        passing = game(on_fake, torch.ones_like(on_fake)) + 10 * (fake - batch.target).abs().mean()
        gradients = (
            *torch.autograd.grad(passing, of_generator, retain_graph=True),
            *torch.autograd.grad(telling, of_judge),
        )
        expected = [total + found / parts for total, found in zip(expected, gradients, strict=True)]
    rates = [session.optimizers[path].param_groups[0]["lr"] for path in session.optimizers]
    assert rates[0] == rates[1]
    expected = [
        p.detach() - rates[0] * step for p, step in zip((*of_generator, *of_judge), expected, strict=True)
    ]
    session.advance(batches)
    for found, wanted in zip((*of_generator, *of_judge), expected, strict=True):
        torch.testing.assert_close(found.detach(), wanted, rtol=1e-5, atol=1e-7)


def test_at_once_a_discriminator_looks_twice_and_with_no_other_draw(load):
    session = session_of(load(AT_ONCE, *judging("cutout"), "losses.features.use=toys/features"))
    seen: list[Tensor] = []
    judge = session.networks.judges["judge"].module
    judge.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].detach().clone()))
    advance(session, 2)
    assert len(seen) == 2 * 2
    hidden = [(image == 0).all(dim=1) for image in seen]
    assert torch.equal(hidden[0], hidden[1])
    assert not torch.equal(hidden[0], hidden[2])


def test_at_once_a_penalty_is_added_and_no_gradient_of_the_one_reaches_the_other(load):
    plain, heavy, steep = (
        session_of(load(AT_ONCE, *BY_GRADIENTS, *settings))
        for settings in ((), ("losses.l1.weight=50",), ("losses.slope.use=r1",))
    )
    for session in (plain, heavy, steep):
        advance(session, 1)
    weights = [
        {path: list(m.parameters()) for path, m in s.networks.modules()} for s in (plain, heavy, steep)
    ]

    def equal(one: int, other: int, path: str) -> bool:
        return all(map(torch.equal, weights[one][path], weights[other][path]))

    assert not equal(0, 1, "generators.main")
    assert equal(0, 1, "discriminators.judge")
    assert equal(0, 2, "generators.main")
    assert not equal(0, 2, "discriminators.judge")


def test_at_once_and_a_pool_are_refused_together(load, tmp_path):
    with pytest.raises(RecipeError, match="a pool shows the discriminators other fakes"):
        run(load(AT_ONCE, "method.pool=3"), tmp_path / "run")


def test_losses_between_images_see_them_unaugmented(load):
    def first_l1(*settings: str) -> Tensor:
        session = session_of(load("losses.l1.weight=10.0", *settings))
        (batch,) = training_batches(
            session.data["train"], {}, session.recipe.data.settings, seed=3, first=0, last=1
        )
        return session.advance([batch])["l1"]

    assert torch.equal(first_l1(), first_l1(*judging("colour", "cutout")))


def test_augmentation_goes_with_feature_losses_and_penalties(load, tmp_path):
    result = run(
        load(
            *judging("colour", "translation", "cutout"),
            "method.pool=4",
            "losses.features.use=toys/features",
            "losses.slope.use=toys/slope",
        ),
        tmp_path / "run",
    )
    assert result.status == "done"
    lines = map(json.loads, (tmp_path / "run" / "metrics.jsonl").read_text().splitlines())
    last = [record for record in lines if record["kind"] == "train"][-1]["losses"]
    assert last["features"] > 0
    assert last["slope.judge"] > 0


def test_an_augmentation_that_there_is_not_is_refused(load):
    with pytest.raises(RecipeError, match=r"'policy' cannot be \[\"blur\"\]"):
        load(*judging("blur"))


def test_each_side_can_have_a_learning_rate_of_its_own(load):
    recipe = load("optimizers.discriminators.lr=4e-3", "optimizers.generators.lr=1e-3")
    session = session_of(recipe)
    before = {path: [p.clone() for p in module.parameters()] for path, module in session.networks.modules()}
    advance(session, 1)
    assert session.learning_rates() == {"generators.main": 1e-3, "discriminators.judge": 4e-3}
    for path, module in session.networks.modules():
        moves = [
            (after - start).abs().max()
            for after, start in zip(module.parameters(), before[path], strict=True)
        ]
        # Adam's first step is as long as its learning rate, whatever the gradient.
        assert max(moves).item() == pytest.approx(session.learning_rates()[path], rel=1e-2)
