"""Several looks at each picture: it is mirrored and turned, and the answers, turned back, are averaged."""

from __future__ import annotations

from torch import Tensor, nn

TURNS = 4
PASSES = 2 * TURNS
"""How often a network answers: to the picture and its mirror image, each at all four quarter turns."""

TOLD = f"each answer is the mean of {PASSES} passes: the picture and its mirror image, turned by quarters."
"""What a person is told of that."""


class Averaged(nn.Module):
    """The mean, in float32, of what a network answers to pictures (B,C,H,W) mirrored and turned in all ways.

    Of maps of classes that is the mean of their scores. Its network has to take pictures upright and lying.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.size_multiple = int(getattr(network, "size_multiple", 1))

    def forward(self, source: Tensor) -> Tensor:
        """Return the mean answer; a network that draws at random draws for each of the passes."""
        total: Tensor | None = None
        for mirrored in (False, True):
            seen = source.flip(-1) if mirrored else source
            for turns in range(TURNS):
                answer = (
                    self.network(seen.rot90(turns, (-2, -1)).contiguous()).float().rot90(-turns, (-2, -1))
                )
                upright = answer.flip(-1) if mirrored else answer
                total = upright if total is None else total + upright
        assert total is not None
        return total / PASSES
