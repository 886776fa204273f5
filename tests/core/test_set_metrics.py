"""Metrics of colour, sharpness and variety, worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from i2i.core.metrics.colour import HistogramIntersection
from i2i.core.metrics.diversity import Diversity
from i2i.core.metrics.sharpness import FLOOR, Sharpness
from i2i.errors import DataError, RecipeError

IDS = ("a", "b")


def flat(*colours: tuple[float, float, float]) -> Tensor:
    """Return one image of 4x4 of each colour."""
    return torch.tensor(colours).reshape(-1, 3, 1, 1).expand(-1, -1, 4, 4).contiguous()


RED, GREEN, GREY = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.5, 0.5, 0.5)


class TestHistogramIntersection:
    def score(self, fake: Tensor, real: Tensor) -> list[float]:
        metric = HistogramIntersection()
        metric.update(real, fake, real, IDS)
        return list(metric.compute().values())

    def test_the_same_colours_overlap_wholly_wherever_they_stand(self) -> None:
        images = torch.rand(2, 3, 8, 8)
        assert self.score(images.flip(0, 2, 3), images) == pytest.approx([1.0, 1.0, 1.0])

    def test_red_and_green_share_nothing(self) -> None:
        assert self.score(flat(RED), flat(GREEN)) == [0.0, 0.0, 0.0]

    def test_it_is_the_share_of_pixels_in_common_bins(self) -> None:
        # Half of the pixels are red in both; grey and green differ in every channel.
        assert self.score(flat(RED, GREY), flat(GREEN, RED)) == pytest.approx([0.5, 0.5, 0.5])

    def test_grey_has_its_lightness_and_no_colour(self) -> None:
        darker = tuple(0.2 * value for value in GREY)
        assert self.score(flat(GREY), flat(darker)) == [0.0, 1.0, 1.0]

    def test_the_whole_set_counts_not_the_pairs(self) -> None:
        metric = HistogramIntersection()
        for fake, real in ((RED, GREEN), (GREEN, RED)):
            assert metric.update(flat(real), flat(fake), flat(real), ["a"]) is None
        assert list(metric.compute().values()) == [1.0, 1.0, 1.0]

    def test_every_draw_counts(self) -> None:
        draws = torch.stack((flat(RED), flat(GREEN)))
        assert self.score(draws, flat(RED)) == pytest.approx([0.5, 0.5, 0.5])

    def test_the_extremes_of_srgb_have_bins_of_their_own(self) -> None:
        corners = [(r, g, b) for r in (0.0, 1.0) for g in (0.0, 1.0) for b in (0.0, 1.0)]
        assert self.score(flat(*corners), flat(*corners)) == pytest.approx([1.0, 1.0, 1.0])

    def test_images_of_two_channels_are_refused(self) -> None:
        with pytest.raises(DataError, match="histogram-intersection scores RGB or grey images, not"):
            self.score(torch.rand(1, 2, 4, 4), torch.rand(1, 2, 4, 4))


def stripes(contrast: float) -> Tensor:
    """Return columns that go up and down by `contrast`, (1,1,8,8)."""
    return (torch.arange(8) % 2 * contrast).expand(1, 1, 8, 8).contiguous()


class TestSharpness:
    def score(self, fake: Tensor, real: Tensor) -> dict[str, float]:
        metric = Sharpness()
        metric.update(real, fake, real, IDS)
        return dict(metric.compute())

    def test_half_the_contrast_is_half_as_sharp_and_twice_is_as_far_off(self) -> None:
        for fake, real in ((0.25, 0.5), (0.5, 0.25)):
            expected = {"sharpness": fake / real, "sharpness_gap": math.log(2)}
            assert self.score(stripes(fake), stripes(real)) == pytest.approx(expected)

    def test_a_shift_costs_nothing(self) -> None:
        image = torch.rand(2, 3, 9, 9)
        found = self.score(image.flip(1), image)
        assert found == pytest.approx({"sharpness": 1.0, "sharpness_gap": 0.0}, abs=1e-5)

    def test_flat_images_are_as_sharp_as_each_other(self) -> None:
        assert self.score(stripes(0.0), stripes(0.0)) == {"sharpness": 1.0, "sharpness_gap": 0.0}
        assert self.score(stripes(0.0), stripes(0.5))["sharpness"] == pytest.approx(FLOOR / 0.5)

    def test_blur_and_noise_do_not_cancel_out_in_the_gap(self) -> None:
        fake, real = torch.cat((stripes(0.2), stripes(0.8))), stripes(0.4).expand(2, -1, -1, -1)
        assert self.score(fake, real) == pytest.approx({"sharpness": 1.25, "sharpness_gap": math.log(2)})

    def test_each_image_has_its_own_figures(self) -> None:
        fake, real = torch.cat((stripes(0.2), stripes(0.4))), stripes(0.4).expand(2, -1, -1, -1)
        values = Sharpness().update(real, fake, real, IDS)
        assert values["sharpness"].tolist() == pytest.approx([0.5, 1.0])


class TestDiversity:
    def test_it_is_the_mean_over_all_pairs_of_draws(self) -> None:
        draws = torch.stack([flat((value, value, value)) for value in (0.0, 0.1, 0.4)])
        metric = Diversity()
        (values,) = metric.update(flat(RED), draws, flat(RED), ["a"]).values()
        assert values.tolist() == pytest.approx([(0.1 + 0.4 + 0.3) / 3])
        assert metric.compute() == pytest.approx({"diversity": 0.8 / 3})

    def test_equal_answers_have_none(self) -> None:
        draws = torch.rand(1, 2, 3, 4, 4).expand(3, -1, -1, -1, -1)
        metric = Diversity()
        metric.update(draws[0], draws, draws[0], IDS)
        assert metric.compute() == {"diversity": 0.0}

    def test_a_single_draw_is_refused_in_a_sentence(self) -> None:
        with pytest.raises(RecipeError, match="set its `draws` to 2 or more"):
            Diversity().update(flat(RED), flat(RED), flat(RED), ["a"])
