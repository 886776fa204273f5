"""Weights files say what they are, and notice when they are not whole."""

from __future__ import annotations

import json
import os
import resource
import time
from pathlib import Path

import pytest
import safetensors
import safetensors.torch
import torch

from i2i.errors import DataError, RecipeError, ResourceError
from i2i.runs import weights


def test_tensors_and_header_come_back_as_they_were(tmp_path):
    tensors = {"a": torch.rand(2, 3), "b": torch.arange(4), "c": torch.rand(3).to(torch.bfloat16)}
    header = {"component": "core/unet", "slot": {"use": "core/unet", "betas": [0.5, 0.999]}, "rev": 2}
    weights.write(tmp_path / "w.safetensors", tensors, header)
    file = weights.read(tmp_path / "w.safetensors")
    assert all(torch.equal(file.tensors[name], tensor) for name, tensor in tensors.items())
    assert {key: file.header[key] for key in header} == header


def test_other_readers_of_safetensors_can_read_it(tmp_path):
    weights.write(tmp_path / "w.safetensors", {"a": torch.ones(3)}, {"rev": 1})
    assert torch.equal(safetensors.torch.load_file(tmp_path / "w.safetensors")["a"], torch.ones(3))
    with safetensors.safe_open(tmp_path / "w.safetensors", "pt") as file:
        assert file.metadata()["format_version"] == "3"
        assert len(file.metadata()["sha256"]) == 64


def test_channels_last_and_shared_tensors_are_written(tmp_path):
    image = torch.rand(1, 3, 4, 5)
    shared = {"a": image.to(memory_format=torch.channels_last), "b": image, "c": image[:, :1]}
    weights.write(tmp_path / "w.safetensors", shared, {})
    read = weights.read(tmp_path / "w.safetensors").tensors
    assert all(torch.equal(read[name], tensor) for name, tensor in shared.items())


def test_equal_weights_make_equal_files_and_the_checksum_ignores_the_header(tmp_path):
    one = weights.encode({"a": torch.ones(3)}, {"x": 1})
    assert one == weights.encode({"a": torch.ones(3)}, {"x": 1})
    (tmp_path / "a").write_bytes(one)
    (tmp_path / "b").write_bytes(weights.encode({"a": torch.ones(3)}, {"x": 2}))
    digests = {weights.read(tmp_path / name).header["sha256"] for name in "ab"}
    assert len(digests) == 1


def test_a_single_flipped_bit_is_noticed(tmp_path):
    raw = bytearray(weights.encode({"a": torch.ones(64)}, {}))
    raw[-5] ^= 1
    (tmp_path / "w.safetensors").write_bytes(raw)
    with pytest.raises(DataError, match="damaged"):
        weights.read(tmp_path / "w.safetensors")


def test_a_truncated_file_is_refused(tmp_path):
    raw = weights.encode({"a": torch.ones(64)}, {})
    for length in (0, 4, 20, len(raw) - 1):
        (tmp_path / "w.safetensors").write_bytes(raw[:length])
        with pytest.raises(DataError, match=r"w\.safetensors"):
            weights.read(tmp_path / "w.safetensors")


def test_somebody_elses_safetensors_are_told_apart(tmp_path):
    safetensors.torch.save_file({"a": torch.ones(3)}, tmp_path / "w.safetensors", {"format": "pt"})
    with pytest.raises(DataError, match="was not written by i2i"):
        weights.read(tmp_path / "w.safetensors")


def test_a_newer_format_asks_for_an_update(tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "FORMAT", "4")
    weights.write(tmp_path / "w.safetensors", {"a": torch.ones(3)}, {})
    monkeypatch.undo()
    with pytest.raises(DataError, match="format 4, and this i2i reads 1, 2, 3: update"):
        weights.read(tmp_path / "w.safetensors")


def test_a_pickle_is_never_opened(tmp_path):
    torch.save({"a": torch.ones(3)}, tmp_path / "w.safetensors")
    with pytest.raises(DataError, match="is not a weights file"):
        weights.read(tmp_path / "w.safetensors")


def test_weights_that_do_not_fit_say_which():
    module = torch.nn.Linear(2, 3)
    with pytest.raises(
        RecipeError, match=r"1 missing \(such as 'bias'\), 1 that it does not have \(such as 'scale'\)"
    ):
        weights.load_into(
            module, {"weight": torch.ones(3, 2), "scale": torch.ones(1)}, source="f", target="t"
        )
    with pytest.raises(RecipeError, match=r"1 of another shape \(such as 'weight'\)"):
        weights.load_into(module, {"weight": torch.ones(3, 9), "bias": torch.ones(3)}, source="f", target="t")


# --- headers that lie ------------------------------------------------------------------------------


def with_header(raw: bytes, change) -> bytes:
    """Return a weights file whose header is what `change` makes of it."""
    length = int.from_bytes(raw[:8], "little")
    index = json.loads(raw[8 : 8 + length])
    text = json.dumps(change(index) or index).encode()
    return len(text).to_bytes(8, "little") + text + raw[8 + length :]


def kind_of_number(index):
    index["a"]["dtype"] = "I32"


def offsets(index):
    index["a"]["data_offsets"], index["b"]["data_offsets"] = (
        index["b"]["data_offsets"],
        index["a"]["data_offsets"],
    )


def other_setting(index):
    index["__metadata__"]["test"] = json.dumps({"dropout": True, "norm": "batch"})


def shape(index):
    index["a"]["shape"] = [2, 2]


@pytest.mark.parametrize("change", [kind_of_number, offsets, other_setting, shape])
def test_a_header_that_was_changed_does_not_match_its_checksum(tmp_path, change):
    tensors = {"a": torch.rand(4), "b": torch.rand(4)}
    raw = weights.encode(tensors, {"test": {"dropout": False, "norm": "batch"}})
    (tmp_path / "w.safetensors").write_bytes(with_header(raw, change))
    with pytest.raises(DataError, match=r"w\.safetensors is damaged: its header does not match its checksum"):
        weights.read(tmp_path / "w.safetensors")


def test_every_flipped_bit_of_a_small_file_is_noticed(tmp_path):
    raw = weights.encode({"a": torch.ones(2)}, {"rev": 1})
    path = tmp_path / "w.safetensors"
    for place in range(len(raw) * 8):
        damaged = bytearray(raw)
        damaged[place // 8] ^= 1 << place % 8
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=r"w\.safetensors"):
            weights.read(path)


def test_a_header_without_a_string_table_is_somebody_elses(tmp_path):
    def no_table(index):
        index["__metadata__"] = None

    (tmp_path / "w.safetensors").write_bytes(with_header(weights.encode({"a": torch.ones(2)}, {}), no_table))
    with pytest.raises(DataError, match="was not written by i2i"):
        weights.read(tmp_path / "w.safetensors")


def test_the_first_format_is_read_and_its_kinds_of_numbers_are_compared(tmp_path):
    """Its checksum covers the tensors alone, so that four bytes can be called another number there."""

    def first(index):
        index["__metadata__"]["format_version"] = "1"
        del index["__metadata__"]["checksum"]

    module = torch.nn.Linear(2, 3)
    raw = with_header(weights.encode(module.state_dict(), {"rev": 1}), first)
    path = tmp_path / "w.safetensors"
    path.write_bytes(raw)
    assert torch.equal(weights.read(path).tensors["weight"], module.weight)

    def called_integers(index):
        index["weight"]["dtype"] = "I32"

    path.write_bytes(with_header(raw, called_integers))
    with pytest.raises(RecipeError, match=r"1 of another kind of number \(such as 'weight'\)"):
        weights.load_into(torch.nn.Linear(2, 3), weights.read(path).tensors, source="f", target="t")


def test_what_a_caller_writes_takes_no_place_of_the_files_own_entries(tmp_path):
    weights.write(tmp_path / "w.safetensors", {"a": torch.ones(2)}, {"checksum": "mine", "sha256": "mine"})
    assert len(weights.read(tmp_path / "w.safetensors").header["sha256"]) == 64


# --- files that are no files ------------------------------------------------------------------------


def refused_at_once(path: Path, words: str) -> None:
    before, memory = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(DataError, match=words) as caught:
        weights.read(path)
    assert str(path) in str(caught.value)
    assert time.monotonic() - before < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < 100_000  # kB


def test_folders_pipes_and_devices_are_no_weights_files(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    refused_at_once(tmp_path, "is a folder, and not a weights file")
    refused_at_once(tmp_path / "pipe", "is a pipe, a socket or a device")
    refused_at_once(Path("/dev/zero"), "is a pipe, a socket or a device")
    refused_at_once(tmp_path / "none", "No such file")


def test_a_file_that_its_header_does_not_explain_is_not_read(tmp_path):
    path = tmp_path / "w.safetensors"
    path.write_bytes(weights.encode({"a": torch.ones(2)}, {}))
    os.truncate(path, 3 * 2**30)  # gigabytes of nothing
    refused_at_once(path, "is not a weights file")


def test_a_header_of_many_megabytes_is_not_read(tmp_path):
    path = tmp_path / "w.safetensors"
    text = b"[" * 80_000_000
    path.write_bytes(len(text).to_bytes(8, "little") + text)
    refused_at_once(path, "its header has 80 MB, of at most 10 MB")
    path.write_bytes((9_000_000).to_bytes(8, "little") + text[:9_000_000])
    refused_at_once(path, "is not a weights file")


def test_no_file_is_written_whose_header_nobody_would_read():
    with pytest.raises(ResourceError, match="too much for the header"):
        weights.encode({"a": torch.ones(2)}, {"notes": "x" * 10_000_001})


def test_tensors_of_any_kind_and_of_no_size_come_back_and_can_be_changed(tmp_path):
    rare = torch.tensor([1.5, -2.0]).to(torch.float8_e4m3fn)
    kinds = (torch.bool, torch.uint8, torch.int64, torch.float16, torch.bfloat16, torch.float64)
    tensors = {str(kind): torch.tensor([[1, 0, 1]]).to(kind) for kind in kinds}
    tensors |= {"none": torch.empty(0, 4), "one": torch.tensor(3.0)}
    for name, added in (("usual", {}), ("rare", {"rare": rare})):
        path = tmp_path / name
        weights.write(path, tensors | added, {})
        found = weights.read(path).tensors
        assert found.keys() == (tensors | added).keys()
        for key, tensor in (tensors | added).items():
            assert found[key].dtype == tensor.dtype
            assert found[key].shape == tensor.shape
            assert torch.equal(found[key].float(), tensor.float())
        found["one"].zero_()
    assert weights.read(path).tensors["one"] == 3
