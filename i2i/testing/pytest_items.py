"""The checks as pytest items: one for each check of each component, under a readable name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from i2i.errors import PluginError, did_you_mean
from i2i.plugins.catalog import Catalog
from i2i.testing.examination import Examination, examine_plugin, find_entry
from i2i.testing.subjects import PluginSubject, Subject

if TYPE_CHECKING:
    import pytest

ByName = Mapping[str, Any]


def parametrize_components(
    *refs: str, params: Mapping[str, Any] = {}, expected_failures: Mapping[str, Any] = {}
) -> pytest.MarkDecorator:
    """Return a decorator that runs a test once for each check of each component in `refs`.

    The test takes `check` and calls it::

        @parametrize_components("shiny/net", params={"width": 4})
        def test_contract(check):
            check()

    A reference is ``shiny/net``; ``generator shiny/net`` where two kinds share the name; or ``shiny/*``, the
    plug-in itself and all of its components. `params` is a component's table in a recipe without `use`, and
    `expected_failures` maps a check to the reason why it fails; for several components both go by reference:
    ``params={"shiny/net": {"width": 4}}``. What is only known within a test, such as a folder, is given
    there: ``check(root=tmp_path)``; ``check.component`` and ``check.name`` tell items apart.

    Items are called ``shiny/net-gradient-everywhere``. One that waits for another check, or for something
    that is not here, is skipped with the reason; an expected failure is an xfail, and fails if it passes.
    """
    import pytest

    if not refs:
        raise PluginError(
            "there is nothing to check: name components, as in parametrize_components('shiny/*')"
        )
    for what, table in (("params", params), ("expected_failures", expected_failures)):
        _check_names(what, table, refs)
    items = [
        pytest.param(Item(title, name, examinations), id=f"{title}-{name}")
        for title, examinations in _examined(refs, params, expected_failures)
        for name in examinations.names
    ]
    return pytest.mark.parametrize("check", items)


def _examined(refs: tuple[str, ...], params: ByName, expected: ByName) -> Iterator[tuple[str, _Examinations]]:
    """Yield what `refs` name, each under the name that its items go by."""
    catalog = Catalog.installed()
    for ref in refs:
        namespace, _, name = ref.partition("/")
        if name != "*":
            subject = Subject(find_entry(catalog, ref), catalog, _of(params, ref))
            yield ref, _Examinations(Examination(subject, _of(expected, ref)))
            continue
        for examination in examine_plugin(
            namespace,
            params=_within(params, namespace),
            expected_failures=_within(expected, namespace),
            catalog=catalog,
        ):
            yield _title(examination.subject), _Examinations(examination)


def _check_names(what: str, table: Any, refs: tuple[str, ...]) -> None:
    """Raise PluginError where a table cannot be meant as it is written, rather than leave it unread."""
    if not isinstance(table, Mapping):
        raise PluginError(f"`{what}` is a {type(table).__name__}: make it a mapping from names to values")
    spaces = {ref.partition("/")[0].split()[-1] for ref in refs if ref.endswith("/*")}
    by_ref = any("/" in name for name in table)
    for name in table:
        known = name in refs or name.split()[-1].partition("/")[0] in spaces
        if (by_ref and not known) or (spaces and not known):
            raise PluginError(
                f"`{what}` has '{name}', which is none of {', '.join(refs)}: where there are several "
                "components, it "
                f"goes by reference{did_you_mean(name, refs)}"
            )


def _of(table: ByName, ref: str) -> ByName:
    """Return what a table says of `ref`: all of it, unless it goes by reference."""
    own: ByName = table.get(ref, {}) if any("/" in name for name in table) else table
    return own


def _within(table: ByName, namespace: str) -> ByName:
    """Return what a table says of one plug-in and its components."""
    return {name: value for name, value in table.items() if name.split()[-1].split("/")[0] == namespace}


def _title(subject: Subject | PluginSubject) -> str:
    if isinstance(subject, PluginSubject):
        return subject.plugin.namespace
    entry = subject.entry
    entries = subject.catalog.plugin(entry.namespace, wanted=entry.ref).entries
    alone = sum(other.name == entry.name for other in entries) == 1
    return entry.ref if alone else f"{entry.kind} {entry.ref}"


class _Examinations:
    """One component, examined with the parameters of its decorator, and with others that a test adds."""

    def __init__(self, examination: Examination) -> None:
        self._first = examination
        self._others: dict[str, Examination] = {}
        self.names = list(examination.checks)

    def having(self, params: ByName) -> Examination:
        """Return the examination with more `params`; each is made once."""
        subject = self._first.subject
        if not params or isinstance(subject, PluginSubject):
            return self._first
        key = repr(sorted(params.items()))
        if key not in self._others:
            more = Subject(subject.entry, subject.catalog, {**subject.params, **params})
            self._others[key] = Examination(more, self._first.expected)
        return self._others[key]


class Item:
    """One check of one component: what the test calls, knowing the names of both."""

    def __init__(self, component: str, name: str, examinations: _Examinations) -> None:
        self.component, self.name = component, name
        self._examinations = examinations

    def __call__(self, **params: Any) -> None:
        """Run the check, with `params` added to those of the decorator."""
        import pytest

        outcome = self._examinations.having(params).outcome(self.name)
        if outcome.status == "not run":
            pytest.skip(outcome.sentence)
        if outcome.status == "expected":
            pytest.xfail(outcome.sentence)
        if outcome.status == "failed":
            pytest.fail(f"{outcome.component}, {outcome.check}: {outcome.sentence}", pytrace=False)
