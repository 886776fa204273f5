"""Maps of classes: by index or by colour, one channel a class, and never anything in between."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from i2i.engine.scoring import as_saved
from i2i.errors import DataError
from i2i.images import in_colours, label_spec, normalise, one_hot, quantise, read_image, resize, write_image
from i2i.images.previews import strip_png
from i2i.kinds import PairSpec

RED, GREEN, BLUE = (200, 0, 0), (0, 200, 0), (0, 0, 200)
PALETTE = (RED, GREEN, BLUE)
INDICES = torch.tensor([[0, 1, 2, 2], [1, 1, 0, 2]])


def by_index(classes: int = 3):
    return label_spec(classes, height=2, width=4)


def by_colour():
    return label_spec(PALETTE, height=2, width=4)


def coloured() -> torch.Tensor:
    return torch.tensor(PALETTE, dtype=torch.uint8)[INDICES].permute(2, 0, 1)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16, torch.float32])
def test_indices_become_one_channel_a_class(dtype: torch.dtype) -> None:
    hot = one_hot(INDICES[None].to(dtype), by_index(), lossy=False)
    assert hot.shape == (3, 2, 4)
    assert hot.dtype == torch.uint8
    assert torch.equal(hot.argmax(0), INDICES)
    assert hot.sum(0).unique().tolist() == [1]


def test_colours_become_the_same() -> None:
    assert torch.equal(
        one_hot(coloured(), by_colour(), lossy=False), one_hot(INDICES[None], by_index(), lossy=False)
    )


def test_a_grey_palette_serves_grey_images() -> None:
    spec = label_spec(((0, 0, 0), (255, 255, 255)), height=1, width=2)
    image = torch.tensor([[[255, 0]]], dtype=torch.uint8)
    assert one_hot(image, spec, lossy=False).argmax(0).tolist() == [[1, 0]]


def test_three_equal_channels_are_an_index() -> None:
    image = INDICES[None].to(torch.uint8).expand(3, -1, -1)
    assert torch.equal(one_hot(image, by_index(), lossy=False).argmax(0), INDICES)


def test_an_index_that_is_no_class_is_told_with_its_range() -> None:
    with pytest.raises(DataError, match="values from 0 to 2; the classes are 0 to 1"):
        one_hot(INDICES[None].to(torch.uint8), by_index(2), lossy=False)
    with pytest.raises(DataError, match="between whole numbers"):
        one_hot(torch.tensor([[[0.5]]]), by_index(), lossy=False)


def test_colour_where_an_index_is_expected_is_refused() -> None:
    with pytest.raises(DataError, match="in colour, and its classes are known by index"):
        one_hot(coloured(), by_index(), lossy=False)


def test_an_index_in_a_lossy_file_is_refused_for_it_may_be_another_class() -> None:
    with pytest.raises(DataError, match=r"that changes values, and its classes are known by index.+PNG"):
        one_hot(INDICES[None].to(torch.uint8), by_index(), lossy=True)


def test_a_colour_that_is_no_class_is_told_unless_the_file_is_lossy() -> None:
    image = coloured()
    image[:, 0, :2] = torch.tensor([[190], [10], [0]])
    with pytest.raises(DataError, match=r"1 colour.* most of all \(190, 10, 0\) in 2 pixels"):
        one_hot(image, by_colour(), lossy=False)
    wanted = INDICES.clone()
    wanted[0, :2] = 0
    assert torch.equal(one_hot(image, by_colour(), lossy=True).argmax(0), wanted)


def test_many_colours_are_compared_exactly() -> None:
    palette = tuple((n, 255 - n, 77) for n in range(200))
    spec = label_spec(palette, height=10, width=20)
    image = torch.tensor(palette, dtype=torch.uint8).T.reshape(3, 10, 20)
    assert torch.equal(one_hot(image, spec, lossy=False).argmax(0).flatten(), torch.arange(200))


def test_a_network_s_answer_becomes_its_likeliest_class() -> None:
    answer = torch.randn(2, 3, 5, 6, generator=torch.Generator().manual_seed(0)).tanh()
    stored = quantise(answer, by_index())
    assert torch.equal(stored.argmax(1), answer.argmax(1))
    assert stored.sum(1).unique().tolist() == [1]
    assert set(as_saved(answer, by_index()).unique().tolist()) == {0.0, 1.0}


def test_values_in_the_engine_are_minus_one_and_one() -> None:
    hot = one_hot(INDICES[None], by_index(), lossy=False)
    assert normalise(hot, by_index()).unique().tolist() == [-1.0, 1.0]


def test_resizing_mixes_no_classes() -> None:
    image = normalise(one_hot(INDICES[None], by_index(), lossy=False), by_index())
    large = resize(image, (7, 9), labels=True)
    assert large.unique().tolist() == [-1.0, 1.0]
    assert large.eq(1).sum(0).unique().tolist() == [1]


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".npy"])
def test_classes_by_index_are_written_as_indices(tmp_path: Path, suffix: str) -> None:
    hot = one_hot(INDICES[None], by_index(), lossy=False)
    write_image(tmp_path / f"x{suffix}", hot, spec=by_index())
    assert torch.equal(read_image(tmp_path / f"x{suffix}")[0].long(), INDICES)


def test_classes_by_colour_are_written_with_their_palette(tmp_path: Path) -> None:
    hot = one_hot(coloured(), by_colour(), lossy=False)
    write_image(tmp_path / "x.png", normalise(hot, by_colour()), spec=by_colour())
    with Image.open(tmp_path / "x.png") as image:
        assert image.mode == "P"
        assert np.array_equal(np.array(image), INDICES.numpy())
    assert torch.equal(read_image(tmp_path / "x.png"), coloured())
    assert torch.equal(read_image(tmp_path / "x.png", indices=True)[0].long(), INDICES)


def test_more_than_256_classes_are_written_in_16_bits(tmp_path: Path) -> None:
    spec = label_spec(300, height=1, width=300)
    hot = one_hot(torch.arange(300).view(1, 1, 300), spec, lossy=False)
    write_image(tmp_path / "x.png", hot, spec=spec)
    assert read_image(tmp_path / "x.png").flatten().tolist() == list(range(300))


@pytest.mark.parametrize("suffix", [".jpg", ".webp"])
def test_a_format_that_blurs_classes_is_refused(tmp_path: Path, suffix: str) -> None:
    hot = one_hot(INDICES[None], by_index(), lossy=False)
    with pytest.raises(DataError, match=r"cannot hold a map of 3 classes.*\.png"):
        write_image(tmp_path / f"x{suffix}", hot, spec=by_index())


def test_people_see_the_palette_or_colours_that_differ() -> None:
    hot = one_hot(INDICES[None], by_index(), lossy=False)
    assert torch.equal((in_colours(hot, by_colour()) * 255).round().to(torch.uint8), coloured())
    made_up = in_colours(hot, by_index()).flatten(1).unique(dim=1)
    assert made_up.shape == (3, 3)


def test_a_strip_shows_classes_in_colour(tmp_path: Path) -> None:
    spec = by_colour()
    image = normalise(one_hot(coloured(), spec, lossy=False), spec)
    (tmp_path / "x.png").write_bytes(strip_png(image, image, image, PairSpec(spec, spec)))
    assert torch.equal(read_image(tmp_path / "x.png"), torch.cat([coloured()] * 3, dim=2))
