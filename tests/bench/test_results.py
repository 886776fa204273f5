"""From runs to an answer, with runs made up so that the answer is known."""

from __future__ import annotations

from pathlib import Path

import pytest

from i2i.bench.results import Figure, Outcome, curves, read_outcome, table_csv, tabulate
from i2i.errors import DataError

MAE, PSNR, SHARPNESS = Figure("mae", "min"), Figure("psnr", "max"), Figure("sharpness", None)


def outcome(variant: str, seed: int, mae: float | None, *, curve=(), images=None, status="done") -> Outcome:
    return Outcome(
        variant,
        seed,
        Path("cells") / f"{variant}{seed}",
        status,
        steps=10,
        metrics={"mae": mae, "psnr": None if mae is None else -mae, "sharpness": mae},
        curve=[(step, {"mae": value}) for step, value in curve],
        images={"mae": images} if images else {},
    )


def rows(outcomes, *, figures=(MAE, PSNR, SHARPNESS), costs=None):
    names = list(dict.fromkeys(o.variant for o in outcomes))
    table = tabulate(outcomes, variants=names, baseline="a", figures=figures, costs=costs)
    return {row["variant"]: row for row in table}


def test_a_steady_difference_is_found_though_seeds_differ_more():
    outcomes = [outcome("a", seed, 0.1 + 0.05 * seed) for seed in range(3)]
    outcomes += [outcome("b", seed, 0.1 + 0.05 * seed - 0.01 - 0.0001 * seed) for seed in range(3)]
    found = rows(outcomes)["b"]["metrics"]
    assert found["mae"]["verdict"] == "better"
    assert found["psnr"]["verdict"] == "better"
    assert found["sharpness"]["verdict"] == "differs"
    assert found["mae"]["difference"]["mean"] == pytest.approx(-0.0101)
    assert found["mae"]["deviation"] > 0.04


def test_equal_runs_are_within_noise():
    outcomes = [outcome(name, seed, 0.1 * seed) for name in "ab" for seed in range(3)]
    assert rows(outcomes)["b"]["metrics"]["mae"]["verdict"] == "within noise"


def test_only_seeds_that_both_have_are_paired():
    outcomes = [outcome("a", seed, 0.1 + 0.1 * seed) for seed in (0, 1, 2)]
    outcomes += [outcome("b", seed, 0.05 + 0.1 * seed) for seed in (1, 2, 9)]
    found = rows(outcomes)["b"]["metrics"]["mae"]
    assert found["difference"]["n"] == 2
    assert found["difference"]["mean"] == pytest.approx(-0.05)
    assert found["n"] == 3


def test_what_failed_or_is_not_finite_leads_to_no_verdict():
    outcomes = [outcome("a", 0, 0.1), outcome("a", 1, 0.2), outcome("b", 0, float("inf"))]
    outcomes += [outcome("b", 1, 0.2), outcome("c", 0, None, status="diverged")]
    found = rows(outcomes)
    assert found["b"]["metrics"]["mae"] == {
        "values": [None, 0.2],
        "mean": None,
        "deviation": None,
        "n": 0,
        "difference": None,
        "images": None,
        "verdict": "cannot tell",
    }
    assert found["c"]["n"] == 0
    assert list(found) == ["a", "b", "c"]


def test_the_best_comes_first_whichever_way_is_better():
    outcomes = [outcome("a", 0, 0.2), outcome("b", 0, 0.1), outcome("c", 0, 0.3)]
    assert list(rows(outcomes)) == ["b", "a", "c"]
    assert list(rows(outcomes, figures=(PSNR,))) == ["b", "a", "c"]


def test_the_time_to_the_baselines_score_comes_from_the_curves_and_the_probed_step():
    outcomes = [
        outcome("a", 0, 0.2, curve=[(5, 0.3), (10, 0.2)]),
        outcome("b", 0, 0.1, curve=[(5, 0.15), (10, 0.1)]),
        outcome("c", 0, 0.4, curve=[(5, 0.5), (10, 0.4)]),
    ]
    found = rows(outcomes, costs={name: {"step_seconds": 0.5} for name in "abc"})
    assert found["b"]["cost"]["reached"] == {
        "metric": "mae",
        "score": 0.2,
        "steps": 5,
        "seconds": 2.5,
        "seeds": 1,
        "of": 1,
    }
    assert found["c"]["cost"]["reached"]["steps"] is None
    assert found["a"]["cost"]["reached"]["steps"] == 10


def test_images_tell_how_sure_the_difference_is_for_these_trainings():
    ids = [str(number) for number in range(20)]
    outcomes = [
        outcome("a", 0, 0.2, images=dict.fromkeys(ids, 0.2)),
        outcome("b", 0, 0.1, images={name: 0.1 + 0.001 * number for number, name in enumerate(ids)}),
    ]
    interval = rows(outcomes)["b"]["metrics"]["mae"]["images"]
    assert -0.1 < interval["low"] < -0.0905 < interval["high"] < -0.08


def test_curves_have_the_mean_and_the_ends_over_seeds_where_all_seeds_have_a_point():
    outcomes = [
        outcome("a", 0, 0.2, curve=[(5, 0.4), (10, 0.2)]),
        outcome("a", 1, 0.2, curve=[(5, 0.2), (10, 0.2), (15, 0.1)]),
    ]
    curve = curves(outcomes, ["a"], [MAE])["a"]["mae"]
    assert curve["steps"] == [5, 10]
    assert curve["mean"] == pytest.approx([0.3, 0.2])
    assert (curve["low"][0], curve["high"][0]) == (0.2, 0.4)


def test_a_run_that_failed_is_in_no_curve():
    outcomes = [
        outcome("a", 0, 0.2, curve=[(5, 0.4), (10, 0.2)]),
        outcome("a", 1, None, curve=[(5, 9.0)], status="diverged"),
    ]
    curve = curves(outcomes, ["a"], [MAE])["a"]["mae"]
    assert (curve["steps"], curve["high"]) == ([5, 10], [0.4, 0.2])


@pytest.mark.parametrize(
    ("name", "content"),
    [("val.csv", b"id,mae\n0,much\n"), ("val.csv", b"mae\n0.1\n"), ("metrics.jsonl", b"\xff\n{}\n")],
)
def test_damaged_figures_are_told(tmp_path, name, content):
    (tmp_path / "summary.json").write_text('{"status": "done"}')
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match="damaged"):
        read_outcome("a", 0, tmp_path)


def test_the_csv_has_a_row_for_each_variant_and_figure():
    table = tabulate(
        [outcome("a", 0, 0.2), outcome("b", 0, 0.1)], variants=["a", "b"], baseline="a", figures=[MAE, PSNR]
    )
    text = table_csv(
        {"table": table, "metrics": [{"name": "mae", "better": "min"}, {"name": "psnr", "better": "max"}]}
    )
    assert len(text.splitlines()) == 5
    assert text.splitlines()[1].startswith("b,mae,min,1,0.1,,-0.1")


def test_a_folder_without_a_summary_is_missing_and_a_damaged_one_is_told(tmp_path):
    assert read_outcome("a", 0, tmp_path).status == "missing"
    assert read_outcome("a", 0, tmp_path, error="no luck").status == "failed"
    (tmp_path / "summary.json").write_text('{"status": "done", ')
    with pytest.raises(DataError, match="damaged"):
        read_outcome("a", 0, tmp_path)
