"""The check of a GPU, tried on a CPU: it runs whole, writes what docs/gpu.md shows, and failures are rows."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import nn

FOLDER = Path(__file__).parent
PAGE = FOLDER.parents[1] / "docs" / "gpu.md"


def table(markdown: str) -> list[list[str]]:
    """Return the cells of each row of a table, the headings first."""
    lines = [line for line in markdown.splitlines() if line.startswith("|") and not line.startswith("| ---")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def measured_on(markdown: str) -> list[str]:
    """Return what is told of the machine, by name."""
    return re.findall(r"^\* (\w+): \S", markdown, flags=re.M)


def test_the_whole_check_runs_on_a_cpu_and_its_rows_are_those_of_the_page(tmp_path: Path):
    out = tmp_path / "gpu.md"
    command = [sys.executable, str(FOLDER / "check.py"), "--device", "cpu", "--smoke", "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stdout + done.stderr
    written = out.read_text(encoding="utf-8")
    page = PAGE.read_text(encoding="utf-8").partition("\n## What was measured\n")[2]
    headings, *rows = table(written)
    assert headings == ["part", "what", "value", "bound", "result"]
    assert all(len(row) == len(headings) for row in rows)
    assert {row[-1].partition(":")[0] for row in rows} <= {"passed", "measured", "left out"}
    assert [row[:2] for row in rows] == [row[:2] for row in table(page)[1:]]
    names = measured_on(written)
    assert names == ["card", "processor", "driver", "torch", "Python", "i2i", "date", "took", "note"]
    assert measured_on(page) == names[:-1]
    assert "batch 32, tuned loop" in done.stdout


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a card")
def test_without_a_card_it_says_so_in_a_sentence_and_ends_with_4():
    done = subprocess.run(
        [sys.executable, str(FOLDER / "check.py")], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr.strip() == "--device cuda: this machine, or this build of torch, has no cuda device."


@pytest.fixture
def check(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The script as a module, with parts that hang, raise, die and do well in the place of its own."""
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "trials.py").write_text(
        "import os, time\n"
        "from rows import measured\n"
        "def raises(settings):\n    yield measured('raises', 'before', '1')\n    raise ValueError('no')\n"
        "def dies(settings):\n    os._exit(7)\n"
        "def hangs(settings):\n    time.sleep(60)\n"
        "def works(settings):\n    yield measured('works', settings.device, str(settings.size))\n"
    )
    import check
    import parts

    shares = {"hangs": 0.01, "raises": 1.0, "dies": 1.0, "works": 1.0}
    trials = tuple(parts.Part(name, "trials", name, share) for name, share in shares.items())
    monkeypatch.setattr(parts, "PARTS", trials)
    return check


def test_a_part_that_fails_is_a_row_and_the_others_go_on(check: ModuleType, tmp_path: Path, capsys):
    out = tmp_path / "found.md"
    assert check.main(["--device", "cpu", "--smoke", "--minutes", "3", "--out", str(out)]) == 1
    rows = [(part, what, result) for part, what, _, _, result in table(out.read_text())[1:]]
    assert rows == [
        ("hangs", "the whole part", "failed: it ran out of time after 1 s"),
        ("raises", "before", "measured"),
        ("raises", "the whole part", "failed: ValueError: no"),
        ("dies", "the whole part", "failed: its process ended with exit code 7"),
        ("works", "cpu", "measured"),
    ]
    assert "raise ValueError('no')" in capsys.readouterr().err


def test_what_is_measured_goes_between_the_marks_of_a_page_and_the_rest_stays(
    check: ModuleType, tmp_path: Path
):
    import rows

    page = tmp_path / "page.md"
    page.write_text(f"Before.\n\n{rows.BEGIN}\nold\n{rows.END}\n\nAfter.\n")
    rows.write(
        page, {"card": "one"}, [rows.within("part", "a | b", 2.0, 1.0), rows.within("part", "c", 0.5, 1)]
    )
    text = page.read_text()
    assert text.startswith("Before.\n")
    assert text.endswith("\nAfter.\n")
    assert "old" not in text
    assert table(text)[1:] == [
        ["part", "a / b", "2", "at most 1", "failed: 2 is not at most 1"],
        ["part", "c", "0.5", "at most 1", "passed"],
    ]
    assert measured_on(text) == ["card"]


def test_the_tensor_that_differs_most_decides_how_much_two_answers_differ(check: ModuleType):
    import parity

    answer = {"a": torch.ones(3), "b": torch.tensor([3.0, 4.0])}
    assert parity.relative(answer, answer) == 0
    assert parity.relative(answer | {"b": torch.tensor([3.0, 4.5])}, answer) == pytest.approx(0.1)


def test_gradients_are_compared_without_a_kink_and_the_network_keeps_its_own(check: ModuleType):
    import parity

    network = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Sequential(nn.LeakyReLU(0.2)))
    assert not [part for part in parity.with_smooth_activations(network).modules() if "ReLU" in repr(part)]
    assert isinstance(network[1], nn.ReLU)


def test_a_number_that_is_not_finite_is_within_no_bound(check: ModuleType):
    import rows

    assert rows.within("part", "what", float("nan"), 1.0).failed
