"""Distributions that are installed for a while, and plug-ins that are out of sight for a while.

Both work for subprocesses too, by way of the environment. No torch here.
"""

from __future__ import annotations

import importlib
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from i2i.plugins.catalog import Catalog


@contextmanager
def fake_distribution(
    name: str,
    files: Mapping[str, str],
    *,
    namespace: str | None = None,
    version: str = "1.0",
    requires: Sequence[str] = (),
    site: Path | None = None,
) -> Iterator[Path]:
    """Install a distribution for a while, also for subprocesses, and yield its site folder.

    ``with fake_distribution("i2i-shiny", {"i2i_shiny.py": TEXT}, namespace="shiny"):`` writes `files` (path
    -> text) and an entry point ``shiny = i2i_shiny``, the first of their modules; without a `namespace` it
    has none. `requires` are its dependencies; `site` is a new folder to use in place of a temporary one,
    which is then left behind.
    """
    tops = {Path(path).parts[0].removesuffix(".py"): None for path in files}
    with ExitStack() as stack:
        if site is None:
            site = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="i2i-site-")))
        info = site / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        needs = "".join(f"Requires-Dist: {requirement}\n" for requirement in requires)
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}"
        info.joinpath("METADATA").write_text(metadata, encoding="utf-8")
        if namespace is not None:
            point = f"[i2i]\n{namespace} = {next(iter(tops))}\n"
            info.joinpath("entry_points.txt").write_text(point, encoding="utf-8")
        for path, text in files.items():
            file = site / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        stack.enter_context(_importable(site, tops))
        yield site


@contextmanager
def _importable(site: Path, modules: Mapping[str, None]) -> Iterator[None]:
    """Put `site` in front of the import path for a while, and forget its `modules` afterwards."""
    earlier = os.environ.get("PYTHONPATH")
    sys.path.insert(0, str(site))
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(site), earlier)))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        _restore("PYTHONPATH", earlier)
        if str(site) in sys.path:
            sys.path.remove(str(site))
        for name in [name for name in sys.modules if name.partition(".")[0] in modules]:
            del sys.modules[name]
        importlib.invalidate_caches()


@contextmanager
def isolated_plugins(*namespaces: str) -> Iterator[Catalog]:
    """Let only the plug-ins `namespaces` be found for a while, and yield a catalog of them.

    All others are switched off by ``I2I_DISABLE``, which subprocesses see too; name ``core`` to keep it.
    """
    earlier = os.environ.get("I2I_DISABLE")
    off = {name for name in (earlier or "").split(",") if name}
    os.environ["I2I_DISABLE"] = ",".join(
        sorted(off.union(Catalog.installed(environ={}).namespaces()) - {*namespaces})
    )
    try:
        yield Catalog.installed()
    finally:
        _restore("I2I_DISABLE", earlier)


def _restore(variable: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(variable, None)
    else:
        os.environ[variable] = value
