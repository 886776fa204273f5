"""A run of either method that is killed ends with the same bits as one left in peace."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from i2i import load_recipe, run
from i2i.testing import fake_distribution

KILLER = """
import os
import signal

from i2i import hookimpl

i2i_api = 1


@hookimpl
def i2i_register(registry):
    registry.callback("killer", ":Killer", "ends the process without a word, where it is told to")


class Killer:
    def step_end(self, run, logs):
        if str(run.step) == os.environ.get("KILL_AT") and run.folder is not None:
            os.kill(os.getpid(), signal.SIGKILL)
"""


TRAINING = """
[optimizers.discriminators]
use = "adam"

[optimizers.generators]
use = "adam"

[train]
steps = 8
save_every = 2
log_every = 1
ema = 0.9

[callbacks.killer]
use = "killer/killer"
"""

HEAD = """
recipe = 1
name = "killed"

[data]
use = "unpaired-images"
root = "pictures"
batch_size = 2

[losses.adversarial]
use = "lsgan"
"""

CYCLEGAN = """
[generators]
forward = { use = "resnet", blocks = 1, width = 4 }
backward = { use = "resnet", blocks = 1, width = 4 }

[discriminators]
target = { use = "patch", layers = 1, width = 4 }
source = { use = "patch", layers = 1, width = 4 }

[losses.cycle]
use = "l1"
weight = 10.0

[losses.identity]
use = "l1"

[method]
use = "unpaired/cyclegan"
pool = 3
"""

CUT = """
[generator]
use = "resnet"
blocks = 1
width = 4
dropout = 0.5

[discriminators.target]
use = "patch"
layers = 1
width = 4

[networks.heads]
use = "unpaired/patch-heads"
layers = [0, 1, 2]
width = 8

[method]
use = "unpaired/cut"
flip = true

[optimizers.networks]
use = "adam"
"""

RECIPES = {"cyclegan": HEAD + CYCLEGAN + TRAINING, "cut": HEAD + CUT + TRAINING}

TRAIN = """
import sys

from i2i import load_recipe, run

run(load_recipe(sys.argv[1]), sys.argv[2], device="cpu")
"""


@pytest.fixture
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four pictures of one kind and six of another, in the working directory."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for name, count in (("trainA", 4), ("trainB", 6), ("valA", 2), ("valB", 2)):
        Path("pictures", name).mkdir(parents=True)
        for number in range(count):
            noise = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(noise).save(Path("pictures", name, f"{number}.png"))


def bits(folder: Path) -> dict[str, bytes]:
    """Return the bytes of all weights and of the last step's whole state, the pools among it."""
    files = [*folder.glob("*.safetensors"), *(folder / "checkpoints/000008").glob("*.safetensors")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.mark.parametrize(("method", "step", "files"), [("cyclegan", 7, 7), ("cut", 5, 5)])
def test_a_killed_run_goes_on_to_the_same_bits(
    method: str, step: int, files: int, pictures: None, tmp_path: Path
) -> None:
    path = tmp_path / "killed.toml"
    path.write_text(RECIPES[method])
    with fake_distribution("i2i-killer", {"i2i_killer.py": KILLER}, namespace="killer"):
        run(load_recipe(path), tmp_path / "whole", device="cpu")
        paths = os.pathsep.join(str(Path(place).absolute()) for place in sys.path if place)
        ended = subprocess.run(
            [sys.executable, "-c", TRAIN, str(path), str(tmp_path / "killed")],
            capture_output=True,
            env={**os.environ, "PYTHONPATH": paths, "KILL_AT": str(step)},
            check=False,
        )
        assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()
        names = [each.name for each in (tmp_path / "killed/checkpoints").iterdir()]
        assert 2 <= max(int(name) for name in names if name.isdigit()) < 8
        run(load_recipe(path), tmp_path / "killed", device="cpu")
    assert bits(tmp_path / "killed") == bits(tmp_path / "whole")
    assert len(bits(tmp_path / "whole")) == files
