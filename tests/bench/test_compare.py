"""Existing runs side by side: grouped by recipe, named, compared, and refused in a sentence."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from i2i import run
from i2i.bench.naming import names_of
from i2i.recipe.recipe import load_recipe


@pytest.fixture
def runs(desk):
    """Return a function that trains the desk's recipe for two steps."""

    def train(name: str, *settings: str) -> str:
        run(load_recipe("desk.toml", set=("train.steps=2", "train.eval_every=1", *settings)), Path(name))
        return name

    return train


def as_if(name: str, **summary: object) -> str:
    """Write what a run leaves behind, but for its model."""
    folder = Path(name)
    folder.mkdir()
    shutil.copy("desk.toml", folder / "resolved.toml")
    about = dict.fromkeys(("recipe", "i2i", "python", "torch", "platform", "processor", "device"), "x")
    runtime = {"device": "cpu", "precision": "fp32", "channels_last": False, "threads": 1}
    about |= {"seed": 0, "runtime": runtime, "plugins": []}
    (folder / "provenance.json").write_text(json.dumps(about))
    (folder / "summary.json").write_text(json.dumps({"status": "done", "metrics": {"mae": 0.1}} | summary))
    return name


def results(i2i, *arguments):
    ended = i2i("compare", *arguments, "--json")
    assert ended.code == 0, ended.err
    return json.loads(ended.out)


def test_runs_that_differ_only_in_seed_are_one_variant(i2i, runs):
    folders = [
        runs(f"l1-{weight}-seed{seed}", f"losses.l1.weight={weight}", f"seed={seed}")
        for weight in (10, 1)
        for seed in (0, 1)
    ]
    found = results(i2i, *folders)
    assert found["kind"] == "comparison"
    assert found["baseline"] == "weight=10"
    assert [row["name"] for row in found["variants"]] == ["weight=10", "weight=1"]
    assert found["variants"][1]["changes"] == [["losses.l1.weight", 10.0, 1.0]]
    assert [(cell["variant"], cell["seed"], cell["folder"]) for cell in found["cells"]] == [
        ("weight=10", 0, "l1-10-seed0"),
        ("weight=10", 1, "l1-10-seed1"),
        ("weight=1", 0, "l1-1-seed0"),
        ("weight=1", 1, "l1-1-seed1"),
    ]
    rows = {row["variant"]: row for row in found["table"]}
    assert rows["weight=10"]["metrics"]["mae"]["n"] == 2
    assert rows["weight=1"]["metrics"]["mae"]["difference"]["low"] is not None
    assert rows["weight=1"]["cost"]["generator_parameters"] == 10
    assert found["metrics"][0] | {"definition": ""} == {"name": "mae", "better": "min", "definition": ""}


def test_unequal_choices_are_named_and_make_no_other_variant(i2i, runs):
    found = results(i2i, runs("one"), runs("two", "seed=1", "train.threads=2"))
    assert len(found["variants"]) == 1
    told = "Not all runs have the same threads (1 in one; 2 in two): their bits differ by that too."
    assert told in found["notes"]


def test_the_terminal_shows_what_differs_and_what_came_out(i2i, runs):
    first, second = runs("a"), runs("b", "losses.l1.weight=5", "generator.dropout=0.5")
    ended = i2i("compare", first, second)
    assert ended.code == 0, ended.err
    lines = ended.out.splitlines()
    assert any(line.split()[:3] == ["losses.l1.weight", "10.0", "5.0"] for line in lines)
    assert any(line.startswith("dropout=0.2, weight=10 *") for line in lines)
    assert "cannot tell" in ended.out
    assert "one seed" in ended.out
    assert sorted(path.name for path in Path().iterdir()) == ["a", "b", "desk.toml"]


def test_out_gets_the_results_and_a_page_with_pictures(i2i, runs):
    ended = i2i("compare", runs("a"), runs("b", "losses.l1.weight=5"), "--out", "side/by-side")
    assert ended.code == 0, ended.err
    out = Path("side/by-side")
    found = json.loads((out / "results.json").read_text())
    assert found["name"] == "by-side"
    assert found["cells"][0]["folder"] == "../../a"
    assert len(found["pictures"]["images"]) == 8
    assert all((out / path).is_file() for path in found["pictures"]["outputs"]["weight=5"])
    page = (out / "report.html").read_text()
    assert 'href="../../a/report.html"' in page
    assert "weight=5: 3" in page
    assert i2i("compare", "a", "b", "--out", str(out)).code == 0


def test_the_same_recipe_and_seed_twice_are_two_variants(i2i, runs):
    shutil.copytree(runs("first"), "second")
    found = results(i2i, "first", "second")
    assert [row["name"] for row in found["variants"]] == ["first", "second"]
    assert found["variants"][1]["changes"] == []


def test_figures_on_other_data_are_shown_but_not_compared(i2i, runs):
    found = results(i2i, runs("a"), runs("b", "data.count=6"), runs("c", "data.batch_size=4"))
    assert any("data.count" in note and "cannot be compared" in note for note in found["notes"])
    rows = {row["variant"]: row["metrics"]["mae"] for row in found["table"]}
    other, batches = rows["batch_size=2, count=6"], rows["batch_size=4, count=8"]
    assert other["mean"] is not None
    assert other["difference"] is None
    assert other["verdict"] == "cannot tell"
    assert batches["difference"] is not None


def test_a_figure_that_is_measured_in_another_way_is_not_compared(i2i, runs):
    found = results(i2i, runs("a"), runs("b", "metrics.psnr.draws=2"))
    rows = {row["variant"]: row["metrics"] for row in found["table"]}
    other = next(name for name in rows if name != found["baseline"])
    assert rows[other]["psnr"]["difference"] is None
    assert rows[other]["mae"]["difference"] is not None
    assert any("measures psnr in another way" in note for note in found["notes"])


def test_runs_without_a_common_seed_are_not_paired(i2i, runs):
    found = results(i2i, runs("a"), runs("b", "seed=8", "losses.l1.weight=1"))
    assert any("shares no seed" in note for note in found["notes"])
    assert {row["metrics"]["mae"]["verdict"] for row in found["table"]} == {"baseline", "cannot tell"}


def test_data_that_is_gone_costs_the_pictures_alone(i2i, runs, monkeypatch):
    first, second = runs("a"), runs("b", "losses.l1.weight=5")
    monkeypatch.setattr("i2i_desk.parts.Noise.__len__", lambda self: 0)
    ended = i2i("compare", first, second, "--out", "out")
    assert ended.code == 0, ended.err
    found = json.loads(Path("out/results.json").read_text())
    assert found["pictures"] is None
    assert any(note.startswith("There are no pictures: ") for note in found["notes"])


def test_a_data_set_that_raises_is_at_fault(i2i, runs, monkeypatch):
    first, second = runs("a"), runs("b", "losses.l1.weight=5")
    monkeypatch.setenv("DESK_BROKEN", "1")
    ended = i2i("compare", first, second, "--out", "out")
    assert ended.code == 6
    assert "desk/noise failed: RuntimeError: the shelf is empty" in ended.err
    assert "Traceback" not in ended.err
    assert not Path("out/results.json").exists()


def test_data_are_opened_once_for_pictures_and_attribution(i2i, runs, tmp_path):
    log = tmp_path / "opened.txt"
    settings = (f"data.log={log}",)
    first, second = runs("a", *settings), runs("b", "losses.l1.weight=5", *settings)
    log.unlink()
    ended = i2i("compare", first, second, "--out", "out")
    assert ended.code == 0, ended.err
    assert log.read_text().split() == ["val"]


@pytest.mark.parametrize(
    ("spoil", "arguments", "code", "said"),
    [
        ({}, ("a", "nothing"), 3, "nothing holds no run"),
        ({"status": "interrupted"}, ("a", "b"), 3, "b holds a run that is not finished (interrupted)"),
        ({"metrics": {"other": 1.0}}, ("a", "b"), 2, "no metric in common: a has mae; b has other"),
        ({}, ("a", "./a"), 2, "given twice"),
        ({}, ("a", "b", "--out", "a"), 2, "a holds a run; choose another --out"),
        ({}, ("a", "b", "--out", "full"), 2, "full holds results of something else"),
    ],
)
def test_bad_input_is_told_in_one_sentence(i2i, desk, spoil, arguments, code, said):
    as_if("a")
    as_if("b", **spoil)
    Path("full").mkdir()
    Path("full/report.html").write_text("mine")
    ended = i2i("compare", *arguments)
    assert ended.code == code
    assert said in ended.err
    assert len(ended.err.splitlines()) == 1
    assert Path("full/report.html").read_text() == "mine"


# --- names --------------------------------------------------------------------------------------------


def named(*tables, folders=None):
    folders = folders or [[Path(f"runs/r{number}")] for number in range(len(tables))]
    return names_of(tables, folders)


def test_recipes_are_called_by_the_few_values_that_differ():
    assert named({"train": {"ema": 0.0}, "seed": 1}, {"train": {"ema": 0.5}, "seed": 2}) == [
        "ema=0",
        "ema=0.5",
    ]


def test_a_swapped_component_is_told_by_its_name_whatever_keys_came_with_it():
    unet = {"generators": {"main": {"use": "core/unet", "depth": 6, "width": 8}}}
    resnet = {"generators": {"main": {"use": "core/resnet", "blocks": 9}}}
    other = {"generators": {"main": {"use": "timm/unet"}}}
    assert named(unet, resnet, other) == ["unet", "resnet", "timm/unet"]


def test_recipes_that_differ_in_much_are_called_by_their_folders():
    tables = [{"train": {"a": n, "b": n, "c": n}} for n in (1, 2)]
    folders = [[Path("runs/l1-seed0"), Path("runs/l1-seed1")], [Path("runs/wide-20260314-153012")]]
    assert named(*tables, folders=folders) == ["l1", "wide-20260314-153012"]


@pytest.mark.parametrize(
    ("folders", "name"),
    [
        (("patch-16-s0", "patch-16-s1"), "patch-16"),
        (("pix-20260314-153012", "pix-20260314-170000"), "pix"),
        (("losses", "lossless"), "loss"),
        (("0", "1"), "0"),
    ],
)
def test_folders_of_one_recipe_are_called_by_what_they_share(folders, name):
    assert named({}, folders=[[Path(folder) for folder in folders]]) == [name]


def test_no_two_names_are_equal():
    tables = [{"train": {"a": n, "b": n, "c": n}} for n in (1, 2)]
    assert named(*tables, folders=[[Path("x/run")], [Path("y/run")]]) == ["x/run", "y/run"]
