"""`i2i data`: what check tells people and programs, and what get leaves on the disk."""

from __future__ import annotations

import hashlib
import http.server
import io
import json
import tarfile
import threading
import zipfile
import zlib
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from i2i.data.download import record_of
from i2i.data.public import RECORD, get
from i2i.data.public_sets import SETS
from i2i.errors import ResourceError


def picture(path: Path, *, size: tuple[int, int] = (8, 8), mode: str = "RGB", seed: str = "") -> None:
    """Write an image of noise, the same for the same seed, and another for each path without one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(zlib.crc32((seed or str(path)).encode()))
    Image.fromarray(rng.integers(0, 256, (*size[::-1], 3), dtype=np.uint8)).convert(mode).save(path)


@pytest.fixture
def pairs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four sound pairs for training and two for validation."""
    monkeypatch.chdir(tmp_path)
    for name in ("train", "val"):
        for number in range(4 if name == "train" else 2):
            for side in "AB":
                picture(Path("pairs") / name / side / f"{number}.png")
    return Path("pairs")


def test_sound_data_is_described(i2i, pairs):
    ended = i2i("data", "check", "pairs")
    assert ended.code == 0, ended.err
    lines = ended.out.splitlines()
    assert lines[0] == "core/paired-images: folders train/A, …, train/B"
    assert lines[1].split() == ["split", "pairs", "source", "target"]
    assert lines[2].startswith("train  4      3 x uint8, ")
    assert "8x8" in lines[3]
    assert "note: no test: 'pairs' has pairs for train and val, and none for test." in ended.out
    assert lines[-1] == "no problem; 6 of 6 pairs can be used"


@pytest.fixture
def flawed(pairs):
    picture(pairs / "train/A/lonely.png")
    picture(pairs / "train/A/1.jpg")
    picture(pairs / "train/B/2.png", mode="L")
    picture(pairs / "train/A/9.png", size=(8, 5))
    picture(pairs / "train/B/9.png", size=(8, 8))
    (pairs / "val/B/1.png").write_bytes(b"broken")
    return pairs


FLAWS = {
    ("train", "pairs/train/A/1.jpg"): "1.jpg and 1.png have one name, and names tell pairs apart.",
    ("train", "pairs/train/A/lonely.png"): "there is no image 'lonely' in pairs/train/B.",
    ("train", "pairs/train/B/2.png"): (
        "the target has 1 channel(s) of uint8, and most have 3 of uint8, like 0.png."
    ),
    ("train", "pairs/train/B/9.png"): "the source is 8x5 pixels and the target 8x8.",
    ("val", "pairs/val/B/1.png"): "this is not an image in a format that i2i reads.",
}


def test_every_problem_is_listed_with_its_file(i2i, flawed):
    ended = i2i("data", "check", "pairs")
    assert ended.code == 3
    for (split, file), message in FLAWS.items():
        (line,) = (line for line in ended.out.splitlines() if line.split()[1:2] == [file])
        assert line.startswith(split)
        assert line.endswith(message)
    assert "1 of these: the files of a pair have one name." in ended.out
    assert ended.out.splitlines()[-1] == "5 problems; 3 of 6 pairs can be used"


def test_programs_get_the_same_as_json(i2i, flawed):
    ended = i2i("data", "check", "pairs", "--json")
    assert ended.code == 3
    report = json.loads(ended.out)
    assert {(p["split"], p["file"]): p["message"] for p in report["problems"]} == FLAWS
    assert report["layout"] == "folders train/A, …, train/B"
    train = report["splits"]["train"]
    assert (train["pairs"], train["usable"]) == (4, 2)
    assert train["source"]["kinds"] == {"3 x uint8": 2}
    assert train["source"]["sizes"] == {"8x8": 2}
    assert "test" not in report["splits"]


def test_what_is_skipped_is_no_error(i2i, flawed):
    ended = i2i("data", "check", "pairs", "--on-bad", "skip")
    assert ended.code == 0
    assert "5 problems; 3 of 6 pairs can be used" in ended.out


def test_keys_of_the_data_can_be_set(i2i, pairs):
    swapped = i2i("data", "check", "pairs", "--data", "direction=b-to-a", "--data", "size=32")
    assert swapped.code == 0
    labels = i2i("data", "check", "pairs", "--data", "target_labels=12")
    assert labels.code == 3
    assert "in colour, and its classes are known by index" in labels.out
    wrong = i2i("data", "check", "pairs", "--data", "sorce=x")
    assert wrong.code == 2
    assert "did you mean 'source'?" in wrong.err


def test_any_recipe_s_data_can_be_checked(i2i, pairs):
    Path("x.toml").write_text('recipe = 1\nname = "x"\n\n[data]\nuse = "paired-images"\nroot = "pairs"\n')
    ended = i2i("data", "check", "x.toml")
    assert ended.code == 0, ended.err
    assert "6 of 6 pairs" in ended.out


def test_the_same_pair_twice_is_remarked_upon(i2i, pairs):
    for side in "AB":
        picture(pairs / f"train/{side}/a.png", seed="one")
        picture(pairs / f"val/{side}/b.png", seed="one")
    ended = i2i("data", "check", "pairs")
    assert ended.code == 0
    assert "note: the same pair, value by value: a (train), b (val)" in ended.out


def test_of_pairs_that_are_there_many_times_the_first_few_are_told_and_the_rest_counted(i2i, tmp_path):
    for number in range(70):
        for side in "AB":
            picture(tmp_path / f"pairs/train{side}/{number:02d}.png", seed=str(number % 10))
    ended = i2i("data", "check", str(tmp_path / "pairs"), "--data", "splits=[1, 0, 0]")
    assert ended.code == 0
    told = [line for line in ended.out.splitlines() if "the same pair, value by value" in line]
    assert len(told) == 4
    first = ", ".join(f"{number:02d} (train)" for number in range(0, 60, 10))
    assert told[0] == f"note: the same pair, value by value: {first} and 1 more"
    assert told[3] == "note: the same pair, value by value: 10 times in all, 0 of them across splits"


@pytest.mark.parametrize("on_bad", ["refuse", "skip"])
def test_a_split_without_a_usable_pair_is_a_row_and_an_error(i2i, pairs, on_bad):
    for number in range(4):
        (pairs / f"train/A/{number}.png").write_bytes(b"")
    ended = i2i("data", "check", "pairs", "--on-bad", on_bad)
    assert ended.code == 3
    assert any(line.split()[:4] == ["train", "4", "none", "can"] for line in ended.out.splitlines())
    assert "4 problems; 2 of 6 pairs can be used" in ended.out


@pytest.mark.parametrize("on_bad", ["refuse", "skip"])
def test_sides_of_two_sizes_are_refused_with_both_and_the_key(i2i, tmp_path, on_bad):
    for number in range(3):
        picture(tmp_path / f"pairs/trainA/{number}.png", size=(8, 6))
        picture(tmp_path / f"pairs/trainB/{number}.png", size=(32, 24))
    check = ("data", "check", str(tmp_path / "pairs"), "--on-bad", on_bad)
    ended = i2i(*check)
    assert ended.code == 3
    assert "the source is 8x6 pixels and the target 32x24, and both have to be of one size." in ended.out
    assert "like data.size = [24, 32] (height, width)" in ended.out
    assert i2i(*check, "--data", "size=[24, 32]").code == 0


def test_pairs_of_several_sizes_are_refused_where_no_size_is_said(i2i, pairs):
    for side in "AB":
        picture(pairs / f"train/{side}/2.png", size=(20, 10))
    ended = i2i("data", "check", "pairs")
    assert ended.code == 3
    assert "pairs are of different sizes, from 8x8 to 20x10 pixels, and training takes" in ended.out
    assert "like data.size = [8, 8] (height, width)" in ended.out
    assert "1 problem; 6 of 6 pairs can be used" in ended.out
    assert i2i("data", "check", "pairs", "--data", "size=8").code == 0


def test_a_sliver_of_the_range_is_remarked_upon_with_the_share_and_the_key(i2i, tmp_path):
    (tmp_path / "trainA").mkdir()
    (tmp_path / "trainB").mkdir()
    for number in range(2):
        deep = np.linspace(0, 4080, 64).astype(np.uint16).reshape(8, 8)
        np.save(tmp_path / f"trainA/{number}.npy", deep + number)
        picture(tmp_path / f"trainB/{number}.png")
    ended = i2i("data", "check", str(tmp_path))
    assert ended.code == 0
    (told,) = (line for line in ended.out.splitlines() if line.startswith("note: train"))
    assert "values of the source go from 0 to 4081, 6.2% of the range from 0 to 65535" in told
    assert told.endswith("say data.source_range = [0, 4095]")
    assert "values of the target" not in ended.out
    mended = i2i("data", "check", str(tmp_path), "--data", "source_range=[0, 4095]")
    assert "note: train" not in mended.out


def test_few_whole_numbers_are_asked_about(i2i, pairs):
    for number in range(4):
        Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8) % 12).save(
            pairs / f"train/B/{number}.png"
        )
    ended = i2i("data", "check", "pairs")
    told = "values of the target go from 0 to 11: where these are class numbers, say data.target_labels = 12"
    assert f"note: train: {told}" in ended.out


def test_values_outside_of_the_range_are_refused_with_the_ways_out(i2i, pairs):
    ended = i2i("data", "check", "pairs", "--data", "target_range=[0, 100]")
    assert ended.code == 3
    assert "it has values from 0 to 255, and the range is 0 to 100" in ended.out
    assert "6 problems; 0 of 6 pairs can be used" in ended.out
    assert "widen data.target_range; or cut off what is outside by data.clamp = true" in ended.out
    cut = i2i("data", "check", "pairs", "--data", "target_range=[0, 100]", "--data", "clamp=true")
    assert cut.code == 0
    assert "3 x uint8, 0 to 100" in cut.out


def test_a_manifest_that_cannot_be_read_says_so_and_not_that_a_split_is_empty(i2i, tmp_path):
    (tmp_path / "manifest.jsonl").write_text('{"src": "a.png", "target": "b.png"}\n')
    ended = i2i("data", "check", str(tmp_path))
    assert ended.code == 3
    assert "this row names no source; its columns: src, target." in ended.err


def test_a_folder_that_is_none_is_one_sentence(i2i, tmp_path):
    ended = i2i("data", "check", str(tmp_path / "nowhere"))
    assert ended.code == 3
    assert len(ended.err.strip().splitlines()) == 2
    assert "there is no folder or manifest" in ended.err


def test_names_that_no_terminal_should_print_are_spelled_out(i2i, pairs):
    picture(pairs / "train/A/\x1b[31mred.png")
    ended = i2i("data", "check", "pairs")
    assert ended.code == 3
    assert "\x1b" not in ended.out
    assert "\\x1b[31mred.png" in ended.out


# --- get


@pytest.fixture
def server(tmp_path, monkeypatch):
    """Serve a small facades.tar.gz on this machine; return its address and its file."""
    monkeypatch.setenv("I2I_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "served"
    folder.mkdir()
    buffer = io.BytesIO()
    Image.new("RGB", (16, 8)).save(buffer, "JPEG")
    with tarfile.open(folder / "facades.tar.gz", "w:gz") as file:
        for name in ("facades/train/1.jpg", "facades/val/2.jpg"):
            info = tarfile.TarInfo(name)
            info.size = len(buffer.getvalue())
            file.addfile(info, io.BytesIO(buffer.getvalue()))

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format, *args):  # noqa: A002
            """Say nothing."""

    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{running.server_port}/facades.tar.gz", folder / "facades.tar.gz"
    running.shutdown()
    thread.join()
    running.server_close()


def test_a_data_set_is_fetched_unpacked_and_ready(i2i, server):
    url, archive = server
    ended = i2i("data", "get", "facades", "--url", url)
    assert ended.code == 0, ended.err
    sha256 = hashlib.sha256(archive.read_bytes()).hexdigest()
    assert ended.out.splitlines() == [
        f"data/facades: {archive.stat().st_size:,} bytes from {url}",
        f"sha256 {sha256}",
        'In a recipe: use = "paired-images", root = "data/facades"',
    ]
    assert sorted(path.name for path in Path("data").iterdir()) == ["facades"]
    assert json.loads(Path("data/facades", RECORD).read_text())["sha256"] == sha256
    assert record_of(url).is_file()
    checked = i2i("data", "check", "data/facades")
    assert checked.code == 0
    assert "2 of 2 pairs can be used" in checked.out


def test_a_set_without_pairs_comes_as_a_zip_file_and_says_what_reads_it(i2i, server):
    url, archive = server
    zipped = archive.with_name("horse2zebra.zip")
    pixels = io.BytesIO()
    Image.effect_noise((8, 8), 60).save(pixels, "JPEG")
    with zipfile.ZipFile(zipped, "w") as file:
        for name in ("trainA/1.jpg", "trainB/2.jpg", "trainB/3.jpg", "testA/4.jpg", "testB/5.jpg"):
            file.writestr(f"horse2zebra/{name}", pixels.getvalue())
    ended = i2i("data", "get", "horse2zebra", "--url", url.replace(archive.name, zipped.name))
    assert ended.code == 0, ended.err
    assert 'In a recipe: use = "unpaired-images", root = "data/horse2zebra"' in ended.out.splitlines()
    assert sorted(path.name for path in Path("data/horse2zebra").iterdir()) == [
        *(RECORD, "testA", "testB", "trainA", "trainB"),
    ]
    told = i2i("data", "get", "horse2zebra", "--url", url, "--json")
    assert json.loads(told.out)["bytes"] == zipped.stat().st_size


def test_a_zip_file_with_a_path_outside_leaves_no_data(i2i, server):
    url, archive = server
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("../evil", b"x")
    ended = i2i("data", "get", "horse2zebra", "--url", url)
    assert (ended.code, ended.out) == (3, "")
    assert "a path outside of it, '../evil'" in ended.err
    assert not list(Path().rglob("evil"))
    assert not Path("data/horse2zebra").exists()


def test_what_is_there_is_not_fetched_again(i2i, server):
    url, archive = server
    first = i2i("data", "get", "facades", "--url", url)
    archive.unlink()
    assert i2i("data", "get", "facades", "--url", url) == first


def test_another_archive_under_the_same_address_is_refused(i2i, server):
    url, archive = server
    assert i2i("data", "get", "facades", "--url", url).code == 0
    archive.write_bytes(archive.read_bytes() + b"more")
    ended = i2i("data", "get", "facades", "--url", url, "--out", "elsewhere")
    assert ended.code == 3
    assert "is not the file that it was at its first download" in ended.err
    assert list(Path("elsewhere").iterdir()) == []


def test_an_evil_archive_leaves_no_data(i2i, server):
    url, archive = server
    with tarfile.open(archive, "w:gz") as file:
        info = tarfile.TarInfo("../evil")
        file.addfile(info, io.BytesIO())
    ended = i2i("data", "get", "facades", "--url", url)
    assert ended.code == 3
    assert "a path outside of it, '../evil'" in ended.err
    assert not Path("data/facades").exists()
    assert not Path("evil").exists()


def test_a_page_in_place_of_the_archive_is_no_first_download(i2i, server):
    url, archive = server
    whole = archive.read_bytes()
    archive.write_bytes(b"<html>please log in</html>")
    ended = i2i("data", "get", "facades", "--url", url)
    assert ended.code == 3
    assert len(ended.err.strip().splitlines()) == 2
    assert "it was set aside, so the same command downloads it again" in ended.err
    (refused,) = Path("data/.facades").glob("*.refused")
    assert refused.read_bytes() == b"<html>please log in</html>"
    archive.write_bytes(whole)
    assert i2i("data", "get", "facades", "--url", url).code == 0
    assert [path.name for path in Path("data").iterdir()] == ["facades"]


def test_what_came_from_one_address_is_not_taken_for_another(i2i, server):
    url, archive = server
    whole = archive.read_bytes()
    archive.with_name("login.tar.gz").write_bytes(b"<html>please log in</html>")
    assert i2i("data", "get", "facades", "--url", url.replace("facades", "login")).code == 3
    assert i2i("data", "get", "facades", "--url", url).code == 0
    told = json.loads(Path("data/facades", RECORD).read_text())
    assert (told["url"], told["size"]) == (url, len(whole))


def test_what_a_killed_download_left_half_written_is_removed_and_its_part_is_gone_on_with(i2i, server):
    url, _ = server
    work = Path("data/.facades")
    (work / ".unpacking-abc" / "train").mkdir(parents=True)
    (work / ".i2i-abc").write_text("half a no")
    other = work / "0123.tar.gz.part"
    other.write_bytes(b"what has arrived from another address")
    assert i2i("data", "get", "facades", "--url", "http://127.0.0.1:9/x").code == 4
    assert [path.name for path in work.iterdir()] == [other.name]
    assert i2i("data", "get", "facades", "--url", url).code == 0
    assert [path.name for path in Path("data").iterdir()] == ["facades"]


def test_a_folder_of_one_s_own_is_not_touched(i2i, server):
    Path("data/facades").mkdir(parents=True)
    ended = i2i("data", "get", "facades", "--url", server[0])
    assert ended.code == 2
    assert "is there already, and not from a download" in ended.err


def test_offline_is_one_sentence(i2i, server):
    ended = i2i("data", "get", "maps", "--url", "http://127.0.0.1:9/maps.tar.gz")
    assert ended.code == 4
    assert len(ended.err.strip().splitlines()) == 1
    assert "cannot be reached" in ended.err


def test_cityscapes_must_be_asked_for(tmp_path):
    with pytest.raises(ResourceError, match=r"ask its owners for it \(https://www\.cityscapes"):
        get("cityscapes", tmp_path)


def test_a_name_that_is_none_is_corrected(i2i):
    ended = i2i("data", "get", "facade")
    assert ended.code == 2
    assert "did you mean 'facades'?" in ended.err


def test_the_public_addresses_are_those_of_the_paper():
    base = "http://efrosgans.eecs.berkeley.edu/pix2pix/datasets"
    names = ("facades", "maps", "edges2shoes", "edges2handbags", "night2day")
    assert {name: SETS[name].url for name in names} == {name: f"{base}/{name}.tar.gz" for name in names}
    assert set(SETS) == {*names, "cityscapes", "horse2zebra"}
    zipped = "http://efrosgans.eecs.berkeley.edu/cyclegan/datasets/horse2zebra.zip"
    assert (SETS["horse2zebra"].url, SETS["horse2zebra"].use) == (zipped, "unpaired-images")


def test_a_public_set_that_is_not_there_is_named_with_its_command(i2i, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for words, told in (
        (("run", "paper-facades", "--dry-run"), "i2i data get facades fetches it"),
        (("data", "check", "sets/maps"), "i2i data get maps --out sets fetches it"),
        (("data", "check", "data/cityscapes"), "from its owners alone"),
        (("data", "check", "data/horse2zebra"), "i2i data get horse2zebra fetches it"),
    ):
        ended = i2i(*words)
        assert ended.code == 3
        assert "there is no folder or manifest" in ended.err
        assert told in ended.err
    assert "data get" not in i2i("data", "check", "elsewhere").err


def test_a_side_that_is_not_there_is_said_and_the_other_splits_are_read(i2i, pairs):
    picture(pairs / "test/A/1.png")
    ended = i2i("data", "check", "pairs")
    assert ended.code == 0, ended.err
    assert "note: no test: test is incomplete: pairs/test/A is there, and no pairs/test/B." in ended.out
    assert "i2i translate MODEL pairs/test/A OUT" in ended.out
    for file in (pairs / "val/B").iterdir():
        file.unlink()
    (pairs / "val/B").rmdir()
    ended = i2i("data", "check", "pairs")
    assert ended.code == 3
    assert "val is incomplete: pairs/val/A is there, and no pairs/val/B." in ended.out


def test_notes_of_the_data_are_told_once(i2i, pairs):
    for split in ("train", "val"):
        (pairs / split / "A" / "x.avif").touch()
    lines = i2i("data", "check", "pairs").out.splitlines()
    assert lines.count("note: 1 file of another kind: .avif 1; these are left out") == 1


def test_a_split_of_other_images_than_the_training_split_is_a_problem(i2i, tmp_path):
    for split, mode in (("train", "RGB"), ("val", "RGBA")):
        for side in "AB":
            (tmp_path / split / side).mkdir(parents=True)
            for number in range(2):
                path = tmp_path / split / side / f"{number}.png"
                Image.effect_noise((16, 16), 60 + number).convert(mode).save(path)
    ended = i2i("data", "check", str(tmp_path))
    assert ended.code == 3
    assert "the source in the split 'val' has 4 channel(s)" in ended.out + ended.err
