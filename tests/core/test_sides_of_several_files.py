"""Sides of several files: each is read, told and changed as what it is by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from i2i.core.data.paired_images import PairedImages
from i2i.core.transforms.geometry import Crop, Jitter
from i2i.core.transforms.photometry import ColourJitter
from i2i.errors import DataError
from i2i.images import by_file, normalise, write_image
from i2i.kinds import ImageSpec, Pair, PairSpec, Part

ALL = (1.0, 0.0, 0.0)
SIDES: dict[str, Any] = {"source": ("seg", "edges"), "target": ("colour", "depth"), "splits": ALL}
CLASSES = 3


def scene(root: Path, *, classes: tuple[int, ...] = (0, 2), depth: int = 500) -> None:
    """Write a label map, edges, a photo and a depth map of 6 x 8 pixels."""
    for name in ("seg", "edges", "colour", "depth"):
        (root / name).mkdir(exist_ok=True)
    seg = np.full((6, 8), classes[0], np.uint8)
    seg[:, 4:] = classes[-1]
    Image.fromarray(seg).save(root / "seg/1.png")
    Image.fromarray(np.full((6, 8), 255, np.uint8)).save(root / "edges/1.png")
    Image.new("RGB", (8, 6), (255, 0, 51)).save(root / "colour/1.png")
    Image.fromarray(np.full((6, 8), depth, np.uint16)).save(root / "depth/1.png")


def test_each_file_of_a_side_is_a_part_with_classes_or_values_of_its_own(tmp_path: Path) -> None:
    scene(tmp_path)
    data = PairedImages(
        "train",
        root=tmp_path,
        **SIDES,
        source_labels={"seg": CLASSES},
        target_range={"depth": (0.0, 1000.0)},
    )
    assert data.spec.source.parts == (
        Part("seg", CLASSES, "uint8", 0, 1, labels=True),
        Part("edges", 1, "uint8", 0, 255),
    )
    assert data.spec.target.parts == (
        Part("colour", 3, "uint8", 0, 255),
        Part("depth", 1, "uint16", 0, 1000),
    )
    item = data[0]
    assert item["source"][:, 0, 0].tolist() == [1, -1, -1, 1]
    assert item["source"][:, 0, 7].tolist() == [-1, -1, 1, 1]
    assert item["target"][:, 0, 0].tolist() == pytest.approx([1, -1, -0.6, 0])


def test_two_label_maps_stay_as_they_are_stored(tmp_path: Path) -> None:
    scene(tmp_path)
    palette = ((255, 0, 51), (0, 0, 0))
    data = PairedImages(
        "train",
        root=tmp_path,
        source=("seg", "colour"),
        target="depth",
        splits=ALL,
        source_labels={"seg": CLASSES, "colour": palette},
    )
    source = data.spec.source
    assert (source.channels, source.depth, source.low, source.high) == (5, "uint8", 0, 1)
    assert not source.one_hot
    assert [file.one_hot for file in source.files] == [True, True]
    assert source.part("colour").palette == palette
    assert data[0]["source"][:, 0, 0].tolist() == [1, 0, 0, 1, 0]


def test_parts_are_called_without_what_stands_for_the_split(tmp_path: Path) -> None:
    for split in ("train", "val"):
        for name in ("photo", "edges", "out"):
            (tmp_path / f"{split}_{name}").mkdir()
            Image.new("L", (8, 8), 7).save(tmp_path / f"{split}_{name}/1.png")
    named = {"source": ("{split}_photo", "{split}_edges"), "target": "{split}_out"}
    data = PairedImages("train", root=tmp_path, **named, source_range={"edges": (0.0, 7.0)})
    assert [part.name for part in data.spec.source.parts] == ["photo", "edges"]
    assert data.spec.source.part("edges").high == 7.0


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"source_labels": 3}, r"for one label map.*say which by name, like source_labels\.seg"),
        ({"target_channels": 3}, r"for one file.*say which by name, like target_channels\.colour"),
        ({"source_labels": {"mask": 3}}, "names mask; there are seg, edges"),
        ({"nodata": {"mask": 3}}, "'nodata' names mask; there are seg, edges, colour, depth"),
        ({"source_labels": {"seg": 3}, "source_range": {"seg": (0.0, 1.0)}}, r"source_range\.seg.*label map"),
        ({"source_labels": {"seg": 1}}, "two or more"),
        ({"target": ("colour", "seg")}, "each once"),
        ({"target": ()}, "each once"),
    ],
)
def test_what_is_said_of_parts_and_contradicts_itself_is_refused(
    tmp_path: Path, given: dict[str, Any], words: str
) -> None:
    scene(tmp_path)
    with pytest.raises(ValueError, match=words):
        PairedImages("train", root=tmp_path, **(SIDES | given))


@pytest.mark.parametrize(
    ("changed", "given", "words"),
    [
        ({"classes": (0, 3)}, {}, r"data\.source_labels\.seg = 4|classes are 0 to 2"),
        ({"depth": 2000}, {}, r"say data\.nodata\.depth = 2000; widen data\.target_range\.depth"),
    ],
)
def test_what_does_not_fit_a_part_is_told_with_the_key_of_that_part(
    tmp_path: Path, changed: dict[str, Any], given: dict[str, Any], words: str
) -> None:
    scene(tmp_path, **changed)
    asked = SIDES | {"source_labels": {"seg": CLASSES}, "target_range": {"depth": (0.0, 1000.0)}} | given
    with pytest.raises(DataError, match=words):
        PairedImages("train", root=tmp_path, **asked)[0]


def test_no_data_of_one_part_is_none_of_the_others(tmp_path: Path) -> None:
    scene(tmp_path, depth=255)
    (tmp_path / "depth/1.png").unlink()
    depth = np.full((6, 8), 500, np.uint16)
    depth[0] = 255
    Image.fromarray(depth).save(tmp_path / "depth/1.png")
    asked = SIDES | {"target_range": {"depth": (500.0, 1000.0)}, "nodata": {"depth": 255.0}}
    target = PairedImages("train", root=tmp_path, **asked)[0]["target"]
    assert target[0, 0, 0] == 1  # the photo's 255
    assert target[3].unique().tolist() == [-1]


def labels_beside_pixels(size: int = 12) -> Pair:
    """Return a pair whose source is a label map of fine stripes and a photo, and whose target is a photo."""
    stripes = torch.arange(size).remainder(2).expand(size, size)
    labels = torch.stack([stripes == 0, stripes == 1]).float() * 2 - 1
    photo = torch.linspace(-1, 1, size).expand(3, size, size)
    parts = (Part("seg", 2, "uint8", 0, 1, labels=True), Part("photo", 3, "uint8", 0, 255))
    spec = PairSpec(
        ImageSpec(5, size, size, "float32", -1.0, 1.0, parts=parts),
        ImageSpec(3, size, size),
    )
    return Pair(torch.cat([labels, photo]), photo.clone(), spec)


@pytest.mark.parametrize(
    "transform",
    [Jitter(resize=17), Jitter(resize=17, interpolation="bicubic"), Crop(size=10), ColourJitter()],
)
def test_transforms_leave_the_label_map_of_a_side_a_label_map(transform: Any) -> None:
    pair = labels_beside_pixels()
    if isinstance(transform, Crop):
        pair = Pair(pair.source[:, :7, :7], pair.target[:, :7, :7], pair.spec)
    made = transform(pair, size=(12, 12), rng=torch.Generator().manual_seed(3))
    seg, photo = (piece for _, piece in by_file(made.source, pair.spec.source))
    assert set(seg.unique().tolist()) == {-1.0, 1.0}
    assert seg.sum(0).eq(0).all()
    assert photo.unique().numel() > 2


def test_files_of_a_side_are_written_each_at_its_own_depth(tmp_path: Path) -> None:
    scene(tmp_path)
    asked = SIDES | {"source_labels": {"seg": CLASSES}, "target_range": {"depth": (0.0, 1000.0)}}
    data = PairedImages("train", root=tmp_path, **asked)
    item = data[0]
    for side in ("source", "target"):
        spec = data.spec.side(side)  # type: ignore[arg-type]
        for part, (file, piece) in zip(spec.parts, by_file(normalise(item[side], spec), spec), strict=True):
            write_image(tmp_path / f"{part.name}.png", piece, spec=file)
            with (
                Image.open(tmp_path / f"{part.name}.png") as new,
                Image.open(tmp_path / part.name / "1.png") as old,
            ):
                assert new.mode == old.mode
                assert np.array_equal(np.asarray(new), np.asarray(old))
