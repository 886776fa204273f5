"""What the exported model will answer: the method's generator with averaged weights, in float32."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

from torch import Tensor

from i2i.engine.average import Average
from i2i.kinds import Method
from i2i.system.device import Runtime


class Exported:
    """Called, it gives for a while the function that the exported model will be."""

    def __init__(self, method: Method, average: Average | None, runtime: Runtime) -> None:
        self._method, self._average, self._runtime = method, average, runtime

    @contextmanager
    def __call__(self) -> Iterator[Callable[[Tensor], Tensor]]:
        """Put the averaged weights in place, if there are any, and yield (B,Cin,H,W) -> (B,Cout,H,W)."""
        with self._average.swapped() if self._average else nullcontext():
            yield self._translate

    def _translate(self, source: Tensor) -> Tensor:
        with self._runtime.autocast():
            output = self._method.translate(source)
        return output.float()
