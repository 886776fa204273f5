"""A new plug-in package: one component of any kind, a recipe that trains it, tests, and what goes with them.

The texts are files in `templates/plugin`, with ``$name`` where something is filled in; nothing else happens
to them.
"""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from string import Template

from i2i._version import __version__
from i2i.errors import RecipeError, ResourceError, did_you_mean
from i2i.hookspecs import API
from i2i.kinds import KINDS
from i2i.plugins.catalog import Catalog
from i2i.plugins.discovery import LOCAL
from i2i.plugins.doctor import OWN, one_edit
from i2i.registry import NAME

LONGEST_NAME = 40


@dataclass(frozen=True)
class Component:
    """What a scaffold's component is called, by recipes and in Python, and what it is in a few words.

    `method` are these three of a method that stands beside it: no other would make use of the component.
    """

    name: str
    factory: str
    summary: str
    method: tuple[str, str, str] | None = None

    @property
    def module(self) -> str:
        """The name of its module."""
        return self.name.replace("-", "_")


COMPONENTS: Mapping[str, Component] = {
    "generator": Component("net", "Net", "residual blocks at full size"),
    "discriminator": Component("judge", "Judge", "judges overlapping patches of 18 pixels"),
    "network": Component(
        "side-view",
        "SideView",
        "the target in small, seen in each feature of a generator",
        ("side-views", "SideViews", "a generator whose features have to show the target"),
    ),
    "paired-loss": Component("huber", "Huber", "squared where the difference is small, absolute where large"),
    "adversarial-loss": Component("margin", "Margin", "the hinge loss with a margin of one's own"),
    "feature-loss": Component("likeness", "Likeness", "the angle between features of fake and real"),
    "penalty": Component("flat-on-fakes", "FlatOnFakes", "a flat discriminator around fakes"),
    "data": Component("hills", "Hills", "heights in grey, and maps that are painted of them"),
    "transform": Component("gamma", "Gamma", "lighter or darker middle tones of the source"),
    "method": Component("head-start", "HeadStart", "a generator that learns alone for a while"),
    "metric": Component("rmse", "RMSE", "root mean square error, 0 to 1"),
    "callback": Component("trend", "Trend", "running averages of the losses, in a file"),
    "optimizer": Component("radam", "radam", "Adam that begins carefully"),
    "schedule": Component("warm-up", "WarmUp", "up in a straight line, then constant"),
    "executor": Component("one-by-one", "OneByOne", "each cell in a process of its own, one after another"),
}

PACKAGE: Mapping[str, str] = {
    "package/pyproject.toml.txt": "pyproject.toml",
    "package/README.md.txt": "README.md",
    "package/gitignore.txt": ".gitignore",
    "package/test.yml.txt": ".github/workflows/test.yml",
    "kinds/$kind.toml.txt": "recipes/$namespace.toml",
    "package/init.py.txt": "src/$package/__init__.py",
    "kinds/$kind.py.txt": "src/$package/$module.py",
    "package/test_contract.py.txt": "tests/test_contract.py",
}
"""Each template, and the file that is made of it."""


@dataclass(frozen=True)
class Scaffold:
    """A package as it was written: its folder, the files that were written in it, its component's reference.

    `recipe` is the name of the recipe that trains the component, empty where there is none; `installed` says
    that the package is known already. `note` is a remark, if there is one to make.
    """

    folder: Path
    files: tuple[str, ...]
    namespace: str
    kind: str
    ref: str
    recipe: str
    note: str = ""
    installed: bool = False

    def next_steps(self) -> list[tuple[str, str]]:
        """Return commands to go on with, each with its purpose."""
        steps = [(f"i2i plugin check {self.namespace}", "does it keep the contract?")]
        if not self.installed:
            install = f"pip install -e {_for_pip(self.folder)}"
            steps.insert(0, (install, "installs it; what you change counts at once"))
        recipe = _argument(self.folder / "recipes" / f"{self.recipe}.toml")
        if self.recipe and KINDS[self.kind].in_recipes:
            steps.append((f"i2i run {recipe} --steps 20", "does it train?"))
        elif self.recipe:
            swap = f"--swap losses.l1.weight=10,100 --seeds 1 --steps 20 --executor {self.ref}"
            steps.append((f"i2i bench {recipe} {swap}", "does it train the cells of a benchmark?"))
        return steps


def scaffold(namespace: str, *, kind: str, name: str | None = None, out: Path, catalog: Catalog) -> Scaffold:
    """Write the package ``i2i-NAMESPACE`` into the folder `out` and return what was written.

    The component is called `name`, or as the first one of its kind is. Raises RecipeError for a name that
    cannot be used, an unknown kind, or a folder that is there already,
    ResourceError when it cannot be written.
    """
    _check_name(namespace, catalog)
    component = component_of(kind, name)
    package = f"i2i_{namespace.replace('-', '_')}"
    words = words_of(namespace, kind, component, package=package, recipe=namespace)

    def filled(text: str) -> str:
        return Template(text.replace("    $more\n", words["more"])).substitute(words)

    texts = {filled(target): filled(template(filled(source))) for source, target in PACKAGE.items()}
    texts[f"src/{words['package']}/py.typed"] = ""
    folder = out / words["distribution"]
    _write(folder, texts)
    near = [own for own in OWN if one_edit(namespace, own)]
    note = f"'{namespace}' is one letter away from i2i's own plug-in '{near[0]}'" if near else ""
    return Scaffold(folder, tuple(sorted(texts)), namespace, kind, words["ref"], namespace, note)


def component_of(kind: str, name: str | None = None) -> Component:
    """Return what a new component of `kind` is called: `name`, or as the first one of its kind is.

    Raises RecipeError where there is no such kind, or for a name that cannot be one.
    """
    if kind not in COMPONENTS:
        known = ", ".join(COMPONENTS)
        raise RecipeError(
            f"--kind {kind}: there is no such kind{did_you_mean(kind, COMPONENTS)}; kinds: {known}"
        )
    if name is None:
        return COMPONENTS[kind]
    if not NAME.fullmatch(name):
        raise RecipeError(f"--name {name}: use lower-case words joined by '-', like 'small-net'")
    return replace(COMPONENTS[kind], name=name)


def words_of(namespace: str, kind: str, component: Component, *, package: str, recipe: str) -> dict[str, str]:
    """Return what is filled into templates, by name."""
    return {
        "namespace": namespace,
        "distribution": f"i2i-{namespace}",
        "package": package,
        "kind": kind,
        "method": kind.replace("-", "_"),
        "component": component.name,
        "module": component.module,
        "factory": component.factory,
        "summary": component.summary,
        "ref": f"{namespace}/{component.name}",
        "beside": component.method[0] if component.method else "",
        "more": "".join(f"    {line}\n" for line in declared_beside(component, package, "registry")),
        "recipe": recipe,
        "api": str(API),
        "i2i": f">={'.'.join(__version__.split('.')[:2])}",
    }


def declared_beside(component: Component, package: str, registry: str) -> list[str]:
    """Return the lines that declare the method beside a component, if there is one."""
    if component.method is None:
        return []
    name, factory, summary = component.method
    target = f"{package}.{component.module}:{factory}"
    return [f"{registry}.method(", *(f'    "{text}",' for text in (name, target, summary)), "    rev=1,", ")"]


def template(name: str) -> str:
    """Return the text of a template by its path."""
    return files("i2i.plugins").joinpath("templates", name).read_text(encoding="utf-8")


def _check_name(namespace: str, catalog: Catalog) -> None:
    if not NAME.fullmatch(namespace) or len(namespace) > LONGEST_NAME:
        raise RecipeError(
            f"'{namespace}' cannot name a plug-in: use lower-case words joined by '-', like 'my-nets', of at "
            f"most {LONGEST_NAME} characters"
        )
    if namespace.startswith("i2i-"):
        plain = namespace.removeprefix("i2i-")
        raise RecipeError(f"'{namespace}' is a package's name; give the namespace alone: {plain}")
    if namespace in (LOCAL, "i2i", "toolkit"):
        raise RecipeError(f"'{namespace}' is a name that i2i keeps for itself; choose another")
    if namespace in OWN:
        raise RecipeError(f"'{namespace}' is the name of one of i2i's own plug-ins; choose another")
    record = catalog.record(namespace)
    if record is not None:
        raise RecipeError(
            f"there is a plug-in '{namespace}' already ({record.distribution} {record.version}); choose "
            "another name, for two packages cannot share one"
        )


def _write(folder: Path, texts: Mapping[str, str]) -> None:
    """Write all files into a new folder, or none."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir()
    except OSError as error:
        if os.path.lexists(folder):  # a link that leads nowhere is there too
            message = f"{folder} is there already; choose another name, or another --out"
            raise RecipeError(message) from None
        if os.path.isfile(folder.parent):  # Path.is_file raises for a name that is too long
            raise ResourceError(f"{folder} cannot be made: {folder.parent} is a file.") from error
        raise ResourceError(f"{folder} cannot be made: {error.strerror}.") from error
    try:
        for name, text in texts.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise ResourceError(f"{folder} cannot be written: {error.strerror}.") from error


def _for_pip(folder: Path) -> str:
    """Return a folder so that pip takes it for one, and a shell for one word."""
    plain = str(folder)
    return shlex.quote(plain if folder.is_absolute() or plain.startswith(".") else f"./{plain}")


def _argument(path: Path) -> str:
    """Return a path so that a shell takes it for one word, and a command for no option."""
    return shlex.quote(f"./{path}" if str(path).startswith("-") else str(path))
