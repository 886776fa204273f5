"""Weights files say what they are, and notice when they are not whole."""

from __future__ import annotations

import pytest
import safetensors
import safetensors.torch
import torch

from i2i.errors import DataError, RecipeError
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
        assert file.metadata()["format_version"] == "1"
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
    monkeypatch.setattr(weights, "FORMAT", "2")
    weights.write(tmp_path / "w.safetensors", {"a": torch.ones(3)}, {})
    monkeypatch.undo()
    with pytest.raises(DataError, match="format 2, and this i2i reads 1: update"):
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
