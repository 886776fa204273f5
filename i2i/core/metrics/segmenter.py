"""A small network that names the class of each pixel of a photo, and its training: seconds to minutes.

It is a measuring instrument: the same photos, labels and seed give the same network, which is kept in the
user's cache folder.
"""

from __future__ import annotations

import hashlib
import json
import logging

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from i2i.cache import kept
from i2i.core.metrics.labels import DOUBTFUL
from i2i.seeds import generator_for, seeded

REVISION = 1
"""Of the network and its training: raised with every change of either, so that no older one is used."""

BATCH = 4
RATE = 5e-3
LEVELS = 3

_log = logging.getLogger("i2i")


class Segmenter(nn.Module):
    """Photos (N,C,H,W) in [0,1], any size, to logits (N,classes,H,W).

    A halving, three more, and up again with skips to half the size, from where logits are enlarged.

    Args:
        channels: of the photos.
        classes: to tell apart.
        width: channels at half size; they double with each further halving.
    """

    def __init__(self, *, channels: int, classes: int, width: int) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(LEVELS + 1)]
        self.first = _block(channels, width, stride=2)
        self.down = nn.ModuleList(
            nn.Sequential(_block(w, 2 * w, stride=2), _block(2 * w, 2 * w)) for w in widths[:-1]
        )
        self.up = nn.ModuleList(_block(3 * w, w) for w in reversed(widths[:-1]))
        self.last = nn.Conv2d(width, classes, 1)

    def forward(self, photo: Tensor) -> Tensor:
        """Return the logits of each pixel."""
        seen = [self.first(photo * 2 - 1)]
        for block in self.down:
            seen.append(block(seen[-1]))
        image = seen.pop()
        for block in self.up:
            beside = seen.pop()
            image = block(torch.cat((_enlarged(image, beside), beside), dim=1))
        return _enlarged(self.last(image), photo)


def _block(inside: int, outside: int, *, stride: int = 1) -> nn.Module:
    conv = nn.Conv2d(inside, outside, 3, stride=stride, padding=1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outside), nn.ReLU())


def _enlarged(image: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(image, like.shape[-2:], mode="bilinear", align_corners=False)


def trained(photos: Tensor, labels: Tensor, *, classes: int, width: int, epochs: int, seed: int) -> Segmenter:
    """Return what `train` returns for the same arguments: kept from an earlier time, or trained now."""
    settings = {"classes": classes, "width": width, "epochs": epochs, "seed": seed, "revision": REVISION}
    digest = hashlib.sha256(json.dumps([settings, photos.shape, labels.shape]).encode())
    for side in (photos, labels):
        digest.update(side.numpy().tobytes())

    def made() -> dict[str, Tensor]:
        _log.info("training a segmenter on %d photos for the segmentation score, once", len(photos))
        network = train(photos, labels, classes=classes, width=width, epochs=epochs, seed=seed)
        return network.state_dict()

    tensors = kept("segmenters", digest.hexdigest()[:32], made)
    with torch.device("meta"):
        network = Segmenter(channels=photos.shape[1], classes=classes, width=width)
    network.load_state_dict(tensors, assign=True)
    return network.eval().requires_grad_(False)


def train(photos: Tensor, labels: Tensor, *, classes: int, width: int, epochs: int, seed: int) -> Segmenter:
    """Return a segmenter trained on photos (N,C,H,W) uint8 and their classes (N,H,W) int16, frozen.

    Cross-entropy over all pixels that are not `DOUBTFUL`; AdamW with one cycle of its rate up to 0.005;
    batches of 4, each mirrored or not.
    """
    batches = max(1, len(photos) // BATCH)  # a rest of one photo could leave a batch norm nothing to average
    with seeded(seed, "segmenter"), torch.enable_grad():
        network = Segmenter(channels=photos.shape[1], classes=classes, width=width)
        optimizer = torch.optim.AdamW(network.parameters(), lr=RATE)
        cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=epochs * batches)
        rng = generator_for(seed, "segmenter", "order")
        for _ in range(epochs):
            order = torch.randperm(len(photos), generator=rng)
            for number in range(batches):
                chosen = order[number * BATCH : (number + 1) * BATCH]
                photo, truth = photos[chosen].float() / 255, labels[chosen].long()
                if torch.rand((), generator=rng) < 0.5:
                    photo, truth = photo.flip(-1), truth.flip(-1)
                optimizer.zero_grad()
                costs = F.cross_entropy(network(photo), truth, ignore_index=DOUBTFUL, reduction="sum")
                known = (truth != DOUBTFUL).sum().clamp(min=1)  # a mean over no pixel would not be a number
                (costs / known).backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                cycle.step()
    return network.eval().requires_grad_(False)
