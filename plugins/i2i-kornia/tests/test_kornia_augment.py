"""The pipeline for pairs: both sides move alike, colours of the source alone change, all by the generator."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from i2i_kornia.augment import Augment, recoloured
from i2i_kornia.warp import affine_places, elastic_shifts, sample
from torch import Tensor
from torch.nn import functional as F

from i2i.kinds import ImageSpec, Pair, PairSpec, Part

LOOK = ("brightness", "contrast", "saturation", "hue", "blur", "noise")
OFF: dict[str, Any] = dict.fromkeys(("rotate", "translate", "scale", "shear", "elastic", *LOOK), 0.0)
WARP: dict[str, Any] = {"rotate": 30.0, "translate": 0.2, "scale": 0.3, "shear": 10.0, "elastic": 0.02}


def pair_of(source: Tensor, target: Tensor, *, labels: bool = False, parts: tuple[Part, ...] = ()) -> Pair:
    return Pair(
        source,
        target,
        PairSpec(
            ImageSpec(source.shape[0], *source.shape[-2:], labels=labels, parts=parts),
            ImageSpec(target.shape[0], *target.shape[-2:]),
        ),
    )


def images(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=seeded(seed)) * 2 - 1


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def applied(pair: Pair, seed: int = 0, **settings: Any) -> Pair:
    return Augment(**settings)(pair, size=(32, 32), rng=seeded(seed))


def ramp(height: int, width: int) -> Tensor:
    """Return (2,H,W) that tells every pixel its own place: column and row in pixels."""
    return torch.stack(torch.meshgrid(torch.arange(width), torch.arange(height), indexing="xy")).float()


# --- where pixels come from


def test_moving_and_turning_and_scaling_are_what_their_names_say() -> None:
    still = {"degrees": 0.0, "shift": (0.0, 0.0), "scale": 1.0, "shear": (0.0, 0.0)}
    pixels = ramp(5, 9).permute(1, 2, 0)[None]
    assert torch.allclose(affine_places((5, 9), **still), pixels, atol=1e-4)
    moved = affine_places((5, 9), **{**still, "shift": (1 / 9, 2 / 5)})
    assert torch.allclose(moved, pixels - torch.tensor([1.0, 2.0]), atol=1e-4)
    doubled = affine_places((5, 9), **{**still, "scale": 2.0})
    assert torch.allclose(doubled[0, 2, 8], torch.tensor([6.0, 2.0]), atol=1e-4)
    turned = affine_places((9, 9), **{**still, "degrees": 90.0})
    # Clockwise: what is at the top right was at the top left.
    assert torch.allclose(turned[0, 0, 8], torch.tensor([0.0, 0.0]), atol=1e-4)
    slanted = affine_places((5, 9), **{**still, "shear": (45.0, 0.0)})
    assert torch.allclose(slanted[0, 2], pixels[0, 2], atol=1e-4)
    assert torch.allclose((slanted - pixels)[0, :, :, 0].abs().amax(dim=1), torch.tensor([2.0, 1, 0, 1, 2]))


@pytest.mark.parametrize(("size", "sigma"), [((48, 64), 6.0), ((300, 300), 30.0)])
def test_elastic_shifts_are_as_large_and_as_smooth_as_asked_at_any_size(
    size: tuple[int, int], sigma: float
) -> None:
    fields = [elastic_shifts(size, amplitude=2.0, sigma=sigma, rng=seeded(seed)) for seed in range(20)]
    middle = torch.cat(fields)[:, size[0] // 4 : -size[0] // 4, size[1] // 4 : -size[1] // 4]
    assert middle.square().mean().sqrt().item() == pytest.approx(2.0, rel=0.2)
    slope = middle.diff(dim=2).square().mean().sqrt()
    assert slope.item() == pytest.approx(2.0 / (sigma * 2**0.5), rel=0.2)


def test_shifts_of_the_most_that_is_allowed_hardly_ever_fold() -> None:
    folded = 0
    for seed in range(30):
        shifts = elastic_shifts((64, 64), amplitude=1.6, sigma=6.4, rng=seeded(seed))[0]
        across, down = shifts[:-1].diff(dim=1), shifts[:, :-1].diff(dim=0)
        area = (1 + across[..., 0]) * (1 + down[..., 1]) - across[..., 1] * down[..., 0]
        folded += int((area <= 0).sum())
    assert folded < 30 * 64 * 64 / 10_000


def test_outside_is_the_mirrored_image_or_its_edge() -> None:
    row = torch.tensor([[[0.0, 1.0, 2.0, 3.0]]])
    places = torch.tensor([-2.0, -1.0, 0.0, 4.0]).reshape(1, 1, 4, 1)
    places = torch.cat([places, torch.zeros_like(places)], dim=-1)
    mirrored = sample(row, places, labels=False, outside="reflection")
    drawn_out = sample(row, places, labels=False, outside="border")
    assert torch.allclose(mirrored, torch.tensor([[[2.0, 1.0, 0.0, 2.0]]]), atol=1e-5)
    assert torch.allclose(drawn_out, torch.tensor([[[0.0, 0.0, 0.0, 3.0]]]), atol=1e-5)


# --- pairs


def test_both_sides_move_alike() -> None:
    image = images(3, 40, 48)
    for seed in range(6):
        out = applied(pair_of(image, image), seed, **{**OFF, **WARP})
        assert torch.equal(out.source, out.target)
        assert not torch.allclose(out.source, image, atol=0.1)


def test_a_source_of_another_size_comes_to_that_of_its_target() -> None:
    target = F.interpolate(images(1, 3, 6, 6), (48, 48), mode="bilinear")[0]
    source = F.interpolate(target[None], (24, 24), mode="bilinear", antialias=True)[0]
    out = applied(pair_of(source, target), **{**OFF, **WARP})
    assert out.source.shape == out.target.shape == (3, 48, 48)
    assert (out.source - out.target).abs().mean() < 0.05


def test_label_maps_keep_their_classes_and_are_never_recoloured() -> None:
    classes = torch.randint(3, (30, 30), generator=seeded(0))
    hot = F.one_hot(classes, 3).permute(2, 0, 1).float() * 2 - 1
    for seed in range(4):
        out = applied(pair_of(hot, images(3, 30, 30), labels=True), seed, noise=0.5, blur=3.0, **WARP)
        assert out.source.unique().tolist() == [-1.0, 1.0]
        assert out.source.eq(1).sum(0).unique().tolist() == [1]


def test_a_label_map_and_an_image_of_it_stay_together() -> None:
    classes = torch.zeros(1, 40, 40)
    classes[:, 10:30, 15:35] = 1.0
    out = applied(pair_of(classes * 2 - 1, classes * 2 - 1, labels=True), seed=3, **{**OFF, **WARP})
    assert ((out.source > 0) != (out.target > 0)).float().mean() < 0.01


@pytest.mark.parametrize("key", LOOK)
def test_looks_change_the_source_alone_unless_asked(key: str) -> None:
    source, target = images(3, 32, 32), images(3, 32, 32, seed=1)
    settings = {**OFF, key: 3.0 if key == "blur" else 0.5}
    out = applied(pair_of(source, target), seed=4, **settings)
    assert not torch.allclose(out.source, source, atol=1e-3)
    assert torch.equal(out.target, target)
    both = applied(pair_of(source, source), seed=4, on=("source", "target"), **settings)
    assert torch.equal(both.source, both.target) == (key != "noise")
    alone = applied(pair_of(source, target), seed=4, on=("target",), **settings)
    assert torch.equal(alone.source, source)
    assert not torch.allclose(alone.target, target, atol=1e-3)


def test_off_is_off() -> None:
    pair = pair_of(images(3, 24, 32), images(1, 48, 64))
    out = applied(pair, **OFF)
    assert torch.equal(out.source, pair.source)
    assert torch.equal(out.target, pair.target)


def test_switching_one_thing_off_leaves_the_others_as_they_were() -> None:
    pair = pair_of(images(3, 32, 32), images(3, 32, 32, seed=1))
    whole, without = applied(pair, noise=0.0), applied(pair, noise=0.0, blur=0.0, hue=0.0)
    assert torch.equal(whole.target, without.target)


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 6])
def test_any_number_of_channels_will_do_and_values_stay_in_range(channels: int) -> None:
    source = images(channels, 32, 32)
    out = applied(pair_of(source, images(3, 32, 32)), seed=2, brightness=1.0, contrast=1.0, noise=1.0)
    assert out.source.shape == source.shape
    assert out.source.min() >= -1
    assert out.source.max() <= 1


def test_transparency_is_moved_but_not_recoloured() -> None:
    source = images(4, 32, 32)
    still = {key: value for key, value in OFF.items() if key not in LOOK}
    out = applied(pair_of(source, images(3, 32, 32)), seed=2, brightness=1.0, noise=0.3, **still)
    assert torch.equal(out.source[3], source[3])
    assert not torch.allclose(out.source[:3], source[:3], atol=1e-3)


def test_a_stacked_source_is_recoloured_picture_by_picture() -> None:
    parts = (Part("photo", 3, "uint8", 0, 255), Part("depth", 1, "uint8", 0, 255))
    photo, depth = images(3, 16, 16), images(1, 16, 16, seed=1)
    stacked = pair_of(torch.cat([photo, depth]), images(3, 16, 16), parts=parts)
    settings = {**OFF, "contrast": 0.9, "saturation": 0.9, "hue": 0.4}
    out = applied(stacked, seed=5, **settings).source
    alone = applied(pair_of(photo, images(3, 16, 16)), seed=5, **settings).source
    assert torch.equal(out[:3], alone)
    assert not torch.allclose(out[3:], depth, atol=1e-3)


def test_all_randomness_is_the_generator_s() -> None:
    pair = pair_of(images(3, 32, 32), images(3, 32, 32, seed=1))
    state = torch.random.get_rng_state()
    outs = [applied(pair, seed) for seed in (3, 3, 4)]
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(outs[0].source, outs[1].source)
    assert torch.equal(outs[0].target, outs[1].target)
    assert not torch.equal(outs[0].target, outs[2].target)
    assert torch.equal(pair.source, images(3, 32, 32))


def test_gradients_pass_to_both_sides() -> None:
    source, target = images(3, 32, 32).requires_grad_(True), images(3, 32, 32, seed=1).requires_grad_(True)
    out = applied(pair_of(source, target), blur=2.0, on=("source", "target"))
    (out.source.square().mean() + out.target.square().mean()).backward()
    for image in (source, target):
        assert image.grad is not None
        assert image.grad.isfinite().all()
        assert (image.grad != 0).float().mean() > 0.7


def test_colours_change_as_told() -> None:
    light = (images(1, 3, 8, 8) * 0.3 + 1) / 2
    grey = {"brightness": 0.0, "contrast": 0.0, "saturation": -1.0, "hue": 0.0}
    assert recoloured(light, **grey).std(dim=1).max() < 1e-6
    flat = {"brightness": 0.0, "contrast": -1.0, "saturation": 0.0, "hue": 0.0}
    assert recoloured(light, **flat).std() < 1e-6
    brighter = {"brightness": 0.2, "contrast": 0.0, "saturation": 0.0, "hue": 0.0}
    assert torch.allclose(recoloured(light, **brighter), light * 1.2, atol=1e-6)
    red = torch.tensor([1.0, 0.0, 0.0]).reshape(1, 3, 1, 1)
    turned = recoloured(red, brightness=0.0, contrast=0.0, saturation=0.0, hue=1 / 3)
    assert torch.allclose(turned.flatten(), torch.tensor([0.0, 1.0, 0.0]), atol=1e-4)


def test_a_bend_that_would_fold_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'elastic_sigma' is at least four times 'elastic', here 0\.2"):
        Augment(elastic=0.05)
    Augment(elastic=0.05, elastic_sigma=0.2)
