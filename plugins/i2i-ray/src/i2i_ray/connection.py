"""A connection to a Ray cluster that leaves terminal, signals and environment as they were."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from i2i.errors import ResourceError

NO_STATISTICS = "RAY_USAGE_STATS_ENABLED"
SECONDS_TO_ANSWER = 5.0
SECONDS_BETWEEN_LOOKS = 2.0
SECONDS_WITHOUT_HEAD = 20.0


class Head:
    """The head of the cluster that this process is connected to, and whether it still answers.

    Ray itself ends a process whose head is gone for a minute, from the midst of whatever it does.
    """

    def __init__(self) -> None:
        import ray
        from ray.util.client import ray as client

        # Through a client's server the head is that one's to watch.
        self.address = "" if client.is_connected() else ray.get_runtime_context().gcs_address
        self._looked = self._answered = time.monotonic()

    def is_lost(self) -> bool:
        """Whether it has not answered for too long; it is asked now and then."""
        now = time.monotonic()
        if self.address and now - self._looked > SECONDS_BETWEEN_LOOKS:
            self._looked = now
            with suppress(OSError):
                _knock(self.address)
                self._answered = time.monotonic()
        return self._looked - self._answered > SECONDS_WITHOUT_HEAD


@contextmanager
def connected(address: str) -> Iterator[None]:
    """Be connected to the cluster at `address` for a while; one that the caller has is used, and kept.

    Raises ResourceError when there is no such cluster.
    """
    import ray

    if ray.is_initialized():
        yield
        return
    with _signal_handlers_kept(), _no_statistics():
        try:
            _connect(address)
        except (OSError, RuntimeError, ValueError, AssertionError, ImportError) as error:
            ray.shutdown()
            raise ResourceError(_sentence(address, error)) from error
    with _nothing_printed():
        try:
            yield
        finally:
            ray.shutdown()  # which prints too


def _connect(address: str) -> None:
    import ray

    _check_answers(address)
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address == "local":
        quiet["include_dashboard"] = False
    ray.init(address=address, **quiet)


def _check_answers(address: str) -> None:
    """Raise OSError where nobody listens; Ray itself would go on trying for minutes."""
    from ray._private.services import get_ray_address_from_environment

    if address == "local":
        return
    found = get_ray_address_from_environment(address, None) if address == "auto" else address
    _knock(found or "")


def _knock(address: str) -> None:
    """Raise OSError where nobody listens at HOST:PORT; of another form nothing is known."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), SECONDS_TO_ANSWER).close()


def _sentence(address: str, error: BaseException) -> str:
    if isinstance(error, ImportError):
        return f"an address such as {address} needs more of Ray: pip install 'i2i-ray[client]'."
    if address == "auto" and isinstance(error, OSError):
        return (
            "no Ray cluster runs on this machine, and RAY_ADDRESS names none that answers: start one with "
            '`ray start --head`, or set executor.address, where "local" stands for this machine alone.'
        )
    said = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return f"the Ray cluster at {address} cannot be reached: {said.strip().rstrip(':.')}."


@contextmanager
def _signal_handlers_kept() -> Iterator[None]:
    """Put back the handlers that Ray replaces with its own, which would end this process at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {signum: signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


@contextmanager
def _no_statistics() -> Iterator[None]:
    """Keep a cluster that is started here from telling anybody about it."""
    before = os.environ.get(NO_STATISTICS)
    os.environ[NO_STATISTICS] = "0"
    try:
        yield
    finally:
        if before is None:
            del os.environ[NO_STATISTICS]
        else:
            os.environ[NO_STATISTICS] = before


@contextmanager
def _nothing_printed() -> Iterator[None]:
    """Keep Ray from printing what happens to its processes on stdout, which it does whatever it is told."""
    from ray._private import worker

    before = getattr(worker, "_worker_logs_enabled", True)
    worker._worker_logs_enabled = False
    try:
        yield
    finally:
        worker._worker_logs_enabled = before
