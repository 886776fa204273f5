"""Schedules: the factor at each step."""

from __future__ import annotations

import pytest

from i2i.core.schedules import Constant, LinearDecay


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
