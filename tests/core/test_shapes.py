"""Drawn pairs: the same for the same index, different from each other, and learnable."""

from __future__ import annotations

import pickle

import pytest
import torch

from i2i import load_recipe
from i2i.core.data.shapes import COLOURS, Shapes
from i2i.data.stream import check_item


def test_an_item_is_the_same_each_time_and_in_every_copy():
    data = Shapes("train", size=16, count=5)
    copy = pickle.loads(pickle.dumps(data))
    for index in range(5):
        one, two = data[index], copy[index]
        check_item(one, data.spec)
        assert one["id"] == two["id"]
        assert torch.equal(one["source"], two["source"])
        assert torch.equal(one["target"], two["target"])


def test_making_one_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    Shapes("train", size=8)[0]
    assert torch.equal(torch.get_rng_state(), before)


def test_splits_have_their_own_pictures_and_names():
    splits = [Shapes(split, size=16, count=40) for split in ("train", "val", "test")]
    assert [len(data) for data in splits] == [40, 4, 4]
    items = [data[index] for data in splits for index in range(len(data))]
    assert len({item["id"] for item in items}) == 48
    assert len({item["source"].numpy().tobytes() for item in items}) == 48


def test_more_pairs_change_none_of_the_others():
    few, many = Shapes("val", size=16, count=4), Shapes("val", size=16, count=400)
    assert torch.equal(few[0]["source"], many[0]["source"])
    assert (len(few), len(many)) == (1, 40)


def test_past_the_end_there_is_nothing():
    data = Shapes("train", size=8, count=3)
    assert len(list(data)) == 3
    with pytest.raises(IndexError):
        data[3]


@pytest.mark.parametrize(("size", "shape"), [(16, (3, 16, 16)), ((24, 40), (3, 24, 40))])
def test_sizes(size, shape):
    data = Shapes("train", size=size)
    item = data[0]
    assert item["source"].shape == item["target"].shape == shape
    assert data.spec.source.size == shape[1:]


def test_a_picture_is_the_same_at_another_size():
    small, large = (Shapes("train", size=size, figures=1)[3]["target"].float() for size in (32, 128))
    shrunk = torch.nn.functional.avg_pool2d(large, 4)
    assert (small - shrunk).abs().mean() < 8


def test_the_source_is_black_on_white_and_the_target_is_filled():
    data = Shapes("train", size=64, figures=1)
    palette = (torch.tensor(COLOURS) * 255).round()
    seen = set()
    for index in range(30):
        item = data[index]
        source, target = item["source"], item["target"]
        assert (source == source[:1]).all()
        assert source.max() == 255
        assert source.min() < 40
        inside = (source[0] == 255) & (target.float().sum(dim=0) < 3 * 255)
        colours = target[:, inside].T.float()
        kind = int((palette - colours[0]).abs().sum(dim=1).argmin())
        assert (colours - palette[kind]).abs().max() <= 1
        seen.add(kind)
    assert seen == {0, 1, 2}


def test_the_recipe_for_trying_things_needs_nothing_but_core():
    recipe = load_recipe("shapes")
    assert {slot.entry.namespace for slot in recipe.slots.values()} == {"core"}
    assert recipe.data.entry.ref == "core/shapes"
