"""Running the checks: of one component, or of a whole plug-in.

A check that needs another which did not pass is not run. What a component raises becomes a sentence.
"""

from __future__ import annotations

import sys
import time
import traceback
import warnings
from collections.abc import Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from i2i.errors import I2IError, PluginError, ResourceError, did_you_mean
from i2i.kinds import KINDS
from i2i.plugins.catalog import CORE, Catalog, split_ref
from i2i.registry import Entry
from i2i.testing.checks import CHECKS
from i2i.testing.outcomes import Broken, Check, Outcome, Status, told
from i2i.testing.subjects import PluginSubject, Subject
from i2i.testing.surroundings import preserved


class Examination:
    """All checks of one subject, each run at most once, when it is asked for.

    `expected` maps the checks that fail for a good reason to that reason. Raises PluginError where it names
    a check that does not apply.
    """

    def __init__(self, subject: Subject | PluginSubject, expected: Mapping[str, str]) -> None:
        self.checks = {name: check for name, check in CHECKS.items() if subject.kind in check.kinds}
        if not isinstance(expected, Mapping):
            raise PluginError(
                f"what {subject.title} is expected to fail is a {type(expected).__name__}: map each check "
                "to a reason"
            )
        for name in expected.keys() - self.checks.keys():
            close = did_you_mean(name, self.checks)
            raise PluginError(
                f"{subject.title} cannot be expected to fail the check '{name}': it has none of that "
                f"name{close}"
            )
        for name, reason in expected.items():
            if not isinstance(reason, str) or not reason.strip():
                raise PluginError(
                    f"{subject.title} is expected to fail '{name}' without a reason: say why in a sentence"
                )
        self.subject, self.expected = subject, expected
        self._outcomes: dict[str, Outcome] = {}

    def outcomes(self) -> list[Outcome]:
        """Run everything and return what came of it, in order."""
        return [self.outcome(name) for name in self.checks]

    def outcome(self, name: str) -> Outcome:
        """Return what came of one check, after those that it needs."""
        if name not in self._outcomes:
            self._outcomes[name] = self._outcome(self.checks[name])
        return self._outcomes[name]

    def _outcome(self, check: Check) -> Outcome:
        for needed in check.needs:
            if needed in self.checks and self.outcome(needed).status != "passed":
                sentence = f"it needs '{needed}', which has not passed"
                return Outcome(self.subject.title, check.name, "not run", sentence)
        begun = time.perf_counter()
        status, sentence = self._judged(check)
        return Outcome(self.subject.title, check.name, status, sentence, time.perf_counter() - begun)

    def _judged(self, check: Check) -> tuple[Status, str]:
        try:
            sentence = _sentence(check, self.subject)
        except ResourceError as error:
            return "not run", _one_line(error)
        reason = self.expected.get(check.name)
        if reason is None:
            return ("failed", sentence) if sentence else ("passed", "")
        if sentence:
            return "expected", reason
        return "failed", f"it passes, and was expected to fail ({reason}): take that expectation out"


def check_component(
    ref: str,
    *,
    kind: str | None = None,
    params: Mapping[str, Any] = {},
    expected_failures: Mapping[str, str] = {},
    catalog: Catalog | None = None,
) -> list[Outcome]:
    """Run every check that applies to the component `ref`, built with `params`, and return the outcomes.

    `kind` is needed where two kinds have a component of that name. `expected_failures` maps a check to the
    reason why this component fails it; when it passes after all, that is a failure too.

    Raises PluginError or RecipeError when there is no such component.
    """
    catalog = catalog or Catalog.installed()
    subject = Subject(find_entry(catalog, ref, kind), catalog, params)
    return Examination(subject, expected_failures).outcomes()


def check_plugin(
    namespace: str,
    *,
    params: Mapping[str, Mapping[str, Any]] = {},
    expected_failures: Mapping[str, Mapping[str, str]] = {},
    catalog: Catalog | None = None,
) -> list[Outcome]:
    """Run every check of the plug-in and of each of its components, and return the outcomes.

    `params` and `expected_failures` are by reference (``shiny/net``, or ``generator shiny/net`` where two
    kinds share the name); what the plug-in itself is expected to fail is under its namespace.

    Raises PluginError when no such plug-in is installed.
    """
    examinations = examine_plugin(
        namespace, params=params, expected_failures=expected_failures, catalog=catalog
    )
    return [outcome for examination in examinations for outcome in examination.outcomes()]


def examine_plugin(
    namespace: str,
    *,
    params: Mapping[str, Mapping[str, Any]] = {},
    expected_failures: Mapping[str, Mapping[str, str]] = {},
    catalog: Catalog | None = None,
) -> list[Examination]:
    """Return the examination of the plug-in itself, and one for each of its components."""
    catalog = catalog or Catalog.installed()
    record = catalog.record(namespace)
    if record is None or record.disabled:
        catalog.plugin(namespace, wanted=namespace)
    plugin = catalog.load(namespace)
    titles = {title for entry in plugin.entries for title in (entry.ref, f"{entry.kind} {entry.ref}")}
    for name in {*params, *expected_failures} - titles - {namespace}:
        raise PluginError(f"plug-in '{namespace}' has no component '{name}'{did_you_mean(name, titles)}")
    examinations = [Examination(PluginSubject(plugin, catalog), expected_failures.get(namespace, {}))]
    for entry in sorted(plugin.entries, key=lambda entry: list(KINDS).index(entry.kind)):
        subject = Subject(entry, catalog, _for(entry, params))
        examinations.append(Examination(subject, _for(entry, expected_failures)))
    return examinations


def find_entry(catalog: Catalog, ref: str, kind: str | None = None) -> Entry:
    """Return the component `ref` of `kind`, or of whatever kind has it.

    ``"generator shiny/net"`` names the kind as well. Raises PluginError where two kinds have that name.
    """
    if " " in ref:
        kind, _, ref = ref.partition(" ")
    if kind is not None:
        return catalog.get((kind,), ref)
    namespace, name = split_ref(ref)
    found = [entry for entry in catalog.plugin(namespace, wanted=ref).entries if entry.name == name]
    if len(found) > 1:
        kinds = " and a ".join(entry.kind for entry in found)
        raise PluginError(f"'{ref}' is a {kinds}: say which, as '{found[0].kind} {ref}'")
    if not found:
        known = [entry.name for entry in catalog.plugin(namespace, wanted=ref).entries]
        raise PluginError(f"plug-in '{namespace}' has no component '{name}'{did_you_mean(name, known)}")
    return found[0]


def _for(entry: Entry, table: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
    return table.get(f"{entry.kind} {entry.ref}", table.get(entry.ref, {}))


def _sentence(check: Check, subject: Subject | PluginSubject) -> str:
    """Run one check and return what is wrong, or nothing; the process stays as it was.

    Raises ResourceError where the component cannot have what it needs here, such as a file of weights.
    """
    with preserved(), warnings.catch_warnings(), redirect_stdout(sys.stderr):
        warnings.simplefilter("ignore")
        try:
            check.run(subject)
        except ResourceError:
            raise  # what is not there says nothing about the component
        except Broken as broken:
            return str(broken)
        except (Exception, SystemExit) as error:
            return _told(error, subject)
    return ""


def _told(error: BaseException, subject: Subject | PluginSubject) -> str:
    """Say of an exception what it is and where it came from, in one line."""
    if isinstance(error, I2IError):
        return _one_line(error)
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if _belongs(frame.filename, subject)]
    spot = (own or frames)[-1]
    where = f"{Path(spot.filename).name}:{spot.lineno}, in {spot.name}"
    return f"it raised {told(error)} ({where})"


def _one_line(error: I2IError) -> str:
    return " ".join(error.problems[0].render().split())


def _belongs(filename: str, subject: Subject | PluginSubject) -> bool:
    """Whether a source file is part of the plug-in of `subject`."""
    if isinstance(subject, PluginSubject):
        return False
    module = subject.entry.target.partition(":")[0]
    packages = module.split(".")
    # The engine's own package is not a component's, so of core only the sub-package counts.
    top = ".".join(packages[:2] if subject.entry.namespace == CORE else packages[:1])
    found = sys.modules.get(top)
    file = getattr(found, "__file__", None)
    if file is None:
        return False
    path = Path(file)
    return Path(filename) == path or (
        path.name == "__init__.py" and Path(filename).is_relative_to(path.parent)
    )
