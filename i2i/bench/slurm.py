"""A benchmark as an array of Slurm: a command a line, and the script that runs one of them by its number.

Nothing here talks to Slurm: the files are for a person to look at, fill in and submit.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from i2i.bench.jobs import Job
from i2i.errors import RecipeError
from i2i.system.atomic import write_text

CELLS = "cells.txt"
SCRIPT = "array.sbatch"
LOGS = "logs"
SECONDS_TO_SAVE = 120


def write_array(folder: Path, jobs: Sequence[Job], *, name: str, at_once: int | None, collect: str) -> Path:
    """Write the array of `jobs`, of which there is one at least, into `folder`; return the script.

    `at_once` is how many of them may run at the same time; None for as many as Slurm gives. `collect` is the
    command that compares what was trained. Raises RecipeError where another array stands, which somebody may
    have filled in, and for a path that would break a line.
    """
    folder = folder.resolve()
    script = folder / SCRIPT
    if script.exists():
        raise RecipeError(
            f"{script} is there already, and may be filled in: remove it, or choose another folder."
        )
    commands = [job.command() for job in jobs]
    if any("\n" in text for text in (*commands, str(folder))):
        raise RecipeError("a path of this benchmark holds a line break, and an array has a command a line.")
    (folder / LOGS).mkdir(parents=True, exist_ok=True)
    write_text(folder / CELLS, "\n".join(commands) + "\n")
    write_text(script, _script(folder, jobs, name=name, at_once=at_once, collect=collect))
    return script


def _script(folder: Path, jobs: Sequence[Job], *, name: str, at_once: int | None, collect: str) -> str:
    count = len(jobs)
    limit = f"%{at_once}" if at_once is not None and at_once < count else ""
    options = {"job-name": f"i2i-{name}", "array": f"0-{count - 1}{limit}", **_resources(jobs[0])}
    lines = [f"#SBATCH --{key}={value}" for key, value in options.items()]
    return f"""\
#!/usr/bin/env bash
# {count} cell{"s" if count > 1 else ""} of the benchmark {name}: task number N runs line N + 1 of {CELLS}.
#
# Fill in what your cluster asks for, here and in no other place: take one # from these lines.
##SBATCH --account=YOUR-ACCOUNT
##SBATCH --partition=YOUR-PARTITION
##SBATCH --time=04:00:00
#
# Then submit it; a task that is submitted again goes on where its cell was:
#   sbatch {shlex.quote(str(folder / SCRIPT))}
# When it has ended, compare what was trained; nothing is trained by that, unless a cell is left:
#   {collect}
#
{chr(10).join(lines)}
#SBATCH --output={_quoted_for_sbatch(folder / LOGS)}/%A_%a.log
# Two minutes before the time is up, so that the state is saved:
#SBATCH --signal=TERM@{SECONDS_TO_SAVE}

set -euo pipefail

# The environment that has i2i, if it is not the one in which sbatch is called:
# source /path/to/environment/bin/activate

folder={shlex.quote(str(folder))}
line=$((SLURM_ARRAY_TASK_ID + 1))
command=$(sed -n "${{line}}p" "$folder/{CELLS}")
if [[ -z $command ]]; then
    echo "$folder/{CELLS} has no line $line" >&2
    exit 2
fi

# srun takes these from sbatch no more, since Slurm 22.05.
export SRUN_CPUS_PER_TASK=${{SLURM_CPUS_PER_TASK:-1}}
srun --kill-on-bad-exit=1 bash -c "$command"
"""


def _resources(job: Job) -> dict[str, int | str]:
    """Return the options of sbatch for what one cell takes, which all cells take alike.

    On one node one task starts all processes, by torchrun; over several nodes each process is a task.
    """
    each = job.processes // job.nodes
    tasks = each if job.nodes > 1 else 1
    found: dict[str, int | str] = {
        "nodes": job.nodes,
        "ntasks-per-node": tasks,
        "cpus-per-task": job.threads * each // tasks,
    }
    return found | ({"gres": f"gpu:{each}"} if job.device.startswith("cuda") else {})


def _quoted_for_sbatch(path: Path) -> str:
    """Return a path as sbatch reads it in a comment: in quotes, and with % for itself."""
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"'
