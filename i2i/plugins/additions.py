"""One more component for a package that is there: its module, its entry in the hook, and a recipe for it.

What the package has stays as it is, but for the lines that are added to the end of its `i2i_register`.
"""

from __future__ import annotations

import ast
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from string import Template
from typing import Any

from i2i.errors import RecipeError, ResourceError
from i2i.plugins.catalog import Catalog
from i2i.plugins.scaffold import Scaffold, component_of, declared_beside, template, words_of

HOOK = "i2i_register"


@dataclass(frozen=True)
class Package:
    """A plug-in's project: its folder, its namespace, and its entry module with the hook as it was read."""

    folder: Path
    namespace: str
    name: str
    entry: Path
    text: str
    hook: ast.FunctionDef

    @property
    def modules(self) -> Path:
        """The folder of its modules."""
        return self.entry.parent

    @property
    def registrar(self) -> str:
        """What the hook calls its argument."""
        return self.hook.args.args[0].arg

    def declares(self, method: str, name: str) -> bool:
        """Whether the hook declares `name` by this method of the registrar."""
        calls = [node for node in ast.walk(self.hook) if isinstance(node, ast.Call) and node.args]
        return any(
            isinstance(call.func, ast.Attribute)
            and call.func.attr == method
            and isinstance(call.args[0], ast.Constant)
            and call.args[0].value == name
            for call in calls
        )

    def declaring(self, lines: str) -> str:
        """Return the text of the entry module with `lines` added to the end of the hook."""
        last = self.hook.body[-1]
        written = self.text.splitlines(keepends=True)
        indent = " " * last.col_offset
        added = "".join(f"{indent}{line}\n" for line in lines.splitlines())
        end = last.end_lineno or len(written)
        if not written[end - 1].endswith("\n"):
            written[end - 1] += "\n"
        return "".join([*written[:end], added, *written[end:]])


def add(folder: Path, *, kind: str, name: str | None = None, catalog: Catalog) -> Scaffold:
    """Write one more component of `kind` into the package in `folder`, and return what was written.

    It is called `name`, or as the first component of its kind is. Raises RecipeError where there is no
    package with a hook, an unknown kind, or a name or file that is there already, ResourceError where it
    cannot be written; then nothing is changed.
    """
    component = component_of(kind, name)
    package = _read(folder)
    if component.method and package.declares("method", component.method[0]):
        component = replace(component, method=(f"{component.name}-method", *component.method[1:]))
    words = words_of(package.namespace, kind, component, package=package.name, recipe=component.name)
    if package.declares(words["method"], component.name):
        raise RecipeError(
            f"{package.entry} declares the {kind} '{component.name}' already: give another name with --name"
        )
    recipes = package.folder / "recipes"
    texts = {package.modules / f"{component.module}.py": _filled(f"kinds/{kind}.py.txt", words)}
    declared = _filled("package/entry.py.txt", {**words, "registry": package.registrar})
    declared += "".join(f"{line}\n" for line in declared_beside(component, package.name, package.registrar))
    note = ""
    if recipes.is_dir():
        texts[recipes / f"{component.name}.toml"] = _filled(f"kinds/{kind}.toml.txt", words)
        declared += _filled("package/recipe_entry.py.txt", {**words, "registry": package.registrar})
    else:
        note = f"{package.folder} has no folder recipes/, so no recipe was written"
    _write(texts, package, package.declaring(declared))
    made = tuple(sorted(str(path.relative_to(package.folder)) for path in (*texts, package.entry)))
    recipe = "" if note else component.name
    installed = catalog.record(package.namespace) is not None
    return Scaffold(package.folder, made, package.namespace, kind, words["ref"], recipe, note, installed)


def _filled(name: str, words: dict[str, str]) -> str:
    return Template(template(name)).substitute(words)


def _read(folder: Path) -> Package:
    """Read a package's project file and its hook, running nothing; RecipeError where one is missing."""
    project = folder / "pyproject.toml"
    points = _entry_points(project)
    if len(points) != 1:
        raise RecipeError(
            f"{project} has {len(points) or 'no'} entry points of the group i2i, and a plug-in has one: "
            "`i2i plugin new NAME` writes a package"
        )
    ((namespace, name),) = points.items()
    top = Path(*name.split("."))
    places = [base / form for base in (folder / "src", folder) for form in (top / "__init__.py", f"{top}.py")]
    entry = next((place for place in places if place.is_file()), None)
    if entry is None or entry.name != "__init__.py":
        raise RecipeError(f"{project} names the module '{name}', and {folder} holds no package of that name")
    text = entry.read_text(encoding="utf-8")
    try:
        body = ast.parse(text).body
    except SyntaxError as error:
        raise RecipeError(f"{entry}:{error.lineno}: {error.msg}") from None
    hooks = [node for node in body if isinstance(node, ast.FunctionDef) and node.name == HOOK]
    if not hooks or not hooks[0].args.args or hooks[0].body[-1].lineno == hooks[0].lineno:
        raise RecipeError(f"{entry} has no function {HOOK}(registry) that a component could be declared in")
    return Package(folder, namespace, name, entry, text, hooks[0])


def _entry_points(project: Path) -> dict[str, Any]:
    try:
        table = tomllib.loads(project.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RecipeError(f"{project} is not there: give the folder of a package, or go into it") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise RecipeError(f"{project} cannot be read: {error}") from error
    found = table.get("project", {}).get("entry-points", {}).get("i2i", {})
    return found if isinstance(found, dict) else {}


def _write(texts: dict[Path, str], package: Package, entry: str) -> None:
    """Write new files, and the entry module last; where that fails, take all back."""
    for path in texts:
        if path.exists():
            raise RecipeError(f"{path} is there already: give another name with --name")
    written = []
    try:
        for path, text in texts.items():
            written.append(path)
            path.write_text(text, encoding="utf-8", newline="\n")
        whole = package.entry.with_name(f"{package.entry.name}.new")
        written.append(whole)
        whole.write_text(entry, encoding="utf-8", newline="\n")
        whole.replace(package.entry)
    except OSError as error:
        for path in written:
            path.unlink(missing_ok=True)
        raise ResourceError(f"{package.folder} cannot be written: {error.strerror}.") from error
