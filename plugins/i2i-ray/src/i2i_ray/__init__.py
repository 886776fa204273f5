"""Ray for i2i: the cells of a benchmark on a cluster. This module stays thin; see `cluster`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from i2i import hookimpl

if TYPE_CHECKING:
    from i2i.registry import Registrar

i2i_api = 1


@hookimpl
def i2i_register(registry: Registrar) -> None:
    """Declare the executor."""
    registry.executor("cluster", "i2i_ray.cluster:Cluster", "cells of a benchmark on a Ray cluster")
