"""The segmentation score on photos that are easy to read: three textures, one for each label."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from i2i.core.data.paired_images import PairedImages
from i2i.core.metrics.confusion import Confusion, scores
from i2i.core.metrics.labels import DOUBTFUL, Labels, as_metrics_see, check_colours, distinct_colours
from i2i.core.metrics.segmentation import SegmentationScore
from i2i.core.metrics.segmenter import train
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


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder that this file's segmenters are kept in."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("I2I_CACHE_DIR", str(folder))
        yield folder / "segmenters"


@pytest.fixture(scope="module")
def metric(cache: Path) -> SegmentationScore:
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


def test_the_same_photos_give_the_same_segmenter_whatever_was_drawn_before() -> None:
    photos = torch.randint(0, 256, (4, 3, 16, 16), generator=torch.Generator().manual_seed(0)).byte()
    labels = (photos[:, 0] > 127).to(torch.int16)
    one = train(photos, labels, classes=2, width=4, epochs=2, seed=0)
    torch.manual_seed(7)
    before = torch.get_rng_state()
    other = train(photos, labels, classes=2, width=4, epochs=2, seed=0)
    assert torch.equal(torch.get_rng_state(), before)
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name])


def test_a_segmenter_is_trained_once_for_the_same_photos_and_settings(
    metric: SegmentationScore, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "i2i")
    sources, photos = seen(Textures(2, start=100))
    again = trained(Textures(16))
    assert caplog.messages == []
    figures = []
    for each in (metric, again):
        each.reset()
        each.update(sources, photos, photos, ["a", "b"])
        figures.append(each.compute())
    assert figures[0] == figures[1]
    for other in (trained(Textures(16), seed=1), trained(Textures(15)), trained(Textures(16), tolerance=31)):
        assert isinstance(other, SegmentationScore)
    # Another tolerance changes no label here, so it is the same network.
    assert caplog.messages == [
        f"training a segmenter on {count} photos for the segmentation score, once" for count in (16, 15)
    ]


def test_pixels_far_from_every_label_colour_are_neither_learnt_from_nor_scored(
    metric: SegmentationScore,
) -> None:
    sources, photos = seen(Textures(4, start=100))
    blurred = sources.clone()
    blurred[:, :, :8] = 0.5  # a grey that is no label
    metric.reset()
    metric.update(blurred, photos, photos, list("abcd"))
    found = metric.compute()
    assert found["doubtful_pixels"] == 0.25
    right = metric._read(photos) == metric._classes(sources)
    assert found["pixel_accuracy"] == pytest.approx(right[:, 8:].double().mean().item())
    assert found["pixel_accuracy"] != pytest.approx(right.double().mean().item())

    whole = train(dark(), torch.zeros(4, 16, 16, dtype=torch.int16), classes=2, width=4, epochs=2, seed=0)
    half = torch.zeros(4, 16, 16, dtype=torch.int16)
    half[:, 8:] = DOUBTFUL
    part = train(dark(), half, classes=2, width=4, epochs=2, seed=0)
    none = train(dark(), torch.full_like(half, DOUBTFUL), classes=2, width=4, epochs=2, seed=0)
    assert not torch.equal(part.last.bias, whole.last.bias)
    assert all(parameter.isfinite().all() for parameter in none.parameters())


def dark() -> Tensor:
    return torch.randint(0, 99, (4, 3, 16, 16), generator=torch.Generator().manual_seed(0)).byte()


def test_sources_whose_colours_are_not_those_of_the_labels_are_refused(metric: SegmentationScore) -> None:
    sentence = (
        r"segmentation-score: 64% of the pixels on the source side of the training pairs lie more than 20 "
        r"levels away from every label colour, and at most 50% may: list the colours of all labels"
    )
    with pytest.raises(DataError, match=sentence):
        trained(Textures(8), colours=((0, 0, 222), (255, 120, 0)), tolerance=20)
    sources, photos = seen(Textures(2))
    metric.reset()
    metric.update(1 - sources, photos, photos, ["a", "b"])
    with pytest.raises(DataError, match="100% of the pixels on the source side of the scored pairs"):
        metric.compute()


def test_a_list_of_colours_that_tells_nothing_apart_is_refused() -> None:
    for colours in (((1, 2, 3),), ((1, 2, 3), (1, 2, 3))):
        with pytest.raises(ValueError, match="two or more, each of them once"):
            SegmentationScore(colours=colours)
    check_colours(())
    with pytest.raises(DataError, match="found one colour on the source side"):
        distinct_colours([torch.zeros(1, 3, 4, 4)], side="source", metric="segmentation-score")


def test_label_maps_serve_as_well_as_their_colours(metric: SegmentationScore) -> None:
    sources, photos = seen(Textures(2, start=100, one_hot=True))
    labelled = trained(Textures(16, one_hot=True))
    labelled.update(sources, photos, photos, ["a", "b"])
    assert labelled.compute()["pixel_accuracy"] > 0.8


def test_large_photos_are_judged_at_the_given_size() -> None:
    sources, photos = seen(Textures(2))
    small = trained(Textures(8), size=16)
    small.update(sources, photos, photos, ["a", "b"])
    assert small._on_real.pixels == 2 * 16 * 16


def test_figures_by_hand() -> None:
    # True class in rows: 6 of 8 right, 1 of 2 right, a class that does not occur but is found once.
    table = torch.tensor([[6, 1, 1], [1, 1, 0], [0, 0, 0]])
    assert scores(table) == pytest.approx(
        {"pixel_accuracy": 7 / 10, "class_accuracy": (6 / 8 + 1 / 2) / 2, "class_iou": (6 / 9 + 1 / 3) / 2}
    )


def test_pixels_of_no_known_class_are_counted_apart() -> None:
    counted = Confusion(2)
    found = torch.tensor([[[[0, 1], [1, 1]], [[0, 0], [0, 0]]]])
    truth = torch.tensor([[[0, 1], [0, DOUBTFUL]], [[DOUBTFUL, DOUBTFUL], [DOUBTFUL, DOUBTFUL]]])
    shares = counted.add(found, truth)
    assert shares[0].item() == pytest.approx(2 / 3)
    assert shares[1].isnan()
    assert (counted.pixels, counted.unknown) == (8, 5 / 8)
    assert counted.scores()["pixel_accuracy"] == pytest.approx(2 / 3)


def test_blurred_colours_go_to_the_nearest_of_the_list_unless_it_is_far() -> None:
    source = torch.tensor(COLOURS).view(3, 3, 1, 1) / 255 + 15 / 255  # 26 levels away
    side = ImageSpec(3, 1, 1)
    labels = Labels("source", side, metric="it", colours=COLOURS, tolerance=26)
    assert labels(source).flatten().tolist() == [0, 1, 2]
    assert labels.classes == 3
    strict = Labels("source", side, metric="it", colours=COLOURS, tolerance=25)
    assert strict(source).flatten().tolist() == [DOUBTFUL] * 3
    assert strict.answered(source).flatten().tolist() == [0, 1, 2]


def test_colours_are_looked_up_unless_there_are_too_many() -> None:
    sources, _ = seen(Textures(2))
    who = {"side": "source", "metric": "segmentation-score"}
    assert distinct_colours([sources], **who) == sorted(COLOURS)
    with pytest.raises(DataError, match=r"more than 64 colours .* colours = \[\[R, G, B\], ...\]"):
        distinct_colours([torch.rand(1, 3, 9, 9)], **who)


def test_sources_without_labels_are_refused() -> None:
    with pytest.raises(DataError, match=r"1 channel\(s\) of plain pixels show none"):
        Labels("source", ImageSpec(1, 8, 8), metric="segmentation-score")


FACADES = (
    (0, 0, 222), (0, 48, 255), (0, 128, 255), (0, 207, 255), (32, 255, 223), (112, 255, 143),
    (191, 255, 64), (255, 239, 0), (255, 159, 0), (255, 80, 0), (255, 0, 0), (175, 0, 0),
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.skipif("I2I_TEST_DATA" not in os.environ, reason="needs the facades")
def test_on_facades_real_photos_score_above_blurred_shuffled_and_constant_answers() -> None:
    root = Path(os.environ["I2I_TEST_DATA"]) / "facades"
    data, held_out = (
        PairedImages(split, root=root, direction="b-to-a", size=(128, 128)) for split in ("train", "val")
    )
    metric = SegmentationScore(colours=FACADES)
    metric.prepare(data)
    items = [held_out[index] for index in range(len(held_out))]
    sources, photos = (
        torch.cat([as_metrics_see(item[key], held_out.spec.side(key)) for item in items])
        for key in ("source", "target")
    )
    ids = [item["id"] for item in items]

    def scored(answers: Tensor) -> dict[str, float]:
        metric.reset()
        for first in range(0, len(ids), 10):
            part = slice(first, first + 10)
            metric.update(sources[part], answers[part], photos[part], ids[part])
        return dict(metric.compute())

    real = scored(photos)
    blurred = scored(F.interpolate(F.avg_pool2d(photos, 8), scale_factor=8.0))
    shuffled = scored(photos.roll(1, dims=0))
    constant = scored(torch.full_like(photos, 0.5))
    print(f"{real=}\n{blurred=}\n{shuffled=}\n{constant=}")
    assert 0.2 < real["doubtful_pixels"] < 0.3
    assert real["class_iou_ceiling"] > 0.3
    for worse in (blurred, shuffled, constant):
        assert worse["pixel_accuracy"] < real["pixel_accuracy_ceiling"] - 0.25
        assert worse["class_iou"] < real["class_iou_ceiling"] - 0.2

    truth = metric._classes(sources)
    known = truth[truth != DOUBTFUL].long()
    commonest = known.bincount().max().item() / len(known)  # what the best constant answer gets right
    print(f"{commonest=}")
    assert commonest < real["pixel_accuracy_ceiling"] - 0.2
