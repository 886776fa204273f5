"""The same held-out images, translated at every validation: what people look at first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge

if TYPE_CHECKING:
    from i2i.context import Run


class Samples:
    """Show translations of held-out images, spread over the split, under samples/ and in the report.

    Args:
        count: images to show.
    """

    def __init__(self, *, count: Annotated[int, Ge(1)] = 6) -> None:
        self.count = count

    def eval_end(self, run: Run, metrics: Mapping[str, float]) -> None:
        """Translate the images and show them."""
        batch = run.held_out(self.count)
        run.show(batch, run.translate(batch.source))
