"""What a recipe minimises, in a line: its losses by who follows them, with their weights.

What the method adds, and how it applies losses, it says itself (`own_terms`).
"""

from __future__ import annotations

from i2i.building.own_terms import OwnTerms, own_terms
from i2i.recipe.recipe import Recipe, Slot
from i2i.records import OwnTerm


def objective(recipe: Recipe) -> str:
    """Return the objective of the generators and of each discriminator as recipe and method say it.

    "G minimises 1 adversarial(patch) + 100 l1; patch minimises lsgan, halved". A term is called as in the
    recipe, with its component in brackets where that is called otherwise: "100 l1 [l2]", and its schedule
    where its weight has one: "1 adversarial(patch) x linear-decay". What a discriminator minimises is called
    as the component. What a method does with a loss and what a term of its own is follow in brackets: "10
    cycle [l1] (there and back)". A discriminator of another network's name is told as "the
    discriminator there". Beyond what it says, a method may leave a loss out or weigh it otherwise.

    Raises PluginError where the method cannot say.
    """
    judges = [slot.name for slot in recipe.section("discriminators")]
    losses, own = recipe.section("losses"), own_terms(recipe.method)
    of_generators = [_term(recipe, slot, judges, own) for slot in losses if slot.kind != "penalty"]
    of_generators += [_own(name, term) for name, term in own.items() if _is_of(term, "generators")]
    said = [f"{_minimise(recipe)} {' + '.join(of_generators) or 'nothing'}"]
    shared = {slot.name for section in ("generators", "networks") for slot in recipe.section(section)}
    for judge in judges:
        through = [slot for slot in losses if judge in _on(slot, judges)]
        games = [_game(slot) for slot in through if slot.kind == "adversarial-loss"]
        penalties = [_term(recipe, slot, [], own) for slot in through if slot.kind == "penalty"]
        added = [_own(name, term) for name, term in own.items() if _is_of(term, "discriminators", judge)]
        who = f"the discriminator {judge}" if judge in shared else judge
        said.append(f"{who} minimises {' + '.join([*games, *penalties, *added]) or 'nothing'}")
    for slot in recipe.section("networks"):
        added = [_own(name, term) for name, term in own.items() if _is_of(term, "networks", slot.name)]
        if added:
            said.append(f"{slot.name} minimises {' + '.join(added)}")
        elif slot.settings.frozen is not True:
            said.append(f"{slot.name} is trained by {recipe.method.entry.ref}, which does not say on what")
    return "; ".join(said)


def _minimise(recipe: Recipe) -> str:
    names = [slot.name for slot in recipe.section("generators")]
    return "G minimises" if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]} minimise"


def _is_of(term: OwnTerm, section: str, name: str = "") -> bool:
    """Whether the method adds a term that networks of a section minimise, or the one of a name."""
    paths = [path.partition(".") for path in term.of]
    named = any(kind == section and (not of or not name or of == name) for kind, _, of in paths)
    return term.weight is not None and named


def _own(name: str, term: OwnTerm) -> str:
    return f"{term.weight:g} {name}{_said(term)}"


def _said(term: OwnTerm | None) -> str:
    return f" ({term.what})" if term is not None and term.what else ""


def _term(recipe: Recipe, slot: Slot, judges: list[str], own: OwnTerms) -> str:
    """Return a loss's weight, name and schedule, what it looks through, and how seldom it counts.

    Which component an adversarial loss is, its discriminators say.
    """
    judged = ", ".join(_on(slot, judges))
    through = f"({judged})" if judged else f"({part})" if (part := getattr(slot.settings, "part", "")) else ""
    seldom = f" every {slot.settings.every} steps" if getattr(slot.settings, "every", 1) > 1 else ""
    ref = slot.entry.ref.removeprefix("core/")
    plain = slot.kind == "adversarial-loss" or slot.name in (ref, ref.rpartition("/")[2])
    component = "" if plain else f" [{ref}]"
    schedule = recipe.slot_for("schedules", slot.path)
    paced = f" x {schedule.entry.ref.removeprefix('core/')}" if schedule else ""
    done = _said(own.get(slot.name) or own.get(slot.kind))
    return f"{slot.settings.weight:g} {slot.name}{component}{through}{seldom}{paced}{done}"


def _game(slot: Slot) -> str:
    return f"{slot.entry.ref.removeprefix('core/')}, halved"


def _on(slot: Slot, judges: list[str]) -> list[str]:
    """Return the discriminators that a loss has to do with."""
    if slot.kind == "paired-loss":
        return []
    return [name for name in judges if not slot.settings.on or name in slot.settings.on]
