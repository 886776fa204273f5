"""Looking at all of a data set before it is trained on: what is there, and what cannot be used.

Every item of every split is read, as training would read it; any data set will do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

from i2i.building.blame import components_blamed
from i2i.data.advice import size_problem, value_remark
from i2i.data.belonging import Belonging
from i2i.data.duplicates import Doubles
from i2i.data.extra import extra_of
from i2i.data.inspection import Finding, ImageFacts, inspect
from i2i.data.opening import check_alike, open_as_it_is
from i2i.errors import DataError, MissingSplitError, NoUsablePairError, Problem
from i2i.kinds import Data, ImageSpec, PairSpec, Side, Split
from i2i.recipe.recipe import Recipe

Watch = Callable[[Iterable[Finding], int, str], Iterable[Finding]]
"""Shows the progress of an iteration: what is iterated, its length, and a word on it."""


@dataclass
class SideReport:
    """The images of one side of a split: how many there are of each kind and size, and their values.

    Of a side of several files `parts` tells the same of each, by its name.
    """

    spec: ImageSpec
    kinds: Counter[str] = field(default_factory=Counter)
    sizes: Counter[str] = field(default_factory=Counter)
    least: float = float("inf")
    most: float = float("-inf")
    parts: Mapping[str, SideReport] = field(default_factory=dict)

    @classmethod
    def of(cls, spec: ImageSpec) -> SideReport:
        """Return the report on a side of `spec` before any image is counted in."""
        files = zip(spec.parts, spec.files, strict=True) if spec.parts else ()
        return cls(spec, parts={part.name: cls(file) for part, file in files})

    def add(self, image: ImageFacts) -> None:
        """Count an image in."""
        self.kinds[f"{image.channels} x {image.depth}"] += 1
        self.sizes[f"{image.width}x{image.height}"] += 1
        self.least, self.most = min(self.least, image.least), max(self.most, image.most)
        for report, part in zip(self.parts.values(), image.parts, strict=True):
            report.add(part)

    def record(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "kinds": dict(self.kinds),
            "sizes": dict(self.sizes.most_common()),
            "values": [self.least, self.most] if self.sizes else None,
            "range": [self.spec.low, self.spec.high],
            "classes": self.spec.channels if self.spec.one_hot else None,
            **({"parts": {name: part.record() for name, part in self.parts.items()}} if self.parts else {}),
        }


@dataclass
class SplitReport:
    """One split: how many pairs it has, how many of them can be used, and what is on each side."""

    pairs: int
    sides: Mapping[Side, SideReport]
    usable: int = 0


@dataclass
class DataReport:
    """A whole data set; each problem comes with the split it is in, if it is known."""

    ref: str
    layout: str = ""
    splits: dict[Split, SplitReport] = field(default_factory=dict)
    problems: list[tuple[str, Problem]] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    trainable: bool = True
    """Whether what is left without the problems of single pairs can be trained on."""
    fields: dict[str, str] = field(default_factory=dict)
    """What each further field of the items is."""
    aligned: bool = True
    """Whether each target belongs to its source."""

    def add(self, split: str, problems: Iterable[Problem]) -> None:
        """Take in problems; one that several splits share counts once."""
        known = {problem for _, problem in self.problems}
        self.problems += [(split, problem) for problem in problems if problem not in known]

    def record(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "data": self.ref,
            "layout": self.layout,
            "aligned": self.aligned,
            "fields": self.fields,
            "splits": {
                split: {
                    "pairs": report.pairs,
                    "usable": report.usable,
                    **{side: images.record() for side, images in report.sides.items()},
                }
                for split, report in self.splits.items()
            },
            "problems": [
                {"split": split, "file": p.file, "line": p.line, "message": p.message, "hint": p.hint}
                for split, p in self.problems
            ],
            "remarks": self.remarks,
        }


def check(recipe: Recipe, *, watch: Watch = lambda findings, total, word: findings) -> DataReport:
    """Read all of a recipe's data and return what was found.

    Raises DataError when no split can be opened at all, PluginError when the data set itself fails.
    """
    with components_blamed(recipe):
        return _checked(recipe, watch)


def _checked(recipe: Recipe, watch: Watch) -> DataReport:
    report = DataReport(recipe.data.entry.ref)
    failures: list[DataError] = []
    doubles = Doubles()
    trained: PairSpec | None = None
    for split in get_args(Split):
        try:
            data = open_as_it_is(recipe, split)
        except MissingSplitError as error:
            failures.append(error)
            report.remarks.append(f"no {split}: {_sentence(error.problems[0])}")
        except DataError as error:
            failures.append(error)
            report.add(split, error.problems)
            report.trainable = False
            if isinstance(error, NoUsablePairError):
                report.splits[split] = SplitReport(error.pairs, {})
        else:
            report.layout = getattr(data, "layout", "")
            report.add(split, getattr(data, "problems", ()))
            report.remarks += [text for text in getattr(data, "notes", ()) if text not in report.remarks]
            findings = watch(inspect(data), len(data), split)
            report.splits[split] = _read(recipe, data, split, findings, report, doubles)
            trained = trained or data.spec  # the training split comes first
            report.aligned &= data.spec.aligned
            report.fields |= {name: said.what for name, said in extra_of(data).items()}
            try:
                check_alike(trained, data.spec, split=split)
            except DataError as error:
                report.add(split, error.problems)
                report.trainable = False
    if not report.splits:
        raise next((error for error in failures if not isinstance(error, MissingSplitError)), failures[0])
    report.remarks += doubles.remarks()
    return report


def _read(
    recipe: Recipe,
    data: Data,
    split: Split,
    findings: Iterable[Finding],
    report: DataReport,
    doubles: Doubles,
) -> SplitReport:
    sides: tuple[Side, Side] = get_args(Side)
    found = SplitReport(len(data), {side: SideReport.of(data.spec.side(side)) for side in sides})
    sizes, belonging = set(), Belonging(data.spec.aligned)
    for finding in findings:
        report.add(split, finding.problems)
        if finding.source and finding.target:
            found.usable += 1
            found.sides["source"].add(finding.source)
            found.sides["target"].add(finding.target)
            sizes.add((finding.source.size, finding.target.size))
            doubles.add(split, finding.id, b"".join(finding.digests), finding.looks)
            belonging.add(finding.digests, finding.edges)
    report.remarks += [f"{split}: {remark}" for remark in belonging.remarks()]
    if problem := size_problem(recipe, data.spec, sizes):
        report.add(split, [problem])
        report.trainable = False
    report.trainable &= found.usable > 0
    for side, images in found.sides.items():
        for part, own in images.parts.items() or [("", images)]:
            if remark := value_remark(recipe, side, own.spec, own.least, own.most, part=part):
                report.remarks.append(f"{split}: {remark}")
    return found


def _sentence(problem: Problem) -> str:
    return f"{problem.message} ({problem.hint})" if problem.hint else problem.message
