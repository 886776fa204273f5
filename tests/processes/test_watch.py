"""A process that waits for one that is gone is ended, within a call into C too; who does not wait is not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

PROCESS = """
import ctypes, json, sys, threading, time
from pathlib import Path
from i2i.processes import watch
from i2i.processes.launch import Launch

watch.GRACE, watch.LOOK = 0.4, 0.05
rank, size, does, folder = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], Path(sys.argv[4])

def tell(what, value):
    (folder / "part").write_text(json.dumps(value))
    (folder / "part").rename(folder / what)

def heard(what, rank):
    while not (folder / what).exists():
        time.sleep(0.01)
    return json.loads((folder / what).read_text())

def calls():
    ctypes.CDLL(None).usleep(20_000_000)  # as a collective does: no signal is heard, and no lock held

with watch.watching(Launch(rank, size, address={"MASTER_ADDR": "127.0.0.1"}), tell, heard):
    time.sleep(0.3)  # all are connected
    (folder / f"{rank}.there").touch()
    if does == "calls":
        calls()
    elif does == "saves":
        saving = threading.Thread(target=time.sleep, args=(1.2,))
        saving.start()
        saving.join()
    elif does == "goes-on":
        for _ in range(12):
            time.sleep(0.05)
            time.sleep(0.05)
    elif does == "fails":
        raise SystemExit(7)
"""

Start = Callable[..., list[subprocess.Popen[str]]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[subprocess.Popen[str]] = []

    def start_all(*does: str) -> list[subprocess.Popen[str]]:
        for rank, what in enumerate(does):
            command = [sys.executable, "-c", PROCESS, str(rank), str(len(does)), what, str(tmp_path)]
            started.append(subprocess.Popen(command, stderr=subprocess.PIPE, text=True))
        deadline = time.monotonic() + 30
        while len(list(tmp_path.glob("*.there"))) < len(does):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        return started

    yield start_all
    for process in started:
        process.kill()
        process.communicate()


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    said = process.communicate(timeout=15)[1]
    return process.returncode, said


@pytest.mark.parametrize("gone", [0, 2])
def test_all_that_wait_for_one_that_was_killed_end_and_one_of_them_says_so(start, gone):
    processes = start("calls", "calls", "calls")
    os.kill(processes[gone].pid, signal.SIGKILL)
    others = [ended(process) for rank, process in enumerate(processes) if rank != gone]
    assert [code for code, _ in others] == [4, 4]
    said = "".join(text for _, text in others)
    assert f"process {gone} of 3 is gone" in said
    assert said.count("the same command goes on from the last checkpoint") == (1 if gone else 2)


def test_one_that_saves_or_is_elsewhere_meanwhile_is_let_finish(start):
    saving, going_on, killed = start("saves", "goes-on", "calls")
    killed.kill()
    assert ended(saving) == (0, "")
    assert ended(going_on) == (0, "")


def test_an_error_ends_those_that_wait_and_an_end_in_good_order_does_not(start):
    waiting, failed = start("calls", "fails")
    assert ended(failed)[0] == 7
    assert ended(waiting)[0] == 4


def test_who_has_left_in_good_order_is_no_loss(start):
    saving, left = start("saves", "leaves")
    assert ended(left) == (0, "")
    assert ended(saving) == (0, "")
