"""What must hold between the slots of a recipe: the method has what it asks for, and nothing is idle.

Only declared names and resolved slots are looked at; nothing is built.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Set

from i2i.errors import PluginError, did_you_mean, with_article
from i2i.kind_table import FIELD, asks_another, changes_spec, is_need
from i2i.kinds import JUDGED_KINDS, NEEDS, NETWORK_SECTIONS, DiscriminatorSlot, MethodSlots
from i2i.recipe.merge import Draft
from i2i.recipe.network_needs import Components
from i2i.recipe.origins import Findings
from i2i.recipe.resolve import Resolved
from i2i.recipe.slots import Slot
from i2i.recipe.toml_lines import KeyPath

CHANNELS: Mapping[str, str] = {"feature_channels": "on", "in_channels": "reads", "out_channels": "writes"}
"""What a network may ask for, and the field of its NetworkSlot that gives it."""


def cross_check(draft: Draft, resolved: Resolved, findings: Findings, components: Components) -> None:
    """Note everything in `draft` that does not fit together; `components` gives those that would."""
    check = _CrossCheck(draft, resolved, findings, components)
    check.nothing_missing()
    check.method()
    check.judges()
    check.conditions()
    check.transforms()
    check.requirements()
    check.covered("optimizers")
    check.covered("schedules")
    check.stages()


def slot_for(section: str, network: str, names: Mapping[str, object] | set[str]) -> str | None:
    """Return which of a section's `names` is in charge of `network`: its own, its section's, or ``all``.

    Of a group of a network's parts, ``generators.main.encoder``, that of the network comes between. A loss,
    whose weight may have a schedule, has one of its own or none.
    """
    kind, name, *_ = network.split(".", 2)
    general = [f"{kind}.{name}", kind] if section == "optimizers" else [f"{kind}.{name}", kind, "all"]
    if kind == "losses":
        general = []
    return next((name for name in (network, *general) if name in names), None)


def _goes_round(path: str, slots: MethodSlots) -> bool:
    """Whether the network at `path` works on features that come from itself."""
    seen: set[str] = set()
    while path not in seen:
        seen.add(path)
        section, _, name = path.partition(".")
        role = slots.networks.get(name) if section == "networks" else None
        if role is None or role.on is None:
            return False
        path = role.on
    return True


class _CrossCheck:
    def __init__(self, draft: Draft, resolved: Resolved, findings: Findings, components: Components) -> None:
        self.draft = draft
        self.slots = resolved.slots
        self.incomplete = resolved.incomplete
        self.stages_found = resolved.stages
        self.findings = findings
        self.components = components

    def names(self, section: str) -> list[str]:
        """Return the tables a section declares, whether or not their components were found."""
        content = self.draft.table.get(section)
        return list(content) if isinstance(content, dict) else []

    def networks(self) -> list[KeyPath]:
        """Return the section and the name of every network."""
        return [(section, name) for section in NETWORK_SECTIONS for name in self.names(section)]

    def section(self, section: str) -> list[Slot]:
        """Return the slots of a section whose components were found."""
        return [slot for slot in self.slots.values() if slot.section == section]

    def note(self, where: Slot | KeyPath, message: str, key: str = "use") -> None:
        """Note a problem with a slot, or with a table whose component may not have been found."""
        origin = where.origin(key) if isinstance(where, Slot) else self.draft.origin((*where, key))
        self.findings.add(origin, message)

    def nothing_missing(self) -> None:
        """Every recipe has data, a generator, a method, a loss and [train]."""
        parts = {
            "data": "[data], the images",
            "generators": "[generator], the network that translates",
            "losses": "loss, like [losses.l1]",
            "method": "[method], the way it is trained",
            "train": "[train], with `steps`, `epochs` or `minutes`",
        }
        if self.names_its_losses():
            del parts["losses"]
        if self.takes_no_generator():
            del parts["generators"]  # the method is at fault, and told of
        for section, what in parts.items():
            content = self.draft.table.get(section)
            if content is None or (content == {} and section in {"generators", "losses"}):
                self.findings.add(self.draft.origin(()), f"the recipe has no {what}")

    def declared(self) -> MethodSlots | None:
        """What the method declares, where the recipe has one that does."""
        slots = getattr(getattr(self.slots.get("method"), "factory", None), "slots", None)
        return slots if isinstance(slots, MethodSlots) else None

    def names_its_losses(self) -> bool:
        """Whether the method takes those losses alone that it names, and tells of each that is missing."""
        slots = self.declared()
        return slots is not None and not slots.loss_kinds

    def takes_no_generator(self) -> bool:
        """Whether the method's `slots` have no place for a generator, so that no recipe could please it."""
        slots = self.declared()
        return slots is not None and not slots.generators

    def method(self) -> None:
        """The method finds the networks and losses that it asks for, and no others."""
        method = self.slots.get("method")
        if method is None:
            return
        ref, slots = method.entry.ref, getattr(method.factory, "slots", None)
        if not isinstance(slots, MethodSlots):
            error = PluginError(f"{ref} has no attribute `slots` that says which networks it takes")
            self.findings.add_error(self.draft.origin(("method", "use")), error)
            return
        if not slots.generators:
            error = PluginError(
                f"{ref}: its `slots` name no generator, and a model file holds one: give MethodSlots "
                '`generators`, like {"main": GeneratorSlot()}, and their names as `exported`'
            )
            self.findings.add_error(self.draft.origin(("method", "use")), error)
            return
        self._wanted(ref, "generators", slots.generators)
        if not isinstance(slots.discriminators, DiscriminatorSlot):
            self._wanted(ref, "discriminators", slots.discriminators)
        self._wanted(ref, "networks", slots.networks)
        self._others(method, slots)
        for name, wanted in slots.losses.items():
            if wanted.required and name not in self.names("losses"):
                named = f"{with_article(wanted.kind)} of the name '{name}'"
                self.note(("method",), f"{ref} needs {named}: write [losses.{name}]")
        for loss in self.section("losses"):
            if loss.name in slots.losses:
                kind = slots.losses[loss.name].kind
                if loss.entry.kind != kind:
                    found = f"{loss.entry.ref} is {with_article(loss.entry.kind)}"
                    self.note(loss, f"{ref} needs {with_article(kind)} as '{loss.name}', and {found}")
            elif loss.entry.kind not in slots.loss_kinds:
                unused = with_article(loss.entry.kind)
                self.note(loss, f"{ref} makes no use of {unused}, which {loss.entry.ref} is")

    def _wanted(self, ref: str, section: str, wanted: Mapping[str, object]) -> None:
        kind, declared = section.removesuffix("s"), self.names(section)
        for name, role in wanted.items():
            required = getattr(role, "required", True)
            if required and name not in declared and (declared or section != "generators"):
                table = "[generator]" if f"{section}.{name}" == "generators.main" else f"[{section}.{name}]"
                self.note(("method",), f"{ref} needs a {kind} '{name}': write {table}")
        for name in declared:
            if name not in wanted:
                takes = f"it takes {', '.join(wanted)}" if wanted else "it takes none"
                close = did_you_mean(name, wanted)
                self.note((section, name), f"{ref} has no place for a {kind} '{name}'; {takes}{close}")

    def _others(self, method: Slot, slots: MethodSlots) -> None:
        """Networks that work on the features of others find these, and are given all that they ask for."""
        ref, known = method.entry.ref, [".".join(network) for network in self.networks()]
        for slot in self.section("networks"):
            role = slots.networks.get(slot.name)
            if role is None:
                continue
            given = {name: getattr(role, field) for name, field in CHANNELS.items()}
            asked = inspect.signature(slot.factory).parameters
            for name in sorted(slot.injected & {name for name, what in given.items() if what is None}):
                if asked[name].default is inspect.Parameter.empty:
                    fit = self._that_fit({name for name, what in given.items() if what is not None})
                    self.note(
                        slot,
                        f"{slot.entry.ref} asks for `{name}`, which {ref} does not give '{slot.name}': its "
                        f"NetworkSlot says no `{CHANNELS[name]}`; {fit}",
                    )
            if role.on is not None and role.on not in known:
                message = f"{ref} has it work on the features of '{role.on}', which the recipe has not"
                self.note(slot, f"{message}; there are {', '.join(known)}")
            elif _goes_round(slot.path, slots):
                message = f"{ref}: the features that '{slot.name}' works on are in the end its own"
                self.findings.add_error(slot.origin("use"), PluginError(message))

    def _that_fit(self, given: Set[str]) -> str:
        """Name the networks of the recipe's plug-ins that ask for no channels but those that are `given`."""
        found = []
        for entry in self.components("network"):
            asked = inspect.signature(entry.load()).parameters.values()
            wanted = {each.name for each in asked if each.default is inspect.Parameter.empty}
            if wanted & CHANNELS.keys() <= given:
                found.append(entry.ref.removeprefix("core/"))
        if not found:
            return "no network of the plug-ins that this recipe names asks for no more than that"
        return f"{' and '.join(found)} {'asks' if len(found) == 1 else 'ask'} for no more than it gives"

    def judges(self) -> None:
        """Losses that work through discriminators have some, and each discriminator has a game to play."""
        judges = self.names("discriminators")
        judged: set[str] = set()
        misnamed = False
        for loss in self.section("losses"):
            if loss.entry.kind not in JUDGED_KINDS:
                continue
            if not judges:
                self.note(loss, f"{loss.entry.ref} works through discriminators; the recipe has none")
                continue
            for name in loss.settings.on:
                if name not in judges:
                    message = f"there is no discriminator '{name}'{did_you_mean(name, judges)}"
                    self.note(loss, message, key="on")
                    misnamed = True
            if loss.entry.kind == "adversarial-loss":
                judged |= set(loss.settings.on or judges)
        if "losses" not in self.incomplete and not misnamed:
            for name in judges:
                if name not in judged:
                    message = "no adversarial loss trains this discriminator: add one, or take it out"
                    self.note(("discriminators", name), message)

    def conditions(self) -> None:
        """No discriminator is to see beside the image what the method does not have."""
        method = self.slots.get("method")
        roles = getattr(getattr(method, "factory", None), "slots", MethodSlots({}, "")).discriminators
        for slot in self.section("discriminators"):
            if not slot.settings.conditional:
                continue
            role = roles if isinstance(roles, DiscriminatorSlot) else roles.get(slot.name)
            if method is not None and role is not None and role.condition is None:
                message = f"{method.entry.ref} has nothing to show beside the image: leave `conditional` out"
                self.note(slot, message, key="conditional")

    def transforms(self) -> None:
        """Each transform can be applied where it is to be."""
        for slot in self.section("transforms"):
            if fault := self._misplaced(slot):
                self.note(slot, fault, key="at")

    def _misplaced(self, slot: Slot) -> str:
        """Say why a transform cannot be applied where it is to be, or nothing."""
        at, method = slot.settings.at, self.slots.get("method")
        places = getattr(slot.factory, "places", (at,))
        if at not in places:
            choices = " or ".join(f'"{place}"' for place in places)
            return f'{slot.entry.ref} cannot be applied at "{at}": set at = {choices}'
        if changes_spec(slot.factory) and at != "loading":
            message = "changes what pairs are, which is done as they are read"
            return f'{slot.entry.ref} {message}: set at = "loading"'
        data = self.slots.get("data")
        mixes = inspect.isclass(slot.factory) and asks_another(slot.factory.__call__)
        if mixes and at != "loading" and data is not None and data.settings.batch_size < 2:
            return (
                f"{slot.entry.ref} takes another pair of the batch, and a batch holds one: set "
                'data.batch_size = 2, or at = "loading"'
            )
        if at != "judging" or method is None:
            return ""
        if not self.names("discriminators"):
            return 'at = "judging" is for what discriminators see, and the recipe has none'
        if "augmentation" not in method.injected:
            return f'{method.entry.ref} shows discriminators images as they are, so nothing is at "judging"'
        return ""

    def requirements(self) -> None:
        """What a component says it cannot do without is there; features are seen once it is built."""
        has_metric = bool(self.names("metrics"))
        for slot in self.slots.values():
            unmet = {"penalty": not self.penalised(slot), "metric": not has_metric}
            needs = getattr(slot.factory, "requires", {})
            if not isinstance(needs, Mapping) or not all(map(is_need, needs)):
                message = f"`requires` maps what it needs ({', '.join(NEEDS)}, {FIELD}NAME) to a sentence"
                error = PluginError(f"{slot.entry.ref}: {message}")
                self.findings.add_error(slot.origin("use"), error)
                continue
            for need, sentence in needs.items():
                if unmet.get(need):
                    self.note(slot, sentence)
        train = self.draft.table.get("train")
        if isinstance(train, dict) and "save_best" in train and not has_metric:
            self.note(("train",), "'save_best' needs a metric: add one as [metrics.NAME]", key="save_best")

    def penalised(self, slot: Slot) -> bool:
        """Whether there are penalties, on every discriminator that `slot` works through if it does."""
        judges = set(self.names("discriminators"))
        penalties = [loss for loss in self.section("losses") if loss.entry.kind == "penalty"]
        covered = set[str]().union(*(set(loss.settings.on) or judges for loss in penalties))
        wanted = set(slot.settings.on) or judges if slot.entry.kind in JUDGED_KINDS else set()
        misnamed = not covered <= judges  # which is told as such
        return "losses" in self.incomplete or (bool(penalties) and (wanted <= covered or misnamed))

    def of_a_loss(self, section: str, name: str) -> bool:
        """Whether a schedule is for the weight of a loss; note it where there is no such loss."""
        if section != "schedules" or not name.startswith("losses."):
            return False
        loss, losses = name.removeprefix("losses."), self.names("losses")
        if loss not in losses:
            close = did_you_mean(loss, losses) or f"; there are {', '.join(losses)}"
            self.note((section, name), f"the recipe has no loss '{loss}'{close}")
        return True

    def covered(self, section: str) -> None:
        """Every network has one optimizer, and no optimizer or schedule is without a network or a loss.

        Which groups of parts a network has, it says itself once it is built.
        """
        names, kind = self.names(section), section.removesuffix("s")
        trained = [network for network in self.networks() if not self.is_frozen(network)]
        in_charge = {network: slot_for(section, ".".join(network), set(names)) for network in trained}
        own = [*(["all"] if section == "schedules" else []), *map(".".join, self.networks())]
        choices = [*(group for group in NETWORK_SECTIONS if self.names(group)), *own]
        of_groups = {name: network for name in names if (network := _network_around(name)) in trained}
        for name in names:
            if name in in_charge.values() or name in of_groups or self.of_a_loss(section, name):
                continue
            where = (section, name)
            if name not in (*NETWORK_SECTIONS, *own) and _network_around(name) not in self.networks():
                close = did_you_mean(name, choices) or f"; there are {', '.join(choices)}"
                if section == "schedules" and name == "losses":
                    close = "; that of a loss is named in full, like 'losses.l1'"
                self.note(where, f"'{name}' is no network and no group of them{close}")
            elif name in NETWORK_SECTIONS and not self.names(name):
                if self.needed(name):
                    continue  # the recipe is told to have one
                self.note(where, f"this {kind} has nothing to do: the recipe has no {name}")
            elif name != "all" and not any(name in (network[0], ".".join(network)) for network in trained):
                self.note(where, f"this {kind} has nothing to do: all that it could train is frozen")
            else:
                self.note(where, f"this {kind} has nothing to do: each network has one of its own")
        if section == "optimizers":
            for network, name_in_charge in in_charge.items():
                if name_in_charge is None and network not in of_groups.values():
                    self.note(network, f"no optimizer trains this network: add [optimizers.{network[0]}]")

    def needed(self, section: str) -> bool:
        """Whether the method needs a network of a section, of a name that it says."""
        roles = getattr(self.declared(), section, {})
        return isinstance(roles, Mapping) and any(getattr(role, "required", True) for role in roles.values())

    def is_frozen(self, network: KeyPath) -> bool:
        """Whether a network's table says that all of it stays as it is."""
        table = self.draft.table[network[0]][network[1]]
        return isinstance(table, dict) and table.get("frozen") is True

    def stages(self) -> None:
        """Each stage ends after the one before it, the last with the run, and freezes what there is."""
        known = list(map(".".join, self.networks()))
        end, last = 0.0, list(self.stages_found)[-1:]
        for name, stage in self.stages_found.items():
            where = ("stages", name)
            if name in last and stage.until is not None:
                self.note(where, "the last stage ends with the run: leave `until` out", key="until")
            elif name not in last and stage.until is None:
                message = "a stage that others follow needs `until`, the share of the run at which it ends"
                self.note(where, message, key="until")
            elif stage.until is not None and stage.until <= end:
                self.note(
                    where, f"it ends at {stage.until:g}, and the stage before it at {end:g}", key="until"
                )
            end = stage.until or end
            for path in stage.frozen:
                if path not in known and _network_around(path) not in self.networks():
                    close = did_you_mean(path, known) or f"; there are {', '.join(known)}"
                    self.note(where, f"'{path}' is no network and no group of parts{close}", key="frozen")


def _network_around(path: str) -> KeyPath:
    """Return the network of a group's path, ``generators.main.encoder``; nothing for another path."""
    section, _, rest = path.partition(".")
    name, _, group = rest.partition(".")
    return (section, name) if group else ()
