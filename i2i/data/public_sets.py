"""Where the public data sets of the pix2pix paper are; each image holds A on the left and B on the right."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_PAPER = "http://efrosgans.eecs.berkeley.edu/pix2pix/datasets"


@dataclass(frozen=True)
class PublicSet:
    """One data set: what it shows, and its address, or where to ask for it."""

    summary: str
    url: str = ""
    owners: str = ""


SETS: Mapping[str, PublicSet] = {
    "facades": PublicSet("photos of facades and their labels", f"{_PAPER}/facades.tar.gz"),
    "maps": PublicSet("aerial photos and maps", f"{_PAPER}/maps.tar.gz"),
    "edges2shoes": PublicSet("outlines and photos of shoes", f"{_PAPER}/edges2shoes.tar.gz"),
    "edges2handbags": PublicSet("outlines and photos of handbags", f"{_PAPER}/edges2handbags.tar.gz"),
    "night2day": PublicSet("the same places by night and by day", f"{_PAPER}/night2day.tar.gz"),
    "cityscapes": PublicSet(
        "photos of streets and their labels", owners="https://www.cityscapes-dataset.com"
    ),
}


def advice(folder: Path) -> str:
    """Say how to get the public data set that `folder` is called after; nothing for other names."""
    known = SETS.get(folder.name)
    if known is None:
        return ""
    if not known.url:
        return f"it is had from its owners alone: {known.owners}"
    out = "" if str(folder.parent) == "data" else f" --out {folder.parent}"
    return f"i2i data get {folder.name}{out} fetches it"
