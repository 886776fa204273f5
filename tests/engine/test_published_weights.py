"""Components that start from published weights: those are asked for when a run begins, and never again."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from i2i import load_generator, load_recipe, run
from i2i.errors import ResourceError
from i2i.runs import weights as weights_files

PLUGIN = """
from i2i import hookimpl

i2i_api = 1

@hookimpl
def i2i_register(registry):
    registry.generator("net", "i2i_taught.parts:Net", "starts from a file")
    registry.discriminator("judge", "i2i_taught.parts:Judge", "knows which channels are the condition")
    registry.paired_loss("loss", "i2i_taught.parts:Loss", "weighs by a file")
"""

PARTS = '''
from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from i2i.errors import ResourceError


def read(file):
    try:
        return float(file.read_text())
    except OSError as error:
        raise ResourceError(f"no file {file}.") from error


class Net(nn.Conv2d):
    """A generator.

    Args:
        file: where its first bias stands.
    """

    keep_init = True

    def __init__(
        self, *, in_channels: int, out_channels: int, file: Path | None = None, fetch: bool = True
    ) -> None:
        super().__init__(in_channels, out_channels, 1)
        if file is not None and fetch:
            nn.init.constant_(self.bias, read(file))

    def forward(self, image):
        return torch.tanh(super().forward(image))


class Judge(nn.Conv2d):
    def __init__(self, *, in_channels: int, condition_channels: int = 0, fetch: bool = True) -> None:
        super().__init__(in_channels, 1, 1)
        self.seen = (in_channels, condition_channels, fetch)


class Loss(nn.Module):
    """A loss.

    Args:
        file: where its factor stands.
    """

    def __init__(self, *, file: Path, fetch: bool = True) -> None:
        super().__init__()
        self.factor = read(file) if fetch else 0.0

    def forward(self, fake, real):
        return self.factor * (fake - real).abs().mean()
'''


@pytest.fixture
def published(load, distribution, tmp_path: Path):
    """A recipe of such components, and the file that they start from."""
    distribution(
        "i2i-taught", "1.0", "taught", {"i2i_taught/__init__.py": PLUGIN, "i2i_taught/parts.py": PARTS}
    )
    file = tmp_path / "published.txt"
    file.write_text("0.75")
    settings = (
        "generator.use=taught/net",
        f'generator.file="{file}"',
        "discriminators.judge.use=taught/judge",
    )

    def load_with(*more: str):
        return load_recipe(tmp_path / "toy.toml", set=(*settings, *more))

    return load_with, file


def test_the_file_is_read_when_a_run_begins_and_then_no_more(published, tmp_path):
    load, file = published
    folder = tmp_path / "run"
    run(load("optimizers.generators.lr=1e-12"), folder, stop_at=3)
    file.unlink()
    assert run(load("optimizers.generators.lr=1e-12"), folder).status == "done"
    model = load_generator(folder / "model.safetensors")
    assert model.bias.tolist() == pytest.approx([0.75] * 3)
    assert str(tmp_path) not in str(weights_files.read(folder / "model.safetensors").header["slot"])


def test_a_file_that_is_not_there_is_missed_before_the_first_step(published, tmp_path):
    load, file = published
    file.unlink()
    with pytest.raises(ResourceError, match="no file"):
        run(load(), tmp_path / "run")


def test_weights_of_ones_own_are_taken_in_place_of_the_file(published, tmp_path):
    load, file = published
    run(load("train.steps=2", "optimizers.generators.lr=1e-12"), tmp_path / "first")
    file.unlink()
    path = tmp_path / "first" / "model.safetensors"
    again = run(load("train.steps=2", f'generator.init_from="{path}"'), tmp_path / "second")
    header = weights_files.read(again.folder / "model.safetensors").header
    assert header["slot"] == {"use": "taught/net", "init": "normal"}


def test_a_loss_reads_its_file_on_every_start(published, tmp_path):
    load, _ = published
    (tmp_path / "factor.txt").write_text("2.0")
    settings = ("losses.l1.use=taught/loss", f'losses.l1.file="{tmp_path / "factor.txt"}"')
    run(load(*settings), tmp_path / "run", stop_at=3)
    (tmp_path / "factor.txt").unlink()
    with pytest.raises(ResourceError, match="no file"):
        run(load(*settings), tmp_path / "run")


def test_a_discriminator_is_told_how_much_of_what_it_sees_is_the_condition(published):
    from i2i.building import components
    from i2i.kinds import ImageSpec, PairSpec

    load, _ = published
    spec = PairSpec(ImageSpec(2, 8, 8), ImageSpec(3, 8, 8))
    for conditional, seen in (("true", (5, 2, True)), ("false", (3, 0, True))):
        recipe = load(f"discriminators.judge.conditional={conditional}")
        judge = components.build_networks(recipe, spec).judges["judge"].module
        assert judge.seen == seen
    with torch.device("meta"):
        judge = components.build_networks(recipe, spec).judges["judge"].module
    assert judge.seen == (3, 0, False)
