"""A run that starts from an earlier one: what is written of it, and how it is gone on with."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from i2i import run
from i2i.engine.observer import Silent
from i2i.engine.rehearsal import rehearse
from i2i.errors import RecipeError


class Heard(Silent):
    """Keeps what a person is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture
def earlier(load, tmp_path) -> Path:
    return run(load("train.steps=3"), tmp_path / "earlier").folder


def starts(folder: Path) -> dict[str, str]:
    """Return the `init_from` of each network in a run's resolved.toml."""
    table = tomllib.loads((folder / "resolved.toml").read_text())
    sections = ("generators", "discriminators")
    return {
        f"{s}.{name}": own["init_from"]
        for s in sections
        for name, own in table[s].items()
        if "init_from" in own
    }


def model_of(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


def test_the_run_writes_down_what_it_was_started_from(load, earlier, tmp_path):
    heard = Heard()
    folder = run(load(), tmp_path / "run", init_from=earlier, observer=heard).folder
    judge = earlier / "checkpoints/000003/discriminators.judge.safetensors"
    assert starts(folder) == {
        "generators.main": str(earlier / "model.safetensors"),
        "discriminators.judge": str(judge),
    }
    assert heard.notes[0].startswith("Started from an earlier training: ")


def test_it_is_the_run_that_the_keys_make(load, earlier, tmp_path):
    settings = [
        f"{path.replace('generators.main', 'generator')}.init_from={file}"
        for path, file in {
            "generators.main": earlier / "model.safetensors",
            "discriminators.judge": earlier / "checkpoints/000003/discriminators.judge.safetensors",
        }.items()
    ]
    by_option = run(load(), tmp_path / "one", init_from=earlier).folder
    by_keys = run(load(*settings), tmp_path / "two").folder
    assert model_of(by_option) == model_of(by_keys)
    assert model_of(by_option) != model_of(run(load(), tmp_path / "three").folder)


@pytest.mark.parametrize("again", ["with the option", "without", "with the keys"])
def test_a_run_is_gone_on_with_whether_or_not_its_start_is_said_again(load, earlier, tmp_path, again):
    whole = run(load(), tmp_path / "whole", init_from=earlier).folder
    folder = run(load(), tmp_path / "run", init_from=earlier, stop_at=6).folder
    began = starts(folder)
    model = (earlier / "model.safetensors").rename(tmp_path / "moved.safetensors")
    heard = Heard()
    recipe, place = load(), earlier if again == "with the option" else None
    if again == "with the keys":
        recipe = recipe.started_from(began, by="--set")
    assert run(recipe, folder, init_from=place, observer=heard).status == "done"
    assert model_of(folder) == model_of(whole)
    assert starts(folder) == began
    assert any("is for the start of a run" in note for note in heard.notes) == bool(place)
    told = f"{folder} was started from an earlier training: generators.main from {began['generators.main']}"
    assert any(note.startswith(told) for note in heard.notes) == (again != "with the keys")
    assert model.exists()


def test_a_run_that_was_cut_before_its_first_checkpoint_starts_from_the_same_again(load, earlier, tmp_path):
    whole = run(load(), tmp_path / "whole", init_from=earlier).folder
    folder = run(load(), tmp_path / "run", init_from=earlier, stop_at=1).folder
    for name in ("checkpoints", "model.safetensors", "metrics.jsonl", "summary.json"):
        (folder / name).rename(tmp_path / name)
    assert run(load(), folder).status == "done"
    assert model_of(folder) == model_of(whole)


def test_a_run_that_began_without_goes_on_without_and_says_so(load, earlier, tmp_path):
    folder = run(load(), tmp_path / "run", stop_at=6).folder
    heard = Heard()
    run(load(), folder, init_from=earlier, observer=heard)
    told = f"--init-from {earlier} is for the start of a run: the one that {folder} holds goes on"
    assert f"{told} with its own weights." in heard.notes
    assert starts(folder) == {}


def test_starting_over_does_not_remove_what_it_starts_from(load, earlier):
    before = sorted(earlier.rglob("*"))
    with pytest.raises(RecipeError, match=r"--fresh would remove what the run is to start from"):
        run(load(), earlier, init_from=earlier, fresh=True)
    with pytest.raises(RecipeError, match=r"generator\.init_from[\s\S]*--fresh would remove"):
        run(load(f"generator.init_from={earlier}"), earlier, fresh=True)
    assert sorted(earlier.rglob("*")) == before


def test_a_rehearsal_starts_from_it_too(load, earlier):
    heard = Heard()
    assert rehearse(load(), init_from=earlier, observer=heard)
    assert heard.notes[0].startswith("Started from an earlier training: ")
    with pytest.raises(RecipeError, match=r"does not fit toys/tiny"):
        rehearse(load("generator.width=8"), init_from=earlier)


def test_a_start_that_does_not_fit_leaves_nothing(load, earlier, tmp_path):
    with pytest.raises(RecipeError, match=r"does not fit toys/tiny"):
        run(load("generator.width=8"), tmp_path / "run", init_from=earlier)
    assert not (tmp_path / "run").exists()
