"""Labels as what is translated to: their accuracy, worked out by hand, and a network that learns a few."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from i2i.core.losses.labels import CrossEntropy
from i2i.core.metrics.label_accuracy import LabelAccuracy
from i2i.errors import DataError
from i2i.images import label_spec, write_image
from i2i.kinds import Colour, ImageSpec, PairSpec

PALETTE = ((0, 0, 0), (200, 0, 0), (0, 0, 200))


class Targets:
    """A data set whose targets are given."""

    def __init__(self, spec: ImageSpec, *targets: Tensor) -> None:
        self.spec = PairSpec(ImageSpec(3, 4, 4), spec)
        self.targets = targets

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> dict[str, object]:
        target = self.targets[index]
        return {"source": torch.zeros(3, 4, 4, dtype=torch.uint8), "target": target, "id": str(index)}


def classes() -> Tensor:
    """Two maps of 4x4: class 0 above class 1, and class 2 alone."""
    maps = torch.zeros(2, 4, 4, dtype=torch.long)
    maps[0, 2:] = 1
    maps[1] = 2
    return maps


def one_hot(maps: Tensor) -> Tensor:
    return F.one_hot(maps, 3).permute(0, 3, 1, 2).float()


def in_colour(maps: Tensor) -> Tensor:
    return torch.tensor(PALETTE)[maps].permute(0, 3, 1, 2) / 255


def on_label_maps() -> LabelAccuracy:
    metric = LabelAccuracy()
    metric.prepare(Targets(label_spec(3, height=4, width=4)))
    return metric


def on_colours(*, colours: tuple[Colour, ...] = PALETTE, **options: object) -> LabelAccuracy:
    metric = LabelAccuracy(colours=colours, **options)
    metric.prepare(Targets(ImageSpec(3, 4, 4), *(in_colour(classes()) * 255).round().to(torch.uint8)))
    return metric


@pytest.mark.parametrize(("made", "shown"), [(on_label_maps, one_hot), (on_colours, in_colour)])
def test_figures_by_hand_for_label_maps_and_for_their_colours(
    made: Callable[[], LabelAccuracy], shown: Callable[[Tensor], Tensor]
) -> None:
    metric, real = made(), classes()
    fake = real.clone()
    fake[0, 2] = 0  # half of class 1 is taken for class 0
    each = metric.update(torch.zeros(2, 3, 4, 4), shown(fake), shown(real), ["a", "b"])
    assert each["pixel_accuracy"].tolist() == [0.75, 1.0]
    assert metric.compute() == pytest.approx(
        {
            "pixel_accuracy": 28 / 32,
            "class_accuracy": (1 + 1 / 2 + 1) / 3,
            "class_iou": (8 / 12 + 4 / 8 + 1) / 3,
            "doubtful_pixels": 0.0,
        }
    )
    metric.reset()
    draws = torch.stack((shown(fake), shown(real)))
    each = metric.update(torch.zeros(2, 3, 4, 4), draws, shown(real), ["a", "b"])
    assert each["pixel_accuracy"].tolist() == [0.875, 1.0]


def test_an_answer_is_of_the_nearest_colour_and_a_true_pixel_only_of_a_near_one() -> None:
    metric, real = on_colours(tolerance=10), in_colour(classes())
    real[0, :, 0] = 0.4  # a grey that is no label, a row of 4
    answer = (in_colour(classes()) + 0.15).clamp(0, 1)  # 38 levels off, in each channel
    metric.update(real, answer, real, ["a", "b"])
    found = metric.compute()
    assert found["pixel_accuracy"] == 1.0
    assert found["doubtful_pixels"] == 4 / 32
    metric.reset()
    metric.update(real, answer, answer, ["a", "b"])
    with pytest.raises(
        DataError, match="label-accuracy: 100% of the pixels on the target side of the scored"
    ):
        metric.compute()


def test_targets_that_show_none_of_the_given_colours_are_refused_before_a_training() -> None:
    with pytest.raises(DataError, match="100% of the pixels on the target side of the training pairs"):
        on_colours(colours=((9, 90, 90), (200, 90, 9)))


def test_colours_are_looked_up_in_the_training_targets() -> None:
    metric = LabelAccuracy()
    stored = torch.tensor(PALETTE, dtype=torch.uint8)[classes()].permute(0, 3, 1, 2)
    metric.prepare(Targets(ImageSpec(3, 4, 4), *stored))
    metric.update(stored / 255, stored / 255, stored / 255, ["a", "b"])
    assert metric.compute()["class_iou"] == 1.0


def test_targets_without_labels_are_refused() -> None:
    sentence = "label-accuracy reads labels off the target side, and 1 channel"
    with pytest.raises(DataError, match=sentence):
        LabelAccuracy().prepare(Targets(ImageSpec(1, 4, 4)))
    with pytest.raises(DataError, match="label-accuracy found more than 64 colours on the target side"):
        LabelAccuracy().prepare(Targets(ImageSpec(3, 16, 16), torch.randint(0, 256, (3, 16, 16)).byte()))
    with pytest.raises(ValueError, match="two or more"):
        LabelAccuracy(colours=((0, 0, 0),))
    with pytest.raises(DataError, match="has no image to count"):
        on_label_maps().compute()


# --- cross-entropy --------------------------------------------------------------------------------


def test_cross_entropy_is_that_of_the_softmax_before_a_tanh() -> None:
    logits = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    real = one_hot(classes()) * 2 - 1
    loss = CrossEntropy()((logits / 2).tanh(), real)
    assert loss.item() == pytest.approx(F.cross_entropy(logits, classes()).item(), abs=0.01)


def test_cross_entropy_of_certain_answers_is_finite_with_a_way_back() -> None:
    real = one_hot(classes()) * 2 - 1
    right, wrong = real.clone().requires_grad_(), (-real).requires_grad_()
    assert CrossEntropy()(right, real) < 1e-5
    loss = CrossEntropy()(wrong, real)
    loss.backward()
    assert 10 < loss < 20
    assert wrong.grad is not None
    assert wrong.grad.isfinite().all()
    assert (wrong.grad * real).sum() < 0


RECIPE = """
recipe = 1
name = "labels"

[data]
use = "paired-images"
root = "pairs"
target_labels = 3
size = [32, 32]
batch_size = 4

[generator]
use = "unet"
depth = 3
width = 8
dropout = 0.0

[losses.labels]
use = "cross-entropy"

[method]
use = "paired-adversarial"
test_norm = "running"

[optimizers.generators]
use = "adam"
lr = 4e-3

[train]
steps = 40
log_every = 1
eval_every = 10

[metrics.labels]
use = "label-accuracy"
"""


def write_pairs(folder: Path) -> None:
    """Write photos of three greys with noise, and which grey it is as labels."""
    rng = torch.Generator().manual_seed(0)
    maps = label_spec(3, height=32, width=32)
    for split, count in (("train", 8), ("val", 4)):
        for index in range(count):
            classes = (
                torch.randint(0, 3, (4, 4), generator=rng).repeat_interleave(8, 0).repeat_interleave(8, 1)
            )
            photo = (classes * 0.6 - 0.6).expand(3, -1, -1) + 0.1 * torch.randn(3, 32, 32, generator=rng)
            one = F.one_hot(classes, 3).permute(2, 0, 1).to(torch.uint8)
            write_image(folder / f"{split}A" / f"{index}.png", photo, spec=ImageSpec(3, 32, 32))
            write_image(folder / f"{split}B" / f"{index}.png", one, spec=maps)


def test_photos_to_labels_are_learnt_by_cross_entropy(tmp_path: Path, monkeypatch, i2i) -> None:
    monkeypatch.chdir(tmp_path)
    write_pairs(tmp_path / "pairs")
    Path("labels.toml").write_text(RECIPE)
    ended = i2i("run", "labels.toml", "--out", "run", "--device", "cpu")
    assert ended.code == 0, ended.err
    records = [json.loads(line) for line in Path("run/metrics.jsonl").read_text().splitlines()]
    losses = [record["losses"]["labels"] for record in records if record["kind"] == "train"]
    scores = [record["metrics"] for record in records if record["kind"] == "val"]
    assert losses[-1] < 0.5 * losses[0]
    assert scores[-1]["pixel_accuracy"] > max(0.8, scores[0]["pixel_accuracy"])
    assert scores[-1]["class_iou"] > 0.6
    assert scores[-1]["doubtful_pixels"] == 0.0

    found = json.loads(i2i("eval", "run", "--split", "val", "--json").out)["figures"]
    assert found["pixel_accuracy"]["mean"] == pytest.approx(scores[-1]["pixel_accuracy"])
    assert found["doubtful_pixels"]["better"] is None


def test_cross_entropy_for_targets_that_are_pictures_is_refused_in_a_sentence(
    tmp_path: Path, monkeypatch, i2i
) -> None:
    monkeypatch.chdir(tmp_path)
    write_pairs(tmp_path / "pairs")
    Path("labels.toml").write_text(RECIPE)
    ended = i2i("run", "labels.toml", "--dry-run", "--unset", "data.target_labels")
    assert ended.code == 2
    assert "core/cross-entropy needs a target that is a label map" in ended.err


def test_a_score_of_labels_where_there_are_none_is_refused_before_the_first_step(
    tmp_path: Path, monkeypatch, i2i
) -> None:
    monkeypatch.chdir(tmp_path)
    write_pairs(tmp_path / "pairs")
    Path("labels.toml").write_text(RECIPE)
    plain = ("--unset", "data.target_labels", "--set", "losses.labels.use=l1")
    ended = i2i("run", "labels.toml", "--dry-run", *plain)
    assert (ended.code, "label-accuracy reads labels off the target side" in ended.err) == (3, True)
    ended = i2i("run", "labels.toml", "--dry-run", "--set", "metrics.labels.use=segmentation-score")
    assert (ended.code, "segmentation-score found more than 64 colours" in ended.err) == (3, True)
    ended = i2i("run", "labels.toml", "--dry-run", "--set", "metrics.labels.colours=[[0, 0, 0]]")
    assert (ended.code, "two or more, each of them once" in ended.err) == (2, True)
