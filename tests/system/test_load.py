"""How busy the machine is with other things."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from i2i.system import load
from i2i.system.load import Load

LINUX = pytest.mark.skipif(not Path("/proc/stat").exists(), reason="the system does not tell")


@LINUX
def test_others_keep_no_more_cores_busy_than_there_are():
    watched = Load()
    time.sleep(0.3)
    others = watched.others()
    assert others is not None
    assert 0 <= others <= os.cpu_count() + 0.5


@LINUX
def test_what_a_living_child_computes_is_its_own():
    child = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        before, deadline = load._of_children(), time.monotonic() + 60
        while load._of_children() < before + 0.2:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        child.kill()
        child.wait()


def test_where_the_system_does_not_tell_nothing_is_known(monkeypatch):
    monkeypatch.setattr(load, "_now", lambda: None)
    assert Load().others() is None


def test_what_others_computed_is_all_but_its_own(monkeypatch):
    moments = iter([load._Moment(10.0, 100.0, 7.0), load._Moment(20.0, 116.0, 12.0)])
    monkeypatch.setattr(load, "_now", lambda: next(moments))
    assert Load().others() == pytest.approx(1.1)
