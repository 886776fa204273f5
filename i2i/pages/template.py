"""The templates of pages: one environment for all of them, in which every text is escaped."""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined

from i2i.pages.numbers import clock, short

if TYPE_CHECKING:
    from jinja2 import Template


def template(name: str) -> Template:
    """Return one of i2i's templates, by its file's name."""
    return _environment().get_template(name)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("i2i.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(short=short, clock=clock, pieces=pieces)
    environment.globals["script"] = script
    return environment


@dataclass(frozen=True)
class Script:
    """A script's text, and its hash as a page's policy names it: no other script runs there."""

    text: str
    hash: str


@cache
def script(name: str) -> Script:
    """Return one of i2i's scripts, by its file's name beside the templates."""
    text = files("i2i.pages").joinpath("templates", name).read_text(encoding="utf-8")
    return Script(text, f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}")


def pieces(name: str) -> list[str]:
    """Cut a name where a line may end: after the words of one like ``receptive_field=16``."""
    return re.findall(r"[^_=./+]*[_=./+]|[^_=./+]+$", name)
