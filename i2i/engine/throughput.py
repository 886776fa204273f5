"""How fast a run goes: images a second and time lost waiting for data, since it was last asked."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Throughput:
    """Counts images and waiting over a stretch of training; `before` is what earlier sessions took."""

    def __init__(self, before: float) -> None:
        self._begun = time.perf_counter() - before
        self._trained_seconds = 0.0
        self._trained_images = 0
        self.restart()

    def restart(self) -> None:
        """Begin a new stretch and forget this one: validating and saving are not training."""
        self._since = time.perf_counter()
        self._images = 0
        self._waited = 0.0

    def close(self) -> None:
        """Count this stretch as training, and begin a new one."""
        self._trained_seconds += time.perf_counter() - self._since
        self._trained_images += self._images
        self.restart()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Close the stretch, and begin a new one after what is done within."""
        self.close()
        try:
            yield
        finally:
            self.restart()

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Count the time within as waiting for data."""
        start = time.perf_counter()
        yield
        self._waited += time.perf_counter() - start

    def add(self, images: int) -> None:
        """Count images that were trained on."""
        self._images += images

    @property
    def seconds(self) -> float:
        """Seconds since the run began, over all its sessions."""
        return time.perf_counter() - self._begun

    @property
    def images_per_second(self) -> float:
        """Images a second in this stretch."""
        return self._images / max(time.perf_counter() - self._since, 1e-9)

    @property
    def data_wait(self) -> float:
        """The share of this stretch that was spent waiting for data, 0 to 1."""
        return self._waited / max(time.perf_counter() - self._since, 1e-9)

    @property
    def overall(self) -> float:
        """Images a second over all closed stretches."""
        return self._trained_images / max(self._trained_seconds, 1e-9)
