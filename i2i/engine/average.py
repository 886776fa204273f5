"""An exponential moving average of networks: parameters are averaged, buffers copied."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Average:
    """The average of `modules` over steps: average = decay * average + (1 - decay) * current."""

    def __init__(self, modules: Mapping[str, nn.Module], decay: float) -> None:
        self._modules = modules
        self._decay = decay
        self._shadow = {key: tensor.detach().clone() for key, tensor in self._live().items()}

    @torch.no_grad()
    def update(self) -> None:
        """Take the current weights into the average."""
        parameters = {id(p) for module in self._modules.values() for p in module.parameters()}
        live = {True: list[Tensor](), False: list[Tensor]()}
        shadow = {True: list[Tensor](), False: list[Tensor]()}
        for key, tensor in self._live().items():
            learnt = id(tensor) in parameters
            live[learnt].append(tensor)
            shadow[learnt].append(self._shadow[key])
        # All of them at once: on a GPU, starting a kernel for each would take longer than their work.
        if live[True]:
            torch._foreach_lerp_(shadow[True], live[True], 1 - self._decay)
        if live[False]:
            torch._foreach_copy_(shadow[False], live[False])

    @contextmanager
    def swapped(self) -> Iterator[None]:
        """Put the averaged weights into the modules for a while."""
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    def buffers(self) -> list[Tensor]:
        """Return the copies of what is no parameter."""
        live = self._live()
        return [self._shadow[key] for key, tensor in live.items() if not isinstance(tensor, nn.Parameter)]

    def state_dict(self) -> dict[str, Tensor]:
        """Return the averaged weights."""
        return self._shadow

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take over averaged weights."""
        for key, tensor in state.items():
            self._shadow[key].copy_(tensor)

    def _live(self) -> dict[str, Tensor]:
        """Every tensor once, also where a module uses one in two places."""
        found: dict[int, tuple[str, Tensor]] = {}
        for name, module in self._modules.items():
            for key, tensor in module.state_dict(keep_vars=True).items():
                found.setdefault(id(tensor), (f"{name}.{key}", tensor))
        return dict(found.values())

    @torch.no_grad()
    def _exchange(self) -> None:
        for key, tensor in self._live().items():
            kept = tensor.detach().clone()
            tensor.copy_(self._shadow[key])
            self._shadow[key].copy_(kept)
