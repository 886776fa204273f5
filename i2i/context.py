"""What a method and the callbacks see of a run; the only place with a backward pass.

A method calls `update` for the discriminators and for the generators; everything that happens to a
gradient (accumulation, scaling, clipping, the check that it is finite) happens there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from i2i.errors import DivergedError, PluginError, described
from i2i.processes.group import ALONE, Group
from i2i.records import Batch, Direction
from i2i.seeds import seed_for, seeded
from i2i.system.device import Runtime

Objective = tuple[Tensor, Mapping[str, Tensor]]
"""A scalar to minimise, and the parts of it that are worth logging."""

Show = Callable[[int, Batch, Tensor], None]
"""Takes the step, a batch and its translations, and keeps pictures of them."""

Keep = Callable[[int, str, Mapping[str, float]], None]
"""Takes the step, a kind of record and its values by name, and writes them down."""

Tell = Callable[[int, str], None]
"""Takes the step and a sentence for the person, and keeps it."""

Listener = Callable[[str, Mapping[str, Tensor]], None]
"""Takes the slot and the parts of what it minimises, by name, with their graphs."""

ENGINE_KINDS = ("train", "val", "note")
"""Kinds of records that the engine itself writes."""

MOST_WATCHED = 1 << 10
"""Objectives, their parts and gradients that a run can tell apart."""

ELSEWHERE = "what another of the processes computed"
"""What is told not to be finite where it was found by another process, which says more."""

_CURES = 'Lower optimizers.*.lr, set train.clip = 1.0, or train.precision = "fp32"; what was saved is kept.'

MOST_IMAGES = 8
"""Ids of a batch that are named when a loss is not finite."""


class Run:
    """One run in progress.

    `step` counts the steps that are done; while a method steps, it is the number of the current one,
    from 0. `folder` is None in a dry pass. `networks` and `losses` are those of the recipe, as
    `i2i.networks` has them. `logged` says whether the step that is being made, or was just made, is one
    whose losses are written down: reading from the device makes no other step wait. `directions` says of
    each figure of the validation which way is better, where one is. `stage` is the name of the stage that
    the step belongs to, None where a recipe has no `[stages]`.

    Several processes may train as one, each with its share of every batch: this is process `rank`, from 0, of
    `processes`. Each has the same weights and calls the same methods and callbacks; `seed` differs, so that
    they draw apart, and is the recipe's in the first one. The others keep no folder, and what they record,
    note and show is dropped.
    """

    def __init__(
        self,
        *,
        seed: int,
        runtime: Runtime,
        networks: Any,  # i2i.networks names what names this class
        losses: Any,
        directions: Mapping[str, Direction],
        optimizers: Mapping[str, torch.optim.Optimizer],
        clip: float,
        folder: Path | None,
        total_steps: int,
        log_every: int,
        exported: Callable[[], AbstractContextManager[Callable[[Tensor], Tensor]]],
        held_out: Callable[[int], Batch],
        show: Show,
        keep: Keep,
        tell: Tell,
        group: Group = ALONE,
    ) -> None:
        self.seed, self._recipe_seed = group.seed(seed), seed
        self.rank, self.processes = group.rank, group.size
        self.runtime = runtime
        self.folder = folder
        self.total_steps = total_steps
        self.step = 0
        self.epoch = 0.0
        self.logged = False
        self.stage: str | None = None
        self.measured: dict[str, Tensor] = {}
        self.networks, self.losses, self.directions = networks, losses, directions
        self.optimizers = optimizers
        self.scaler = torch.amp.GradScaler(
            torch.device(runtime.device).type, enabled=runtime.precision == "fp16"
        )
        self._clip = clip
        self._exported = exported
        self._held_out = held_out
        self._show, self._keep, self._tell = show, keep, tell
        self._log_every = log_every
        self._listeners: list[Listener] = []
        self._watched: list[str] = []
        self._unsound = torch.zeros((), dtype=torch.int64, device=runtime.device)
        self._sound = torch.zeros((), device=runtime.device)
        self._batches: dict[int, Sequence[str]] = {}
        self._gradients = group.gradients()

    def autocast(self) -> AbstractContextManager[Any]:
        """Return the context in which networks run at this run's precision."""
        return self.runtime.autocast()

    def update(self, slot: str, objectives: Iterable[Objective], *, parts: int = 1) -> dict[str, Tensor]:
        """Take one optimizer step on the networks of `slot` and return the logged parts, averaged.

        `slot` is "generators", "discriminators", "networks", or one network's path ("generators.main"). Where
        all of them are frozen, the objectives are computed and logged, and nothing steps.
        `objectives` holds `parts` items, one a batch; each is computed under autocast when its turn
        comes and freed after its backward pass.

        Where an objective or a gradient is not finite, the networks stay as they are, and `check_finite`
        tells of it. On a CPU that is asked before each step; other devices see to it by themselves, as
        asking them would make them wait.

        Raises PluginError for an objective that is no single number with a gradient, and for a part that
        is no single number.
        """
        return self.update_together((slot,), ({slot: objective} for objective in objectives), parts=parts)

    def update_together(
        self, slots: Sequence[str], objectives: Iterable[Mapping[str, Objective]], *, parts: int = 1
    ) -> dict[str, Tensor]:
        """Take one optimizer step on the networks of each of `slots`, from forward passes that they share.

        As `update`, but each of the `parts` items of `objectives` holds one objective a slot. Its gradient
        goes into the networks of that slot alone, through whatever else it passes, and no network changes
        before all gradients are there.
        """
        optimizers = {slot: self._optimizers_of(slot) for slot in slots}
        trained = {slot: [p for o in optimizers[slot] for p in _trained(o)] for slot in slots}
        self._gradients.begin([trained[slot] for slot in slots])
        for optimizer in chain(*optimizers.values()):
            optimizer.zero_grad(set_to_none=True)
        sums: dict[str, Tensor] = {}
        iterator = iter(objectives)
        for part_number in range(parts):
            with self.autocast():
                found = next(iterator)
                losses = {slot: _checked(slot, found[slot], trained=bool(trained[slot])) for slot in slots}
            del found
            for slot, (loss, logs) in losses.items():
                for listener in self._listeners if trained[slot] else ():
                    listener(slot, logs)
                for name, value in logs.items():
                    self._watch(value.detach(), f"the part '{name}' of what {slot} minimise")
                    part = value.detach().float() / parts
                    sums[name] = sums[name] + part if name in sums else part
                self._watch(loss.detach(), f"what {slot} minimise")
            for number, slot in enumerate(slots):
                loss, _ = losses.pop(slot)
                if not trained[slot]:
                    continue
                # Alone, an objective's gradient goes wherever it leads: what is not trained is frozen.
                inputs = trained[slot] if len(slots) > 1 else None
                scaled = self.scaler.scale(loss / parts)
                if part_number == parts - 1:
                    self._gradients.last(number)
                scaled.backward(inputs=inputs, retain_graph=bool(losses))  # type: ignore[no-untyped-call]
        if (elsewhere := self._gradients.finish(self._unsound)) is not None:
            self._watch(torch.where(elsewhere, torch.inf, self._sound), ELSEWHERE)
        stepped = [self._step(slot, optimizer) for slot in slots for optimizer in optimizers[slot]]
        # Nobody may find these gradients later: not the next update, not a method's own step.
        for optimizer in chain(*optimizers.values()):
            optimizer.zero_grad(set_to_none=True)
        if self.scaler.is_enabled() and any(stepped):
            self.scaler.update()
        return sums

    def _step(self, slot: str, optimizer: torch.optim.Optimizer) -> bool:
        """Let an optimizer step, unless something was not finite in this step or before.

        Returns whether there is any gradient for it: all of its networks may be frozen, or no objective of
        this update go through them. A scaler refuses to go by none.
        """
        parameters = _trained(optimizer)
        gradients = [p.grad for p in parameters if p.grad is not None]
        if not gradients:
            return False
        self.scaler.unscale_(optimizer)
        if self._clip:
            size = nn.utils.get_total_norm(gradients)
            nn.utils.clip_grads_with_norm_(parameters, self._clip, size)
        else:  # half the price of a norm, and as good for this: a sum is finite only where all of it is
            size = sum((gradient.sum().float() for gradient in gradients), torch.zeros_like(self._sound))
        if not self.scaler.is_enabled():  # a scaled gradient may overflow: the scaler leaves that step out
            self._watch(size, f"a gradient of {slot}")
        if self._unsound.is_cpu:
            if not self._unsound:
                self.scaler.step(optimizer)
        elif getattr(optimizer, "_step_supports_amp_scaling", False) and not self.scaler.is_enabled():
            # What a scaler does: fused kernels look at this number by themselves.
            optimizer.found_inf = self._unsound.clamp(max=1).float()  # type: ignore[attr-defined]
            try:
                optimizer.step()
            finally:
                del optimizer.found_inf  # type: ignore[attr-defined]
        elif not self._unsound.item():
            self.scaler.step(optimizer)
        return True

    @contextmanager
    def frozen(self, *modules: nn.Module) -> Iterator[None]:
        """Let gradients pass through `modules` but not into their parameters, for a while."""
        wanted = [(p, p.requires_grad) for module in modules for p in module.parameters()]
        try:
            for parameter, _ in wanted:
                parameter.requires_grad_(False)
            yield
        finally:
            for parameter, requires_grad in wanted:
                parameter.requires_grad_(requires_grad)

    def held_out(self, count: int) -> Batch:
        """Return `count` validation pairs, always the same ones, on the device."""
        return self._held_out(count)

    def translate(self, source: Tensor) -> Tensor:
        """Translate as the exported model would: averaged weights if any, test settings, float32."""
        with self._exported() as translate, torch.no_grad(), seeded(self._recipe_seed, "translate"):
            return translate(source)

    def show(self, batch: Batch, fake: Tensor) -> None:
        """Keep pictures of translations: files under samples/, and in the report."""
        self._show(self.step, batch, fake)

    def listen(self, listener: Listener) -> None:
        """Call `listener` before each backward pass with the slot and the parts of what it minimises.

        The parts still have their graphs, of which it may take gradients by torch.autograd.grad with
        retain_graph. It changes nothing, and reads from the device at `logged` steps alone.
        """
        self._listeners.append(listener)

    def measure(self, values: Mapping[str, Tensor]) -> None:
        """Keep scalars of this step that are no losses, such as accuracies, in `measured`, for callbacks.

        Of a name that comes again in the same step, as with accumulation, the last value stays.
        """
        self.measured |= {name: value.detach() for name, value in values.items()}

    def record(self, kind: str, values: Mapping[str, float]) -> None:
        """Write numbers by name into metrics.jsonl, as a record of a kind of one's own.

        The report has a curve for each name. Whoever goes on from an earlier step drops what came after.

        Raises PluginError for a kind that the engine writes, or that is no lower-case words joined by `-`.
        """
        if kind in ENGINE_KINDS or not re.fullmatch("[a-z][a-z0-9]*(-[a-z0-9]+)*", kind):
            raise PluginError(
                f"a callback writes records of the kind '{kind}': take lower-case words joined by '-', and "
                f"none of {', '.join(ENGINE_KINDS)}, which are the engine's."
            )
        self._keep(self.step, kind, {name: float(value) for name, value in values.items()})

    def note(self, text: str) -> None:
        """Tell the person a sentence, on the terminal and in the report; the same one is told once."""
        self._tell(self.step, text)

    def begin(self, step: int, epoch: float, *, ids: Sequence[str] = ()) -> None:
        """Make dropout and every other draw of this step, on the images `ids`, a function of (seed, step)."""
        self.step, self.epoch = step, epoch
        self.logged = step == 0 or step + 1 == self.total_steps or (step + 1) % self._log_every == 0
        self.measured = {}
        self._batches[step] = ids
        torch.manual_seed(seed_for(self.seed, "step", step))

    def finish(self) -> None:
        """Close the step."""
        self.step += 1

    @property
    def watches_for_free(self) -> bool:
        """Whether `check_finite` can be asked after each step: reading from this device costs no waiting."""
        return self._unsound.is_cpu

    def check_finite(self, modules: Iterable[tuple[str, nn.Module]] = ()) -> None:
        """Raise DivergedError where an objective, a gradient, or a weight of `modules` is not finite.

        Says it once: the step's update was left out, and what is there can be saved. Reads from the device,
        so where that means waiting it is called only where something is logged or saved.
        """
        unsound = int(self._unsound.item())
        batches, self._batches = self._batches, {}
        if unsound:
            self._unsound.zero_()
            step, what = divmod(unsound - 1, MOST_WATCHED)
            if self._watched[what] == ELSEWHERE and self.rank:
                raise DivergedError  # the one that found it says what, and the first one that it was found
            # What another process found is not of this one's images.
            images = [] if self._watched[what] == ELSEWHERE else list(batches.get(step, ()))
            more = f" and {len(images) - MOST_IMAGES} more" if len(images) > MOST_IMAGES else ""
            named = f" (images: {', '.join(images[:MOST_IMAGES])}{more})" if images else ""
            raise DivergedError(
                f"training diverged: {self._watched[what]} stopped being finite at step {step + 1}{named}. "
                f"That update was left out. {_CURES}"
            )
        for path, module in modules:
            for name, tensor in module.state_dict().items():
                if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
                    if self.rank:
                        raise DivergedError  # these are the weights of all, of which the first one tells
                    raise DivergedError(
                        f"training diverged: {path} has weights that are not finite at step {self.step}, "
                        f"such as '{name}'. {_CURES}"
                    )

    def _watch(self, value: Tensor, what: str) -> None:
        """Remember on the device the first step, and what it was, where a value is not finite."""
        if what not in self._watched:
            self._watched.append(what)
        number = self.step * MOST_WATCHED + self._watched.index(what) + 1
        fresh = ~value.isfinite() & (self._unsound == 0)
        self._unsound = torch.where(fresh, number, self._unsound)

    def _optimizers_of(self, slot: str) -> list[torch.optim.Optimizer]:
        found = [o for path, o in self.optimizers.items() if path == slot or path.startswith(f"{slot}.")]
        frozen = [path for path, _ in self.networks.modules() if path == slot or path.startswith(f"{slot}.")]
        if not found and not frozen:
            raise KeyError(f"no network is trained under '{slot}'; there are {', '.join(self.optimizers)}")
        return found


def _trained(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    return [p for group in optimizer.param_groups for p in group["params"] if p.requires_grad]


def _checked(slot: str, objective: Objective, *, trained: bool) -> Objective:
    """Return an objective as it is; what a loss returned by mistake is told before it reaches torch.

    Only one that something is `trained` on needs a gradient.
    """
    total, parts = objective
    for name, value in {**parts, "": total}.items():
        if not isinstance(value, Tensor) or value.dim():
            what = f"the part '{name}' of what {slot} minimise" if name else f"what {slot} minimise"
            raise PluginError(
                f"{what} is {described(value)}, and has to be a tensor of a single number: let the loss take "
                "the mean."
            )
    if trained and not total.requires_grad:
        raise PluginError(
            f"what {slot} minimise has no gradient: a network or a loss of this recipe detaches what it "
            "returns, or computes it under torch.no_grad()."
        )
    return objective
