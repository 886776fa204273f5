import torch

from i2i.errors import MissingSplitError
from i2i.images import normalise
from i2i.kinds import ImageSpec, PairSpec, Part


class Scenes:
    """A label map beside the edges between its classes, and a colour for each class beside its depth."""

    def __init__(self, split: str) -> None:
        if split == "test":
            raise MissingSplitError("there is no split 'test'.")
        self._first = 0 if split == "train" else 50
        seg = Part("seg", 3, "uint8", 0.0, 1.0, labels=True)
        edges = Part("edges", 1, "uint8", 0.0, 255.0)
        photo, depth = Part("photo", 3, "uint8", 0.0, 255.0), Part("depth", 1, "uint16", 0.0, 900.0)
        sides = (
            ImageSpec(4, 16, 16, "float32", -1.0, 1.0, parts=parts)
            for parts in ((seg, edges), (photo, depth))
        )
        self.spec = PairSpec(*sides)

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index):
        if not 0 <= index < 8:
            raise IndexError(index)
        rng = torch.Generator().manual_seed(self._first + index)
        classes = torch.randint(0, 3, (4, 4), generator=rng).repeat_interleave(4, 0).repeat_interleave(4, 1)
        seg = (classes == torch.arange(3).view(3, 1, 1)).to(torch.uint8)
        edges = (classes != classes.roll(1, -1)).to(torch.uint8)[None] * 255
        photo = (classes * 100).expand(3, -1, -1).to(torch.uint8)
        depth = (classes * 450)[None].to(torch.uint16)
        return {
            "source": self._stacked("source", seg, edges),
            "target": self._stacked("target", photo, depth),
            "id": f"scene-{self._first + index}",
        }

    def _stacked(self, side, *images):
        return torch.cat([normalise(image, part) for image, part in zip(images, self.spec.side(side).parts)])
