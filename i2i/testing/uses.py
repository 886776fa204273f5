"""How a component of each kind is used once: made, given tiny inputs, and called.

Checks that hold for every kind (nothing global is changed, no input is changed) are made of this table.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from i2i.building.needs import beside
from i2i.engine.session import Session
from i2i.images import normalise
from i2i.kind_table import asks_another
from i2i.kinds import Batch, Pair
from i2i.maps import as_maps
from i2i.testing import samples
from i2i.testing.subjects import Subject, side_for
from i2i.testing.supplied import supplied_metric
from i2i.testing.tiny_pairs import TinyPairs
from i2i.testing.tiny_session import Unseeded, attend, batch, callback_session, method_session

Scored = tuple[Tensor, Tensor, Tensor, tuple[str, ...]]


@dataclass(frozen=True)
class Use:
    """`make` builds the component, `inputs` are what it is then called with, by `call`."""

    inputs: Callable[[Subject, Any], tuple[Any, ...]]
    call: Callable[..., Any]
    make: Callable[[Subject], Any] = lambda subject: subject.build()


def _call(component: Any, *inputs: Any) -> Any:
    return component(*inputs)


def images_for(component: Any, *, channels: int = 3, count: int = 2) -> Tensor:
    """Return square images of a size that `component` can take; label maps for one that requires them."""
    side = side_for(component, at_least=samples.SIDE)
    if "labels" in getattr(component, "requires", {}):
        return samples.label_maps(count, channels, side)
    return samples.images(count, channels, side, side)


def shown(network: Any, image: Tensor) -> Any:
    """Call a network as a method would: with a time for each image, where it takes one."""
    return network(image, **beside(network, image))


def two_images(loss: Any) -> tuple[Tensor, Tensor]:
    """Return a fake, which a gradient is wanted for, and a real batch of images."""
    real = images_for(loss)
    return (real + 0.2 * samples.noise(real, seed=3)).clamp(-1, 1).requires_grad_(True), real


def penalty_inputs() -> tuple[Any, Tensor, Tensor]:
    """Return a judge, as penalties are given one, and real and fake images."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = samples.ToyJudge()
    real, fake = (samples.images(2, 3, 16, 16, seed=seed) for seed in (0, 5))
    return Judging(network), real, fake


class Judging:
    """A judge of images alone, as penalties see one; `network` is what is behind it."""

    def __init__(self, network: nn.Module) -> None:
        self.network = network

    def __call__(self, image: Tensor) -> list[Tensor]:
        return as_maps(self.network(image))


def _play(loss: Any, fake: list[Tensor], real: list[Tensor]) -> Any:
    return loss.generator(fake, real), loss.discriminator(fake, real)


def _read(data: Any) -> Any:
    if not len(data):
        return 0, None  # another check says so
    if hasattr(data, "draw"):
        data.draw(0, samples.generator())
    return len(data), data[0]


def transformed(transform: Any, pair: Pair, *, seed: int = 0, size: tuple[int, int] = (32, 40)) -> Any:
    """Apply a transform with randomness from `seed`; one that asks for it gets another pair too."""
    return transform(pair, size=size, rng=samples.generator(seed), **others(transform, pair))


def others(transform: Any, pair: Pair) -> dict[str, Any]:
    """Return the keyword of a transform that asks for another pair, or nothing."""
    return {"another": lambda: partner(pair)} if asks_another(transform) else {}


def partner(pair: Pair) -> Pair:
    """Return another pair of the same kind: this one upside down."""
    extra = {name: field.flip(-2) for name, field in pair.extra.items()}
    return replace(pair, source=pair.source.flip(-2), target=pair.target.flip(-2), extra=extra)


def _transformed_often(transform: Any, pair: Pair) -> None:
    # What it does in one draw of many is found out, too.
    for seed in range(16):
        transformed(transform, pair, seed=seed)


def made_metric(subject: Subject) -> Any:
    """Build a metric and prepare it, if it wants to be."""
    metric = subject.build()
    if hasattr(metric, "prepare"):
        side = side_for(metric, at_least=samples.SIDE)
        metric.prepare(TinyPairs("train", size=side, count=4))
    metric.reset()
    return supplied_metric(metric)


def scored(subject: Subject, metric: Any) -> Scored:
    """Return sources, translations, truths and ids as a metric sees them, in [0,1].

    Where its table asks for several `draws`, translations are (draws,B,C,H,W).
    """
    side = side_for(metric, at_least=samples.SIDE)
    data = TinyPairs("val", size=side, count=5)
    items = [data[index] for index in range(len(data))]
    source, real = (
        (normalise(torch.stack([item[key] for item in items]), data.spec.side(key)) + 1) / 2
        for key in ("source", "target")
    )
    return source, drawn(subject, real, 0.1), real, tuple(item["id"] for item in items)


def drawn(subject: Subject, real: Tensor, amount: float) -> Tensor:
    """Return translations of 8 bits that are `amount` of noise away from the truth, several if so asked."""
    draws = subject.setting("draws")
    answers = [
        (real + amount * samples.noise(real, seed=seed)).mul(255).round().clamp(0, 255) / 255
        for seed in range(draws)
    ]
    return torch.stack(answers) if draws > 1 else answers[0]


def _score(metric: Any, *inputs: Any) -> Any:
    with torch.no_grad():
        metric.update(*inputs)
        return metric.compute()


@dataclass(frozen=True)
class _Attendance:
    """A callback, and what it is a component of."""

    callback: Any
    subject: Subject

    def __call__(self) -> None:
        with tempfile.TemporaryDirectory(prefix="i2i-check-") as folder:
            attend(self.callback, callback_session(self.subject, Path(folder), run=Unseeded))


def _step(session: Session, pairs: Batch) -> Any:
    return session.advance([pairs])


def _optimise(optimizer: Any) -> Any:
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.ones_like(parameter)
    return optimizer.step()


def _nothing(*_: Any) -> tuple[Any, ...]:
    return ()


USES: Mapping[str, Use] = {
    "generator": Use(lambda subject, network: (images_for(network),), shown),
    "discriminator": Use(lambda subject, network: (images_for(network),), shown),
    "network": Use(_nothing, lambda network: network.state_dict()),
    "paired-loss": Use(lambda subject, loss: (two_images(loss)[0].clone(), two_images(loss)[1]), _call),
    "adversarial-loss": Use(lambda subject, loss: (samples.logits(seed=0), samples.logits(seed=5)), _play),
    "feature-loss": Use(lambda subject, loss: (samples.features(seed=0), samples.features(seed=5)), _call),
    "penalty": Use(lambda subject, penalty: penalty_inputs(), _call),
    "data": Use(_nothing, _read),
    "transform": Use(lambda subject, transform: (samples.pair(),), _transformed_often),
    "method": Use(
        lambda subject, session: (batch(session, 0, 1),),
        _step,
        lambda subject: method_session(subject, run=Unseeded),
    ),
    "metric": Use(scored, _score, made_metric),
    "callback": Use(_nothing, _call, lambda subject: _Attendance(subject.build(), subject)),
    "optimizer": Use(_nothing, _optimise),
    "schedule": Use(_nothing, lambda schedule: (schedule(0), schedule(19))),
}


def tensors_in(value: Any) -> Iterator[Tensor]:
    """Yield every tensor in (nested) inputs."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (Pair, Batch)):
        yield from (value.source, value.target)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from tensors_in(item)
