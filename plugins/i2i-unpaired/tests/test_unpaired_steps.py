"""One step of each method, against values that are worked out by other means in float64."""

from __future__ import annotations

import math
from contextlib import contextmanager, nullcontext
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from i2i_unpaired.cut import CUT
from i2i_unpaired.cyclegan import CycleGAN
from i2i_unpaired.image_pool import ImagePool
from i2i_unpaired.patch_heads import PatchHeads
from i2i_unpaired.patch_nce import patch_nce
from torch import Tensor, nn

from i2i.augmentation import Augmentation
from i2i.kinds import Batch, ImageSpec, PairSpec
from i2i.networks import Judge, Losses, LossTerm, Networks

RATE = 0.01


class DescentRun:
    """As much of a run as a method asks for, whose optimizer is plain gradient descent."""

    def __init__(self, seed: int = 0, **modules: list[nn.Module]) -> None:
        self.modules, self.seed, self.step, self.logged = modules, seed, 0, False
        self.updates: list[str] = []

    def autocast(self) -> Any:
        return nullcontext()

    @contextmanager
    def frozen(self, *modules: nn.Module) -> Any:
        for module in modules:
            module.requires_grad_(False)
        yield
        for module in modules:
            module.requires_grad_(True)

    def update(self, slot: str, objectives: Any, *, parts: int = 1) -> dict[str, Tensor]:
        return self.update_together((slot,), ({slot: each} for each in objectives), parts=parts)

    def update_together(self, slots: Any, objectives: Any, *, parts: int = 1) -> dict[str, Tensor]:
        self.updates += slots
        logs: dict[str, Tensor] = {}
        weights = {slot: [p for m in self.modules[slot] for p in m.parameters()] for slot in slots}
        sums = {slot: [torch.zeros_like(p) for p in weights[slot]] for slot in slots}
        for found in objectives:
            for slot in slots:
                total, named = found[slot]
                gradients = torch.autograd.grad(
                    total, weights[slot], retain_graph=True, allow_unused=True, materialize_grads=True
                )
                sums[slot] = [s + g / parts for s, g in zip(sums[slot], gradients)]
                logs |= {name: value.detach() for name, value in named.items()}
        with torch.no_grad():
            for slot in slots:
                for weight, gradient in zip(weights[slot], sums[slot]):
                    weight -= RATE * gradient
        return logs


class LeastSquares:
    def generator(self, fake: Any, real: Any) -> Tensor:
        return torch.stack([(m - 1).square().mean() for m in fake]).mean()

    def discriminator(self, fake: Any, real: Any) -> Tensor:
        each = [(r - 1).square().mean() + f.square().mean() for f, r in zip(fake, real)]
        return torch.stack(each).mean() / 2


class Times(nn.Module):
    """An image times a number."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(factor, dtype=torch.float64))

    def forward(self, image: Tensor) -> Tensor:
        return self.factor * image


def l1(fake: Tensor, real: Tensor) -> Tensor:
    return (fake - real).abs().mean()


def spec(source: int = 1, target: int = 1) -> PairSpec:
    return PairSpec(ImageSpec(source, 4, 4), ImageSpec(target, 4, 4), aligned=False)


def terms(*judges: str, cycle: bool = True, identity: bool = True) -> Losses:
    adversarial = LossTerm("adversarial", "adversarial-loss", LeastSquares(), 2.0, frozenset(judges))
    paired = {"cycle": 10.0} if cycle else {}
    paired |= {"identity": 5.0} if identity else {}
    return Losses((adversarial, *(LossTerm(n, "paired-loss", l1, w) for n, w in paired.items())))


def grey(value: float) -> Tensor:
    return torch.full((2, 1, 4, 4), value, dtype=torch.float64)


# --- CycleGAN


def cyclegan(identity: bool = True, pool: int = 50) -> tuple[CycleGAN, DescentRun, dict[str, Times]]:
    nets = {"forward": Times(0.8), "backward": Times(1.5), "target": Times(0.7), "source": Times(-0.4)}
    networks = Networks(
        {name: nets[name] for name in ("forward", "backward")},
        {name: Judge(name, nets[name], False) for name in ("target", "source")},
        {},
    )
    losses = terms("target", "source", identity=identity)
    method = CycleGAN(networks, losses, Augmentation({}, spec()), spec(), pool=pool)
    run = DescentRun(
        generators=[nets["forward"], nets["backward"]], discriminators=[nets["target"], nets["source"]]
    )
    return method, run, nets


@pytest.mark.parametrize("identity", [True, False])
def test_a_step_of_cyclegan_is_what_its_equations_give(identity: bool) -> None:
    method, run, nets = cyclegan(identity)
    x, y = 0.5, -0.25
    w, v, p, q = 0.8, 1.5, 0.7, -0.4  # forward, backward, and what judges targets and sources
    logs = method.step([Batch(grey(x), grey(y), ("a", "b"))], run)

    there, back = v * w * x - x, w * v * y - y
    assert logs["cycle"].item() == pytest.approx(abs(there) + abs(back), rel=1e-12)
    fooled = (p * w * x - 1) ** 2 + (q * v * y - 1) ** 2
    assert logs["adversarial"].item() == pytest.approx(fooled, rel=1e-12)
    sign = np.sign
    of_w = 10 * (sign(there) * v * x + sign(back) * v * y) + 2 * 2 * (p * w * x - 1) * p * x
    of_v = 10 * (sign(there) * w * x + sign(back) * w * y) + 2 * 2 * (q * v * y - 1) * q * y
    if identity:
        assert logs["identity"].item() == pytest.approx(abs(w * y - y) + abs(v * x - x), rel=1e-12)
        of_w += 5 * sign(w * y - y) * y
        of_v += 5 * sign(v * x - x) * x
    assert nets["forward"].factor.item() == pytest.approx(w - RATE * of_w, rel=1e-12)
    assert nets["backward"].factor.item() == pytest.approx(v - RATE * of_v, rel=1e-12)

    # The discriminators see the fakes of the generators before their step.
    assert logs["discriminators.target"].item() == pytest.approx(((p * y - 1) ** 2 + (p * w * x) ** 2) / 2)
    assert logs["discriminators.source"].item() == pytest.approx(((q * x - 1) ** 2 + (q * v * y) ** 2) / 2)
    of_p, of_q = (p * y - 1) * y + p * (w * x) ** 2, (q * x - 1) * x + q * (v * y) ** 2
    assert nets["target"].factor.item() == pytest.approx(p - RATE * of_p, rel=1e-12)
    assert nets["source"].factor.item() == pytest.approx(q - RATE * of_q, rel=1e-12)
    assert run.updates == ["generators", "discriminators"]


def test_two_batches_of_a_step_count_half_each() -> None:
    method, run, nets = cyclegan()
    whole, other_run, others = cyclegan()
    method.step([Batch(grey(0.5), grey(-0.25), ("a", "b"))] * 2, run)
    whole.step([Batch(grey(0.5), grey(-0.25), ("a", "b"))], other_run)
    for name, net in nets.items():
        assert net.factor.item() == pytest.approx(others[name].factor.item(), rel=1e-12)


def test_sides_of_other_channels_train_without_an_identity_loss_alone() -> None:
    networks = Networks({"forward": Times(1), "backward": Times(1)}, {}, {})
    with pytest.raises(ValueError, match=r"sources have 1 channels, targets 3: leave that loss out"):
        CycleGAN(networks, terms(), Augmentation({}, spec(1, 3)), spec(1, 3))
    judges = {name: Judge(name, Times(1), False) for name in ("target", "source")}
    networks = Networks(networks.generators, judges, {})
    assert CycleGAN(networks, terms(identity=False), Augmentation({}, spec(1, 3)), spec(1, 3)).test


# --- the pool


def test_a_pool_shows_new_images_until_it_is_full_and_then_old_ones_half_of_the_time() -> None:
    pool, rng = ImagePool(4), torch.Generator().manual_seed(0)
    first = torch.arange(4.0).reshape(4, 1, 1, 1)
    assert torch.equal(pool.exchange(first, rng), first)
    shown = torch.cat([pool.exchange(torch.full((1, 1, 1, 1), 4.0 + n), rng) for n in range(400)]).flatten()
    new = shown == torch.arange(4.0, 404.0)
    assert 0.42 < new.float().mean() < 0.58
    assert shown[~new].unique().numel() == (~new).sum()  # what is shown again gave its place up


def test_a_pool_goes_on_from_its_state_and_one_of_no_size_does_nothing() -> None:
    one, other = ImagePool(3), ImagePool(3)
    images = torch.rand(20, 1, 2, 2)
    one.exchange(images[:10], torch.Generator().manual_seed(0))
    other.load_state_dict(one.state_dict())
    rest = [pool.exchange(images[10:], torch.Generator().manual_seed(1)) for pool in (one, other)]
    assert torch.equal(*rest)
    assert not torch.equal(rest[0], images[10:])
    assert ImagePool(0).exchange(images, torch.Generator()) is images


# --- PatchNCE and its heads


def test_patch_nce_of_patches_that_share_nothing_is_known() -> None:
    vectors = torch.eye(4)[None, :3].repeat(2, 1, 1)  # 3 places in each of 2 images
    for temperature in (1.0, 0.07):
        known = math.log(1 + 2 * math.exp(-1 / temperature))
        assert patch_nce(vectors, vectors, temperature=temperature).item() == pytest.approx(
            known, rel=1e-5, abs=2e-7
        )
    # All alike: one of three is guessed. Other images are no negatives, or it were one of six.
    alike = torch.ones(2, 3, 4) / 2
    assert patch_nce(alike, alike, temperature=0.07).item() == pytest.approx(math.log(3))
    # Each finds another's key: 1/temperature is lost.
    wrong = vectors.roll(1, dims=1)
    lost = math.log(1 + 2 * math.exp(-1.0)) + 1
    assert patch_nce(vectors, wrong, temperature=1.0).item() == pytest.approx(lost)


def test_keys_of_patch_nce_get_no_gradient() -> None:
    queries, keys = (torch.rand(1, 3, 4, requires_grad=True) for _ in range(2))
    patch_nce(queries, keys, temperature=0.07).backward()
    assert queries.grad.abs().sum() > 0
    assert keys.grad is None


def test_heads_take_the_places_of_the_layers_that_they_are_for() -> None:
    heads = PatchHeads(in_channels=3, feature_channels=(4, 8), layers=(0, 2), width=5)
    features = [torch.rand(2, 3, 6, 6), torch.rand(2, 4, 3, 3), torch.rand(2, 8, 2, 3)]
    places = [torch.tensor([35, 0]), torch.tensor([0]), torch.tensor([4, 1, 2])]
    found = heads(features, places)
    assert [tuple(each.shape) for each in found] == [(2, 2, 5), (2, 3, 5)]
    assert torch.allclose(found[0].norm(dim=-1), torch.ones(2, 2))
    alone = heads.heads[1](features[2][1, :, 1, 1])  # place 4 of rows of 3
    assert torch.allclose(found[1][1, 0], alone / alone.norm(), atol=1e-6)
    assert PatchHeads(in_channels=3, feature_channels=(4, 8)).layers == (1, 2)


@pytest.mark.parametrize(
    ("layers", "sentence"),
    [
        ((0, 3), r"there is no layer 3: 0 is the image, and the generator hands out 2 features, 1 to 2"),
        ((2, 1), r"different numbers in rising order, not \[2, 1\]"),
        ((), r"different numbers in rising order, not \[\]"),
    ],
)
def test_layers_that_are_not_there_are_refused(layers: tuple[int, ...], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        PatchHeads(in_channels=3, feature_channels=(4, 8), layers=layers)


# --- CUT


class Mixing(nn.Module):
    """tanh of the channels, mixed; its only feature is what the tanh is taken of."""

    def __init__(self, mix: np.ndarray) -> None:
        super().__init__()
        self.mix = nn.Parameter(torch.tensor(mix))

    def features(self, image: Tensor) -> list[Tensor]:
        return [torch.einsum("oc,bchw->bohw", self.mix, image)]

    def forward(self, image: Tensor) -> Tensor:
        return self.features(image)[0].tanh()


class Unit(nn.Module):
    """Heads without weights to speak of: image and feature, each vector of length 1."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(1.0, dtype=torch.float64))

    def forward(self, features: Any, places: Any) -> list[Tensor]:
        taken = (f.flatten(2)[:, :, at].transpose(1, 2) for f, at in zip(features, places))
        return [nn.functional.normalize(self.scale * vectors, dim=-1) for vectors in taken]


def cut(mix: np.ndarray, seed: int = 0, **settings: Any) -> tuple[CUT, DescentRun, dict[str, nn.Module]]:
    nets = {"main": Mixing(mix), "target": Times(0.7), "heads": Unit()}
    networks = Networks(
        {"main": nets["main"]}, {"target": Judge("target", nets["target"], False)}, {"heads": nets["heads"]}
    )
    losses = terms("target", cycle=False, identity=False)
    method = CUT(networks, losses, Augmentation({}, spec(3, 3)), spec(3, 3), **settings)
    run = DescentRun(
        seed, generators=[nets["main"]], discriminators=[nets["target"]], networks=[nets["heads"]]
    )
    return method, run, nets


def contrast(fake: np.ndarray, source: np.ndarray, mix: np.ndarray, keys: np.ndarray, heat: float) -> float:
    """Return PatchNCE of images (B,C,places) over the image and its feature, pixel by pixel."""
    values = []
    for seen, wanted in ((fake, source), (np.einsum("oc,bcn->bon", mix, fake), None)):
        for number in range(len(fake)):
            own = source[number] if wanted is not None else keys @ source[number]
            q, k = (each / np.linalg.norm(each, axis=0) for each in (seen[number], own))
            for place in range(q.shape[1]):
                alike = np.exp([q[:, place] @ k[:, other] / heat for other in range(k.shape[1])])
                values.append(-math.log(alike[place] / alike.sum()))
    return float(np.mean(values))


@pytest.mark.parametrize("identity", [True, False])
def test_a_step_of_cut_is_what_its_equations_give(identity: bool) -> None:
    rng = np.random.default_rng(0)
    mix, x, y = rng.normal(size=(3, 3)), *rng.uniform(-1, 1, size=(2, 2, 3, 6))
    heat, weight, judge = 0.5, 3.0, 0.7
    method, run, nets = cut(mix, nce=weight, temperature=heat, identity=identity, patches=6)
    source, target = (torch.tensor(each).reshape(2, 3, 2, 3) for each in (x, y))
    logs = method.step([Batch(source, target, ("a", "b"))], run)

    fake = np.tanh(np.einsum("oc,bcn->bon", mix, x))
    of_judge = np.mean((judge * y - 1) * y) + np.mean(judge * fake**2)
    after = judge - RATE * of_judge  # it steps first
    assert nets["target"].factor.item() == pytest.approx(after, rel=1e-9)

    def minimised(mixing: np.ndarray) -> float:
        made = np.tanh(np.einsum("oc,bcn->bon", mixing, x))
        near = contrast(made, x, mixing, mix, heat)
        if identity:
            same = np.tanh(np.einsum("oc,bcn->bon", mixing, y))
            near = (near + contrast(same, y, mixing, mix, heat)) / 2
        return float(2 * np.mean((after * made - 1) ** 2) + weight * near)

    assert logs["nce"].item() == pytest.approx(contrast(fake, x, mix, mix, heat), rel=1e-5)
    assert ("nce-identity" in logs) == identity
    slopes = np.zeros_like(mix)
    for place in np.ndindex(3, 3):
        shift = np.zeros_like(mix)
        shift[place] = 1e-6
        slopes[place] = (minimised(mix + shift) - minimised(mix - shift)) / 2e-6
    made = (mix - nets["main"].mix.detach().numpy()) / RATE
    assert np.allclose(made, slopes, rtol=1e-4, atol=1e-5)
    assert run.updates == ["discriminators", "generators", "networks"]


def test_a_mirrored_source_is_translated_and_compared_where_it_belongs() -> None:
    mix = np.random.default_rng(1).normal(size=(3, 3))
    images = (
        torch.rand(2, 2, 3, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    )
    found = {}
    for flip in (False, True):
        for seed in range(8):
            method, run, nets = cut(mix, seed, flip=flip, patches=16)
            seen: list[Tensor] = []
            nets["main"].register_forward_pre_hook(lambda _, inputs, seen=seen: seen.append(inputs[0]))
            logs = method.step([Batch(images[0], images[1], ("a", "b"))], run)
            mirrored = torch.equal(seen[0], images[0].flip(-1))
            assert mirrored or torch.equal(seen[0], images[0])
            found.setdefault((flip, mirrored), []).append(logs["nce"].item())
    assert (False, True) not in found
    assert len(found[True, True]) > 1
    assert len(found[True, False]) > 1
    # This generator treats pixels alike wherever they are, and all are compared.
    values = [value for each in found.values() for value in each]
    assert values == pytest.approx([values[0]] * len(values), rel=1e-6)


def test_patches_are_drawn_by_step_and_seed_without_the_same_one_twice() -> None:
    mix = np.eye(3)
    images = torch.rand(2, 2, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    drawn = []
    for step in (0, 0, 1):
        method, run, nets = cut(mix, patches=10, identity=False)
        run.step = step
        places: list[Tensor] = []
        nets["heads"].register_forward_pre_hook(lambda _, given, places=places: places.extend(given[1]))
        method.step([Batch(images[0], images[1], ("a", "b"))], run)
        assert [len(each) for each in places] == [10] * 4  # queries and keys, image and feature
        assert all(each.unique().numel() == 10 for each in places)
        assert all(torch.equal(one, other) for one, other in zip(places[:2], places[2:]))
        drawn.append(places)
    assert torch.equal(drawn[0][0], drawn[1][0])
    assert not torch.equal(drawn[0][0], drawn[2][0])
    assert all(not torch.equal(one, other) for one, other in pairwise(drawn[0][:2]))


def test_cut_refuses_sides_of_other_channels() -> None:
    given = SimpleNamespace(generators={}, judges={}, others={})
    with pytest.raises(ValueError, match="both sides have as many channels, not 1 and 3"):
        CUT(given, terms(), Augmentation({}, spec(1, 3)), spec(1, 3))
