"""What the exported model will answer: the method's generator with averaged weights, in float32.

Images come padded to the size that the generator takes, and their answers are cut back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from torch import Tensor, nn

from i2i.building.components import method_slots
from i2i.engine.average import Average
from i2i.errors import PluginError
from i2i.images.resizing import padded
from i2i.kinds import Method
from i2i.networks import Networks
from i2i.recipe.recipe import Recipe
from i2i.system.device import Runtime


def exported_networks(
    recipe: Recipe, networks: Networks, generator: str | None = None
) -> dict[str, nn.Module]:
    """Return by their paths the networks of a model file: by default, of the first exported generator.

    Raises PluginError where the method names one in `translates_with` that it does not declare; one that it
    can do without may be missing.
    """
    slots, method = method_slots(recipe), recipe.method
    found = dict(networks.modules())
    declared = [
        f"{section}.{name}" for section in ("generators", "networks") for name in getattr(slots, section)
    ]
    for path in slots.translates_with:
        if path not in declared:
            message = (
                f"{method.entry.ref} translates with '{path}', which is none of the networks of its `slots`"
            )
            raise PluginError(method.problem(message, f"they are {', '.join(declared)}"))
    paths = slots.translates_with or (f"generators.{generator or slots.exports[0]}",)
    return {path: found[path] for path in paths if path in found}


class Exported:
    """Called, it gives for a while the function that the exported model will be."""

    def __init__(
        self,
        method: Method,
        average: Average | None,
        runtime: Runtime,
        *,
        size_multiple: int,
        eagerly: Callable[[], AbstractContextManager[object]],
    ) -> None:
        self._method, self._average, self._runtime = method, average, runtime
        self._eagerly = eagerly
        self._multiple = size_multiple

    @contextmanager
    def __call__(self) -> Iterator[Callable[[Tensor], Tensor]]:
        """Put the averaged weights in place, if there are any, and yield (B,Cin,H,W) -> (B,Cout,H,W)."""
        with self._average.swapped() if self._average else nullcontext(), self._eagerly():
            yield self._translate

    def _translate(self, source: Tensor) -> Tensor:
        height, width = source.shape[-2:]
        with self._runtime.autocast():
            output = self._method.translate(padded(source, self._multiple))
        return output[..., :height, :width].float()
