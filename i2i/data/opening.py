"""Opening data, the one way for all who read it: named where it fails, without what cannot be used, enough of
it, in memory where that pays.

What to do about items that cannot be used is the recipe's choice: refuse them, or go on without them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args

from i2i.building import components
from i2i.building.blame import Suspect, components_blamed
from i2i.data.advice import size_problem, value_remark
from i2i.data.changes import changed
from i2i.data.extra import Extra, extra_of
from i2i.data.inspection import facts_of, inspect
from i2i.data.public_sets import advice
from i2i.data.stream import check_item
from i2i.data.values import check_values, parts_fault
from i2i.data.views import Blamed, Cached, Unpaired, Usable, bytes_of
from i2i.errors import DataError, PluginError, RecipeError, shortened
from i2i.kinds import Data
from i2i.plugins.catalog import Catalog
from i2i.recipe.layers import FORMAT
from i2i.recipe.recipe import Recipe, load_sections
from i2i.records import ImageSpec, PairSpec, Side, Split
from i2i.slot_keys import DataSettings
from i2i.system.facts import free_memory

Note = Callable[[str], None]
"""Takes a sentence for the person."""

OpenData = Callable[[Recipe, Note], Mapping[str, Data]]
"""Returns the splits that a recipe makes use of, by name, ready to be read."""

REST = "`i2i data check` lists all of them"

LOOKED_AT = 8
"""Pairs that a training looks at before it starts."""


def quiet(text: str) -> None:
    """Take a sentence for the person, and say nothing."""


def open_as_it_is(recipe: Recipe, split: Split) -> Data:
    """Return one split of the recipe's data with all that may be wrong in it, named where it fails.

    An error about a folder that is missing says how to fetch it, where a public data set has that name.
    """
    with components_blamed(recipe):
        try:
            data = components.make(recipe, recipe.data, split=split)
        except DataError as error:
            folders = [value.expanduser() for value in recipe.data.params.values() if isinstance(value, Path)]
            advices = filter(None, (advice(folder) for folder in folders if not folder.exists()))
            if not (told := next(advices, "")):
                raise
            raise DataError(
                *(replace(p, hint="; ".join(filter(None, (p.hint, told)))) for p in error.problems)
            ) from error
        for side in get_args(Side):
            if fault := parts_fault(data.spec.side(side)):
                message = f"{recipe.data.entry.ref}: its spec has a {side} with {fault}"
                raise PluginError(recipe.data.problem(message))
        return Blamed(data, Suspect.of(recipe.data))


def open_split(
    source: str | Path | Mapping[str, Any],
    split: Split,
    *,
    set: Sequence[str] = (),  # noqa: A002 - of recipes
) -> Data:
    """Return one split of a recipe's data as it is: for programs that read pairs and train nothing.

    What cannot be used is in its `problems`, where it is known without opening a pair, or a DataError of the
    item. The transforms of the recipe are not applied.

    Args:
        source: the recipe, of which only `[data]` is read: a file, or a name; or the table `[data]` itself.
        split: "train", "val" or "test".
        set: keys to set on top, as ``"data.size=[64,64]"`` texts.

    Raises RecipeError or PluginError for what the table says, DataError where there are no such data,
    MissingSplitError where there is no such split.
    """
    whole = {"recipe": FORMAT, "name": "data", "data": source} if isinstance(source, Mapping) else source
    recipe = load_sections(whole, ["data"], shown="the data", set=set, catalog=Catalog.installed())
    return open_as_it_is(recipe, split)


def spec_of(recipe: Recipe) -> PairSpec:
    """Return what the training split says of itself; DataError where no network could be built for it."""
    return spec_and_fields(recipe)[0]


def spec_and_fields(recipe: Recipe) -> tuple[PairSpec, Extra]:
    """Return what the training split says of its pairs, as `spec_of` does, and of its further fields."""
    data = changed(recipe, open_as_it_is(recipe, "train"))
    if problem := size_problem(recipe, data.spec):
        raise DataError(problem)
    return to_train_on(recipe, data).spec, extra_of(data)


def open_data(recipe: Recipe, split: Split, note: Note = quiet, *, cache: bool = False) -> Data:
    """Return one split of the recipe's data, of which there is a pair at least, as its transforms change it.

    `note` is told what the data set itself has to say, and what its `on_bad` left out. With `cache`, decoded
    items are kept in memory as the data's settings say: for those who read the split more than once.

    Raises DataError for what cannot be used, PluginError where the data set itself fails; so do its items.
    """
    settings = recipe.data.settings
    try:
        data = open_as_it_is(recipe, split)
    except DataError as error:
        raise type(error)(*shortened(error.problems, rest=REST)) from error
    for text in getattr(data, "notes", ()):
        note(text)
    data = changed(recipe, data)
    data = usable(data, on_bad=settings.on_bad, split=split, note=note)
    if not len(data):
        raise DataError(f"{recipe.data.entry.ref}: the split '{split}' is empty.")
    if problem := size_problem(recipe, data.spec):
        raise DataError(problem)
    return cached(data, settings, note) if cache else data


def to_train_on(recipe: Recipe, data: Data) -> Data:
    """Return the training split as methods see it: without its pairs, where the recipe says `paired = false`.

    Raises RecipeError for data that are no pairs as it is, or whose further fields belong to a pair.
    """
    if recipe.data.settings.paired:
        return data
    if not data.spec.aligned:
        message = f"{recipe.data.entry.ref} has no pairs that could be taken apart here"
        raise RecipeError(recipe.problem("data.paired", message, "leave 'paired' out"))
    if fields := ", ".join(extra_of(data)):
        message = (
            f"without pairs nobody knows whose {fields} it is that the data has beside source and target"
        )
        raise RecipeError(recipe.problem("data.paired", message, "leave 'paired' out, or take data without"))
    return Unpaired(data)


def splits_of(recipe: Recipe) -> tuple[Split, ...]:
    """Return the splits that training makes use of: the held-out one where something looks at it."""
    return ("train", "val") if recipe.section("metrics") or recipe.section("callbacks") else ("train",)


def open_splits(recipe: Recipe, note: Note = quiet) -> Mapping[str, Data]:
    """Open the splits that training makes use of, by name: alike, and enough for a batch.

    With `paired = false` the training split is without pairs, and the held-out one has them. A note that
    several of them have is told once.
    """
    told: set[str] = set()

    def once(text: str) -> None:
        if text not in told:
            told.add(text)
            note(text)

    data: dict[str, Any] = {split: open_data(recipe, split, once) for split in splits_of(recipe)}
    if "val" in data:
        check_alike(data["train"].spec, data["val"].spec, split="val")
        check_fields_alike(extra_of(data["train"]), extra_of(data["val"]), split="val")
    settings = recipe.data.settings
    check_enough(data["train"], settings, ref=recipe.data.entry.ref)
    opened = {split: cached(pairs, settings, note) for split, pairs in data.items()}
    look_at_some(recipe, opened["train"], note)
    return {**opened, "train": to_train_on(recipe, opened["train"])}


def look_at_some(recipe: Recipe, data: Data, note: Note) -> None:
    """Read a few pairs, spread over all; `note` is told what is odd about their values.

    Raises DataError where their sizes differ and the recipe names none.
    """
    last = len(data) - 1
    places = sorted({place * last // (LOOKED_AT - 1) for place in range(LOOKED_AT)})
    sizes: list[tuple[tuple[int, int], tuple[int, int]]] = []
    values: dict[tuple[Side, str], list[float]] = {}
    for place in places:
        item = data[place]
        check_item(item, data.spec, extra_of(data))
        check_values(item, data.spec)
        sizes.append((tuple(item["source"].shape[1:]), tuple(item["target"].shape[1:])))
        for side in get_args(Side):
            for part, facts in facts_of(item[side], data.spec.side(side)).by_part(data.spec.side(side)):
                values.setdefault((side, part), []).extend((facts.least, facts.most))
    if problem := size_problem(recipe, data.spec, sizes):
        raise DataError(problem)
    for (side, part), found in values.items():
        own = data.spec.side(side).part(part) if part else data.spec.side(side)
        if remark := value_remark(recipe, side, own, min(found), max(found), part=part):
            note(f"In {len(places)} of {len(data):,} pairs, {remark}.")


def usable(data: Data, *, on_bad: Literal["refuse", "skip"], split: str, note: Note) -> Data:
    """Return `data`, without what cannot be used if `on_bad` is "skip": a note counts and lists that.

    To "refuse" costs nothing: what was found wrong when the data was opened raises DataError, and an
    item that fails later does so then. To "skip" reads every item once, and draws again what is drawn and
    cannot be used.
    """
    known = tuple(getattr(data, "problems", ()))
    if on_bad == "refuse":
        if known:
            raise DataError(*shortened(known, rest=REST))
        return data
    good: list[int] = []
    problems = list(known)
    for finding in inspect(data):  # none is kept: of many items they would take more than the items
        if not finding.problems:
            good.append(finding.index)
        problems += finding.problems
    if not good:
        raise DataError(*shortened(problems, rest=REST), f"nothing in the split '{split}' can be used.")
    if problems:
        told = "\n".join(problem.render() for problem in shortened(problems, rest=REST))
        note(f"The split '{split}' goes on with {len(good):,} pairs, and without these:\n{told}")
    return data if len(good) == len(data) and not hasattr(data, "draw") else Usable(data, good)


def check_alike(spec: PairSpec, other: PairSpec, *, split: str) -> None:
    """Raise DataError when a split has other images than the training split, sizes apart."""
    sides: tuple[Side, Side] = ("source", "target")
    for side in sides:
        one, two = spec.side(side), other.side(side)
        kinds = [(s.channels, s.depth, s.low, s.high, s.palette, s.parts) for s in (one, two)]
        if kinds[0] != kinds[1]:
            raise DataError(
                f"the {side} in the split '{split}' has {_kind(two)}, and in 'train' {_kind(one)}: "
                "convert one of them."
            )


def check_fields_alike(extra: Extra, other: Extra, *, split: str) -> None:
    """Raise DataError when a split has other further fields than the training split."""
    kinds = [
        {name: (said.image, said.channels) for name, said in fields.items()} for fields in (extra, other)
    ]
    if kinds[0] != kinds[1]:
        told = [", ".join(fields) or "none" for fields in (other, extra)]
        raise DataError(
            f"the further fields in the split '{split}' are {told[0]}, and in 'train' {told[1]}: give both "
            "the same."
        )


def _kind(spec: ImageSpec) -> str:
    return f"{spec.channels} channel(s) of {spec.depth} from {spec.low:g} to {spec.high:g}"


def cached(data: Data, settings: DataSettings, note: Note) -> Data:
    """Return `data` behind the cache that `settings` ask for; unpaired data draw past it."""
    if settings.cache == "none" or hasattr(data, "draw"):
        return data
    if settings.cache == "auto" and _decoded_bytes(data) > free_memory() / 4:
        return data
    kept = Cached(data)
    if settings.workers:
        kept.fill(note)
    return kept


def _decoded_bytes(data: Data) -> float:
    """Estimate from the first item how much memory the decoded data set takes."""
    if not len(data):
        return 0.0
    first = data[0]
    check_item(first, data.spec, extra_of(data))
    return float(len(data) * bytes_of(first))


def check_enough(data: Data, settings: DataSettings, *, ref: str) -> None:
    """Raise DataError when a training split is too small to make one batch."""
    if len(data) < settings.batch_size:
        raise DataError(
            f"{ref}: the split 'train' has {len(data)} pairs, and a batch takes {settings.batch_size}; "
            "add pairs or lower data.batch_size."
        )
