"""What a run will cost is told before it starts, and turns a length in minutes into steps, once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from i2i import load_recipe, run
from i2i.engine.cost import Cost, cost_from
from i2i.engine.observer import RunStart, Silent
from i2i.engine.rehearsal import rehearse
from i2i.errors import RecipeError, ResourceError
from i2i.recipe.slots import TrainSettings

COST = Cost(
    epoch=10,
    step=0.1,
    batch=0.01,
    first_batch=0.05,
    validation=2.0,
    copying=1.0,
    save=0.5,
    memory_mb=512.0,
    state_bytes=3 * 2**20,
    model_bytes=2**20,
)


def test_time_is_the_sum_of_steps_first_reading_validations_and_saves():
    train = TrainSettings(steps=100, eval_every=40, save_every=30)
    # Validated after 40, 80 and 100 steps; saved after 30, 40, 60, 80, 90 and 100.
    assert COST.seconds(train, steps=100) == pytest.approx(100 * 0.11 + 10 * 0.04 + 1 + 3 * 2 + 6 * 0.5)
    # Of a run that goes on after step 80, what is left: no first reading, a validation, two saves.
    assert COST.seconds(train, steps=100, begun=80) == pytest.approx(20 * 0.11 + 1 + 2 + 2 * 0.5)


def test_disk_is_what_is_kept_and_one_more():
    train = TrainSettings(steps=100, eval_every=50, save_every=10, keep=3)
    assert COST.disk_bytes(train, steps=100) == (4 * 3 + 1) * 2**20
    assert COST.disk_bytes(train, steps=10) == (3 + 1) * 2**20


def test_minutes_are_as_many_steps_as_end_within_them():
    train = TrainSettings(minutes=1.0, eval_every=100, save_every=100)
    steps = COST.steps_within(train)
    assert COST.seconds(train, steps=steps) <= 60 < COST.seconds(train, steps=steps + 1)


def test_minutes_that_are_too_few_for_one_step_say_how_many_it_takes():
    with pytest.raises(RecipeError, match=r"train.minutes = 0.05 is too short for one step: .* 3.[67] s"):
        COST.steps_within(TrainSettings(minutes=0.05))


def test_it_is_told_in_words():
    told = COST.told(TrainSettings(steps=1000, eval_every=1000, save_every=1000), steps=1000)
    assert told == "about 1:54, 110 ms a step; 512 MB of memory; 4 MB for checkpoints"


def test_a_record_of_another_version_is_none():
    assert cost_from(COST.record()) == COST
    assert cost_from({"step": 1.0}) is None
    assert cost_from(None) is None


class Start(Silent):
    def start(self, run: RunStart) -> None:
        self.facts = run.facts


def test_every_start_of_a_run_tells_what_is_left_to_pay(load, tmp_path):
    first, second = Start(), Start()
    run(load(), tmp_path / "run", stop_at=6, observer=first)
    assert "ms a step; " in first.facts["cost"]
    assert json.loads((tmp_path / "run" / "provenance.json").read_text())["cost"]["step"] > 0
    run(load(), tmp_path / "run", observer=second)
    assert second.facts["cost"].startswith("about 0:00")


def test_a_rehearsal_tells_the_cost_and_whether_there_is_room(load, tmp_path, monkeypatch):
    found = rehearse(load(), where=tmp_path)
    assert found.steps == 12
    assert found.cost.step > 0
    assert found.cost.state_bytes > found.cost.model_bytes > 0
    monkeypatch.setattr("i2i.system.atomic._free", lambda path: 1000)
    with pytest.raises(ResourceError, match="make room"):
        rehearse(load(), where=tmp_path)


def test_a_run_of_minutes_has_its_steps_settled_at_the_start(load, tmp_path):
    recipe = load("train.minutes=0.02")
    stopped = run(recipe, tmp_path / "run", stop_at=2)
    assert stopped.status == "stopped"
    resolved = load_recipe(tmp_path / "run" / "resolved.toml")
    assert resolved.train.minutes is None
    assert resolved.train.steps > 2
    about = json.loads((tmp_path / "run" / "provenance.json").read_text())
    assert about["planned"] == {"minutes": 0.02}
    # The same recipe goes on with the same steps, another length is another recipe.
    with pytest.raises(RecipeError, match=r"another recipe: train.minutes was 0.02, now 5.0\. "):
        run(load("train.minutes=5"), tmp_path / "run")
    assert run(recipe, tmp_path / "run").summary["steps"] == resolved.train.steps


def test_a_run_of_minutes_is_made_longer(load, tmp_path):
    recipe = load("train.minutes=0.01")
    steps = run(recipe, tmp_path / "run").summary["steps"]
    assert run(recipe, tmp_path / "run", extend=3).summary["steps"] == steps + 3


def test_the_command_line_takes_one_length(i2i, gan, tmp_path):
    ended = i2i("run", str(gan), "--steps", "5", "--minutes", "1")
    assert (ended.code, ended.err) == (2, "a run has one length: give --steps or --minutes.\n")
    ended = i2i("run", str(gan), "--set", "train.minutes=0.00001", "--out", str(tmp_path / "run"))
    assert ended.code == 2
    assert "is too short for one step" in ended.err
    assert "'--minutes'" in i2i("run", str(gan), "--minutes", "0").err
    assert not Path(tmp_path / "run").exists()


def test_a_dry_run_prints_the_cost(i2i, gan, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ended = i2i("run", str(gan), "--dry-run")
    assert ended.code == 0
    assert "12 steps: about 0:0" in ended.out
    assert "for checkpoints" in ended.out


@pytest.mark.parametrize("option", [("--extend", "5", "--out", "x"), ("--stop-at", "3"), ("--fresh",)])
@pytest.mark.parametrize("instead", [("--dry-run",), ("--profile", "2")])
def test_options_that_would_be_passed_over_are_refused(i2i, gan, instead, option):
    ended = i2i("run", str(gan), *instead, *option)
    assert (ended.code, ended.err.splitlines()[0]) == (
        2,
        f"--dry-run and --profile train nothing that stays: leave {option[0]} out.",
    )


def test_a_schedule_is_asked_for_no_step_beyond_the_last(load, tmp_path, monkeypatch):
    asked = []
    from i2i.core import schedules

    of_step = schedules.LinearDecay.__call__
    monkeypatch.setattr(
        schedules.LinearDecay, "__call__", lambda self, step: asked.append(step) or of_step(self, step)
    )
    run(load("train.steps=2"), tmp_path / "run")
    assert max(asked) == 1
