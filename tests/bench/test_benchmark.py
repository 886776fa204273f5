"""Whole benchmarks of a third party's toy components, from the command line to results.json."""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from i2i.bench.jobs import Worker
from i2i.data.opening import open_data

TIMES = (
    *("seconds", "train_seconds", "step_seconds", "step_deviation", "image_seconds"),
    *("images_per_second", "peak_memory_mb"),
)


def results(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "results.json").read_text())


def without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_times(item) for key, item in value.items() if key not in TIMES}
    return [without_times(item) for item in value] if isinstance(value, list) else value


def row(found: dict[str, Any], variant: str) -> dict[str, Any]:
    return next(each for each in found["table"] if each["variant"] == variant)


def cells(found: dict[str, Any], variant: str) -> list[dict[str, Any]]:
    return [cell for cell in found["cells"] if cell["variant"] == variant]


def written(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.glob("cells/*/*") if path.is_file()}


SWAP = ("bench", "desk.toml", "--swap", "losses.l1.use=l1,l2", "--jobs", "2", "--out", "b")


def test_it_ends_with_a_table_a_page_and_results_and_a_second_call_trains_nothing(i2i, desk):
    ended = i2i(*SWAP, "--seeds", "2", "--steps", "4")
    assert ended.code == 0, ended.err
    assert "against the baseline" in ended.out
    assert (desk / "b" / "report.html").is_file()
    assert (desk / "b" / "table.csv").read_text().count("\n") == 5
    with (desk / "b" / "results.csv").open(newline="") as file:
        of_cells = list(csv.DictReader(file))
    assert {(each["variant"], each["seed"]) for each in of_cells} == {
        *(("l1", "0"), ("l1", "1"), ("l2", "0"), ("l2", "1"))
    }
    assert all(each["precision"] == "fp32" and float(each["step_deviation"]) > 0 for each in of_cells)
    assert results(desk / "b")["environment"]["precision"] == "fp32"  # as the recipe says, wherever it is
    page = (desk / "b" / "report.html").read_text()
    assert all(f'href="cells/{each["key"]}/report.html"' in page for each in of_cells)
    found = results(desk / "b")
    assert (found["schema"], found["status"], found["baseline"], found["seeds"]) == (1, "done", "l1", [0, 1])
    assert [cell["status"] for cell in found["cells"]] == ["done"] * 4
    assert {cell["steps"] for cell in found["cells"]} == {4}
    assert row(found, "l2")["cost"]["flops_per_step"] > 0
    assert found["pictures"]["outputs"].keys() == {"l1", "l2"}
    before = written(desk / "b")
    again = i2i(*SWAP, "--seeds", "2", "--steps", "4", "--json")
    assert json.loads(again.out) == found
    assert written(desk / "b") == before


def test_an_unfinished_benchmark_says_so_in_its_page_and_gives_its_own_command(i2i, desk, monkeypatch):
    swap = ("bench", "desk.toml", "--swap", "losses.l1.use=l1,desk/tired", "--seeds", "1", "--out", "b")
    swap = (*swap, "--steps", "50")  # more than are tried before the first cell
    monkeypatch.setattr(sys, "argv", ["i2i", *swap])
    ended = i2i(*swap)
    assert ended.code == 6
    found = results(desk / "b")
    assert (found["status"], found["go_on"]) == ("incomplete", f"i2i {shlex.join(swap)}")
    assert "Unfinished: 1 of 2 cells have ended." in ended.out
    assert f"To go on: {found['go_on']}" in ended.out
    for page in ("report.html", "results.md"):
        assert "Unfinished: 1 of 2 cells have ended." in (desk / "b" / page).read_text()
        assert "--swap losses.l1.use=l1,desk/tired" in (desk / "b" / page).read_text()


def test_an_answer_whose_verdicts_allow_for_no_other_comparison_is_made_anew_and_nothing_trained(i2i, desk):
    size = ("--seeds", "2", "--steps", "2")
    assert i2i(*SWAP, *size).code == 0
    now, before = results(desk / "b"), written(desk / "b")
    old = json.loads(json.dumps(now))
    for row in old["table"]:
        for result in row["metrics"].values():
            result.pop("corrected", None)
            result["verdict"] = "worse"
    (desk / "b" / "results.json").write_text(json.dumps(old))
    assert i2i(*SWAP, *size).code == 0
    assert results(desk / "b") == now
    assert written(desk / "b") == before


def test_a_finished_benchmark_is_told_without_importing_torch(i2i, desk):
    arguments = (*SWAP, "--seeds", "1", "--steps", "2")
    assert i2i(*arguments).code == 0
    code = f"import sys; from i2i.cli import main\ntry: main({list(arguments)!r})\nexcept SystemExit: pass\n"
    code += "sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_killed_in_the_middle_and_run_again_it_gives_the_same_answer(i2i, desk):
    size = ("--seeds", "2", "--steps", "60", "--set", "train.save_every=10")
    whole = i2i(*SWAP, *size)
    assert whole.code == 0, whole.err
    (desk / "b").rename(desk / "whole")
    command = [sys.executable, "-m", "i2i", *SWAP, *size]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not list((desk / "b").glob("cells/*/checkpoints/*/manifest.json")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (desk / "b" / "results.json").exists()
    assert i2i(*SWAP, *size).code == 0
    assert without_times(results(desk / "b")) == without_times(results(desk / "whole"))


def test_a_benchmark_has_no_length_in_minutes_but_its_own_budget(i2i, desk):
    minutes = ("--swap", "losses.l1.use=l1,l2", "--seeds", "1", "--set", "train.minutes=1", "--out", "b")
    ended = i2i("bench", "desk.toml", *minutes)
    assert ended.code == 2
    assert "minutes are other steps on every machine" in ended.err
    assert "give --steps or --seconds" in ended.err
    assert i2i("bench", "desk.toml", *minutes, "--steps", "2").code == 0
    assert {cell["steps"] for cell in results(desk / "b")["cells"]} == {2}


def test_the_recipes_threads_and_patience_are_a_benchmarks_too(i2i, desk):
    recipe = Path("desk.toml").read_text()
    Path("desk.toml").write_text(recipe.replace("steps = 8", "steps = 8\npatience = 1\nthreads = 2"))
    ended = i2i(*SWAP, "--seeds", "1")
    assert ended.code == 0, ended.err
    found = results(desk / "b")
    assert found["environment"]["threads"] == 2
    assert {cell["steps"] for cell in found["cells"]} == {8}


def test_cells_get_fewer_threads_where_that_is_faster_with_as_many_at_work(i2i, desk, monkeypatch):
    from i2i.bench import rehearsal
    from i2i.engine import cost
    from i2i.engine.threads import Threads

    asked = []

    def threads_beside(job, *, at_once, step_seconds, log):
        asked.append((job.threads, at_once))
        return Threads(1, 0.01, job.threads, 0.5)

    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    monkeypatch.setattr(cost, "SHORT", 0.0)
    monkeypatch.setattr(rehearsal, "threads_beside", threads_beside)
    ended = i2i(*SWAP, "--seeds", "1", "--steps", "2")
    assert ended.code == 0, ended.err
    assert asked == [(2, 2)]
    assert "1 of 2 threads compute" in ended.out + ended.err
    assert results(desk / "b")["environment"]["threads"] == 1


def test_threads_are_tried_in_as_many_processes_as_will_train(desk, tmp_path):
    from i2i.bench.jobs import Job
    from i2i.bench.rehearsal import threads_beside

    job = Job("l1", str(desk / "desk.toml"), "", str(desk), "cpu", 2, 0, None)
    found = threads_beside(job, at_once=2, step_seconds=0.005, log=tmp_path / "log")
    assert found.most == 2
    assert found.count in (1, 2)
    assert found.step_seconds > 0


def test_ctrl_c_saves_the_cells_at_work_and_says_how_to_go_on(desk):
    command = [sys.executable, "-m", "i2i", *SWAP, "--seeds", "1", "--steps", "100000"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while len(list((desk / "b").glob("cells/*/metrics.jsonl"))) < 2:
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "interrupted with 0 of 2 cells done" in told
    assert len(list((desk / "b").glob("cells/*/checkpoints/*/manifest.json"))) == 2


def test_a_loss_that_teaches_nothing_is_worse(i2i, desk):
    swap = ("--swap", "losses.l1.use=l1,desk/constant")
    ended = i2i("bench", "desk.toml", *swap, "--seeds", "3", "--steps", "60", "--jobs", "2", "--out", "b")
    assert ended.code == 0, ended.err
    assert row(results(desk / "b"), "desk/constant")["metrics"]["mae"]["verdict"] == "worse"


def test_two_names_for_one_component_are_within_noise_and_equal_to_the_bit(i2i, desk):
    swap = ("--swap", "generator.use=desk/dot,desk/dash")
    ended = i2i("bench", "desk.toml", *swap, "--seeds", "2", "--steps", "6", "--jobs", "2", "--out", "b")
    assert ended.code == 0, ended.err
    found = results(desk / "b")
    assert row(found, "desk/dash")["metrics"]["mae"]["verdict"] == "within noise"
    assert row(found, "desk/dash")["metrics"]["mae"]["difference"]["mean"] == 0
    one, other = (
        load_file(desk / "b" / cells(found, name)[0]["folder"] / "model.safetensors")
        for name in ("desk/dot", "desk/dash")
    )
    assert all(one[name].equal(other[name]) for name in one)


def test_another_list_of_seeds_changes_nothing_else_and_reuses_what_is_there(i2i, desk):
    assert i2i(*SWAP, "--seeds", "0,1", "--steps", "4").code == 0
    first, before = results(desk / "b"), written(desk / "b")
    assert i2i(*SWAP, "--seeds", "1,5", "--steps", "4").code == 0
    second, after = results(desk / "b"), written(desk / "b")
    assert before.items() <= after.items()
    assert cells(first, "l2")[1] == cells(second, "l2")[0]
    assert [cell["seed"] for cell in cells(second, "l2")] == [1, 5]


def test_what_is_not_swapped_begins_with_the_same_weights_and_sees_the_same_images(i2i, desk):
    """A swapped generator leaves the discriminator's first weights as they are, seed by seed."""
    from i2i.building import components
    from i2i.data.stream import training_batches
    from i2i.recipe.recipe import load_recipe

    runs = []
    for use in ("desk/dot", "resnet"):
        recipe = load_recipe("desk.toml", set=[f"generator.use={use}"], seed=4)
        data = open_data(recipe, "train")
        networks = components.build_networks(recipe, data.spec)
        batches = training_batches(data, {}, recipe.data.settings, seed=recipe.seed, first=0, last=6)
        runs.append((networks.judges["judge"].module.state_dict(), [batch.ids for batch in batches]))
    (judge, order), (other_judge, other_order) = runs
    assert all(judge[name].equal(other_judge[name]) for name in judge)
    assert order == other_order


def test_an_older_answer_does_not_pass_for_one_to_what_was_asked_since(i2i, desk):
    size = ("--steps", "2")
    assert i2i(*SWAP, *size, "--seeds", "1").code == 0
    assert i2i(*SWAP, *size, "--seeds", "2", "--plan").code == 0  # asked, and not answered
    assert i2i(*SWAP, *size, "--seeds", "2").code == 0
    assert results(desk / "b")["seeds"] == [0, 1]


def test_variants_that_the_budget_makes_equal_are_refused(desk):
    from i2i.bench.cells import Matrix
    from i2i.bench.definition import swapped
    from i2i.cli.options import open_catalog
    from i2i.errors import RecipeError

    definition = swapped("desk.toml", "desk", ["train.steps=2,4"], one_at_a_time=False)
    matrix = Matrix(definition, open_catalog())
    assert len(matrix.cells(steps={"steps=2": 2, "steps=4": 4}, precision="fp32")) == 6
    with pytest.raises(RecipeError, match="'steps=2' and 'steps=4' are the same once both are trained for 3"):
        matrix.cells(steps={"steps=2": 3, "steps=4": 3}, precision="fp32")


def test_a_plan_is_commands_that_anybody_can_run(i2i, desk):
    size = ("--seeds", "1", "--steps", "4")
    plan = i2i(*SWAP, *size, "--plan")
    commands = plan.out.strip().splitlines()
    assert plan.code == 0
    assert len(commands) == 2
    assert not (desk / "b" / "results.json").exists()
    for command in commands:
        words = shlex.split(command.partition(" && OMP_NUM_THREADS=1 ")[2])
        assert words[:2] == ["i2i", "run"]
        assert i2i(*words[1:]).code == 0
    before = written(desk / "b")
    assert i2i(*SWAP, *size).code == 0
    assert written(desk / "b") == before


SEVERAL = """
benchmark = 1
name = "several"
base = "desk.toml"
seeds = 1

[budget]
steps = 4

[resources]
processes = 2
threads = 1

[swap]
"losses.l1.use" = ["l1", "l2"]
"""


def test_cells_of_several_processes_are_planned_with_a_launcher_and_are_other_cells(i2i, desk):
    (desk / "several.toml").write_text(SEVERAL)
    plan = i2i("bench", "several.toml", "--plan")
    assert plan.code == 0, plan.err
    commands = plan.out.strip().splitlines()
    assert len(commands) == 2
    for command in commands:
        assert " && OMP_NUM_THREADS=1 torchrun --standalone --nproc-per-node=2 -m i2i run /" in command
        assert command.endswith(" --device cpu --threads 1")
    (desk / "one.toml").write_text(SEVERAL.replace("processes = 2", ""))
    alone = i2i("bench", "one.toml", "--plan", "--out", "runs/one").out
    keys = [
        {Path(word).stem for word in shlex.split(text) if "/cells/" in word} for text in (plan.out, alone)
    ]
    assert not keys[0] & keys[1]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "processes = 2",
            "processes = 3",
            "variant 'l1' has 2 images in a batch, which cannot be shared out",
        ),
        (
            '"losses.l1.use" = ["l1", "l2"]',
            '"data.batch_size" = [2, 3]',
            "variant 'batch_size=3' has 3 images in a batch, which cannot be shared out equally among 2 proc",
        ),
        ("processes = 2", "processes = 2\nnodes = 2", "a cell over several machines is started by Slurm"),
    ],
)
def test_what_a_cell_cannot_have_is_said_before_anything_is_tried(i2i, desk, old, new, message):
    (desk / "several.toml").write_text(SEVERAL.replace(old, new))
    ended = i2i("bench", "several.toml")
    assert ended.code == 2
    assert message in ended.err
    assert not list(desk.glob("runs/*/cells/*/resolved.toml"))


def test_cells_of_several_processes_are_recorded_once_and_compared(i2i, desk, monkeypatch):
    class Here:
        """Trains in this process what asks for no more, and starts the processes of what does."""

        at_once = 1

        def run(self, jobs, *, report, stopped):
            for job in jobs:
                report(Worker().train(job, report))

    # One process in place of two: what counts here is what is made of its run.
    alone = lambda job: [sys.executable, "-m", "i2i", *job.run_arguments(), "--json"]  # noqa: E731
    monkeypatch.setattr("i2i.bench.launched.torchrun", alone)
    monkeypatch.setattr("i2i.bench.preparing.build_executor", lambda *_: Here())
    (desk / "several.toml").write_text(SEVERAL)
    ended = i2i("bench", "several.toml", "--out", "b")
    assert ended.code == 0, ended.err
    assert "one process that has the whole batch" in ended.err
    assert [each["status"] for each in results(desk / "b")["cells"]] == ["done", "done"]
    records = sorted((desk / "b" / "cells").glob("*.json"))
    assert [json.loads(path.read_text())["trained"]["processes"] for path in records] == [2, 2]
    (desk / "b" / "results.json").unlink()
    before = written(desk / "b")
    assert i2i("bench", "several.toml", "--out", "b").code == 0
    assert written(desk / "b") == before


def test_a_cell_that_fails_is_told_and_the_others_go_on(i2i, desk):
    swap = ("--swap", "losses.l1.use=l1,desk/endless")
    ended = i2i("bench", "desk.toml", *swap, "--seeds", "2", "--steps", "4", "--jobs", "2", "--out", "b")
    assert ended.code == 5
    found = results(desk / "b")
    assert [cell["status"] for cell in cells(found, "l1")] == ["done", "done"]
    assert [cell["status"] for cell in cells(found, "desk/endless")] == ["diverged", "diverged"]
    assert "training diverged" in cells(found, "desk/endless")[0]["error"]
    assert row(found, "desk/endless")["metrics"]["mae"]["mean"] is None
    assert any("2 of 4 cells failed" in note for note in found["notes"])


FILE = """
benchmark = 1
name = "desk-file"
summary = "does the judge help?"
base = "desk.toml"
seeds = [3, 4]
metrics = ["psnr", "mae"]
baseline = "both"

[budget]
images = 12

[variants."no judge"]
unset = ["discriminators.judge", "losses.adversarial", "optimizers.discriminators"]

[variants.both]

[variants.larger]
data.batch_size = 4
"""


def test_a_data_set_that_raises_once_all_is_trained_is_at_fault_and_no_cell_is_lost(i2i, desk, monkeypatch):
    assert i2i(*SWAP, "--steps", "2", "--seeds", "1").code == 0
    before = written(desk / "b")
    (desk / "b" / "results.json").unlink()
    monkeypatch.setenv("DESK_BROKEN", "1")
    ended = i2i(*SWAP, "--steps", "2", "--seeds", "1")
    assert ended.code == 6
    assert "desk/noise failed: RuntimeError: the shelf is empty" in ended.err
    assert "Traceback" not in ended.err
    monkeypatch.delenv("DESK_BROKEN")
    assert i2i(*SWAP, "--steps", "2", "--seeds", "1").code == 0
    assert written(desk / "b") == before


def test_a_file_says_it_all_and_a_budget_of_images_is_the_same_for_every_batch_size(i2i, desk):
    (desk / "file.toml").write_text(FILE)
    ended = i2i("bench", "file.toml", "--jobs", "2")
    assert ended.code == 0, ended.err
    found = results(desk / "runs" / "bench-desk-file")
    assert {each["name"]: each["steps"] for each in found["variants"]} == {
        "no judge": 6,
        "both": 6,
        "larger": 3,
    }
    assert [metric["name"] for metric in found["metrics"]] == ["psnr", "mae"]
    assert found["seeds"] == [3, 4]
    assert row(found, "no judge")["cost"]["discriminator_parameters"] == 0
    assert ["data.batch_size", 2, 4] in next(v for v in found["variants"] if v["name"] == "larger")["changes"]


def test_it_is_said_when_a_variant_is_scored_on_other_images(i2i, desk):
    arguments = ("--swap", "data.count=8,6", "--seeds", "1", "--steps", "2", "--jobs", "2", "--out", "b")
    assert i2i("bench", "desk.toml", *arguments).code == 0
    assert results(desk / "b")["notes"][0].startswith("'count=6' changes the data")


def test_seconds_become_steps_once(i2i, desk):
    size = ("--seeds", "1", "--seconds", "0.05")
    assert i2i(*SWAP, *size).code == 0
    first = results(desk / "b")
    assert i2i(*SWAP, "--seeds", "2", "--seconds", "0.05").code == 0
    second = results(desk / "b")
    assert {cell["steps"] for cell in second["cells"]} == {first["cells"][0]["steps"]}


def test_data_is_opened_once_for_all_cells_of_a_process(i2i, desk):
    settings = ("--set", f"data.log={desk / 'log'}", "--seeds", "2", "--steps", "2")
    assert i2i("bench", "desk.toml", "--swap", "losses.l1.weight=1,10", *settings, "--plan").code == 0
    (desk / "log").unlink()
    assert i2i("bench", "desk.toml", "--swap", "losses.l1.weight=1,10", *settings).code == 0
    opened = (desk / "log").read_text().splitlines()
    assert opened.count("train") == 1  # by the one worker, for four cells


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--swap", "losses.l1.wieght=1,2"], 2, "unknown key 'wieght' for core/l1 - did you mean 'weight'?"),
        (["--swap", "losses.l1.use=l1,l3"], 2, "no loss 'l3' in plug-in 'core'"),
        (["--swap", "generator.use=desk/dot,gone/unet"], 6, "needs a plug-in that provides 'gone'"),
        (["--swap", "losses.l1.weight=10"], 2, "nothing to compare it with"),
        (["--swap", "seed=1,2"], 2, "seeds are the benchmark's: use `seeds`"),
        (["--swap", "losses.l1.weight=1,1"], 2, "two variants are called"),
        (["--swap", "losses.l1.weight=1,1.0"], 2, "is the same as"),
        (["--swap", "losses.l1.weight=10,10.0"], 2, "is the same as the baseline"),
        (["--swap", "losses.l1.use=l1,l2", "--metric", "pnsr"], 2, "did you mean 'psnr'?"),
        (["--swap", "losses.l1.use=l1,l2", "--baseline", "l3"], 2, "no variant is called 'l3'"),
        (["--swap", "losses.l1.use=l1,l2", "--seeds", "none"], 2, "--seeds none"),
        (["--swap", "losses.l1.use=l1,l2", "--seeds", "99999999999"], 2, "--seeds 99999999999"),
        (["--swap", "losses.l1.use=l1,l2", "--steps", "2", "--seconds", "3"], 2, "one unit"),
        (["--swap", "losses.l1.use=l1,l2", "--seconds", "inf"], 2, "a budget has an end"),
        (["--swap", "losses.l1.use=l1,desk/faulty"], 6, "FileNotFoundError: this loss is broken"),
        (["--swap", "losses.l1.use=l1,l2", "--executor", "nowhere"], 2, "no executor 'nowhere'"),
        (["--swap", "generator.use=desk/dot,unet"], 2, "variant 'unet'  data.size"),
        ([], 2, "say what to compare"),
    ],
)
def test_a_mistake_is_named_before_anything_trains(i2i, desk, arguments, code, message):
    ended = i2i("bench", "desk.toml", *arguments, "--out", "b")
    assert ended.code == code, ended.err
    assert message in ended.err
    assert "Traceback" not in ended.err
    assert not list(desk.glob("b/cells/*"))


def test_metrics_must_be_in_common(i2i, desk):
    other = 'unset = ["metrics.mae", "metrics.psnr"]\nmetrics.sharpness.use = "sharpness"'
    text = FILE.replace("data.batch_size = 4", other).replace('metrics = ["psnr", "mae"]\n', "")
    (desk / "file.toml").write_text(text)
    ended = i2i("bench", "file.toml")
    assert ended.code == 2
    assert "the variants have no metric in common" in ended.err


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('base = "desk.toml"', 'base = "file.toml"', "this is a benchmark, not a recipe"),
        ('base = "desk.toml"', 'base = "gone.toml"', "there is no such recipe file"),
        ("[budget]", "[executor]\nuse = 3\n[budget]", "`use` is the name of an executor"),
        ("[budget]", "[executor]\njob = 3\n[budget]", "for core/local - did you mean 'jobs'?"),
    ],
)
def test_a_mistake_in_a_file_is_named(i2i, desk, old, new, message):
    (desk / "file.toml").write_text(FILE.replace(old, new))
    ended = i2i("bench", "file.toml", "--out", "b")
    assert ended.code == 2
    assert message in ended.err
    assert not (desk / "b").exists()


def test_figures_that_know_no_better_are_reported_beside_theirs_or_where_there_are_no_others(desk):
    from i2i.bench.definition import swapped
    from i2i.bench.preparing import reported
    from i2i.bench.rehearsal import Rehearsal

    definition = swapped("desk.toml", "desk", ["losses.l1.weight=1,10"], one_at_a_time=False)
    found = Rehearsal(1, 1, {}, 1.0, 1.0, 1.0, 1, 1.0, 1, {"sharpness": None}, {}, "")
    metrics = reported(definition, {"a": found, "b": found}, baseline="a")
    assert [(metric.name, metric.better) for metric in metrics] == [("sharpness", None)]
    ways = {"sharpness": None, "ceiling": None, "found": "max"}
    found = Rehearsal(1, 1, {}, 1.0, 1.0, 1.0, 1, 1.0, 1, ways, {}, "", references=("ceiling",))
    metrics = reported(definition, {"a": found, "b": found}, baseline="a")
    assert [(metric.name, metric.better) for metric in metrics] == [("found", "max"), ("ceiling", None)]


def test_the_folder_of_something_else_is_left_alone(i2i, desk):
    (desk / "b").mkdir()
    (desk / "b" / "thesis.txt").write_text("precious")
    ended = i2i(*SWAP, "--steps", "2")
    assert ended.code == 2
    assert "holds no benchmark" in ended.err
    assert [path.name for path in (desk / "b").iterdir()] == ["thesis.txt"]


def test_a_start_that_was_cut_off_does_not_stand_in_the_way(i2i, desk):
    (desk / "b").mkdir()
    (desk / "b" / ".i2i-abc").write_text("half a fi")
    (desk / "b" / ".lock").touch()
    assert i2i(*SWAP, "--steps", "2", "--seeds", "1", "--plan").code == 0


def test_a_folder_of_another_version_is_left_alone(i2i, desk):
    (desk / "b").mkdir()
    state = json.dumps({"schema": 99, "name": "desk-l1", "base": "desk.toml"})
    (desk / "b" / "benchmark.json").write_text(state)
    ended = i2i(*SWAP, "--steps", "2")
    assert ended.code == 2
    assert "was written by another version of i2i" in ended.err
    assert [path.read_text() for path in (desk / "b").iterdir()] == [state]


def test_a_folder_whose_state_is_damaged_is_left_alone(i2i, desk):
    (desk / "b").mkdir()
    state = json.dumps({"schema": 1, "name": "desk-l1", "base": "desk.toml", "runtime": "cpu"})
    (desk / "b" / "benchmark.json").write_text(state)
    ended = i2i(*SWAP, "--steps", "2")
    assert ended.code == 3
    assert "benchmark.json is damaged" in ended.err
    assert [path.read_text() for path in (desk / "b").iterdir()] == [state]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="reads everything")
def test_a_folder_that_cannot_be_read_is_told(i2i, desk):
    (desk / "b").mkdir(mode=0o300)
    ended = i2i(*SWAP, "--steps", "2")
    assert ended.code == 4
    assert "cannot be read" in ended.err


def test_the_folder_of_another_benchmark_is_refused(i2i, desk):
    assert i2i(*SWAP, "--steps", "2", "--seeds", "1").code == 0
    before = (desk / "b" / "results.json").read_bytes()
    ended = i2i("bench", "desk.toml", "--swap", "losses.l1.weight=1,2", "--out", "b", "--steps", "2")
    assert ended.code == 2
    assert re.search(r"holds another benchmark, 'desk-l1' of desk.toml", ended.err)
    assert (desk / "b" / "results.json").read_bytes() == before


def test_a_plug_in_that_vanished_is_named_and_nothing_is_overwritten(i2i, desk, monkeypatch):
    assert i2i(*SWAP, "--steps", "2", "--seeds", "1").code == 0
    before = (desk / "b" / "results.json").read_bytes()
    monkeypatch.setenv("I2I_DISABLE", "desk")
    ended = i2i(*SWAP, "--steps", "2", "--seeds", "1")
    assert ended.code == 6
    assert "I2I_DISABLE switches off" in ended.err
    assert (desk / "b" / "results.json").read_bytes() == before


def test_a_run_of_the_same_benchmark_at_the_same_time_is_refused(i2i, desk):
    from i2i.system.lock import held

    with held(desk / "b"):
        ended = i2i(*SWAP, "--steps", "2")
    assert ended.code == 2
    assert "is in use" in ended.err


def test_no_process_is_left_behind(i2i, desk):
    assert i2i(*SWAP, "--steps", "2", "--seeds", "1").code == 0
    here = str(desk).encode()
    for folder in Path("/proc").glob("[0-9]*") if Path("/proc").is_dir() else ():
        try:
            where, words = os.readlink(folder / "cwd"), (folder / "cmdline").read_bytes()
        except OSError:
            continue
        assert where.encode() != here or int(folder.name) == os.getpid(), words
