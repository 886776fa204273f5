"""Differentiable augmentation: alike for real, fake and condition, within its bounds, and with a gradient."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from i2i.core.methods.diff_augment import Augmentation

EVERY = ("colour", "translation", "cutout")


def drawn(*kinds: str, shape: tuple[int, int, int, int], seed: int = 0) -> Augmentation:
    return Augmentation(kinds, shape, torch.Generator().manual_seed(seed))


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 1.8 - 0.9


def test_without_kinds_the_very_tensors_come_back_and_nothing_is_drawn() -> None:
    rng = torch.Generator().manual_seed(0)
    image = noise(2, 3, 8, 8)
    augmentation = Augmentation((), image.shape, rng)
    assert augmentation.image(image) is image
    assert augmentation.condition(image) is image
    assert torch.equal(rng.get_state(), torch.Generator().manual_seed(0).get_state())


@pytest.mark.parametrize("kind", EVERY)
@pytest.mark.parametrize("shape", [(1, 3, 16, 24), (3, 1, 9, 7), (2, 4, 5, 32)])
def test_any_shape_is_kept_and_a_gradient_goes_through(kind: str, shape: tuple[int, int, int, int]) -> None:
    image = noise(*shape).requires_grad_()
    output = drawn(kind, shape=shape).image(image)
    assert output.shape == shape
    assert output.isfinite().all()
    (output * noise(*shape, seed=1)).sum().backward()
    assert image.grad.any()


@pytest.mark.parametrize("kind", EVERY)
def test_one_draw_treats_real_and_fake_alike_and_each_place_by_itself(kind: str) -> None:
    image = noise(1, 3, 32, 32).expand(6, 3, 32, 32)
    augmentation = drawn(kind, shape=image.shape)
    first = augmentation.image(image)
    assert torch.equal(augmentation.image(image.clone()), first)
    assert any(not torch.equal(one, first[0]) for one in first)
    assert torch.equal(drawn(kind, shape=image.shape).image(image), first)
    assert not torch.equal(drawn(kind, shape=image.shape, seed=1).image(image), first)


def test_colours_of_a_condition_are_left_alone() -> None:
    image = noise(2, 3, 8, 8)
    augmentation = drawn("colour", shape=image.shape)
    assert augmentation.condition(image) is image
    assert not torch.equal(augmentation.image(image), image)


@pytest.mark.parametrize("kinds", [("translation",), ("cutout",), ("cutout", "translation"), EVERY])
def test_a_condition_moves_with_its_image(kinds: tuple[str, ...]) -> None:
    image, source = noise(8, 3, 16, 32), noise(8, 1, 16, 32)
    augmentation = drawn(*kinds, shape=image.shape)
    moved = augmentation.condition(source)
    assert torch.equal((augmentation.image(image) == 0).all(dim=1), (moved == 0).all(dim=1))
    if "colour" not in kinds:
        assert torch.equal(augmentation.image(source), moved)


def test_a_translation_shifts_by_at_most_an_eighth_and_fills_with_0() -> None:
    height, width = 32, 16
    image = noise(64, 2, height, width)
    found = set()
    for before, after in zip(image, drawn("translation", shape=image.shape).image(image), strict=True):
        padded = torch.nn.functional.pad(before, (2, 2, 4, 4))
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
    image = noise(200, 1, 16, 32)
    hidden = drawn("cutout", shape=image.shape).image(image) == 0
    sizes = set()
    for mask in hidden[:, 0]:
        rows, columns = mask.any(dim=1).nonzero(), mask.any(dim=0).nonzero()
        height, width = int(rows.max() - rows.min()) + 1, int(columns.max() - columns.min()) + 1
        assert mask.sum() == height * width
        sizes.add((height, width))
    assert max(sizes) == (8, 16)
    assert min(height for height, _ in sizes) == 4
    assert min(width for _, width in sizes) == 8


def test_colour_moves_the_mean_by_brightness_alone_and_keeps_grey_grey() -> None:
    image = noise(50, 3, 8, 8)
    output = drawn("colour", shape=image.shape).image(image)
    shift = (output - image).mean(dim=(1, 2, 3))
    assert shift.abs().max() <= 0.5 + 1e-6
    assert shift.std() > 0.2
    grey = noise(50, 1, 8, 8).expand(50, 3, 8, 8)
    changed = drawn("colour", shape=grey.shape).image(grey)
    assert (changed - changed.mean(dim=1, keepdim=True)).abs().max() < 1e-6
    contrast = changed.std(dim=(1, 2, 3)) / grey.std(dim=(1, 2, 3))
    assert contrast.min() >= 0.5 - 1e-4
    assert contrast.max() <= 1.5 + 1e-4


def test_kinds_are_applied_in_their_order() -> None:
    image = torch.full((1, 3, 16, 16), 0.7)
    colour_last = drawn("cutout", "colour", shape=image.shape).image(image)
    colour_first = drawn("colour", "cutout", shape=image.shape).image(image)
    assert (colour_first == 0).any()
    assert not (colour_last == 0).any()


def test_a_fake_in_lower_precision_is_treated_in_float32_as_the_real_image_is() -> None:
    image = noise(2, 3, 8, 8)
    augmentation = drawn(*EVERY, shape=image.shape)
    fake = augmentation.image(image.bfloat16())
    assert fake.dtype == torch.float32
    torch.testing.assert_close(fake, augmentation.image(image.bfloat16().float()), rtol=0, atol=0)
