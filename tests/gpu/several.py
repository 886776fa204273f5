"""Training through torch's process group, with the device's own transport, beside training without one.

One process is all that one card can have: what is exchanged comes back as it was, to the bit.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from parts import METRICS, Settings
from rows import Row, holds
from torch.distributed import TCPStore

from i2i.data.opening import open_splits
from i2i.engine.session import Session
from i2i.processes.group import ALONE, Group, joined
from i2i.processes.launch import Launch
from i2i.system.device import resolve

STEPS = 4
WANTED = "equal to the bit"


def of_several(settings: Settings) -> Iterator[Row]:
    """The paper's recipe, small, by deterministic algorithms; gradients and buffers are exchanged."""
    torch.use_deterministic_algorithms(True, warn_only=True)
    alone = _trained(settings, ALONE)
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    with joined(Launch(), store, settings.device) as group:
        together = _trained(settings, group)
    unlike = [name for name, tensor in alone.items() if not torch.equal(tensor, together[name])]
    told = f"{len(unlike)} of {len(alone)} tensors differ" if unlike else WANTED
    yield holds("several", "a process group of one, fp32", told == WANTED, value=told, wanted=WANTED)
    torch.use_deterministic_algorithms(False)


def _trained(settings: Settings, group: Group) -> dict[str, torch.Tensor]:
    """Return the weights and buffers after some steps."""
    recipe = settings.recipe({"data.batch_size": 4, "train.steps": STEPS}, unset=METRICS)
    runtime = resolve(settings.device, "fp32")
    session = Session(recipe, data=open_splits(recipe), runtime=runtime, provenance={}, group=group)
    for batch in session.batches(last=STEPS):
        session.advance([batch])
    session.share_buffers()
    return {
        f"{path}.{name}": tensor.cpu()
        for path, module in session.networks.modules()
        for name, tensor in module.state_dict().items()
    }
