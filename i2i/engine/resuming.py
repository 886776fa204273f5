"""Going on with a run: whether that can be done, from which checkpoint, and what is told and written of it.

Nothing that a run left is removed or replaced here. What is damaged is set aside, and where there is nothing
to go on from though something was trained, the run is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from i2i.building import components
from i2i.data.fingerprint import Fingerprint, differences
from i2i.engine import stored
from i2i.engine.session import Duties, Session, length_of
from i2i.errors import RecipeError
from i2i.plugins.versions import PROVENANCE, RESOLVED, versions_of_run
from i2i.recipe.recipe import Recipe, read_resolved
from i2i.recipe.slots import LENGTHS
from i2i.runs import checkpoint
from i2i.runs.changes import LENGTH, THREADS, Change, changes
from i2i.runs.checkpoint import DamagedError, Found
from i2i.runs.folder import SUMMARY, RunFolder, provenance
from i2i.runs.metrics_log import METRICS, read_records
from i2i.runs.model_files import header_entry
from i2i.system.device import resolve

EXTENDED, CHANGED, OTHER_DATA = "extended", "changed", "other_data"
"""The lists of provenance.json that tell of later starts of a run."""

PLANNED = "planned"
"""Where provenance.json keeps the length that the recipe gave, if the run took another one from that."""


NOTHING = Found(None, ())


@dataclass(frozen=True)
class Resumption:
    """A run that is there, and how it goes on: by `recipe`, from the newest of `found`.

    `changes` are taken, though the run began otherwise; `extension` is what provenance.json will say of the
    steps that were added. `finished` says that nothing is left to do.
    """

    recipe: Recipe
    finished: bool
    notes: tuple[str, ...]
    found: Found = NOTHING
    changes: tuple[Change, ...] = ()
    extension: Mapping[str, Any] | None = None


def take_up(
    folder: RunFolder,
    recipe: Recipe,
    *,
    device: str,
    extend: int | None = None,
    init_from: Path | None = None,
) -> Resumption:
    """Return how the run in `folder` goes on by `recipe`; `extend` says that it shall train on if it is done.

    What it was started from stays as it was, and an `init_from` for a start comes too late.

    Raises RecipeError for another recipe, and where there is no checkpoint to go on from though something
    was trained; ResourceError for what cannot be read for now. Then nothing was lost.
    """
    about = folder.sound_provenance()
    table = read_resolved(folder.root / RESOLVED)
    if recipe.train.threads is None and "threads" in table["train"]:
        recipe = recipe.computing_with(table["train"]["threads"])  # who does not say keeps what was chosen
    started = _started_from(recipe, table)
    recipe = recipe.started_from(started, by=str(folder.root / RESOLVED))
    harmless, others = changes(table, recipe)
    planned, now = _planned(about), recipe.train.length
    if planned is not None:
        # What the run was given is compared, not the steps that came of it.
        others = [change for change in others if change.key not in LENGTH]
        lengths = {key: (planned.get(key), now.get(key)) for key in LENGTHS}
        others += [Change(f"train.{key}", *both) for key, both in lengths.items() if both[0] != both[1]]
    if planned == now:
        recipe = recipe.lasting(table["train"]["steps"])
    if others:
        raise RecipeError(_of_another_recipe(folder, recipe, others))
    notes = [f"{change}: taken, for it {change.why}." for change in harmless]
    if started:
        told = ", ".join(f"{path} from {file}" for path, file in started.items())
        notes.append(f"{folder.root} was started from an earlier training: {told}.")
    if init_from is not None:
        notes.append(
            f"--init-from {init_from} is for the start of a run: the one that {folder.root} holds goes on "
            "with its own weights."
        )
    notes += folder.tidy()
    summary = folder.sound_summary()
    if (summary or {}).get("status") == "done" and extend is None:
        notes.append(f"{folder.root} is finished already; --extend N trains on, --fresh starts it over.")
        return Resumption(recipe, True, tuple(notes))
    found = checkpoint.find(folder.checkpoints)
    if found.sound is None:
        _check_nothing_is_lost(folder, recipe, found.damaged)
    if about is None:
        known = provenance(recipe, resolve(device, recipe.train.precision))
        folder.rewrite(PROVENANCE, known | {"rewritten": True})
        notes.append(
            f"{folder.root / PROVENANCE} was missing or damaged: it was written anew, from what is known now."
        )
    if summary is None and (folder.root / SUMMARY).exists():
        folder.rewrite(SUMMARY, {"status": "running"})
        notes.append(f"{folder.root / SUMMARY} was damaged: it is written anew.")
    return Resumption(recipe, False, tuple(notes), found, tuple(harmless))


def lengthened(begun: Resumption, folder: RunFolder, *, pairs: int, extend: int | None) -> Resumption:
    """Return `begun` with `extend` steps more, for data of so many `pairs`.

    The same extension again, before its end was reached, is the one that is there: so a command that was
    interrupted can be given again.
    """
    if extend is None:
        return begun
    before = folder.provenance().get(EXTENDED, [])
    done = (folder.sound_summary() or {}).get("status") == "done"
    total = _ended_early(folder) or length_of(begun.recipe, pairs)[1]
    if before and before[-1]["by"] == extend and not done:
        return replace(begun, notes=(*begun.notes, f"Going on with the extension to step {total:,}."))
    planned = _planned(folder.provenance()) or begun.recipe.train.length
    entry = {"by": extend, "from": total, "to": total + extend, "planned": planned}
    note = (
        f"Extended from step {total:,} to {total + extend:,}: schedules are computed over the new length, so "
        "the result is not that of a run which was planned so long."
    )
    return replace(
        begun,
        recipe=begun.recipe.lasting(total + extend),
        notes=(*begun.notes, note),
        extension=entry,
    )


def write_down(begun: Resumption, folder: RunFolder, fingerprints: Mapping[str, Fingerprint]) -> list[str]:
    """Write into the run's records what is not as it was; return notes for the person."""
    step = begun.found.sound.step if begun.found.sound else 0
    if begun.extension:
        # First of all, for it is done no longer.
        folder.summarise((folder.sound_summary() or {}) | {"status": "stopped", "ended_early": False})
        folder.add_to_provenance(EXTENDED, {"at": step, **begun.extension})
    if begun.changes:
        keys = {change.key: [change.before, change.now] for change in begun.changes}
        folder.add_to_provenance(CHANGED, {"at": step, "keys": keys})
    if begun.extension or begun.changes:
        folder.take(begun.recipe)
    then = begun.found.sound.facts.get("data", {}) if begun.found.sound else {}
    others = differences(then, fingerprints)
    if not others:
        return []
    folder.add_to_provenance(OTHER_DATA, {"at": step, "told": others, "data": dict(fingerprints)})
    told = "; ".join(others)
    return [
        f"These are not the data of step {step:,}: {told}. Training goes on with them, and its result is not "
        "that of an undisturbed run."
    ]


def load(
    session: Session, folder: RunFolder, begun: Resumption, notes: list[str]
) -> tuple[float, Duties] | None:
    """Load the newest checkpoint that is understood; return the seconds it took, and what is due at its step.

    Those that are damaged are set aside; `notes` for the person are added to. Returns None where the run was
    cut before its first checkpoint; raises RecipeError where none is sound though there are some.
    """
    found, damaged, duties = begun.found.sound, [*begun.found.damaged], Duties()
    while found:
        try:
            duties, told = stored.load(session, found.folder)
            notes += told
            break
        except DamagedError:
            damaged.append(found.folder)
            earlier = checkpoint.find(folder.checkpoints, before=found.step)
            found = earlier.sound
            damaged += earlier.damaged
    if found is None:
        _check_nothing_is_lost(folder, session.recipe, damaged)
        return None
    for place in damaged:
        aside = checkpoint.set_aside(place)
        notes.append(f"{place} is damaged and was set aside as {aside.name}; going on from before it.")
    if not session.best:
        names = stored.model_names(session)
        if not all(_is_model_from(folder.root / name, found.step) for name in names):
            for name, model in stored.model_files(session).items():
                model.replace(folder.root / name)
    return found.seconds, duties


def history(about: Mapping[str, Any]) -> dict[str, str]:
    """Return what a provenance says of later starts that make a run another one, as label and text."""
    told = {}
    if about.get(EXTENDED):
        told["extended"] = ", ".join(f"from step {e['from']:,} to {e['to']:,}" for e in about[EXTENDED])
    others = [(e["at"], e["keys"][THREADS][1]) for e in about.get(CHANGED, []) if THREADS in e["keys"]]
    if others:
        told["other threads"] = ", ".join(f"from step {step:,}: {threads}" for step, threads in others)
    if about.get(OTHER_DATA):
        told["other data"] = "; ".join(
            f"from step {e['at']:,}: {'; '.join(e['told'])}" for e in about[OTHER_DATA]
        )
    return told


def _started_from(recipe: Recipe, table: Mapping[str, Any]) -> dict[str, str | dict[str, str]]:
    """Return the `init_from` of networks by path that the run of `table` began with and `recipe` leaves out.

    It says how a run starts, which nobody has to repeat to go on with it.
    """
    networks = recipe.networks
    began = {slot.path: table.get(slot.section, {}).get(slot.name, {}).get("init_from") for slot in networks}
    return {
        slot.path: began[slot.path]
        for slot in networks
        if slot.settings.init_from is None and isinstance(began[slot.path], str | dict)
    }


# --- refusing ---------------------------------------------------------------------------------------


def check_start_is_kept(folder: RunFolder, recipe: Recipe) -> None:
    """Raise RecipeError where starting over in `folder` would remove weights that `recipe` starts from."""
    for slot in recipe.networks:
        start = slot.settings.init_from or {}
        for place in start.values() if isinstance(start, Mapping) else (start,):
            if place.expanduser().resolve().is_relative_to(folder.root.resolve()):
                message = (
                    f"--fresh would remove what the run is to start from, {place}: choose another --out."
                )
                raise RecipeError(slot.problem(message, key="init_from"))


def _check_nothing_is_lost(folder: RunFolder, recipe: Recipe, damaged: Sequence[Any]) -> None:
    """Raise RecipeError where to start over would replace what was trained."""
    there = [f"the model {folder.model.name}"] if folder.model.exists() else []
    if not there and not damaged:
        return
    records = read_records(folder.root / METRICS, upto=10**12).records
    if records:
        there.append(f"{METRICS} up to step {max(record['step'] for record in records):,}")
    if damaged:
        count = f"{len(damaged)} checkpoint{'s' if len(damaged) > 1 else ''}"
        there.append(f"{count}, of which none is sound ({', '.join(place.name for place in damaged[:3])})")
    else:
        there.append("no checkpoint to go on from")
    raise RecipeError(
        f"{folder.root} holds {', '.join(there[:-1])}{' and ' if there[1:] else ''}{there[-1]}: "
        f"--fresh starts over, and removes them{_or_from_the_model(folder, recipe)}."
    )


def _of_another_recipe(folder: RunFolder, recipe: Recipe, others: Sequence[Change]) -> str:
    first = others[0]
    more = f" and {len(others) - 1} more" if others[1:] else ""
    lengths = all(change.key in LENGTH for change in others)
    longer = "; --extend N makes it longer than the recipe that it began with" if lengths else ""
    skew = _skew(folder, recipe, first.key)
    return (
        f"{folder.root} holds a run of another recipe: {first}{more}.{skew} "
        f"Choose another --out, or start over with --fresh{longer}{_or_from_the_model(folder, recipe)}."
    )


def _or_from_the_model(folder: RunFolder, recipe: Recipe) -> str:
    """Say how another run goes on from the model of this one, if there is one."""
    if not folder.model.exists():
        return ""
    name = components.method_slots(recipe).exports[0]
    key = "generator" if name == "main" else f"generators.{name}"
    return f"; a run in another --out goes on from its model with --set {key}.init_from={folder.model}"


def _skew(folder: RunFolder, recipe: Recipe, key: str) -> str:
    """Say that the run was begun with another version of the plug-in behind `key`, if it was."""
    used = recipe.slot_around(key)
    if used is None:
        return ""
    then, now = versions_of_run(folder.root / RESOLVED), f"{used.entry.distribution} {used.entry.version}"
    before = then.get(used.entry.namespace, now)
    return "" if before == now else f" It was begun with {before}, and installed is {now}."


# --- lengths and models -----------------------------------------------------------------------------


def _planned(about: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return the length that a run's recipe gave, if it is not the one that it has: it was extended, or
    minutes were turned into steps.
    """
    extended = (about or {}).get(EXTENDED)
    planned = extended[0]["planned"] if extended else (about or {}).get(PLANNED)
    if planned is None:
        return None
    return {key: value for key, value in planned.items() if value is not None}


def _ended_early(folder: RunFolder) -> int | None:
    """Return the step at which a run's patience was at its end, if it was."""
    summary = folder.sound_summary() or {}
    return summary["steps"] if summary.get("ended_early") else None


def _is_model_from(path: Path, step: int) -> bool:
    """Whether a model file was written at `step` or later."""
    about = header_entry(path, "provenance")
    at = about.get("step") if isinstance(about, Mapping) else None
    return isinstance(at, int) and at >= step
