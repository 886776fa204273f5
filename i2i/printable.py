"""Text from elsewhere, made safe to show: names in files may hold what steers a terminal."""

from __future__ import annotations


def printable(text: str) -> str:
    """Return `text` with control characters written out; line ends stay."""
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)
