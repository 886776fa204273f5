"""A trained model scored on a split of its data: figures, each image's own, and what they mean.

The model runs with the test settings of its file, as `i2i translate` runs it; in float32, unless told not to.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from statistics import stdev
from typing import Any, Literal

from torch import Tensor

from i2i.building import components
from i2i.building.blame import components_blamed
from i2i.data import stream
from i2i.data.fingerprint import differences, fingerprint
from i2i.data.opening import Note, open_data, quiet
from i2i.data.views import seen_by
from i2i.engine.scoring import Scorer, Scores, directions
from i2i.errors import DataError, MissingSplitError, RecipeError
from i2i.images import resizing
from i2i.kinds import Batch, Data, Direction, ImageSpec, Scale, Side, Split
from i2i.models.trained import Trained
from i2i.models.translate import Model, load_model, translate
from i2i.pages.numbers import Against, against_copying
from i2i.plugins.catalog import Catalog
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
    data.
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
            "depth": self.image.depth,
            "resize": resizing.PLAIN,
            "seed": self.seed,
            "precision": self.precision,
            "draws": dict(self.draws),
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
    note: Note = quiet,
    watch: Watch = lambda batches, count, what: batches,
) -> Evaluation:
    """Score a trained model on one split with the metrics of its recipe; `draws` overrides theirs.

    It is scored on the side that its generator writes. `test`, `norm` and `dropout` are those of
    `load_generator`. With the `precision` "bf16" the model computes in half the bits wherever torch's
    autocast does so, and a note says so: such figures are compared with others of the kind.

    Raises RecipeError when there is no metric, DataError when the data does not fit the model or is too few
    images for a metric, PluginError when a metric or the data set fails.
    """
    recipe = trained.recipe
    short: dict[str, Any] = {"norm": norm, "dropout": dropout}
    settings = recipe.data.settings
    runtime = resolve(device, "fp32")
    metrics = components.build_metrics(recipe)
    if not metrics:
        raise RecipeError(f"there is no metric to score {trained.path} with: add one, like --metric mae.")
    ways = directions(metrics)  # refused before anything is opened
    try:
        data = open_data(recipe, split, note, cache=True)
    except MissingSplitError as error:
        another = "--split scores another; sources without targets are for i2i translate"
        raise MissingSplitError(
            *(replace(p, hint=f"{p.hint}; {another}" if p.hint else another) for p in error.problems)
        ) from error
    with runtime.active(), components_blamed(recipe):
        model = load_model(trained.path, device=runtime.device, catalog=catalog, test=test, **short)
        check_fit(model, data, trained)
        others = _other_data(trained, split, data)
        drawn = {slot.name: draws or slot.settings.draws for slot in recipe.section("metrics")}
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
        figures=_figures(scores, copied, ways),
        definitions={name: definition(metric) for name, metric in metrics.items()},
        scores=scores,
        copied=copied,
        credit=getattr(data, "credit", ""),
        notes=(*model.notes, *others, *([HALVED] if precision == "bf16" else [])),
    )


def check_fit(model: Model, data: Data, trained: Trained) -> None:
    """Raise DataError when the images of a data set have other channels than the model's."""
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


def _other_data(trained: Trained, split: Split, data: Data) -> list[str]:
    """Return a note where the model was trained beside other data under this name."""
    seen = trained.header.provenance.get("data")
    before = seen.get(split) if isinstance(seen, Mapping) else None
    if not isinstance(before, Mapping) or not isinstance(before.get("pairs"), int):
        return []  # an older model, or a split that training did not open
    now = fingerprint(data, contents="contents" in before)
    told = differences({split: before}, {split: now})
    return [f"These are not the data of the training: {'; '.join(told)}."] if told else []


def definition(metric: Any) -> str:
    """Return how a metric defines its figures: its `definition`, else its class's docstring."""
    written = getattr(metric, "definition", "") or inspect.cleandoc(type(metric).__doc__ or "")
    return " ".join(written.partition("\nArgs:")[0].split())


def _figures(scores: Scores, copied: Scores, ways: Mapping[str, Direction]) -> dict[str, Figure]:
    figures = {}
    for name, mean in scores.figures.items():
        own = scores.images.get(name, [])
        deviation = stdev(own) if len(own) > 1 and all(map(math.isfinite, own)) else None
        copy, way = copied.figures.get(name), ways.get(name)
        against = against_copying(mean, copy, way)
        figures[name] = Figure(mean, deviation, len(scores.ids), copy, way, against)
    return figures


def _json(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
