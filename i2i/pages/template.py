"""The templates of pages: one environment for all of them, in which every text is escaped."""

from __future__ import annotations

import re
from functools import cache
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
    return environment


def pieces(name: str) -> list[str]:
    """Cut a name where a line may end: after the words of one like ``receptive_field=16``."""
    return re.findall(r"[^_=./]*[_=./]|[^_=./]+$", name)
