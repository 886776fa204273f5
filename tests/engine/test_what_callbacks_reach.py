"""What a run lets callbacks see, write down and say, and a method measure."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from i2i import load_recipe, run
from i2i.engine.observer import Silent
from i2i.errors import PluginError
from i2i.plugins.catalog import Catalog
from i2i.runs import weights
from i2i.testing.tiny_session import batch, tiny_session

PLUGIN = """
import torch
from i2i import hookimpl

i2i_api = 1


@hookimpl
def i2i_register(registry):
    registry.callback("clerk", ":Clerk", "writes down what it reaches")


class Clerk:
    def __init__(self, *, kind: str = "clerk") -> None:
        self.kind, self.heard, self.logged = kind, [], []

    def run_start(self, run):
        paths = [path for path, _ in run.networks.modules()]
        assert paths == ["generators.main", "discriminators.judge"]
        assert [term.name for term in run.losses.terms] == ["adversarial", "l1"]
        assert run.directions == {"mae": "min"}
        run.listen(lambda slot, parts: self.heard.append((slot, sorted(parts), parts)))

    def step_end(self, run, logs):
        heard, self.heard = self.heard, []
        slots = [(slot, names) for slot, names, _ in heard]
        assert slots == [("discriminators", ["discriminators.judge"]), ("generators", ["adversarial", "l1"])]
        assert all(part.requires_grad for _, _, parts in heard for part in parts.values())
        assert sorted(run.measured) == (
            ["accuracy.fake.judge", "accuracy.real.judge"] if run.logged else []
        )
        if run.logged:
            run.record(self.kind, {"step": run.step, "l1": logs["l1"]})
            run.note("The same sentence.")
            run.note(f"Step {run.step}.")
"""


class Hears(Silent):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def records(folder: Path) -> list[dict]:
    return list(map(json.loads, (folder / "metrics.jsonl").read_text().splitlines()))


@pytest.fixture
def clerk(distribution, gan):
    """Return a function that loads the toy recipe with the callback."""
    distribution("i2i-clerk", "1.0", "clerk", {"i2i_clerk.py": PLUGIN})
    return lambda *settings: load_recipe(gan, set=("callbacks.clerk.use=clerk/clerk", *settings))


def test_a_callback_writes_records_of_its_own_and_says_each_sentence_once(clerk, tmp_path):
    heard = Hears()
    run(clerk("train.log_every=5"), tmp_path / "run", observer=heard)
    found = records(tmp_path / "run")
    own = [record for record in found if record["kind"] == "clerk"]
    assert [record["step"] for record in own] == [1, 5, 10, 12]
    losses = [record["losses"]["l1"] for record in found if record["kind"] == "train"]
    assert [record["values"] for record in own] == [
        {"step": step, "l1": value} for step, value in zip([1, 5, 10, 12], losses, strict=True)
    ]
    said = ["The same sentence.", "Step 1.", "Step 5.", "Step 10.", "Step 12."]
    assert heard.notes[-5:] == said
    assert [record["text"] for record in found if record["kind"] == "note"] == said


def test_records_after_the_step_that_a_run_goes_on_from_are_written_anew(clerk, tmp_path):
    run(clerk(), tmp_path / "whole")
    run(clerk(), tmp_path / "parts", stop_at=7)
    with (tmp_path / "parts" / "metrics.jsonl").open("a") as file:
        later = {"kind": "clerk", "step": 8, "epoch": 1.0, "seconds": 1.0, "values": {"l1": 7.0}}
        note = {"kind": "note", "step": 8, "epoch": 1.0, "seconds": 1.0, "text": "Lost."}
        file.write(f"{json.dumps(later)}\n{json.dumps(note)}\n")
    heard = Hears()
    run(clerk(), tmp_path / "parts", observer=heard)
    whole, parts = (
        [(r["step"], r.get("values"), r.get("text")) for r in records(tmp_path / name) if r["kind"] in kinds]
        for name in ("whole", "parts")
        for kinds in [("clerk", "note")]
    )
    assert parts == whole
    assert [text for text in heard.notes if text.startswith(("The", "Step"))] == [
        *(f"Step {step}." for step in (8, 10, 12))
    ]


@pytest.mark.parametrize("kind", ["train", "val", "note", "Clerk", "two words", ""])
def test_a_record_of_a_kind_that_is_not_a_callbacks_is_refused(clerk, tmp_path, kind):
    with pytest.raises(PluginError, match=f"records of the kind '{kind}': take lower-case words"):
        run(clerk(f"callbacks.clerk.kind={json.dumps(kind)}"), tmp_path / "run")


def test_who_listens_may_take_gradients_and_changes_none():
    plain, heard = (tiny_session(Catalog.installed()) for _ in range(2))
    weights = list(heard.networks.generators["main"].parameters())
    sizes = []

    def listen(slot, parts):
        if slot == "generators":
            found = torch.autograd.grad(parts["l1"], weights, retain_graph=True)
            sizes.append(sum(gradient.abs().sum().item() for gradient in found))

    heard.run.listen(listen)
    for session in (plain, heard):
        session.advance([batch(session, 0, 1)])
    assert sizes[0] > 0
    pairs = zip(plain.networks.modules(), heard.networks.modules(), strict=True)
    for (_, one), (_, other) in pairs:
        assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize(("before", "now"), [(False, True), (True, False)])
def test_a_callback_may_come_and_go_between_two_starts_of_a_run(load, tmp_path, before, now):
    watched = ("callbacks.health.use=health", "train.log_every=1")
    run(load(), tmp_path / "whole")
    run(load(*(watched if before else watched[1:])), tmp_path / "parts", stop_at=6)
    heard = Hears()
    run(load(*(watched if now else watched[1:])), tmp_path / "parts", observer=heard)
    assert any(
        "callbacks.health.use was" in note and "changes no bit of the training" in note
        for note in heard.notes
    )
    models = [(tmp_path / name / "model.safetensors") for name in ("whole", "parts")]
    one, other = (weights.read(path).tensors for path in models)
    assert all(torch.equal(one[name], other[name]) for name in one)
    steps = [record["step"] for record in records(tmp_path / "parts") if record["kind"] == "health"]
    assert steps == ([1, 2, 3, 4, 5, 6, 6] if before else [7, 8, 9, 10, 11, 12, 12])
