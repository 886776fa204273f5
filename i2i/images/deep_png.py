"""Colour PNG files of 16 bits a channel, of which Pillow would drop half."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np

_MODES = {3: ("rgb", 2), 4: ("rgba", 6)}  # the decoder's name and the file's number for each colour type


def decode(data: bytes, *, height: int, width: int, channels: int) -> np.ndarray[Any, Any]:
    """Return RGB or RGBA of the given size as (H,W,C) uint16."""
    import kornia_rs.io  # here, so that only these files depend on it

    decoded = kornia_rs.io.decode_image_png_u16(data, (height, width), _MODES[channels][0])
    return np.asarray(decoded)


def encode(
    array: np.ndarray[Any, Any], *, dots: tuple[float, float] | None = None, profile: bytes = b""
) -> bytes:
    """Return (H,W,3) or (H,W,4) uint16 as the bytes of a PNG file.

    `dots` are pixels per inch across and down, `profile` is an ICC profile.

    Each byte is stored as its difference from the same byte of the pixel to its left (PNG
    specification, section 9, filter type 1), which deflate makes more of.
    """
    height, width, channels = array.shape
    rows = array.astype(">u2").view(np.uint8).reshape(height, width * channels * 2)
    step = channels * 2
    differences = rows.copy()
    differences[:, step:] -= rows[:, :-step]
    filtered = np.concatenate([np.ones((height, 1), np.uint8), differences], axis=1)
    header = struct.pack(">IIBBBBB", width, height, 16, _MODES[channels][1], 0, 0, 0)
    parts = [(b"IHDR", header)]
    if profile:
        parts.append((b"iCCP", b"profile\0\0" + zlib.compress(profile)))
    if dots:
        across, down = (round(number / 0.0254) for number in dots)  # per metre
        parts.append((b"pHYs", struct.pack(">IIB", across, down, 1)))
    parts += [(b"IDAT", zlib.compress(filtered.tobytes())), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, content) for kind, content in parts)


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)
