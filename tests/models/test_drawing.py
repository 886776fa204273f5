"""Answers to several pictures at once, and in half the bits, are those to each picture, or are not taken."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from i2i.kinds import ImageSpec, PairSpec
from i2i.models import drawing
from i2i.models.drawing import Drawer, Sources
from i2i.models.translate import Model

NAMES = ("a.png", "b.png", "c.png", "d.png")


class Network(nn.Module):
    """Counts the images of each call, and whether autocast was on."""

    def __init__(self, answer):
        super().__init__()
        self.answer, self.calls, self.seconds = answer, [], 0.0

    def forward(self, source):
        halved = torch.is_autocast_enabled("cpu")
        self.calls.append((len(source), halved))
        self.seconds += 1.0 if halved else 2.0
        return self.answer(source)


def model_of(answer, **target) -> Model:
    spec = PairSpec(ImageSpec(3, 8, 8), ImageSpec(3, 8, 8, **target))
    return Model(Network(answer), spec, ())


def sources(count: int = 4) -> Sources:
    images = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return Sources(images[:count], (8, 8), NAMES[:count])


def one_by_one(model: Model, given: Sources, samples: int = 1) -> list[torch.Tensor]:
    drawer = Drawer(model, seed=5)
    parts = [drawer(given.part(place, place + 1), samples=samples) for place in range(len(given.names))]
    return [torch.cat(answers) for answers in zip(*parts, strict=True)]


def test_samples_drawn_together_are_those_drawn_one_by_one():
    model = model_of(nn.Sequential(nn.Dropout(0.5), nn.Conv2d(3, 3, 3, padding=1), nn.Dropout2d(0.2)))
    wanted = one_by_one(model, sources(), samples=3)
    model.module.calls.clear()
    found = Drawer(model, seed=5)(sources(), samples=3)
    assert [count for count, _ in model.module.calls] == [1, 4, 4, 4]
    assert len(found) == 3
    assert all(torch.allclose(*pair, atol=1e-6) for pair in zip(found, wanted, strict=True))
    other = Drawer(model, seed=6)(sources(), samples=3)
    assert not torch.allclose(other[0], found[0])


@pytest.mark.parametrize(
    "answer",
    [
        lambda images: images - images.mean(dim=0, keepdim=True),
        lambda images: images + torch.randn_like(images),
        lambda images: images * float("nan"),
    ],
    ids=["depends on the others", "draws beside dropout", "no numbers"],
)
def test_a_model_that_minds_company_translates_each_picture_by_itself(answer):
    model = model_of(answer)
    wanted = one_by_one(model, sources())[0]
    drawer = Drawer(model, seed=5)
    for _ in range(2):
        model.module.calls.clear()
        assert torch.equal(drawer(sources())[0].nan_to_num(9), wanted.nan_to_num(9))
    assert [count for count, _ in model.module.calls] == [1, 1, 1, 1]


def test_where_memory_has_no_room_for_all_there_are_fewer_at_once():
    def answer(images):
        if len(images) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return images

    model = model_of(answer)
    assert torch.equal(Drawer(model, seed=0)(sources())[0], sources().images)

    def never(images):
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        Drawer(model_of(never), seed=0)(sources())


@pytest.fixture
def many(monkeypatch):
    """Return a function that gives a model twice as fast in bfloat16, and a drawer that chooses."""
    monkeypatch.setattr(drawing, "resolve", lambda device, precision: SimpleNamespace(precision="bf16"))

    def make(answer, **target):
        model = model_of(answer, **target)
        monkeypatch.setattr(drawing.time, "process_time", lambda: model.module.seconds)
        return model, Drawer(model, seed=0, precision="auto")

    return make


def precisions(model: Model, drawer: Drawer, lefts: tuple[int, ...]) -> list[bool]:
    """Return whether autocast was on in the last call for each of some batches."""
    used = []
    for left in lefts:
        drawer(sources(), left=left)
        used.append(model.module.calls[-1][1])
    return used


def test_many_pictures_are_tried_in_bf16_which_then_is_taken(many):
    model, drawer = many(lambda images: images * 0.5 + 0.001 * torch.is_autocast_enabled("cpu"))
    assert precisions(model, drawer, (40, 36, 32)) == [False, True, True]
    assert len(drawer.notes) == 1
    assert "computed in bfloat16" in drawer.notes[0]
    assert "on 4 pictures of these it was at most 1 of 255 levels away from float32" in drawer.notes[0]


def test_the_pictures_that_are_tried_on_are_answered_in_float32(many):
    _, drawer = many(lambda images: images * 0.5 + 0.001 * torch.is_autocast_enabled("cpu"))
    first, tried, later = (drawer(sources(), left=left)[0] for left in (40, 36, 32))
    assert torch.equal(first, tried)
    assert not torch.equal(later, tried)


@pytest.mark.parametrize(
    ("answer", "target"),
    [
        (lambda images: images * 0.5 + 0.03 * torch.is_autocast_enabled("cpu"), {}),
        (lambda images: images * 0.5, {"depth": "uint16", "high": 65535}),
        (lambda images: images * 0.5, {"labels": True, "high": 1}),
    ],
    ids=["3 levels away", "16 bits", "classes"],
)
def test_bf16_is_not_taken_where_it_would_be_seen(many, answer, target):
    model, drawer = many(answer, **target)
    drawer(sources(), left=40)
    drawer(sources(), left=36)
    assert precisions(model, drawer, (32, 28)) == [False, False]
    assert drawer.notes == []


def test_bf16_is_not_tried_for_a_handful(many):
    model, drawer = many(lambda images: images)
    assert precisions(model, drawer, (12, 8, 4)) == [False] * 3


def test_a_network_without_bf16_stays_in_float32(many):
    def answer(images):
        if torch.is_autocast_enabled("cpu"):
            raise RuntimeError('"fft" not implemented for BFloat16')
        return images

    _, drawer = many(answer)
    for left in (40, 36, 32):
        assert torch.equal(drawer(sources(), left=left)[0], sources().images)


def test_a_precision_that_is_asked_for_is_taken_at_once():
    for precision, on in (("fp32", False), ("bf16", True)):
        model = model_of(lambda images: images)
        Drawer(model, seed=0, precision=precision)(sources(), left=100)
        assert {autocast for _, autocast in model.module.calls} == {on}
