"""Jitter and mirror: both sides alike, by the generator they are given and nothing else."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from i2i.core.transforms import Jitter, Mirror
from i2i.errors import RecipeError
from i2i.kinds import ImageSpec, Pair, PairSpec
from i2i.resize import resize


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


@pytest.mark.parametrize("transform", [Jitter(resize=12), Mirror()])
def test_all_randomness_is_the_generator_s(transform: Jitter | Mirror) -> None:
    pair = pair_of(ramp(9, 9), ramp(9, 9))
    before = torch.random.get_rng_state()
    outs = [transform(pair, size=(8, 8), rng=seeded(3)) for _ in range(2)]
    assert torch.equal(outs[0].source, outs[1].source)
    assert torch.equal(outs[0].target, outs[1].target)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert (
        len({transform(pair, size=(8, 8), rng=seeded(s)).source.sum(0).tolist()[0][0] for s in range(20)}) > 1
    )


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
