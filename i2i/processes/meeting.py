"""Where processes meet before they train: JSON under keys of torch's store, while there is no group yet.

Nothing here waits inside torch, where no signal would be heard, and nothing is unpickled.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from i2i.errors import (
    EXIT_BUG,
    EndedTogether,
    I2IError,
    Interrupted,
    Problem,
    ResourceError,
    exit_code_of,
    in_a_line,
)
from i2i.processes.group import ALONE, Group, LostError, joined
from i2i.processes.launch import LET_TELL, Launch
from i2i.processes.watch import watching

if TYPE_CHECKING:
    from torch._C._distributed_c10d import Store

ARRIVAL = 600.0
"""Seconds that the first process waits for the others to start and to open their data."""

LEAVING = 5.0
"""Seconds that a process which holds the store waits for the others to hear how it ended."""

SHORTEST, LONGEST = 0.01, 0.3
"""Seconds between two looks at what another process may have told."""


class Meeting:
    """The processes that were launched together, and what they tell each other before they are a group.

    One process by itself has no `store`, and nobody to wait for. Where the first one `holds` the store, the
    others cannot tell each other anything once it has ended.
    """

    def __init__(self, launch: Launch, store: Store | None = None, *, holds: bool = False) -> None:
        self.launch, self._store, self._holds = launch, store, holds

    def tell(self, what: str, value: Any) -> None:
        """Put a JSON value where the other processes find it."""
        if self._store is not None:
            with _store_is_there():
                self._store.set(_key(what, self.launch.rank), json.dumps(value))

    def heard(self, what: str, rank: int, *, patience: float | None = None) -> Any:
        """Return what process `rank` tells, once it does.

        Raises ResourceError where it does not within so many seconds, or where the store is gone.
        """
        assert self._store is not None
        key, begun, pause = _key(what, rank), time.monotonic(), SHORTEST
        with _store_is_there():
            while not self._store.check([key]):
                if patience is not None and time.monotonic() - begun > patience:
                    raise ResourceError(
                        f"process {rank} of {self.launch.size} has not come within {patience:.0f} seconds: "
                        "see what it says, and start all of them anew."
                    )
                time.sleep(pause)
                pause = min(2 * pause, LONGEST)
            return json.loads(self._store.get(key))

    # --- the first process decides, and the others learn of it ------------------------------------

    @contextmanager
    def deciding(self) -> Iterator[None]:
        """Let the first process decide; what goes wrong ends the others too, with the same exit code."""
        try:
            yield
        except BaseException as error:
            code = exit_code_of(error) if isinstance(error, I2IError) else EXIT_BUG
            self._tell_of_end(code)
            raise

    def decided(self) -> Mapping[str, Any]:
        """Return what the first process tells, once it has decided; EndedTogether where that failed."""
        found = self.heard("decision", 0)
        if "exit" in found:
            self.leave()
            time.sleep(LET_TELL)
            raise EndedTogether(found["exit"])
        decision: Mapping[str, Any] = found["decision"]
        return decision

    def decide(self, decision: Mapping[str, Any]) -> None:
        """Tell the others how all go on."""
        self.tell("decision", {"decision": decision})

    def _tell_of_end(self, code: int) -> None:
        try:
            self.tell("decision", {"exit": code})
        except ResourceError:
            return  # then they have noticed: a store that is gone ends them too

    def offer(self, facts: Callable[[], Mapping[str, Any]]) -> None:
        """Tell the first process what there is here, or what is wrong here, which it will say."""
        try:
            found: Mapping[str, Any] = {"facts": facts()}
        except I2IError as error:
            problems = [vars(problem) for problem in error.problems]
            found = {"problems": problems, "exit": exit_code_of(error)}
        except Exception as error:
            self.tell("facts", {"problems": [vars(Problem(in_a_line(error)))], "exit": EXIT_BUG})
            raise
        self.tell("facts", {"name": self.launch.name, **found})

    def offers(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Yield the name of each other process and what there is; raise what is wrong with the first such.

        For one by itself that is nobody.
        """
        for rank in range(1, self.launch.size):
            found = self.heard("facts", rank, patience=ARRIVAL)
            name = found.get("name", f"process {rank}")
            if "problems" in found:
                raise _ElsewhereError(name, found["problems"], found["exit"])
            yield name, found["facts"]

    def fail(self, error: I2IError) -> NoReturn:
        """End all processes for what went wrong in this one before they met; the first one says it."""
        if self.launch.rank == 0:
            with self.deciding():
                raise error

        def offer() -> Mapping[str, Any]:
            raise error

        self.offer(offer)
        self.decided()
        raise error

    def leave(self) -> None:
        """Say that this process has heard all that it needs; who holds the store waits a while for all to."""
        if self._store is None:
            return
        with suppress(RuntimeError):  # a store that is gone needs no goodbye
            self._store.set(_key("left", self.launch.rank), "")
            others = [_key("left", rank) for rank in range(1, self.launch.size)]
            last = time.monotonic() + LEAVING
            while self._holds and not self._store.check(others) and time.monotonic() < last:
                time.sleep(SHORTEST)

    # --- training ---------------------------------------------------------------------------------

    @contextmanager
    def grouped(self, device: str) -> Iterator[Group]:
        """Join the processes for as long as they train; one by itself stays alone."""
        if self._store is None:
            yield ALONE
        else:
            with (
                watching(self.launch, self.tell, self.heard),
                joined(self.launch, self._store, device) as group,
            ):
                yield group

    @contextmanager
    def naming(self) -> Iterator[None]:
        """Name this process, which is not the first, in what it has to say; what others say too, it does not.

        Raises EndedTogether in place of that.
        """
        try:
            yield
        except LostError as error:
            if not self._first_to_miss():
                time.sleep(LET_TELL)
                raise EndedTogether(exit_code_of(error)) from error
            named(error, self.launch.name)
            raise
        except EndedTogether:
            raise
        except Interrupted as error:  # after the same step as the first one, which says so
            raise EndedTogether(exit_code_of(error)) from error
        except I2IError as error:
            named(error, self.launch.name)
            raise

    def _first_to_miss(self) -> bool:
        """Whether no other process has told yet that one is gone."""
        try:
            return self._store is None or self._store.add("missed", 1) == 1
        except RuntimeError:
            return True


def named(error: I2IError, name: str) -> I2IError:
    """Return `error` with the name of a process before each of its sentences."""
    error.problems = tuple(
        Problem(f"{name}: {p.message}", p.where, p.file, p.line, p.hint) for p in error.problems
    )
    error.args = ("\n".join(problem.render() for problem in error.problems),)
    return error


class _ElsewhereError(EndedTogether):
    """What is wrong with another process, in its own words."""

    def __init__(self, name: str, problems: list[dict[str, Any]], code: int) -> None:
        super().__init__(code, *(Problem(**problem) for problem in problems))
        named(self, name)


@contextmanager
def met(launch: Launch) -> Iterator[Meeting]:
    """Meet the other processes of a launch, if there are any.

    Raises ResourceError where the place to meet is not there.
    """
    if launch.size == 1:
        yield Meeting(launch)
        return
    from torch._C._distributed_c10d import PrefixStore, TCPStore

    host, port = launch.address["MASTER_ADDR"], int(launch.address["MASTER_PORT"])
    # torchrun has a store of its own, which outlives the processes.
    holds = launch.rank == 0 and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True"
    with _store_is_there(f", {host}:{port}, is not there"):
        store = TCPStore(
            host,
            port,
            launch.size,
            holds,
            timedelta(seconds=ARRIVAL),
            wait_for_workers=False,  # which no signal would end
            multi_tenant=holds,
        )
        # Where a launcher starts all again, or they train once more, what was told before is in there still.
        attempt = PrefixStore(f"i2i/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", store)
        number = attempt.add(_key("meetings", launch.rank), 1)
    meeting = Meeting(launch, PrefixStore(str(number), attempt), holds=holds)
    try:
        yield meeting
    finally:
        meeting.leave()


def _key(what: str, rank: int) -> str:
    return f"{what}/{rank}"


@contextmanager
def _store_is_there(told: str = " is gone") -> Iterator[None]:
    try:
        yield
    except (RuntimeError, ValueError) as error:
        raise LostError(f"the place where all processes meet{told} ({in_a_line(error)}).") from error
