"""What a run will need is tried with one batch: all of its state comes back, the disk takes a part of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from torch import Tensor

from i2i import run
from i2i.data.opening import open_splits
from i2i.engine import rehearsal, stored
from i2i.engine.rehearsal import dry_pass
from i2i.engine.session import Session
from i2i.errors import PluginError, ResourceError
from i2i.runs import checkpoint
from i2i.system.device import Runtime

CPU = Runtime("cpu", "fp32", False, 1)

STATES = """
from i2i import hookimpl

i2i_api = 1


@hookimpl
def i2i_register(registry):
    registry.callback("set", ":Set", "keeps what is not JSON")
    registry.callback("lost", ":Lost", "does not find again what it kept")
    registry.callback("sound", ":Sound", "finds again what it kept")


class Callback:
    def step_end(self, run, logs): pass


class Set(Callback):
    def state_dict(self): return {"seen": {1, 2}}
    def load_state_dict(self, state): pass


class Lost(Callback):
    def state_dict(self): return {"seen": [1, 2]}
    def load_state_dict(self, state): state["steps"]


class Sound(Callback):
    def state_dict(self): return {3: (1, 2.5), None: "x"}
    def load_state_dict(self, state):
        if state != self.state_dict():
            raise ValueError(f"{state}")
"""


def tensors_of(session: Session) -> dict[tuple[str, str], Tensor]:
    files = stored.files(session)
    return {(name, key): tensor for name in files for key, tensor in files[name].tensors.items()}


def data_of(recipe):
    return open_splits(recipe, lambda text: None)


@pytest.mark.parametrize(
    ("callback", "words"),
    [
        ("set", r"a checkpoint cannot be written: .*not set at parts.callbacks.c.seen"),
        ("lost", r"states/lost failed: KeyError: 'steps'"),
    ],
)
def test_a_state_that_cannot_be_kept_is_found_out_before_the_first_step(
    load, distribution, tmp_path, callback, words
):
    distribution("i2i-states", "1.0", "states", {"i2i_states.py": STATES})
    with pytest.raises(PluginError, match=words):
        run(load(f"callbacks.c.use=states/{callback}"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_state_comes_back_as_from_a_file(load, distribution, tmp_path):
    distribution("i2i-states", "1.0", "states", {"i2i_states.py": STATES})
    recipe = load("callbacks.c.use=states/sound", "train.ema=0.9")
    session = dry_pass(recipe, data_of(recipe), CPU).session
    assert session.step == 1
    before = tensors_of(session)
    stored.load(session, checkpoint.save(tmp_path, 1, stored.files(session)).folder)
    after = tensors_of(session)
    assert before.keys() == after.keys()
    assert all(after[key].equal(tensor) for key, tensor in before.items())


def test_of_a_large_state_a_part_is_written_and_all_of_it_is_reckoned_with(load, tmp_path, monkeypatch):
    recipe, written = load(), []
    monkeypatch.setattr(rehearsal, "SAMPLE", 1000)
    save = checkpoint.save

    def measured(root, step, files, **facts):
        written.append(sum(tensor.nbytes for file in files.values() for tensor in file.tensors.values()))
        return save(root, step, files, **facts)

    monkeypatch.setattr(checkpoint, "save", measured)
    passed = dry_pass(recipe, data_of(recipe), CPU, where=tmp_path)
    assert 900 < sum(written) <= 1000
    assert passed.state_bytes == sum(file.size for file in stored.files(passed.session).values()) > 10_000
    assert passed.save_seconds > 0
    assert not list(tmp_path.glob(".i2i-*"))


def test_a_disk_that_takes_no_checkpoint_is_told_before_the_first_step(load, tmp_path, monkeypatch):
    recipe = load()
    save = checkpoint.save

    def hindered(root: Path, step, files, **facts):
        root.rmdir()
        root.write_text("stands in the way")
        return save(root, step, files, **facts)

    monkeypatch.setattr(checkpoint, "save", hindered)
    with pytest.raises(ResourceError, match=r"checkpoint .* cannot be written: "):
        dry_pass(recipe, data_of(recipe), CPU, where=tmp_path)


def test_a_disk_that_does_not_give_back_what_it_took_is_told_before_the_first_step(
    load, tmp_path, monkeypatch
):
    recipe = load()
    save = checkpoint.save

    def forgetful(root: Path, step, files, **facts):
        saved = save(root, step, files, **facts)
        (saved.folder / "trainer.safetensors").write_bytes(b"")
        return saved

    monkeypatch.setattr(checkpoint, "save", forgetful)
    with pytest.raises(ResourceError, match="does not give back what is written: try another disk"):
        dry_pass(recipe, data_of(recipe), CPU, where=tmp_path)
