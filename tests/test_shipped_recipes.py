"""Every recipe that ships is registered, resolves, and says what it is; the paper's have its figures."""

from __future__ import annotations

from pathlib import Path

import pytest

from i2i.bench.cells import Matrix
from i2i.bench.definition import read_benchmark
from i2i.building.probe import probe
from i2i.errors import PluginError
from i2i.kinds import ImageSpec, PairSpec
from i2i.plugins.catalog import Catalog
from i2i.recipe.recipe import differences, load_recipe

ROOT = Path(__file__).parents[1]
ALL = sorted((ROOT / "recipes").rglob("*.toml"))
BENCHMARKS = [path for path in ALL if path.parent.name == "bench"]
OF_PACKAGES = [path for path in BENCHMARKS if "\n[requires]\n" in path.read_text(encoding="utf-8")]
"""Those that other packages take part in: no names of core's, they are run by their path."""
FILES = [path for path in ALL if path not in BENCHMARKS]
PAPER = [path for path in FILES if path.parent.name == "paper"]
ABLATIONS = [path for path in FILES if path.parent.name == "ablations"]
NAMESPACES = {*Catalog.installed().namespaces()}
DRAWINGS = "openmoji" in NAMESPACES
"""Whether the package is here whose images most recipes name."""


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_it_resolves_and_starts_with_a_comment(path):
    recipe = load_recipe(path, set=[] if DRAWINGS or path in PAPER else ["data.use=shapes"])
    assert path.read_text(encoding="utf-8").startswith("# ")
    assert recipe.slots


@pytest.mark.skipif(DRAWINGS, reason="i2i-openmoji is installed")
def test_without_its_images_the_main_recipe_says_what_is_missing():
    with pytest.raises(PluginError, match="needs a plug-in that provides 'openmoji'; none is installed"):
        load_recipe("pix2pix")


def test_every_file_can_be_run_by_name_and_every_name_has_its_file():
    entries = Catalog.installed(environ={"I2I_DISABLE": "openmoji"}).recipes()
    assert sorted(entry.path() for entry in entries if entry.namespace == "core") == FILES


@pytest.mark.skipif(not DRAWINGS, reason="i2i-openmoji, whose images they name, is not installed")
@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: path.stem)
def test_a_benchmark_resolves_and_asks_a_question(path):
    definition = read_benchmark(path)
    if missing := {*definition.requires.table.get("requires", {}).get("plugins", {})} - NAMESPACES:
        pytest.skip(f"not installed: {', '.join(missing)}")
    matrix = Matrix(definition, Catalog.installed())
    assert len(matrix.variants) >= 3
    assert matrix.baseline == definition.baseline
    assert definition.summary.endswith("?")
    if path in OF_PACKAGES:
        used = {slot.entry.namespace for variant in matrix.variants for slot in variant.recipe.slots.values()}
        assert used - {"core"} == {*definition.requires.table["requires"]["plugins"]}
    assert definition.name == path.stem


def test_every_benchmark_is_found_by_name_and_has_its_measured_results():
    entries = Catalog.installed(environ={"I2I_DISABLE": "openmoji"}).plugin("core", wanted="").benchmarks
    named = [path for path in BENCHMARKS if path not in OF_PACKAGES]
    assert sorted(entry.path() for entry in entries) == named
    results = ROOT / "recipes" / "bench" / "results"
    for path in named:
        assert (results / f"{path.stem}.png").is_file()
        assert "## What it says" in (results / f"{path.stem}.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", PAPER, ids=lambda path: path.stem)
def test_the_papers_recipes_have_the_papers_networks(path):
    side = ImageSpec(3, 256, 256)
    facts = {fact.path: fact for fact in probe(load_recipe(path), PairSpec(side, side))}
    generator, judge = facts["generators.main"], facts["discriminators.patch"]
    assert (generator.parameters, generator.size_multiple) == (54_413_955, 256)
    assert (judge.parameters, judge.receptive_field, judge.outputs) == (2_768_705, 70, [(1, 30, 30)])
    assert judge.conditional is True


@pytest.mark.parametrize(
    ("name", "epochs", "batch", "direction", "jitter"),
    [
        ("facades", 200, 1, "b-to-a", True),
        ("maps-to-aerial", 200, 1, "b-to-a", True),
        ("aerial-to-maps", 200, 1, "a-to-b", True),
        ("cityscapes", 200, 1, "b-to-a", True),
        ("edges2shoes", 15, 4, "a-to-b", False),
        ("edges2handbags", 15, 4, "a-to-b", False),
        ("day2night", 17, 4, "b-to-a", True),
    ],
)
def test_the_papers_recipes_have_the_papers_settings(name, epochs, batch, direction, jitter):
    recipe = load_recipe(f"paper-{name}")
    assert recipe.train.epochs == epochs
    assert recipe.data.settings.batch_size == batch
    assert recipe.data.params["direction"] == direction
    assert ("transforms.jitter" in recipe.slots) is jitter
    assert recipe.slots["losses.adversarial"].entry.name == "vanilla"
    assert recipe.slots["losses.l1"].settings.weight == 100.0
    settings = {"test_dropout": True, "test_norm": "batch", "pool": 0, "update": "alternating"}
    assert recipe.method.params == settings
    assert recipe.slots["optimizers.generators"].params["betas"] == (0.5, 0.999)


@pytest.mark.parametrize("path", ABLATIONS, ids=lambda path: path.stem)
def test_an_ablation_has_nothing_that_the_default_recipe_adds_to_the_paper(path):
    recipe = load_recipe(path, set=[] if DRAWINGS else ["data.use=shapes"])
    assert recipe.train.ema == 0
    assert [slot.name for slot in recipe.section("transforms")] == ["mirror"]
    assert recipe.method.params["test_dropout"] is (path.stem != "dropout-off")


def test_plain_networks_differ_from_l1_cgan_in_what_is_adversarial_alone():
    own = [] if DRAWINGS else ["data.use=shapes"]
    reference = load_recipe("ablation-l1-cgan", set=own)
    plain = load_recipe("ablation-l1", set=own)
    changed = {key.split(".")[0] for key, _, _ in differences(reference.table, plain.table)}
    assert changed - {"name", "summary"} == {"discriminators", "losses", "optimizers"}
    assert [slot.name for slot in plain.section("losses")] == ["l1"]


def test_what_could_not_be_verified_is_said():
    for name in ("edges2handbags", "day2night"):
        assert "not been able to verify" in (ROOT / "recipes/paper" / f"{name}.toml").read_text().replace(
            "\n# ", " "
        )
