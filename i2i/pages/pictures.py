"""Pictures inside a page: as data: addresses, so that the page is one file."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from PIL.Image import Image

LOSSLESS_PICTURE = 128  # pictures up to this size are embedded without loss, and enlarged as squares


@dataclass(frozen=True)
class Picture:
    """An image as a data: address, with its size in pixels."""

    address: str
    width: int
    height: int

    @property
    def small(self) -> bool:
        """Whether it is to be enlarged as squares, without smoothing."""
        return max(self.width, self.height) <= LOSSLESS_PICTURE

    @classmethod
    def of(cls, image: Image, *, largest: int) -> Picture:
        """Return `image` as PNG, or as JPEG where that is shorter and the image is not small.

        It is made smaller, in place, where a side has more than `largest` pixels.
        """
        image.thumbnail((largest, largest))
        return cls._shorter(image, _encoded(image, "png"))

    @classmethod
    def of_file(cls, path: Path, *, largest: int) -> Picture:
        """Return a PNG file as it is, or as `of` would where that is shorter or the image too large."""
        from PIL import Image

        data = path.read_bytes()
        with Image.open(BytesIO(data), formats=("PNG",)) as file:
            image = file.convert("RGB")
        return cls.of(image, largest=largest) if max(image.size) > largest else cls._shorter(image, data)

    @classmethod
    def _shorter(cls, image: Image, png: bytes) -> Picture:
        kind, data = "png", png
        if max(image.size) > LOSSLESS_PICTURE:
            jpeg = _encoded(image, "jpeg", quality=90, subsampling=0)
            kind, data = min((kind, data), ("jpeg", jpeg), key=lambda choice: len(choice[1]))
        return cls(f"data:image/{kind};base64,{b64encode(data).decode()}", *image.size)


def _encoded(image: Image, kind: str, **options: Any) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()
