"""What must hold between the slots of a recipe: the method has what it asks for, and nothing is idle.

Only declared names and resolved slots are looked at; nothing is built.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping

from i2i.errors import PluginError, did_you_mean
from i2i.kind_table import FIELD, asks_another, changes_spec, is_need
from i2i.kinds import JUDGED_KINDS, NEEDS, NETWORK_SECTIONS, DiscriminatorSlot, MethodSlots
from i2i.recipe.merge import Draft
from i2i.recipe.origins import Findings
from i2i.recipe.resolve import Resolved
from i2i.recipe.slots import Slot
from i2i.recipe.toml_lines import KeyPath


def cross_check(draft: Draft, resolved: Resolved, findings: Findings) -> None:
    """Note everything in `draft` that does not fit together."""
    check = _CrossCheck(draft, resolved, findings)
    check.nothing_missing()
    check.method()
    check.judges()
    check.conditions()
    check.transforms()
    check.requirements()
    check.covered("optimizers")
    check.covered("schedules")


def slot_for(section: str, network: str, names: Mapping[str, object] | set[str]) -> str | None:
    """Return which of a section's `names` is in charge of `network`: its own, its group's, or ``all``.

    A loss, whose weight may have a schedule, has one of its own or none.
    """
    group = network.partition(".")[0]
    general = [group] if section == "optimizers" else [group, "all"]
    if group == "losses":
        general = []
    return next((name for name in (network, *general) if name in names), None)


class _CrossCheck:
    def __init__(self, draft: Draft, resolved: Resolved, findings: Findings) -> None:
        self.draft = draft
        self.slots = resolved.slots
        self.incomplete = resolved.incomplete
        self.findings = findings

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
            "losses": "a loss, like [losses.l1]",
            "method": "[method], the way it is trained",
            "train": "[train], with `steps`, `epochs` or `minutes`",
        }
        for section, what in parts.items():
            content = self.draft.table.get(section)
            if content is None or (content == {} and section in {"generators", "losses"}):
                self.findings.add(self.draft.origin(()), f"the recipe has no {what}")

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
        self._wanted(ref, "generators", slots.generators)
        if not isinstance(slots.discriminators, DiscriminatorSlot):
            self._wanted(ref, "discriminators", slots.discriminators)
        for name, wanted in slots.losses.items():
            if wanted.required and name not in self.names("losses"):
                message = f"{ref} needs a {wanted.kind} of the name '{name}': write [losses.{name}]"
                self.note(("method",), message)
        for loss in self.section("losses"):
            if loss.name in slots.losses:
                kind, found = slots.losses[loss.name].kind, f"{loss.entry.ref} is a {loss.entry.kind}"
                if loss.entry.kind != kind:
                    self.note(loss, f"{ref} needs a {kind} as '{loss.name}', and {found}")
            elif loss.entry.kind not in slots.loss_kinds:
                self.note(loss, f"{ref} makes no use of a {loss.entry.kind}, which {loss.entry.ref} is")

    def _wanted(self, ref: str, section: str, wanted: Mapping[str, object]) -> None:
        kind, declared = section.removesuffix("s"), self.names(section)
        for name in wanted:
            if name not in declared and (declared or section != "generators"):
                table = "[generator]" if f"{section}.{name}" == "generators.main" else f"[{section}.{name}]"
                self.note(("method",), f"{ref} needs a {kind} '{name}': write {table}")
        for name in declared:
            if name not in wanted:
                takes = f"it takes {', '.join(wanted)}" if wanted else "it takes none"
                close = did_you_mean(name, wanted)
                self.note((section, name), f"{ref} has no place for a {kind} '{name}'; {takes}{close}")

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
        """Every network has one optimizer, and no optimizer or schedule is without a network or a loss."""
        names, kind = self.names(section), section.removesuffix("s")
        in_charge = {network: slot_for(section, ".".join(network), set(names)) for network in self.networks()}
        choices = [*NETWORK_SECTIONS, *(["all"] if section == "schedules" else []), *map(".".join, in_charge)]
        for name in names:
            if name in in_charge.values() or self.of_a_loss(section, name):
                continue
            where = (section, name)
            if name not in choices:
                close = did_you_mean(name, choices) or f"; there are {', '.join(choices)}"
                self.note(where, f"'{name}' is no network and no group of them{close}")
            elif name in NETWORK_SECTIONS and not self.names(name):
                self.note(where, f"this {kind} has nothing to do: the recipe has no {name}")
            else:
                self.note(where, f"this {kind} has nothing to do: each network has one of its own")
        if section == "optimizers":
            for network, name_in_charge in in_charge.items():
                if name_in_charge is None:
                    self.note(network, f"no optimizer trains this network: add [optimizers.{network[0]}]")
