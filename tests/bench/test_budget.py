"""From a budget to steps: a length in seconds is settled once, by whose steps it is measured."""

from __future__ import annotations

from dataclasses import replace

import pytest

from i2i.bench.benchmark_file import SecondsEach, State, read_state, write_state
from i2i.bench.budget import settled, steps_of
from i2i.bench.definition import Budget
from i2i.bench.rehearsal import Rehearsal

TRAININGS = {"quick": "a", "slow": "b", "slow, 4 passes": "b"}


def rehearsal(step_seconds: float) -> Rehearsal:
    return Rehearsal(1, 0, {}, None, step_seconds, None, 2, 10.0, 8, {"mae": "min"}, {}, "")


def state(quick: float, slow: float) -> State:
    times = {"quick": quick, "slow": slow, "slow, 4 passes": slow}
    rehearsals = {name: rehearsal(seconds) for name, seconds in times.items()}
    return State("b", "base", tried=dict.fromkeys(times, "digest"), rehearsals=rehearsals)


def steps(budget: Budget, state: State) -> dict[str, int]:
    return steps_of(budget, settled(budget, state, baseline="quick", trainings=TRAININGS), TRAININGS)


def test_each_variant_has_the_steps_that_it_makes_in_the_time():
    budget = Budget(each_seconds=3.0)
    assert steps(budget, state(0.01, 0.1)) == {"quick": 300, "slow": 30, "slow, 4 passes": 30}
    assert steps(Budget(each_seconds=0.001), state(0.01, 0.1))["slow"] == 1
    assert steps(Budget(seconds=3.0), state(0.01, 0.1)) == dict.fromkeys(TRAININGS, 300)


def test_variants_that_share_a_training_share_its_steps_whatever_their_trials_found():
    found = state(0.01, 0.1)
    other = {**found.rehearsals, "slow, 4 passes": rehearsal(0.2)}
    assert steps(Budget(each_seconds=3.0), replace(found, rehearsals=other))["slow, 4 passes"] == 30


def test_what_was_settled_stays_and_what_is_new_is_measured(tmp_path):
    budget = Budget(each_seconds=3.0)
    first = settled(budget, state(0.01, 0.1), baseline="quick", trainings={"quick": "a"})
    write_state(tmp_path, replace(first, rehearsals={}))
    kept = read_state(tmp_path, name="b", base="base")
    assert kept.seconds_each == SecondsEach(3.0, {"a": 300})
    again = replace(state(0.02, 0.05), seconds_each=kept.seconds_each)
    assert steps(budget, again) == {"quick": 300, "slow": 60, "slow, 4 passes": 60}
    assert steps(Budget(each_seconds=6.0), again)["quick"] == 300  # of other seconds, by the new time


def test_a_budget_of_another_unit_keeps_what_was_settled():
    kept = replace(state(0.01, 0.1), seconds_each=SecondsEach(3.0, {"a": 299, "b": 29}))
    for budget in (Budget(steps=5), Budget(seconds=1.0), Budget(epochs=1.0), Budget()):
        after = settled(budget, kept, baseline="quick", trainings=TRAININGS)
        assert after.seconds_each == kept.seconds_each
    assert steps(Budget(steps=5), kept) == dict.fromkeys(TRAININGS, 5)


@pytest.mark.parametrize("seconds", ["0", "-1", "inf", "nan"])
def test_a_time_that_is_none_is_refused(desk, i2i, seconds):
    ended = i2i("bench", "desk.toml", "--swap", "losses.l1.use=l1,l2", "--each-seconds", seconds)
    assert ended.code == 2
    assert "each-seconds" in ended.err


def test_two_units_on_the_command_line_are_one_too_many(desk, i2i):
    budget = ("--each-seconds", "2", "--steps", "3")
    ended = i2i("bench", "desk.toml", "--swap", "losses.l1.use=l1,l2", *budget)
    assert ended.code == 2
    assert "give --steps, --seconds or --each-seconds" in ended.err
