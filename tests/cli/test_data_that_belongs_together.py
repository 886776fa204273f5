"""`i2i data check` on sides that belong together where they should not, and the other way round."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from i2i.data.belonging import agreement, edges

UNPAIRED = """
recipe = 1
name = "two-kinds"

[data]
use = "unpaired-images"
root = "data"
splits = [1, 0, 0]
"""


def scene(number: int) -> np.ndarray:
    """Return rectangles on a plain ground, (48,48), others for each number."""
    rng = np.random.default_rng(number)
    picture = np.full((48, 48), 40, np.uint8)
    for _ in range(4):
        (top, left), (height, width) = rng.integers(0, 36, 2), rng.integers(8, 24, 2)
        picture[top : top + height, left : left + width] = rng.integers(80, 255)
    return picture


def write(
    folder: Path, numbers: list[int], *, names: list[int] | None = None, inverted: bool = False
) -> None:
    folder.mkdir(parents=True)
    for name, number in zip(names or range(len(numbers)), numbers, strict=True):
        picture = 255 - scene(number) // 2 if inverted else scene(number)
        prefix = "b" if inverted else "a"
        Image.fromarray(picture).convert("RGB").save(folder / f"{prefix}{name:03d}.png")


@pytest.fixture
def check(i2i, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    Path("two-kinds.toml").write_text(UNPAIRED)

    def run(what: str = "two-kinds.toml", *words: str):
        before = sorted(path for path in tmp_path.rglob("*"))
        ended = i2i("data", "check", what, *words)
        assert sorted(path for path in tmp_path.rglob("*")) == before, "nothing is written"
        return ended

    return run


def notes(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("note: train")]


def test_unpaired_pictures_whose_edges_are_in_the_same_places_look_like_pairs(check) -> None:
    write(Path("data/trainA"), list(range(30)))
    write(Path("data/trainB"), list(range(30)), inverted=True)
    ended = check()
    assert ended.code == 0, ended.err
    assert notes(ended.out) == [
        "note: train: edges of 30 sources are far more like those of the targets that stand beside them in "
        'order than like those of others: where these are pairs, use = "paired-images" trains on them as '
        "such, and can compare"
    ]


def test_unpaired_pictures_of_other_things_are_not_remarked_upon(check) -> None:
    write(Path("data/trainA"), list(range(30)))
    write(Path("data/trainB"), list(range(100, 130)), inverted=True)
    ended = check()
    assert (ended.code, notes(ended.out)) == (0, [])


def test_unpaired_pictures_of_the_same_names_look_like_pairs(check) -> None:
    for side, first in (("A", 0), ("B", 100)):
        write(Path(f"data/train{side}"), list(range(first, first + 6)))
    ended = check()
    assert ended.code == 0
    assert "note: 6 of 6 names are those of a picture on either side: where these are pairs, use" in ended.out


def test_pairs_whose_sides_do_not_belong_together_are_remarked_upon(check) -> None:
    numbers = list(range(30))
    write(Path("pairs/train/A"), numbers)
    write(Path("pairs/train/B"), [*numbers[1:], 0])  # the targets have moved on by one
    ended = check("pairs", "--data", "splits=[1, 0, 0]")
    assert ended.code == 0
    assert notes(ended.out) == [
        "note: train: edges of 30 sources are no more like those of their own targets than like those of "
        "others: where a pair shows the same thing, see whether the files are paired rightly"
    ]


def test_pairs_that_belong_together_are_not(check) -> None:
    for side in "AB":
        write(Path(f"pairs/train/{side}"), list(range(30)))
    for path in Path("pairs/train/B").iterdir():
        with Image.open(path) as image:
            image.point(lambda value: 255 - value // 2).save(path)
    assert notes(check("pairs", "--data", "splits=[1, 0, 0]").out) == []


def test_few_pairs_and_plain_pictures_tell_nothing(check) -> None:
    for side, shift in (("A", 0), ("B", 1)):
        write(Path(f"pairs/train/{side}"), list(range(shift, 12 + shift)))
    assert notes(check("pairs", "--data", "splits=[1, 0, 0]").out) == []
    plain = [edges(edge_less) for edge_less in np_planes(30)]
    told = [edges(edge_less) for edge_less in np_planes(30, noise=True)]
    assert not agreement(plain, told).strangers
    assert not agreement([told[0]] * 30, told).strangers


def np_planes(count: int, *, noise: bool = False):
    import torch

    rng = torch.Generator().manual_seed(0)
    for _ in range(count):
        yield torch.rand(3, 40, 40, generator=rng) if noise else torch.full((3, 40, 40), 7.0)


def test_facades_belong_together_and_shuffled_they_do_not(check) -> None:
    import torch

    if "I2I_TEST_DATA" not in os.environ:
        pytest.skip("I2I_TEST_DATA is not set")
    sources, targets = [], []
    for path in sorted(Path(os.environ["I2I_TEST_DATA"], "facades/val").iterdir())[:40]:
        with Image.open(path) as image:
            both = torch.from_numpy(np.array(image)).permute(2, 0, 1)
        sources.append(edges(both[..., 256:]))
        targets.append(edges(both[..., :256]))
    assert agreement(sources, targets).together
    assert not agreement(sources, targets).strangers
    assert agreement(sources, targets[1:] + targets[:1]).strangers


def test_the_same_pictures_on_both_sides_are_remarked_upon(check) -> None:
    write(Path("data/trainA"), [0, 1, 2, 3])
    write(Path("data/trainB"), [9, 2, 3, 8])
    assert notes(check().out) == ["note: train: 2 of 4 sources are among the targets too, value by value"]
    write(Path("pairs/train/A"), [0, 1, 2, 3])
    write(Path("pairs/train/B"), [0, 1, 7, 8])
    told = notes(check("pairs", "--data", "splits=[1, 0, 0]").out)
    assert told == ["note: train: the target is the source, value by value, in 2 of 4 pairs"]


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ((5, 3), "5 sources and 3 targets, and need not have as many: training draws from all of these, and"),
        (
            (3, 5),
            "3 sources and 5 targets, and need not have as many: training draws from all of these; where",
        ),
    ],
)
def test_unpaired_folders_of_unequal_size_are_fine_and_said(check, counts, words: str) -> None:
    for side, count, first in zip("AB", counts, (0, 100), strict=True):
        write(Path(f"data/train{side}"), list(range(first, first + count)))
    ended = check()
    assert ended.code == 0
    assert f"note: train has {words}" in ended.out


@pytest.mark.parametrize("what", ["two-kinds.toml", "data"])
def test_an_empty_folder_is_named_in_one_sentence(check, what: str) -> None:
    write(Path("data/trainA"), [0, 1, 2])
    Path("data/trainB").mkdir()
    ended = check(what)
    assert (ended.code, ended.out) == (3, "")
    assert ended.err == "there are no images in data/trainB: it is empty.\n"
    (Path("data/trainB") / "notes.txt").touch()
    assert check(what).err.startswith(
        "there are no images in data/trainB, only 1 file of another kind: .txt 1.   (looked for .bmp"
    )


def test_one_folder_for_both_sides_is_refused(check) -> None:
    write(Path("data/A"), [0, 1, 2])
    ended = check("two-kinds.toml", "--data", "source=A", "--data", "target=A")
    assert (ended.code, ended.out) == (3, "")
    assert ended.err.splitlines()[1:] == [
        "  data/A is the folder of both sides.   (give each side a folder of its own)"
    ]
    assert check("data", "--data", "source=A", "--data", "target=A").code == 2
