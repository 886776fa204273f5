"""Which of several processes this one is, as its launcher says: torchrun, or Slurm's srun. No torch."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field

from i2i.errors import RecipeError

FIRST_PORT, PORTS = 15000, 15000
"""Where processes under Slurm meet if MASTER_PORT says nothing: a port that follows from the job's number."""

LET_TELL = 2.0
"""Seconds that a process with nothing to say waits before it ends: launchers then end the others, and one of
them is about to say why."""


@dataclass(frozen=True)
class Launch:
    """Process `rank` of `size`, of which `local_size` run on this computer, this one as `local_rank` of them.

    `address` holds what torch's rendezvous reads of the environment, as text by name; it is empty for a
    process by itself.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1
    address: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What this process is called where people read of it."""
        return f"process {self.rank} on {socket.gethostname()}"


def launched(environ: Mapping[str, str] | None = None) -> Launch:
    """Return which process this is; without a launcher, one by itself.

    Of torchrun's variables and of Slurm's the first count. A batch script of Slurm's is no task of srun's, so
    what it starts itself is one process, however many tasks its job has.

    Raises RecipeError for variables that do not go together.
    """
    environ = os.environ if environ is None else environ
    if environ.get("WORLD_SIZE"):
        return _of_torchrun(environ)
    if "SLURM_PROCID" in environ and ("SLURM_STEP_ID" in environ or "SLURM_JOB_ID" not in environ):
        return _of_slurm(environ)
    return Launch()


def _of_torchrun(environ: Mapping[str, str]) -> Launch:
    size = _number(environ, "WORLD_SIZE")
    if size == 1:
        return Launch()
    rank = _number(environ, "RANK")
    missing = [name for name in ("MASTER_ADDR", "MASTER_PORT") if not environ.get(name)]
    if missing:
        raise RecipeError(_incomplete(size, missing[0]))
    local_rank = _number(environ, "LOCAL_RANK", default=rank)
    local_size = _number(environ, "LOCAL_WORLD_SIZE", default=size)
    address = {"MASTER_ADDR": environ["MASTER_ADDR"], "MASTER_PORT": environ["MASTER_PORT"]}
    return _checked(Launch(rank, size, local_rank, local_size, address))


def _of_slurm(environ: Mapping[str, str]) -> Launch:
    many = "SLURM_STEP_NUM_TASKS" if environ.get("SLURM_STEP_NUM_TASKS") else "SLURM_NTASKS"
    size = _number(environ, many, default=1)
    if size == 1:
        return Launch()
    host = environ.get("MASTER_ADDR") or _first_host(environ.get("SLURM_JOB_NODELIST", ""))
    job = environ.get("SLURM_JOB_ID", "")
    port = environ.get("MASTER_PORT") or (str(FIRST_PORT + int(job) % PORTS) if job.isdecimal() else "")
    if not host or not port:
        raise RecipeError(_incomplete(size, "MASTER_PORT" if host else "MASTER_ADDR"))
    return _checked(
        Launch(
            _number(environ, "SLURM_PROCID"),
            size,
            _number(environ, "SLURM_LOCALID", default=0),
            # "2(x3),1": so many tasks on each node; nodes mostly have the same number, and this one is ours
            int((re.match(r"\d+", environ.get("SLURM_STEP_TASKS_PER_NODE", "")) or ["1"])[0]),
            {"MASTER_ADDR": host, "MASTER_PORT": port},
        )
    )


def _checked(launch: Launch) -> Launch:
    if launch.rank >= launch.size:
        raise RecipeError(
            f"the launcher says that this is process {launch.rank} of {launch.size}, counted from 0: start "
            "them all with the same number."
        )
    return launch


def _number(environ: Mapping[str, str], name: str, *, default: int | None = None) -> int:
    text = environ.get(name, "" if default is None else str(default))
    if not text:
        raise RecipeError(_incomplete(_number(environ, "WORLD_SIZE"), name))
    if not text.isdecimal() or (name == "WORLD_SIZE" and int(text) == 0):
        raise RecipeError(
            f"{name} = '{text}' is no number of a launcher's: unset it, or start with torchrun."
        )
    return int(text)


def _incomplete(size: int, missing: str) -> str:
    return (
        f"this is one of {size} processes by what its launcher has set, and {missing} is not set: start them "
        "with torchrun or srun, or unset WORLD_SIZE to train in one process."
    )


def _first_host(nodes: str) -> str:
    """Return the first of Slurm's list of nodes: "gpu[07-09,12],cpu1" begins with gpu07."""
    found = re.match(r"([^,\[]+)(?:\[(\w+)[^\]]*\]([^,\[]*))?", nodes)
    return "" if found is None else "".join(part or "" for part in found.groups())
