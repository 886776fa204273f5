"""A model that gives back what it is given, for what happens to pictures before and after it."""

from __future__ import annotations

from dataclasses import asdict

import pytest
import torch

from i2i.kinds import ImageSpec, PairSpec, TestSettings
from i2i.runs import weights

IDENTITY = """
import torch

from i2i import hookimpl

i2i_api = 1


@hookimpl
def i2i_register(registry):
    registry.generator("identity", ":Identity", "what goes in comes out")


class Identity(torch.nn.Module):
    size_multiple = 8

    def __init__(self, *, in_channels: int, out_channels: int):
        super().__init__()
        self.one = torch.nn.Parameter(torch.ones(()))

    def forward(self, source):
        return source * self.one
"""


@pytest.fixture
def identity(distribution, tmp_path):
    """Return a function that writes an identity model for images of a spec, and for answers of another."""
    distribution("i2i-same", "1.0", "same", {"i2i_same.py": IDENTITY})

    def make(spec: ImageSpec, target: ImageSpec | None = None):
        header = {
            "component": "same/identity",
            "rev": 1,
            "distribution": "i2i-same",
            "version": "1.0",
            "slot": {"use": "same/identity"},
            "pair_spec": asdict(PairSpec(spec, target or spec)),
            "test": asdict(TestSettings()),
            "provenance": {},
        }
        model = tmp_path / "model.safetensors"
        model.write_bytes(weights.encode({"one": torch.ones(())}, header))
        return model

    return make
