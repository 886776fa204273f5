"""Tiles: they cover a picture, their weights add up to one, and their answers lie where they belong."""

from __future__ import annotations

import pytest
import torch

from i2i.images.resizing import padded
from i2i.models.tiles import Cut, Layout, Windows, blended

CUTS = [
    Cut(16, 6, 2),
    Cut(16, 0, 0),
    Cut(16, 8, 3, multiple=8, step=8),
    Cut(16, 12, 3, multiple=4, step=4),
    Cut(24, 5, 1, multiple=8),
    Cut(3, 1, 0),
]


@pytest.mark.parametrize("cut", CUTS, ids=str)
@pytest.mark.parametrize("size", [1, 7, 16, 17, 40, 41, 100])
def test_weights_add_up_to_one_everywhere(cut, size):
    windows = Windows.over(size, cut)
    total = torch.zeros(size)
    for number, start in enumerate(windows.starts):
        first, end = windows.kept(number)
        assert start <= first < end <= start + windows.length
        weights = windows.weights(number)
        assert bool((weights >= 0).all())
        total[first:end] += weights
    assert torch.allclose(total, torch.ones(size), atol=1e-6)
    whole = -(-size // cut.multiple) * cut.multiple
    assert windows.starts[-1] + windows.length == whole


@pytest.mark.parametrize("cut", CUTS, ids=str)
def test_neighbours_share_at_least_the_overlap_and_tiles_begin_in_step(cut):
    windows = Windows.over(100, cut)
    steps = [after - before for before, after in zip(windows.starts, windows.starts[1:], strict=False)]
    assert max(steps) <= cut.side - cut.overlap
    assert all(start % cut.step == 0 for start in windows.starts)


@pytest.mark.parametrize("cut", CUTS, ids=str)
@pytest.mark.parametrize("size", [(40, 41), (7, 100), (100, 5), (17, 3), (1, 1)])
def test_a_picture_that_is_given_back_is_whole_again(cut, size):
    picture = torch.rand(2, 3, *size) * 2 - 1
    shapes = set()

    def same(tiles):
        shapes.add(tuple(tiles.shape[-2:]))
        return tiles.clone()

    bands = list(blended(lambda first, end: picture[..., first:end, :], same, Layout.over(size, cut)))
    assert torch.allclose(torch.cat(bands, dim=-2), picture, atol=1e-6)
    ((height, width),) = shapes
    assert height % cut.multiple == width % cut.multiple == 0


@pytest.mark.parametrize("size", [(21, 13), (3, 40), (40, 3), (2, 2)])
def test_beyond_its_edges_a_picture_goes_on_as_a_whole_one_does(size):
    picture = torch.rand(1, 1, *size)
    seen = torch.full((1, 1, 48, 48), torch.nan)
    cut = Cut(16, 8, 2, multiple=8, step=8)
    layout = Layout.over(size, cut)
    places = iter((top, left) for top in layout.down.starts for left in layout.across.starts)

    def kept(tile):
        top, left = next(places)
        seen[..., top : top + tile.shape[-2], left : left + tile.shape[-1]] = tile
        return tile

    list(blended(lambda first, end: picture[..., first:end, :], kept, layout))
    wanted = padded(picture, 8)
    assert torch.equal(seen[..., : wanted.shape[-2], : wanted.shape[-1]], wanted)


def test_rows_are_read_once_from_the_top_and_bands_follow_each_other():
    picture, asked = torch.rand(1, 3, 64, 20), []

    def rows(first, end):
        asked.append((first, end))
        return picture[..., first:end, :]

    bands = blended(rows, torch.clone, Layout.over((64, 20), Cut(16, 4, 1)))
    heights = [band.shape[-2] for band in bands]
    assert max(heights) <= 16
    assert asked == sorted(asked)
    assert max(end - first for first, end in asked) == 16
    assert sum(heights) == 64
    assert len(heights) == len(asked)
