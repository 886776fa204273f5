"""The executor: how many jobs a cluster takes at once, and the connection in which they are trained."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Annotated

from annotated_types import Ge, Gt, Le

from i2i.bench.jobs import Event, Job
from i2i.errors import RecipeError, ResourceError
from i2i_ray.connection import connected
from i2i_ray.needs import Needs, nodes_of, places


class Cluster:
    """Trains the cells of a benchmark in actors of a Ray cluster, job after job in each.

    The nodes see the folders of the benchmark under the same names, and have i2i, this package and the
    recipe's plug-ins. A job whose process or node dies is tried again once, where there is room, and goes
    on from its newest checkpoint. Without a cluster at `address`, or with no node that has what a job
    takes, `run` and `at_once` raise ResourceError.

    Args:
        address: "auto" for the cluster of this machine or of RAY_ADDRESS, HOST:PORT or "ray://HOST:PORT" for
            another, "local" for one of this machine alone that ends with the benchmark.
        jobs: how many cells are trained at the same time; without it, as many as there is room for.
        cpus: that a job takes; without it, as many as it has threads in all of its processes.
        gpus: that a job takes; without it, one for each of its processes where it is trained on CUDA, or
            else none.
        memory: in GB, that is put aside for a job; without it, none is.
        resources: of the cluster's own naming that a job takes, such as {fast = 1.0}.
        variables: names of environment variables to pass on, beside PYTHONPATH and all of I2I_.
        grows: the cluster adds nodes on demand, so that a job that fits none waits for one; needs `jobs`.
        patience: seconds after which a job that makes no step counts as lost, as one whose node died; more
            than a validation takes.
    """

    def __init__(
        self,
        *,
        address: str = "auto",
        jobs: Annotated[int, Ge(1), Le(4096)] | None = None,
        cpus: Annotated[float, Gt(0)] | None = None,
        gpus: Annotated[float, Ge(0)] | None = None,
        memory: Annotated[float, Gt(0)] | None = None,
        resources: dict[str, Annotated[float, Gt(0)]] = {},  # noqa: B006
        variables: tuple[str, ...] = (),
        grows: bool = False,
        patience: Annotated[float, Gt(0)] = 7200.0,
    ) -> None:
        if grows and jobs is None:
            raise RecipeError(
                "executor.grows: how far a cluster will grow cannot be known: set executor.jobs."
            )
        self._address, self._jobs, self._grows = address, jobs, grows
        self._cpus, self._gpus, self._memory = cpus, gpus, memory
        self._resources, self._variables = dict(resources), variables
        self._patience = patience

    @cached_property
    def at_once(self) -> int:
        """How many jobs run at the same time, if each has one thread where `cpus` says nothing."""
        if self._jobs is not None:
            return self._jobs
        with connected(self._address):
            return self._room(self._needs(cpus=1, gpus=0))

    def run(
        self, jobs: Sequence[Job], *, report: Callable[[Event], None], stopped: Callable[[], bool]
    ) -> None:
        """Train all jobs; see `i2i.kinds.Executor`."""
        from i2i_ray.shift import Shift

        if not jobs:
            return
        needs = self._needs(
            cpus=max(job.threads * job.processes for job in jobs),
            gpus=max(job.processes if job.device.startswith("cuda") else 0 for job in jobs),
        )
        with connected(self._address):
            room = self._room(needs)
            shift = Shift(
                jobs,
                report,
                seats=min(self._jobs or room, len(jobs)),
                needs=needs,
                grows=self._grows,
                patience=self._patience,
                environment=self._environment(max(job.threads for job in jobs)),
            )
            try:
                while True:
                    if stopped():
                        shift.stop()
                    shift.hand_out()
                    if not shift.left():
                        return
                    shift.listen()
            finally:
                shift.close()

    def _needs(self, *, cpus: int, gpus: int) -> Needs:
        return Needs(
            cpus=cpus if self._cpus is None else self._cpus,
            gpus=gpus if self._gpus is None else self._gpus,
            memory=self._memory,
            resources=self._resources,
        )

    def _room(self, needs: Needs) -> int:
        """Return how many jobs the nodes have room for, were they empty."""
        room = sum(places(needs, node) for node in nodes_of())
        if not room and not self._grows:
            raise ResourceError(needs.refusal())
        return room

    def _environment(self, threads: int) -> Mapping[str, str]:
        wanted = {"PYTHONPATH", *self._variables}
        passed = {
            name: text for name, text in os.environ.items() if name in wanted or name.startswith("I2I_")
        }
        return passed | {"OMP_NUM_THREADS": str(threads)}
