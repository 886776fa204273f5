"""What a worker process does with a data set: unpickle it and read an item, in a fresh interpreter.

Run as ``python -m i2i.testing.spawned FILE INDEX``; it prints a digest of the item.
"""

from __future__ import annotations

import hashlib
import pickle
import sys
from pathlib import Path
from typing import Any

from torch import Tensor


def digest(item: Any) -> str:
    """Return a digest of an item's tensors and id."""
    found = hashlib.sha256(str(item["id"]).encode())
    for name in sorted(key for key, value in item.items() if isinstance(value, Tensor)):
        image: Tensor = item[name]
        found.update(f"{tuple(image.shape)} {image.dtype}".encode())
        found.update(image.contiguous().numpy().data)
    return found.hexdigest()


def main(path: str, index: str) -> None:
    """Unpickle the data set in `path` and print the digest of one item."""
    data = pickle.loads(Path(path).read_bytes())  # noqa: S301 - written a moment ago by the process that waits
    print(digest(data[int(index)]))


if __name__ == "__main__":
    main(*sys.argv[1:])
