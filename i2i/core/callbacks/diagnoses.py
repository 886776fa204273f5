"""What may be wrong with a GAN's training, told from its last steps: pure functions with thresholds.

Each looks at the last `patience` steps as two halves. What is wrong has to be so in both, as steps differ
much from each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from i2i.kinds import Direction
    from i2i.networks import Losses

FEWEST = 5
"""Looks that each half must hold."""

TOO_STRONG = 0.97
"""Share of the logits, of fakes and of real images, that only a discriminator too strong has right."""

RISEN, SHRUNK = 1.1, 0.8
"""How an adversarial loss, or its gradient, changes from half to half where the generator falls behind."""

BLIND = 0.55
"""Mean share of right logits of a discriminator that tells nothing apart; guessing gives 0.5."""

LEARNING = 0.95
"""What the loss of a discriminator that still learns falls to from half to half, as a share."""

EQUAL = 0.01
"""A paired loss below which fakes are taken for equal to their targets."""

DROWNED = 0.01
"""Size of the adversarial gradient at the output, as a share of all other losses', that changes nothing."""

COLLAPSED = 0.05
"""Variation of translations, as a share of the targets', that is none."""

TURNED, TURNED_TIMES = 0.02, 3
"""By how much a figure is worse than its best, and in how many validations in a row, once it has turned."""

LEARNT = 0.9
"""What the training's own losses have fallen to meanwhile, as a share, where pairs are learnt by heart."""


@dataclass(frozen=True)
class Look:
    """A step that was logged: the values of its record "health", and its losses."""

    step: int
    values: Mapping[str, float]
    losses: Mapping[str, float]


@dataclass(frozen=True)
class Validation:
    """A validation: the variation of translations and targets, its figures, and the mean paired loss before.

    `trained` is that of the training's own pairs, 0 where there is no paired loss.
    """

    step: int
    outputs: float
    targets: float
    figures: Mapping[str, float]
    trained: float


@dataclass(frozen=True)
class Window:
    """The last steps, in two halves, and the names of the losses that take part.

    The schedules of those that are `held_back` keep their weights down at present.
    """

    older: Sequence[Look]
    newer: Sequence[Look]
    adversarial: Sequence[str]
    paired: Sequence[str]
    held_back: Sequence[str] = ()

    @property
    def since(self) -> str:
        """Where the window begins, in words."""
        return f"since step {self.older[0].step:,}"

    def means(self, name: str) -> tuple[float, float] | None:
        """Return the mean of a value or a loss in each half; None where either half lacks it."""
        found = [[v for look in half if (v := _value(look, name)) is not None] for half in self.halves]
        if not all(found):
            return None
        older, newer = (sum(values) / len(values) for values in found)
        return older, newer

    @property
    def halves(self) -> tuple[Sequence[Look], Sequence[Look]]:
        """Both halves."""
        return self.older, self.newer

    def judges(self) -> Iterator[tuple[str, tuple[float, float], tuple[float, float]]]:
        """Yield the discriminators whose accuracy is known, and that on fake and real images in each half."""
        for name in self.newer[-1].values:
            judge = name.removeprefix("accuracy.fake.")
            if judge != name:
                fake, real = self.means(name), self.means(f"accuracy.real.{judge}")
                if fake and real:
                    yield judge, fake, real


def recent(looks: Sequence[Look], patience: int) -> list[Look]:
    """Return the looks of the last `patience` steps, with the one before them, and no less than needed."""
    first = looks[-1].step - patience
    before = max((number for number, look in enumerate(looks) if look.step <= first), default=0)
    return list(looks[min(before, max(len(looks) - 2 * FEWEST, 0)) :])


def diagnose(
    looks: Sequence[Look],
    validations: Sequence[Validation],
    losses: Losses,
    directions: Mapping[str, Direction],
    patience: int,
) -> dict[str, str]:
    """Return what is wrong, by a name for it: which part, since when, what to try."""
    found = {
        "collapsed": collapsed(validations, patience),
        "overfitting": overfitting(validations, directions),
    }
    if window := window_of(looks, losses, patience):
        found |= {diagnosis.__name__: diagnosis(window) for diagnosis in OF_STEPS}
    return {name: sentence for name, sentence in found.items() if sentence}


def window_of(looks: Sequence[Look], losses: Losses, patience: int) -> Window | None:
    """Return the last `patience` steps; None where there are not so many yet, or too few looks."""
    if len(looks) < 2 * FEWEST or looks[0].step > looks[-1].step - patience:
        return None
    middle = len(looks) // 2
    adversarial, paired = (
        [term.name for term in losses.terms if term.kind == kind]
        for kind in ("adversarial-loss", "paired-loss")
    )
    held_back = [term.name for term in losses.terms if term.factor < 1]
    return Window(looks[:middle], looks[middle:], adversarial, paired, held_back)


def too_strong(window: Window) -> str | None:
    """A discriminator is nearly always right, and the generator gets no further against it."""
    for judge, fake, real in window.judges():
        if min(*fake, *real) < TOO_STRONG:
            continue
        for name in window.adversarial:
            loss, pull = window.means(name), window.means(f"output.{name}")
            losing = loss is not None and loss[1] - loss[0] > (RISEN - 1) * abs(loss[0])
            if losing or (pull is not None and pull[1] < SHRUNK * pull[0]):
                behind = "rises" if losing else "teaches the generator less and less"
                return (
                    f"discriminators.{judge} is too strong: {window.since} it has been right on "
                    f"{fake[1]:.0%} of fakes and {real[1]:.0%} of real images, and losses.{name} {behind}. "
                    "Lower optimizers.discriminators.lr, augment what it sees "
                    '(use = "diff-augment", at = "judging"), or smooth its labels '
                    f"(smoothing, where losses.{name} has that key)."
                )
    return None


def blind(window: Window) -> str | None:
    """A discriminator guesses, though fakes are not real images."""
    apart = [mean for name in window.paired if (mean := window.means(name))]
    if apart and max(newer for _, newer in apart) < EQUAL:
        return None  # there is nothing left to tell apart
    for judge, fake, real in window.judges():
        loss = window.means(f"discriminators.{judge}")
        learning = loss is not None and loss[1] < LEARNING * loss[0]
        if not learning and max((fake[half] + real[half]) / 2 for half in (0, 1)) <= BLIND:
            return (
                f"discriminators.{judge} learns nothing: {window.since} it has been right on "
                f"{(fake[1] + real[1]) / 2:.0%} of what it was shown, as if by guessing. Raise "
                "optimizers.discriminators.lr, make it larger, or weaken what holds it back (a penalty's "
                'weight, transforms at "judging", smoothing).'
            )
    return None


def drowned(window: Window) -> str | None:
    """An adversarial loss has no say beside the other losses."""
    names = {name for name in window.newer[-1].values if name.startswith("output.")}
    for name in window.adversarial:
        if name in window.held_back:
            continue  # as its schedule means it to be
        own = window.means(f"output.{name}")
        others = [mean for other in names - {f"output.{name}"} if (mean := window.means(other))]
        if own is None or not others:
            continue
        sums = [sum(mean[half] for mean in others) for half in (0, 1)]
        if all(own[half] < DROWNED * sums[half] for half in (0, 1)):
            share = own[1] / sums[1]
            return (
                f"losses.{name} is drowned: {window.since} its gradient at the generator's output has been "
                f"{share:.2%} of that of the other losses, so it changes nothing. "
                f"Raise losses.{name}.weight, or lower the others'."
            )
    return None


def collapsed(validations: Sequence[Validation], patience: int) -> str | None:
    """The generator gives the same answer to all sources."""
    alike = list(takewhile(lambda v: v.outputs < COLLAPSED * v.targets, reversed(validations)))
    if len(alike) < 2 or alike[0].step - alike[-1].step < patience:
        return None
    return (
        f"The generator answers all held-out sources nearly alike since step {alike[-1].step:,}: their "
        f"translations vary by {alike[0].outputs:.2g}, and the targets by {alike[0].targets:.2g}. Lower "
        "optimizers.generators.lr (or raise it, if nothing was learnt yet), add a paired loss or raise its "
        "weight, or start over with another seed."
    )


def overfitting(validations: Sequence[Validation], directions: Mapping[str, Direction]) -> str | None:
    """All figures of the validation have turned for the worse while the training's own losses fall."""
    turned = [_turned([v.figures.get(name) for v in validations], way) for name, way in directions.items()]
    if not turned or None in turned:
        return None
    at = max(place for place in turned if place is not None)
    before, now = validations[at], validations[-1]
    if now.trained >= LEARNT * before.trained:
        return None
    figure, way = next(iter(directions.items()))
    return (
        f"The training pairs are being learnt by heart: held-out figures ({', '.join(directions)}) have been "
        f"worse since step {before.step:,}, and the paired losses of training have fallen by "
        f'{1 - now.trained / before.trained:.0%}. Keep the best model (train.save_best = "{figure}:{way}"), '
        "augment the pairs (transforms), or end earlier (train.patience)."
    )


OF_STEPS: Sequence[Callable[[Window], str | None]] = (too_strong, blind, drowned)
"""What is told from the looks at single steps."""


def _turned(values: Sequence[float | None], way: Direction) -> int | None:
    """Return where the values were best, if enough of them came after, and all were clearly worse."""
    known = [value for value in values if value is not None]
    if len(known) < len(values) or not known:
        return None
    best = min(known) if way == "min" else max(known)
    at, sign = known.index(best), -1 if way == "min" else 1
    later = known[at + 1 :][-TURNED_TIMES:]
    worse = all(sign * (best - value) > TURNED * abs(best) for value in later)
    return at if worse and len(later) == TURNED_TIMES else None


def _value(look: Look, name: str) -> float | None:
    return look.values.get(name, look.losses.get(name))
