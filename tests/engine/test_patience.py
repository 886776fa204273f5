"""With `patience`, a run ends once its figure has not become better for so many validations."""

from __future__ import annotations

import json

import pytest

from i2i import run
from i2i.engine.observer import Silent
from i2i.engine.session import Session


class Heard(Silent):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture
def still(load):
    """The toy recipe, whose generator learns nothing: no validation is better than the first."""
    return lambda *settings: load(
        "optimizers.generators.lr=1e-30",
        "train.steps=20",
        "train.eval_every=2",
        "train.save_every=5",
        "train.save_best=mae:min",
        *settings,
    )


def test_a_run_ends_when_nothing_got_better_for_so_long(still, tmp_path):
    heard = Heard()
    ended = run(still("train.patience=3"), tmp_path / "run", observer=heard)
    # The first validation, at step 2, is the best; three more were waited for.
    assert (ended.status, ended.summary["steps"]) == ("done", 8)
    assert ended.summary["ended_early"] is True
    assert heard.notes[-1].startswith("Ended early, as 3 validations have found no better mae than 0.")
    assert (tmp_path / "run" / "checkpoints" / "000008").is_dir()


def test_it_ends_at_the_same_step_however_often_it_is_stopped(still, tmp_path):
    recipe = still("train.patience=3")
    for stop in (3, 4, 7):
        assert run(recipe, tmp_path / "run", stop_at=stop).status == "stopped"
    assert run(recipe, tmp_path / "run").summary["steps"] == 8


def test_a_run_that_ended_early_is_finished_until_it_is_made_longer(still, tmp_path):
    recipe = still("train.patience=3")
    run(recipe, tmp_path / "run")
    heard = Heard()
    assert run(recipe, tmp_path / "run", observer=heard).summary["steps"] == 8
    assert "is finished already" in heard.notes[-1]
    longer = run(recipe, tmp_path / "run", extend=4)
    assert (longer.status, longer.summary["steps"]) == ("done", 12)
    about = json.loads((tmp_path / "run" / "provenance.json").read_text())
    assert (about["extended"][0]["from"], about["extended"][0]["to"]) == (8, 12)


def test_without_patience_the_length_stays(still, tmp_path):
    assert run(still(), tmp_path / "run").summary["steps"] == 20


def test_an_extension_that_was_stopped_before_it_saved_anything_is_as_patient(still, tmp_path, monkeypatch):
    recipe = still("train.patience=3")
    run(recipe, tmp_path / "run")
    advance = Session.advance

    def fails(self, batches):
        if self.step == 9:
            raise KeyboardInterrupt
        return advance(self, batches)

    monkeypatch.setattr(Session, "advance", fails)
    with pytest.raises(KeyboardInterrupt):
        run(recipe, tmp_path / "run", extend=6)
    monkeypatch.setattr(Session, "advance", advance)
    assert run(recipe, tmp_path / "run").summary["steps"] == 14
