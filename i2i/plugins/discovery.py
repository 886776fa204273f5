"""Installed plug-ins: found by entry point, imported only when asked for, never able to break each other.

What goes wrong with a plug-in is kept in its record and shown where it matters: a recipe that does
not name a broken plug-in runs as if it were not there.
"""

from __future__ import annotations

import importlib.util
import inspect
import os
import re
import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

import pluggy

from i2i import hookspecs
from i2i.errors import I2IError, PluginError, RecipeError, did_you_mean, in_a_line
from i2i.plugins.entry_points import entry_points_in, name_and_version
from i2i.registry import Entry, LayoutEntry, RecipeEntry, Registrar

GROUP = "i2i"
LOCAL = "local"
_NAMESPACE = re.compile(r"[a-z][a-z0-9-]*")
_Claim = tuple[str, str, str]
"""A distribution, its version, and the module that it gives a namespace."""

_MODULE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")


@dataclass(frozen=True)
class Plugin:
    """One plug-in: where it comes from and, once loaded, what it declares or why it failed."""

    namespace: str
    distribution: str
    version: str
    module: str
    loaded: bool = False
    disabled: bool = False
    api: int | None = None
    entries: tuple[Entry, ...] = ()
    recipes: tuple[RecipeEntry, ...] = ()
    benchmarks: tuple[RecipeEntry, ...] = ()
    layouts: tuple[LayoutEntry, ...] = ()
    error: str = ""

    @property
    def is_file(self) -> bool:
        """Whether it is a single file, which only those import who name it with `--plugin`."""
        return self.namespace == LOCAL


def discover(*, local: Path | None = None, environ: Mapping[str, str] = os.environ) -> list[Plugin]:
    """Find the installed plug-ins without importing any of them; `load` is given their records later.

    `local` is a Python file that becomes the plug-in ``local``; ``I2I_DISABLE=x,y`` in `environ`
    switches plug-ins off before they are imported. Raises RecipeError for a `local` that is no such file.
    """
    found: dict[str, set[_Claim]] = {}
    owners: dict[int, tuple[str, str]] = {}  # metadata is parsed anew whenever it is asked for
    for point in entry_points_in(GROUP).points:
        if id(point.dist) not in owners:
            owners[id(point.dist)] = name_and_version(point.dist)
        found.setdefault(point.name, set()).add((*owners[id(point.dist)], point.value))
    disabled = switched_off(environ)
    records = [_record(name, sorted(claims), disabled=name in disabled) for name, claims in found.items()]
    if local is not None:
        records = [record for record in records if record.namespace != LOCAL]
        records.append(Plugin(LOCAL, str(local), "file", _importable(local)))
    return records


def switched_off(environ: Mapping[str, str] = os.environ) -> set[str]:
    """Return the names that ``I2I_DISABLE`` holds."""
    return {name.strip() for name in environ.get("I2I_DISABLE", "").split(",")} - {""}


def _record(namespace: str, claims: list[_Claim], *, disabled: bool) -> Plugin:
    distribution, version, module = claims[0]
    record = Plugin(namespace, distribution, version, module, disabled=disabled)
    title = f"plug-in '{namespace}' ({distribution} {version})"
    if disabled:
        return record
    owners = sorted({(name, version) for name, version, _ in claims})
    if len(owners) > 1:
        names = " and ".join(f"{name} {version}" for name, version in owners)
        return replace(
            record,
            distribution=", ".join(name for name, _ in owners),
            version=", ".join(version for _, version in owners),
            error=f"two installed packages provide the plug-in '{namespace}': {names}. "
            f"Uninstall one, or set I2I_DISABLE={namespace}.",
        )
    if not _NAMESPACE.fullmatch(namespace) or namespace == LOCAL:
        reason = "the name is reserved" if namespace == LOCAL else "a name is [a-z][a-z0-9-]*"
        return replace(record, error=f"{title} is unusable: {reason}.")
    if len(claims) > 1:
        modules = " and ".join(f"'{value}'" for _, _, value in claims)
        return replace(record, error=f"{title} is unusable: its entry points name both {modules}.")
    if not _MODULE.fullmatch(module):
        example = module.partition(":")[0].strip() if ":" in module else f"i2i_{namespace.replace('-', '_')}"
        reason = f"its entry point '{module}' has to name a module alone, like '{example}'"
        return replace(record, error=f"{title} is unusable: {reason}.")
    return record


def load(record: Plugin) -> Plugin:
    """Import a plug-in's module and let it register: everything it declares, or nothing.

    Returns its record as it is then, with an `error` where that failed; as it was where there is nothing to
    do, because it is loaded, switched off or unusable.
    """
    if record.loaded or record.disabled or record.error:
        return record
    title = f"plug-in '{record.namespace}' ({record.distribution} {record.version})"
    try:
        with redirect_stdout(sys.stderr):  # stdout may be somebody's JSON
            module = importlib.import_module(record.module)
            api = getattr(module, "i2i_api", None)
            problem = _no_module(module) or _api_problem(api)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # pytest.skip raises one that is no Exception, and so does sys.exit
        reason = f"{title} could not be loaded: {in_a_line(error)}"
        return replace(record, loaded=True, error=reason)
    if problem:
        return replace(record, loaded=True, error=f"{title} {problem}")
    registrar = Registrar(
        record.namespace, module=record.module, distribution=record.distribution, version=record.version
    )
    try:
        with redirect_stdout(sys.stderr):
            _register(module, record.namespace, registrar)
    except I2IError as error:
        return replace(record, loaded=True, api=api, error=f"{title}: {error.problems[0].message}")
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        reason = f"{title} failed while registering: {in_a_line(error)}"
        return replace(record, loaded=True, api=api, error=reason)
    return replace(
        record,
        loaded=True,
        api=api,
        entries=tuple(registrar.entries),
        recipes=tuple(registrar.recipes),
        benchmarks=tuple(registrar.benchmarks),
        layouts=tuple(registrar.layouts),
    )


def _no_module(module: ModuleType) -> str:
    """Say that a folder without code was imported: what is left of a package imports, and holds nothing."""
    folders = list(getattr(module, "__path__", ()))
    if not folders or getattr(module, "__file__", None):
        return ""
    return (
        f"is not there: all that is left of '{module.__name__}' is the folder {folders[0]}; install it anew."
    )


def _api_problem(api: object) -> str:
    if api is None:
        return f"does not say which plug-in API it is for; add `i2i_api = {hookspecs.API}` to its module."
    if type(api) is not int:  # True is an int to isinstance
        return (
            f"does not say which plug-in API it is for: its i2i_api is of type {type(api).__name__}; write "
            f"`i2i_api = {hookspecs.API}`."
        )
    if api > hookspecs.API:
        return f"is for plug-in API {api}, this i2i speaks {hookspecs.API}: update i2i-toolkit."
    if api < hookspecs.OLDEST_API:
        return f"is for plug-in API {api}, this i2i speaks {hookspecs.OLDEST_API} and up: update the plug-in."
    return ""


def _register(module: ModuleType, namespace: str, registrar: Registrar) -> None:
    """Call the plug-in's hook through a manager of its own, so that a failure leaves nothing behind."""
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    manager.register(module, name=namespace)
    unknown = [name for name, hook in vars(manager.hook).items() if not hook.has_spec()]
    if unknown:
        raise PluginError(f"there is no hook '{unknown[0]}'{did_you_mean(unknown[0], ['i2i_register'])}")
    if not manager.hook.i2i_register.get_hookimpls():
        raise PluginError("it has no hook: decorate its function i2i_register with @i2i.hookimpl")
    for result in manager.hook.i2i_register(registry=registrar):
        if inspect.iscoroutine(result) or inspect.isgenerator(result):
            result.close()  # nothing of it has run
            raise PluginError("its function i2i_register is to be an ordinary one, without async or yield")


def _importable(path: Path) -> str:
    """Make the file importable under its own name, also in spawned worker processes."""
    path = path.expanduser().resolve()
    if not path.is_file() or path.suffix != ".py":
        raise RecipeError(f"--plugin {path}: there is no such Python file.")
    name = path.stem
    if not name.isidentifier() or not _is_free(name, path):
        raise RecipeError(f"--plugin {path}: '{name}' is not a free module name; rename the file.")
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    return name


def _is_free(name: str, path: Path) -> bool:
    """Whether importing `name` gives the file at `path`, or nothing yet."""
    try:
        spec = importlib.util.find_spec(name)
    except ValueError:  # __main__, say
        return False
    return spec is None or spec.origin == str(path)
