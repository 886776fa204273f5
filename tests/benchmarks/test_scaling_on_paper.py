"""The tables of docs/scaling.md are what their formulas give."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("scaling_on_paper.py")


@pytest.fixture(scope="module")
def paper():
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("scaling_on_paper", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_has_what_the_script_prints(paper):
    page = paper.PAGE.read_text(encoding="utf-8")
    assert page.partition(paper.BEGIN)[2].partition(paper.END)[0].strip() == paper.tables()


def test_parameters_are_those_of_the_papers_networks(paper):
    assert paper.methods()["pix2pix: U-Net, patch"] == 54_413_955 + 2_768_705


@pytest.mark.parametrize("hidden", [0.0, 0.5])
@pytest.mark.parametrize("processes", [2, 4, 8, 16])
def test_at_the_break_even_step_several_processes_are_as_fast_as_one(paper, processes, hidden):
    cost = paper.exchange(10**7, processes, 1.25e9)
    step = paper.even(cost, processes, hidden=hidden)
    own = step / processes
    assert own + max(0.0, cost - hidden * own) == pytest.approx(step)
    if hidden == 0.0:
        assert step == pytest.approx(8 * 10**7 / 1.25e9)  # whatever N is


@pytest.mark.parametrize("hidden", [0.0, 0.5])
def test_a_well_used_step_loses_a_tenth(paper, hidden):
    step = paper.well_used(0.3, hidden=hidden)
    assert step / (step + max(0.0, 0.3 - hidden * step)) == pytest.approx(0.9)
