"""The image pool: what is shown of the past, beside which source, and that none of it is lost."""

from __future__ import annotations

import json

import pytest
import torch
from torch import Tensor

from i2i.core.methods.image_pool import ImagePool
from i2i.runs import state


def batch(first: int, count: int) -> tuple[Tensor, Tensor]:
    """Fakes of the values first, first + 1, ..., and sources of 100 more."""
    values = torch.arange(first, first + count, dtype=torch.float32).reshape(count, 1, 1, 1)
    return values.expand(count, 3, 2, 4).clone(), (values + 100).expand(count, 1, 2, 4).clone()


def shown(pool: ImagePool, first: int, count: int, rng: torch.Generator) -> list[int]:
    """Exchange a batch, check that each fake stands beside its own source, and return the fakes' values."""
    fakes, sources = pool.exchange(*batch(first, count), rng)
    assert fakes.shape == (count, 3, 2, 4)
    assert torch.equal(fakes[:, :1] + 100, sources)
    return fakes[:, 0, 0, 0].int().tolist()


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_a_pool_of_0_returns_the_very_tensors_and_draws_nothing() -> None:
    rng = seeded()
    fakes, sources = batch(0, 2)
    out = ImagePool(0).exchange(fakes, sources, rng)
    assert out[0] is fakes
    assert out[1] is sources
    assert torch.equal(rng.get_state(), seeded().get_state())


def test_until_it_is_full_everything_new_is_shown() -> None:
    pool, rng = ImagePool(6), seeded()
    assert shown(pool, 0, 4, rng) == [0, 1, 2, 3]
    assert shown(pool, 4, 2, rng) == [4, 5]


def test_once_full_about_half_of_what_is_shown_is_old_and_is_shown_once() -> None:
    pool, rng = ImagePool(8), seeded()
    seen = [(value, step) for step in range(200) for value in shown(pool, 4 * step, 4, rng)]
    later = [(value, step) for step, value in ((s, v) for v, s in seen) if step >= 2]
    old = [value for value, step in later if value < 4 * step]
    assert 0.4 < len(old) / len(later) < 0.6
    assert all(value < 4 * (step + 1) for value, step in seen)
    assert len(old) == len(set(old))
    assert len(pool.state_dict()["fakes"]) == 8


def test_the_batch_that_is_put_in_is_left_alone() -> None:
    pool, rng = ImagePool(2), seeded()
    for step in range(10):
        fakes, sources = batch(2 * step, 2)
        pool.exchange(fakes, sources, rng)
        assert torch.equal(fakes, batch(2 * step, 2)[0])
        assert torch.equal(sources, batch(2 * step, 2)[1])


def test_later_changes_of_a_batch_do_not_reach_the_pool() -> None:
    pool = ImagePool(2)
    fakes, sources = batch(0, 2)
    pool.exchange(fakes, sources, seeded())
    fakes.zero_()
    assert [int(fake[0, 0, 0]) for fake in pool.state_dict()["fakes"]] == [0, 1]


@pytest.mark.parametrize("filled", [1, 5])
def test_a_pool_goes_on_from_its_state_as_if_never_interrupted(filled: int) -> None:
    whole, rng = ImagePool(4), seeded(7)
    for step in range(filled):
        shown(whole, 2 * step, 2, rng)
    tensors, skeleton = state.pack(whole.state_dict())
    parts = ImagePool(4)
    parts.load_state_dict(state.unpack(tensors, json.loads(json.dumps(skeleton))))
    for step in range(filled, filled + 10):
        assert shown(whole, 2 * step, 2, seeded(step)) == shown(parts, 2 * step, 2, seeded(step))


def test_what_is_shown_lies_in_memory_as_the_batch_does() -> None:
    pool, rng = ImagePool(1), seeded()
    for step in range(8):
        fakes = torch.full((2, 3, 4, 4), float(step)).to(memory_format=torch.channels_last)
        out, _ = pool.exchange(fakes, fakes, rng)
        assert out.stride() == fakes.stride()
        pool.load_state_dict({key: [t.contiguous() for t in kept] for key, kept in pool.state_dict().items()})
