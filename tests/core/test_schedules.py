"""Schedules: the factor at each step."""

from __future__ import annotations

import math

import pytest

from i2i.core.schedules import Constant, Cosine, LinearDecay, Plateau, Step


def test_constant_stays_at_1() -> None:
    schedule = Constant()
    assert [schedule(step) for step in (0, 10, 10**9)] == [1.0, 1.0, 1.0]


def test_linear_decay_step_by_step() -> None:
    schedule = LinearDecay(total_steps=8, start=0.5)
    assert [schedule(step) for step in range(8)] == [1, 1, 1, 1, 1, 0.75, 0.5, 0.25]


def test_it_would_reach_its_end_one_step_after_the_last() -> None:
    schedule = LinearDecay(total_steps=10, start=0.0, end=0.5)
    assert schedule(0) == 1.0
    assert schedule(9) == pytest.approx(0.55)
    assert schedule(10) == schedule(1000) == 0.5


@pytest.mark.parametrize("total", [1, 2, 3, 7, 4800])
@pytest.mark.parametrize("start", [0.0, 0.3, 0.5, 0.999])
def test_it_never_rises_and_the_last_step_still_learns(total: int, start: float) -> None:
    schedule = LinearDecay(total_steps=total, start=start)
    factors = [schedule(step) for step in range(total)]
    assert factors[0] == 1.0
    assert factors == sorted(factors, reverse=True)
    assert factors[-1] > 0


def test_cosine_by_hand() -> None:
    schedule = Cosine(total_steps=4)
    half = math.sqrt(0.5)
    assert [schedule(step) for step in range(5)] == pytest.approx(
        [1.0, (1 + half) / 2, 0.5, (1 - half) / 2, 0.0]
    )
    assert Cosine(total_steps=4, end=0.2)(2) == pytest.approx(0.6)
    assert Cosine(total_steps=4, end=0.2)(400) == pytest.approx(0.2)


@pytest.mark.parametrize("total", [1, 2, 7, 4800])
def test_cosine_never_rises_and_the_last_step_still_learns(total: int) -> None:
    factors = [Cosine(total_steps=total)(step) for step in range(total)]
    assert factors[0] == 1.0
    assert factors == sorted(factors, reverse=True)
    assert factors[-1] > 0


def test_steps_come_at_shares_of_the_run() -> None:
    schedule = Step(total_steps=8, steps_per_epoch=3, every=0.25, factor=0.5)
    assert [schedule(step) for step in range(8)] == [1, 1, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125]


def test_steps_come_at_epochs() -> None:
    schedule = Step(total_steps=8, steps_per_epoch=3, every=1, unit="epochs", factor=0.1)
    assert [schedule(step) for step in (0, 2, 3, 5)] == [1.0, 1.0, 0.1, 0.1]
    assert schedule(6) == pytest.approx(0.01)


def test_a_share_that_is_no_whole_number_of_steps_is_rounded_and_never_nothing() -> None:
    tenths = Step(total_steps=70, steps_per_epoch=1, every=0.7, factor=0.5)
    assert [tenths(48), tenths(49)] == [1.0, 0.5]
    assert Step(total_steps=2, steps_per_epoch=1, every=0.01, factor=0.5)(1) == 0.5


def test_a_share_of_more_than_the_run_is_refused() -> None:
    with pytest.raises(ValueError, match=r"every = 50 is no part of the run: give a share such as 0\.25"):
        Step(total_steps=8, steps_per_epoch=3, every=50)


def observed(schedule: Plateau, *values: float) -> list[float]:
    factors = []
    for value in values:
        schedule.observe({"mae": value, "psnr": -value})
        factors.append(schedule(0))
    return factors


def test_plateau_cuts_after_its_patience_and_starts_counting_anew() -> None:
    schedule = Plateau(metric="mae", patience=2, factor=0.5)
    assert schedule(0) == 1.0
    assert observed(schedule, 3.0, 3.0, 2.0, 2.0, 2.5) == [1, 1, 1, 1, 0.5]
    assert observed(schedule, 2.0, 1.0, 1.0, 1.0) == [0.5, 0.5, 0.5, 0.25]


def test_plateau_watches_its_own_figure_in_its_own_direction() -> None:
    schedule = Plateau(metric="psnr", direction="max", patience=1, factor=0.1)
    assert observed(schedule, 3.0, 2.0, 2.0) == [1.0, 1.0, 0.1]


def test_a_figure_that_is_no_number_is_no_improvement() -> None:
    schedule = Plateau(metric="mae", patience=1, factor=0.5)
    assert observed(schedule, math.nan, 1.0, math.nan) == [0.5, 0.5, 0.25]


def test_plateau_goes_on_from_its_state() -> None:
    values = [3.0, 3.0, 2.0, 2.0, 2.5, 2.0, 1.0, 1.0, 1.0]
    for cut in range(len(values)):
        first, second, whole = (Plateau(metric="mae", patience=2, factor=0.5) for _ in range(3))
        head = observed(first, *values[:cut])
        second.load_state_dict(first.state_dict())
        assert head + observed(second, *values[cut:]) == observed(whole, *values)
