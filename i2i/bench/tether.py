"""``python -m i2i.bench.tether COMMAND...``: a command that ends when whoever started it does.

It gets SIGTERM once the standard input of this program is at its end, which it also is when the process at
the other end was killed. torchrun passes SIGTERM on, so that the processes of a run save and end.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

SECONDS_TO_SAVE = 120.0
"""How long a command may take after SIGTERM, before it is killed."""


def main(command: list[str]) -> int:
    """Run `command` with nothing to read, and return its exit code as a shell tells it."""
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)  # noqa: S603 - what was typed
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, lambda *_: child.terminate())
    threading.Thread(target=_end_with_input, args=(child,), daemon=True).start()
    code = child.wait()
    return code if code >= 0 else 128 - code


def _end_with_input(child: subprocess.Popen[bytes]) -> None:
    while os.read(0, 1024):  # not through Python's buffer, which could not be let go of at the end
        pass
    child.terminate()
    try:
        child.wait(SECONDS_TO_SAVE)
    except subprocess.TimeoutExpired:
        child.kill()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
