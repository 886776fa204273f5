"""The array of Slurm that a benchmark writes: what it asks for, and that its tasks train the cells."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from i2i.bench.jobs import Job
from i2i.bench.slurm import write_array
from i2i.errors import RecipeError

BENCHMARK = """
benchmark = 1
name = "several"
base = "desk.toml"
seeds = 1

[budget]
steps = 4

[swap]
"losses.l1.use" = ["l1", "l2"]
"""

SLURM = r"""
# What Slurm does with an array, one task after another.
srun() { [[ $1 == --kill-on-bad-exit=1 ]] || exit 9; shift; "$@"; }
i2i() { "$PYTHON" -m i2i "$@"; }
# One process in place of two, each of which would be given its place.
torchrun() { [[ "$1 $2" == "--standalone --nproc-per-node=2" ]] || exit 9; shift 2; "$PYTHON" "$@"; }
export -f i2i torchrun
for ((SLURM_ARRAY_TASK_ID = 0; SLURM_ARRAY_TASK_ID < TASKS; SLURM_ARRAY_TASK_ID++)); do
    (source "$1")
done
"""


def run_array(script: Path, *, tasks: int) -> subprocess.CompletedProcess[str]:
    """Run the tasks of an array by a stand-in for Slurm."""
    given = {**os.environ, "PYTHON": sys.executable, "TASKS": str(tasks), "SLURM_CPUS_PER_TASK": "1"}
    words = ["bash", "-euo", "pipefail", "-c", SLURM, "bash", str(script)]
    return subprocess.run(words, env=given, capture_output=True, text=True, timeout=300, check=False)


def options(script: Path) -> dict[str, str]:
    """The options of sbatch that a script gives."""
    return dict(re.findall(r"^#SBATCH --([\w-]+)=(.*)$", script.read_text(), flags=re.M))


def jobs(folder: Path, count: int = 3, **changes) -> list[Job]:
    """Jobs in a folder."""
    given = {"folder": str(folder), "device": "cpu", "threads": 2, "steps": 1, **changes}
    return [
        Job(key=f"k{i}", recipe=f"{folder}/k{i}.toml", out=f"{folder}/k{i}", **given) for i in range(count)
    ]


@pytest.mark.parametrize("processes", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_its_tasks_train_the_cells_and_the_benchmark_then_only_compares(i2i, desk, processes):
    place = desk / "my plan's"
    (desk / "several.toml").write_text(f"{BENCHMARK}\n[resources]\nprocesses = {processes}\nthreads = 1\n")
    asked = ("bench", "several.toml", "--cells", "all my cells", "--out", "b")
    planned = i2i(*asked, "--slurm", str(place))
    assert planned.code == 0, planned.err
    script = place / "array.sbatch"
    assert planned.out.startswith(f"2 cells: fill in account, partition and time in {script}")
    assert len((place / "cells.txt").read_text().splitlines()) == 2
    assert ("torchrun --standalone" in (place / "cells.txt").read_text()) is (processes > 1)
    assert not list(Path("all my cells").glob("*/model.safetensors"))

    ran = run_array(script, tasks=2)
    assert ran.returncode == 0, ran.stderr
    models = sorted(Path("all my cells").glob("*/model.safetensors"))
    assert len(models) == 2
    before = [path.stat().st_mtime_ns for path in models]
    assert i2i(*asked).code == 0
    assert [path.stat().st_mtime_ns for path in models] == before
    found = json.loads((desk / "b" / "results.json").read_text())
    assert [cell["status"] for cell in found["cells"]] == ["done", "done"]

    again = i2i(*asked, "--slurm", "another")
    assert (again.code, again.out) == (0, "")
    assert "no cell is left" in again.err
    assert not Path("another").exists()


def test_what_is_done_is_left_out_and_json_has_it_all(i2i, desk):
    (desk / "several.toml").write_text(BENCHMARK)
    asked = ("bench", "several.toml", "--out", "b", "--json")
    first = json.loads(i2i(*asked, "--slurm", "one").out)
    assert run_array(Path(first["script"]), tasks=1).returncode == 0
    second = json.loads(i2i(*asked, "--slurm", "two").out)
    assert second["commands"] == first["commands"][1:]
    assert Path("two/cells.txt").read_text().splitlines() == second["commands"]
    assert options(Path("two/array.sbatch"))["array"] == "0-0"


def test_a_task_without_a_line_says_so(tmp_path):
    script = write_array(tmp_path / "plan", jobs(tmp_path, 1), name="n", at_once=None, collect="i2i bench n")
    (tmp_path / "plan" / "cells.txt").write_text("true\n")
    ended = run_array(script, tasks=2)
    assert ended.returncode == 2
    assert ended.stderr.strip() == f"{tmp_path}/plan/cells.txt has no line 2"


def test_a_task_that_fails_fails_as_its_command_does(tmp_path):
    script = write_array(tmp_path / "plan", jobs(tmp_path, 1), name="n", at_once=None, collect="i2i bench n")
    (tmp_path / "plan" / "cells.txt").write_text("exit 5\n")
    assert run_array(script, tasks=1).returncode == 5


@pytest.mark.parametrize(
    ("takes", "asked"),
    [
        ({}, {"nodes": "1", "ntasks-per-node": "1", "cpus-per-task": "2"}),
        ({"processes": 4}, {"nodes": "1", "ntasks-per-node": "1", "cpus-per-task": "8"}),
        (
            {"processes": 4, "device": "cuda"},
            {"nodes": "1", "ntasks-per-node": "1", "cpus-per-task": "8", "gres": "gpu:4"},
        ),
        (
            {"processes": 8, "nodes": 2, "device": "cuda"},
            {"nodes": "2", "ntasks-per-node": "4", "cpus-per-task": "2", "gres": "gpu:4"},
        ),
    ],
)
def test_it_asks_for_what_a_cell_takes(tmp_path, takes, asked):
    script = write_array(tmp_path / "p", jobs(tmp_path, **takes), name="n", at_once=2, collect="i2i bench n")
    given = options(script)
    assert {key: given[key] for key in asked} == asked
    assert ("gres" in given) is ("gres" in asked)
    assert given["array"] == "0-2%2"
    assert given["job-name"] == "i2i-n"


def test_the_place_of_its_logs_is_what_it_is_called(tmp_path):
    place = tmp_path / 'a "b" 100%'
    script = write_array(place, jobs(tmp_path), name="n", at_once=9, collect="i2i bench n")
    told = str(place).replace('"', '\\"').replace("%", "%%")
    assert options(script)["output"] == f'"{told}/logs"/%A_%a.log'
    assert (place / "logs").is_dir()
    assert options(script)["array"] == "0-2"


def test_an_array_that_may_be_filled_in_is_left_alone(tmp_path):
    script = write_array(tmp_path / "p", jobs(tmp_path), name="n", at_once=None, collect="i2i bench n")
    script.write_text("filled in")
    with pytest.raises(RecipeError, match="is there already, and may be filled in"):
        write_array(tmp_path / "p", jobs(tmp_path), name="n", at_once=None, collect="i2i bench n")
    assert script.read_text() == "filled in"


def test_a_line_break_in_a_path_is_refused(tmp_path):
    with pytest.raises(RecipeError, match="line break"):
        write_array(tmp_path / "p", jobs(tmp_path / "a\nb"), name="n", at_once=None, collect="i2i bench n")
    assert not (tmp_path / "p").exists()


def test_the_script_is_sound_shell(tmp_path):
    script = write_array(tmp_path / "p q", jobs(tmp_path), name="n", at_once=None, collect="i2i bench n")
    assert subprocess.run(["bash", "-n", str(script)], check=False).returncode == 0
    if shutil.which("shellcheck"):
        assert subprocess.run(["shellcheck", str(script)], check=False).returncode == 0
