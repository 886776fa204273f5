"""Other data are told from the same ones without opening an image."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from PIL import Image

from i2i.core.data.paired_images import PairedImages
from i2i.core.data.shapes import Shapes
from i2i.data.fingerprint import differences, fingerprint, fingerprints
from i2i.data.views import Cached, Usable
from i2i.kinds import ImageSpec, PairSpec


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four pairs to train on."""
    for side in "AB":
        (tmp_path / "data" / "train" / side).mkdir(parents=True)
        for number in range(4):
            Image.new("RGB", (8, 8)).save(tmp_path / "data" / "train" / side / f"{number}.png")
    return tmp_path / "data"


def changed(before, now) -> list[str]:
    return differences({"train": before}, {"train": now})


def test_the_same_pairs_elsewhere_have_the_same_fingerprint(folder):
    before = fingerprint(PairedImages("train", root=folder))
    assert before.keys() == {"pairs", "ids", "file_sizes"}
    folder.rename(folder.with_name("moved"))
    assert fingerprint(PairedImages("train", root=folder.with_name("moved"))) == before


def test_ids_are_those_of_the_items(folder):
    for data in (PairedImages("train", root=folder), Shapes("val", size=8, count=30)):
        assert list(data.ids) == [data[index]["id"] for index in range(len(data))]


def test_more_pairs_other_names_and_other_files_are_told(folder):
    before = fingerprint(PairedImages("train", root=folder))
    Image.new("RGB", (8, 8), "red").resize((9, 9)).save(folder / "train/A/3.png")
    assert changed(before, fingerprint(PairedImages("train", root=folder))) == [
        "the pairs of the split 'train' are others: their files have other sizes"
    ]
    for side in "AB":
        (folder / "train" / side / "3.png").rename(folder / "train" / side / "4.png")
    (told,) = changed(before, fingerprint(PairedImages("train", root=folder)))
    assert "they have other ids, or come in another order" in told
    for side in "AB":
        (folder / "train" / side / "4.png").unlink()
    assert changed(before, fingerprint(PairedImages("train", root=folder))) == [
        "the split 'train' had 4 pairs, and has 3 now"
    ]


def test_what_stands_before_a_data_set_hands_its_ids_on(folder):
    data = PairedImages("train", root=folder)
    assert fingerprint(Cached(data)) == fingerprint(data)
    assert Usable(data, [0, 2]).ids == ["0", "2"]
    assert changed(fingerprint(data), fingerprint(Usable(data, [0, 2])))


class Plain:
    """A data set that offers nothing more than it must, or what is no list of ids."""

    spec = PairSpec(ImageSpec(3, 8, 8), ImageSpec(3, 8, 8))

    def __init__(self, count: int) -> None:
        self.count = count

    def ids(self) -> list[str]:
        return []

    def __len__(self) -> int:
        return self.count


def test_a_data_set_without_ids_is_told_by_its_length():
    assert fingerprint(Plain(4)) == fingerprint(Cached(Plain(4))) == {"pairs": 4}
    assert changed(fingerprint(Plain(4)), fingerprint(Plain(4))) == []
    assert changed(fingerprint(Plain(4)), fingerprint(Plain(5)))


def test_what_only_one_side_knows_is_not_compared():
    assert changed({"pairs": 4}, {"pairs": 4, "ids": "x"}) == []
    assert differences({}, fingerprints({"train": Plain(4)})) == []


def test_twenty_thousand_pairs_take_no_time_to_speak_of():
    data = Shapes("train", count=20_000)
    start = time.perf_counter()
    assert fingerprint(data)["pairs"] == 20_000
    assert time.perf_counter() - start < 2.0
