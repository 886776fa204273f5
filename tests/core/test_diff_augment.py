"""Differentiable augmentation: within its bounds, the same for both sides, and with a gradient."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from i2i.core.transforms.diff_augment import DiffAugment
from i2i.kinds import ImageSpec, Pair, PairSpec

EVERY = ("colour", "translation", "cutout")


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 1.8 - 0.9


def changed(*policy: str, image: Tensor, source: Tensor | None = None, seed: int = 0) -> Pair:
    source = image if source is None else source
    height, width = image.shape[-2:]
    spec = PairSpec(ImageSpec(len(source), height, width), ImageSpec(len(image), height, width))
    rng = torch.Generator().manual_seed(seed)
    return DiffAugment(policy=policy)(Pair(source, image, spec), size=(height, width), rng=rng)


@pytest.mark.parametrize("step", EVERY)
@pytest.mark.parametrize("shape", [(3, 16, 24), (1, 9, 7), (4, 5, 32)])
def test_any_shape_is_kept_and_a_gradient_goes_through(step: str, shape: tuple[int, int, int]) -> None:
    image = noise(*shape).requires_grad_()
    output = changed(step, image=image).target
    assert output.shape == shape
    assert output.isfinite().all()
    (output * noise(*shape, seed=1)).sum().backward()
    assert image.grad.any()


@pytest.mark.parametrize("step", EVERY)
def test_one_state_gives_one_change_and_another_state_another(step: str) -> None:
    image = noise(3, 32, 32)
    first = changed(step, image=image).target
    assert torch.equal(changed(step, image=image.clone()).target, first)
    assert any(not torch.equal(changed(step, image=image, seed=seed).target, first) for seed in (1, 2, 3))


def test_colours_of_a_condition_are_left_alone() -> None:
    image = noise(3, 8, 8)
    pair = changed("colour", image=image)
    assert pair.source is image
    assert not torch.equal(pair.target, image)


@pytest.mark.parametrize("policy", [("translation",), ("cutout",), ("cutout", "translation"), EVERY])
def test_a_condition_moves_with_its_image(policy: tuple[str, ...]) -> None:
    for seed in range(8):
        image, source = noise(3, 16, 32), noise(1, 16, 32)
        pair = changed(*policy, image=image, source=source, seed=seed)
        assert torch.equal((pair.target == 0).all(dim=0), (pair.source == 0).all(dim=0))
        if "colour" not in policy:
            assert torch.equal(changed(*policy, image=source, seed=seed).target, pair.source)


def test_a_translation_shifts_by_at_most_an_eighth_and_fills_with_0() -> None:
    height, width = 32, 16
    before = noise(2, height, width)
    padded = torch.nn.functional.pad(before, (2, 2, 4, 4))
    found = set()
    for seed in range(150):
        after = changed("translation", image=before, seed=seed).target
        fits = [
            (y - 4, x - 2)
            for y in range(9)
            for x in range(5)
            if torch.equal(padded[:, y : y + height, x : x + width], after)
        ]
        assert len(fits) == 1
        found.update(fits)
    assert {y for y, _ in found} == set(range(-4, 5))
    assert {x for _, x in found} == set(range(-2, 3))


def test_a_cutout_hides_one_square_of_half_the_size_or_what_of_it_is_inside() -> None:
    image = noise(1, 16, 32)
    sizes = set()
    for seed in range(200):
        mask = changed("cutout", image=image, seed=seed).target[0] == 0
        rows, columns = mask.any(dim=1).nonzero(), mask.any(dim=0).nonzero()
        height, width = int(rows.max() - rows.min()) + 1, int(columns.max() - columns.min()) + 1
        assert mask.sum() == height * width
        sizes.add((height, width))
    assert max(sizes) == (8, 16)
    assert min(height for height, _ in sizes) == 4
    assert min(width for _, width in sizes) == 8


def test_colour_moves_the_mean_by_brightness_alone_and_keeps_grey_grey() -> None:
    image = noise(3, 8, 8)
    outputs = torch.stack([changed("colour", image=image, seed=seed).target for seed in range(50)])
    shift = (outputs - image).mean(dim=(1, 2, 3))
    assert shift.abs().max() <= 0.5 + 1e-6
    assert shift.std() > 0.2
    grey = noise(1, 8, 8).expand(3, 8, 8)
    outputs = torch.stack([changed("colour", image=grey, seed=seed).target for seed in range(50)])
    assert (outputs - outputs.mean(dim=1, keepdim=True)).abs().max() < 1e-6
    contrast = outputs.std(dim=(1, 2, 3)) / grey.std()
    assert contrast.min() >= 0.5 - 1e-4
    assert contrast.max() <= 1.5 + 1e-4


def test_steps_are_taken_in_their_order() -> None:
    image = torch.full((3, 16, 16), 0.7)
    assert (changed("colour", "cutout", image=image).target == 0).any()
    assert not (changed("cutout", "colour", image=image).target == 0).any()
