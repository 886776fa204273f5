"""A shell that has imported what takes seconds: it reads commands, and runs each in a fork of itself.

A line on stdin is a command as JSON: the `program` ("i2i", "-" for Python's text, or a module for ``python
-m``), its `arguments`, the `folder` to be in, variables for the `environment`, the `paths` to import from
first, and the file that takes all that is printed, `log`. The answer is a line with the exit code.
"""

from __future__ import annotations

import atexit
import json
import os
import runpy
import sys
import traceback
from importlib import import_module
from typing import Any

MODULES = (
    "i2i.cli",
    "i2i.engine.loop",
    "i2i.pages.report",
    "i2i.bench.benchmark",
    "i2i.testing.checks",
    "torch._dynamo",
)


def run(command: dict[str, Any]) -> None:
    """Run one command in this process, which is of no further use then."""
    log = os.open(command["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for descriptor in (1, 2):
        os.dup2(log, descriptor)
    sys.stdout.reconfigure(encoding="utf-8", line_buffering=True)
    sys.stderr.reconfigure(encoding="utf-8", line_buffering=True)
    os.chdir(command["folder"])
    os.environ.update(command["environment"])
    sys.path[0:1] = command["paths"]  # the first was the folder of this file
    program, arguments = command["program"], command["arguments"]
    sys.argv = [program, *arguments]
    if program == "i2i":
        sys.modules["i2i.cli"].main(arguments)
    elif program == "-":
        exec(compile(arguments[0], "block", "exec"), {"__name__": "__main__"})
    else:
        sys.path.insert(0, "")
        runpy.run_module(program, run_name="__main__", alter_sys=True)


def ended(command: dict[str, Any]) -> int:
    """Run one command as an interpreter does and return its exit code."""
    try:
        run(command)
    except SystemExit as error:
        if error.code is None or isinstance(error.code, int):
            return error.code or 0
        print(error.code, file=sys.stderr)
        return 1
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def serve() -> None:
    """Answer every line until there are no more."""
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            code = ended(json.loads(line))
            atexit._run_exitfuncs()
            sys.stdout.flush()
            os._exit(code)  # taking torch apart would need a second
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":  # and not in the processes that a command starts
    for name in MODULES:
        import_module(name)
    serve()
