"""Where the time of a step goes: every part is counted once, and torch's trace can be opened."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from i2i.engine.profiling import _Clock, profile_steps
from i2i.errors import ResourceError


def test_the_innermost_part_is_counted_and_no_time_twice():
    clock = _Clock(on_cuda=False)
    begun = time.perf_counter()
    with clock.part("outer"):
        time.sleep(0.02)
        with clock.part("inner"):
            time.sleep(0.03)
        time.sleep(0.01)
    whole = time.perf_counter() - begun
    parts = dict(clock.parts())
    assert parts["outer"] >= 0.03
    assert parts["inner"] >= 0.03
    assert sum(parts.values()) == pytest.approx(whole, abs=0.005)


def test_the_parts_of_a_step_are_told_and_nothing_is_trained(load, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = profile_steps(load(), 3, trace=tmp_path / "deep" / "trace.json")
    assert found.parts.keys() >= {
        "data",
        "forward, generators.main",
        "forward, discriminators.judge",
        "losses, generators",
        "backward, generators",
        "backward, discriminators",
        "optimizer, generators",
        "logging",
    }
    assert all(seconds > 0 for seconds in found.parts.values())
    assert (found.steps, found.step_seconds > 0) == (3, True)
    names = {event.get("name") for event in json.loads(found.trace.read_text())["traceEvents"]}
    assert {"data", "step", "generators.main", "discriminators.judge"} <= names
    assert not (tmp_path / "runs").exists()


def test_a_trace_that_cannot_be_written_is_told(load, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ResourceError, match="cannot be written"):
        profile_steps(load(), 1, trace=tmp_path / "file" / "trace.json")


def test_the_command_prints_a_table_or_one_object(i2i, gan, tmp_path):
    folder = str(tmp_path / "out")
    ended = i2i("run", str(gan), "--profile", "2", "--out", folder)
    assert ended.code == 0, ended.err
    assert "backward, generators" in ended.out
    assert ended.out.splitlines()[-1].startswith(f"trace  {folder}/trace.json")
    found = json.loads(i2i("run", str(gan), "--profile", "2", "--out", folder, "--json").out)
    assert found["steps"] == 2
    assert Path(found["trace"]).is_file()


def test_a_run_begins_where_one_was_profiled(i2i, gan, tmp_path):
    folder = str(tmp_path / "out")
    assert i2i("run", str(gan), "--profile", "1", "--out", folder).code == 0
    assert i2i("run", str(gan), "--steps", "2", "--out", folder).code == 0
