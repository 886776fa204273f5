"""The segmentation score on photos that are easy to read: three textures, one for each label."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from i2i.core.metrics.labels import Labels, distinct_colours
from i2i.core.metrics.segmentation import SegmentationScore, scores
from i2i.errors import DataError
from i2i.kinds import ImageSpec, PairSpec

COLOURS = ((0, 0, 222), (255, 80, 0), (175, 0, 0))
SIZE = 32


class Textures:
    """Label maps of two halves and a stripe, and photos: dark, bright and striped where the labels are."""

    def __init__(self, count: int, *, start: int = 0, one_hot: bool = False) -> None:
        side = ImageSpec(3, SIZE, SIZE)
        maps = replace(side, channels=3, high=1.0, labels=True) if one_hot else side
        self.spec = PairSpec(maps, side)
        self.count, self.start, self.one_hot = count, start, one_hot

    def __len__(self) -> int:
        return self.count

    def labels(self, index: int) -> Tensor:
        edge = 8 + (index + self.start) * 5 % 16
        labels = torch.zeros(SIZE, SIZE, dtype=torch.long)
        labels[:, edge:] = 1
        labels[edge : edge + 8, :] = 2
        return labels

    def __getitem__(self, index: int) -> dict[str, object]:
        labels = self.labels(index)
        rng = torch.Generator().manual_seed(index + self.start)
        stripes = (torch.arange(SIZE) % 2 * 120 + 60).expand(SIZE, SIZE)
        grey = torch.stack((torch.full_like(stripes, 40), torch.full_like(stripes, 200), stripes))
        photo = grey.gather(0, labels[None]) + torch.randint(-20, 20, (3, SIZE, SIZE), generator=rng)
        if self.one_hot:
            source = (labels == torch.arange(3).view(3, 1, 1)).to(torch.uint8)
        else:
            source = torch.tensor(COLOURS, dtype=torch.uint8)[labels].permute(2, 0, 1).contiguous()
        return {"source": source, "target": photo.clamp(0, 255).to(torch.uint8), "id": str(index)}


def seen(data: Textures) -> tuple[Tensor, Tensor]:
    """Return all sources and photos of `data` as metrics see them."""
    items = [data[index] for index in range(len(data))]
    high = 1 if data.one_hot else 255
    return torch.stack([i["source"] for i in items]) / high, torch.stack([i["target"] for i in items]) / 255


def trained(train: Textures, **options: object) -> SegmentationScore:
    metric = SegmentationScore(width=4, epochs=16, **options)
    metric.prepare(train)
    return metric


@pytest.fixture(scope="module")
def metric() -> SegmentationScore:
    return trained(Textures(16))


def test_real_photos_score_their_own_ceiling_and_ruined_ones_less(metric: SegmentationScore) -> None:
    sources, photos = seen(Textures(4, start=100))
    ids = list("abcd")
    metric.reset()
    metric.update(sources, photos, photos, ids)
    found = metric.compute()
    assert found["pixel_accuracy"] == found["pixel_accuracy_ceiling"] > 0.8
    assert found["class_accuracy"] == found["class_accuracy_ceiling"] > 0.7
    assert found["class_iou"] == found["class_iou_ceiling"] > 0.6

    metric.reset()
    each = metric.update(sources, photos.flip(-1), photos, ids)["pixel_accuracy"]
    ruined = metric.compute()
    assert ruined["pixel_accuracy"] < 0.8 * ruined["pixel_accuracy_ceiling"]
    assert ruined["pixel_accuracy_ceiling"] == found["pixel_accuracy_ceiling"]
    assert each.mean().item() == pytest.approx(ruined["pixel_accuracy"], abs=1e-6)


def test_only_the_models_figures_have_a_direction(metric: SegmentationScore) -> None:
    assert set(metric.directions) == {"pixel_accuracy", "class_accuracy", "class_iou"}
    assert "not comparable with the paper's" in " ".join(str(SegmentationScore.__doc__).split())


def test_several_draws_are_all_read(metric: SegmentationScore) -> None:
    sources, photos = seen(Textures(2, start=100))
    metric.reset()
    each = metric.update(sources, torch.stack((photos, photos.flip(-1))), photos, ["a", "b"])
    total = metric.compute()["pixel_accuracy"]
    assert each["pixel_accuracy"].shape == (2,)
    assert each["pixel_accuracy"].mean().item() == pytest.approx(total, abs=1e-6)


def test_the_same_photos_give_the_same_segmenter_whatever_was_drawn_before(metric: SegmentationScore) -> None:
    torch.manual_seed(7)
    before = torch.get_rng_state()
    again = trained(Textures(16))
    assert torch.equal(torch.get_rng_state(), before)
    for one, other in zip(metric._network.parameters(), again._network.parameters()):
        assert torch.equal(one, other)


def test_label_maps_serve_as_well_as_their_colours(metric: SegmentationScore) -> None:
    sources, photos = seen(Textures(2, start=100, one_hot=True))
    labelled = trained(Textures(16, one_hot=True))
    labelled.update(sources, photos, photos, ["a", "b"])
    assert labelled.compute()["pixel_accuracy"] > 0.8


def test_large_photos_are_judged_at_the_given_size() -> None:
    sources, photos = seen(Textures(2))
    small = trained(Textures(8), size=16)
    small.update(sources, photos, photos, ["a", "b"])
    assert int(small._on_real.sum()) == 2 * 16 * 16


def test_figures_by_hand() -> None:
    # True class in rows: 6 of 8 right, 1 of 2 right, a class that does not occur but is found once.
    table = torch.tensor([[6, 1, 1], [1, 1, 0], [0, 0, 0]])
    assert scores(table) == pytest.approx(
        {"pixel_accuracy": 7 / 10, "class_accuracy": (6 / 8 + 1 / 2) / 2, "class_iou": (6 / 9 + 1 / 3) / 2}
    )


def test_blurred_colours_go_to_the_nearest_of_the_list() -> None:
    source = torch.tensor(COLOURS).view(3, 3, 1, 1) / 255 + 0.06
    labels = Labels(ImageSpec(3, 1, 1), COLOURS, [])
    assert labels(source).flatten().tolist() == [0, 1, 2]
    assert labels.classes == 3


def test_colours_are_looked_up_unless_there_are_too_many() -> None:
    sources, _ = seen(Textures(2))
    assert distinct_colours([sources]) == sorted(COLOURS)
    with pytest.raises(DataError, match=r"more than 64 colours .* colours = \[\[R, G, B\], ...\]"):
        distinct_colours([torch.rand(1, 3, 9, 9)])


def test_sources_without_labels_are_refused() -> None:
    with pytest.raises(DataError, match=r"1 channel\(s\) of plain pixels show none"):
        Labels(ImageSpec(1, 8, 8), (), [])
