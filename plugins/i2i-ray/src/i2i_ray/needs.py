"""What a job takes of a node, and how often a node has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

GB = 2**30


@dataclass(frozen=True)
class Needs:
    """CPUs, GPUs, memory in GB and resources of the cluster's own that one job takes."""

    cpus: float
    gpus: float = 0.0
    memory: float | None = None
    resources: Mapping[str, float] = field(default_factory=dict)

    def amounts(self) -> dict[str, float]:
        """Return them under the names that Ray has for what a node offers."""
        memory = {} if self.memory is None else {"memory": self.memory * GB}
        amounts = {"CPU": self.cpus, "GPU": self.gpus, **memory, **self.resources}
        return {name: amount for name, amount in amounts.items() if amount}

    def options(self) -> dict[str, Any]:
        """Return them as the options of an actor."""
        memory = {} if self.memory is None else {"memory": int(self.memory * GB)}
        return {
            "num_cpus": self.cpus,
            "num_gpus": self.gpus,
            "resources": dict(self.resources),
            **memory,
        }

    def refusal(self) -> str:
        """Return the sentence for a cluster in which no node has that much."""
        memory = [] if self.memory is None else [f"{self.memory:g} GB of memory"]
        each = [f"{self.cpus:g} CPUs", *([f"{self.gpus:g} GPUs"] if self.gpus else []), *memory]
        each += [f"{amount:g} of {name}" for name, amount in self.resources.items()]
        return (
            f"no node of the Ray cluster has what a job takes ({', '.join(each)}): lower cpus, gpus, "
            "memory or resources of the executor, or set grows where the cluster adds nodes by itself."
        )


def nodes_of() -> list[Mapping[str, float]]:
    """Return what each living node of the cluster offers in all."""
    import ray

    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def places(needs: Needs, node: Mapping[str, float]) -> int:
    """Return how many jobs fit on an empty node."""
    return min(int(node.get(name, 0.0) / amount + 1e-9) for name, amount in needs.amounts().items())
