"""Standard output and error: lines are there when they were written."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PROGRAM = """
import os, sys
from i2i.cli.streams import open_streams
open_streams()
print("a line", file=sys.stderr)
os._exit(0)  # flushes nothing
"""


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_line_of_progress_is_there_at_once_however_python_buffers(unbuffered):
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True
    )
    assert ended.stderr == "a line\n"
