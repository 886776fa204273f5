"""Calibrating: running statistics over the training sources, in a model file that uses them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from i2i import load_generator, run
from i2i.models.calibrate import calibrate
from i2i.runs import weights


class Net(nn.Module):
    """Dropout, a norm whose input we know, and another after it."""

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.first = nn.BatchNorm2d(2)
        self.second = nn.BatchNorm2d(2)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.second(3 * self.first(self.dropout(image)) + 1)


def test_statistics_are_the_plain_mean_over_batches() -> None:
    batches = [torch.randn(4, 2, 5, 5) * scale + scale for scale in (1.0, 2.0, 6.0)]
    net = Net().eval()
    net.first.running_mean.fill_(99.0)
    assert calibrate(net, batches) == 2
    channels = [batch.transpose(0, 1).flatten(1) for batch in batches]
    means, variances = (torch.stack(list(f)).mean(0) for f in zip(*((c.mean(1), c.var(1)) for c in channels)))
    torch.testing.assert_close(net.first.running_mean, means)
    torch.testing.assert_close(net.first.running_var, variances)
    # The second norm sees what the first makes of each batch in training: mean 0, variance 1.
    torch.testing.assert_close(net.second.running_mean, torch.ones(2))
    torch.testing.assert_close(net.second.running_var, torch.full((2,), 9.0), rtol=0.02, atol=0)


def test_everything_but_the_statistics_stays_as_it_was() -> None:
    net = Net(0.5).eval()
    net.dropout.train()
    momentum = net.first.momentum
    calibrate(net, [torch.randn(2, 2, 4, 4)])
    assert net.first.momentum == momentum
    assert (net.dropout.training, net.first.training, net.second.training) == (True, False, False)
    assert not any(parameter.grad is not None for parameter in net.parameters())


def test_dropout_counts_where_it_stays_on() -> None:
    ones = [torch.ones(8, 2, 16, 16)] * 4
    quiet, noisy = Net(0.5).eval(), Net(0.5).eval()
    noisy.dropout.train()
    calibrate(quiet, ones)
    calibrate(noisy, ones)
    assert quiet.first.running_var.max() == 0
    assert noisy.first.running_var.min() > 0.9  # twos and zeros


def test_a_module_without_norms_has_nothing_to_calibrate() -> None:
    assert calibrate(nn.Conv2d(2, 2, 1), [torch.randn(1, 2, 4, 4)]) == 0


@pytest.fixture
def trained(load, tmp_path) -> Path:
    return run(load("train.steps=2"), tmp_path / "run").folder


def test_the_new_file_runs_on_fixed_statistics_and_keeps_the_weights(i2i, trained, tmp_path):
    out = tmp_path / "calibrated.safetensors"
    ended = i2i("calibrate", str(trained), "--out", str(out), "--no-dropout")
    assert ended.code == 0, ended.err
    before, after = weights.read(trained / "model.safetensors"), weights.read(out)
    assert before.header["test"] == {"dropout": True, "norm": "batch"}
    assert after.header["test"] == {"dropout": False, "norm": "running"}
    assert after.header["provenance"]["calibrated"] == {"images": 10, "batch_size": 2}
    changed = {name for name in before.tensors if not torch.equal(before.tensors[name], after.tensors[name])}
    assert changed == {"body.1.running_mean", "body.1.running_var", "body.1.num_batches_tracked"}

    module = load_generator(out)
    one, other = torch.rand(1, 3, 16, 16), torch.rand(1, 3, 16, 16) * 0.1
    together = module(torch.cat((one, other)))
    torch.testing.assert_close(together, torch.cat((module(one), module(other))))
    # With fixed statistics, an image's brightness survives; by its own, it would be normalised away.
    assert not torch.allclose(module(one), module(one * 0.1), atol=1e-3)


def test_it_is_the_same_file_each_time_and_another_for_another_seed(i2i, load, tmp_path):
    # A U-Net has norms after its dropout, so that what it draws shows in their statistics.
    unet = ("generator.use=unet", "generator.depth=4", "generator.width=4", "train.steps=1")
    trained = run(load(*unet, unset=("callbacks",)), tmp_path / "run").folder
    files = [tmp_path / f"{name}.safetensors" for name in "abc"]
    for file, seed in zip(files, ("3", "3", "4")):
        assert i2i("calibrate", str(trained), "--out", str(file), "--seed", seed).code == 0
    first, second, third = (file.read_bytes() for file in files)
    assert first == second != third


def test_a_calibrated_file_still_knows_its_data(i2i, trained, tmp_path):
    out = tmp_path / "calibrated.safetensors"
    i2i("calibrate", str(trained / "model.safetensors"), "--out", str(out))
    ended = i2i("eval", str(out), "--out", str(tmp_path / "eval"), "--json")
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["images"] == 10


def test_the_model_itself_is_never_overwritten(i2i, trained):
    before = (trained / "model.safetensors").read_bytes()
    ended = i2i("calibrate", str(trained), "--out", str(trained / "model.safetensors"))
    assert (ended.code, "choose another --out" in ended.err) == (2, True)
    assert (trained / "model.safetensors").read_bytes() == before


def test_a_model_without_batch_norms_is_refused_in_a_sentence(i2i, load, tmp_path):
    settings = ("generator.use=unet", "generator.depth=2", "generator.width=4", "generator.norm=none")
    folder = run(load(*settings, "train.steps=1"), tmp_path / "run").folder
    ended = i2i("calibrate", str(folder), "--out", str(tmp_path / "x.safetensors"))
    assert ended.code == 2
    assert ended.err.endswith("has no batch norm with running statistics: nothing to calibrate.\n")
    assert not (tmp_path / "x.safetensors").exists()
