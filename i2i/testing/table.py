"""The table of all checks in a document, made from the checks themselves.

``python -m i2i.testing.table FILE.md`` writes it between the comments `BEGIN` and `END` of that document.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from i2i.errors import I2IError, RecipeError
from i2i.kinds import KINDS
from i2i.testing.checks import CHECKS
from i2i.testing.outcomes import PLUGIN, Check

BEGIN = "<!-- checks: begin -->"
END = "<!-- checks: end -->"


def table(checks: Iterable[Check]) -> str:
    """Return a Markdown table with a row for each check: its name, what it applies to, and its purpose."""
    rows = [(f"`{check.name}`", applies_to(check), check.purpose.replace("|", "\\|")) for check in checks]
    head = [("check", "applies to", "what is promised"), ("---", "---", "---")]
    return "".join(f"| {' | '.join(row)} |\n" for row in (*head, *rows))


def applies_to(check: Check) -> str:
    """Return the kinds that a check applies to, or in shorter words those that it leaves out."""
    others = [name for name in KINDS if name not in check.kinds]
    if check.kinds == {PLUGIN} or len(others) > 2:
        return ", ".join(name for name in (PLUGIN, *KINDS) if name in check.kinds)
    return f"every kind but {', '.join(others)}" if others else "every kind"


def updated(document: str, checks: Iterable[Check]) -> str:
    """Return `document` with the table of `checks` between its comments BEGIN and END.

    Raises RecipeError unless each of the two stands in it once, BEGIN first.
    """
    before, _, rest = document.partition(BEGIN)
    _, _, after = rest.partition(END)
    if [document.count(BEGIN), rest.count(END), document.count(END)] != [1, 1, 1]:
        raise RecipeError(f"a table of checks is written between '{BEGIN}' and '{END}': write each once.")
    return f"{before}{BEGIN}\n\n{table(checks)}\n{END}{after}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the table into the document that the command line names."""
    parser = argparse.ArgumentParser(
        prog="python -m i2i.testing.table", description="Write the table of all checks into a document."
    )
    parser.add_argument("file", metavar="FILE.md", type=Path, help="a document with the two comments")
    file: Path = parser.parse_args(arguments).file
    try:
        document = file.read_text(encoding="utf-8")
        file.write_text(updated(document, CHECKS.values()), encoding="utf-8")
    except (OSError, UnicodeDecodeError, I2IError) as error:
        print(f"{file}: {error}", file=sys.stderr)
        raise SystemExit(RecipeError.exit_code) from error


if __name__ == "__main__":
    main()
