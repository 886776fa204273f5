"""Benchmarks as people write them, in files and on the command line, and what they are told of mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from i2i.bench.definition import Resources, combinations, read_benchmark, read_swap, seeds_of, swapped
from i2i.errors import RecipeError
from i2i.recipe.layers import Layer

FILE = """
benchmark = 1
name = "judges"
base = "desk.toml"
seeds = 2
baseline = "wide"

[budget]
steps = 4

[variants.wide]

[variants.none]
unset = ["discriminators.judge"]
losses.l1.weight = 5.0
"""


@pytest.fixture
def write(tmp_path: Path):
    """Return a function that writes a benchmark's file with passages replaced."""

    def write_file(*changes: tuple[str, str]) -> Path:
        text = FILE
        for old, new in changes:
            assert old in text
            text = text.replace(old, new, 1)
        path = tmp_path / "judges.toml"
        path.write_text(text)
        return path

    return write_file


def test_a_file_says_what_is_compared(write):
    definition = read_benchmark(write())
    assert [variant.name for variant in definition.variants] == ["wide", "none"]
    assert definition.seeds == (0, 1)
    assert definition.budget.as_table() == {"steps": 4}
    assert definition.baseline == "wide"
    assert Path(definition.base).name == "desk.toml"


def test_a_store_of_cells_is_seen_from_the_file(write):
    assert read_benchmark(write()).cells is None
    path = write(("seeds = 2", 'seeds = 2\ncells = "cells"'))
    assert read_benchmark(path).cells == path.parent / "cells"


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ('name = "judges"', 'nam = "judges"', 3, "unknown key 'nam' for a benchmark - did you mean 'name'?"),
        ('base = "desk.toml"', "", None, "a benchmark needs 'base'"),
        ('baseline = "wide"', 'baseline = "wid"', 6, "no variant is called 'wid' - did you mean 'wide'?"),
        ("steps = 4", "steps = 4\nepochs = 2", 8, "a budget is in one unit"),
        ("steps = 4", "step = 4", 9, "unknown key 'step' for [budget] - did you mean 'steps'?"),
        ("steps = 4", "steps = 0", 9, "greater than or equal to 1"),
        ("seeds = 2", "seeds = []", 5, "seeds"),
        ("seeds = 2", 'seeds = "many"', 5, ""),
        ("seeds = 2", 'seeds = 2\ncells = ""', 6, "cells"),
        ("benchmark = 1", "benchmark = 2", 2, "there is no such format of benchmarks"),
        ('name = "judges"', 'name = "../judges"', 3, "a name becomes a folder's"),
        ("[variants.none]", f'[variants."{"long" * 30}"]', 13, "a variant's name is plain words"),
        ("[variants.none]", '[variants."a\\tb"]', 13, "a variant's name is plain words"),
        ("[variants.none]", '[variants.""]', 13, "a variant's name is plain words"),
        ("[variants.wide]", "[swap]\n'a.b' = [1, 2]\n[variants.wide]", None, "here it has both"),
        ('unset = ["discriminators.judge"]', 'unset = "all"', 14, "`unset` is a list of keys"),
    ],
)
def test_mistakes_are_told_with_their_line(write, old, new, line, message):
    with pytest.raises(RecipeError) as caught:
        read_benchmark(write((old, new)))
    problems = caught.value.problems
    assert any(message in problem.message for problem in problems), [p.message for p in problems]
    if line is not None:
        assert line in [problem.line for problem in problems]


def test_all_mistakes_are_told_at_once(write):
    with pytest.raises(RecipeError) as caught:
        read_benchmark(write(("steps = 4", "step = 4"), ('baseline = "wide"', 'baseline = "wid"')))
    assert len(caught.value.problems) == 2


def test_values_are_split_at_commas_outside_of_brackets_and_quotes():
    key, values = read_swap("data.size=[64, 64],[128, 128]")
    assert key == "data.size"
    assert [written for written, _ in values] == ["[64, 64]", "[128, 128]"]
    assert values[1][1].table == {"data": {"size": [128, 128]}}
    assert [layer.table for _, layer in read_swap("losses.a.use=vanilla,lsgan")[1]] == [
        {"losses": {"a": {"use": "vanilla"}}},
        {"losses": {"a": {"use": "lsgan"}}},
    ]
    assert read_swap("generator.width=8,16")[1][0][1].table == {"generators": {"main": {"width": 8}}}


@pytest.mark.parametrize("text", ["generator.width", "generator.width=", "=3", "generator.width=3,,4"])
def test_a_swap_that_is_none_is_refused(text):
    with pytest.raises(RecipeError):
        swapped("pix2pix", "pix2pix", [text], one_at_a_time=False)


def test_a_grid_has_every_combination_and_readable_names():
    definition = swapped(
        "pix2pix",
        "pix2pix",
        ["discriminators.patch.receptive_field=16,70", "losses.adversarial.use=vanilla,lsgan"],
        one_at_a_time=False,
    )
    assert [variant.name for variant in definition.variants] == [
        "receptive_field=16, vanilla",
        "receptive_field=16, lsgan",
        "receptive_field=70, vanilla",
        "receptive_field=70, lsgan",
    ]
    assert definition.name == "pix2pix-receptive_field-adversarial"


def test_one_at_a_time_is_the_recipe_and_each_value():
    definition = swapped("x", "x", ["a.b=1,2", "c.use=d"], one_at_a_time=True)
    assert [variant.name for variant in definition.variants] == ["base", "b=1", "b=2", "d"]


def test_keys_with_the_same_end_keep_their_whole_names():
    swaps = [read_swap("losses.a.weight=1,2"), read_swap("losses.b.weight=3")]
    variants = combinations(swaps, one_at_a_time=False)
    assert variants[0].name == "losses.a.weight=1, losses.b.weight=3"


def test_one_key_given_twice_is_refused():
    with pytest.raises(RecipeError, match="given twice"):
        swapped("x", "x", ["a.b=1,2", "a.b=3"], one_at_a_time=False)


def test_too_many_variants_are_refused_before_anything_is_read():
    swaps = [f"a.k{number}=1,2,3,4" for number in range(6)]
    with pytest.raises(RecipeError, match="4,096 variants"):
        swapped("x", "x", swaps, one_at_a_time=False)


def test_a_grid_that_no_memory_holds_is_refused_without_being_made():
    values = [(str(value), Layer()) for value in range(10)]
    swaps = [(f"a.k{number}", values) for number in range(30)]
    with pytest.raises(RecipeError, match=f"{10**30:,} variants"):
        combinations(swaps, one_at_a_time=False)


def test_a_number_of_seeds_counts_from_zero_and_none_is_counted_twice():
    assert seeds_of(3) == (0, 1, 2)
    assert seeds_of([4, 7]) == (4, 7)
    with pytest.raises(RecipeError, match="twice"):
        seeds_of([4, 4])


def test_what_a_cell_takes_is_said_for_all_cells_alike(write):
    assert read_benchmark(write()).resources == Resources(processes=1, nodes=1, threads=None)
    path = write(("[budget]", "[resources]\nprocesses = 4\nnodes = 2\nthreads = 3\n\n[budget]"))
    assert read_benchmark(path).resources == Resources(processes=4, nodes=2, threads=3)


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ("processes = 0", r"judges.toml:\d+  resources.processes\n .+1"),
        ("threads = 1.5", r"resources.threads"),
        ("proceses = 2", r"unknown key 'proceses' for \[resources\] - did you mean 'processes'"),
        ("processes = 4\nnodes = 3", r"resources.nodes\n  each node has as many processes of a cell"),
    ],
)
def test_mistakes_in_what_a_cell_takes_are_told_with_their_line(write, table, told):
    with pytest.raises(RecipeError, match=told):
        read_benchmark(write(("[budget]", f"[resources]\n{table}\n\n[budget]")))
