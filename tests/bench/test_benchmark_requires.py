"""`[requires]` of a benchmark: what it asks for in vain is told at its line, beside all other mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from i2i.bench.cells import Matrix
from i2i.bench.definition import read_benchmark
from i2i.errors import PluginError, RecipeError
from i2i.plugins.catalog import Catalog

FILE = """benchmark = 1
name = "judges"
base = "desk.toml"

[requires]
{requires}

[variants.plain]

[variants.other]
{other}
"""


def matrix(folder: Path, requires: str, other: str = "losses.l1.weight = 5.0") -> Matrix:
    (folder / "judges.toml").write_text(FILE.format(requires=requires, other=other))
    return Matrix(read_benchmark(folder / "judges.toml"), Catalog.installed())


def test_what_is_there_is_enough_and_goes_into_no_recipe(desk):
    found = matrix(desk, 'i2i = ">=0.1"\nplugins.desk = ">=1,<2"')
    assert [variant.name for variant in found.variants] == ["plain", "other"]
    assert all("requires" not in variant.recipe.table for variant in found.variants)


def test_all_that_is_missing_is_told_at_once_at_its_line_beside_what_variants_name(desk):
    requires = 'i2i = ">=99"\nplugins.desk = ">=2"\nplugins.dusk = ""'
    with pytest.raises(PluginError) as caught:
        matrix(desk, requires, 'losses.more.use = "dusk/blur"')
    told = {problem.line: problem.message for problem in caught.value.problems}
    assert told[6].startswith("this benchmark needs i2i >=99, and installed is")
    assert told[7].startswith("this benchmark needs the plug-in 'desk' >=2, and installed is i2i-desk 1.0")
    assert "or take this line out if you know better" in told[7]
    assert told[8].startswith("this benchmark needs the plug-in 'dusk'; none is installed")
    assert "dusk" in told[13]
    assert all(problem.file == str(desk / "judges.toml") for problem in caught.value.problems)


def test_it_is_never_told_to_install_a_package_by_a_name_from_the_file(desk):
    with pytest.raises(PluginError) as caught:
        matrix(desk, 'plugins.evil-package = ">=1"')
    assert "pip" not in str(caught.value)


@pytest.mark.parametrize(
    ("requires", "message"),
    [
        ('desk = ">=1"', "unknown key 'desk' for [requires] - for a plug-in write plugins.desk"),
        ('plugins.desk = "new"', "'new' is no range of versions"),
        ('plugins = "desk"', "a plug-in is named"),
    ],
)
def test_a_mistake_in_it_is_one_of_the_file(desk, requires, message):
    with pytest.raises(RecipeError, match=r"judges\.toml:6") as caught:
        matrix(desk, requires)
    assert message in caught.value.problems[0].message


def test_a_finished_benchmark_is_asked_once_more_where_it_requires_other_versions(desk, i2i):
    def bench(requires: str) -> object:
        (desk / "judges.toml").write_text(FILE.format(requires=requires, other="losses.l1.weight = 5.0"))
        return i2i("bench", "judges.toml", "--seeds", "1", "--steps", "2", "--out", "b")

    assert bench('plugins.desk = ">=1"').code == 0
    ended = bench('plugins.desk = ">=2"')
    assert ended.code == 6
    assert "judges.toml:6  requires.plugins.desk" in ended.err
