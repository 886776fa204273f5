"""pix2pix's training step, in plain view.

Isola et al., "Image-to-Image Translation with Conditional Adversarial Networks" (2017), sections 3 and
3.3: one step on the discriminators, then one on the generator, whose objective adds a paired loss to
the adversarial one. Or both at once, from the same look at the fake. Any number of discriminators; without
any it is plain regression.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import torch
from annotated_types import Ge
from torch import Tensor

from i2i import testtime
from i2i.augmentation import Augmentation
from i2i.core.methods.image_pool import ImagePool
from i2i.kinds import Batch, DiscriminatorSlot, GeneratorSlot, MethodSlots, TestSettings
from i2i.maps import Deferred, as_features, as_maps
from i2i.networks import Judge, Losses, Networks
from i2i.seeds import generator_for
from i2i.slot_keys import AtTest

if TYPE_CHECKING:
    from i2i.context import Objective, Run

Translation = Callable[[int], Tensor]


class PairedAdversarial:
    """Train one generator on aligned pairs, against the discriminators of the recipe.

    Args:
        test_dropout: keep dropout on when translating, as pix2pix does.
        test_norm: normalise with each image's own statistics ("batch", as pix2pix does) or with the
            running averages.
        pool: earlier fakes to keep; once there are so many, one time in two the discriminators are shown
            one of them, beside its own source, in place of a new one. 0 shows new ones only.
        update: "alternating": the discriminators step first, and judge the fake anew for the generator.
            "simultaneous": both learn from one judgement of the fake, before either steps; a discriminator
            pass less, more memory, and no pool. Close to the paper's own Torch code, which steps the
            discriminator between its judgement and the generator's gradient.
    """

    slots: ClassVar[MethodSlots] = MethodSlots(
        generators={"main": GeneratorSlot("source", "target")},
        exported="main",
        discriminators=DiscriminatorSlot("target", "source"),
        loss_kinds=frozenset({"paired-loss", "adversarial-loss", "feature-loss", "penalty"}),
    )

    requires: ClassVar[Mapping[str, str]] = {
        "pairs": "core/paired-adversarial compares each translation with the target of its own source, and "
        "the data has no pairs: take data of pairs, or a method for unpaired data"
    }

    def __init__(
        self,
        networks: Networks,
        losses: Losses,
        augmentation: Augmentation,
        *,
        test_dropout: Annotated[bool, AtTest()] = True,
        test_norm: Annotated[Literal["batch", "running"], AtTest()] = "batch",
        pool: Annotated[int, Ge(0)] = 0,
        update: Literal["alternating", "simultaneous"] = "alternating",
    ) -> None:
        if pool and update == "simultaneous":
            raise ValueError(
                "a pool shows the discriminators other fakes than the generator's own: set pool = 0, or "
                'update = "alternating"'
            )
        self.generator = networks.generators["main"]
        self.judges = tuple(networks.judges.values())
        self.losses = losses
        self.augmentation = augmentation
        self.test = TestSettings(test_dropout, test_norm)
        self.pool = ImagePool(pool)
        self.at_once = update == "simultaneous"

    def step(self, batches: Sequence[Batch], run: Run) -> dict[str, Tensor]:
        """Update the discriminators over all batches, then the generator; or all of them at once."""
        if self.at_once and self.judges:
            rng = generator_for(run.seed, "discriminators", run.step)
            both = (self._both(batch, run, rng) for batch in batches)
            return run.update_together(("discriminators", "generators"), both, parts=len(batches))
        logs: dict[str, Tensor] = {}
        parts = len(batches)
        shown, fakes = self._fakes(batches, run)

        # 1. Each discriminator learns to tell the real target from the fake, which carries no gradient.
        if self.judges:
            rng = generator_for(run.seed, "discriminators", run.step)
            judging = (self._judging(batches[i], shown(i), run, rng) for i in range(parts))
            logs |= run.update("discriminators", judging, parts=parts)

        # 2. The generator learns to pass them for real and to stay near the target.
        rng = generator_for(run.seed, "generators", run.step)
        with run.frozen(*(judge.module for judge in self.judges)):
            translating = (self._translating(batches[i], fakes(i), run, rng) for i in range(parts))
            logs |= run.update("generators", translating, parts=parts)
        return logs

    def translate(self, source: Tensor) -> Tensor:
        """Return translations of `source` under the test settings."""
        with testtime.applied(self.generator, self.test):
            output: Tensor = self.generator(source)
        return output

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run must not lose: the pool."""
        return {"pool": self.pool.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from the state of another run."""
        self.pool.load_state_dict(state["pool"])

    def _fakes(self, batches: Sequence[Batch], run: Run) -> tuple[Translation, Translation]:
        """The translation of each batch, as the discriminators are shown it, and with its graph.

        That of a single batch serves both. Those of several are made anew for each update: keeping all
        of their graphs would need the memory that accumulation saves.
        """

        def fake(index: int) -> Tensor:
            with run.autocast():
                output: Tensor = self.generator(batches[index].source)
            return output

        if len(batches) == 1:
            fake = cache(fake)
            return lambda index: fake(index).detach(), fake
        return torch.no_grad()(fake), fake

    def _judging(self, batch: Batch, fake: Tensor, run: Run, rng: torch.Generator) -> Objective:
        shown, beside = self.pool.exchange(fake, batch.source, rng)
        augment = self.augmentation.drawn(rng)
        shown, beside = augment(shown, beside)
        real, source = augment(batch.target, batch.source)
        return self._telling_apart(
            lambda judge: (judge.look(shown, beside), judge.look(real, source)),
            source,
            real,
            # Never a fake from the pool: it would not belong to this source.
            lambda: augment(fake, batch.source)[0],
            batch,
            run,
        )

    def _translating(self, batch: Batch, fake: Tensor, run: Run, rng: torch.Generator) -> Objective:
        augment = self.augmentation.drawn(rng)
        shown, source = augment(fake, batch.source)

        @cache
        def real(judge: Judge) -> Any:
            with torch.no_grad():  # how the real image is judged is a reference, not a way to learn
                return judge.look(target(), source)

        @cache
        def target() -> Tensor:
            return augment(batch.target, batch.source)[0]

        return self._persuading(batch, fake, lambda judge: judge.look(shown, source), real, run)

    def _both(self, batch: Batch, run: Run, rng: torch.Generator) -> dict[str, Objective]:
        """Both objectives, from one look of each discriminator at the fake and one at the target."""
        fake = self.generator(batch.source)
        augment = self.augmentation.drawn(rng)
        shown, source = augment(fake, batch.source)
        real, _ = augment(batch.target, batch.source)

        @cache
        def looks(judge: Judge) -> tuple[Any, Any]:
            return judge.look(shown, source), judge.look(real, source)

        return {
            "discriminators": self._telling_apart(looks, source, real, shown.detach, batch, run),
            "generators": self._persuading(
                batch, fake, lambda judge: looks(judge)[0], lambda judge: looks(judge)[1], run
            ),
        }

    def _telling_apart(
        self,
        looks: Callable[[Judge], tuple[Any, Any]],
        source: Tensor,
        real: Tensor,
        fake: Callable[[], Tensor],
        batch: Batch,
        run: Run,
    ) -> Objective:
        """What the discriminators minimise, by how each looks at a fake and at the target.

        Penalties judge for themselves, beside `source`: the `real` image and the `fake` one.
        """
        total = torch.zeros((), device=source.device)
        logs = {}
        for judge in self.judges:
            on_fake, on_real = map(as_maps, looks(judge))
            if run.logged:
                run.measure(self.losses.accuracy(judge, on_fake, on_real))
            score = torch.zeros((), device=source.device)
            for term in self.losses.of("adversarial-loss", judge):
                score = score + term.discriminator(on_fake, on_real, batch=batch, run=run)
            total = total + score
            logs[f"discriminators.{judge.name}"] = score
            for extra in self.losses.of("penalty", judge):
                if extra.due(run.step):
                    penalty = extra(judge.given(source), real, fake(), batch=batch, run=run)
                    total = total + extra.weighted(penalty)
                    logs[f"{extra.name}.{judge.name}"] = penalty
        return total, logs

    def _persuading(
        self,
        batch: Batch,
        fake: Tensor,
        seen: Callable[[Judge], Any],
        real: Callable[[Judge], Any],
        run: Run,
    ) -> Objective:
        """What the generator minimises, by how each discriminator sees its fake, and the target if asked."""
        given: Any = {"batch": batch, "run": run}  # for losses that ask for more than tensors
        parts = {term.name: term(fake, batch.target, **given) for term in self.losses.of("paired-loss")}
        for judge in self.judges:
            look, reference = seen(judge), partial(real, judge)
            judged = {
                term.name: term.generator(as_maps(look), Deferred(reference), **given)
                for term in self.losses.of("adversarial-loss", judge)
            }
            judged |= {
                match.name: match(as_features(look), as_features(reference()), **given)
                for match in self.losses.of("feature-loss", judge)
            }
            for name, value in judged.items():
                parts[name] = parts[name] + value if name in parts else value
        return self.losses.total(parts), parts
