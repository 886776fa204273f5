"""Figures of an answer where truths differ: the width of its edge, its distance from mean and median."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from i2i.core.data.edges import Edges
from i2i.core.metrics.edge_width import EdgeWidth
from i2i.core.metrics.optima import Optima
from i2i.errors import DataError
from i2i.kinds import ImageSpec, PairSpec


class Levels:
    """Targets of 2x2 that are flat, at these levels."""

    spec = PairSpec(ImageSpec(1, 2, 2), ImageSpec(1, 2, 2))

    def __init__(self, *levels: int) -> None:
        self._levels = levels

    def __len__(self) -> int:
        return len(self._levels)

    def __getitem__(self, index: int) -> dict[str, Any]:
        target = torch.full((1, 2, 2), self._levels[index], dtype=torch.uint8)
        return {"source": target, "target": target, "id": str(index)}


def figures(metric: Any, fake: Tensor, real: Tensor) -> dict[str, list[float]]:
    found = metric.update(real, fake, real, [str(place) for place in range(len(real))])
    return {name: values.tolist() for name, values in found.items()}


def test_the_width_of_an_edge_counts_pixels_between_dark_and_light():
    ramp = torch.tensor([0, 0.05, 0.15, 0.5, 0.85, 0.95, 1]).expand(1, 1, 4, 7)
    step = (torch.arange(7) > 3).float().expand(1, 1, 4, 7)
    metric = EdgeWidth()
    assert figures(metric, ramp, step) == {"edge_width": [3], "edge_width_gap": [3]}
    assert figures(metric, step, step) == {"edge_width": [0], "edge_width_gap": [0]}


def test_a_sharp_edge_whose_place_differs_from_row_to_row_is_sharp():
    steps = torch.stack([(torch.arange(8) > place).float() for place in range(1, 7)])[None, None]
    assert figures(EdgeWidth(), steps, steps)["edge_width"] == [0]


def test_of_several_answers_the_widths_are_averaged():
    ramp = torch.linspace(0.2, 0.8, 6).expand(1, 1, 2, 6)
    step = (torch.arange(6) > 2).float().expand(1, 1, 2, 6)
    assert figures(EdgeWidth(), torch.stack([ramp, step]), step)["edge_width"] == [3]


def test_data_that_know_their_optima_are_asked_for_them():
    data = Edges("train", size=(2, 32), count=8)
    metric = Optima()
    metric.prepare(data)
    mean, median = data.optima["mean"][None], data.optima["median"][None]
    apart = (mean - median).abs().mean().item()
    assert figures(metric, mean, median) == {"to_mean": [0], "to_median": [pytest.approx(apart)]}
    assert figures(metric, median, median) == {"to_mean": [pytest.approx(apart)], "to_median": [0]}
    assert metric.compute() == pytest.approx({"to_mean": apart / 2, "to_median": apart / 2})


def test_of_other_data_the_optima_are_those_of_the_training_targets():
    metric = Optima()
    metric.prepare(Levels(0, 0, 51, 255, 255 - 51, 0, 0))
    answer = torch.zeros(1, 1, 2, 2)
    assert figures(metric, answer, answer) == {"to_mean": [pytest.approx(2 / 7)], "to_median": [0]}


def test_no_more_pairs_are_looked_at_than_asked_for():
    metric = Optima(pairs=2)
    metric.prepare(Levels(0, 255, 102, 255))
    answer = torch.zeros(1, 1, 2, 2)
    assert figures(metric, answer, answer)["to_mean"] == [pytest.approx(0.2)]


def test_a_picture_of_another_size_is_refused_in_a_sentence():
    metric = Optima()
    metric.prepare(Edges("train", size=(2, 32)))
    image = torch.zeros(1, 1, 4, 32)
    with pytest.raises(DataError, match="optima are pictures of 1 x 2 x 32, and this one is 1 x 4 x 32"):
        figures(metric, image, image)


def test_pictures_of_many_sizes_have_optima_at_the_size_of_the_data():
    class OfManySizes(Levels):
        def __getitem__(self, index: int) -> dict[str, Any]:
            item = super().__getitem__(index)
            return item | {"target": item["target"][:, :1, :1].expand(1, 2 + index, 3)}

    metric = Optima()
    metric.prepare(OfManySizes(0, 51, 255))
    answer = torch.zeros(1, 1, 2, 2)
    assert figures(metric, answer, answer) == {
        "to_mean": [pytest.approx(0.4)],
        "to_median": [pytest.approx(0.2)],
    }
