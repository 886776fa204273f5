"""Memory that a process has freed is kept for it to use again, where the C library can be told so.

glibc hands every large piece back to the system as it is freed, and the next one comes page by page, each
emptied first. A network asks for the same large pieces again and again: up to a third of its time goes there.
"""

from __future__ import annotations

import ctypes
import os

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""What glibc's mallopt() calls M_TRIM_THRESHOLD and M_MMAP_THRESHOLD."""

_LARGE, _MOST = 2**30, 2**31 - 1
"""Bytes of a piece that is handed back at once, and of what is kept at most."""


def keep_freed_memory() -> bool:
    """Let this process keep what it frees, up to 2 GiB; return whether its C library does so.

    It is for a program to decide, not for a library within one. Without glibc nothing changes.
    """
    if not _on_glibc():
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(_MMAP_THRESHOLD, _LARGE)) and bool(mallopt(_TRIM_THRESHOLD, _MOST))


def hand_back_memory() -> None:
    """Give the system back what is free now: holes between large pieces can add up to as much again."""
    if _on_glibc():
        ctypes.CDLL(None).malloc_trim(0)


def _on_glibc() -> bool:
    try:
        return (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc")
    except (AttributeError, ValueError):  # Windows, macOS, musl
        return False
