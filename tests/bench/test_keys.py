"""What names a cell, and what does not: its weights alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from i2i.bench.keys import key_of, metric_settings, settings_digest, values_at_test
from i2i.kinds import NetworkSlot
from i2i.recipe.recipe import load_recipe

RECIPE = """
recipe = 1
name = "small"
extends = "shapes"

[data]
use = "paired-images"
root = "one"
size = [16, 16]

[train]
steps = 8
precision = "fp32"
"""

MARKS = {
    "train": {"pairs": 6, "ids": "a", "file_sizes": "b"},
    "val": {"pairs": 4, "ids": "c", "file_sizes": "d"},
}
LEARNT = ("schedules.generators.use=plateau", "schedules.generators.metric=mae")


@pytest.fixture
def key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Return a function that gives the key of the recipe with some settings, over data with these marks."""
    monkeypatch.chdir(tmp_path)
    Path("small.toml").write_text(RECIPE)

    def of(*settings: str, marks=MARKS, unset=()) -> str:
        return key_of(load_recipe("small.toml", set=settings, unset=unset), marks)

    return of


@pytest.mark.parametrize(
    "setting",
    [
        "name=other",
        "train.log_every=3",
        "train.eval_every=2",
        "train.save_every=2",
        "train.keep=2",
        "train.threads=2",
        "metrics.psnr.use=psnr",
        "metrics.mae.draws=2",
        "callbacks.samples.count=2",
        "callbacks.samples.every=2",
        "data.root=elsewhere",
        "data.workers=2",
        "data.cache=none",
        "data.fingerprint=contents",
        "method.test_dropout=true",
        "method.test_norm=batch",
    ],
)
def test_what_changes_no_weights_changes_no_key(key, setting):
    assert key(setting) == key()


def test_metrics_and_callbacks_that_are_taken_out_change_no_key(key):
    assert key(unset=["metrics.ssim", "callbacks.samples"]) == key()


@pytest.mark.parametrize(
    "setting",
    [
        "seed=1",
        "train.steps=9",
        "train.compile=default",
        "train.precision=bf16",
        "train.ema=0.9",
        "train.clip=1.0",
        "train.accumulate=2",
        "train.save_best=mae:min",
        "data.batch_size=4",
        "data.size=[32, 32]",
        "data.direction=b-to-a",
        "losses.l1.weight=10",
        "generator.width=8",
        "optimizers.generators.lr=0.01",
        "transforms.flip.use=flip",
    ],
)
def test_what_changes_weights_changes_the_key(key, setting):
    assert key(setting) != key()


@pytest.mark.parametrize(
    "setting",
    ["train.eval_every=2", "metrics.psnr.use=psnr", "metrics.mae.draws=2", "method.test_dropout=true"],
)
@pytest.mark.parametrize("decided", [LEARNT, ("train.save_best=mae:min",)])
def test_where_validations_decide_something_their_figures_and_their_times_are_in_the_key(
    key, decided, setting
):
    schedule = ["schedules"] if decided is LEARNT else []
    assert key(*decided, unset=schedule) != key(*decided, setting, unset=schedule)


def test_other_data_have_other_keys_and_the_place_counts_where_no_file_is_known(key):
    others = {**MARKS, "train": {"pairs": 6, "ids": "a", "file_sizes": "other"}}
    assert key(marks=others) != key()
    counted = {split: {"pairs": found["pairs"], "ids": found["ids"]} for split, found in MARKS.items()}
    assert key(marks=counted) != key("data.root=elsewhere", marks=counted)
    assert key(marks=None) != key("data.root=elsewhere", marks=None)


def test_their_pixels_are_compared_later_and_are_not_in_the_key(key):
    seen = {split: {**found, "contents": "e"} for split, found in MARKS.items()}
    assert key(marks=seen) == key()


def test_weights_to_start_from_count_by_what_they_are_and_not_by_where(key):
    Path("here").write_bytes(b"weights")
    Path("there").write_bytes(b"weights")
    Path("others").write_bytes(b"other weights")
    here, there, others = (key(f"generator.init_from={name}") for name in ("here", "there", "others"))
    assert here == there
    assert here != others


def test_the_order_of_transforms_counts(key):
    flip, jitter = "transforms.a.use=flip", "transforms.b.use=jitter"
    assert key(flip, jitter) != key(jitter, flip)


def test_a_metric_is_known_by_its_settings_whatever_it_is_called(key):
    one = load_recipe(
        "small.toml", set=["metrics.again.use=mae", "metrics.more.use=mae", "metrics.more.draws=2"]
    )
    settings = {name: settings_digest(found) for name, found in metric_settings(one).items()}
    assert settings["again"] == settings["mae"]
    assert settings["more"] != settings["mae"]


def test_a_network_that_a_method_can_do_without_has_no_test_keys(tmp_path, monkeypatch):
    (tmp_path / "small.toml").write_text(RECIPE)
    recipe = load_recipe(tmp_path / "small.toml")
    alone = values_at_test(recipe)
    assert alone.values.keys() == {"method.test_dropout", "method.test_norm"}
    roles = recipe.method.factory.slots
    held = ("generators.main", "networks.spare")
    spare = {"spare": NetworkSlot(required=False)}
    monkeypatch.setattr(recipe.method.factory, "slots", replace(roles, networks=spare, translates_with=held))
    assert values_at_test(recipe) == alone


def test_several_processes_make_another_cell_and_one_the_same_as_ever(key):
    recipe = load_recipe("small.toml")
    alone, two, four = (key_of(recipe, MARKS, processes=count) for count in (1, 2, 4))
    assert alone == key()
    assert len({alone, two, four}) == 3
