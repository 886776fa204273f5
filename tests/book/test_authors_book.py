"""The plug-in book is worked through as a reader would: files are written, commands run, outputs compared.

Its pages are read in the order of `PAGES`, in one folder. A block that begins with ``# name.py`` or
``# name.toml`` is that file; one that begins with ``# i2i.module`` shows signatures, which test_docs.py
compares; any other Python is run. In a console block, lines after ``$ `` are commands and the others what
they print: ``…`` stands for anything, and figures, times and durations may differ. A command ends with the
exit code 0 unless ``echo $?`` shows another. What comes after the comment ``<!-- slow -->`` is left to
`-m slow`.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import unified_diff
from itertools import count, takewhile
from pathlib import Path

import pytest

BOOK = Path(__file__).parents[2] / "docs" / "plugins"
PAGES = ("README", "tutorial", "contract", "training", "testing", "publishing")
WARM = Path(__file__).with_name("warm.py")

PIP = ("--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check", "--no-input")
PLAIN = ("cat", "grep", "sed")
FIGURES = {
    r"(?m)^\d{4}-\d\d-\d\dT\S+  ": "",  # the time at which a line came, which no terminal shows
    r"\d{8}-\d{6}": "TIME",
    r"\b\d+:\d\d\b": "DURATION",
    r"(?<![\w.])-?\d+\.\d+(?:e-?\d+)?(?![\w.]*\.\d)": "FIGURE",
    r"\b\d+%": "SHARE",
}


@dataclass(frozen=True)
class Block:
    """One block of the book, and the page and the heading that it stands under."""

    number: int
    page: str
    section: str
    language: str
    text: str
    slow: bool

    @property
    def title(self) -> str:
        """What its first line says, to tell blocks apart."""
        return f"{self.page}: {self.section}: {self.text.splitlines()[0]}"

    @property
    def file(self) -> str:
        """The file that it is; empty for any other block."""
        found = re.match(r"# ([\w./-]+\.(?:py|toml))\n", self.text)
        return found[1] if found else ""

    @property
    def shows_signatures(self) -> bool:
        """Whether it shows what a module of i2i holds."""
        return re.match(r"# i2i(\.\w+)*\n", self.text) is not None

    def commands(self) -> Iterator[tuple[str, str, int]]:
        """Yield each command with the output that is shown for it, and its exit code."""
        shown = re.findall(r"^\$ (.+)\n((?:(?!\$ ).*\n)*)", self.text, flags=re.M)
        for number, (command, output) in enumerate(shown):
            following = shown[number + 1] if number + 1 < len(shown) else ("", "")
            if command != "echo $?":
                yield command, output, int(following[1]) if following[0] == "echo $?" else 0


def blocks() -> Iterator[Block]:
    """Yield the blocks of the book in order."""
    pattern = r"^##+ (?P<title>[^\n]*)$|(?P<slow>^<!-- slow -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$"
    numbers = count()
    for page in PAGES:
        section = ""
        text = (BOOK / f"{page}.md").read_text(encoding="utf-8")
        for found in re.finditer(pattern, text, re.M | re.S):
            section = found["title"] or section
            if found["text"] is not None:
                slow = bool(found["slow"])
                yield Block(next(numbers), page, section, found["language"], found["text"], slow)


BLOCKS = list(blocks())


class Reader:
    """Somebody who works through the book in a folder of their own, block after block."""

    def __init__(self, home: Path) -> None:
        self.folder, self.sites, self.log = home / "work", home / "sites", home / "log"
        self.folder.mkdir()
        self.paths: list[str] = []
        self.outputs: dict[int, list[tuple[int, str]]] = {}
        alone = {**os.environ, "OMP_NUM_THREADS": "1"}  # tiny networks gain nothing by more
        line = [sys.executable, str(WARM)]
        self.shell = subprocess.Popen(
            line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=alone
        )

    def reach(self, block: Block) -> list[tuple[int, str]]:
        """Work through the book up to `block` and return the code and output of each of its commands."""
        for earlier in takewhile(lambda each: each.number <= block.number, BLOCKS):
            if earlier.number not in self.outputs and (earlier == block or not earlier.slow):
                self.outputs[earlier.number] = list(self._work_through(earlier))
        return self.outputs[block.number]

    def _work_through(self, block: Block) -> Iterator[tuple[int, str]]:
        if block.language == "console":
            for command, _, _ in block.commands():
                yield self.run(command)
        elif block.file:
            (self.folder / block.file).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / block.file).write_text(block.text, encoding="utf-8")
        elif block.language == "python" and not block.shows_signatures:
            yield self._warm("-", [block.text])

    def run(self, command: str) -> tuple[int, str]:
        """Run one line as a shell would and return its exit code and what it printed."""
        words = shlex.split(command)
        variables = dict(word.split("=", 1) for word in takewhile(lambda word: "=" in word, words))
        program, *arguments = words[len(variables) :]
        if program == "i2i":
            return self._warm("i2i", arguments, **variables)
        if program == "python" and arguments[0] == "-m":
            offline = ["--no-isolation"] if arguments[1] == "build" else []
            return self._warm(arguments[1], [*offline, *arguments[2:]], **variables)
        if program == "pip" and arguments[0] == "install":
            return self._install(Path(arguments[-1]), editable="-e" in arguments)
        assert program in PLAIN, f"nobody told this test how to run '{program}'"
        return self._ended([program, *arguments])

    def _warm(self, program: str, arguments: list[str], **variables: str) -> tuple[int, str]:
        paths = os.pathsep.join(filter(None, (*self.paths, os.environ.get("PYTHONPATH"))))
        command = {
            "program": program,
            "arguments": arguments,
            "folder": str(self.folder),
            "environment": {"PYTHONPATH": paths, **variables},
            "paths": self.paths,
            "log": str(self.log),
        }
        assert self.shell.stdin is not None
        assert self.shell.stdout is not None
        self.shell.stdin.write(json.dumps(command) + "\n")
        self.shell.stdin.flush()
        code = int(self.shell.stdout.readline())
        return code, self.log.read_text(encoding="utf-8")

    def _install(self, project: Path, *, editable: bool) -> tuple[int, str]:
        """Install a package without a network, into a folder of its own.

        What an editable installation does is done afterwards: it needs a package that isolation would fetch.
        """
        site = self.sites / project.name
        shutil.rmtree(site, ignore_errors=True)
        line = [sys.executable, "-m", "pip", "install", *PIP, "--target", str(site), f"./{project}"]
        ended = self._ended(line)
        paths = [str(site)]
        if editable and ended[0] == 0:
            source = (self.folder / project).resolve()
            (info,) = site.glob("*.dist-info")
            origin = {"url": source.as_uri(), "dir_info": {"editable": True}}
            (info / "direct_url.json").write_text(json.dumps(origin))
            for package in (source / "src").iterdir():
                shutil.rmtree(site / package.name)
            paths.append(str(source / "src"))
        self.paths = [*paths, *(path for path in self.paths if path not in paths)]
        return ended

    def _ended(self, line: list[str]) -> tuple[int, str]:
        ended = subprocess.run(
            line, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300
        )
        return ended.returncode, ended.stdout


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    if not hasattr(os, "fork"):
        pytest.skip("the book's commands are run in forks")
    reader = Reader(tmp_path_factory.mktemp("reader"))
    with reader.shell:
        yield reader
        assert reader.shell.stdin is not None
        reader.shell.stdin.close()


@pytest.mark.parametrize(
    "block",
    [pytest.param(b, id=b.title, marks=[pytest.mark.slow] if b.slow else []) for b in BLOCKS],
)
def test_the_book_can_be_worked_through(reader, block):
    ended = reader.reach(block)
    if block.language == "toml":
        assert tomllib.loads(block.text)
    if block.language == "python":
        compile(block.text, block.title, "exec")
        assert all(code == 0 for code, _ in ended), ended
    for (command, shown, code), (real_code, output) in zip(block.commands(), ended):
        assert alike(shown, output), differences(command, shown, output)
        assert real_code == code, f"$ {command}\n{output}"


def test_every_page_of_the_book_is_worked_through():
    assert {path.relative_to(BOOK).as_posix() for path in BOOK.rglob("*")} == {f"{page}.md" for page in PAGES}


def test_every_block_is_of_a_language_that_is_tested():
    assert {block.language for block in BLOCKS} == {"python", "toml", "console"}


def test_what_authors_copy_is_tidy(tmp_path):
    for block in BLOCKS:
        if block.file.endswith(".py"):
            (tmp_path / f"{block.number}.py").write_text(block.text)
    rules = ("--select", "E,F,I,UP,B,SIM,RUF", "--line-length", "110")
    line = [sys.executable, "-m", "ruff", "check", "--isolated", "--no-cache", *rules, str(tmp_path)]
    ended = subprocess.run(line, capture_output=True, text=True, cwd=tmp_path)
    assert ended.returncode == 0, ended.stdout


@pytest.mark.slow
def test_the_books_own_components_keep_the_contract(reader):
    """But for the first one, which has no help, as the book says itself."""
    reader.reach(BLOCKS[-1])
    for block in BLOCKS:
        if block.language == "python" and "@hookimpl" in block.text and "/" not in block.file:
            code, output = reader.run(f"i2i plugin check local --plugin {block.file} --json")
            failed = [o["check"] for o in json.loads(output)["outcomes"] if o["status"] != "passed"]
            known = ["documented"] if block.section.startswith("A plug-in of") else []
            assert failed == known, (block.file, code)


def alike(shown: str, real: str) -> bool:
    """Whether `real` is what is shown, but for what `…` stands for and for figures."""
    lines = (r"(?:.*\n)*?" if line == "…" else f"{_words(line)}\n" for line in _tidy(shown))
    return re.fullmatch("".join(lines), "".join(f"{line}\n" for line in _tidy(real))) is not None


def _words(line: str) -> str:
    return re.escape(line).replace(re.escape("…"), ".*")


def _tidy(text: str) -> list[str]:
    """Return the lines that are not blank, without the width of columns, and without figures."""
    for pattern, word in FIGURES.items():
        text = re.sub(pattern, word, text)
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def differences(command: str, shown: str, real: str) -> str:
    lines = unified_diff(_tidy(shown), _tidy(real), "the book", "what was printed", lineterm="", n=100)
    return "\n".join([f"$ {command}", *lines])


def test_figures_may_differ_and_words_may_not():
    assert alike("mae 0.125  done\n", "mae   0.25 done\n")
    assert alike("a\n…\nz 5\n", "a\nb\nc\nz 5\n")
    assert alike("see …/x.py:3\n", "see /tmp/x.py:3\n")
    assert not alike("1,763 parameters\n", "1,764 parameters\n")
    assert not alike("a\nz\n", "a\nb\nz\n")
    assert not alike("i2i-shiny 0.1.0\n", "i2i-shiny 0.2.0\n")
