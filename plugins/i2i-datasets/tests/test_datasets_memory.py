"""100,000 pairs through a process whose own memory stays where it is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PAIRS = 100_000

SCRIPT = """
import json
import sys
from itertools import islice
from pathlib import Path

import torch

from i2i.data.stream import epoch_order, training_batches
from i2i.slot_keys import DataSettings
from i2i_datasets.packing import pack
from i2i_datasets.pairs import Pairs


def own_mb():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon:"))


class Made:
    '''Pairs of 8 x 8 pixels, each of two colours of its own, made as they are asked for.'''

    def __init__(self, count):
        from i2i.kinds import ImageSpec, PairSpec

        self.count, self.spec = count, PairSpec(ImageSpec(3, 8, 8), ImageSpec(3, 8, 8))

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        colour = torch.tensor([index % 251, index // 251 % 251, index // 63001], dtype=torch.uint8)
        image = colour.view(3, 1, 1).expand(3, 8, 8)
        return {"source": image, "target": 255 - image, "id": f"pair {index}"}


torch.set_num_threads(1)
out, count = Path(sys.argv[1]), int(sys.argv[2])
memory = {"packing": [], "reading": [], "training": []}


def watch(things, total, what):
    for place, thing in enumerate(things):
        if place % (count // 20) == 0:
            memory["packing"].append(own_mb())
        yield thing


def opened(split):
    from i2i.errors import MissingSplitError

    if split == "train":
        return Made(count)
    raise MissingSplitError("there is one split alone.")


pack(opened, out, source="made pairs", watch=watch)
data, right = Pairs("train", root=out), 0
for place, index in enumerate(epoch_order(count, seed=0, epoch=0)):
    if place % (count // 20) == 0:
        memory["reading"].append(own_mb())
    item = data[index]
    right += item["id"] == f"pair {index}" and int(item["source"][1, 0, 0]) == index // 251 % 251
settings = DataSettings(batch_size=10, cache="none")
batches = training_batches(data, {}, settings, seed=0, first=0, last=count // 10)
for _ in range(20):
    right += sum(len(batch.ids) for batch in islice(batches, count // 200))
    memory["training"].append(own_mb())
print(json.dumps({"memory": memory, "right": right}))
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads memory as Linux tells it")
def test_memory_is_flat_over_a_hundred_thousand_pairs(tmp_path):
    paths = os.pathsep.join(path for path in sys.path if path)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "pack"), str(PAIRS)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": paths},
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["right"] == 2 * PAIRS
    for what, megabytes in found["memory"].items():
        assert len(megabytes) == 20
        warm = max(megabytes[2:4])  # by then all that is made once is made
        assert max(megabytes[4:]) < warm + 8, f"{what}: {megabytes}"
