"""All cores compute, unless fewer are much faster; the choice is recorded, and can be made by hand."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from i2i import run
from i2i.engine import cost
from i2i.engine.observer import RunStart, Silent
from i2i.engine.threads import choose
from i2i.system.device import resolve


@pytest.mark.parametrize(
    ("seconds", "count"),
    [
        ({4: 1.0, 2: 1.6}, 4),
        ({4: 1.0, 2: 0.85, 1: 1.2}, 4),  # faster, and not by enough
        ({4: 8.0, 2: 1.0, 1: 1.5}, 2),
        ({4: 8.0, 2: 4.0, 1: 1.0}, 1),
    ],
)
def test_fewer_threads_are_taken_where_they_are_much_faster(seconds, count):
    chosen = choose(4, lambda threads: seconds[threads])
    assert (chosen.count, chosen.step_seconds) == (count, seconds[count])
    assert bool(chosen.note) == (count < 4)


def test_a_moment_in_which_something_else_ran_changes_no_choice():
    times = {2: iter([9.0, 1.0]), 1: iter([1.5])}
    assert choose(2, lambda threads: next(times[threads])).count == 2


def test_a_note_says_how_to_take_all():
    told = choose(2, lambda threads: {2: 0.78, 1: 0.06}[threads]).note
    assert told.startswith("1 of 2 threads compute: a step takes 0.06 s with that, and 0.78 s with 2")
    assert "train.threads = 2" in told


class Heard(Silent):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def start(self, run: RunStart) -> None:
        self.facts = run.facts

    def note(self, text: str) -> None:
        self.notes.append(text)


def threads_of(folder) -> int:
    return json.loads((folder / "provenance.json").read_text())["runtime"]["threads"]


def test_a_recipe_says_how_many_threads_compute(load, tmp_path):
    before, heard = torch.get_num_threads(), Heard()
    run(load("train.threads=2"), tmp_path / "run", observer=heard)
    assert threads_of(tmp_path / "run") == 2
    assert heard.facts["device"] == "cpu, fp32, 2 threads"
    assert torch.get_num_threads() == before


def test_the_rehearsal_takes_fewer_threads_where_that_is_faster_and_says_so(load, tmp_path, monkeypatch):
    two = replace(resolve("cpu", "fp32"), threads=2)
    monkeypatch.setattr("i2i.engine.loop.resolve", lambda *about: two)
    monkeypatch.setattr(cost, "SHORT", 0.0)
    monkeypatch.setattr(
        "i2i.engine.cost._Steps.seconds_with", lambda self, threads, *, timed: {1: 0.01, 2: 0.2}[threads]
    )
    heard = Heard()
    run(load(), tmp_path / "run", observer=heard)
    assert threads_of(tmp_path / "run") == 1
    assert heard.notes[0].startswith("1 of 2 threads compute")


def test_another_number_of_threads_is_taken_when_a_run_goes_on_and_written_down(load, tmp_path):
    heard = Heard()
    run(load(), tmp_path / "run", stop_at=4)
    run(load("train.threads=2"), tmp_path / "run", stop_at=8, observer=heard)
    told = "train.threads was absent, now 2: taken, for it changes last bits only, though the result is not"
    assert heard.notes[0].startswith(told)
    assert heard.facts["device"] == "cpu, fp32, 2 threads"
    about = json.loads((tmp_path / "run" / "provenance.json").read_text())
    assert about["changed"] == [{"at": 4, "keys": {"train.threads": [None, 2]}}]
    assert "from step 4: 2" in (tmp_path / "run" / "report.html").read_text()
    # Who does not say keeps what was chosen.
    last = Heard()
    assert run(load(), tmp_path / "run", observer=last).status == "done"
    assert last.notes == []
    assert last.facts["device"] == "cpu, fp32, 2 threads"


def test_no_threads_are_refused_in_a_sentence(i2i, gan):
    ended = i2i("run", str(gan), "--threads", "0")
    assert ended.code == 2
    assert "Invalid value for '--threads': Input should be greater than or equal to 1" in ended.err
