"""What a third party's component gives back is looked at before a run begins, and told by its table."""

from __future__ import annotations

import pytest

from i2i import load_recipe, run
from i2i.errors import PluginError
from i2i.testing import fake_distribution

PLUGIN = """
from i2i import hookimpl

i2i_api = 1


@hookimpl
def i2i_register(registry):
    registry.data("items", "i2i_odd.parts:Items", "items of an odd form")
    registry.transform("odd", "i2i_odd.parts:odd", "no pair, or another")
    registry.paired_loss("odd", "i2i_odd.parts:Loss", "no number")
    registry.penalty("empty", "i2i_odd.parts:Penalty", "no number either")
    registry.metric("learning", "i2i_odd.parts:Learning", "cannot be prepared")
    registry.callback("hoard", "i2i_odd.parts:Hoard", "remembers a set")
"""

PARTS = '''
from dataclasses import replace

import torch

from i2i.kinds import ImageSpec, PairSpec


class Items:
    """Items, but for what `odd` says."""

    def __init__(self, split: str, *, odd: str = "") -> None:
        self.spec, self.odd = PairSpec(ImageSpec(3, 16, 16), ImageSpec(3, 16, 16)), odd

    def __len__(self):
        return 4

    def __getitem__(self, index):
        image = torch.zeros(3, 16, 16, dtype=torch.uint8)
        items = {
            "nameless": {"source": image, "target": image},
            "tuple": (image, image, "x"),
            "batched": {"source": image[None], "target": image, "id": "x"},
            "listed": {"source": image, "target": image.tolist(), "id": "x"},
        }
        return items.get(self.odd, {"source": image, "target": image, "id": str(index)})


def odd(*, how: str):
    made = {
        "none": lambda pair: None,
        "grey": lambda pair: replace(pair, source=pair.source[:1]),
        "double": lambda pair: replace(pair, target=pair.target.double()),
    }[how]
    return lambda pair, *, size, rng: made(pair)


class Loss:
    def __init__(self, *, how: str) -> None:
        self.how = how

    def __call__(self, fake, real):
        return None if self.how == "none" else (fake - real).abs()


class Penalty:
    def __call__(self, judge, real, fake):
        return None


class Learning:
    directions = {"learnt": "max"}

    def prepare(self, train_data):
        assert train_data.spec.source.channels == 3
        assert train_data[0]["id"]
        raise RuntimeError(f"no lesson in {len(train_data)} pairs")

    def reset(self): ...

    def update(self, source, fake, real, ids): ...

    def compute(self):
        return {"learnt": 0.0}


class Hoard:
    def __init__(self):
        self.seen = {"steps": {1}}

    def step_end(self, run, logs): ...

    def state_dict(self):
        return self.seen

    def load_state_dict(self, state):
        self.seen = state
'''


@pytest.fixture(autouse=True)
def odd(tmp_path):
    files = {"i2i_odd/__init__.py": PLUGIN, "i2i_odd/parts.py": PARTS}
    with fake_distribution("i2i-odd", files, namespace="odd", site=tmp_path / "odd"):
        yield


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            ("data.use=odd/items", "data.odd=nameless"),
            "an item of the data is with source, target, and has to",
        ),
        (("data.use=odd/items", "data.odd=tuple"), "an item of the data is a tuple, and has to be a mapping"),
        (
            ("data.use=odd/items", "data.odd=batched"),
            "the source of 'x' is of shape (1, 3, 16, 16), and has to",
        ),
        (
            ("data.use=odd/items", "data.odd=listed"),
            "the target of 'x' is list, and has to be a tensor (C,H,W)",
        ),
        (("transforms.x.use=odd/odd", "transforms.x.how=none"), "transforms.x: it returned a NoneType"),
        (
            ("transforms.x.use=odd/odd", "transforms.x.how=grey"),
            "transforms.x: it made the source (1, 16, 16) of torch.float32, and has to keep 3 channels",
        ),
        (
            ("transforms.x.use=odd/odd", "transforms.x.how=double", "transforms.x.at=judging"),
            "transforms.x: it made the target (3, 16, 16) of torch.float64",
        ),
        (("losses.l1.use=odd/odd", "losses.l1.how=none"), "losses.l1: it returned what is a NoneType"),
        (
            ("losses.l1.use=odd/odd", "losses.l1.how=map"),
            "losses.l1: it returned what is of shape (2, 3, 16, 16)",
        ),
        (("losses.x.use=odd/empty",), "losses.x: it returned what is a NoneType"),
        (("metrics.x.use=odd/learning",), "odd/learning failed: RuntimeError: no lesson in 4 pairs"),
        (
            ("callbacks.x.use=odd/hoard",),
            "a state holds tensors and JSON values, not set at parts.callbacks.x.steps",
        ),
    ],
)
def test_it_is_told_before_a_step_is_kept(gan, tmp_path, settings, sentence):
    recipe = load_recipe(gan, set=settings)
    with pytest.raises(PluginError) as caught:
        run(recipe, tmp_path / "run")
    assert sentence in str(caught.value)
    assert not (tmp_path / "run" / "checkpoints").exists()
