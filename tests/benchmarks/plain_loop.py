"""pix2pix's training as one would write it by hand: plain PyTorch, the same networks, no engine.

What the engine costs is told beside it. `plain` is float32, contiguous, with torch's Adam as it comes;
`tuned` has what makes such a loop fast: autocast to bf16, channels last, fused Adam.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from i2i.core.discriminators.patch import Patch
from i2i.core.generators.unet import UNet

Variant = Literal["plain", "tuned"]
Game = Literal["vanilla", "lsgan"]

RATE, BETAS = 2e-4, (0.5, 0.999)
LAMBDA = 100.0
"""The weight of L1 (Isola et al. 2017, section 3.3)."""


@dataclass(frozen=True)
class Networks:
    """How large the two networks are; by default the paper's, for 256 pixels."""

    depth: int = 8
    width: int = 64
    dropout: float = 0.5


class PlainLoop:
    """A U-Net against a 70x70 PatchGAN that sees the source too: one step on D, then one on G."""

    def __init__(
        self, networks: Networks, *, variant: Variant, device: str, game: Game = "vanilla", seed: int = 0
    ) -> None:
        self.tuned = variant == "tuned"
        self.device = torch.device(device)
        self.layout = torch.channels_last if self.tuned else torch.contiguous_format
        torch.manual_seed(seed)
        generator = UNet(
            in_channels=3,
            out_channels=3,
            depth=networks.depth,
            width=networks.width,
            dropout=networks.dropout,
        )
        judge = Patch(in_channels=6, width=networks.width)
        self.generator, self.judge = (
            network.apply(start).to(self.device, memory_format=self.layout).train()
            for network in (generator, judge)
        )
        fused: dict[str, Any] = {"fused": True} if self.tuned else {}
        self.of_generator, self.of_judge = (
            torch.optim.Adam(network.parameters(), lr=RATE, betas=BETAS, **fused)
            for network in (self.generator, self.judge)
        )
        self.distance = F.binary_cross_entropy_with_logits if game == "vanilla" else F.mse_loss

    def place(self, image: Tensor) -> Tensor:
        """Return images (B,3,H,W) in [-1,1] on the device, in the layout of the networks."""
        return image.to(self.device, memory_format=self.layout)

    def step(self, source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Take one step on images that are placed; return what D and what G minimised, still there."""
        with self._precision():
            fake = self.generator(source)

        self.of_judge.zero_grad(set_to_none=True)
        with self._precision():
            on_fake = self._judged(source, fake.detach())
            on_real = self._judged(source, target)
        of_judge = 0.5 * (self._called(on_real, 1.0) + self._called(on_fake, 0.0))
        of_judge.backward()
        self.of_judge.step()

        self.judge.requires_grad_(False)
        self.of_generator.zero_grad(set_to_none=True)
        with self._precision():
            on_fake = self._judged(source, fake)
        of_generator = self._called(on_fake, 1.0) + LAMBDA * F.l1_loss(fake.float(), target)
        of_generator.backward()
        self.of_generator.step()
        self.judge.requires_grad_(True)
        return of_judge.detach(), of_generator.detach()

    def _precision(self) -> AbstractContextManager[Any]:
        return torch.autocast(self.device.type, torch.bfloat16) if self.tuned else nullcontext()

    def _judged(self, source: Tensor, image: Tensor) -> Tensor:
        logits: Tensor = self.judge(torch.cat((source, image), dim=1)).logits[0]
        return logits.float()

    def _called(self, logits: Tensor, answer: float) -> Tensor:
        """Return how far the logits are from calling the image real (1) or fake (0)."""
        return self.distance(logits, torch.full_like(logits, answer))


def start(part: nn.Module) -> None:
    """Draw a layer's weights as the paper does: N(0, 0.02), norms about 1, no biases."""
    if isinstance(part, (nn.Conv2d, nn.ConvTranspose2d, nn.BatchNorm2d)):
        nn.init.normal_(part.weight, 1.0 if isinstance(part, nn.BatchNorm2d) else 0.0, 0.02)
        if part.bias is not None:
            nn.init.zeros_(part.bias)
