"""One store of cells for several benchmarks: shared, completed, taken from records, and never mistaken."""

from __future__ import annotations

import json
import shutil
import threading
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from i2i.bench.cells import Cell, Conditions
from i2i.bench.figures import Wanted, score
from i2i.bench.jobs import Event, Job
from i2i.bench.keys import key_of, values_at_test
from i2i.bench.outcomes import RunOutcome, outcome_of, read_outcome
from i2i.bench.store import Store
from i2i.bench.training import CellTraining
from i2i.engine.loop import run
from i2i.errors import DataError
from i2i.plugins.catalog import Catalog
from i2i.recipe.recipe import load_recipe
from i2i.system.lock import held

RECIPE = """
recipe = 1
name = "small"
extends = "shapes"

[data]
use = "paired-images"
root = "pairs"
layout = "side-by-side"
size = [16, 16]
batch_size = 2

[generator]
depth = 3
width = 4
dropout = 0.5

[discriminators.patch]
width = 4

[method]
test_dropout = true
test_norm = "batch"

[train]
steps = 4
eval_every = 2
precision = "fp32"
ema = 0.9
"""

MORE = ("metrics.psnr.use=psnr", "metrics.diversity.use=diversity", "metrics.diversity.draws=3")


def draw_pairs(root: Path, *, seed: int) -> None:
    """Write pictures of both sides, half of them for training."""
    rng = np.random.default_rng(seed)
    for split in ("train", "val"):
        (root / split).mkdir(parents=True)
        for number in range(4):
            pixels = rng.integers(0, 256, (16, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / split / f"{number}.bmp")


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with the recipe small.toml and its pairs; return the folder."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    (folder / "small.toml").write_text(RECIPE)
    draw_pairs(folder / "pairs", seed=0)
    return folder


def cell(*settings: str) -> Cell:
    """The cell of the recipe with some settings, over its data as they are now."""
    from i2i.data.fingerprint import fingerprints
    from i2i.data.opening import open_splits

    recipe = load_recipe("small.toml", set=settings)
    data = fingerprints(open_splits(recipe), contents=recipe.data.settings.fingerprint == "contents")
    return Cell("a", 0, recipe, key_of(recipe, data), data)


def trained(store: Store, *settings: str) -> Cell:
    """The same, trained in the store."""
    found = cell(*settings)
    run(found.recipe, store.folder(found), device="cpu", rehearsed=True)
    return found


OWNERS = {"mae": "mae", "ssim": "ssim", "psnr": "psnr", "diversity": "diversity"}


@pytest.fixture
def notes() -> list[str]:
    return []


@pytest.fixture
def store(small: Path, notes: list[str]) -> Store:
    return Store(small / "cells", Catalog.installed(), notes.append)


def outcome(store: Store, asked: Cell) -> RunOutcome:
    """What a benchmark is told of a cell."""
    found = store.record(asked)
    assert found is not None
    owners = {figure: name for figure, name in OWNERS.items() if f"metrics.{name}" in asked.recipe.slots}
    settings = Wanted.by(asked.recipe, owners).settings
    return outcome_of(found, "a", 0, store.folder(asked), settings=settings)


def complete(store: Store, asked: Cell, *metrics: str) -> None:
    """Take figures of a stored model."""
    model = store.model(asked)
    assert model is not None
    conditions = Conditions("cpu", "fp32", 1)
    store.add(asked, score(asked, model, metrics, conditions=conditions, catalog=store.catalog))


def without_runs(store: Store) -> None:
    for folder in store.root.iterdir():
        if folder.is_dir():
            shutil.rmtree(folder)


# --- figures --------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [(), ("train.ema=0.0", "method.test_dropout=false")])
def test_a_missing_figure_is_computed_from_the_model_and_equals_that_of_the_run(store, settings):
    few, many = trained(store, *settings), cell(*settings, *MORE)
    assert few.key == many.key
    wanted = Wanted.by(many.recipe, OWNERS)
    found = store.record(few)
    assert wanted.lacking(found, ["mae", "psnr", "diversity"]) == ["psnr", "diversity"]
    before = {path: path.read_bytes() for path in store.folder(few).rglob("*") if path.is_file()}

    complete(store, many, "psnr", "diversity")

    assert wanted.lacking(store.record(many), ["mae", "psnr", "diversity"]) == []
    assert {path: path.read_bytes() for path in before} == before
    other = Store(store.root.with_name("elsewhere"), store.catalog, store.note)
    whole, completed = outcome(other, trained(other, *settings, *MORE)), outcome(store, many)
    assert completed.metrics == whole.metrics
    assert whole.metrics.keys() == OWNERS.keys()
    assert (whole.metrics["diversity"] > 0) == (not settings)
    assert completed.copy_input == whole.copy_input
    assert completed.images == whole.images
    assert completed.curve[-1] == (4, whole.metrics)


def test_figures_that_the_run_took_itself_come_out_the_same_from_its_model(store):
    asked = trained(store, *MORE)
    scoring = score(
        asked,
        store.model(asked),
        ["mae", "ssim", "diversity"],
        conditions=Conditions("cpu", "fp32", 1),
        catalog=store.catalog,
    )
    own = outcome(store, asked).metrics
    assert scoring.figures == {name: own[name] for name in ("mae", "ssim", "diversity")}


def test_a_figure_by_other_settings_of_its_metric_is_another(store):
    three = trained(store, *MORE)
    two = cell(*MORE, "metrics.diversity.draws=2")
    assert three.key == two.key
    assert "diversity" not in outcome(store, two).metrics
    assert outcome(store, two).metrics.keys() == {"mae", "ssim", "psnr"}
    assert "diversity" not in outcome(store, two).curve[0][1]
    complete(store, two, "diversity")
    assert outcome(store, two).metrics["diversity"] != outcome(store, three).metrics["diversity"]


# --- records --------------------------------------------------------------------------------------


def test_a_record_alone_tells_all_that_its_run_did(store):
    asked = trained(store)
    whole = outcome(store, asked)
    own = read_outcome("a", 0, store.folder(asked))
    assert replace(whole, metrics=dict(own.metrics)) == own
    without_runs(store)
    assert outcome(store, asked) == whole
    record = json.loads(store.file(asked).read_text())
    assert record["scorings"][0]["better"] == {}
    assert [found["use"] for found in record["scorings"][0]["metrics"].values()] == ["core/mae", "core/ssim"]
    assert record["trained"]["runtime"]["device"] == "cpu"
    assert str(store.root.parent) not in store.file(asked).read_text()


def test_a_run_that_has_not_ended_has_no_record(store):
    asked = cell()
    assert store.record(asked) is None
    run(asked.recipe, store.folder(asked), device="cpu", rehearsed=True, stop_at=2)
    assert store.record(asked) is None
    assert not store.file(asked).exists()


def test_a_damaged_record_is_made_again_from_its_run_or_told(store, notes):
    asked = trained(store)
    whole = store.record(asked)
    for damage in ("", "{}", "<<<<<<< HEAD", "[" * 100_000):
        store.file(asked).write_text(damage)
        assert store.record(asked) == whole
    assert len(notes) == 4
    assert "was damaged: it is made again" in notes[0]
    without_runs(store)
    store.file(asked).write_text("{}")
    with pytest.raises(DataError, match=r"is damaged.*restore it, or remove it"):
        store.record(asked)


def test_the_record_of_another_version_is_not_written_over(store):
    asked = trained(store)
    record = json.loads(json.dumps(asdict(store.record(asked)))) | {"schema": 2, "unheard_of": 1}
    store.file(asked).write_text(json.dumps(record))
    with pytest.raises(DataError, match=r"is of another version of i2i \(schema 2, not 1\)"):
        store.record(asked)
    assert json.loads(store.file(asked).read_text()) == record


def test_a_record_without_the_model_that_it_is_of_has_none_to_ask(store):
    asked = trained(store)
    whole = store.record(asked)
    store.model(asked).unlink()
    assert store.model(asked) is None
    without_runs(store)
    assert store.model(asked) is None
    run(asked.recipe, store.folder(asked), device="cpu", rehearsed=True, stop_at=2)
    assert (store.folder(asked) / "model.safetensors").is_file()
    assert store.model(asked) is None
    assert store.record(asked) == whole


def test_a_run_that_has_lost_its_model_makes_room_for_another(store, notes):
    asked = trained(store)
    store.make_room(asked)
    assert store.model(asked) is not None
    store.model(asked).unlink()
    store.make_room(asked)
    assert notes == [f"{store.folder(asked)} has lost its model: a, seed 0, is trained again."]
    run(asked.recipe, store.folder(asked), device="cpu", rehearsed=True)
    assert store.model(asked) is not None


def test_the_record_of_another_cell_does_not_pass_for_one(store):
    asked, other = trained(store), cell("seed=1")
    store.record(asked)
    shutil.copy(store.file(asked), store.file(other))
    with pytest.raises(DataError, match="is damaged"):
        store.record(other)


# --- data -----------------------------------------------------------------------------------------


def test_data_in_another_place_are_the_same_and_other_data_under_the_same_names_are_not(store, small):
    here = trained(store)
    shutil.copytree(small / "pairs", small / "moved")
    moved = cell("data.root=moved")
    assert moved.key == here.key
    assert store.record(moved) is not None
    (small / "moved" / "train" / "4.bmp").write_bytes((small / "moved" / "train" / "3.bmp").read_bytes())
    assert store.record(cell("data.root=moved")) is None


def test_a_cell_of_other_data_has_a_folder_of_its_own(store, small):
    here = trained(store)
    (small / "pairs" / "train" / "4.bmp").write_bytes((small / "pairs" / "train" / "3.bmp").read_bytes())
    other = cell()
    later = replace(store)  # what was begun is looked up once
    assert later.folder(other).name == other.key != here.key
    later.make_room(other)
    assert later.model(here) is not None


def test_pixels_of_other_data_are_seen_where_they_are_asked_for(store, small, notes):
    pixels = "data.fingerprint=contents"
    here = trained(store, pixels)
    assert store.record(here) is not None
    draw_pairs(small / "others", seed=1)  # the same names and sizes
    others = cell(pixels, "data.root=others")
    assert others.key == here.key
    assert store.record(others) is None
    store.make_room(others)
    assert "was trained on other data" in notes[0]
    assert "their pixels are others" in notes[0]
    run(others.recipe, store.folder(others), device="cpu", rehearsed=True)
    assert store.record(others).data == others.data
    assert store.record(here) is None


def test_a_run_of_data_that_changed_meanwhile_is_no_cell(store, small):
    asked = cell()
    (small / "pairs" / "train" / "4.bmp").write_bytes((small / "pairs" / "train" / "3.bmp").read_bytes())
    run(asked.recipe, store.folder(asked), device="cpu", rehearsed=True)
    assert store.record(asked) is None
    told = store.outcome(asked, "")
    assert told.status == "failed"
    assert "the split 'train' had 5 pairs, and has 4 now" in told.error


# --- several at work ------------------------------------------------------------------------------


class Trainer:
    """An executor that trains in this process and notes the order."""

    at_once = 1

    def __init__(self, store: Store, cells: dict[str, Cell]) -> None:
        self.store, self.cells, self.order = store, cells, []

    def run(self, jobs, *, report, stopped) -> None:
        for job in jobs:
            self.order.append(job.key)
            run(self.cells[job.key].recipe, job.out, device="cpu", rehearsed=True)
            report(Event(job.key, "done", job.steps))


class Watcher:
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def event(self, event: Event) -> None: ...


def test_a_cell_that_another_process_trains_is_waited_for_after_all_others(store):
    first, second = cell(), cell("seed=1")
    cells = {each.key: each for each in (first, second)}
    jobs = {key: Job(key, "", str(store.folder(each)), ".", "cpu", 1, 4) for key, each in cells.items()}
    executor, watcher, there = Trainer(store, cells), Watcher(), threading.Event()

    def another() -> None:
        with held(store.folder(first)):
            there.set()
            while second.key not in executor.order or not watcher.notes:
                time.sleep(0.02)

    thread = threading.Thread(target=another)
    thread.start()
    there.wait()
    ended: list[Cell] = []
    training = CellTraining(store, executor, watcher, ended.append, lambda: False)
    assert training.train([first, second], jobs) == {}
    thread.join()
    assert executor.order == [second.key, first.key]
    assert ended == [second, first]
    assert watcher.notes == ["1 cell is in training by another process: waiting for it."]


def test_a_cell_that_another_process_takes_at_the_same_moment_has_not_failed(store):
    asked = cell()

    class Beaten(Trainer):
        def run(self, jobs, *, report, stopped) -> None:
            if self.order:
                return super().run(jobs, report=report, stopped=stopped)
            self.order.append("beaten")
            with held(store.folder(asked)):
                report(Event(asked.key, "failed", error="it is in use", code=2))
            return None

    executor = Beaten(store, {asked.key: asked})
    jobs = {asked.key: Job(asked.key, "", str(store.folder(asked)), ".", "cpu", 1, 4)}
    assert (
        CellTraining(store, executor, Watcher(), lambda cell: None, lambda: False).train([asked], jobs) == {}
    )
    assert executor.order == ["beaten", asked.key]


def test_a_cell_that_another_process_has_trained_meanwhile_is_not_trained_again(store):
    asked = trained(store)
    executor, watcher = Trainer(store, {asked.key: asked}), Watcher()

    def another() -> None:
        with held(store.folder(asked)):
            there.set()
            while not watcher.notes:
                time.sleep(0.02)

    there, thread = threading.Event(), threading.Thread(target=another)
    thread.start()
    there.wait()
    CellTraining(store, executor, watcher, lambda cell: None, lambda: False).train([asked], {})
    thread.join()
    assert executor.order == []


def test_a_run_that_was_begun_for_other_figures_is_gone_on_with(store):
    few, many = cell(), cell(*MORE, "train.eval_every=1")
    run(few.recipe, store.folder(few), device="cpu", rehearsed=True, stop_at=2)
    (store.root / "job.toml").write_text(store.recipe(many))
    run(load_recipe(store.root / "job.toml"), store.folder(many), device="cpu", rehearsed=True)
    assert outcome(store, many).metrics.keys() == {"mae", "ssim"}


# --- whole benchmarks -----------------------------------------------------------------------------

BENCHMARK = """
benchmark = 1
name = "NAME"
base = "small.toml"
seeds = [0]
cells = "shared"

[variants.plain]

[variants.NAME]
CHANGE
"""


def results(small: Path, name: str) -> dict[str, Any]:
    return json.loads((small / "runs" / f"bench-{name}" / "results.json").read_text())


@pytest.fixture
def benchmarks(small: Path) -> Path:
    """Write two benchmarks that have a variant in common; return the folder."""
    for name, change in (("light", "losses.l1.weight = 1"), ("wide", "generator.width = 8")):
        (small / f"{name}.toml").write_text(BENCHMARK.replace("NAME", name).replace("CHANGE", change))
    return small


def models(small: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in (small / "shared").glob("*/model.safetensors")}


PSNR = ("--set", "metrics.psnr.use=psnr")


def test_two_benchmarks_share_a_cell_which_is_trained_once_and_scored_by_what_it_lacks(i2i, benchmarks):
    assert i2i("bench", "light.toml").code == 0
    before = models(benchmarks)
    assert len(before) == 2
    ended = i2i("bench", "wide.toml", *PSNR, "--set", "train.log_every=1")
    assert ended.code == 0, ended.err
    assert "1 cell to train" in ended.err
    assert "computing psnr of plain, seed 0, from its model" in ended.err
    assert len(models(benchmarks)) == 3
    assert before.items() <= models(benchmarks).items()
    (one,), (two,) = (
        [cell for cell in results(benchmarks, name)["cells"] if cell["variant"] == "plain"]
        for name in ("light", "wide")
    )
    assert one["metrics"].items() <= two["metrics"].items()
    assert two["metrics"]["psnr"] > 0
    assert one["folder"] == two["folder"]
    assert one["folder"].startswith("../../shared/")


def test_records_are_enough_to_go_on_from(i2i, benchmarks):
    assert i2i("bench", "light.toml").code == 0
    first = results(benchmarks, "light")
    for folder in [*(benchmarks / "shared").glob("*/"), benchmarks / "runs"]:
        shutil.rmtree(folder)
    again = i2i("bench", "light.toml")
    assert again.code == 0, again.err
    assert "to train" not in again.err
    second = results(benchmarks, "light")
    assert second["cells"] == first["cells"]
    for row in second["table"]:
        (before,) = [each for each in first["table"] if each["variant"] == row["variant"]]
        assert row["metrics"] == before["metrics"]


@pytest.mark.slow
def test_where_a_figure_and_the_model_are_missing_a_cell_is_trained_again(i2i, benchmarks):
    assert i2i("bench", "light.toml").code == 0
    for folder in (benchmarks / "shared").glob("*/"):
        shutil.rmtree(folder)
    ended = i2i("bench", "light.toml", *PSNR)
    assert ended.code == 0, ended.err
    assert "its record lacks psnr, and its model is not there to be scored: it is trained again" in ended.err
    assert "2 cells to train" in ended.err
    assert all(cell["metrics"]["psnr"] > 0 for cell in results(benchmarks, "light")["cells"])


def test_a_store_may_be_named_on_the_command_line_and_variants_that_train_alike_share_a_cell(i2i, small):
    swap = ("--swap", "data.workers=0,1", "--seeds", "1", "--cells", "mine", "--plan")
    ended = i2i("bench", "small.toml", *swap)
    assert ended.code == 0, ended.err
    (command,) = ended.out.splitlines()
    assert f"--out {small / 'mine'}/" in command


@pytest.mark.parametrize("kept", ["run", "record"])
def test_a_cell_of_before_a_component_got_another_parameter_is_known_again(store, notes, kept):
    asked = trained(store)
    store.record(asked)
    folder, record = store.root / asked.key, store.root / f"{asked.key}.json"
    older = store.root / ("0" * 16)
    resolved = folder / "resolved.toml"
    assert 'update = "alternating"' in resolved.read_text()
    resolved.write_text(resolved.read_text().replace('update = "alternating"\n', ""))
    written = json.loads(record.read_text())
    del written["recipe"]["method"]["update"]
    older.with_suffix(".json").write_text(json.dumps(written | {"key": older.name}))
    record.unlink()
    folder.rename(older)
    if kept == "run":
        older.with_suffix(".json").unlink()
    else:
        shutil.rmtree(older)

    again = Store(store.root, store.catalog, notes.append)
    assert again.folder(asked) == older
    found = again.record(asked)
    assert found is not None
    assert found.status == "done"
    assert again.record(cell("method.update=simultaneous")) is None
    assert again.folder(cell("seed=1")).name == cell("seed=1").key


# --- test keys ------------------------------------------------------------------------------------

OFF = "method.test_dropout=false"


def test_a_figure_under_other_values_is_taken_of_the_model_and_kept_apart(store):
    on, off = trained(store), cell(OFF)
    assert on.key == off.key
    wanted = Wanted.by(off.recipe, {"mae": "mae"})
    assert wanted.lacking(store.record(on), ["mae"]) == ["mae"]
    complete(store, off, "mae", "ssim")
    assert wanted.lacking(store.record(off), ["mae"]) == []
    one, other = (outcome_at(store, each, values_at_test(each.recipe)) for each in (on, off))
    assert one.metrics["mae"] != other.metrics["mae"]
    assert one.curve
    assert "mae" in one.curve[0][1]
    assert "mae" not in other.curve[0][1]
    assert other.curve[-1][1]["mae"] == other.metrics["mae"]


def outcome_at(store, asked, test):
    found = store.record(asked)
    settings = Wanted.by(asked.recipe, {"mae": "mae", "ssim": "ssim"}).settings
    return outcome_of(found, "a", 0, store.folder(asked), settings=settings, test=test)


def test_records_of_before_are_known_by_the_values_in_their_recipes(store):
    on, off = trained(store), cell(OFF)
    record = json.loads(store.file(on).read_text()) if store.record(on) else {}
    without_runs(store)
    store.file(on).unlink()
    names = {"on": "aaaaaaaaaaaaaaaa", "off": "bbbbbbbbbbbbbbbb"}
    for name, each in (("on", on), ("off", off)):
        old = {**record, "key": names[name], "recipe": each.recipe.table}
        old["scorings"] = [{**scoring, "test": None} for scoring in record["scorings"]]
        (store.root / f"{names[name]}.json").write_text(json.dumps(old, default=str))
    fresh = replace(store, _keys={}, _anew=set())
    assert (fresh.name(on), fresh.name(off)) == (names["on"], names["off"])
    for each in (on, off):
        assert Wanted.by(each.recipe, {"mae": "mae"}).lacking(fresh.record(each), ["mae"]) == []
    # One that is to be trained again is one cell from then on, for both.
    fresh.begin_anew(on)
    assert fresh.name(on) == fresh.name(off) == on.key


def test_a_benchmark_asked_again_after_its_data_changed_trains_anew(i2i, small):
    swap = (
        "bench",
        "small.toml",
        "--swap",
        "losses.l1.use=l1,l2",
        "--seeds",
        "1",
        "--steps",
        "2",
        "--out",
        "b",
    )
    assert i2i(*swap).code == 0
    first = json.loads((small / "b" / "results.json").read_text())
    assert "trying" not in i2i(*swap).err
    (small / "pairs" / "train" / "4.bmp").write_bytes((small / "pairs" / "train" / "3.bmp").read_bytes())
    again = i2i(*swap)
    assert again.code == 0, again.err
    assert "Files of the data were written since the variants were tried" in again.out + again.err
    second = json.loads((small / "b" / "results.json").read_text())
    assert not {cell["folder"] for cell in first["cells"]} & {cell["folder"] for cell in second["cells"]}
