"""Half precision is taken where it pays and agrees; elsewhere float32, and a sentence says why."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from i2i import run
from i2i.engine import rehearsal
from i2i.engine.arithmetic import Tried, in_full, settle
from i2i.engine.observer import Silent
from i2i.system.device import Runtime

HALF = Runtime("cpu", "bf16", True, 2)
LOSSES = {"l1": 1.0, "adversarial": 0.01}


def tried(runtime: Runtime, seconds: float, **losses: float) -> Tried:
    return Tried(runtime, LOSSES | losses, seconds)


def test_full_precision_has_its_own_layout_and_the_same_threads():
    assert in_full(HALF) == Runtime("cpu", "fp32", False, 2)


@pytest.mark.parametrize("seconds", [1.0, 0.85])  # as fast, and faster by less than a quarter
def test_the_usual_one_stays_where_the_other_gains_little(seconds):
    usual = tried(HALF, 1.0, l1=1.02, adversarial=0.03)
    assert settle(usual, tried(in_full(HALF), seconds)) == (usual, "")


def test_full_precision_is_taken_where_it_is_much_faster():
    full = tried(in_full(HALF), 0.5)
    taken, told = settle(tried(HALF, 1.0), full)
    assert taken is full
    assert told.startswith("fp32 instead of bf16: a step takes 0.5 s in it, and 1 s in bf16.")


@pytest.mark.parametrize("value", [1.3, math.nan, math.inf])
def test_full_precision_is_taken_where_a_loss_does_not_agree(value):
    full = tried(in_full(HALF), 2.0)
    taken, told = settle(tried(HALF, 1.0, l1=value), full)
    assert taken is full
    assert "the first step's l1 is" in told


class Heard(Silent):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def test_a_run_trains_with_what_the_rehearsal_settled(load, tmp_path, monkeypatch):
    monkeypatch.setattr(rehearsal, "SHARE", math.inf)  # a run as short as this would not ask
    monkeypatch.setattr(rehearsal, "resolve", lambda *about: HALF)
    monkeypatch.setattr("i2i.engine.loop.resolve", lambda *about: replace(HALF, threads=1))
    monkeypatch.setattr(rehearsal, "settle", lambda usual, full: (full, "fp32 instead of bf16: because."))
    heard = Heard()
    ended = run(load("train.precision=auto"), tmp_path / "run", observer=heard)
    assert heard.notes == ["fp32 instead of bf16: because."]
    assert '"precision": "fp32"' in (ended.folder / "provenance.json").read_text()


def test_a_precision_that_the_recipe_names_is_not_asked_about(load, tmp_path, monkeypatch):
    monkeypatch.setattr(rehearsal, "SHARE", math.inf)
    monkeypatch.setattr(rehearsal, "settle", lambda usual, full: pytest.fail("it was asked"))
    assert run(load("train.precision=bf16"), tmp_path / "run").status == "done"
