"""One call of the executor: the jobs that wait, the actors, and who has what."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import RayActorError, RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from i2i.bench.jobs import Event, Job
from i2i.errors import EXIT_BUG, EXIT_RESOURCES, ResourceError
from i2i_ray.actors import Board, Trainer
from i2i_ray.connection import Head
from i2i_ray.needs import Needs, nodes_of, places

SECONDS_BETWEEN_LOOKS = 0.2
SECONDS_FOR_THE_BOARD = 1.0
TRIES = 2


@dataclass
class _Seat:
    """An actor; it is opening until it has a `place`, then idle or at a job, whose end `answer` tells.

    `begun` says that the attempt at the job has been heard of, `step` how far it was, and `moved` when it
    last got further, by this machine's clock.
    """

    actor: Any
    answer: Any
    place: str = ""
    job: Job | None = None
    attempt: int = 0
    begun: bool = False
    step: int = 0
    moved: float = 0.0


class Shift:
    """Hands jobs out to actors until all have ended.

    An actor gets a job only once it has its place in the cluster, so that no job waits for room while
    another actor could have it; one that has nothing to do is given up, so that others can use its place.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        report: Callable[[Event], None],
        *,
        seats: int,
        needs: Needs,
        grows: bool,
        patience: float,
        environment: Mapping[str, str],
    ) -> None:
        self._waiting, self._report = deque(jobs), report
        self._limit, self._chances = seats, seats * TRIES
        self._needs, self._grows, self._patience = needs, grows, patience
        self._seats: list[_Seat] = []
        self._tries, self._attempts = Counter[str](), itertools.count(1)
        self._places: dict[str, list[str]] = {}
        self._stopping, self._refusal = False, ""
        self._head = Head()
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
        board = ray.remote(Board).options(num_cpus=0, max_restarts=-1, scheduling_strategy=here)
        self._board = board.remote()
        self._trainer = ray.remote(Trainer).options(
            **needs.options(),
            max_restarts=0,
            scheduling_strategy="SPREAD",
            runtime_env={"env_vars": dict(environment)},
        )

    def left(self) -> bool:
        """Whether any job has not ended."""
        return bool(self._waiting) or any(seat.job for seat in self._seats)

    def stop(self) -> None:
        """From now on let the board ask those at work to save and end; whatever waits is left undone."""
        if self._stopping:
            return
        self._stopping = True
        for job in self._waiting:
            if self._tries[job.key]:
                self._interrupted(job, "its process died, and it was not tried again")
        self._waiting.clear()

    def hand_out(self) -> None:
        """Give idle actors the jobs that wait, and see that there are as many actors as can be of use."""
        for seat in list(self._seats):
            if seat.job is not None:
                if self._stopping and not seat.begun:
                    self._give_up(seat)
                    self._interrupted(seat.job, "it had not begun")
            elif seat.place and self._waiting:
                self._start(seat, self._waiting.popleft())
            elif seat.place:
                self._give_up(seat)
        opening = [seat for seat in self._seats if not seat.place]
        for seat in opening[len(self._waiting) :]:
            self._give_up(seat)
        wanted = min(len(self._waiting) - len(opening), self._limit - len(self._seats))
        for _ in range(wanted if self._chances > 0 else 0):
            self._open()
        if self._waiting and not self._seats:
            self._fail_all()

    def listen(self) -> None:
        """Wait a moment for actors to answer, and pass on what they have done."""
        answers = [seat.answer for seat in self._seats]
        ready, _ = ray.wait(answers, num_returns=1, timeout=SECONDS_BETWEEN_LOOKS)
        if ready:
            ready, _ = ray.wait(answers, num_returns=len(answers), timeout=0)
        self._read_board()
        for seat in [seat for seat in self._seats if seat.answer in ready]:
            if seat.job is None:
                self._opened(seat)
            else:
                self._ended(seat, seat.job)
        if self._head.is_lost():
            raise ResourceError(
                f"the head of the Ray cluster, {self._head.address}, answers no more: start it again, and "
                "run the same command, which goes on from the newest checkpoints."
            )
        self._give_up_silent()
        if not self._grows and not any(seat.place for seat in self._seats):
            self._check_room()

    def close(self) -> None:
        """End all actors, which without a head end by themselves."""
        if self._head.is_lost():
            return
        for seat in list(self._seats):
            self._give_up(seat)
        with contextlib.suppress(RayError):
            ray.kill(self._board)

    # --- actors -----------------------------------------------------------------------------------

    def _open(self) -> None:
        actor = self._trainer.remote(self._board)
        self._seats.append(_Seat(actor, actor.place.remote()))

    def _opened(self, seat: _Seat) -> None:
        """Note an actor's place; after too many that could not be had no more are asked for."""
        try:
            seat.place = ray.get(seat.answer)
        except RayError as error:
            self._give_up(seat)
            self._chances -= 1
            self._refusal = (
                f"no process can be started on the cluster ({_reason(error)}): all nodes need the same i2i, "
                "i2i-ray and plug-ins of the recipe."
            )

    def _give_up(self, seat: _Seat) -> None:
        self._seats.remove(seat)
        with contextlib.suppress(RayError):
            ray.kill(seat.actor)

    def _check_room(self) -> None:
        """Stop waiting for a place that nobody has any more."""
        if not any(places(self._needs, node) for node in nodes_of()):
            for seat in list(self._seats):
                self._give_up(seat)
            self._chances, self._refusal = 0, self._needs.refusal()

    # --- jobs -------------------------------------------------------------------------------------

    def _start(self, seat: _Seat, job: Job) -> None:
        self._tries[job.key] += 1
        self._places.setdefault(job.key, []).append(seat.place)
        seat.job, seat.attempt, seat.begun = job, next(self._attempts), False
        seat.step, seat.moved = 0, time.monotonic()
        seat.answer = seat.actor.train.remote(seat.attempt, job)

    def _give_up_silent(self) -> None:
        """End actors whose job has made no step for too long: they hang, or their node no longer answers."""
        for seat in list(self._seats):
            if seat.job is not None and time.monotonic() - seat.moved > self._patience:
                self._give_up(seat)
                self._lost(seat.job, f"stood still (no step in {self._patience:g} s)")

    def _read_board(self) -> None:
        """Pass on how far jobs are; what is left of an attempt that has ended is not counted."""
        try:
            events = ray.get(self._board.exchange.remote(self._stopping), timeout=SECONDS_FOR_THE_BOARD)
        except RayError:  # its node died, and it is being set up on another
            return
        for seat in self._seats:
            if seat.job is not None and seat.attempt in events:
                seat.begun = True
                if events[seat.attempt].step != seat.step:
                    seat.step, seat.moved = events[seat.attempt].step, time.monotonic()
                self._report(events[seat.attempt])

    def _ended(self, seat: _Seat, job: Job) -> None:
        """Pass on a job's last event, or try it again where its process was lost."""
        try:
            event: Event = ray.get(seat.answer)
        except RayTaskError as error:
            event = Event(job.key, "failed", error=_reason(error), code=EXIT_BUG)
        except RayError:
            self._give_up(seat)
            self._lost(job)
            return
        seat.job = None
        if event.status == "interrupted" and not self._stopping:  # by somebody who wants the node back
            self._lost(job)
        else:
            self._report(event)

    def _lost(self, job: Job, how: str = "died") -> None:
        if self._stopping:
            self._interrupted(job, f"its process {how}")
        elif self._tries[job.key] < TRIES:
            self._waiting.append(job)
        else:
            places = " and ".join(dict.fromkeys(self._places[job.key]))
            error = f"its process {how} {TRIES} times, on {places}"
            self._report(Event(job.key, "failed", error=error, code=EXIT_RESOURCES))

    def _interrupted(self, job: Job, why: str) -> None:
        self._report(Event(job.key, "interrupted", error=why, code=EXIT_RESOURCES))

    def _fail_all(self) -> None:
        while self._waiting:
            job = self._waiting.popleft()
            self._report(Event(job.key, "failed", error=self._refusal, code=EXIT_RESOURCES))


def _reason(error: RayError) -> str:
    """Return what is wrong in one line; Ray says it in many, the last of which holds the error itself."""
    if isinstance(error, RayTaskError) and error.cause is not None:
        return f"{type(error.cause).__name__}: {error.cause}"
    if isinstance(error, RayActorError) and not error.actor_init_failed:
        return "it died before it could begin"
    return next((line.strip() for line in reversed(str(error).splitlines()) if line.strip()), "")
