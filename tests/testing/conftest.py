"""The sound plug-in as files, and a function that installs it with one fault."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from i2i.testing import fake_distribution

SOUND = Path(__file__).parent / "sound"
FILES = {
    str(path.relative_to(SOUND)): path.read_text()
    for path in sorted(SOUND.rglob("*"))
    if path.suffix in (".py", ".toml")
}


@pytest.fixture
def sound(tmp_path: Path) -> Iterator[Callable[..., None]]:
    """Return a function that installs the plug-in `sound`; ``sound(old, new)`` breaks one passage of it."""
    with ExitStack() as stack:

        def install(old: str = "", new: str = "") -> None:
            assert not old or sum(old in text for text in FILES.values()) == 1, f"not one file holds {old!r}"
            files = {path: text.replace(old, new, 1) if old else text for path, text in FILES.items()}
            fake = fake_distribution("i2i-sound", files, namespace="sound", site=tmp_path / "site")
            stack.enter_context(fake)

        yield install
