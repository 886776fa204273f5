"""Jobs in processes of this machine: trained, tried again, stopped, and never in each other's way."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from i2i.bench.jobs import Event, Job, Worker
from i2i.core.executors.local import Local
from i2i.kinds import Executor
from i2i.runs import checkpoint

PLUGIN = """
from i2i import hookimpl

i2i_api = 1

@hookimpl
def i2i_register(registry):
    registry.data("noted", "i2i_lab.parts:Noted", "says in a file that it was opened")
    registry.generator("dot", "i2i_lab.parts:dot", "one convolution")
    registry.paired_loss("faulty", "i2i_lab.parts:Faulty", "raises an error")
    registry.paired_loss("endless", "i2i_lab.parts:Endless", "is not a number")
    registry.callback("death", "i2i_lab.parts:Death", "kills its process")
    registry.callback("meeting", "i2i_lab.parts:Meeting", "waits for another process")
    registry.callback("pid", "i2i_lab.parts:Pid", "notes its process and its environment")
"""

PARTS = '''
import os
import signal
import time
from multiprocessing import get_start_method
from pathlib import Path

import torch

from i2i.kinds import ImageSpec, PairSpec


class Noted:
    """Random pairs; writes a line to `log` each time it is opened."""

    def __init__(self, split, *, log: str = "opened.txt", count: int = 8) -> None:
        with open(log, "a") as file:
            file.write(f"{os.getpid()} {split}\\n")
        self.spec = PairSpec(ImageSpec(1, 8, 8), ImageSpec(1, 8, 8))
        self._count = count

    def __len__(self):
        return self._count

    def __getitem__(self, index):
        rng = torch.Generator().manual_seed(index)
        image = torch.randint(0, 256, (1, 8, 8), generator=rng).to(torch.uint8)
        return {"source": image, "target": 255 - image, "id": str(index)}


def dot(*, in_channels: int, out_channels: int) -> torch.nn.Module:
    """One convolution, with dropout, so that the random state matters."""
    layers = torch.nn.Conv2d(in_channels, out_channels, 3, padding=1), torch.nn.Dropout(0.2), torch.nn.Tanh()
    return torch.nn.Sequential(*layers)


class Faulty:
    def __call__(self, fake, real):
        raise ValueError("this loss is broken")


class Endless:
    def __call__(self, fake, real):
        return (fake - real).mean() * float("nan")


class Death:
    """Kills its process at a step, as often as `lives` says, counted in a file of the working folder.

    It waits for the checkpoint of the step `saved`, which is written while training goes on.
    """

    def __init__(self, *, at: int, lives: int = 1, saved: int = 0) -> None:
        self._at, self._lives, self._saved = at, lives, saved

    def step_end(self, run, logs):
        count = Path(f"deaths-{run.folder.name}.txt")
        died = len(count.read_text()) if count.exists() else 0
        if run.step == self._at and died < self._lives:
            until = time.monotonic() + 60
            while self._saved and not (run.folder / "checkpoints" / f"{self._saved:06d}").exists():
                if time.monotonic() > until:
                    raise RuntimeError("no checkpoint came")
                time.sleep(0.01)
            count.write_text("x" * (died + 1))
            os.kill(os.getpid(), signal.SIGKILL)


class Meeting:
    """Trains on only when as many processes as `people` are here at the same time."""

    def __init__(self, *, people: int = 2) -> None:
        self._people = people

    def run_start(self, run):
        Path(f"here-{os.getpid()}").touch()
        until = time.monotonic() + 60
        while len(list(Path().glob("here-*"))) < self._people:
            if time.monotonic() > until:
                raise RuntimeError("nobody came")
            time.sleep(0.01)


class Pid:
    """Writes down who trains; prints past Python, as libraries do."""

    def run_start(self, run):
        Path(f"pid-{run.folder.name}.txt").write_text(str(os.getpid()))
        about = [os.environ.get("I2I_LAB", ""), str(torch.get_num_threads()), os.getcwd(), get_start_method()]
        Path(f"about-{run.folder.name}.txt").write_text("\\n".join(about))
        os.write(1, b"to stdout")
        os.write(2, b"to stderr")
'''

RECIPE = """
recipe = 1
name = "lab"

[data]
use = "lab/noted"
batch_size = 2

[generator]
use = "lab/dot"

[losses.l1]
use = "l1"

[method]
use = "paired-adversarial"

[optimizers.generators]
use = "adam"

[train]
steps = 12
precision = "fp32"
log_every = 1
eval_every = 6
save_every = 3

[metrics.mae]
use = "mae"

[callbacks.pid]
use = "lab/pid"
"""

ENDLESS = {"steps": 10**6, "more": "[train]\nsave_every = 1000000\neval_every = 1000000\nlog_every = 1000"}


@pytest.fixture
def lab(distribution, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Job]:
    """Install the toy plug-in, and return a function that writes a job of its parts."""
    distribution("i2i-lab", "1.0", "lab", {"i2i_lab/__init__.py": PLUGIN, "i2i_lab/parts.py": PARTS})
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "base.toml").write_text(RECIPE)

    def job(key: str, *, seed: int = 0, steps: int = 12, more: str = "") -> Job:
        file = folder / f"{key}.toml"
        head, _, tail = more.partition("[train]")
        file.write_text(
            f'recipe = 1\nextends = "base.toml"\nseed = {seed}\n{head}\n[train]\nsteps = {steps}\n{tail}'
        )
        return Job(key, str(file), str(folder / "cells" / key), str(folder), "cpu", 1, steps)

    return job


def train(executor: Executor, *jobs: Job) -> list[Event]:
    events: list[Event] = []
    executor.run(jobs, report=events.append, stopped=lambda: False)
    return events


def last(events: list[Event], key: str) -> Event:
    """The event that ended a job, the only one of its kind."""
    (ended,) = [event for event in events if event.key == key and event.status != "running"]
    assert [event for event in events if event.key == key][-1] == ended
    return ended


def bits(job: Job) -> dict[str, bytes]:
    """All weights and state at the end of a job."""
    folder = Path(job.out)
    newest = checkpoint.newest(folder / "checkpoints").folder
    files = {path.name: path.read_bytes() for path in newest.glob("*.safetensors")}
    return files | {"model": (folder / "model.safetensors").read_bytes()}


def logged(job: Job) -> list[int]:
    records = map(json.loads, (Path(job.out) / "metrics.jsonl").read_text().splitlines())
    return [record["step"] for record in records if record["kind"] == "train"]


def beside(job: Job, name: str) -> Path:
    return Path(job.folder) / name


def pid_of(job: Job, *, patience: float = 60.0) -> int:
    file = beside(job, f"pid-{job.key}.txt")
    until = time.monotonic() + patience
    while not (file.exists() and file.read_text()):
        assert time.monotonic() < until
        time.sleep(0.01)
    return int(file.read_text())


def wait_for_the_end_of(pid: int, *, patience: float = 30.0) -> None:
    until = time.monotonic() + patience
    with contextlib.suppress(ProcessLookupError):
        while time.monotonic() < until:
            os.kill(pid, 0)
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return
            time.sleep(0.01)
        pytest.fail(f"process {pid} is still there")


def test_two_jobs_of_one_process_are_trained_and_share_their_data(lab) -> None:
    jobs = lab("a"), lab("b", seed=1)
    events = train(Local(), *jobs)
    assert train(Local(), jobs[0]) == [Event("a", "done", 12)]  # nothing is left to do
    for job in jobs:
        assert last(events, job.key) == Event(job.key, "done", 12)
        assert json.loads((Path(job.out) / "summary.json").read_text())["status"] == "done"
    assert pid_of(jobs[0]) == pid_of(jobs[1]) != os.getpid()
    opened = [line.split()[1] for line in beside(jobs[0], "opened.txt").read_text().splitlines()]
    assert sorted(opened) == ["train", "val"]
    assert bits(jobs[0]) != bits(jobs[1])


def test_other_data_are_opened_for_themselves(lab) -> None:
    train(Local(), lab("a"), lab("b", more="[data]\ncount = 6"))
    assert len((Path(lab("a").folder) / "opened.txt").read_text().splitlines()) == 4


def test_no_job_is_no_work() -> None:
    assert train(Local(jobs=4)) == []


def test_environment_folder_and_threads_reach_the_process_and_its_prints_stay_away(
    lab, monkeypatch, capfd
) -> None:
    train(Local(), lab("a"))
    monkeypatch.setenv("I2I_LAB", "told later")
    job = lab("b")
    train(Local(), job)
    assert beside(job, "about-b.txt").read_text().split("\n") == [
        "told later",
        "1",
        job.folder,
        multiprocessing.get_start_method(),
    ]
    assert tuple(capfd.readouterr()) == ("", "")


def test_two_jobs_are_trained_at_the_same_time(lab) -> None:
    meeting = '[callbacks.meeting]\nuse = "lab/meeting"'
    jobs = lab("a", more=meeting), lab("b", more=meeting)
    events = train(Local(jobs=2), *jobs)
    assert {last(events, key).status for key in "ab"} == {"done"}
    assert pid_of(jobs[0]) != pid_of(jobs[1])


def test_a_job_may_load_its_data_in_processes_of_its_own(lab) -> None:
    job, plain = lab("a", more="[data]\nworkers = 1"), lab("b")
    events = train(Local(), job, plain)
    assert last(events, "a") == Event("a", "done", 12)
    assert logged(job) == logged(plain) == list(range(1, 13))
    assert bits(job)["generator.safetensors"] == bits(plain)["generator.safetensors"]


@pytest.mark.parametrize("workers", [0, 1])
def test_a_killed_process_is_followed_by_another_that_goes_on(lab, workers) -> None:
    loading = f"[data]\nworkers = {workers}\n"
    whole = lab("killed", more=loading + '[callbacks.death]\nuse = "lab/death"\nat = 8\nlives = 0')
    train(Local(), whole)
    undisturbed = bits(whole)
    Path(whole.out).rename(Path(whole.out).with_name("whole"))

    job = lab("killed", more=loading + '[callbacks.death]\nuse = "lab/death"\nat = 8\nsaved = 6\nlives = 1')
    events = train(Local(), job)
    assert last(events, "killed") == Event("killed", "done", 12)
    assert [event.step for event in events if event.step in (0, 6)][:2] == [0, 6]  # begun, and resumed
    assert logged(job) == list(range(1, 13))
    assert bits(job)["generator.safetensors"] == undisturbed["generator.safetensors"]


def test_a_job_that_kills_its_process_twice_has_failed_and_the_next_one_is_trained(lab) -> None:
    deadly = lab("deadly", more='[callbacks.death]\nuse = "lab/death"\nat = 2\nlives = 9')
    events = train(Local(), deadly, lab("b"))
    ended = last(events, "deadly")
    assert (ended.status, ended.code) == ("failed", 4)
    assert ended.error == "its process died 2 times, last by signal SIGKILL"
    assert beside(deadly, "deaths-deadly.txt").read_text() == "xx"
    assert last(events, "b").status == "done"


def test_cells_that_cannot_be_trained_leave_the_others_alone(lab) -> None:
    jobs = [
        lab("faulty", more='[losses.l1]\nuse = "lab/faulty"'),
        lab("endless", more='[losses.l1]\nuse = "lab/endless"'),
        lab("unknown", more='[losses.l1]\nuse = "lab/missing"'),
        lab("good"),
    ]
    events = train(Local(), *jobs)
    faulty, endless, unknown = (last(events, key) for key in ("faulty", "endless", "unknown"))
    assert (faulty.status, faulty.code) == ("failed", 6)
    assert "lab/faulty failed: ValueError: this loss is broken" in faulty.error
    assert "Traceback" in Path(faulty.error.partition("is in ")[2][:-1]).read_text()
    assert (endless.status, endless.code) == ("diverged", 5)
    assert (unknown.status, unknown.code) == ("failed", 2)
    assert "no loss 'missing'" in unknown.error
    assert last(events, "good").status == "done"
    assert len({pid_of(jobs[0]), pid_of(jobs[3])}) == 1


def test_a_working_folder_that_is_gone_is_told_and_kills_nothing(lab, tmp_path) -> None:
    job = lab("a")
    lost = Job("lost", job.recipe, job.out, str(tmp_path / "gone"), "cpu", 1, 12)
    events = train(Local(), lost, lab("b"))
    assert last(events, "lost").status == "failed"
    assert str(tmp_path / "gone") in last(events, "lost").error
    assert last(events, "b").status == "done"


def test_a_process_that_dies_between_two_jobs_is_replaced(lab) -> None:
    jobs, events = (lab("a"), lab("b")), []

    def report(event: Event) -> None:
        events.append(event)
        if event == Event("a", "done", 12):
            os.kill(pid_of(jobs[0]), signal.SIGKILL)
            wait_for_the_end_of(pid_of(jobs[0]))

    Local().run(jobs, report=report, stopped=lambda: False)
    assert last(events, "b").status == "done"
    assert pid_of(jobs[0]) != pid_of(jobs[1])


def test_stopped_saves_starts_nothing_new_and_can_be_gone_on_with(lab) -> None:
    jobs = lab("a", **ENDLESS), lab("b", **ENDLESS), lab("c")
    events: list[Event] = []

    def both_are_at_work() -> bool:
        return {event.key for event in events if event.step > 3} >= {"a", "b"}

    Local(jobs=2).run(jobs, report=events.append, stopped=both_are_at_work)
    assert not Path(jobs[2].out).exists()
    assert {event.key for event in events} == {"a", "b"}
    for job in jobs[:2]:
        ended = last(events, job.key)
        assert (ended.status, ended.code) == ("interrupted", 143)
        saved = checkpoint.newest(Path(job.out) / "checkpoints").step
        assert saved == ended.step > 3
        assert json.loads((Path(job.out) / "summary.json").read_text())["status"] == "interrupted"

    again: list[Event] = []
    Local().run(jobs[:1], report=again.append, stopped=lambda: bool(again))
    assert again[0] == Event("a", "running", last(events, "a").step)


def test_stopped_before_the_start_trains_nothing(lab) -> None:
    job = lab("a")
    Local().run([job], report=pytest.fail, stopped=lambda: True)
    assert not Path(job.out).exists()


def test_an_error_of_whoever_listens_ends_the_processes(lab) -> None:
    job = lab("a", **ENDLESS)

    def report(event: Event) -> None:
        raise OSError("the terminal is gone")

    with pytest.raises(OSError, match="the terminal is gone"):
        Local().run([job], report=report, stopped=lambda: False)
    wait_for_the_end_of(pid_of(job))


def test_a_cell_whose_benchmark_is_gone_tells_of_no_fault(lab) -> None:
    def report(event: Event) -> None:
        raise BrokenPipeError

    import torch

    job, threads = lab("a"), torch.get_num_threads()
    assert Worker().train(job, report).status == "interrupted"
    assert not Path(f"{job.out}.txt").exists()
    assert torch.get_num_threads() == threads


def test_when_the_benchmark_is_killed_its_processes_end(lab) -> None:
    job = lab("a", **ENDLESS)
    script = (
        "from i2i.bench.jobs import Job; from i2i.core.executors.local import Local\n"
        f"Local().run([{job!r}], report=lambda event: None, stopped=lambda: False)"
    )
    driver = subprocess.Popen([sys.executable, "-c", script])
    try:
        pid = pid_of(job)
    finally:
        driver.kill()
        driver.wait()
    wait_for_the_end_of(pid)
