"""A trained model scored on a split of its data: figures, each image's own, and what they mean.

The model runs with the test settings of its file, as `i2i translate` runs it; in float32, unless told not to.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from statistics import stdev
from typing import Any, Literal

from torch import Tensor

from i2i.building.blame import components_blamed
from i2i.building.data_needs import unmet_fields
from i2i.data import stream
from i2i.data.extra import extra_of
from i2i.data.fingerprint import differences, fingerprint
from i2i.data.opening import Note, open_data, quiet
from i2i.data.views import seen_by
from i2i.engine.part_metrics import build_metrics
from i2i.engine.scoring import Scorer, Scores, definition, directions
from i2i.errors import DataError, MissingSplitError, RecipeError
from i2i.images import resizing
from i2i.kinds import Batch, Data, Direction, ImageSpec, Scale, Side, Split
from i2i.models.averaging import PASSES
from i2i.models.trained import Trained
from i2i.models.translate import Model, load_model, translate
from i2i.pages.numbers import Against, against_copying
from i2i.plugins.catalog import Catalog
from i2i.recipe.recipe import Recipe
from i2i.system.device import resolve

HALVED = "The model computed in bf16: compare these figures with others of bf16."

Watch = Callable[[Iterable[Batch], int, str], Iterable[Batch]]
"""Passes batches on and shows how far they have come: (batches, how many, what they are for)."""


@dataclass(frozen=True)
class Figure:
    """One figure of a split.

    `deviation` is the standard deviation over images (n - 1), None where a figure is of the whole set;
    `copy_input` what the source scores as an answer, None where shapes do not allow it; `better` which
    way is better, None for a figure to compare others with; `against_copying` how it stands to copying.
    """

    mean: float
    deviation: float | None
    n: int
    copy_input: float | None
    better: Direction | None
    against_copying: Against | None


@dataclass(frozen=True)
class Evaluation:
    """What was scored, how, and what came out; `definitions` are by the metric's name in the recipe.

    `generator` is the name of what was scored, `test` has the test keys that were chosen in place of the
    file's. At the `scale` "own" pairs were scored whole, at their own size, and otherwise at that of the
    data. `passes` says how pictures went through the network where that was otherwise than as a whole, once.
    """

    model: str
    generator: str
    test: Mapping[str, Any]
    split: Split
    seed: int
    precision: Literal["fp32", "bf16"]
    draws: Mapping[str, int]
    image: ImageSpec
    scale: Scale
    figures: Mapping[str, Figure]
    definitions: Mapping[str, str]
    scores: Scores
    copied: Scores
    credit: str
    notes: tuple[str, ...]
    passes: Mapping[str, int] = field(default_factory=dict)

    def csv(self) -> str:
        """Return a row for each image: its figures, then how each of them stands to copying its input."""
        stand = {
            f"{name}_against_copying": [
                against_copying(value, copy, self.figures[name].better) or ""
                for value, copy in zip(own, self.copied.images[name], strict=True)
            ]
            for name, own in self.scores.images.items()
            if name in self.copied.images and name in self.figures
        }
        return self.scores.csv(beside=stand)

    def record(self) -> dict[str, Any]:
        """Return all but the images' own figures as JSON values; what is not finite becomes None."""
        return {
            "model": self.model,
            "generator": self.generator,
            "test": dict(self.test),
            "split": self.split,
            "images": len(self.scores.ids),
            "size": list(self.image.size) if self.scale == "shrunk" else None,
            "scale": self.scale,
            "depth": _depth(self.image),
            "resize": resizing.PLAIN,
            "seed": self.seed,
            "precision": self.precision,
            "draws": dict(self.draws),
            **({"passes": dict(self.passes)} if self.passes else {}),
            "figures": {
                name: {key: _json(value) for key, value in asdict(figure).items()}
                for name, figure in self.figures.items()
            },
            "definitions": dict(self.definitions),
            **({"credit": self.credit} if self.credit else {}),
        }


def evaluate_trained(
    trained: Trained,
    *,
    split: Split,
    catalog: Catalog,
    device: str = "auto",
    draws: int | None = None,
    precision: Literal["fp32", "bf16"] = "fp32",
    test: Mapping[str, Any] = {},
    norm: Literal["batch", "running"] | None = None,
    dropout: bool | None = None,
    tile: int | None = None,
    overlap: int | None = None,
    tta: bool = False,
    note: Note = quiet,
    watch: Watch = lambda batches, count, what: batches,
) -> Evaluation:
    """Score a trained model on one split with the metrics of its recipe; `draws` overrides theirs.

    It is scored on the side that its generator writes. `test`, `norm` and `dropout` are those of
    `load_generator`, `tile`, `overlap` and `tta` those of `Model.answering`. With the `precision` "bf16" the
    model computes in half the bits wherever torch's autocast does so, and a note says so: such figures are
    compared with others of the kind.

    Raises RecipeError when there is no metric, DataError when the data does not fit the model or is too few
    images for a metric, PluginError when a metric or the data set fails.
    """
    recipe = trained.recipe
    short: dict[str, Any] = {"norm": norm, "dropout": dropout}
    settings = recipe.data.settings
    runtime = resolve(device, "fp32")
    if not recipe.section("metrics"):
        raise RecipeError(f"there is no metric to score {trained.path} with: add one, like --metric mae.")
    metrics = build_metrics(recipe, trained.header.generator(path=trained.path)[0])
    directions(metrics)  # refused before anything is opened
    try:
        data = open_data(recipe, split, note, cache=True)
    except MissingSplitError as error:
        another = "--split scores another; sources without targets are for i2i translate"
        raise MissingSplitError(
            *(replace(p, hint=f"{p.hint}; {another}" if p.hint else another) for p in error.problems)
        ) from error
    paired = _of_pairs(recipe) if not data.spec.aligned else ()
    metrics = {name: metric for name, metric in metrics.items() if name not in paired}
    slots = [slot for slot in recipe.section("metrics") if slot.name in metrics]
    if not metrics:
        raise RecipeError(
            f"{', '.join(paired)}: each compares a translation with its own target, and "
            f"{recipe.data.entry.ref} has no pairs: add a metric of whole sets, like --metric fid."
        )
    if unmet := [problem for slot in slots for problem in unmet_fields(slot, extra_of(data))]:
        raise RecipeError(*unmet)
    with runtime.active(), components_blamed(recipe):
        model = load_model(trained.path, device=runtime.device, catalog=catalog, test=test, **short)
        model = model.answering(tile=tile, overlap=overlap, tta=tta)
        check_fit(model, data, trained)
        others = _other_data(trained, split, data)
        drawn = {slot.name: draws or slot.settings.draws for slot in slots}
        role = trained.header.role
        spec = data.spec.seen_by(role)
        scorer = Scorer(metrics, spec, runtime, seed=recipe.seed, draws=drawn)
        scorer.check_count(split, len(data))
        if scorer.unprepared:
            train = seen_by(role, open_data(recipe, "train", note, cache=True))
            for name, metric in scorer.unprepared.items():
                note(f"{name} prepares itself on the training split.")
                metric.prepare(train)
        scale = trained.header.scale or "shrunk"

        def batches(what: str) -> Iterable[Batch]:
            count = -(-len(data) // settings.batch_size)
            found = stream.held_out_batches(data, settings, scale=scale)
            return watch((batch.seen_by(role) for batch in found), count, what)

        copied = scorer.copy_input(batches("copying the input"))
        halved = replace(runtime, precision=precision)

        def answer(source: Tensor) -> Tensor:
            with halved.autocast():
                return translate(model, source)

        scores = scorer.score(answer, batches("translating"))
    tiling = model.tiling
    assert tiling is not None
    return Evaluation(
        model=str(trained.path),
        generator=trained.header.name,
        test={**{f"test_{key}": value for key, value in short.items() if value is not None}, **test},
        split=split,
        seed=recipe.seed,
        precision=precision,
        draws=drawn,
        image=spec.target,
        scale=scale,
        figures=_figures(scores, copied, scorer.directions),
        definitions={name: definition(metric) for name, metric in metrics.items()},
        scores=scores,
        copied=copied,
        credit=getattr(data, "credit", ""),
        notes=(
            *model.notes,
            *tiling.notes(),
            *others,
            *_left_out(paired),
            *([HALVED] if precision == "bf16" else []),
        ),
        passes=({"tta": PASSES} if tta else {})
        | ({"tile": tiling.side, "overlap": tiling.cut.overlap} if tiling.pictures else {}),
    )


def _of_pairs(recipe: Recipe) -> tuple[str, ...]:
    """Return the names of the metrics that compare each translation with its own target."""
    return tuple(
        slot.name for slot in recipe.section("metrics") if "pairs" in getattr(slot.factory, "requires", {})
    )


def _left_out(paired: Sequence[str]) -> list[str]:
    """Return a note that metrics of pairs were left out, if any were."""
    told = f"Left out, as these data have no pairs that could be compared: {', '.join(paired)}."
    return [told] if paired else []


def check_fit(model: Model, data: Data, trained: Trained) -> None:
    """Raise DataError when the images of a data set have other channels than the model's, or other parts."""
    role = trained.header.role
    seen = data.spec.seen_by(role)
    told = {"source": " and ".join(role.sides), "target": role.writes}
    sides: tuple[Side, Side] = ("source", "target")
    for side in sides:
        has, wants = seen.side(side).channels, model.spec.side(side).channels
        if has != wants:
            raise DataError(
                f"{trained.path} was trained with {wants} channels on the {told[side]} side, and "
                f"{trained.recipe.data.entry.ref} has {has} there: give it the kind of data it knows."
            )
        own, theirs = (spec.side(side) for spec in (model.spec, seen))
        if own.parts and theirs.parts and not _same_parts(own, theirs):
            known, given = (", ".join(part.name for part in spec.parts) for spec in (own, theirs))
            raise DataError(
                f"{trained.path} was trained with a {side} of {known}, and {trained.recipe.data.entry.ref} "
                f"has {given} there: give the parts in the order that it knows."
            )


def _same_parts(one: ImageSpec, other: ImageSpec) -> bool:
    """Whether parts can stand for each other: of as many channels each, and not the same in another order."""
    names, others = ([part.name for part in spec.parts] for spec in (one, other))
    kinds, theirs = ([(file.channels, file.one_hot) for file in spec.files] for spec in (one, other))
    return kinds == theirs and (names == others or set(names) != set(others))


def _other_data(trained: Trained, split: Split, data: Data) -> list[str]:
    """Return a note where the model was trained beside other data under this name."""
    seen = trained.header.provenance.get("data")
    before = seen.get(split) if isinstance(seen, Mapping) else None
    if not isinstance(before, Mapping) or not isinstance(before.get("pairs"), int):
        return []  # an older model, or a split that training did not open
    now = fingerprint(data, contents="contents" in before)
    told = differences({split: before}, {split: now})
    return [f"These are not the data of the training: {'; '.join(told)}."] if told else []


def _figures(scores: Scores, copied: Scores, ways: Mapping[str, Direction]) -> dict[str, Figure]:
    figures = {}
    for name, mean in scores.figures.items():
        own = scores.images.get(name, [])
        deviation = stdev(own) if len(own) > 1 and all(map(math.isfinite, own)) else None
        copy, way = copied.figures.get(name), ways.get(name)
        against = against_copying(mean, copy, way)
        figures[name] = Figure(mean, deviation, len(scores.ids), copy, way, against)
    return figures


def _depth(image: ImageSpec) -> str | dict[str, str]:
    """Return the depth of targets, or of each of their parts by name."""
    return {part.name: part.depth for part in image.parts} or image.depth


def _json(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
