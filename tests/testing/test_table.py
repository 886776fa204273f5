"""The table of checks in a document is made from the checks, and stays within its two comments."""

from __future__ import annotations

from pathlib import Path

import pytest

from i2i.errors import RecipeError
from i2i.kinds import KINDS
from i2i.testing import CHECKS
from i2i.testing.outcomes import check
from i2i.testing.table import BEGIN, END, main, table, updated


@check("sums", "paired-loss", "penalty")
def sums(subject):
    """It is a sum | or a mean.

    More words.
    """


@check("any", unless=["method"])
def anything(subject):
    """It is there."""


@check("whole", "plug-in")
def whole(subject):
    """It is whole."""


def test_a_row_has_the_name_the_kinds_and_the_first_line():
    assert table([sums, anything, whole]).splitlines()[2:] == [
        "| `sums` | paired-loss, penalty | It is a sum \\| or a mean. |",
        "| `any` | every kind but method | It is there. |",
        "| `whole` | plug-in | It is whole. |",
    ]


def test_a_check_of_all_kinds_says_so():
    everything = check("all", *KINDS)(anything.run)
    assert "| `all` | every kind | It is there. |" in table([everything])


def test_what_stands_between_the_comments_is_replaced_and_nothing_else():
    document = f"before\n\n{BEGIN}\nold\n{END}\n\nafter\n"
    made = updated(document, [whole])
    assert made == f"before\n\n{BEGIN}\n\n{table([whole])}\n{END}\n\nafter\n"
    assert updated(made, [whole]) == made


@pytest.mark.parametrize(
    "document", ["", BEGIN, END, f"{END}{BEGIN}", f"{BEGIN}{END}{BEGIN}", f"{END}{BEGIN}{END}"]
)
def test_a_document_without_a_place_for_the_table_is_refused(document):
    with pytest.raises(RecipeError, match="write each once"):
        updated(document, [whole])


def test_the_command_writes_every_check_into_the_file(tmp_path: Path):
    page = tmp_path / "page.md"
    page.write_text(f"# Größe\n{BEGIN}{END}\n", encoding="utf-8")
    main([str(page)])
    text = page.read_text(encoding="utf-8")
    assert text.startswith("# Größe\n")
    assert text.count("\n| `") == len(CHECKS)


@pytest.mark.parametrize("content", [None, "no comments"])
def test_what_the_command_cannot_use_is_one_sentence_and_exit_code_2(tmp_path: Path, capsys, content):
    page = tmp_path / "page.md"
    if content is not None:
        page.write_text(content)
    with pytest.raises(SystemExit) as ended:
        main([str(page)])
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert told.startswith(f"{page}: ")
    assert "Traceback" not in told
