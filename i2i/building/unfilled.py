"""Networks built without drawing the initial weights of torch's layers, where a file's are to follow.

Drawing them takes longer than reading them: half a second for the 54 million of the paper's U-Net.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn
from torch.nn import init
from torch.overrides import TorchFunctionMode

_DRAWS = (init.kaiming_uniform_, init.kaiming_normal_, init.uniform_, init.normal_)
"""What fills a whole tensor with random numbers, as torch's layers do when they are made."""


@contextmanager
def without_initial_weights() -> Iterator[None]:
    """Leave parameters that would be drawn as the memory was; every one must be overwritten afterwards.

    Only parameters are left so, which a weights file holds all of; buffers are filled as ever.
    """
    with _Unfilled():
        yield


class _Unfilled(TorchFunctionMode):
    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = kwargs or {}
        if func in _DRAWS:
            tensor = args[0] if args else given["tensor"]
            if isinstance(tensor, nn.Parameter):
                return tensor
        return func(*args, **given)
