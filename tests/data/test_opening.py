"""Items that cannot be used: refused, or counted, listed and left out, whatever data set they are in."""

from __future__ import annotations

import math
import os
import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from i2i import open_split
from i2i.building.blame import Suspect
from i2i.data import opening
from i2i.data.inspection import WORTH_A_PROCESS, inspect
from i2i.data.opening import check_alike, usable
from i2i.data.stream import as_pair
from i2i.data.views import OPTIONAL, Blamed, Cached, First, Usable, View
from i2i.errors import MOST_TOLD, DataError, PluginError, Problem, RecipeError
from i2i.kinds import ImageSpec, PairSpec
from i2i.slot_keys import DataSettings

SPEC = PairSpec(ImageSpec(1, 2, 2), ImageSpec(3, 2, 2))


class Numbers:
    """Item i is the brightness i; those in `bad` cannot be had, and those in `odd` are not what was said."""

    def __init__(self, count: int = 6, *, bad: tuple[int, ...] = (), odd: tuple[int, ...] = ()) -> None:
        self.spec, self.count, self.bad, self.odd = SPEC, count, bad, odd

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        if index in self.bad:
            raise DataError(Problem("it is broken.", file=f"{index}.png"))
        channels = 4 if index in self.odd else 3
        source = torch.full((1, 2, 2), index % 256, dtype=torch.uint8)
        return {"source": source, "target": source.expand(channels, 2, 2), "id": str(index)}


class Drawn(Numbers):
    """The same, without pairs."""

    def draw(self, index, rng):
        return self[index]


class Orphaned(Numbers):
    """The same, with something wrong that no item shows."""

    credit = "Numbers by nobody."
    problems = (Problem("it has no partner.", file="orphan.png"),)


class Complete(Drawn, Orphaned):
    """The same, with all that a data set may have."""

    layout = "in the head"
    notes = ("they are few",)

    @property
    def ids(self):
        return [f"number {index}" for index in range(len(self))]

    @property
    def file_sizes(self):
        return list(range(len(self)))


def ids(data) -> list[str]:
    return [data[index]["id"] for index in range(len(data))]


def use(data, on_bad: str):
    notes: list[str] = []
    return usable(data, on_bad=on_bad, split="train", note=notes.append), notes


def test_programs_open_a_split_by_a_recipe_or_by_its_table(tmp_path):
    table = {"use": "shapes", "size": [8, 8], "count": 20}
    recipe = tmp_path / "mine.toml"
    recipe.write_text('recipe = 1\nname = "mine"\n[data]\nuse = "shapes"\nsize = [8, 8]\ncount = 3\n')
    by_table, by_file = open_split(table, "val"), open_split(recipe, "val", set=["data.count=20"])
    assert len(by_table) == len(by_file) == 2
    assert by_table.spec == by_file.spec
    assert torch.equal(by_table[1]["target"], by_file[1]["target"])
    with pytest.raises(IndexError):
        by_table[2]


def test_what_cannot_be_opened_is_told_to_programs_as_to_people(tmp_path):
    with pytest.raises(RecipeError, match=r"did you mean 'size'"):
        open_split({"use": "shapes", "sise": 8}, "train")
    with pytest.raises(RecipeError, match="here only data can be changed"):
        open_split({"use": "shapes"}, "train", set=["train.steps=8"])
    with pytest.raises(DataError, match="there is no folder or manifest"):
        open_split({"use": "paired-images", "root": str(tmp_path / "nowhere")}, "train")


def test_sound_data_comes_back_as_it_is():
    data = Numbers()
    for on_bad in ("refuse", "skip"):
        assert use(data, on_bad) == (data, [])


def test_to_refuse_reads_nothing_and_refuses_what_was_found_at_the_start():
    broken = Numbers(bad=(0,))
    assert use(broken, "refuse")[0] is broken
    with pytest.raises(DataError, match=r"orphan\.png\n  it has no partner") as caught:
        use(Orphaned(), "refuse")
    assert caught.value.exit_code == 3


def test_to_skip_leaves_out_counts_and_lists():
    data, notes = use(Numbers(bad=(0, 4), odd=(2,)), "skip")
    assert ids(data) == ["1", "3", "5"]
    (note,) = notes
    assert "goes on with 3 pairs" in note
    assert "0.png\n  it is broken." in note
    assert "the target of '2' has 4 channels" in note
    assert "4.png" in note


def test_problems_of_the_listing_are_listed_and_what_belongs_to_the_data_stays():
    data, notes = use(Orphaned(bad=(1,)), "skip")
    assert data.credit == "Numbers by nobody."
    assert data.spec is SPEC
    assert "orphan.png" in notes[0]
    whole = Orphaned()
    assert use(whole, "skip")[0] is whole


def test_unpaired_data_draws_past_the_bad_ones():
    data, _ = use(Drawn(bad=(0,)), "skip")
    assert data.draw(0, None)["id"] == "1"
    assert not hasattr(use(Numbers(bad=(0,)), "skip")[0], "draw")


VIEWS = {
    View: View,
    Blamed: lambda data: Blamed(data, NOBODY),
    Usable: lambda data: Usable(data, range(len(data))),
    First: lambda data: First(data, 3),
    Cached: Cached,
}
NOBODY = Suspect("local/data", Problem("", where="data"), Path("nowhere.py"))


@pytest.mark.parametrize("view", VIEWS.values(), ids=[view.__name__ for view in VIEWS])
def test_a_view_shows_all_that_a_data_set_may_have_and_nothing_more(view):
    plain, rich = view(Numbers()), view(Complete())
    assert rich.spec is plain.spec is SPEC
    assert (rich.credit, rich.layout, rich.notes) == ("Numbers by nobody.", "in the head", ("they are few",))
    assert rich.problems == Orphaned.problems
    assert rich.draw(2, None)["id"] == "2"
    assert rich.ids[:3] == ["number 0", "number 1", "number 2"]
    assert len(rich.ids) == len(rich.file_sizes) == len(rich)
    assert not any(hasattr(plain, name) for name in (*OPTIONAL, "bad"))
    sent = pickle.loads(pickle.dumps(rich))
    assert [sent[index]["id"] for index in range(len(sent))][:3] == ["0", "1", "2"]


def test_ids_and_sizes_are_those_of_the_items_that_a_view_shows():
    odd = Usable(Complete(), (3, 1))
    assert (odd.ids, odd.file_sizes) == (["number 3", "number 1"], [3, 1])
    assert First(odd, 1).ids == ["number 3"]


def test_what_a_data_set_raises_is_its_fault_but_for_its_end_and_for_memory():
    class Broken(Numbers):
        def __getitem__(self, index):
            raise {0: KeyError("no"), 1: MemoryError(), 2: DataError("it is gone.")}[index]

    data = Blamed(Broken(), NOBODY)
    with pytest.raises(PluginError, match=r"^data\n  local/data failed: KeyError: 'no'   \(.*in __getitem__"):
        data[0]
    with pytest.raises(MemoryError):
        data[1]
    with pytest.raises(DataError, match="it is gone"):
        data[2]
    with pytest.raises(IndexError):
        data[len(data)]


def test_the_cache_counts_what_small_items_take_beside_their_pixels(monkeypatch):
    count, pixels = 1000, 2 * 2 * (1 + 3)
    settings = DataSettings(cache="auto")
    monkeypatch.setattr(opening, "free_memory", lambda: 4 * count * pixels * 10)
    assert not isinstance(opening.cached(Numbers(count), settings, opening.quiet), Cached)
    monkeypatch.setattr(opening, "free_memory", lambda: 4 * count * 2000)
    assert isinstance(opening.cached(Numbers(count), settings, opening.quiet), Cached)


def test_nothing_left_is_an_error():
    with pytest.raises(DataError, match="nothing in the split 'train' can be used"):
        use(Numbers(2, bad=(0, 1)), "skip")


def test_a_long_list_is_cut_short():
    with pytest.raises(DataError) as caught:
        use(Numbers(50, bad=tuple(range(50))), "skip")
    assert len(caught.value.problems) == MOST_TOLD + 2
    assert f"and {50 - MOST_TOLD} more" in str(caught.value)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the class of a test cannot be sent to a new process")
def test_many_items_are_read_in_order_by_several_processes(monkeypatch):
    monkeypatch.setattr("i2i.data.inspection.usable_cores", lambda: 2)
    before = torch.random.get_rng_state()
    count = 2 * WORTH_A_PROCESS + 3
    findings = list(inspect(Numbers(count, bad=(7, count - 1))))
    assert [finding.index for finding in findings] == list(range(count))
    assert [finding.index for finding in findings if finding.problems] == [7, count - 1]
    assert findings[9].source.least == findings[9].target.most == 9
    assert findings[7].problems[0].file == "7.png"
    assert torch.equal(torch.random.get_rng_state(), before)


def test_equal_items_have_equal_digests():
    digests = [finding.digests for finding in inspect(Numbers(300))]
    assert digests[3] == digests[259]
    assert len(set(digests)) == 256


def test_another_split_must_have_the_same_kind_of_images():
    check_alike(SPEC, replace(SPEC, source=replace(SPEC.source, height=99)), split="val")
    deep = replace(SPEC, source=replace(SPEC.source, depth="uint16", high=65535.0))
    with pytest.raises(DataError, match=r"the source in .* 'val' has 1 .* uint16 .*'train' 1 .* uint8"):
        check_alike(SPEC, deep, split="val")


# --- values


class Floats(Numbers):
    """Items of floats, said to go from 0 to 10; the target of item i is `values[i]` in one place."""

    def __init__(self, *values: float) -> None:
        super().__init__(len(values))
        side = ImageSpec(1, 2, 2, depth="float32", low=0.0, high=10.0)
        self.spec, self.values = PairSpec(side, side), values

    def __getitem__(self, index):
        target = torch.full((1, 2, 2), 5.0)
        target[0, 0, 0] = self.values[index]
        return {"source": torch.full((1, 2, 2), 10.0), "target": target, "id": str(index)}


@pytest.mark.parametrize("value", [float("nan"), float("-inf"), -1e30, 1e38, -9999.0, 10.5])
def test_values_that_no_data_set_says_are_refused_when_read_and_counted_when_skipped(value):
    data = Floats(0.0, value, 10.0)
    words = "not finite" if not math.isfinite(value) else "the data set says 0 to 10"
    with pytest.raises(DataError, match=rf"the target of '1' has values .*{words}"):
        as_pair(data[1], data.spec)
    kept, notes = use(data, "skip")
    assert ids(kept) == ["0", "2"]
    assert words in notes[0]


def test_values_up_to_rounding_are_sound():
    data = Floats(-0.005, 10.005)
    assert len(use(data, "skip")[0]) == 2
    assert as_pair(data[1], data.spec).target.max() == pytest.approx(1.001)
