"""How the two sides of a GAN's game stand: what teaches the generator how much, and who tells what apart.

What is measured costs one more backward pass through each discriminator at the steps that are logged, and
nothing at others. It is taken from the training's own graphs, so nothing is computed that draws or changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import torch
from annotated_types import Ge
from torch import nn

from i2i.core.callbacks.diagnoses import Look, Validation, diagnose, recent
from i2i.slot_keys import Count

if TYPE_CHECKING:
    from torch import Tensor

    from i2i.context import Run
    from i2i.networks import Losses, Networks


class Health:
    """Watch over the game of generator and discriminators, and say once what goes wrong and what to try.

    Told is a discriminator that is too strong or learns nothing, an adversarial loss that the others drown,
    a generator that answers all sources alike, and one that knows its training pairs by heart.

    Steps that are logged have a record "health" in metrics.jsonl, and the report its curves:
    ``accuracy.fake.NAME`` and ``accuracy.real.NAME``, the shares of a discriminator's logits on the right
    side; ``output.LOSS``, the size of the gradient of each weighted loss at the generators' output (not of
    compiled networks); ``gradient.NETWORK``, the size of each network's gradient as its optimizer takes it.
    Validations have one with ``variation.outputs`` and ``variation.targets``, the mean deviation of a pixel
    over held-out images.

    Args:
        patience: for how many steps something must be wrong before it is told.
        images: held-out images that are translated at each validation.
    """

    def __init__(self, *, patience: Count = 500, images: Annotated[int, Ge(2)] = 8) -> None:
        self.patience, self.images = patience, images
        self._pending: dict[str, Tensor] = {}
        self._looks: list[Look] = []
        self._validations: list[Validation] = []
        self._told: list[str] = []
        self._outputs: list[Tensor] = []
        self._hooks: list[Any] = []

    def run_start(self, run: Run) -> None:
        """Look on at the networks' outputs and gradients, as the steps make them."""
        networks: Networks = run.networks
        self._hooks = [
            optimizer.register_step_pre_hook(partial(self._see_gradients, run, path))
            for path, optimizer in run.optimizers.items()
        ]
        # A backward pass that torch has compiled may give its buffers away, and be made once only.
        if any(getattr(module, "_compiled_call_impl", None) for _, module in networks.modules()):
            return
        self._hooks += [
            module.register_forward_hook(partial(self._see_output, run))
            for module in networks.generators.values()
        ]
        run.listen(partial(self._see_parts, run))

    def step_end(self, run: Run, logs: Mapping[str, Tensor]) -> None:
        """Record what was seen of a step that is logged, and tell what has been wrong for long."""
        self._outputs.clear()
        if not self._pending:
            return
        values = {name: float(value) for name, value in self._pending.items()}
        self._pending = {}
        run.record("health", values)
        losses = {name: float(value) for name, value in logs.items()}
        self._looks = recent([*self._looks, Look(run.step, values, losses)], self.patience)
        self._tell(run)

    def eval_end(self, run: Run, metrics: Mapping[str, float]) -> None:
        """Record how much translations of held-out images differ, and tell what has gone wrong."""
        batch = run.held_out(self.images)
        spread = {"outputs": _spread(run.translate(batch.source)), "targets": _spread(batch.target)}
        run.record("health", {f"variation.{name}": value for name, value in spread.items()})
        trained = sum(_paired(run.losses, look) for look in self._looks) / max(len(self._looks), 1)
        # A run that was cut off here is told of this validation again.
        before = [validation for validation in self._validations if validation.step < run.step]
        self._validations = [*before, Validation(run.step, **spread, figures=dict(metrics), trained=trained)]
        self._tell(run)

    def run_end(self, run: Run, error: BaseException | None) -> None:
        """Let go of the networks."""
        for hook in self._hooks:
            hook.remove()
        self._hooks = []

    def state_dict(self) -> dict[str, Any]:
        """Return what was seen of late, what was told, and what is yet to be recorded."""
        return {
            "pending": dict(self._pending),
            "looks": [asdict(look) for look in self._looks],
            "validations": [asdict(validation) for validation in self._validations],
            "told": list(self._told),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from the state of another run."""
        self._pending = dict(state["pending"])
        self._looks = [Look(**look) for look in state["looks"]]
        self._validations = [Validation(**validation) for validation in state["validations"]]
        self._told = list(state["told"])

    def _tell(self, run: Run) -> None:
        found = diagnose(self._looks, self._validations, run.losses, run.directions, self.patience)
        for name, sentence in found.items():
            if name not in self._told:
                self._told.append(name)
                run.note(sentence)

    def _see_output(self, run: Run, module: nn.Module, given: Any, output: Any) -> None:
        if run.logged and isinstance(output, torch.Tensor) and output.requires_grad:
            self._outputs.append(output)

    def _see_parts(self, run: Run, slot: str, parts: Mapping[str, Tensor]) -> None:
        """Take the size of each loss's gradient at the outputs; a loss that does not reach them has none."""
        if not self._outputs:
            return
        losses: Losses = run.losses
        found = {}
        for term in losses.terms:
            part = parts.get(term.name)
            if part is None or not part.requires_grad:
                continue
            # As large as in the training, or half precision would lose it.
            scaled = run.scaler.scale(term.weighted(part))
            reached = torch.autograd.grad(scaled, self._outputs, retain_graph=True, allow_unused=True)
            gradients = [gradient.float() for gradient in reached if gradient is not None]
            if gradients:
                found[f"output.{term.name}"] = nn.utils.get_total_norm(gradients) / run.scaler.get_scale()
        if found:
            self._outputs.clear()
            self._pending |= found

    def _see_gradients(self, run: Run, path: str, optimizer: torch.optim.Optimizer, *_: Any) -> None:
        if run.logged:
            parameters = (p for group in optimizer.param_groups for p in group["params"])
            gradients = [p.grad for p in parameters if p.grad is not None]
            self._pending[f"gradient.{path}"] = nn.utils.get_total_norm(gradients)
            self._pending |= run.measured


def _spread(images: Tensor) -> float:
    """Return the mean deviation of a pixel (0 to 1) over images (B,C,H,W)."""
    return images.float().std(dim=0, correction=0).mean().item()


def _paired(losses: Losses, look: Look) -> float:
    """Return what the paired losses of a step were together, by their weights."""
    paired = (term for term in losses.terms if term.kind == "paired-loss")
    return sum(term.weight * look.losses.get(term.name, 0.0) for term in paired)
