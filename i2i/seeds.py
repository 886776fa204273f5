"""Every random stream is a function of the recipe's seed and a name, so that none depends on another."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def seed_for(seed: int, *names: object) -> int:
    """Return the seed of the stream `names`: the first eight bytes of sha256("seed:name:…")."""
    text = ":".join(map(str, (seed, *names)))
    return int.from_bytes(
        hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()[:8], "little", signed=True
    )


def generator_for(seed: int, *names: object) -> torch.Generator:
    """Return a CPU generator for the stream `names`."""
    return torch.Generator().manual_seed(seed_for(seed, *names))


@contextmanager
def seeded(seed: int, *names: object) -> Iterator[None]:
    """Seed torch's global generators for the stream `names`, and put back what was after."""
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed_for(seed, *names))
        yield
