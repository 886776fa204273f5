"""Which images are translated, and where to: nothing is lost, nothing is passed over in silence."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from i2i.errors import DataError, RecipeError
from i2i.images import other_kinds_told
from i2i.images.writing import png_bytes
from i2i.kinds import ImageSpec, PairSpec
from i2i.models.planning import plan

GREY = png_bytes(torch.zeros(1, 2, 2, dtype=torch.uint8))
SPEC = PairSpec(ImageSpec(3, 8, 8), ImageSpec(3, 8, 8))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def files(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(GREY)


def planned(source: str, target: str, **options: object) -> dict[str, str]:
    found = plan(Path(source), Path(target), SPEC, **options)
    return {result.as_posix(): source.as_posix() for source, result in found.work}


def test_hidden_folders_and_folders_with_an_images_name_are_no_images(here):
    files("in/a.png", "in/shots.png/b.png", "in/.trash/c.png", "in/deep/.hidden.png")
    assert planned("in", "out") == {"out/a.png": "in/a.png", "out/shots.png/b.png": "in/shots.png/b.png"}


def test_truth_is_not_overwritten_by_answers(here):
    files(*(f"{side}/{n}.png" for side in "AB" for n in range(3)))
    with pytest.raises(RecipeError, match=r"B/0\.png and 2 more are there already, and nothing was written"):
        plan(Path("A"), Path("B"), SPEC)
    Path("B/0.png").unlink()
    Path("B/1.png").unlink()
    with pytest.raises(RecipeError, match=r"^B/2\.png is there already.*--overwrite"):
        plan(Path("A"), Path("B"), SPEC)
    assert planned("A", "B", overwrite=True).keys() == {f"B/{n}.png" for n in range(3)}


def test_one_file_is_not_overwritten_either(here):
    files("a.png", "b.png", "out/a.png", "s-2.png")
    for target in ("b.png", "out", "out/a.png"):
        with pytest.raises(RecipeError, match="is there already"):
            plan(Path("a.png"), Path(target), SPEC)
    with pytest.raises(RecipeError, match=r"^s-2\.png is there already"):
        plan(Path("a.png"), Path("s.png"), SPEC, samples=2)
    assert planned("a.png", "b.png", samples=2) == {"b.png": "a.png"}  # b-1.png and b-2.png are free


def test_a_link_to_nowhere_is_a_file_that_is_there(here):
    files("a.png")
    Path("b.png").symlink_to("nowhere.png")
    with pytest.raises(RecipeError, match="is there already"):
        plan(Path("a.png"), Path("b.png"), SPEC)


@pytest.mark.parametrize("overwrite", [False, True])
def test_no_source_is_ever_overwritten(here, overwrite):
    files("in/a.png")
    Path("link").symlink_to("in")
    for source, target in (("in", "in"), ("in/a.png", "in/a.png"), ("in", "link"), ("in/a.png", "in")):
        with pytest.raises(RecipeError, match=r"a\.png would be overwritten by a translation"):
            plan(Path(source), Path(target), SPEC, overwrite=overwrite)
    deep = PairSpec(SPEC.source, ImageSpec(3, 8, 8, depth="uint16", high=65535))
    files("one/x.jpg", "one/x.png")
    with pytest.raises(RecipeError, match=r"x\.png would be overwritten|would both become"):
        plan(Path("one"), Path("one"), deep, overwrite=True)  # x.jpg becomes x.png, which is a source


def test_a_folder_of_answers_below_the_images_is_left_out(here):
    files("in/a.png", "in/deep/b.png")
    assert planned("in", "in/out") == {"in/out/a.png": "in/a.png", "in/out/deep/b.png": "in/deep/b.png"}
    files("in/out/a.png", "in/out/deep/b.png")
    again = planned("in", "in/out", overwrite=True)
    assert again == {"in/out/a.png": "in/a.png", "in/out/deep/b.png": "in/deep/b.png"}
    # For another output it is a folder like others.
    assert planned("in", "in2")["in2/out/deep/b.png"] == "in/out/deep/b.png"


def test_links_are_followed_but_not_in_a_circle(here):
    files("store/a.png", "store/deep/b.png")
    Path("in").mkdir()
    Path("in/linked").symlink_to(here / "store")
    Path("in/again").symlink_to(here / "store")
    Path("in/c.png").symlink_to(here / "store" / "a.png")
    Path("store/deep/up").symlink_to(here / "store")
    Path("store/self").symlink_to(here / "in")
    names = ("again/a.png", "again/deep/b.png", "c.png", "linked/a.png", "linked/deep/b.png")
    assert sorted(planned("in", "out").values()) == [f"in/{name}" for name in names]


def test_files_of_other_kinds_are_counted(here):
    files("in/a.png", "in/b.avif", "in/c.AVIF", "in/deep/notes.txt", "in/README", "in/.hidden.txt")
    found = plan(Path("in"), Path("out"), SPEC)
    assert len(found.work) == 1
    assert other_kinds_told(found.others) == "4 files of other kinds: .avif 2, .txt 1, without a suffix 1"


def test_a_folder_of_other_kinds_alone_says_what_it_holds(here):
    files("in/a.avif", "in/b.txt")
    with pytest.raises(DataError, match=r"in holds no image, only 2 files of other kinds: \.avif 1, \.txt 1"):
        plan(Path("in"), Path("out"), SPEC)
