"""A cell of several processes: how it is started, followed, stopped, and what is told of one that failed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from i2i.bench import launched
from i2i.bench.jobs import Event, Job

FAKE = """
import json, os, signal, sys, time
from pathlib import Path

out = Path(sys.argv[1])
out.mkdir(exist_ok=True)

def record(step):
    with (out / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"kind": "train", "step": step}) + "\\n")

def tell(sentence, code):
    print(json.dumps({"error": [{"message": sentence, "file": "x.toml", "line": 3}], "exit": code}, indent=2))

def wait_for_the_end():
    signal.signal(signal.SIGTERM, lambda *_: (record(8), sys.exit(143)))
    record(5)
    (out / "at work").touch()
    time.sleep(60)
"""


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """A job of two processes."""
    return Job("k", str(tmp_path / "k.toml"), str(tmp_path / "k"), str(tmp_path), "cpu", 3, 12, processes=2)


def fake(text: str) -> Callable[[Job], list[str]]:
    """Return what starts a stand-in for the processes of a job."""
    return lambda job: [sys.executable, "-c", FAKE + text, job.out]


def train(job: Job, text: str) -> list[Event]:
    """All events of a job that a stand-in trains."""
    events: list[Event] = []
    return [*events, launched.train(job, events.append, launcher=fake(text))]


def test_its_command_starts_all_processes_on_this_machine(job):
    command = launched.torchrun(job)
    assert command[:3] == [sys.executable, "-m", "torch.distributed.run"]
    words = ["--standalone", "--nproc-per-node=2", "-m", "i2i", "run", job.recipe, "--out", job.out]
    assert command[3:] == [*words, "--device", "cpu", "--threads", "3", "--json"]
    assert job.command() == (
        f"cd {job.folder} && OMP_NUM_THREADS=3 torchrun --standalone --nproc-per-node=2 -m "
        f"i2i run {job.recipe} --out {job.out} --device cpu --threads 3"
    )


def test_over_several_nodes_the_command_is_that_of_each_process(tmp_path):
    job = Job("k", "r.toml", "my out", str(tmp_path), "cuda", 1, 12, "p.py", processes=4, nodes=2)
    assert job.command() == (
        f"cd {tmp_path} && OMP_NUM_THREADS=1 i2i run r.toml --out 'my out' --device cuda "
        "--threads 1 --plugin p.py"
    )


def test_it_is_followed_by_the_records_that_it_writes(job):
    events: list[Event] = []
    launcher = fake("for step in (3, 6):\n    record(step)\n    time.sleep(0.6)\n")
    assert launched.train(job, events.append, launcher=launcher) == Event("k", "done", 12)
    assert {event.status for event in events} == {"running"}
    steps = [event.step for event in events]
    assert steps == sorted(steps)
    assert {3, 6} <= set(steps)


def test_its_processes_are_given_threads_and_no_place_in_another_launch(job, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "7")
    monkeypatch.setenv("RANK", "5")
    names = ["OMP_NUM_THREADS", "WORLD_SIZE", "RANK"]
    train(job, f"(out / 'seen').write_text(json.dumps([os.environ.get(n) for n in {names}] + [os.getcwd()]))")
    assert json.loads((Path(job.out) / "seen").read_text()) == ["3", None, None, job.folder]


def test_a_process_that_only_found_another_gone_is_believed_last(job):
    ended = train(job, "tell('another process is gone', 4)\ntell('the shelf is empty', 3)\nsys.exit(1)")[-1]
    assert (ended.status, ended.code) == ("failed", 3)
    assert ended.error == "x.toml:3\n  the shelf is empty"


def test_divergence_is_told_as_such(job):
    ended = train(job, "record(7)\ntell('training diverged', 5)\nsys.exit(1)")[-1]
    assert (ended.status, ended.code, ended.step) == ("diverged", 5, 7)


def test_processes_that_died_are_started_again_once(job):
    die_once = "died = out / 'died'\nif not died.exists():\n    died.touch()\n    sys.exit(1)"
    assert train(job, die_once)[-1] == Event("k", "done", 12)


def test_processes_that_die_twice_have_failed_and_what_they_said_is_kept(job):
    dying = "record(2)\nwith (out / 'tries').open('a') as file:\n    file.write('x')\nsys.exit('no memory')"
    ended = train(job, dying)[-1]
    assert (ended.status, ended.code, ended.step) == ("failed", 4, 2)
    assert ended.error == f"its 2 processes ended with exit code 1 (what they said is in {job.out}.txt)"
    assert "no memory" in Path(f"{job.out}.txt").read_text()
    assert (Path(job.out) / "tries").read_text() == "xx"


def test_a_signal_lets_them_save_and_end(job):
    def report(event: Event) -> None:
        if (Path(job.out) / "at work").exists():
            (Path(job.out) / "at work").unlink()
            signal.raise_signal(signal.SIGTERM)

    handler = signal.getsignal(signal.SIGTERM)
    ended = launched.train(job, report, launcher=fake("wait_for_the_end()"))
    assert (ended.status, ended.code, ended.step) == ("interrupted", 143, 8)
    assert signal.getsignal(signal.SIGTERM) is handler


def test_they_save_and_end_where_nobody_listens_any_more(job):
    def report(event: Event) -> None:
        if (Path(job.out) / "at work").exists():
            raise BrokenPipeError

    ended = launched.train(job, report, launcher=fake("wait_for_the_end()"))
    assert (ended.status, ended.code, ended.step) == ("interrupted", 143, 8)


def test_they_save_and_end_when_the_process_that_started_them_is_killed(job, tmp_path):
    program = (
        "import sys\nfrom i2i.bench import launched\nfrom i2i.bench.jobs import Job\n"
        f"launched.train({job!r}, print, launcher=lambda job: {fake('wait_for_the_end()')(job)!r})"
    )
    starter = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.DEVNULL)
    records = Path(job.out) / "metrics.jsonl"
    try:
        wait_until((Path(job.out) / "at work").exists)
    finally:
        starter.kill()
        starter.wait()
    wait_until(lambda: json.loads(records.read_text().splitlines()[-1])["step"] == 8)


def wait_until(true: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not true():
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.mark.slow
def test_two_processes_train_a_cell(tmp_path):
    recipe = tmp_path / "cell.toml"
    recipe.write_text(
        'recipe = 1\nname = "cell"\nextends = "shapes"\n[data]\nbatch_size = 2\n[train]\nsteps = 4\n'
        'precision = "fp32"\nlog_every = 1\nsave_every = 2\neval_every = 4\n'
    )
    job = Job("k", str(recipe), str(tmp_path / "k"), str(tmp_path), "cpu", 1, 4, processes=2)
    events: list[Event] = []
    assert launched.train(job, events.append) == Event("k", "done", 4)
    assert json.loads((tmp_path / "k" / "provenance.json").read_text())["processes"] == 2
    summary = json.loads((tmp_path / "k" / "summary.json").read_text())
    assert (summary["status"], summary["steps"]) == ("done", 4)
    assert os.path.isfile(tmp_path / "k" / "model.safetensors")
