"""From runs to an answer, with runs made up so that the answer is known."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from i2i.bench.answer import notes
from i2i.bench.outcomes import RunOutcome, read_outcome
from i2i.bench.records import TrainedOn
from i2i.bench.results import (
    Cost,
    Environment,
    MetricResult,
    ReportedMetric,
    Results,
    TimeToBaseline,
    VariantResult,
    read_results,
)
from i2i.bench.tabulate import cell_results, curves, ranked, tabulate
from i2i.bench.view.csv_tables import csv_of_cells, csv_of_table
from i2i.errors import DataError

MAE, PSNR = ReportedMetric("mae", "min"), ReportedMetric("psnr", "max")
SHARPNESS = ReportedMetric("sharpness", None)


FIRST_FORMAT = Path(__file__).parents[1] / "fixtures" / "first-format"


def outcome(
    variant: str, seed: int, mae: float | None, *, curve=(), images=None, status="done"
) -> RunOutcome:
    return RunOutcome(
        variant,
        seed,
        Path("cells") / f"{variant}{seed}",
        status,
        steps=10,
        metrics={"mae": mae, "psnr": None if mae is None else -mae, "sharpness": mae},
        curve=[(step, {"mae": value}) for step, value in curve],
        images={"mae": images} if images else {},
    )


def rows(outcomes, *, metrics=(MAE, PSNR, SHARPNESS), costs=None):
    names = list(dict.fromkeys(o.variant for o in outcomes))
    table = tabulate(outcomes, variants=names, baseline="a", metrics=metrics, costs=costs)
    return {row.variant: row for row in table}


def test_a_steady_difference_is_found_though_seeds_differ_more():
    outcomes = [outcome("a", seed, 0.1 + 0.05 * seed) for seed in range(3)]
    outcomes += [outcome("b", seed, 0.1 + 0.05 * seed - 0.01 - 0.0001 * seed) for seed in range(3)]
    found = rows(outcomes)["b"].metrics
    assert found["mae"].verdict == "better"
    assert found["psnr"].verdict == "better"
    assert found["sharpness"].verdict == "differs"
    assert found["mae"].difference.mean == pytest.approx(-0.0101)
    assert found["mae"].deviation > 0.04


def test_equal_runs_are_within_noise():
    outcomes = [outcome(name, seed, 0.1 * seed) for name in "ab" for seed in range(3)]
    assert rows(outcomes)["b"].metrics["mae"].verdict == "within noise"


def test_only_seeds_that_both_have_are_paired():
    outcomes = [outcome("a", seed, 0.1 + 0.1 * seed) for seed in (0, 1, 2)]
    outcomes += [outcome("b", seed, 0.05 + 0.1 * seed) for seed in (1, 2, 9)]
    found = rows(outcomes)["b"].metrics["mae"]
    assert found.difference.n == 2
    assert found.difference.mean == pytest.approx(-0.05)
    assert found.n == 3


def test_what_failed_or_is_not_finite_leads_to_no_verdict():
    outcomes = [outcome("a", 0, 0.1), outcome("a", 1, 0.2), outcome("b", 0, float("inf"))]
    outcomes += [outcome("b", 1, 0.2), outcome("c", 0, None, status="diverged")]
    found = rows(outcomes)
    assert found["b"].metrics["mae"] == MetricResult(
        values=[None, 0.2],
        mean=None,
        deviation=None,
        n=0,
        difference=None,
        images=None,
        verdict="cannot tell",
    )
    assert found["c"].n == 0
    assert list(found) == ["a", "b", "c"]


def test_the_best_comes_first_whichever_way_is_better():
    outcomes = [outcome("a", 0, 0.2), outcome("b", 0, 0.1), outcome("c", 0, 0.3)]
    assert list(rows(outcomes)) == ["b", "a", "c"]
    assert list(rows(outcomes, metrics=(PSNR,))) == ["b", "a", "c"]


def test_the_time_to_the_baselines_score_comes_from_the_curves_and_the_probed_step():
    outcomes = [
        outcome("a", 0, 0.2, curve=[(5, 0.3), (10, 0.2)]),
        outcome("b", 0, 0.1, curve=[(5, 0.15), (10, 0.1)]),
        outcome("c", 0, 0.4, curve=[(5, 0.5), (10, 0.4)]),
    ]
    found = rows(outcomes, costs={name: Cost(step_seconds=0.5) for name in "abc"})
    assert found["b"].cost.reached == TimeToBaseline(
        metric="mae", score=0.2, steps=5, seconds=2.5, seeds=1, of=1
    )
    assert found["c"].cost.reached.steps is None
    assert found["a"].cost.reached.steps == 10


def test_images_tell_how_sure_the_difference_is_for_these_trainings():
    ids = [str(number) for number in range(20)]
    outcomes = [
        outcome("a", 0, 0.2, images=dict.fromkeys(ids, 0.2)),
        outcome("b", 0, 0.1, images={name: 0.1 + 0.001 * number for number, name in enumerate(ids)}),
    ]
    interval = rows(outcomes)["b"].metrics["mae"].images
    assert -0.1 < interval.low < -0.0905 < interval.high < -0.08


def test_curves_have_the_mean_and_the_ends_over_seeds_where_all_seeds_have_a_point():
    outcomes = [
        outcome("a", 0, 0.2, curve=[(5, 0.4), (10, 0.2)]),
        outcome("a", 1, 0.2, curve=[(5, 0.2), (10, 0.2), (15, 0.1)]),
    ]
    curve = curves(outcomes, ["a"], [MAE])["a"]["mae"]
    assert list(curve.steps) == [5, 10]
    assert curve.mean == pytest.approx([0.3, 0.2])
    assert (curve.low[0], curve.high[0]) == (0.2, 0.4)


def test_a_run_that_failed_is_in_no_curve():
    outcomes = [
        outcome("a", 0, 0.2, curve=[(5, 0.4), (10, 0.2)]),
        outcome("a", 1, None, curve=[(5, 9.0)], status="diverged"),
    ]
    curve = curves(outcomes, ["a"], [MAE])["a"]["mae"]
    assert (list(curve.steps), list(curve.high)) == ([5, 10], [0.4, 0.2])


@pytest.mark.parametrize(
    ("name", "content"),
    [("val.csv", b"id,mae\n0,much\n"), ("val.csv", b"mae\n0.1\n"), ("metrics.jsonl", b"\xff\n{}\n")],
)
def test_damaged_figures_are_told(tmp_path, name, content):
    (tmp_path / "summary.json").write_text('{"status": "done"}')
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match="damaged"):
        read_outcome("a", 0, tmp_path)


def benchmark(table=(), **changes) -> Results:
    """The results of a benchmark that reports mae and psnr."""
    about = {
        "kind": "benchmark",
        "name": "demo",
        "summary": "",
        "credit": "",
        "status": "done",
        "baseline": "a",
        "seeds": [0],
        "budget": {"steps": 10},
        "environment": Environment(),
        "plugins": [],
        "metrics": [MAE, PSNR],
        "notes": [],
        "variants": [],
        "cells": [],
        "table": table,
        "curves": {},
    }
    return Results(**about | changes)


def test_each_variant_says_how_its_seeds_stand_to_copying_the_input():
    copied = {"mae": 0.15, "psnr": -0.15, "sharpness": 0.15}
    outcomes = [
        replace(outcome(name, seed, mae), copy_input=copied)
        for name, maes in {"a": (0.1, 0.2), "b": (0.1, 0.12), "c": (0.3, 0.2), "d": (0.15, 0.15)}.items()
        for seed, mae in enumerate(maes)
    ]
    found = rows(outcomes)
    assert {name: row.metrics["mae"].against_copying for name, row in found.items()} == {
        "a": "beats copying in 1 of 2 seeds",
        "b": "beats copying",
        "c": "worse than copying",
        "d": "as good as copying",
    }
    assert found["b"].metrics["psnr"].against_copying == "beats copying"
    assert found["b"].metrics["sharpness"].against_copying == ""


def test_a_note_says_where_no_run_beats_copying_the_input():
    outcomes = [replace(outcome("a", seed, 0.2 + seed), copy_input={"mae": 0.15}) for seed in range(5)]
    (told,) = notes(outcomes, variants=["a"], metrics=[MAE])
    assert told.startswith("No run beats copying the input on mae")
    assert notes([*outcomes, outcome("a", 5, 0.1)], variants=["a"], metrics=[MAE]) == [told]
    better = replace(outcome("a", 5, 0.1), copy_input={"mae": 0.15})
    assert notes([*outcomes, better], variants=["a"], metrics=[MAE]) == []
    assert notes([outcome("a", seed, 0.1) for seed in range(5)], variants=["a"], metrics=[MAE]) == []


def test_the_csv_has_a_row_for_each_variant_and_figure():
    table = tabulate(
        [outcome("a", 0, 0.2), outcome("b", 0, 0.1)], variants=["a", "b"], baseline="a", metrics=[MAE, PSNR]
    )
    text = csv_of_table(benchmark(table))
    assert len(text.splitlines()) == 5
    assert text.splitlines()[1].startswith("b,mae,min,1,0.1,,-0.1")


def test_another_csv_has_a_row_for_each_cell_with_all_that_is_known_of_it():
    done = replace(
        outcome("a", 0, 0.2),
        seconds=3.5,
        copy_input={"mae": 0.5},
        peak_memory_mb=917.0,
        images_per_second=45.0,
        trained_on=TrainedOn("0.1.0", "2.15.0", "cpu", "bf16", 1),
    )
    outcomes = [done, RunOutcome("b", 0, Path("cells/b0"), "missing")]
    cost = Cost(generator_parameters=7, discriminator_parameters=3, step_seconds=0.25, step_deviation=0.01)
    table = tabulate(outcomes, variants=["a", "b"], baseline="a", metrics=[MAE, PSNR], costs={"a": cost})
    text = csv_of_cells(benchmark(table, cells=cell_results(outcomes, Path())))
    first, second = csv.DictReader(text.splitlines())
    known = {key: value for key, value in first.items() if value}
    assert known == {
        "variant": "a",
        "seed": "0",
        "key": "a0",
        "status": "done",
        "steps": "10",
        "seconds": "3.5",
        "mae": "0.2",
        "psnr": "-0.2",
        "copy_input.mae": "0.5",
        "step_seconds": "0.25",
        "step_deviation": "0.01",
        "generator_parameters": "7",
        "discriminator_parameters": "3",
        "images_per_second": "45.0",
        "peak_memory_mb": "917.0",
        "device": "cpu",
        "precision": "bf16",
        "threads": "1",
        "i2i": "0.1.0",
        "torch": "2.15.0",
        "folder": "cells/a0",
    }
    assert (second["variant"], second["status"], second["mae"]) == ("b", "missing", "")
    assert text.startswith("variant,seed,key,status,steps,seconds,mae,psnr,copy_input.mae,copy_input.psnr,")


def test_results_are_the_same_after_they_were_written_and_read():
    curve = [(5, 0.4), (10, 0.2)]
    outcomes = [outcome(name, seed, 0.1 + seed, curve=curve) for name in "ab" for seed in (0, 1)]
    table = tabulate(outcomes, variants=["a", "b"], baseline="a", metrics=[MAE, PSNR])
    found = benchmark(table, curves=curves(outcomes, ["a", "b"], [MAE]), seeds=[0, 1])
    text = json.dumps(found.to_json())
    again = read_results(json.loads(text))
    assert json.dumps(again.to_json()) == text
    assert again.table == found.table


def test_what_is_not_finite_is_written_as_null():
    found = benchmark(tabulate([outcome("a", 0, 0.2)], variants=["a"], baseline="a", metrics=[MAE]))
    row = replace(found.table[0], cost=Cost(flops_per_step=math.inf, peak_memory_mb=math.nan))
    cost = replace(found, table=[row]).to_json()["table"][0]["cost"]
    assert cost["flops_per_step"] is cost["peak_memory_mb"] is None


def test_the_results_that_the_first_version_wrote_are_read_whole():
    text = (FIRST_FORMAT / "bench" / "results.json").read_text()
    assert json.dumps(read_results(json.loads(text)).to_json(), indent=1) + "\n" == text


@pytest.mark.parametrize("written", [None, [], {}, {"kind": "benchmark"}, {"schema": 1, "cells": 3}])
def test_what_is_no_results_is_refused(written):
    with pytest.raises(ValueError, match="Results"):
        read_results(written)


def test_ranking_follows_the_direction_and_puts_what_is_missing_last():
    def row(name, mean):
        return VariantResult(name, False, 1, {"mae": MetricResult(mean=mean)}, Cost())

    table = [row("none", None), row("high", 2.0), row("low", 1.0)]
    for way, order in (("min", "low high none"), ("max", "high low none"), (None, "high low none")):
        assert " ".join(r.variant for r in ranked(table, ReportedMetric("mae", way))) == order


def test_a_folder_without_a_summary_is_missing_and_a_damaged_one_is_told(tmp_path):
    assert read_outcome("a", 0, tmp_path).status == "missing"
    assert read_outcome("a", 0, tmp_path, error="no luck").status == "failed"
    (tmp_path / "summary.json").write_text('{"status": "done", ')
    with pytest.raises(DataError, match="damaged"):
        read_outcome("a", 0, tmp_path)
