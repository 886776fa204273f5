"""Dropout for a batch of images, drawn for each of them as it is where that image is translated alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

_FUNCTIONAL = (
    F.dropout,
    F.dropout1d,
    F.dropout2d,
    F.dropout3d,
    F.alpha_dropout,
    F.feature_alpha_dropout,
)
"""Each takes (input, p, training, inplace), by place or by name."""

_NAMES = ("input", "p", "training", "inplace")

State = tuple[Tensor, ...]
"""The states of torch's generators: the CPU's, and that of another device."""


class OwnNoise(TorchFunctionMode):
    """Every dropout that is called meanwhile draws for each image of a batch from a stream of its own.

    `seeds` are those of the streams, one for each image. Afterwards `others_drew` says whether something
    else drew from torch's generators: such a network's answers to a batch are not those to its images.
    It is used within `seeds.seeded`, which puts the generators back.
    """

    def __init__(self, seeds: Sequence[int], device: str) -> None:
        super().__init__()
        self._device = torch.device(device)
        self._streams = [self._begin(seed) for seed in seeds]
        self._before = self._state()
        self.others_drew = False

    def __exit__(self, *raised: Any) -> None:
        states = zip(self._before, self._state(), strict=True)
        self.others_drew = not all(torch.equal(before, now) for before, now in states)
        super().__exit__(*raised)  # type: ignore[no-untyped-call]

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = kwargs or {}
        if func not in _FUNCTIONAL:
            return func(*args, **given)
        named = {**dict(zip(_NAMES, args, strict=False)), **given}
        image = named.pop("input")
        if not named.get("training", True) or image.shape[0] != len(self._streams):
            return func(image, **named)
        drawn = torch.cat([self._draw(place, func, image, named) for place in range(len(image))])
        return image.copy_(drawn) if named.get("inplace") else drawn

    def _draw(self, place: int, func: Any, image: Tensor, named: dict[str, Any]) -> Tensor:
        """Call a dropout for one image, from where its stream stands."""
        before = self._state()
        self._set(self._streams[place])
        drawn: Tensor = func(image[place : place + 1], **{**named, "inplace": False})
        self._streams[place] = self._state()
        self._set(before)
        return drawn

    def _begin(self, seed: int) -> State:
        torch.manual_seed(seed)
        return self._state()

    def _state(self) -> State:
        states = [torch.get_rng_state()]
        if self._device.type == "cuda":
            states.append(torch.cuda.get_rng_state(self._device))
        elif self._device.type == "mps":
            states.append(torch.mps.get_rng_state())
        return tuple(states)

    def _set(self, state: State) -> None:
        torch.set_rng_state(state[0])
        if self._device.type == "cuda":
            torch.cuda.set_rng_state(state[1], self._device)
        elif self._device.type == "mps":
            torch.mps.set_rng_state(state[1])
