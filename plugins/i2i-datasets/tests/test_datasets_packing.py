"""`python -m i2i_datasets pack`: whole or not at all, and what it says of pairs that cannot be used."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from i2i_datasets.command import main
from i2i_datasets.pairs import Pairs
from PIL import Image


def ended(capsys, *arguments: object) -> tuple[int, str, str]:
    """Return the exit code of a command, and what it printed on both streams."""
    with pytest.raises(SystemExit) as end:
        main([*map(str, arguments)])
    printed = capsys.readouterr()
    return end.value.code, printed.out, printed.err


def left_beside(out: Path) -> list[str]:
    return [entry.name for entry in out.parent.iterdir() if entry.name.startswith(".i2i-")]


def test_a_pack_tells_its_counts_and_digests(pairs, packed, capsys):
    out = packed(pairs)
    said = json.loads((out / "i2i-pack.json").read_text())
    assert {name: split["pairs"] for name, split in said["splits"].items()} == {
        "train": 12,
        "val": 3,
        "test": 2,
    }
    for name, split in said["splits"].items():
        data = (out / name / "data-00000-of-00001.arrow").read_bytes()
        assert (split["bytes"], split["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
        assert split["sha256"] in capsys.readouterr().out or name != "train"
    assert said["source"] == f"the image pairs in {pairs}"
    assert not left_beside(out)


def test_two_packs_of_one_folder_are_the_same_bytes(pairs, packed):
    one, other = packed(pairs), packed(pairs, name="again")
    for path in one.rglob("*"):
        if path.is_file():
            assert path.read_bytes() == (other / path.relative_to(one)).read_bytes()


def test_a_folder_that_is_there_is_left_alone(pairs, tmp_path, capsys):
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("kept")
    code, _, told = ended(capsys, "pack", pairs, out)
    assert (code, told) == (2, f"{out} is there already: name another folder, or remove it first.\n")
    assert [entry.name for entry in out.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("damage", ["cut", "other size", "no partner"])
def test_a_damaged_pair_is_named_and_nothing_is_written(pairs, tmp_path, capsys, damage):
    path = pairs / "train" / "B" / "pair7.png"
    harm(path, damage)
    code, _, told = ended(capsys, "pack", pairs, tmp_path / "new" / "out")
    assert code == 3
    assert "pair7.png" in told
    assert "Traceback" not in told
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("damage", ["cut", "other size", "no partner"])
def test_skipped_pairs_are_listed_and_the_others_keep_their_order(pairs, packed, capsys, damage):
    harm(pairs / "train" / "B" / "pair7.png", damage)
    out = packed(pairs, "--on-bad", "skip")
    told = capsys.readouterr().out
    assert told.count("left out") == 1
    assert "pair7" in told
    assert Pairs("train", root=out).ids == [f"pair{n}" for n in range(12) if n != 7]
    (left,) = json.loads((out / "i2i-pack.json").read_text())["splits"]["train"]["left_out"]
    assert "pair7.png" in left["file"]


def harm(path: Path, how: str) -> None:
    from PIL import Image

    if how == "cut":
        path.write_bytes(path.read_bytes()[:200])
    elif how == "other size":
        Image.new("RGB", (16, 30)).save(path)
    else:
        path.unlink()


def test_a_split_without_a_pair_that_can_be_used_is_an_error_even_where_bad_ones_are_skipped(
    pairs, tmp_path, capsys
):
    for path in (pairs / "val").rglob("*.png"):
        path.write_bytes(b"no picture")
    code, _, told = ended(capsys, "pack", pairs, tmp_path / "out", "--on-bad", "skip")
    assert code == 3
    assert "pair0.png" in told
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["{}/nowhere", "{}/out"], 3, "there is no folder or manifest '{}/nowhere'"),
        (["{}/nowhere.toml", "{}/out"], 2, "nowhere.toml"),
        (["{}/pairs", "{}/out", "--data", "sise=3"], 2, "did you mean 'size'?"),
        (["{}/pairs", "{}/out", "--on-bad", "ignore"], 2, "'ignore' is not one of 'refuse', 'skip'"),
        (["{}/pairs"], 2, "OUT"),
    ],
    ids=["no folder", "no recipe", "misspelt key", "misspelt choice", "no out"],
)
def test_what_cannot_be_packed_is_told_in_a_sentence(pairs, tmp_path, capsys, arguments, code, told):
    found, _, printed = ended(capsys, "pack", *(text.format(tmp_path) for text in arguments))
    assert found == code
    assert told.format(tmp_path) in " ".join(printed.split())
    assert not (tmp_path / "out").exists()
    assert "Traceback" not in printed


def test_pictures_without_pairs_are_no_pack(tmp_path, capsys):
    for name in ("trainA/1", "trainB/2", "testA/3", "testB/4"):
        picture = tmp_path / "pictures" / f"{name}.png"
        picture.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(picture)
    recipe = tmp_path / "pictures.toml"
    data = f'use = "unpaired-images"\nroot = "{tmp_path / "pictures"}"\nsize = [8, 8]\n'
    recipe.write_text(f'recipe = 1\nname = "mine"\n[data]\n{data}')
    code, _, told = ended(capsys, "pack", recipe, tmp_path / "out")
    assert code == 2
    assert "a pack holds pairs" in told
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_nothing(pairs, tmp_path, signum, code):
    for number in range(12, 3000):  # enough for a signal to arrive in the middle
        for side in "AB":
            place = pairs / "train" / side
            shutil.copyfile(place / "pair0.png", place / f"pair{number}.png")
    out = tmp_path / "packs" / "out"
    paths = os.pathsep.join(path for path in sys.path if path)
    process = subprocess.Popen(
        [sys.executable, "-m", "i2i_datasets", "pack", str(pairs), str(out)],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": paths},
    )
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("packs/.i2i-*/train/*.arrow")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signum)
    _, told = process.communicate(timeout=60)
    assert process.returncode == code, told
    assert told.strip().endswith("interrupted; nothing was written")
    assert not (tmp_path / "packs").exists()


def test_help_shows_commands_that_work_as_they_stand(capsys):
    code, told, _ = ended(capsys, "pack", "--help")
    assert code == 0
    assert "python -m i2i_datasets pack my-pairs packs/mine" in told
    _, told, _ = ended(capsys, "--help")
    assert "3              data that are missing, unreadable or do not fit" in told
