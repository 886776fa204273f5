"""Ends a process that waits for one that is gone, where nothing else does: within a call into C, no exception
is raised and no signal heard.

Each process holds a connection to the first one, and the first one to each. The system closes what belonged
to a process that is gone, however it ended. Nothing is sent over it but a word on leaving.
"""

from __future__ import annotations

import os
import secrets
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from i2i.errors import EXIT_RESOURCES
from i2i.processes.launch import Launch

GRACE = 10.0
"""Seconds that a process whose neighbour is gone may stay at the same place of its code. Where torch raises,
and while something is saved, it is elsewhere by then."""

LOOK = 0.25
"""Seconds between two looks at where it is."""

REACHED = 10.0
"""Seconds to connect in; who cannot, as a firewall may have it, trains unwatched."""

GOODBYE, OTHER_LOST = b".", b"!"


@contextmanager
def watching(
    launch: Launch, tell: Callable[[str, Any], None], heard: Callable[[str, int], Any]
) -> Iterator[None]:
    """For a while, end this process with exit code 4 if another one is gone and this one waits for ever.

    `tell` and `heard` are those of a meeting. An error that ends what is watched is an end without a goodbye:
    the others may be waiting for this process.
    """
    watch = _Watch(launch)
    if launch.rank == 0:
        watch.listen(tell)
    else:
        watch.connect(*heard("watch", 0))
    try:
        yield
        watch.say(GOODBYE)
    finally:
        watch.close()


class _Watch:
    """The connections of one process, each with a thread that waits for its end."""

    def __init__(self, launch: Launch) -> None:
        self._launch, self._over, self._lock = launch, threading.Event(), threading.Lock()
        self._watched = threading.get_ident()
        self._peers: dict[int, socket.socket] = {}
        self._server: socket.socket | None = None

    def listen(self, tell: Callable[[str, Any], None]) -> None:
        """Wait in a thread for the others, which are told where."""
        both = socket.has_dualstack_ipv6()
        self._server = socket.create_server(
            ("", 0), family=socket.AF_INET6 if both else socket.AF_INET, dualstack_ipv6=both
        )
        word = secrets.token_bytes(16)  # whoever else connects is nobody to wait for
        tell("watch", [self._server.getsockname()[1], word.hex()])
        _in_thread(self._accept, self._server, word)

    def connect(self, port: int, word: str) -> None:
        """Connect to the first process, which is where all meet; where that fails, nobody watches."""
        with suppress(OSError):
            where = self._launch.address["MASTER_ADDR"], port
            connection = socket.create_connection(where, timeout=REACHED)
            connection.sendall(bytes.fromhex(word) + self._launch.rank.to_bytes(4, "big"))
            self._add(0, connection)

    def say(self, what: bytes) -> None:
        with self._lock:
            for connection in self._peers.values():
                with suppress(OSError):  # who is gone hears nothing
                    connection.send(what)

    def close(self) -> None:
        self._over.set()
        with self._lock:
            for each in (*self._peers.values(), *([self._server] if self._server else ())):
                with suppress(OSError):  # which no peer may be connected to any more
                    each.shutdown(socket.SHUT_RDWR)  # alone, close() leaves a thread that waits there waiting
                each.close()

    def _accept(self, server: socket.socket, word: bytes) -> None:
        while len(self._peers) < self._launch.size - 1:
            try:
                connection, _ = server.accept()
            except OSError:  # closed, as what was watched is over
                return
            with suppress(OSError):
                connection.settimeout(REACHED)
                said = connection.recv(len(word) + 4, socket.MSG_WAITALL)
                if secrets.compare_digest(said[: len(word)], word):
                    self._add(int.from_bytes(said[len(word) :], "big"), connection)
                else:
                    connection.close()

    def _add(self, rank: int, connection: socket.socket) -> None:
        connection.settimeout(None)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 20), ("TCP_KEEPCNT", 6)):
            if hasattr(socket, name):  # a computer that is off closes nothing
                connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        with self._lock:
            self._peers[rank] = connection
        _in_thread(self._guard, rank, connection)

    def _guard(self, rank: int, connection: socket.socket) -> None:
        """Wait until the other one leaves; where that was without a goodbye, see to it that this one does."""
        try:
            said = connection.recv(1)
        except OSError:
            said = b""
        if said == GOODBYE or self._over.is_set():
            return
        if self._launch.rank == 0:
            self.say(OTHER_LOST)
        place, since = None, time.monotonic()
        while not self._over.wait(LOOK):
            now = self._place()
            if now is None or now != place:
                place, since = now, time.monotonic()
            elif time.monotonic() - since > GRACE:
                self._end("" if said == OTHER_LOST else f"process {rank} of {self._launch.size}")

    def _place(self) -> tuple[int, int] | None:
        """Return where the watched thread is; None while it waits for another, such as one that saves."""
        frame = sys._current_frames().get(self._watched)
        if frame is None or frame.f_code.co_filename == threading.__file__:
            return None
        return id(frame), frame.f_lasti

    def _end(self, gone: str) -> None:
        if gone:
            told = (
                f"{gone} is gone, and {self._launch.name} would wait for it for ever: see what that one "
                "said; the same command goes on from the last checkpoint.\n"
            )
            os.write(2, told.encode())  # past buffers and locks, which the thread that waits may hold
        os._exit(EXIT_RESOURCES)


def _in_thread(work: Callable[..., None], *about: Any) -> None:
    threading.Thread(target=work, args=about, name="watching", daemon=True).start()
