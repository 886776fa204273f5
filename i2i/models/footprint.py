"""How much memory the answer to a picture takes for each of its pixels, measured on the network as it is."""

from __future__ import annotations

import weakref
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from i2i.models.reach import SHORT, Probe

BESIDE = 2.2
"""How many times the values between a network's layers are taken for what all of it takes.

What libraries of convolutions lay in another order for a moment is in no tensor of torch's, and neither is
what lies free between pieces of memory: on a CPU, a U-Net took twice the values that it held.
"""


@torch.no_grad()
def bytes_per_pixel(module: nn.Module, *, channels: int, device: str) -> float:
    """Return the bytes that a network asks for at once, at most, by the pixels of its input.

    Its inputs have so many `channels`. What it holds while it does nothing is not among them.
    """
    probe = Probe(module, channels, device)
    image = probe.image(probe.length(SHORT))
    with torch.autocast(torch.device(device).type, enabled=False), _Counted() as counted:
        probe.answer(image)
    return float(BESIDE * counted.most / image[0, 0].numel())


class _Counted(TorchFunctionMode):
    """Counts the bytes of all tensors that functions return meanwhile and that somebody still holds.

    A mode of what torch dispatches to would see more of them, and takes seconds to import.
    """

    def __init__(self) -> None:
        super().__init__()
        self._held: dict[int, int] = {}
        self.most = 0

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        made = func(*args, **(kwargs or {}))
        for one in made if isinstance(made, (tuple, list)) else (made,):
            if isinstance(one, torch.Tensor):
                storage = one.untyped_storage()
                if id(storage) not in self._held:
                    self._held[id(storage)] = storage.nbytes()
                    weakref.finalize(storage, self._held.pop, id(storage), 0)
        self.most = max(self.most, sum(self._held.values()))
        return made
