"""What a recipe minimises, in a line: its losses by who follows them, with their weights."""

from __future__ import annotations

from i2i.recipe.recipe import Recipe, Slot


def objective(recipe: Recipe) -> str:
    """Return the objective of the generators and of each discriminator as the recipe's losses say it.

    "G minimises 1 adversarial(patch) + 100 l1; patch minimises lsgan, halved". A term is called as in the
    recipe, with its component in brackets where that is called otherwise: "100 l1 [l2]", and its schedule
    where its weight has one: "1 adversarial(patch) x linear-decay". What a discriminator minimises is called
    as the component. A method may leave a loss out or weigh it otherwise.
    """
    judges = [slot.name for slot in recipe.section("discriminators")]
    losses = recipe.section("losses")
    of_generators = [_term(recipe, slot, judges) for slot in losses if slot.kind != "penalty"]
    said = [f"{_generators(recipe)} {' + '.join(of_generators) or 'nothing'}"]
    for judge in judges:
        own = [slot for slot in losses if judge in _on(slot, judges)]
        games = [_game(slot) for slot in own if slot.kind == "adversarial-loss"]
        penalties = [_term(recipe, slot, []) for slot in own if slot.kind == "penalty"]
        said.append(f"{judge} minimises {' + '.join([*games, *penalties]) or 'nothing'}")
    return "; ".join(said)


def _generators(recipe: Recipe) -> str:
    names = [slot.name for slot in recipe.section("generators")]
    return "G minimises" if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]} minimise"


def _term(recipe: Recipe, slot: Slot, judges: list[str]) -> str:
    """Return a loss's weight, name and schedule, what it looks through, and how seldom it counts.

    Which component an adversarial loss is, its discriminators say.
    """
    judged = ", ".join(_on(slot, judges))
    through = f"({judged})" if judged else ""
    seldom = f" every {slot.settings.every} steps" if getattr(slot.settings, "every", 1) > 1 else ""
    ref = slot.entry.ref.removeprefix("core/")
    plain = slot.kind == "adversarial-loss" or slot.name in (ref, ref.rpartition("/")[2])
    component = "" if plain else f" [{ref}]"
    schedule = recipe.slot_for("schedules", slot.path)
    paced = f" x {schedule.entry.ref.removeprefix('core/')}" if schedule else ""
    return f"{slot.settings.weight:g} {slot.name}{component}{through}{seldom}{paced}"


def _game(slot: Slot) -> str:
    return f"{slot.entry.ref.removeprefix('core/')}, halved"


def _on(slot: Slot, judges: list[str]) -> list[str]:
    """Return the discriminators that a loss has to do with."""
    if slot.kind == "paired-loss":
        return []
    return [name for name in judges if not slot.settings.on or name in slot.settings.on]
