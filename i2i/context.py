"""What a method and the callbacks see of a run; the only place with a backward pass.

A method calls `update` for the discriminators and for the generators; everything that happens to a
gradient (accumulation, scaling, clipping, the check that it is finite) happens there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from i2i.errors import DivergedError, PluginError
from i2i.records import Batch
from i2i.seeds import seed_for, seeded
from i2i.system.device import Runtime

Objective = tuple[Tensor, Mapping[str, Tensor]]
"""A scalar to minimise, and the parts of it that are worth logging."""


class Run:
    """One run in progress.

    `step` counts the steps that are done; while a method steps, it is the number of the current one,
    from 0. `folder` is None in a dry pass.
    """

    def __init__(
        self,
        *,
        seed: int,
        runtime: Runtime,
        optimizers: Mapping[str, torch.optim.Optimizer],
        clip: float,
        folder: Path | None,
        total_steps: int,
        exported: Callable[[], AbstractContextManager[Callable[[Tensor], Tensor]]],
        held_out: Callable[[int], Batch],
        show: Callable[[Batch, Tensor], None],
    ) -> None:
        self.seed = seed
        self.runtime = runtime
        self.folder = folder
        self.total_steps = total_steps
        self.step = 0
        self.epoch = 0.0
        self.optimizers = optimizers
        self.scaler = torch.amp.GradScaler(
            torch.device(runtime.device).type, enabled=runtime.precision == "fp16"
        )
        self._clip = clip
        self._exported = exported
        self._held_out = held_out
        self._show = show
        self._first_bad_step = torch.full((), -1, dtype=torch.int64, device=runtime.device)

    def autocast(self) -> AbstractContextManager[Any]:
        """Return the context in which networks run at this run's precision."""
        return self.runtime.autocast()

    def update(self, slot: str, objectives: Iterable[Objective], *, parts: int = 1) -> dict[str, Tensor]:
        """Take one optimizer step on the networks of `slot` and return the logged parts, averaged.

        `slot` is "generators", "discriminators", or one network's path ("generators.main").
        `objectives` holds `parts` items, one a batch; each is computed under autocast when its turn
        comes and freed after its backward pass.

        Raises PluginError for an objective that is no single number with a gradient, and for a part that
        is no single number.
        """
        optimizers = self._optimizers_of(slot)
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)
        sums: dict[str, Tensor] = {}
        iterator = iter(objectives)
        for _ in range(parts):
            with self.autocast():
                loss, logs = _checked(slot, next(iterator))
            self._note_if_bad(loss.detach())
            self.scaler.scale(loss / parts).backward()  # type: ignore[no-untyped-call]
            for name, value in logs.items():
                part = value.detach().float() / parts
                sums[name] = sums[name] + part if name in sums else part
        for optimizer in optimizers:
            self.scaler.unscale_(optimizer)
            if self._clip:
                parameters = [p for group in optimizer.param_groups for p in group["params"]]
                norm = nn.utils.clip_grad_norm_(parameters, self._clip)
                if not self.scaler.is_enabled():  # a scaled gradient may overflow: that step is skipped
                    self._note_if_bad(norm)
            self.scaler.step(optimizer)
            # Nobody may find these gradients later: not the next update, not a method's own step.
            optimizer.zero_grad(set_to_none=True)
        if self.scaler.is_enabled():
            self.scaler.update()
        return sums

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
        with self._exported() as translate, torch.no_grad(), seeded(self.seed, "translate"):
            return translate(source)

    def show(self, batch: Batch, fake: Tensor) -> None:
        """Keep pictures of translations: files under samples/, and in the report."""
        self._show(batch, fake)

    def begin(self, step: int, epoch: float) -> None:
        """Make dropout and every other draw of this step a function of (seed, step)."""
        self.step, self.epoch = step, epoch
        torch.manual_seed(seed_for(self.seed, "step", step))

    def finish(self) -> None:
        """Close the step."""
        self.step += 1

    def check_finite(self, modules: Iterable[tuple[str, nn.Module]] = ()) -> None:
        """Raise DivergedError when a loss so far, or a parameter of `modules`, is not finite.

        Reads from the device, so it is called only where something is logged or saved.
        """
        bad = int(self._first_bad_step.item())
        if bad >= 0:
            raise DivergedError(_diverged(f"the loss stopped being finite at step {bad + 1}"))
        for path, module in modules:
            if not all(bool(p.isfinite().all()) for p in module.parameters()):
                raise DivergedError(_diverged(f"{path} has weights that are not finite at step {self.step}"))

    def _note_if_bad(self, value: Tensor) -> None:
        fresh = ~value.isfinite() & (self._first_bad_step < 0)
        self._first_bad_step = torch.where(fresh, self.step, self._first_bad_step)

    def _optimizers_of(self, slot: str) -> list[torch.optim.Optimizer]:
        found = [o for path, o in self.optimizers.items() if path == slot or path.startswith(f"{slot}.")]
        if not found:
            raise KeyError(f"no network is trained under '{slot}'; there are {', '.join(self.optimizers)}")
        return found


def _checked(slot: str, objective: Objective) -> Objective:
    """Return an objective as it is; what a loss returned by mistake is told before it reaches torch."""
    total, parts = objective
    for name, value in {**parts, "": total}.items():
        if not isinstance(value, Tensor) or value.dim():
            what = f"the part '{name}' of what {slot} minimise" if name else f"what {slot} minimise"
            told = (
                f"of shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
            )
            raise PluginError(
                f"{what} is {told}, and has to be a tensor of a single number: let the loss take the mean."
            )
    if not total.requires_grad:
        raise PluginError(
            f"what {slot} minimise has no gradient: a network or a loss of this recipe detaches what it "
            "returns, or computes it under torch.no_grad()."
        )
    return objective


def _diverged(what: str) -> str:
    return (
        f"training diverged: {what}. Lower optimizers.*.lr or set train.clip = 1.0; "
        "what was saved before is kept."
    )
