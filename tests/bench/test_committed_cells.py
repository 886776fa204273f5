"""The records of cells that are committed belong to the benchmarks that they were made for."""

from __future__ import annotations

from pathlib import Path

import pytest

from i2i.bench.cells import Matrix
from i2i.bench.definition import read_benchmark
from i2i.bench.records import read_record
from i2i.bench.store import Store
from i2i.plugins.catalog import Catalog

BENCH = Path(__file__).parents[2] / "recipes" / "bench"
RECORDS = sorted((BENCH / "cells").glob("*.json"))


@pytest.mark.skipif("timm" not in Catalog.installed().namespaces(), reason="i2i-timm takes part in them")
def test_each_is_a_cell_of_a_benchmark_beside_it_and_has_all_that_it_reports():
    catalog = Catalog.installed()
    store = Store(BENCH / "cells", catalog, lambda note: None)
    unclaimed = {path.stem: read_record(path) for path in RECORDS}
    assert unclaimed
    (marks,) = {str(record.data): record.data for record in unclaimed.values()}.values()
    for path in sorted(BENCH.glob("facades-*.toml")):
        definition = read_benchmark(path)
        if definition.budget.each_seconds is not None:
            continue  # its steps are those of one machine, and its cells stand in that machine's folder
        matrix = Matrix(definition, catalog)
        names = [variant.name for variant in matrix.variants]
        steps, data = dict.fromkeys(names, 6000), dict.fromkeys(names, marks)
        for cell in matrix.cells(steps=steps, precision="bf16", data=data):
            record = unclaimed.pop(store.name(cell), None)
            if record is not None:
                figures = {name for scoring in record.scorings for name in scoring.figures}
                assert figures >= set(definition.metrics)
    assert not unclaimed
