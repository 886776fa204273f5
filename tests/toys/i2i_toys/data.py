import torch

from i2i.kinds import ImageSpec, PairSpec


class Squares:
    """Item i: a square of brightness i on grey, and its negative."""

    credit = "Squares by <nobody>, public domain."

    def __init__(self, split, *, size: int = 16, count: int = 10) -> None:
        side = ImageSpec(3, size, size)
        self.spec = PairSpec(side, side)
        self._offset = {"train": 0, "val": 100, "test": 200}[split]
        self._count = count

    def __len__(self):
        return self._count

    def __getitem__(self, index):
        rng = torch.Generator().manual_seed(index + self._offset)
        source = torch.randint(0, 256, (3, self.spec.source.height, self.spec.source.width), generator=rng)
        source = source.to(torch.uint8)
        return {"source": source, "target": 255 - source, "id": f"s{index + self._offset}"}


class UnpairedSquares(Squares):
    """A grey source, a colour target, and in training any target for each source."""

    def __init__(self, split, *, size: int = 16, count: int = 10, aligned: bool = False) -> None:
        super().__init__(split, size=size, count=count)
        self.spec = PairSpec(ImageSpec(1, size, size), ImageSpec(3, size, size), aligned=aligned)

    def __getitem__(self, index):
        item = super().__getitem__(index)
        return {**item, "source": item["source"][:1]}

    def draw(self, index, rng):
        partner = int(torch.randint(len(self), (), generator=rng))
        return {**self[index], "target": self[partner]["target"]}
