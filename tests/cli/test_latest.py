"""The word `latest` on the command line: the newest run under runs/, wherever a run or a model is named."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from PIL import Image

from i2i import run


@pytest.fixture
def newest(load, tmp_path, monkeypatch) -> Path:
    """Work in a folder with two runs under runs/, and return the newer one, as it is named from there."""
    monkeypatch.chdir(tmp_path)
    run(load("train.steps=3"), "runs/b-older")
    return run(load("train.steps=3", "seed=4"), "runs/a-newer").folder


def test_eval_translate_calibrate_and_compare_take_it_and_say_which_run_it_is(newest, i2i):
    Image.new("RGB", (16, 16)).save("one.png")
    for arguments in (
        ("eval", "latest", "--split", "val", "--device", "cpu"),
        ("translate", "latest", "one.png", "out.png", "--device", "cpu"),
        ("calibrate", "latest", "--out", "other.safetensors", "--device", "cpu"),
        ("compare", "runs/b-older", "latest", "--device", "cpu"),
    ):
        done = i2i(*arguments)
        assert done.code == 0, done.err
        assert done.err.startswith(f"latest is {newest}\n")


def test_what_is_printed_for_programs_stays_json(newest, i2i):
    done = i2i("eval", "latest", "--split", "val", "--json", "--device", "cpu")
    assert json.loads(done.out)["files"] == [str(newest / "eval" / f"val.{kind}") for kind in ("csv", "json")]


def test_a_run_starts_from_it_and_records_the_folder_itself(newest, gan, i2i):
    done = i2i("run", str(gan), "--steps", "2", "--out", "started", "--init-from", "latest")
    assert done.code == 0, done.err
    assert f"latest is {newest}" in done.err
    table = tomllib.loads(Path("started/resolved.toml").read_text())
    assert table["generators"]["main"]["init_from"] == str(newest / "model.safetensors")


def test_a_run_goes_on_in_it(load, newest, gan, i2i):
    run(load(), "runs/c-stopped", stop_at=3)
    done = i2i("run", str(gan), "--out", "latest")
    assert done.code == 0, done.err
    assert "latest is runs/c-stopped" in done.err
    assert json.loads(Path("runs/c-stopped/summary.json").read_text())["steps"] == 12
    assert not Path("latest").exists()


def test_starting_over_wants_a_folder_by_its_name(newest, gan, i2i):
    done = i2i("run", str(gan), "--out", "latest", "--fresh")
    assert done.code == 2
    assert done.err == "--fresh removes the run that it starts over: name its folder, not `latest`.\n"
    assert (newest / "model.safetensors").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ("eval", "latest"),
        ("translate", "latest", "in", "out"),
        ("calibrate", "latest", "--out", "other.safetensors"),
        ("compare", "latest", "other"),
        ("run", "pix2pix", "--init-from", "latest"),
        ("run", "pix2pix", "--out", "latest"),
    ],
    ids=lambda arguments: " ".join(arguments),
)
def test_where_there_is_no_run_one_sentence_says_so(tmp_path, monkeypatch, i2i, arguments):
    monkeypatch.chdir(tmp_path)
    done = i2i(*arguments)
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        "`latest` is the newest run under runs/, and there is none: give the folder of a run. "
        "A file or a folder with that name is ./latest.\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_that_name_is_written_with_its_place(load, newest, i2i):
    Path("runs/b-older").rename("latest")
    done = i2i("eval", "./latest", "--split", "val", "--device", "cpu")
    assert done.code == 0, done.err
    assert "latest is" not in done.err
    assert Path("latest/eval/val.csv").exists()


def test_in_a_recipe_it_is_an_ordinary_path(newest, gan, i2i):
    done = i2i("run", str(gan), "--dry-run", "--set", "generator.init_from=latest")
    assert done.code == 3
    assert "latest cannot be read: No such file or directory." in done.err
