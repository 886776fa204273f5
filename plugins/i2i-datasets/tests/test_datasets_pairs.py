"""The data set: what it reads is what was packed or saved, at its true depth, in any process."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
import torch
from i2i_datasets.pairs import Pairs
from PIL import Image

from i2i import open_split
from i2i.data.fingerprint import fingerprint
from i2i.images import png_bytes
from i2i.images.values import normalise
from i2i.kinds import ImageSpec


def folder(root: Path, split: str = "train", **keys):
    return open_split({"use": "paired-images", "root": str(root), **keys}, split)


def same(one, other) -> bool:
    return len(one) == len(other) and all(
        one[index]["id"] == other[index]["id"]
        and torch.equal(one[index]["source"], other[index]["source"])
        and torch.equal(one[index]["target"], other[index]["target"])
        for index in range(len(one))
    )


def image(seed: int, channels: int = 3, deep: bool = False, size: tuple[int, int] = (9, 12)) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    values = torch.randint(0, 65536 if deep else 256, (channels, *size), generator=rng)
    return values.to(torch.uint16 if deep else torch.uint8)


def saved(path: Path, **columns):
    """Save columns of bytes as `datasets.save_to_disk` does, as `Image`s where their names begin with "i"."""
    from datasets import Dataset, Features, Value
    from datasets import Image as Picture

    features = {name: Picture() if name.startswith("i") else Value("binary") for name in columns}
    held = {
        name: [{"bytes": each, "path": None} for each in values] if name.startswith("i") else values
        for name, values in columns.items()
    }
    data = Dataset.from_dict(held, features=Features(features))
    data.save_to_disk(str(path))
    return data


# --- a pack


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_a_pack_has_the_pairs_of_its_folder_in_the_same_order(pairs, packed, split):
    there, here = folder(pairs, split), Pairs(split, root=packed(pairs))
    assert same(there, here)
    assert here.ids == there.ids
    assert here.spec == there.spec
    assert fingerprint(here)["ids"] == fingerprint(there)["ids"]


def test_the_natural_order_of_names_is_kept(pairs, packed):
    assert Pairs("train", root=packed(pairs)).ids[:3] == ["pair0", "pair1", "pair2"]


def test_the_other_direction_changes_the_sides(pairs, packed):
    root = packed(pairs)
    assert same(folder(pairs, direction="b-to-a"), Pairs("train", root=root, direction="b-to-a"))
    assert same(
        folder(pairs, direction="b-to-a"), Pairs("train", root=root, source="target", target="source")
    )


def test_a_size_is_that_of_the_spec_and_changes_no_item(pairs, packed):
    root = packed(pairs)
    one, other = Pairs("train", root=root), Pairs("train", root=root, size=(32, 24))
    assert (other.spec.source.size, other.spec.target.size) == ((32, 24), (32, 24))
    assert same(one, other)
    assert Pairs("train", root=root, size=8).spec.target.size == (8, 8)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_16_bits_stay_16_bits(tmp_path, packed, channels):
    for side in "AB":
        (tmp_path / "deep" / "train" / side).mkdir(parents=True)
    for number in range(3):
        for side, stored in (("A", image(number, channels, deep=True)), ("B", image(number + 9, 1))):
            (tmp_path / "deep" / "train" / side / f"{number}.png").write_bytes(png_bytes(stored))
    data = Pairs("train", root=packed(tmp_path / "deep", "--data", "splits=[1,0,0]"))
    assert (data.spec.source.depth, data.spec.source.high) == ("uint16", 65535.0)
    assert torch.equal(data[2]["source"], image(2, channels, deep=True))
    assert torch.equal(data[2]["target"], image(11, 1))


def test_maps_of_classes_and_floats_and_sides_of_several_files_come_back_to_the_bit(tmp_path, packed):
    root = tmp_path / "streets"
    for split in ("train", "val"):
        for number in range(3):
            rng = np.random.default_rng(number)
            for name in ("labels", "edges", "photo", "depth"):
                (root / split / name).mkdir(parents=True, exist_ok=True)
            labels = rng.integers(0, 5, (8, 8), dtype=np.uint8)
            Image.fromarray(labels).save(root / split / "labels" / f"{number}.png")
            Image.fromarray(labels * 40).save(root / split / "edges" / f"{number}.png")
            colours = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(colours).save(root / split / "photo" / f"{number}.png")
            np.save(root / split / "depth" / f"{number}.npy", rng.random((8, 8), dtype=np.float32))
    keys = {
        "source": ["labels", "edges"],
        "target": ["photo", "depth"],
        "source_labels": {"labels": 5},
        "target_range": {"depth": [0, 1]},
    }
    options = [
        *("--data", 'source=["labels", "edges"]', "--data", 'target=["photo", "depth"]'),
        *("--data", "source_labels.labels=5", "--data", "target_range.depth=[0, 1]"),
    ]
    data = Pairs("train", root=packed(root, *options))
    assert data.spec == folder(root, **keys).spec
    assert same(folder(root, **keys), data)
    classes = ("--data", "source=labels", "--data", "target=photo", "--data", "source_labels=5")
    alone = Pairs("train", root=packed(root, *classes, name="labels"))
    assert alone.spec.source.one_hot
    assert same(folder(root, source="labels", target="photo", source_labels=5), alone)


def test_further_fields_are_packed_too(tmp_path, packed):
    for number in range(3):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(tmp_path / f"a{number}.png")
        Image.new("L", (8, 8), number).save(tmp_path / f"m{number}.png")
    rows = "".join(f"a{n}.png,a{n}.png,m{n}.png,train\n" for n in range(3))
    (tmp_path / "manifest.csv").write_text(f"source,target,mask,split\n{rows}")
    keys = ("--data", 'extra=["mask"]', "--data", "splits=[1,0,0]")
    data = Pairs("train", root=packed(tmp_path / "manifest.csv", *keys))
    assert data.extra["mask"].channels == 1
    assert torch.equal(data[2]["mask"], torch.full((1, 8, 8), 2, dtype=torch.uint8))


def test_any_data_set_of_a_recipe_can_be_packed(tmp_path, packed):
    recipe = tmp_path / "shapes.toml"
    text = 'recipe = 1\nname = "mine"\n[data]\nuse = "shapes"\ncount = 20\nsize = [16, 16]\n'
    recipe.write_text(text)
    assert same(open_split(recipe, "test"), Pairs("test", root=packed(recipe)))


# --- what the library wrote


def test_a_folder_of_save_to_disk_is_read_by_its_columns(tmp_path):
    sources, targets = [image(n) for n in range(4)], [image(n + 9) for n in range(4)]
    saved(tmp_path / "s", i_in=[*map(png_bytes, sources)], out=[*map(png_bytes, targets)])
    data = Pairs("train", root=tmp_path / "s", source="i_in", target="out")
    assert data.ids == ["0000000", "0000001", "0000002", "0000003"]
    assert data.spec.source == ImageSpec(3, 9, 12)
    for number in range(4):
        assert torch.equal(data[number]["source"], sources[number])
        assert torch.equal(data[number]["target"], targets[number])
    assert data.file_sizes[1] == (len(png_bytes(sources[1])), len(png_bytes(targets[1])))


def test_several_splits_and_shards_are_read_in_order(tmp_path):
    from datasets import Dataset, DatasetDict

    made = saved(tmp_path / "one", i_a=[png_bytes(image(n)) for n in range(10)])
    made = made.add_column("id", [f"n{n}" for n in range(10)])
    splits = DatasetDict(train=made.select(range(7)), validation=Dataset.from_dict(made[7:], made.features))
    splits.save_to_disk(str(tmp_path / "s"), num_shards={"train": 3, "validation": 1})
    data = Pairs("train", root=tmp_path / "s", source="i_a", target="i_a", id="id")
    assert len(list((tmp_path / "s" / "train").glob("*.arrow"))) == 3
    assert data.ids == [f"n{n}" for n in range(7)]
    assert torch.equal(data[6]["source"], image(6))
    assert Pairs("val", root=tmp_path / "s", source="i_a", target="i_a").ids == ["n7", "n8", "n9"]


def test_the_library_opens_a_pack(pairs, packed):
    from datasets import load_from_disk

    library, data = load_from_disk(str(packed(pairs))), Pairs("train", root=packed(pairs, name="again"))
    assert {name: len(split) for name, split in library.items()} == {"train": 12, "val": 3, "test": 2}
    row = library["train"][7]
    assert row["id"] == data[7]["id"]
    assert np.array_equal(np.asarray(row["source"]), data[7]["source"].permute(1, 2, 0).numpy())


def test_eight_bits_become_sixteen_where_that_is_asked_for_and_mean_the_same(tmp_path):
    sources, targets = [image(0), image(1, deep=True)], [image(2, 1), image(3, 1)]
    saved(tmp_path / "s", i_in=[*map(png_bytes, sources)], i_out=[*map(png_bytes, targets)])
    keys = {"root": tmp_path / "s", "source": "i_in", "target": "i_out", "depth": "uint16"}
    data = Pairs("train", **keys, target_channels=3)
    assert (data.spec.source.depth, data.spec.target.channels) == ("uint16", 3)
    stored, spec = data[0]["source"], data.spec.source
    assert stored.dtype == torch.uint16
    assert torch.allclose(normalise(stored, spec), normalise(image(0), ImageSpec(3, 9, 12)), atol=1e-6)
    assert torch.equal(data[1]["source"], image(1, deep=True))
    assert torch.equal(data[1]["target"][2].int(), image(3, 1)[0].int() * 257)


# --- processes, and what is not there


def digest_in_child(data, index: int) -> str:
    return data[index]["source"].numpy().tobytes().hex()


@pytest.mark.parametrize("way", ["fork", "spawn"])
def test_another_process_maps_the_files_again_and_reads_the_same(pairs, packed, way):
    data = Pairs("train", root=packed(pairs))
    wanted = digest_in_child(data, 5)
    with get_context(way).Pool(2) as pool:
        assert pool.starmap(digest_in_child, [(data, 5)] * 4) == [wanted] * 4
    assert digest_in_child(data, 5) == wanted


def test_a_copy_that_is_sent_holds_no_pixels(pairs, packed):
    data = Pairs("train", root=packed(pairs))
    sent = pickle.dumps(data)
    assert len(sent) < 4000
    assert same(data, pickle.loads(sent))


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts file descriptors as Linux lists them")
def test_no_file_stays_open(pairs, packed):
    root = packed(pairs)
    before = len(os.listdir("/proc/self/fd"))
    data = [Pairs("train", root=root) for _ in range(5)]
    assert data[3][4]["id"]
    assert len(os.listdir("/proc/self/fd")) == before


def test_reading_needs_neither_the_library_nor_a_network(pairs, packed):
    root = packed(pairs)
    script = (
        "import socket, sys, json\n"
        "def refused(*_, **__): raise AssertionError('a socket was opened')\n"
        "socket.socket.connect = socket.create_connection = socket.getaddrinfo = refused\n"
        "from pathlib import Path\n"
        "from i2i_datasets.pairs import Pairs\n"
        f"data = Pairs('train', root=Path({str(root)!r}))\n"
        "[data[index] for index in range(len(data))]\n"
        "print(json.dumps(sorted(sys.modules)))\n"
    )
    paths = os.pathsep.join(path for path in sys.path if path)
    answer = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": paths},
    )
    loaded = {name.partition(".")[0] for name in json.loads(answer.stdout)}
    assert not {"datasets", "huggingface_hub"} & loaded
