"""What the computer is: its processor, its cores, its free memory, and where caches are kept. No torch."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import platformdirs


def processor() -> str:
    """Return the processor's name as the system tells it, empty where it does not."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def usable_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def free_memory() -> float:
    """Bytes of physical memory that are free; half a GiB where the system does not say."""
    names = getattr(os, "sysconf_names", {})
    if "SC_AVPHYS_PAGES" in names:
        return float(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return 2.0**29


def cache_folder() -> Path:
    """Return the user's cache folder: ``I2I_CACHE_DIR``, or where the system keeps caches."""
    base = os.environ.get("I2I_CACHE_DIR") or platformdirs.user_cache_dir("i2i", appauthor=False)
    return Path(base).expanduser()
