"""What a manifest says of a file is true of that file alone."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch

from i2i.runs import proof
from i2i.runs.weights import Snapshot


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "a.safetensors"
    Snapshot({"a": torch.arange(8.0)}, {"rev": 1}).replace(path)
    return path


def test_a_weights_file_is_proven_by_its_header(path):
    with path.with_name("again").open("wb") as file:
        listed = Snapshot({"a": torch.arange(8.0)}, {"rev": 1}).write(file)
    assert proof.holds(listed, path)
    path.write_bytes(path.read_bytes()[:-1] + b"\1")
    assert not proof.holds(listed, path)
    Snapshot({"a": torch.arange(8.0)}, {"rev": 2}).replace(path)
    assert not proof.holds(listed, path)


def test_the_first_manifests_hold_the_checksum_of_the_whole(path):
    raw = path.read_bytes()
    listed = {"size": len(raw), "sha256": hashlib.sha256(raw).hexdigest()}
    assert proof.holds(listed, path)
    assert not proof.holds(listed | {"size": 1}, path)
    path.write_bytes(raw + b"\0")
    assert not proof.holds(listed, path)


@pytest.mark.parametrize("listed", [{}, {"size": 1}, {"header": "x"}, {"header": "x", "size": None}])
def test_a_list_that_none_wrote_is_no_proof(path, listed):
    with pytest.raises((KeyError, TypeError)):
        proof.holds(listed, path)
