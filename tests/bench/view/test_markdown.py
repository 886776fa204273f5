"""The answer as a page of Markdown."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from i2i.bench.outcomes import RunOutcome
from i2i.bench.results import ComparedVariant, Cost, Environment, ReportedMetric, Results
from i2i.bench.tabulate import tabulate
from i2i.bench.view.markdown import markdown


def page(**changes) -> str:
    outcomes = [
        RunOutcome(name, seed, Path(name), "done", metrics={"mae": 0.1 * seed + start})
        for name, start in {"plain": 0.5, "a|b": 0.4}.items()
        for seed in (0, 1)
    ]
    metrics = [ReportedMetric("mae", "min")]
    table = tabulate(
        outcomes,
        variants=["plain", "a|b"],
        baseline="plain",
        metrics=metrics,
        costs={"plain": Cost(step_seconds=0.066, generator_parameters=1234567)},
    )
    environment = Environment(
        i2i="0.1.0",
        torch="2.15.0",
        platform="Linux",
        processor="Some CPU",
        cores=2,
        device="cpu",
        precision="fp32",
        threads=2,
    )
    results = Results(
        kind="benchmark",
        name="demo",
        summary="Which?",
        credit="",
        status="done",
        baseline="plain",
        seeds=[0, 1],
        budget={},
        environment=environment,
        plugins=[],
        metrics=metrics,
        notes=["Few seeds."],
        variants=[ComparedVariant("plain", [], 10), ComparedVariant("a|b", [], 20)],
        cells=[],
        table=table,
        curves={},
    )
    return markdown(replace(results, **changes), picture="demo.png")


def test_it_has_the_answer_the_figures_the_costs_and_the_conditions():
    text = page()
    assert text.startswith("# demo\n\nWhich?\n\n**a|b beats plain on mae.**")
    assert "-0.100 (-18.2 %) [-0.100, -0.100]<br>better" in text
    assert "with its own 95 % interval. Verdicts are made at 5 %, with one comparison" in text
    assert "1,234,567" in text
    assert "66.0 ms" in text
    assert "10 to 20 steps a run; seeds 0, 1" in text
    assert "![" in text
    assert "Few seeds." in text


def test_an_unfinished_benchmark_says_how_to_go_on():
    text = page(status="incomplete", go_on="i2i bench demo.toml")
    assert "**Unfinished: 0 of 0 cells have ended. a|b beats plain on mae.**" in text
    assert "To go on:\n\n```console\ni2i bench demo.toml\n```\n" in text
    assert "To go on" not in page()


def test_a_name_with_a_bar_stays_in_its_cell():
    rows = [line for line in page().splitlines() if line.startswith("| a")]
    assert all(row.startswith("| a\\|b |") for row in rows)
    assert len(rows) == 2
