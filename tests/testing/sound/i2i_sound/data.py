from dataclasses import replace

import torch

from i2i.errors import MissingSplitError
from i2i.images import by_file
from i2i.kinds import ExtraSpec, ImageSpec, PairSpec


class Squares:
    """Noise and its negative; in training any target for a source.

    Args:
        size: pixels to a side.
        count: how many.
    """

    credit = "Made up."
    extra = {
        "bright": ExtraSpec("1 where the first channel of the source is bright"),
        "place": ExtraSpec("the index of the source", image=False),
    }

    def __init__(self, split: str, *, size: int = 16, count: int = 10) -> None:
        side = ImageSpec(3, size, size)
        self.spec = PairSpec(side, side, aligned=False)
        if split not in ("train", "val"):
            raise MissingSplitError(f"there is no split '{split}'.")
        self._seed = {"train": 0, "val": 100}[split]
        self._count = count

    def __len__(self):
        return self._count

    def __getitem__(self, index):
        if not 0 <= index < self._count:
            raise IndexError(index)
        rng = torch.Generator().manual_seed(self._seed + index)
        shape = (3, *self.spec.source.size)
        source = torch.randint(0, 256, shape, generator=rng).to(torch.uint8)
        item = {"source": source, "target": 255 - source, "id": f"{self._seed}-{index}"}
        return {**item, "bright": (source[:1] > 127).long(), "place": torch.tensor(index)}

    def draw(self, index, rng):
        partner = int(torch.randint(len(self), (), generator=rng))
        return {**self[index], "target": self[partner]["target"]}


class Shift:
    """Roll both sides by the same number of pixels, and change the light on the source.

    Args:
        most: pixels at the most.
        light: how much brighter or darker at the most.
    """

    moves = True

    def __init__(self, *, most: int = 4, light: float = 0.2) -> None:
        self.most = most
        self.light = light

    def __call__(self, pair, *, size, rng):
        by = int(torch.randint(-self.most, self.most + 1, (), generator=rng))
        light = self.light * (2 * torch.rand((), generator=rng) - 1)
        source, target = pair.source.roll(by, -1), pair.target.roll(by, -1)
        if not pair.spec.source.labels:
            source = (source + light).clamp(-1, 1)
        if pair.spec.source.parts:
            lit = by_file(source, pair.spec.source)
            moved = by_file(pair.source.roll(by, -1), pair.spec.source)
            both = zip(lit, moved, strict=True)
            source = torch.cat([old if file.labels else new for (file, new), (_, old) in both])
        extra = {name: field.roll(by, -1) for name, field in pair.extra.items()}
        return replace(pair, source=source, target=target, extra=extra)
