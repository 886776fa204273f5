"""The parts that need no cluster: the entry module, the keys, the board, room on nodes, refused addresses."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys

import i2i_ray
import pytest
from i2i_ray.actors import Board, Trainer
from i2i_ray.cluster import Cluster
from i2i_ray.connection import connected
from i2i_ray.needs import GB, Needs, places

from i2i.bench.jobs import Event, Job
from i2i.errors import RecipeError, ResourceError
from i2i.plugins.schema import schema_of
from i2i.registry import Registrar
from i2i.testing import parametrize_components


@parametrize_components("ray/*")
def test_contract(check) -> None:
    check()


def test_the_entry_module_imports_neither_ray_nor_torch() -> None:
    script = "import i2i_ray, i2i_ray.cluster, sys; print({'ray', 'torch'} & set(sys.modules))"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ended.stdout == "set()\n"


def test_it_declares_one_executor_that_loads() -> None:
    registrar = Registrar("ray", module="i2i_ray", distribution="i2i-ray", version="0.1.0")
    i2i_ray.i2i_register(registrar)
    (entry,) = registrar.entries
    assert (entry.kind, entry.ref) == ("executor", "ray/cluster")
    assert entry.load() is Cluster


def test_its_keys_have_help_and_can_be_written_in_a_file() -> None:
    schema = schema_of(Cluster, owner="ray/cluster", injected=set())
    assert all(schema[name].help for name in schema.names)
    table = {"jobs": 3, "cpus": 2, "memory": 1.5, "resources": {"fast": 1}, "variables": ["TORCH_HOME"]}
    reading = schema.read(table)
    assert not reading.errors
    assert Cluster(**reading.values).at_once == 3
    assert set(schema.read({"cpus": 0, "jobs": 0, "resources": {"fast": "x"}}).errors)


def test_how_far_a_growing_cluster_goes_must_be_said() -> None:
    with pytest.raises(RecipeError, match=r"executor\.grows: .* set executor\.jobs"):
        Cluster(grows=True)
    assert Cluster(grows=True, jobs=2).at_once == 2


def test_the_board_keeps_the_newest_event_of_each_attempt_and_says_when_to_stop() -> None:
    board = Board()
    assert not board.post(1, Event("a", "running", 1))
    assert not board.post(1, Event("a", "running", 2))
    board.post(2, Event("a", "running", 1))
    assert board.exchange(stopped=False) == {1: Event("a", "running", 2), 2: Event("a", "running", 1)}
    assert board.exchange(stopped=True) == {}
    assert board.post(1, Event("a", "running", 3))


@pytest.mark.parametrize("missing", ["folder", "recipe", "out", "plugin"])
def test_what_a_node_does_not_see_is_named(tmp_path, missing) -> None:
    (tmp_path / "c.toml").touch()
    paths = {"folder": tmp_path, "recipe": tmp_path / "c.toml", "out": tmp_path / "c", "plugin": None}
    gone = tmp_path / "gone" / "x"
    paths = {name: str(path) if path else None for name, path in {**paths, missing: gone}.items()}
    event = Trainer(None).train(1, Job(key="c", device="cpu", threads=1, steps=1, **paths))
    assert (event.status, event.code) == ("failed", 4)
    assert f"has no {gone.parent if missing == 'out' else gone}: " in event.error


def test_places_are_counted_by_what_is_scarcest() -> None:
    node = {"CPU": 8.0, "GPU": 2.0, "memory": 20 * GB, "fast": 1.0}
    assert places(Needs(cpus=1), node) == 8
    assert places(Needs(cpus=3), node) == 2
    assert places(Needs(cpus=0.1), node) == 80
    assert places(Needs(cpus=1, gpus=0.5), node) == 4
    assert places(Needs(cpus=1, memory=6.0), node) == 3
    assert places(Needs(cpus=1, resources={"fast": 1.0}), node) == 1
    assert places(Needs(cpus=1, resources={"rare": 1.0}), node) == 0
    assert Needs(cpus=1, gpus=1, memory=6.0).options()["memory"] == 6 * GB


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_an_address_where_nobody_answers_is_refused_at_once(scheme) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"{scheme}127.0.0.1:{free.getsockname()[1]}"
    before = dict(os.environ), signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    with pytest.raises(ResourceError, match=f"cluster at {address} cannot be reached"), connected(address):
        pass
    assert before == (dict(os.environ), signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT))


def test_an_address_of_the_wrong_form_is_refused() -> None:
    with (
        pytest.raises(ResourceError, match="nonsense cannot be reached: "),
        connected("nonsense"),
    ):
        pass


def test_without_a_cluster_the_sentence_says_how_to_get_one(monkeypatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{free.getsockname()[1]}")
    with pytest.raises(ResourceError, match="start one with `ray start --head`"), connected("auto"):
        pass
