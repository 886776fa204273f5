"""Memory that is freed is kept, where the C library can be told so."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import resource
from i2i.system.memory import keep_freed_memory

def faults(count=20, size=2**26):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(count):
        piece = bytearray(b"x") * size
        del piece
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

before = faults()
assert keep_freed_memory()
faults(count=1)
after = faults()
assert after < before / 4, (before, after)
"""


HANDING_BACK = """
from pathlib import Path
from i2i.system.memory import hand_back_memory, keep_freed_memory

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

assert keep_freed_memory()
pieces = [bytearray(b"x") * 2**20 for _ in range(200)]
last = pieces[-1]
del pieces
kept = resident()
hand_back_memory()
assert resident() < kept - 150 * 2**20, (kept, resident())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only glibc can be told")
def test_what_is_free_is_handed_back_also_below_what_is_in_use():
    done = subprocess.run([sys.executable, "-c", HANDING_BACK], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only glibc can be told")
def test_large_pieces_are_used_again_instead_of_coming_from_the_system():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_without_glibc_nothing_is_told(monkeypatch):
    from i2i.system.memory import hand_back_memory, keep_freed_memory

    def unknown(name):
        raise ValueError("unrecognized configuration name")

    monkeypatch.setattr("os.confstr", unknown, raising=False)
    assert not keep_freed_memory()
    hand_back_memory()
