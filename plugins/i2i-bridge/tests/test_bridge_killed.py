"""A run of either method that is killed ends with the same bits as one left in peace."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

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


RECIPE = """
recipe = 1
name = "killed"

[data]
use = "shapes"
size = [16, 16]
count = 8
batch_size = 2

[generator]
use = "bridge/attention-unet"
width = 8
depth = 1

[losses.l2]
use = "l2"

[method]
use = "bridge/METHOD"

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

TRAIN = """
import sys

from i2i import load_recipe, run

run(load_recipe(sys.argv[1]), sys.argv[2], device="cpu")
"""


def bits(folder: Path) -> dict[str, bytes]:
    """Return the bytes of all weights and of the last step's whole state."""
    files = [*folder.glob("*.safetensors"), *(folder / "checkpoints/000008").glob("*.safetensors")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.mark.parametrize(("method", "step"), [("bridge", 5), ("flow", 6)])
def test_a_killed_run_goes_on_to_the_same_bits(method: str, step: int, tmp_path: Path) -> None:
    path = tmp_path / "killed.toml"
    path.write_text(RECIPE.replace("METHOD", method))
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
    assert len(bits(tmp_path / "whole")) == 3
