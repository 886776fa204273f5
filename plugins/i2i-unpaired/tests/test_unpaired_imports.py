"""Weights of the CycleGAN authors' code: core's layouts know them, and they compute what they did there."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from i2i import load_generator
from i2i.core.discriminators.patch import Patch
from i2i.core.generators.resnet import ResNet
from i2i.models.importing import import_weights
from i2i.plugins.catalog import Catalog


def imported(source: Path):
    return import_weights(source, source.with_suffix(".safetensors"), catalog=Catalog.installed())


def test_a_generator_of_the_authors_translates_to_what_it_did_in_their_code(tmp_path: Path) -> None:
    if "I2I_TEST_DATA" not in os.environ:
        pytest.skip("I2I_TEST_DATA is not set")
    folder = Path(os.environ["I2I_TEST_DATA"], "reference")
    file = tmp_path / "latest_net_G_A.pth"
    file.write_bytes((folder / "resnet6_instance.pth").read_bytes())
    assert imported(file).layout == "core/pix2pix-resnet"
    with np.load(folder / "golden.npz") as golden:
        source = torch.from_numpy(golden["x"])
        expected = torch.from_numpy(golden["resnet6_instance_eval"])
    with torch.no_grad():
        answer = load_generator(file.with_suffix(".safetensors"))(source)
    torch.testing.assert_close(answer, expected, rtol=0, atol=1e-5)


def test_the_papers_networks_are_known_with_their_numbers_of_parameters(tmp_path: Path) -> None:
    """11.378 M and 2.765 M are what the authors' code prints of CycleGAN's two networks."""
    generator = ResNet(in_channels=3, out_channels=3, blocks=9, width=64, norm="instance")
    torch.save(generator.state_dict(), tmp_path / "latest_net_G_B.pth")
    found = imported(tmp_path / "latest_net_G_B.pth")
    assert (found.entry.ref, found.parameters) == ("core/resnet", 11_378_179)
    assert found.table == {"blocks": 9, "width": 64, "norm": "instance", "dropout": 0.0}
    judge = Patch(in_channels=3, norm="instance")  # it sees the image alone
    torch.save(judge.state_dict(), tmp_path / "latest_net_D_B.pth")
    found = imported(tmp_path / "latest_net_D_B.pth")
    assert (found.entry.ref, found.parameters) == ("core/patch", 2_764_737)
    assert found.table == {"layers": 3, "width": 64, "norm": "instance"}
