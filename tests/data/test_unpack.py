"""Archives from elsewhere: plain files come out in one step, and an evil one leaves nothing behind."""

from __future__ import annotations

import io
import shutil
import tarfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from i2i.data.unpack import unpack
from i2i.errors import DataError, ResourceError


def member(name: str, content: bytes = b"x", *, kind: bytes = tarfile.REGTYPE, link: str = ""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, len(content) if kind == tarfile.REGTYPE else 0
    info.mode = 0o6777
    return info, content


def archive(folder: Path, *members, mode: str = "w:gz") -> Path:
    path = folder / "x.tar.gz"
    with tarfile.open(path, mode) as file:
        for info, content in members:
            file.addfile(info, io.BytesIO(content))
    return path


def test_the_one_folder_of_an_archive_becomes_the_target(tmp_path):
    path = archive(
        tmp_path,
        member("facades", kind=tarfile.DIRTYPE),
        member("facades/train/1.jpg", b"one"),
        member("./facades/val/2.jpg", b"two"),
    )
    assert unpack(path, tmp_path / "out", beside={"note.txt": "three"}) == 2
    assert (tmp_path / "out/train/1.jpg").read_bytes() == b"one"
    assert (tmp_path / "out/val/2.jpg").read_bytes() == b"two"
    assert (tmp_path / "out/note.txt").read_text() == "three"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["out", "x.tar.gz"]
    assert (tmp_path / "out/train/1.jpg").stat().st_mode & 0o6022 == 0


def test_an_archive_without_a_folder_is_put_into_one(tmp_path):
    path = archive(tmp_path, member("1.jpg"), member("train/2.jpg"), mode="w")
    counts = []
    unpack(path, tmp_path / "out", watch=counts.append)
    assert sorted(entry.name for entry in (tmp_path / "out").iterdir()) == ["1.jpg", "train"]
    assert counts == [1, 2]


@pytest.mark.parametrize(
    ("evil", "words"),
    [
        (member("/tmp/evil"), "a path outside"),
        (member("../evil"), "a path outside"),
        (member("a/../../evil"), "a path outside"),
        (member("..\\evil"), "a path outside"),
        (member("C:\\evil"), "a path outside"),
        (member("C:evil"), "a path outside"),
        (member("link", kind=tarfile.SYMTYPE, link="/etc"), "a link or a device"),
        (member("link", kind=tarfile.SYMTYPE, link="good.jpg"), "a link or a device"),
        (member("link", kind=tarfile.LNKTYPE, link="../../etc/passwd"), "a link or a device"),
        (member("null", kind=tarfile.CHRTYPE), "a link or a device"),
        (member("pipe", kind=tarfile.FIFOTYPE), "a link or a device"),
    ],
)
def test_an_evil_archive_leaves_nothing_behind(tmp_path, evil, words):
    inside = tmp_path / "inside"
    inside.mkdir()
    path = archive(inside, member("good.jpg"), evil, member("link/later.jpg"))
    with pytest.raises(DataError, match=words) as caught:
        unpack(path, inside / "out")
    assert caught.value.exit_code == 3
    assert [entry.name for entry in inside.iterdir()] == ["x.tar.gz"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["inside"]


@pytest.mark.parametrize("damage", ["cut", "flipped", "nothing", "no tar", "empty"])
def test_a_damaged_archive_leaves_nothing_behind(tmp_path, damage):
    path = archive(tmp_path, *(member(f"{n}.jpg", bytes(range(256)) * 40) for n in range(50)))
    whole = path.read_bytes()
    middle = len(whole) // 2
    path.write_bytes(
        {
            "cut": whole[:middle],
            "flipped": whole[:middle] + bytes([whole[middle] ^ 255]) + whole[middle + 1 :],
            "nothing": b"",
            "no tar": b"<html>not found</html>" * 100,
            "empty": archive(tmp_path).read_bytes(),
        }[damage]
    )
    with pytest.raises(DataError, match=r"x\.tar\.gz"):
        unpack(path, tmp_path / "out")
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.tar.gz"]


def test_an_archive_larger_than_the_disk_is_refused(tmp_path, monkeypatch):
    path = archive(tmp_path, member("big.jpg", bytes(10_000)))
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=9_999))
    with pytest.raises(ResourceError, match="9,999 bytes that are free"):
        unpack(path, tmp_path / "out")
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.tar.gz"]


def test_a_target_that_is_there_is_not_replaced(tmp_path):
    path = archive(tmp_path, member("1.jpg"))
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine.txt").touch()
    with pytest.raises(ResourceError, match="cannot be written"):
        unpack(path, tmp_path / "out")
    assert [entry.name for entry in (tmp_path / "out").iterdir()] == ["mine.txt"]


# --- bounds -------------------------------------------------------------------------------------------


def refused(path: Path) -> str:
    """Unpack an archive that is refused; return why. Nothing of it may be left."""
    before = sorted(entry.name for entry in path.parent.iterdir())
    with pytest.raises(DataError) as caught:
        unpack(path, path.parent / "out")
    assert sorted(entry.name for entry in path.parent.iterdir()) == before
    return str(caught.value)


@pytest.mark.parametrize("suffix", ["gz", "bz2", "xz"])
def test_an_archive_of_each_compression_is_unpacked(tmp_path, suffix):
    path = archive(tmp_path, member("1.jpg", b"one"), mode=f"w:{suffix}")
    assert unpack(path, tmp_path / "out") == 1
    assert (tmp_path / "out/1.jpg").read_bytes() == b"one"


def test_a_small_archive_of_much_data_is_refused(tmp_path):
    path = archive(tmp_path, member("1.jpg"), member("bomb.jpg", bytes(70 << 20)))
    assert path.stat().st_size < 100_000
    assert "unpacks to more than 67,108,864 bytes" in refused(path)


def test_folders_inside_each_other_without_end_are_refused(tmp_path):
    assert "a path of 1,501 parts" in refused(archive(tmp_path, member("a/" * 1500 + "1.jpg")))


def test_a_path_that_no_disk_takes_is_refused(tmp_path):
    assert "2,004 characters" in refused(archive(tmp_path, member("n" * 2000 + ".jpg")))


def test_a_header_of_any_length_is_refused_before_it_is_read(tmp_path):
    info, _ = member("1.jpg")
    info.pax_headers = {"comment": "x" * (2 << 20)}
    path = tmp_path / "x.tar.gz"
    with tarfile.open(path, "w:gz", format=tarfile.PAX_FORMAT) as file:
        file.addfile(info, io.BytesIO(b"x"))
    assert "has a header of 2,097," in refused(path)


def test_headers_of_headers_without_end_are_refused(tmp_path):
    long_name = tarfile.TarInfo("././@LongLink")
    long_name.type, long_name.size = tarfile.GNUTYPE_LONGNAME, 2
    path = archive(tmp_path, *((long_name, b"x\0") for _ in range(3000)), member("1.jpg"), mode="w")
    assert "headers of headers" in refused(path)


def test_damage_in_the_midst_is_not_taken_for_the_end(tmp_path):
    path = archive(tmp_path, member("1.jpg"), member("2.jpg"), member("3.jpg"), mode="w")
    raw = bytearray(path.read_bytes())
    raw[2 * 1024] ^= 1  # the name of the third
    path.write_bytes(raw)
    assert "damaged in its midst" in refused(path)
