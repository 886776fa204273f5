"""Where public data sets are: those of the pix2pix paper, whose images hold A on the left and B on the right,
and of CycleGAN's, whose folders ``trainA`` and ``trainB`` do not belong together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_PIX2PIX = "http://efrosgans.eecs.berkeley.edu/pix2pix/datasets"
_CYCLEGAN = "http://efrosgans.eecs.berkeley.edu/cyclegan/datasets"
"""Beside the former, as copies of the authors' ``download_cyclegan_dataset.sh`` have it; the script in their
repository names https://people.eecs.berkeley.edu/~taesung_park/CycleGAN/datasets, an older home of the same
files. Neither has been fetched from by i2i's own tests: `i2i data get --url` takes the other.
"""


@dataclass(frozen=True)
class PublicSet:
    """One data set: what it shows, and its address, or where to ask for it; what reads it is `use`."""

    summary: str
    url: str = ""
    owners: str = ""
    use: str = "paired-images"


SETS: Mapping[str, PublicSet] = {
    "facades": PublicSet("photos of facades and their labels", f"{_PIX2PIX}/facades.tar.gz"),
    "maps": PublicSet("aerial photos and maps", f"{_PIX2PIX}/maps.tar.gz"),
    "edges2shoes": PublicSet("outlines and photos of shoes", f"{_PIX2PIX}/edges2shoes.tar.gz"),
    "edges2handbags": PublicSet("outlines and photos of handbags", f"{_PIX2PIX}/edges2handbags.tar.gz"),
    "night2day": PublicSet("the same places by night and by day", f"{_PIX2PIX}/night2day.tar.gz"),
    "horse2zebra": PublicSet(
        "photos of horses and photos of zebras", f"{_CYCLEGAN}/horse2zebra.zip", use="unpaired-images"
    ),
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
