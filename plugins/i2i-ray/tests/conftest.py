"""A Ray cluster of two nodes on this machine, and jobs made of a third party's toys."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from i2i.bench.jobs import Job

PLUGIN = """
from i2i import hookimpl

i2i_api = 1

@hookimpl
def i2i_register(registry):
    registry.data("noted", "i2i_raylab.parts:Noted", "says in a file that it was opened")
    registry.generator("dot", "i2i_raylab.parts:dot", "one convolution")
    registry.paired_loss("faulty", "i2i_raylab.parts:Faulty", "raises an error")
    registry.callback("death", "i2i_raylab.parts:Death", "kills its process")
    registry.callback("meeting", "i2i_raylab.parts:Meeting", "waits for another process")
    registry.callback("nap", "i2i_raylab.parts:Nap", "hangs once")
    registry.callback("place", "i2i_raylab.parts:Place", "notes where it is trained")
"""

PARTS = '''
import json
import os
import signal
import time
from pathlib import Path

import torch

from i2i.kinds import ImageSpec, PairSpec


class Noted:
    """Random pairs; leaves a file in `log` each time it is opened."""

    def __init__(self, split, *, log: str = "opened", count: int = 8) -> None:
        Path(log).mkdir(exist_ok=True)
        (Path(log) / f"{os.getpid()}-{split}-{time.monotonic_ns()}").touch()
        self.spec = PairSpec(ImageSpec(1, 8, 8), ImageSpec(1, 8, 8))
        self._count = count

    def __len__(self):
        return self._count

    def __getitem__(self, index):
        rng = torch.Generator().manual_seed(index)
        image = torch.randint(0, 256, (1, 8, 8), generator=rng).to(torch.uint8)
        return {"source": image, "target": 255 - image, "id": str(index)}


def dot(*, in_channels: int, out_channels: int) -> torch.nn.Module:
    layers = torch.nn.Conv2d(in_channels, out_channels, 3, padding=1), torch.nn.Dropout(0.2), torch.nn.Tanh()
    return torch.nn.Sequential(*layers)


class Faulty:
    def __call__(self, fake, real):
        raise ValueError("this loss is broken")


class Death:
    """Kills its process at a step, as often as `lives` says, counted in a file of the working folder.

    It waits for the checkpoint of the step `saved`, which is written while training goes on.
    """

    def __init__(self, *, at: int, lives: int = 1, saved: int = 0) -> None:
        self._at, self._lives, self._saved = at, lives, saved

    def step_end(self, run, logs):
        count = Path(f"deaths-{run.folder.name}.txt")
        died = len(count.read_text()) if count.exists() else 0
        if run.step == self._at and died < self._lives:
            until = time.monotonic() + 60
            while self._saved and not (run.folder / "checkpoints" / f"{self._saved:06d}").exists():
                if time.monotonic() > until:
                    raise RuntimeError("no checkpoint came")
                time.sleep(0.01)
            count.write_text("x" * (died + 1))
            os.kill(os.getpid(), signal.SIGKILL)


class Nap:
    """Hangs at a step, the first time that its job gets there, as on a file system that answers no more."""

    def __init__(self, *, at: int, saved: int) -> None:
        self._at, self._saved = at, saved

    def step_end(self, run, logs):
        mark = Path(f"napped-{run.folder.name}")
        saved = run.folder / "checkpoints" / f"{self._saved:06d}"
        if run.step == self._at and not mark.exists():
            while not saved.exists():
                time.sleep(0.01)
            mark.touch()
            time.sleep(3600)


class Meeting:
    """Trains on only when as many processes as `people` are here at the same time."""

    def __init__(self, *, people: int = 2) -> None:
        self._people = people

    def run_start(self, run):
        Path(f"here-{os.getpid()}").touch()
        until = time.monotonic() + 120
        while len(list(Path().glob("here-*"))) < self._people:
            if time.monotonic() > until:
                raise RuntimeError("nobody came")
            time.sleep(0.01)


class Place:
    """Writes down which process of which node trains, with what it was given; prints, as libraries do."""

    def run_start(self, run):
        print("to stdout")
        import ray

        node = ray.get_runtime_context().get_node_id() if ray.is_initialized() else ""
        about = {"pid": os.getpid(), "node": node, "folder": os.getcwd(), "step": run.step}
        about["threads"] = torch.get_num_threads()
        names = "I2I_LAB", "OMP_NUM_THREADS", "LAB_MORE"
        about["environment"] = {name: os.environ.get(name) for name in names}
        with Path(f"place-{run.folder.name}.jsonl").open("a") as file:
            file.write(json.dumps(about) + "\\n")
'''

RECIPE = """
recipe = 1
name = "lab"

[data]
use = "raylab/noted"
batch_size = 2

[generator]
use = "raylab/dot"

[losses.l1]
use = "l1"

[method]
use = "paired-adversarial"

[optimizers.generators]
use = "adam"

[train]
steps = 12
precision = "fp32"
log_every = 1
eval_every = 6
save_every = 3

[metrics.mae]
use = "mae"

[callbacks.place]
use = "raylab/place"
"""


@pytest.fixture(scope="session")
def toys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Install the toy plug-in for this process and its children; return the PYTHONPATH that has it."""
    site = tmp_path_factory.mktemp("site")
    for name, text in {"i2i_raylab/__init__.py": PLUGIN, "i2i_raylab/parts.py": PARTS}.items():
        (site / name).parent.mkdir(exist_ok=True)
        (site / name).write_text(text)
    info = site / "i2i_raylab-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: i2i-raylab\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[i2i]\nraylab = i2i_raylab\n")
    sys.path.insert(0, str(site))
    yield os.pathsep.join(filter(None, (str(site), os.environ.get("PYTHONPATH", ""))))
    sys.path.remove(str(site))
    for name in [name for name in sys.modules if name.partition(".")[0] == "i2i_raylab"]:
        del sys.modules[name]


@pytest.fixture
def lab(toys: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Job]:
    """Return a function that writes a job of toys; its working folder is not the one of the test."""
    monkeypatch.setenv("PYTHONPATH", toys)
    folder = tmp_path / "work"
    folder.mkdir()

    def job(key: str, *, seed: int = 0, steps: int = 12, more: str = "", under: str = "cells") -> Job:
        (folder / under).mkdir(exist_ok=True)
        base, file = folder / "base.toml", folder / under / f"{key}.toml"
        base.write_text(RECIPE)
        head, _, tail = more.partition("[train]")
        train = f"[train]\nsteps = {steps}\n{tail}"
        file.write_text(f'recipe = 1\nextends = "../base.toml"\nseed = {seed}\n{head}\n{train}')
        return Job(key, str(file), str(folder / under / key), str(folder), "cpu", 1, steps)

    return job


@pytest.fixture(scope="session")
def two_nodes() -> Iterator[object]:
    """Start a cluster of two nodes with one CPU each."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        from ray.cluster_utils import Cluster

        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
        cluster.add_node(num_cpus=1)
        yield cluster
        cluster.shutdown()
