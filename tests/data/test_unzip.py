"""Zip files from elsewhere: plain files come out in one step, and an evil one leaves nothing behind."""

from __future__ import annotations

import random
import shutil
import stat
import struct
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from i2i.data.unpack import unpack
from i2i.errors import DataError, ResourceError

NOISE = random.Random(0).randbytes(20_000)


def member(name: str, *, mode: int = stat.S_IFREG | 0o6777, system: int = 3) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("x")
    info.filename = info.orig_filename = name  # as it stands, whatever zipfile would make of it
    info.create_system, info.external_attr = system, mode << 16
    return info


def archive(folder: Path, *members: tuple[zipfile.ZipInfo, bytes], kind: int = zipfile.ZIP_STORED) -> Path:
    path = folder / "x.zip"
    with zipfile.ZipFile(path, "w", kind) as file:
        for info, content in members:
            file.writestr(info, content, compress_type=kind)
    return path


def refused(path: Path, error: type[Exception] = DataError) -> str:
    """Unpack an archive that is refused; return why. Nothing of it may be left."""
    before = sorted(entry.name for entry in path.parent.iterdir())
    with pytest.raises(error) as caught:
        unpack(path, path.parent / "out")
    assert sorted(entry.name for entry in path.parent.iterdir()) == before
    assert not (path.parent.parent / "evil").exists()
    return str(caught.value)


@pytest.mark.parametrize(
    "kind", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)
def test_the_one_folder_of_an_archive_becomes_the_target(tmp_path: Path, kind: int) -> None:
    path = archive(
        tmp_path,
        (member("h2z/", mode=stat.S_IFDIR | 0o777), b""),
        (member("h2z/trainA/1.jpg"), b"one"),
        (member("h2z/trainB/2.jpg", mode=0, system=0), NOISE),
        kind=kind,
    )
    counts: list[int] = []
    assert unpack(path, tmp_path / "out", beside={"note.txt": "three"}, watch=counts.append) == 2
    assert (tmp_path / "out/trainA/1.jpg").read_bytes() == b"one"
    assert (tmp_path / "out/trainB/2.jpg").read_bytes() == NOISE
    assert (tmp_path / "out/note.txt").read_text() == "three"
    assert (tmp_path / "out/trainA/1.jpg").stat().st_mode & 0o6022 == 0
    assert counts == [1, 2]
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["out", "x.zip"]


@pytest.mark.parametrize(
    ("evil", "words"),
    [
        (member("/tmp/evil"), "a path outside"),
        (member("../evil"), "a path outside"),
        (member("a/../../evil"), "a path outside"),
        (member("..\\evil"), "a path outside"),
        (member("C:\\evil"), "a path outside"),
        (member("C:evil"), "a path outside"),
        (member("link", mode=stat.S_IFLNK | 0o777), "a link or a device"),
        (member("null", mode=stat.S_IFCHR | 0o666), "a link or a device"),
        (member("pipe", mode=stat.S_IFIFO | 0o666), "a link or a device"),
        (member("folder/", mode=stat.S_IFLNK | 0o777), "a link or a device"),
        (member("a/" * 1500 + "1.jpg"), "a path of 1,501 parts"),
        (member("n" * 2000 + ".jpg"), "2,004 characters"),
        (member("good.jpg"), "holds 'good.jpg' twice"),
        (member("good.jpg/inside.jpg"), "holds 'good.jpg/inside.jpg' twice"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_evil_archive_leaves_nothing_behind(tmp_path: Path, evil: zipfile.ZipInfo, words: str) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    content = b"" if evil.filename.endswith("/") else b"/etc"
    assert words in refused(archive(inside, (member("good.jpg"), b"x"), (evil, content)))


def test_a_name_that_ends_at_a_zero_byte_is_refused(tmp_path: Path) -> None:
    path = archive(tmp_path, (member("aaaa.jpg"), b"x"))
    path.write_bytes(path.read_bytes().replace(b"aaaa.jpg", b"aa\0a.jpg"))
    assert "a path outside of it, 'aa\\x00a.jpg'" in refused(path)


def test_a_small_archive_of_much_data_is_refused(tmp_path: Path) -> None:
    path = archive(tmp_path, (member("bomb.jpg"), bytes(70 << 20)), kind=zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 100_000
    assert "unpacks to more than 67,108,864 bytes" in refused(path)


def test_a_file_that_says_to_be_short_is_not_read_further(tmp_path: Path) -> None:
    path = archive(tmp_path, (member("bomb.jpg"), bytes(5 << 20)), kind=zipfile.ZIP_DEFLATED)
    raw = path.read_bytes()
    path.write_bytes(raw.replace(struct.pack("<L", 5 << 20), struct.pack("<L", 100)))
    assert "Bad CRC-32" in refused(path)


def test_one_piece_of_the_file_that_many_members_claim_counts_each_time(tmp_path: Path) -> None:
    """The bomb of overlapping members (Fifield 2019): what all say that they hold is added up."""
    size = 1 << 20
    path = archive(tmp_path, (member("0.jpg"), bytes(size)), kind=zipfile.ZIP_DEFLATED)
    with zipfile.ZipFile(path, "a") as file:
        for number in range(1, 100):
            again = member(f"{number}.jpg")
            first = file.filelist[0]
            for name in ("header_offset", "compress_type", "compress_size", "file_size", "CRC"):
                setattr(again, name, getattr(first, name))
            file.filelist.append(again)
        file._didModify = True
    assert "unpacks to more than 67,108,864 bytes" in refused(path)


def test_an_archive_with_a_password_is_refused(tmp_path: Path) -> None:
    path = archive(tmp_path, (member("1.jpg"), b"x" * 100))
    raw = bytearray(path.read_bytes())
    for magic, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        raw[raw.index(magic) + place] |= 1
    path.write_bytes(raw)
    assert "wants a password for '1.jpg'" in refused(path)


@pytest.mark.parametrize("damage", ["cut", "flipped", "no end", "method", "empty"])
def test_a_damaged_archive_leaves_nothing_behind(tmp_path: Path, damage: str) -> None:
    path = archive(tmp_path, (member("1.jpg"), NOISE), (member("2.jpg"), NOISE), kind=zipfile.ZIP_DEFLATED)
    whole = path.read_bytes()
    middle = len(whole) // 2
    method = bytearray(whole)
    for magic, place in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        method[method.index(magic) + place] = 97
    path.write_bytes(
        {
            "cut": whole[:middle],
            "flipped": whole[:middle] + bytes([whole[middle] ^ 255]) + whole[middle + 1 :],
            "no end": whole[:-30],
            "method": bytes(method),
            "empty": archive(tmp_path).read_bytes(),
        }[damage]
    )
    assert "x.zip" in refused(path)


def test_archives_with_changed_bytes_are_unpacked_whole_or_refused(tmp_path: Path) -> None:
    path = archive(tmp_path, (member("a/1.jpg"), NOISE[:300]), (member("b/2.jpg"), NOISE[:300]))
    whole, rng, refusals = path.read_bytes(), random.Random(1), 0
    for _ in range(300):
        damaged = bytearray(whole)
        for _ in range(rng.choice((1, 3, 20))):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        path.write_bytes(damaged)
        try:
            unpack(path, tmp_path / "out")
        except (DataError, ResourceError):
            refusals += 1
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        assert [entry.name for entry in tmp_path.iterdir()] == ["x.zip"]
    assert refusals > 200


def test_an_archive_larger_than_the_disk_is_refused(tmp_path: Path, monkeypatch) -> None:
    path = archive(tmp_path, (member("big.jpg"), bytes(10_000)))
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=9_999))
    assert "9,999 bytes that are free" in refused(path, ResourceError)
