"""Transforms: geometry on both sides alike, photometry where asked, by the given generator alone."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from i2i.core.transforms.geometry import Crop, Flip, Jitter, Mirror, Rotate90
from i2i.core.transforms.photometry import Blur, ColourJitter, Noise
from i2i.errors import RecipeError
from i2i.images import resize
from i2i.kinds import ImageSpec, Pair, PairSpec, Part


def pair_of(source: Tensor, target: Tensor, *, labels: bool = False) -> Pair:
    return Pair(
        source,
        target,
        PairSpec(
            ImageSpec(source.shape[0], *source.shape[-2:], labels=labels),
            ImageSpec(target.shape[0], *target.shape[-2:]),
        ),
    )


def ramp(height: int, width: int) -> Tensor:
    """Return (2,H,W) that tells every pixel its own place: row and column, each from -1 to 1."""
    rows, columns = torch.linspace(-1, 1, height), torch.linspace(-1, 1, width)
    return torch.stack(torch.meshgrid(rows, columns, indexing="ij"))


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_jitter_cuts_both_sides_at_the_same_place() -> None:
    pair = pair_of(ramp(24, 24), ramp(24, 24).flip(0))
    for seed in range(5):
        out = Jitter(resize=20)(pair, size=(16, 12), rng=seeded(seed))
        assert out.source.shape == out.target.shape == (2, 16, 12)
        assert torch.equal(out.source, out.target.flip(0))
        assert out.spec is pair.spec


def test_jitter_brings_sides_of_different_sizes_together() -> None:
    out = Jitter(resize=(40, 36))(pair_of(ramp(64, 64), ramp(32, 80)), size=(32, 32), rng=seeded(0))
    assert out.source.shape == out.target.shape == (2, 32, 32)
    assert (out.source - out.target).abs().max() < 0.1


def test_jitter_reaches_every_offset_from_none_to_all() -> None:
    pair, jitter = pair_of(ramp(6, 6), ramp(6, 6)), Jitter(resize=6)
    corners = {
        tuple(jitter(pair, size=(4, 5), rng=seeded(seed)).source[:, 0, 0].tolist()) for seed in range(60)
    }
    assert corners == {tuple(pair.source[:, top, left].tolist()) for top in range(3) for left in range(2)}


def test_jitter_keeps_labels_to_the_values_they_had() -> None:
    labels = torch.tensor([-1.0, 0.25, 1.0])[torch.randint(3, (1, 30, 30), generator=seeded(0))]
    out = Jitter(resize=41)(pair_of(labels, ramp(30, 30), labels=True), size=(32, 32), rng=seeded(1))
    assert set(out.source.unique().tolist()) == {-1.0, 0.25, 1.0}


def test_jitter_to_less_than_the_size_is_refused() -> None:
    with pytest.raises(RecipeError, match="jitter resizes to 20x20, which is too small to cut 16x24 from"):
        Jitter(resize=20)(pair_of(ramp(32, 32), ramp(32, 32)), size=(16, 24), rng=seeded(0))


EVERY = [
    Jitter(resize=12),
    Mirror(),
    Flip(),
    Rotate90(),
    Crop(size=5),
    ColourJitter(hue=0.1),
    Blur(probability=1.0),
    Noise(),
]
MOVING = EVERY[:5]


@pytest.mark.parametrize("transform", EVERY, ids=lambda transform: type(transform).__name__)
def test_all_randomness_is_the_generator_s(transform) -> None:
    pair = pair_of(ramp(9, 9), ramp(9, 9))
    before = torch.random.get_rng_state()
    outs = [transform(pair, size=(8, 8), rng=seeded(3)) for _ in range(2)]
    assert torch.equal(outs[0].source, outs[1].source)
    assert torch.equal(outs[0].target, outs[1].target)
    assert torch.equal(torch.random.get_rng_state(), before)
    corners = {transform(pair, size=(8, 8), rng=seeded(s)).source.sum(0).tolist()[0][0] for s in range(20)}
    assert len(corners) > 1
    assert torch.equal(pair.source, ramp(9, 9))


@pytest.mark.parametrize("transform", MOVING, ids=lambda transform: type(transform).__name__)
def test_what_moves_pixels_moves_those_of_both_sides(transform) -> None:
    image = ramp(9, 9)
    pair = pair_of(image, torch.cat([image, image]))
    for seed in range(8):
        out = transform(pair, size=(8, 8), rng=seeded(seed))
        assert torch.equal(out.target, torch.cat([out.source, out.source]))


@pytest.mark.parametrize("transform", MOVING, ids=lambda transform: type(transform).__name__)
def test_what_moves_pixels_leaves_classes_whole(transform) -> None:
    classes = torch.randint(3, (7, 7), generator=seeded(0))
    hot = torch.nn.functional.one_hot(classes, 3).permute(2, 0, 1).float().mul(2).sub(1)
    for seed in range(8):
        out = transform(pair_of(hot, ramp(7, 7), labels=True), size=(6, 6), rng=seeded(seed)).source
        assert out.unique().tolist() == [-1.0, 1.0]
        assert out.eq(1).sum(0).unique().tolist() == [1]


def test_crop_cuts_at_the_size_of_the_data_or_its_own() -> None:
    pair = pair_of(ramp(20, 30), ramp(20, 30))
    assert Crop()(pair, size=(6, 8), rng=seeded(0)).target.shape == (2, 6, 8)
    assert Crop(size=(5, 9))(pair, size=(6, 8), rng=seeded(0)).source.shape == (2, 5, 9)
    corners = {
        tuple(Crop(size=19)(pair, size=(6, 8), rng=seeded(s)).source[:, 0, 0].tolist()) for s in range(99)
    }
    assert corners == {tuple(pair.source[:, top, left].tolist()) for top in range(2) for left in range(12)}


def test_crop_enlarges_what_is_too_small_and_brings_sides_together() -> None:
    out = Crop(size=(16, 8))(pair_of(ramp(20, 10), ramp(8, 4)), size=(1, 1), rng=seeded(0))
    assert out.source.shape == out.target.shape == (2, 16, 8)
    assert (out.source - out.target).abs().max() < 0.15


def test_flip_reaches_all_four_ways_and_mirror_two() -> None:
    image = ramp(4, 6)
    pair = pair_of(image, image)
    ways = {Flip: set(), Mirror: set()}
    for kind, seen in ways.items():
        for seed in range(40):
            seen.add(tuple(kind()(pair, size=(4, 6), rng=seeded(seed)).source[:, 0, 0].tolist()))
    assert ways[Flip] == {(-1.0, -1.0), (-1.0, 1.0), (1.0, -1.0), (1.0, 1.0)}
    assert ways[Mirror] == {(-1.0, -1.0), (-1.0, 1.0)}
    still = Flip(horizontal=0.0, vertical=1.0)(pair, size=(4, 6), rng=seeded(0))
    assert torch.equal(still.source, image.flip(1))


def test_quarter_turns_are_for_squares() -> None:
    square, oblong = ramp(4, 4), ramp(4, 6)
    turned = {
        tuple(Rotate90()(pair_of(square, square), size=(4, 4), rng=seeded(s)).source[:, 0, 0].tolist())
        for s in range(40)
    }
    assert turned == {(-1.0, -1.0), (-1.0, 1.0), (1.0, -1.0), (1.0, 1.0)}
    for seed in range(10):
        out = Rotate90()(pair_of(oblong, oblong), size=(4, 6), rng=seeded(seed)).target
        assert torch.equal(out, oblong) or torch.equal(out, oblong.flip(1, 2))


def photo() -> Tensor:
    return torch.rand(3, 12, 12, generator=seeded(9)) * 1.6 - 0.8


@pytest.mark.parametrize("kind", [ColourJitter, Blur, Noise])
def test_photometry_is_for_the_source_unless_asked(kind) -> None:
    certain = {"probability": 1.0} if kind is Blur else {}
    pair = pair_of(photo(), photo())
    out = kind(**certain)(pair, size=(12, 12), rng=seeded(0))
    assert not torch.equal(out.source, pair.source)
    assert torch.equal(out.target, pair.target)
    both = kind(on=("source", "target"), **certain)(pair, size=(12, 12), rng=seeded(0))
    assert torch.equal(both.source, both.target) is (kind is not Noise)
    assert not torch.equal(both.target, pair.target)
    assert both.source.abs().max() <= 1


@pytest.mark.parametrize("kind", [ColourJitter, Blur, Noise])
def test_photometry_leaves_label_maps_and_transparency_alone(kind) -> None:
    certain = {"probability": 1.0} if kind is Blur else {}
    labels = pair_of(photo(), photo(), labels=True)
    assert torch.equal(kind(**certain)(labels, size=(12, 12), rng=seeded(0)).source, labels.source)
    clear = pair_of(torch.cat([photo(), photo()[:1]]), photo())
    out = kind(**certain)(clear, size=(12, 12), rng=seeded(0)).source
    assert torch.equal(out[3], clear.source[3])
    assert not torch.equal(out[:3], clear.source[:3])


def test_stacked_sources_are_changed_one_by_one() -> None:
    stacked = torch.cat([photo(), photo()[:1]])
    parts = (Part("rgb", 3, "uint8", 0, 255), Part("edges", 1, "uint8", 0, 255))
    spec = PairSpec(ImageSpec(4, 12, 12, parts=parts), ImageSpec(3, 12, 12))
    jitter = ColourJitter(brightness=0.0, contrast=0.0, saturation=1.0)
    out = jitter(Pair(stacked, photo(), spec), size=(12, 12), rng=seeded(0)).source
    torch.testing.assert_close(out[3], stacked[3])
    assert not torch.allclose(out[:3], stacked[:3], atol=1e-3)


def test_each_setting_of_the_colour_jitter_does_its_own() -> None:
    image = photo() / 2
    pair = pair_of(image, image)

    def jittered(**settings: float) -> Tensor:
        nothing = {"brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "hue": 0.0}
        return ColourJitter(**(nothing | settings))(pair, size=(12, 12), rng=seeded(4)).source

    light = (image + 1) / 2
    torch.testing.assert_close(jittered(), image)
    ratio = (jittered(brightness=0.3) + 1) / 2 / light
    torch.testing.assert_close(ratio, torch.full_like(ratio, float(ratio.mean())))
    torch.testing.assert_close(jittered(contrast=0.3).mean(), image.mean())
    torch.testing.assert_close(jittered(saturation=0.3).mean(0), image.mean(0))
    turned = jittered(hue=0.1)
    torch.testing.assert_close(turned.mean(0), image.mean(0))
    torch.testing.assert_close(turned.var(0), image.var(0))
    assert (turned - image).abs().mean() > 0.005


def test_a_third_of_the_circle_turns_red_into_green() -> None:
    red = torch.tensor([0.0, -1.0, -1.0]).view(3, 1, 1).expand(3, 4, 4)
    jitter = ColourJitter(brightness=0.0, contrast=0.0, saturation=0.0, hue=0.5)
    seen = {
        tuple(jitter(pair_of(red, red), size=(4, 4), rng=seeded(s)).source[:, 0, 0].argsort().tolist())
        for s in range(60)
    }
    assert len({order[-1] for order in seen}) == 3


def test_blur_keeps_flat_pictures_and_the_mean_and_smooths_the_rest() -> None:
    flat = torch.full((3, 9, 9), 0.25)
    blur = Blur(sigma=(1.5, 1.5), probability=1.0)
    torch.testing.assert_close(blur(pair_of(flat, flat), size=(9, 9), rng=seeded(0)).source, flat)
    tiny = torch.rand(1, 2, 3)
    assert blur(pair_of(tiny, tiny), size=(2, 3), rng=seeded(0)).source.shape == (1, 2, 3)
    dot = torch.full((1, 31, 31), -1.0)
    dot[0, 15, 15] = 1.0
    out = (blur(pair_of(dot, dot), size=(31, 31), rng=seeded(0)).source + 1) / 2
    assert out.sum().item() == pytest.approx(1, abs=1e-3)
    places = torch.arange(31.0) - 15
    assert (out[0].sum(0) * places.square()).sum().item() == pytest.approx(1.5**2, rel=0.02)
    never = Blur(probability=0.0)(pair_of(dot, dot), size=(31, 31), rng=seeded(0))
    assert torch.equal(never.source, dot)


def test_noise_has_the_deviation_that_is_asked_for() -> None:
    grey = torch.zeros(3, 64, 64)
    out = Noise(sigma=0.1)(pair_of(grey, grey), size=(64, 64), rng=seeded(0)).source
    assert out.std().item() == pytest.approx(0.1, rel=0.03)
    assert abs(out.mean().item()) < 0.005


def test_a_blur_from_much_to_little_is_refused() -> None:
    with pytest.raises(ValueError, match="from the least"):
        Blur(sigma=(2.0, 1.0))


def test_mirror_flips_both_sides_or_neither() -> None:
    source, target = ramp(4, 6), torch.rand(3, 8, 8)
    pair = pair_of(source, target)
    flipped = 0
    for seed in range(40):
        out = Mirror()(pair, size=(4, 6), rng=seeded(seed))
        turned = torch.equal(out.source, source.flip(2))
        assert turned or torch.equal(out.source, source)
        assert torch.equal(out.target, target.flip(2) if turned else target)
        flipped += turned
    assert 8 <= flipped <= 32


@pytest.mark.parametrize(("probability", "always"), [(0.0, False), (1.0, True)])
def test_mirror_can_be_made_certain(probability: float, always: bool) -> None:
    pair = pair_of(ramp(4, 4), ramp(4, 4))
    for seed in range(10):
        out = Mirror(probability=probability)(pair, size=(4, 4), rng=seeded(seed))
        assert torch.equal(out.source, pair.source.flip(2)) is always


def test_resize_smooths_images_as_they_shrink() -> None:
    stripes = torch.tensor([-1.0, 1.0]).repeat(32).expand(1, 64, 64)
    assert resize(stripes, (8, 8), labels=False)[..., 1:-1].abs().max() < 0.05
    assert set(resize(stripes, (8, 8), labels=True).unique().tolist()) <= {-1.0, 1.0}


def test_resize_by_nearest_neighbour_takes_the_pixel_in_the_middle() -> None:
    row = torch.arange(9.0).expand(1, 9, 9) / 10
    assert resize(row, (3, 3), labels=True)[0, 0].tolist() == pytest.approx([0.1, 0.4, 0.7])


def test_resize_cuts_off_what_bicubic_interpolation_overshoots() -> None:
    edge = torch.ones(1, 8, 8)
    edge[..., :4] = -1
    assert resize(edge, (20, 20), labels=False, interpolation="bicubic").abs().max() == 1
    assert not torch.equal(
        resize(edge, (20, 20), labels=False, interpolation="bicubic"), resize(edge, (20, 20), labels=False)
    )


def test_resize_takes_one_image_or_a_batch() -> None:
    images = torch.rand(2, 3, 10, 12)
    together = resize(images, (7, 5), labels=False)
    assert together.shape == (2, 3, 7, 5)
    torch.testing.assert_close(resize(images[1], (7, 5), labels=False), together[1])
    assert resize(images, (10, 12), labels=False) is images
