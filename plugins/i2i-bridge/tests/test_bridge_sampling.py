"""Both samplers against closed forms, with the best possible guesses in place of a network."""

from __future__ import annotations

import pytest
import torch
from i2i_bridge.bridge import Bridge
from i2i_bridge.flow import Flow
from torch import Tensor, nn

from i2i.kinds import ImageSpec, PairSpec
from i2i.networks import Losses, Networks

COUNT = 4000
SIDE = ImageSpec(1, 1, 1)
SIGMA = 0.8


class Knowing(nn.Module):
    """Gives what `best` makes of the points and their time, and keeps what it was shown."""

    def __init__(self, best) -> None:
        super().__init__()
        self.best = best
        self.seen: list[tuple[float, Tensor]] = []

    def forward(self, image: Tensor, time: Tensor) -> Tensor:
        point, source = image.chunk(2, dim=1)
        self.seen.append((time[0].item(), point))
        return self.best(point, source, time[0].item())


def drawn(method: type, best, *, source: float = 0.0, **keys) -> tuple[Tensor, Knowing]:
    """Return `COUNT` answers of the method to one source, and the network that led to them."""
    torch.manual_seed(0)
    knowing = Knowing(best)
    networks = Networks(generators={"main": knowing}, judges={}, others={})
    made = method(networks, Losses(()), PairSpec(SIDE, SIDE), **keys)
    return made.translate(torch.full((COUNT, 1, 1, 1), source)).flatten(), knowing


@pytest.mark.parametrize("evaluations", [1, 4, 16, 50])
def test_a_bridge_between_two_points_is_a_brownian_bridge_at_every_time(evaluations):
    begin, end = -0.6, 0.5
    answers, knowing = drawn(
        Bridge,
        lambda point, source, time: torch.full_like(point, end),
        source=begin,
        sigma=SIGMA,
        evaluations=evaluations,
    )
    assert torch.equal(answers, torch.full((COUNT,), end))
    times = [time for time, _ in knowing.seen]
    assert times == pytest.approx([1 - number / evaluations for number in range(evaluations)])
    for time, points in knowing.seen:
        deviation = SIGMA * (time * (1 - time)) ** 0.5
        assert points.mean().item() == pytest.approx((1 - time) * end + time * begin, abs=0.04)
        assert points.std().item() == pytest.approx(deviation, rel=0.05, abs=1e-6)


def test_a_bridge_without_noise_goes_straight():
    _, knowing = drawn(
        Bridge,
        lambda point, source, time: torch.full_like(point, 0.5),
        source=-0.6,
        evaluations=4,
        stochastic=0.0,
    )
    for time, points in knowing.seen:
        torch.testing.assert_close(points, torch.full_like(points, (1 - time) * 0.5 - time * 0.6))


def one_of_two(point: Tensor, source: Tensor, time: float) -> Tensor:
    """The mean target at a point of a bridge whose targets are -0.5 and 0.5, each as often."""
    return 0.5 * torch.tanh(0.5 * (point - time * source) / (SIGMA**2 * time))


def test_a_bridge_ends_at_either_of_two_targets_as_often_as_they_are():
    answers, _ = drawn(Bridge, one_of_two, source=0.2, sigma=SIGMA, evaluations=50)
    assert ((answers.abs() - 0.5).abs() < 0.01).float().mean() > 0.99
    assert (answers > 0).float().mean().item() == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("keys", [{"evaluations": 1}, {"evaluations": 50, "stochastic": 0.0}])
def test_in_one_pass_or_straight_a_bridge_ends_at_the_mean_of_the_targets(keys):
    answers, _ = drawn(Bridge, one_of_two, source=0.2, sigma=SIGMA, **keys)
    assert answers.abs().max() < 1e-4


MEAN, DEVIATION = 0.1, 0.2


def around_the_mean(point: Tensor, source: Tensor, time: float) -> Tensor:
    """The mean target at a point of a flow whose targets are normal."""
    kept = 1 - time
    share = kept * DEVIATION**2 / (kept**2 * DEVIATION**2 + time**2)
    return MEAN + share * (point - kept * MEAN)


@pytest.mark.parametrize(("stochastic", "apart"), [(0.0, 0.08), (0.5, 0.1), (1.0, 0.15)])
def test_a_flow_ends_at_targets_spread_as_they_are(stochastic, apart):
    # A finite number of steps spreads answers too little, the more so as each counts the target as known.
    answers, knowing = drawn(Flow, around_the_mean, evaluations=50, stochastic=stochastic)
    assert answers.mean().item() == pytest.approx(MEAN, abs=0.02)
    assert answers.std().item() == pytest.approx(DEVIATION, rel=apart)
    for time, points in knowing.seen:
        deviation = ((1 - time) ** 2 * DEVIATION**2 + time**2) ** 0.5
        assert points.mean().item() == pytest.approx((1 - time) * MEAN, abs=0.05)
        assert points.std().item() == pytest.approx(deviation, rel=apart)


def test_a_flow_in_one_pass_ends_at_the_mean_of_the_targets():
    answers, _ = drawn(Flow, around_the_mean, evaluations=1)
    torch.testing.assert_close(answers, torch.full((COUNT,), MEAN))


def test_without_new_noise_the_flow_is_decided_by_where_it_starts():
    answers, knowing = drawn(Flow, around_the_mean, evaluations=8)
    start = knowing.seen[0][1].flatten()
    assert torch.corrcoef(torch.stack((start, answers)))[0, 1] > 0.999


@pytest.mark.parametrize(("guidance", "answer"), [(0.0, 0.1), (1.0, 0.2), (3.0, 0.4), (20.0, 1.0)])
def test_guidance_goes_on_from_the_guess_without_a_source(guidance, answer):
    def guess(point: Tensor, source: Tensor, time: float) -> Tensor:
        return torch.where(source == 0, 0.1, 0.2)

    answers, knowing = drawn(Flow, guess, source=0.7, drop=0.1, guidance=guidance, evaluations=2)
    torch.testing.assert_close(answers, torch.full((COUNT,), answer))
    assert len(knowing.seen) == 2


def test_answers_stay_within_an_image():
    for method in (Bridge, Flow):
        answers, _ = drawn(method, lambda point, source, time: 3 * point + 2)
        assert answers.abs().max() <= 1
