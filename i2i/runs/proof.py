"""What a manifest says of a file, and whether the file is that one.

Of a weights file that is its size and the checksum of its header, which holds the checksum of the data: so
they are hashed once. Manifests of the first kind hold the checksum of the whole file instead.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SIZE, HEADER, WHOLE = "size", "header", "sha256"


def of_weights(head: bytes, size: int) -> dict[str, Any]:
    """Return what proves a weights file of `size` bytes, whose header with its length is `head`."""
    return {SIZE: size, HEADER: hashlib.sha256(head).hexdigest()}


def holds(listed: Mapping[str, Any], path: Path) -> bool:
    """Whether the file `path` is the one that was `listed`.

    Raises OSError for what cannot be read, and KeyError, TypeError or ValueError for a list that none wrote.
    """
    with path.open("rb") as file:
        if HEADER in listed:
            head = file.read(8)
            head += file.read(min(int.from_bytes(head, "little"), listed[SIZE]))
            if hashlib.sha256(head).hexdigest() != listed[HEADER]:
                return False
            expected = json.loads(head[8:])["__metadata__"]["sha256"]
        else:
            expected = listed[WHOLE]
        rest = hashlib.file_digest(file, "sha256").hexdigest()
        return (file.tell(), rest) == (listed[SIZE], expected)
