"""Folders of pairs and packs of them, small enough to be made for each test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from i2i_datasets.command import main

from i2i.images import png_bytes

Packed = Callable[..., Path]


def write(path: Path, seed: int) -> None:
    """Write a picture of 16 x 16 pixels of noise."""
    noise = torch.randint(0, 256, (3, 16, 16), generator=torch.Generator().manual_seed(seed))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png_bytes(noise.to(torch.uint8)))


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """Return a folder with pairs of three splits: 10 before 2 by letters, 2 before 10 in natural order."""
    root = tmp_path / "pairs"
    for split, count in (("train", 12), ("val", 3), ("test", 2)):
        for number in range(count):
            seed = 100 * number + len(split)
            write(root / split / "A" / f"pair{number}.png", seed)
            write(root / split / "B" / f"pair{number}.png", seed + 50)
    return root


@pytest.fixture
def packed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Packed:
    """Return a function that packs a folder and returns the pack."""

    def pack(root: Path, *options: str, name: str = "pack") -> Path:
        out = tmp_path / name
        with pytest.raises(SystemExit) as ended:
            main(["pack", str(root), str(out), *options])
        assert ended.value.code == 0, capsys.readouterr().err
        return out

    return pack
