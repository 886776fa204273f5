"""Jobs on a cluster of two nodes: trained on both, tried again, stopped, and the same bits as here."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import ray
from i2i_ray.actors import Trainer
from i2i_ray.cluster import Cluster

from i2i.bench.jobs import Event, Job
from i2i.core.executors.local import Local
from i2i.errors import ResourceError
from i2i.kinds import Executor
from i2i.runs import checkpoint

MEETING = '[callbacks.meeting]\nuse = "raylab/meeting"\n'
ENDLESS = {"steps": 10**6, "more": "[train]\nsave_every = 1000000\neval_every = 1000000\nlog_every = 1000"}


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
    newest = checkpoint.newest(Path(job.out) / "checkpoints").folder
    return {path.name: path.read_bytes() for path in newest.glob("*.safetensors")}


def logged(job: Job) -> list[int]:
    records = map(json.loads, (Path(job.out) / "metrics.jsonl").read_text().splitlines())
    return [record["step"] for record in records if record["kind"] == "train"]


def places(job: Job) -> list[dict]:
    """Where a job was trained, attempt by attempt."""
    file = Path(job.folder) / f"place-{Path(job.out).name}.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_cells_of_all_sorts_end_as_they_should_on_both_nodes(
    two_nodes, lab, tmp_path, monkeypatch, capfd
) -> None:
    monkeypatch.setenv("I2I_LAB", "given")
    monkeypatch.setenv("LAB_MORE", "asked for")
    handler = signal.getsignal(signal.SIGTERM)
    killed = {"seed": 2, "more": '[callbacks.death]\nuse = "raylab/death"\nat = 8\nsaved = 6\n'}
    jobs = {
        "a": lab("a", more=MEETING),
        "b": lab("b", seed=1, more=MEETING),
        "killed": lab("killed", **killed),
        "faulty": lab("faulty", more='[losses.l1]\nuse = "raylab/faulty"'),
        "hidden": lab("hidden"),
        "c": lab("c", seed=3),
    }
    os.unlink(jobs["hidden"].recipe)
    executor = Cluster(address=two_nodes.address, variables=("LAB_MORE",))
    assert executor.at_once == 2
    events = train(executor, *jobs.values())

    for key in ("a", "b", "killed", "c"):
        assert last(events, key) == Event(key, "done", 12)
        assert logged(jobs[key]) == list(range(1, 13))
    (first,), (second,) = places(jobs["a"]), places(jobs["b"])
    assert first["node"] != second["node"]
    given = {"I2I_LAB": "given", "OMP_NUM_THREADS": "1", "LAB_MORE": "asked for"}
    assert first["environment"] == second["environment"] == given
    assert first["folder"] == jobs["a"].folder
    assert first["threads"] == 1

    before, after = places(jobs["killed"])
    assert before["pid"] != after["pid"]
    assert (before["step"], after["step"]) == (0, 6)
    faulty = last(events, "faulty")
    assert (faulty.status, faulty.code) == ("failed", 6)
    assert "raylab/faulty failed: ValueError: this loss is broken" in faulty.error
    assert " (all of it is in " in faulty.error
    hidden = last(events, "hidden")
    assert (hidden.status, hidden.code) == ("failed", 4)
    assert jobs["hidden"].recipe in hidden.error
    assert "must see" in hidden.error

    opened = [name.split("-")[:2] for name in os.listdir(Path(jobs["a"].folder) / "opened")]
    assert len(opened) == len({tuple(name) for name in opened})  # each process opened each split once
    assert not ray.is_initialized()
    assert signal.getsignal(signal.SIGTERM) is handler
    assert tuple(capfd.readouterr()) == ("", "")

    same = lab("killed", **killed, under="here")  # dies no more: the working folder says that it did
    train(Local(), same)
    assert bits(same) == bits(jobs["killed"])


def test_stopped_saves_starts_nothing_new_and_keeps_a_connection_that_was_there(two_nodes, lab) -> None:
    jobs = lab("a", **ENDLESS), lab("b", **ENDLESS), lab("c")
    events: list[Event] = []

    def both_are_at_work() -> bool:
        return {event.key for event in events if event.step > 3} >= {"a", "b"}

    ray.init(address=two_nodes.address, log_to_driver=False)
    try:
        Cluster(jobs=5).run(jobs, report=events.append, stopped=both_are_at_work)
        assert ray.is_initialized()
    finally:
        ray.shutdown()
    assert not Path(jobs[2].out).exists()
    assert {event.key for event in events} == {"a", "b"}
    for job in jobs[:2]:
        ended = last(events, job.key)
        assert (ended.status, ended.code) == ("interrupted", 143)
        saved = checkpoint.newest(Path(job.out) / "checkpoints").step
        assert saved == ended.step > 3
        assert json.loads((Path(job.out) / "summary.json").read_text())["status"] == "interrupted"


def test_a_job_of_a_dead_node_goes_on_on_another(two_nodes, lab, capfd) -> None:
    more = MEETING + "[train]\nsave_every = 100\neval_every = 1000000\nlog_every = 100"
    jobs = lab("a", steps=2000, more=more), lab("b", steps=2000, more=more)
    events: list[Event] = []
    (node,) = two_nodes.worker_nodes

    def report(event: Event) -> None:
        events.append(event)
        if event.step > 200 and node in two_nodes.worker_nodes:
            two_nodes.remove_node(node, allow_graceful=False)

    try:
        Cluster(address=two_nodes.address).run(jobs, report=report, stopped=lambda: False)
    finally:
        two_nodes.add_node(num_cpus=1)
    attempts = [places(job) for job in jobs]
    assert sorted(map(len, attempts)) == [1, 2]
    ((alive,), (lost, moved)) = sorted(attempts, key=len)
    assert lost["node"] != alive["node"] == moved["node"]
    assert lost["step"] == 0 < moved["step"]
    for job in jobs:
        assert last(events, job.key) == Event(job.key, "done", 2000)
        assert logged(job) == [1, *range(100, 2001, 100)]
    assert "Raylet" not in "".join(capfd.readouterr())


def test_a_job_that_kills_its_process_twice_has_failed_and_the_others_are_trained(
    two_nodes, lab, monkeypatch
) -> None:
    class Fragile(Trainer):
        """Dies of one job, and has done the others."""

        def train(self, attempt, job):
            if job.key == "deadly":
                os._exit(1)
            return Event(job.key, "done", job.steps)

    monkeypatch.setattr("i2i_ray.shift.Trainer", Fragile)
    events = train(Cluster(address=two_nodes.address, jobs=1), lab("a"), lab("deadly"), lab("b"))
    assert [event.key for event in events] == ["a", "b", "deadly"]
    assert [event.status for event in events] == ["done", "done", "failed"]
    assert events[2].error == f"its process died 2 times, on {platform.node()}"
    assert events[2].code == 4


def test_a_job_that_somebody_else_interrupted_goes_on(two_nodes, lab, monkeypatch) -> None:
    class Taken(Trainer):
        """Is asked to end by whoever takes its node back, the first time."""

        def train(self, attempt, job):
            if attempt == 1:
                return Event(job.key, "interrupted", 3, "interrupted after step 3", 143)
            return Event(job.key, "done", job.steps)

    monkeypatch.setattr("i2i_ray.shift.Trainer", Taken)
    events = train(Cluster(address=two_nodes.address, jobs=1), lab("a"))
    assert events == [Event("a", "done", 12)]


def test_nodes_without_the_package_fail_every_job_in_a_sentence(two_nodes, lab, monkeypatch) -> None:
    class Elsewhere(Trainer):
        """Stands for a trainer that the nodes cannot have."""

        def __init__(self, board) -> None:
            raise ModuleNotFoundError("No module named 'i2i_ray'")

    monkeypatch.setattr("i2i_ray.shift.Trainer", Elsewhere)
    events = train(Cluster(address=two_nodes.address), lab("a"), lab("b"))
    for key in "ab":
        assert (last(events, key).status, last(events, key).code) == ("failed", 4)
        assert "No module named 'i2i_ray'): all nodes need" in last(events, key).error


def test_more_than_any_node_has_is_refused_in_a_sentence(two_nodes, lab) -> None:
    executor = Cluster(address=two_nodes.address, jobs=1, cpus=3, resources={"fast": 1})
    with pytest.raises(ResourceError, match=r"no node .* takes \(3 CPUs, 1 of fast\): lower cpus"):
        train(executor, lab("a"))
    assert not ray.is_initialized()


def test_a_process_that_stands_still_is_given_up_and_its_job_tried_again(two_nodes, lab, monkeypatch) -> None:
    class Still(Trainer):
        """Says nothing more of one job, and the first time of another."""

        def train(self, attempt, job):
            if job.key == "still" or attempt == 1:
                time.sleep(3600)
            return Event(job.key, "done", job.steps)

    monkeypatch.setattr("i2i_ray.shift.Trainer", Still)
    executor = Cluster(address=two_nodes.address, jobs=1, patience=3.0)
    events = train(executor, lab("a"), lab("still"))
    assert last(events, "a") == Event("a", "done", 12)
    ended = last(events, "still")
    assert (ended.status, ended.code) == ("failed", 4)
    assert ended.error == f"its process stood still (no step in 3 s) 2 times, on {platform.node()}"


@pytest.mark.slow
def test_a_training_that_hangs_goes_on_elsewhere_from_its_checkpoint_and_no_step_counts_twice(
    two_nodes, lab
) -> None:
    nap = {"more": '[callbacks.nap]\nuse = "raylab/nap"\nat = 8\nsaved = 6\n'}
    job = lab("a", **nap)
    assert last(train(Cluster(address=two_nodes.address, jobs=1, patience=120.0), job), "a").status == "done"
    before, after = places(job)
    assert (before["step"], after["step"]) == (0, 6)
    assert before["pid"] != after["pid"]
    assert logged(job) == list(range(1, 13))
    same = lab("a", **nap, under="here")
    train(Local(), same)
    assert bits(same) == bits(job)


DRIVER = """
import sys
from i2i.bench.jobs import Job
from i2i.errors import ResourceError
from i2i_ray.cluster import Cluster

job = {job!r}
try:
    Cluster(address={address!r}).run([job], report=lambda event: None, stopped=lambda: False)
except ResourceError as error:
    sys.exit(str(error))
"""


@pytest.mark.slow
def test_after_the_head_died_the_same_jobs_go_on_with_another_head(lab, monkeypatch) -> None:
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    from ray.cluster_utils import Cluster as Nodes

    job = lab("a", steps=3000, more="[train]\nsave_every = 100\neval_every = 1000000\nlog_every = 100")
    head = {"num_cpus": 1, "include_dashboard": False}
    nodes = Nodes(initialize_head=True, head_node_args=head)
    nodes.add_node(num_cpus=1)
    address = nodes.address
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER.format(job=job, address=address)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        checkpoints = Path(job.out) / "checkpoints"
        until = time.monotonic() + 120
        while not (checkpoints.is_dir() and len(list(checkpoints.glob("[0-9]*"))) > 1):
            assert time.monotonic() < until
            assert driver.poll() is None
            time.sleep(0.05)
        nodes.remove_node(nodes.head_node, allow_graceful=False)
        _, said = driver.communicate(timeout=120)
        assert f"the head of the Ray cluster, {address}, answers no more" in said
    finally:
        driver.kill()
        driver.communicate()
        nodes.shutdown()
    nodes = Nodes(initialize_head=True, head_node_args=head)
    try:
        assert last(train(Cluster(address=nodes.address), job), "a") == Event("a", "done", 3000)
    finally:
        nodes.shutdown()
    first, *_, second = places(job)
    assert first["step"] == 0 < second["step"]
    assert logged(job) == [1, *range(100, 3001, 100)]


def test_a_job_of_several_processes_takes_the_room_of_all_of_them() -> None:
    job = Job("a", "a.toml", "a", ".", "cuda", 3, 12, processes=4)
    seen = []

    class Asked(Cluster):
        def _room(self, needs):
            seen.append(needs)
            raise ResourceError("enough is known")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("i2i_ray.cluster.connected", lambda address: contextlib.nullcontext())
        for executor in (Asked(), Asked(cpus=2, gpus=0.5)):
            with pytest.raises(ResourceError, match="enough"):
                train(executor, job)
    assert [(needs.cpus, needs.gpus) for needs in seen] == [(12, 4), (2, 0.5)]
