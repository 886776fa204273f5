"""Tables fit the terminal and lose nothing off it."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from i2i.bench.results import read_results
from i2i.cli.bench_view import print_results
from i2i.cli.render import AGAINST_STYLES, Styled, print_note, print_table, toml_value

HEADERS = ("use", "kind", "summary")
ROWS = [
    (
        "a-component-with-a-long-name",
        "discriminator",
        "what it is, told in a sentence that is longer than most",
    ),
    ("b", "generator", "[bold]no markup[/bold]"),
]


@pytest.fixture
def on_terminal(monkeypatch, capsys):
    """Return a function that prints the table on a terminal of some width."""

    def draw(width: int, **options) -> list[str]:
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
        monkeypatch.setenv("COLUMNS", str(width))
        monkeypatch.setenv("TERM", "xterm")
        for name in ("FORCE_COLOR", "TTY_COMPATIBLE"):
            monkeypatch.delenv(name, raising=False)
        print_table(HEADERS, ROWS, styles=("", ""), **options)
        plain = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
        return [line.rstrip() for line in plain.splitlines()]

    return draw


def test_off_a_terminal_lines_are_whole_and_plain(capsys):
    print_table(HEADERS, ROWS)
    assert capsys.readouterr().out.splitlines() == [
        "use                           kind           summary",
        "a-component-with-a-long-name  discriminator  "
        "what it is, told in a sentence that is longer than most",
        "b                             generator      [bold]no markup[/bold]",
    ]


def test_on_80_columns_the_last_one_wraps(on_terminal):
    assert on_terminal(80) == [
        "use                           kind           summary",
        "a-component-with-a-long-name  discriminator  what it is, told in a sentence that",
        "                                             is longer than most",
        "b                             generator      [bold]no markup[/bold]",
    ]


def test_on_40_columns_each_row_is_a_block(on_terminal):
    assert on_terminal(40) == [
        "a-component-with-a-long-name",
        "  kind discriminator",
        "  summary what it is, told in a sentence",
        "  that is longer than most",
        "b",
        "  kind generator",
        "  summary [bold]no markup[/bold]",
    ]


def test_blocks_without_labels_are_shorter(on_terminal):
    assert on_terminal(44, labelled=False) == [
        "a-component-with-a-long-name  discriminator",
        "  what it is, told in a sentence that is",
        "  longer than most",
        "b  generator",
        "  [bold]no markup[/bold]",
    ]


def test_an_empty_table_is_its_headers(capsys):
    print_table(HEADERS, [])
    assert capsys.readouterr().out == "use  kind  summary\n"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3, "3"),
        (2e-4, "0.0002"),
        (True, "true"),
        ('a "b" ü', '"a \\"b\\" ü"'),
        ([64, [1.0]], "[64, [1.0]]"),
        ({"a": 1, "b": [2]}, "{ a = 1, b = [2] }"),
    ],
)
def test_values_as_toml_has_them(value, text: str):
    import tomllib

    assert toml_value(value) == text
    assert tomllib.loads(f"x = {text}")["x"] == value


def test_what_would_steer_a_terminal_is_written_out(capsys):
    print_table(("a", "b"), [("x", "\x1b[31mred\x07")])
    assert capsys.readouterr().out.splitlines()[1] == "x  \\x1b[31mred\\x07"
    print_note("\x1b]0;title\x07")
    assert capsys.readouterr().err == "\\x1b]0;title\\x07\n"


def test_a_cell_has_its_own_colour_on_a_terminal_and_none_elsewhere(monkeypatch, capsys):
    rows = [("mae", Styled("worse than copying", AGAINST_STYLES["worse than copying"]))]
    print_table(("figure", "stands"), rows)
    assert capsys.readouterr().out.splitlines()[1] == "mae     worse than copying"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("FORCE_COLOR", "1")
    for no_color, coloured in (("", True), ("1", False)):
        monkeypatch.setenv("NO_COLOR", no_color)
        print_table(("figure", "stands"), rows)
        text = capsys.readouterr().out
        assert "worse than copying" in text
        assert ("\x1b[31m" in text) == coloured


def test_the_table_of_a_benchmark_says_how_each_figure_stands_to_copying_the_input(capsys):
    folder = Path(__file__).parents[1] / "fixtures" / "first-format" / "bench"
    written = json.loads((folder / "results.json").read_text())
    for row, words in zip(written["table"], ("worse than copying", "beats copying"), strict=True):
        for found in row["metrics"].values():
            found["against_copying"] = words
    print_results(read_results(written))
    head, *lines = capsys.readouterr().out.splitlines()
    assert "against copying the input" in head
    for row, line in zip(written["table"], lines, strict=False):
        words = row["metrics"]["mae"]["against_copying"]
        assert line.startswith(row["variant"])
        assert line.count(f"{words} (") == len(row["metrics"]) == 2


def test_a_benchmark_is_a_table_for_each_figure_on_a_terminal_of_80_columns(monkeypatch, capsys):
    folder = Path(__file__).parents[1] / "fixtures" / "first-format" / "bench"
    results = read_results(json.loads((folder / "results.json").read_text()))
    print_results(results)
    whole = capsys.readouterr().out.splitlines()[0]
    assert whole.startswith("variant")
    assert len(whole) > 80
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("COLUMNS", "80")
    print_results(results)
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert max(map(len, lines)) <= 80
    heads = [line.split()[:3] for line in lines if line.startswith("variant")]
    assert heads == [["variant", "mae", "(lower)"], ["variant", "ssim", "(higher)"], ["variant", "G,", "D"]]
    assert any(line.startswith("copying the input  0.0117") for line in lines)


def test_what_many_variants_cost_is_a_table_on_a_terminal_of_80_columns_too(monkeypatch, capsys):
    folder = Path(__file__).parents[1] / "fixtures" / "first-format" / "bench"
    written = json.loads((folder / "results.json").read_text())
    for row in written["table"]:
        row["cost"] |= {
            "steps": 7817,
            "train_seconds": 301.2,
            "image_seconds": 0.012,
            "step_deviation": 0.003,
        }
        row["metrics"]["mae"]["against_copying"] = "worse than copying"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("COLUMNS", "80")
    print_results(read_results(written))
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert max(map(len, lines)) <= 80
    (head,) = [line for line in lines if "G, D parameters" in line]
    titles = head.split("  ")
    assert [title.strip() for title in titles if title][2:] == ["steps", "training", "a step", "an image"]
    costs = lines[lines.index(head) + 1 :][: len(written["table"])]
    assert all(re.search(r" 7,817 +5:01 .* 12\.0 ms$", line) for line in costs)
    (copying,) = [line for line in lines if "mae against copying the input" in line]
    assert "worse than copying" in lines[lines.index(copying) + 1]


def test_the_terminal_says_how_verdicts_were_made_and_how_many_seeds_others_need(capsys):
    folder = Path(__file__).parents[1] / "fixtures" / "first-format" / "bench"
    written = json.loads((folder / "results.json").read_text())
    other = written["table"][1]["metrics"]["mae"]
    other |= {"verdict": "within noise", "corrected": 0.4, "seeds_needed": 17}
    other["difference"] |= {"percent": -1.25}
    written |= {"status": "incomplete", "go_on": "i2i bench small.toml"}
    print_results(read_results(written))
    out = capsys.readouterr().out
    assert "(-1.2 %)" in out
    assert (
        "Verdicts are made at 5 %, with one comparison for each figure. To tell a difference as large " in out
    )
    assert "as that found on mae: about 17 seeds for " in out
    assert "Unfinished: 2 of 2 cells have ended." in out
    assert out.rstrip().endswith("To go on: i2i bench small.toml")
