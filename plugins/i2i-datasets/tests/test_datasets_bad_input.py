"""What is no pack, or a damaged one: one sentence with the file, exit code 3, and nothing is written."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest
import torch
from i2i_datasets.pairs import Pairs

from i2i.cli import main
from i2i.errors import DataError, MissingSplitError
from i2i.images import png_bytes

ARROW = "train/data-00000-of-00001.arrow"


def refusal(root: Path, split: str = "train", **keys) -> str:
    """Return the one problem that a folder is refused with."""
    with pytest.raises(DataError) as caught:
        Pairs(split, root=root, **keys)
    (problem,) = caught.value.problems
    return problem.render()


def change(root: Path, **keys) -> None:
    path = root / "i2i-pack.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **keys}))


def test_a_run_ends_with_3_and_writes_nothing(pairs, packed, tmp_path, capsys):
    root = packed(pairs)
    (root / ARROW).write_bytes((root / ARROW).read_bytes()[:-300])
    options = ("--set", "data.use=datasets/pairs", "--set", f"data.root={root}")
    with pytest.raises(SystemExit) as ended:
        main(["run", "shapes", *options, "--out", str(tmp_path / "run")])
    told = capsys.readouterr().err
    assert ended.value.code == 3
    assert "and the pack was written with" in told
    assert "Traceback" not in told
    assert not (tmp_path / "run").exists()


def test_a_folder_that_is_no_pack(pairs):
    assert "is neither a pack nor a folder that datasets.save_to_disk wrote" in refusal(pairs)


def test_a_folder_that_is_not_there(tmp_path):
    assert "there is no folder" in refusal(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["huggan/facades", "hf://datasets/huggan/facades"])
def test_a_name_of_the_hub_is_never_fetched(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = refusal(Path(name))
    assert "pairs are never fetched while they are read" in told
    assert "python -m i2i_datasets get" in told


@pytest.mark.parametrize("key", ["source", "target", "id"])
def test_a_column_that_is_missing(pairs, packed, key):
    told = refusal(packed(pairs), **{key: "sorce"})
    assert f"data.{key}" in told
    assert "there is no column 'sorce'; the columns are id, source, target - did you mean 'source'?" in told


def test_a_column_without_pictures(pairs, packed):
    assert "the column 'id' holds string, and has to hold pictures" in refusal(packed(pairs), target="id")


def test_a_split_that_is_missing(pairs, packed):
    for path in (pairs / "test").rglob("*.png"):
        path.unlink()
    for folder in ("A", "B", ""):
        (pairs / "test" / folder).rmdir()
    with pytest.raises(MissingSplitError, match=r"has no split test; its splits: train, val\."):
        Pairs("test", root=packed(pairs))


@pytest.mark.parametrize(("number", "told"), [(2, "the newer format 2"), (0, "the older format 0")])
def test_a_pack_of_another_format(pairs, packed, number, told):
    root = packed(pairs)
    change(root, format=number)
    assert f"this pack has {told}, and this i2i-datasets reads format 1" in refusal(root)


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"format": 1}', '{"format": 1, "splits": 3}', '{"format": true}']
)
def test_a_damaged_manifest(pairs, packed, text):
    root = packed(pairs)
    (root / "i2i-pack.json").write_text(text)
    assert "the manifest of this pack is damaged" in refusal(root)


@pytest.mark.parametrize("length", [0, 4, 300, -8, -300])
def test_an_arrow_file_that_is_cut_short(pairs, packed, length):
    root = packed(pairs)
    whole = (root / ARROW).read_bytes()
    (root / ARROW).write_bytes(whole[:length])
    told = refusal(root)
    assert str(root / ARROW) in told
    assert f"and the pack was written with {len(whole):,}" in told


@pytest.mark.parametrize("length", [0, 4, 300, -8, -300])
def test_a_folder_of_the_library_that_is_cut_short(pairs, packed, length):
    root = packed(pairs)
    (root / "i2i-pack.json").unlink()
    (root / ARROW).write_bytes((root / ARROW).read_bytes()[:length])
    assert "this is no Arrow file that can be read to its end" in refusal(root)


def test_offsets_that_lead_out_of_the_file_are_never_followed(pairs, packed):
    root = packed(pairs)
    whole = (root / ARROW).read_bytes()
    with pa.ipc.open_stream(whole) as reader:
        size = len(reader.read_all()["source"][0]["bytes"].as_py())
    wild = whole.replace(size.to_bytes(4, "little"), (2**30).to_bytes(4, "little"), 1)
    assert wild != whole
    (root / ARROW).write_bytes(wild)
    assert "this is no Arrow file that can be read to its end" in refusal(root)


def test_a_file_that_is_missing(pairs, packed):
    root = packed(pairs)
    (root / ARROW).unlink()
    assert "this file of the pack cannot be opened: No such file or directory" in refusal(root)


def test_a_list_of_files_that_leads_elsewhere(pairs, packed):
    root = packed(pairs)
    (root / "i2i-pack.json").unlink()
    state = root / "train" / "state.json"
    state.write_text(state.read_text().replace("data-00000", "../val/data-00000"))
    assert "this file does not say what it should" in refusal(root)


def test_a_picture_that_is_cut_short_is_an_error_when_its_turn_comes(pairs, packed):
    root = packed(pairs)
    whole = (root / ARROW).read_bytes()
    picture = (pairs / "train" / "B" / "pair7.png").read_bytes()
    stored = png_bytes(Pairs("train", root=root)[7]["target"])
    assert stored == picture
    (root / ARROW).write_bytes(whole.replace(stored, stored[:200] + bytes(len(stored) - 200)))
    data = Pairs("train", root=root)
    assert data[6]["id"] == "pair6"
    with pytest.raises(DataError, match=rf"{root}/train: row 7, 'pair7'\n  the image cannot be decoded"):
        data[7]


def saved(path: Path, sources, targets) -> Path:
    from datasets import Dataset

    Dataset.from_dict({"source": sources, "target": targets}).save_to_disk(str(path))
    return path


def noise(height: int, width: int, channels: int = 3) -> bytes:
    return png_bytes(torch.randint(0, 256, (channels, height, width)).to(torch.uint8))


def test_sides_of_other_proportions(tmp_path):
    sources = [noise(8, 8)] * 3
    data = Pairs("train", root=saved(tmp_path / "s", sources, [noise(8, 8), noise(8, 12), noise(16, 16)]))
    assert data[2]["target"].shape == (3, 16, 16)
    with pytest.raises(DataError, match="row 1\n  the source is 8x8 pixels and the target 12x8"):
        data[1]


def test_a_picture_of_another_kind_is_told_with_the_key_that_helps(tmp_path):
    root = saved(tmp_path / "s", [noise(8, 8), noise(8, 8), noise(8, 8, 1)], [noise(8, 8)] * 3)
    told = r"the source has 1 channel\(s\) of uint8, and most have 3 of uint8"
    with pytest.raises(DataError, match=rf"row 2\n  {told}.*data.source_channels"):
        Pairs("train", root=root)[2]
    assert Pairs("train", root=root, source_channels=3)[2]["source"].shape == (3, 8, 8)


def test_an_empty_split(tmp_path):
    from datasets import Dataset, Features, Value

    features = Features({"source": Value("binary"), "target": Value("binary")})
    Dataset.from_dict({"source": [], "target": []}, features=features).save_to_disk(str(tmp_path / "s"))
    assert "this split is empty" in refusal(tmp_path / "s")


def test_a_row_without_a_picture(tmp_path):
    root = saved(tmp_path / "s", [noise(8, 8), None, noise(8, 8)], [noise(8, 8)] * 3)
    data = Pairs("train", root=root)
    assert data.file_sizes[1][0] == -1
    with pytest.raises(DataError, match="row 1\n  there is no picture in the column 'source'"):
        data[1]


def test_a_depth_that_would_lose_something(tmp_path):
    deep = png_bytes(torch.full((3, 8, 8), 300).to(torch.uint16))
    root = saved(tmp_path / "s", [deep] * 2, [noise(8, 8)] * 2)
    with pytest.raises(DataError, match=r"the source is stored as uint16, and data\.depth asks for uint8"):
        Pairs("train", root=root, depth="uint8")
