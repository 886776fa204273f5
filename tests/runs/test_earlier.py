"""An earlier training on disk: the files of its networks, and which run is the newest."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from i2i.runs.earlier import earlier_networks, network_file, newest_run


def test_the_main_generator_has_a_short_name_in_a_checkpoint():
    assert network_file("generators.main") == "generator.safetensors"
    assert network_file("generators.back") == "generators.back.safetensors"
    assert network_file("discriminators.patch") == "discriminators.patch.safetensors"


def test_a_model_file_has_no_other_networks():
    found = earlier_networks(Path("some.safetensors"))
    assert (found.model, dict(found.networks)) == (Path("some.safetensors"), {})


def a_run(folder: Path, *, started: int, records: int | None = None) -> Path:
    """Make a folder that holds a run, with the times of its files in seconds."""
    folder.mkdir(parents=True)
    times = {"resolved.toml": started} | ({"metrics.jsonl": records} if records else {})
    for name, seconds in times.items():
        (folder / name).write_text("")
        os.utime(folder / name, (seconds, seconds))
    return folder


def test_the_newest_run_is_the_one_that_was_written_to_last(tmp_path):
    first = a_run(tmp_path / "a", started=1000, records=4000)
    a_run(tmp_path / "b", started=2000, records=3000)
    assert newest_run(tmp_path) == first
    last = a_run(tmp_path / "c", started=5000)
    assert newest_run(tmp_path) == last


def test_what_was_added_to_a_run_later_makes_it_no_newer(tmp_path):
    old, new = a_run(tmp_path / "old", started=1000), a_run(tmp_path / "new", started=2000)
    (old / "eval").mkdir()
    assert newest_run(tmp_path) == new


@pytest.mark.parametrize("there", [False, True])
def test_where_there_is_no_run_there_is_no_newest(tmp_path, there):
    if there:
        (tmp_path / "runs" / "empty").mkdir(parents=True)
        a_run(tmp_path / "runs" / "bench-x" / "cells" / "one", started=1000)
    assert newest_run(tmp_path / "runs") is None
