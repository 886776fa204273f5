"""What a line of metrics.jsonl must hold to be a record."""

from __future__ import annotations

import json
import math

import pytest

from i2i.runs.metrics_log import read_records

TRAIN = {"kind": "train", "step": 2, "epoch": 0.5, "seconds": 1, "losses": {"l1": 0.5, "broken": None}}
VAL = {"kind": "val", "step": 4, "epoch": 1.0, "seconds": 2.0, "metrics": {"mae": 0.1}, "copy_input": {}}


def write(path, *lines: object) -> None:
    path.write_text("".join(line if isinstance(line, str) else json.dumps(line) + "\n" for line in lines))


def test_records_up_to_a_step_are_read_and_null_is_no_number(tmp_path):
    write(tmp_path / "m", TRAIN, VAL)
    found = read_records(tmp_path / "m", upto=3)
    assert [record["step"] for record in found.records] == [2]
    assert found.records[0]["losses"]["l1"] == 0.5
    assert math.isnan(found.records[0]["losses"]["broken"])
    assert found.lines == [json.dumps(TRAIN).encode()]
    assert read_records(tmp_path / "nowhere", upto=3).records == []


@pytest.mark.parametrize(
    "line",
    [
        [1],
        "3\n",
        "{}\n",
        {"kind": "train", "step": 2},
        TRAIN | {"kind": "other"},
        TRAIN | {"kind": ["train"]},
        TRAIN | {"step": "2"},
        TRAIN | {"step": True},
        TRAIN | {"step": -1},
        TRAIN | {"seconds": None},
        TRAIN | {"seconds": math.inf},
        TRAIN | {"losses": [1]},
        TRAIN | {"losses": {"l1": 10**400}},
        TRAIN | {"losses": {"l1": "0.5"}},
        VAL | {"metrics": {"mae": {}}},
        VAL | {"copy_input": {"mae": "x"}},
        "[" * 100_000 + "\n",
    ],
)
def test_a_line_that_is_no_record_is_passed_over_and_noted(tmp_path, line):
    write(tmp_path / "m", line, TRAIN)
    found = read_records(tmp_path / "m", upto=10)
    assert [record["step"] for record in found.records] == [2]
    assert found.notes == [f"{tmp_path / 'm'}:1 is damaged and was left out."]


def test_an_unfinished_last_line_is_nothing_to_speak_of(tmp_path):
    write(tmp_path / "m", TRAIN, '{"kind": "tr')
    found = read_records(tmp_path / "m", upto=10)
    assert (len(found.records), found.notes) == (1, [])
