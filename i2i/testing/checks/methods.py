"""What a training method promises: every network learns, gradients stay where they belong, and it resumes."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import torch
from torch import Tensor

from i2i.building.test_keys import SHORT
from i2i.context import Objective, Run
from i2i.engine import stored
from i2i.engine.session import Session
from i2i.errors import DivergedError, PluginError, RecipeError
from i2i.kinds import LOSS_KINDS, DiscriminatorSlot, GeneratorSlot, MethodSlots, NetworkNeed, TestSettings
from i2i.runs import checkpoint
from i2i.testing.checks.manners import MANNERS
from i2i.testing.checks.method_parts import any_discriminators, declares_networks, optional_losses, own_terms
from i2i.testing.outcomes import check, fail, require, told
from i2i.testing.subjects import Subject
from i2i.testing.tiny_session import batch, method_session, through_stages

Weights = dict[str, Tensor]


@check("slots", "method", needs=["toml-defaults", "no-slot-keys"])
def slots(subject: Subject) -> None:
    """Its class says which networks and losses it takes, as a MethodSlots."""
    declared = getattr(subject.factory, "slots", None)
    if not isinstance(declared, MethodSlots):
        fail("its class has no attribute `slots` that is a MethodSlots: say there which networks it takes")
    require(
        declared.generators and all(isinstance(slot, GeneratorSlot) for slot in declared.generators.values()),
        "its `slots` names no generator: map names to GeneratorSlot",
    )
    require(
        declared.exports and set(declared.exports) <= declared.generators.keys(),
        f"its `slots` exports '{', '.join(declared.exports)}', which is none of its generators "
        f"({', '.join(declared.generators)})",
    )
    paths = [
        f"{section}.{name}" for section in ("generators", "networks") for name in getattr(declared, section)
    ]
    unknown = [path for path in declared.translates_with if path not in paths]
    require(
        not unknown,
        f"its `translates_with` names '{', '.join(unknown)}', which is none of its networks "
        f"({', '.join(paths)})",
    )
    useless = [
        key.name
        for key in subject.schema.parameters
        if key.at_test and key.name not in SHORT.values() and not declared.translates_with
    ]
    require(
        not useless,
        f"its key '{', '.join(useless)}' is marked AtTest, and model files hold the exported generator "
        "alone: name in `translates_with` all networks that translate() takes",
    )
    judges = declared.discriminators
    of_judges = [judges] if isinstance(judges, DiscriminatorSlot) else [*judges.values()]
    named = [role.needs for role in declared.generators.values()] + [role.needs for role in of_judges]
    needs = {need for each in named for need in each} - {*get_args(NetworkNeed)}
    require(
        not needs,
        f"its `slots` needs {' and '.join(map(repr, sorted(needs)))} of a network: there are "
        f"{' and '.join(map(repr, get_args(NetworkNeed)))}",
    )
    kinds = {*declared.loss_kinds, *(wanted.kind for wanted in declared.losses.values())}
    unknown = sorted(kinds - {*LOSS_KINDS})
    require(
        not unknown,
        f"its `slots` takes losses of the kinds {', '.join(sorted(kinds))}: name "
        f"those that it applies, of {', '.join(LOSS_KINDS)}",
    )


@check("assembles", "method", needs=["slots"])
def assembles(subject: Subject) -> None:
    """The engine can build it with networks and losses as its `slots` ask for them."""
    session = method_session(subject)
    require(
        isinstance(getattr(session.method, "test", None), TestSettings),
        "it has no attribute `test` that is a TestSettings: say how the trained generator is run",
    )


@check("logs", "method", needs=["works", *MANNERS])
def logs(subject: Subject) -> None:
    """A step returns what `run.update` logged: finite scalars by name, without their graphs."""
    session = method_session(subject)
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        found = session.advance([batch(session, 0, 1)])
    require(
        not any("target size" in str(warning.message) for warning in heard),
        "a loss is given images of different shapes, here of 1 and of 3 channels: give it a translation "
        "and what it is to look like, which is the target of a generator that writes one",
    )
    require(
        isinstance(found, Mapping) and found,
        f"step() returns {'nothing' if not found else type(found).__name__}: return what run.update returned",
    )
    for name, value in found.items():
        require(
            isinstance(name, str) and isinstance(value, Tensor) and value.dim() == 0,
            f"step() returns '{name}' as a {type(value).__name__}: return scalars as tensors, by name",
        )
        require(
            value.isfinite() and not value.requires_grad,
            f"step() returns '{name}' as {value.item():g}, {'with' if value.requires_grad else 'without'} "
            "its graph: return what run.update returned, which is detached",
        )
    try:
        session.run.check_finite(session.networks.modules())
    except DivergedError as error:
        fail(
            f"after the first step: {error.problems[0].message.partition('. ')[0]}: look for logarithms, "
            "roots and divisions by 0, also by run.step"
        )


@check("every-network-learns", "method", needs=["logs"])
def every_network_learns(subject: Subject) -> None:
    """A few steps change the weights of each network."""
    session = method_session(subject)
    before = weights_of(session)
    trained: set[str] = set()
    for number in range(session.stages.begins()[-1] + 3):
        session.advance([batch(session, 2 * number, 2 * number + 1)])
        trained |= {name for name, weight in _parameters(session) if weight.requires_grad}
    after = weights_of(session)
    for path, network in session.networks.modules():
        names = trained & {f"{path}.{name}" for name, _ in network.named_parameters()}
        require(
            not names or any(not torch.equal(before[name], after[name]) for name in names),
            f"the weights of {path} stay as they are in three steps: give run.update an objective that "
            "depends on them, and name in `small` with which parameters it does so from the first step",
        )


@check("gradients-freed", "method", needs=["logs"])
def gradients_freed(subject: Subject) -> None:
    """No step leaves a gradient, a frozen network or one in another mode behind."""

    class Watched(Run):
        def update_together(
            self, slots: Sequence[str], objectives: Iterable[Mapping[str, Objective]], *, parts: int = 1
        ) -> dict[str, Tensor]:
            found = super().update_together(slots, objectives, parts=parts)
            for path, parameter in _parameters(session):
                require(
                    parameter.grad is None,
                    f"after the update of {' and '.join(slots)}, {path} holds a gradient: wrap what is not "
                    "trained in run.frozen(...), and detach fakes that discriminators see",
                )
            return found

    session = method_session(subject, run=Watched)
    wanted = [parameter.requires_grad for _, parameter in _parameters(session)]
    modes = modes_of(session)
    session.advance([batch(session, 0, 1)])
    require(
        modes == modes_of(session),
        "after a step a network is in another mode: leave train() and eval() to the engine, or use "
        "i2i.testtime.applied, which puts it back",
    )
    for (path, parameter), before in zip(_parameters(session), wanted, strict=True):
        require(
            parameter.grad is None,
            f"after a step {path} holds a gradient, which the next one adds to: leave every backward to "
            "run.update",
        )
        require(
            parameter.requires_grad == before,
            f"after a step {path} is {'frozen' if before else 'trained'}: freeze by run.frozen(...), which "
            "puts back what was",
        )


@check("steps-by-run", "method", needs=["gradients-freed"])
def steps_by_run(subject: Subject) -> None:
    """Every backward pass and every step of an optimizer is made by run.update, once for each."""
    inside = False

    class Watched(Run):
        def update_together(
            self, slots: Sequence[str], objectives: Iterable[Mapping[str, Objective]], *, parts: int = 1
        ) -> dict[str, Tensor]:
            nonlocal inside
            inside = True
            found = super().update_together(slots, map(untouched, objectives), parts=parts)
            inside = False
            return found

    def untouched(objectives: Mapping[str, Objective]) -> Mapping[str, Objective]:
        require(
            all(parameter.grad is None for _, parameter in _parameters(session)),
            "an objective leaves gradients behind, which those of run.update are added to: call no "
            "backward() in it, and take gradients by torch.autograd.grad",
        )
        return objectives

    def step(*_: Any) -> None:
        require(
            inside,
            "it takes a step of an optimizer by itself: hand run.update the objectives, which also does "
            "precision, clipping and accumulation",
        )

    session = method_session(subject, run=Watched)
    for optimizer in session.run.optimizers.values():
        optimizer.register_step_pre_hook(step)
    session.advance([batch(session, 0, 1)])


@check("weights-count", "method", needs=["repeatable-steps"])
def weights_count(subject: Subject) -> None:
    """The weight that a recipe gives to a loss makes a difference, for each kind of loss that it takes."""
    plain = method_session(subject)
    through_stages(plain, batch(plain, 0, 1))
    for term in plain.losses.terms:
        heavy = method_session(subject, heavy=term.name)
        through_stages(heavy, batch(heavy, 0, 1))
        require(
            not _equal(plain, heavy),
            f"five times the weight of a {term.kind} changes nothing: apply each loss of the kinds that "
            "`slots` names, and multiply it by its term's weight",
        )


@check("parts-count", "method", needs=["weights-count", "losses-given"])
def parts_count(subject: Subject) -> None:
    """The part of the target that a recipe gives to a paired loss makes a difference."""
    plain = method_session(subject)
    through_stages(plain, batch(plain, 0, 1))
    for term in plain.losses.terms:
        if term.kind != "paired-loss":
            continue
        try:
            apart = method_session(subject, parts={term.name: "first"})
            through_stages(apart, batch(apart, 0, 1))
        except RecipeError:
            continue  # it compares sources, which have no such part, and the term said so
        require(
            not _equal(plain, apart),
            "where a paired loss is to compare one part of the target, it compares the whole: call the term, "
            "term(fake, real, batch=batch, run=run)",
        )


@check("repeatable-steps", "method", needs=["logs"])
def repeatable_steps(subject: Subject) -> None:
    """Two runs under one seed end on the same weights, bit for bit."""
    first, second = method_session(subject), method_session(subject)
    for session in (first, second):
        for _ in range(2):
            session.advance([batch(session, 0, 1)])
    _require_equal(
        first,
        second,
        "{} differ between two runs under one seed: draw from torch's global generator, which each step "
        "seeds, or from i2i.seeds.generator_for(run.seed, ..., run.step)",
    )


@check("no-leak", "method", needs=["gradients-freed", "repeatable-steps"])
def no_leak(subject: Subject) -> None:
    """What an earlier step left in gradients has no part in the next."""
    clean, dirty = method_session(subject), method_session(subject)
    for _, parameter in _parameters(dirty):
        parameter.grad = torch.ones_like(parameter)
    for session in (clean, dirty):
        session.advance([batch(session, 0, 1)])
    _require_equal(
        clean,
        dirty,
        "{} come out otherwise when gradients are left over from before: leave zero_grad, backward and step "
        "to run.update",
    )


@check("accumulates", "method", needs=["repeatable-steps"])
def accumulates(subject: Subject) -> None:
    """Given several batches for a step, it learns from all of them."""
    for step in method_session(subject).stages.begins():
        _accumulates(subject, step)


def _accumulates(subject: Subject, step: int) -> None:
    """End the check where a network that learns in this step does so from one of two batches alone."""
    fresh, both, first, last = (method_session(subject) for _ in range(4))
    for session in (both, first, last):
        session.run.step = step
    try:
        both.advance([batch(both, 0, 1), batch(both, 2, 3)])
    except Exception as error:
        fail(
            f"given two batches for one step it raises {told(error)}: hand run.update one objective a "
            "batch, and their number as `parts`"
        )
    for session, chosen in ((first, (0, 1)), (last, (2, 3))):
        session.advance([batch(session, *chosen), batch(session, *chosen)])
    for other in (first, last):
        for path, _ in both.networks.modules():
            require(
                _equal(both, fresh, path) or not _equal(both, other, path),
                f"given two batches for one step, {path} learns from one of them only: hand run.update one "
                "objective a batch, and their number as `parts`",
            )


@check("resumes", "method", needs=["repeatable-steps"])
def resumes(subject: Subject) -> None:
    """Saved and loaded half-way, it ends on the same weights as without."""
    whole, parts, resumed = (method_session(subject) for _ in range(3))
    saves, loads = (hasattr(whole.method, name) for name in ("state_dict", "load_state_dict"))
    require(
        saves == loads,
        f"it has {'state_dict' if saves else 'load_state_dict'} without the other: define both",
    )
    for step in range(4):
        whole.advance([batch(whole, step)])
    for step in range(2):
        parts.advance([batch(parts, step)])
    with tempfile.TemporaryDirectory(prefix="i2i-check-") as folder:
        try:
            stored.load(resumed, checkpoint.save(Path(folder), 2, stored.files(parts)).folder)
        except (TypeError, PluginError) as error:
            fail(
                f"its state cannot be saved ({told(error)}): return tensors and JSON values from state_dict()"
            )
    for step in range(2, 4):
        resumed.advance([batch(resumed, step)])
    _require_equal(
        whole,
        resumed,
        "{} come out otherwise when it is saved and loaded half-way: give what it remembers a state_dict() "
        "and a load_state_dict(state)",
    )


def modes_of(session: Session) -> list[bool]:
    """Return of each part of a session's networks whether it is in training mode."""
    return [part.training for _, network in session.networks.modules() for part in network.modules()]


def _equal(one: Session, other: Session, path: str = "") -> bool:
    """Whether two sessions' networks, or those under `path`, have the same parameters."""
    pairs = zip(_parameters(one), _parameters(other), strict=True)
    return all(torch.equal(first, second) for (name, first), (_, second) in pairs if name.startswith(path))


def _parameters(session: Session) -> list[tuple[str, Any]]:
    return [
        (f"{path}.{name}", parameter)
        for path, network in session.networks.modules()
        for name, parameter in network.named_parameters()
    ]


def weights_of(session: Session) -> Weights:
    """Return copies of all parameters and buffers, by network and name."""
    return {
        f"{path}.{name}": tensor.detach().clone()
        for path, network in session.networks.modules()
        for name, tensor in network.state_dict().items()
    }


def _require_equal(one: Session, other: Session, sentence: str) -> None:
    """End the check with `sentence`, naming some weights, where two sessions' networks are not the same."""
    first, second = weights_of(one), weights_of(other)
    for name, value in first.items():
        require(torch.equal(value, second[name]), sentence.format(f"the weights '{name}'"))


CHECKS = (
    slots,
    assembles,
    logs,
    declares_networks,
    optional_losses,
    own_terms,
    every_network_learns,
    gradients_freed,
    steps_by_run,
    repeatable_steps,
    weights_count,
    parts_count,
    no_leak,
    accumulates,
    resumes,
    any_discriminators,
)
