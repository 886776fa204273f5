"""On which line each key of a TOML text stands, in one linear pass over its tokens.

tomllib forgets lines, and people need them in errors. This reads only what it takes to find keys: headers,
dotted and quoted keys, inline tables. It never says that a text is no TOML, which is left to tomllib; so it
can run before tomllib, and refuse the nesting that would exhaust tomllib's recursion.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass

KeyPath = tuple[str, ...]

# Strings may be unterminated and are never re-read (possessive), so no text takes more than one pass.
_TOKEN = re.compile(
    r'''(?P<string>"""(?:[^"\\]|\\[\s\S]|"(?!""))*+(?:"{3,5})?'''
    r"""|\'\'\'(?:[^']|'(?!''))*+(?:'{3,5})?"""
    r"""|"(?:[^"\\\n]|\\.)*+"?|'[^'\n]*+'?)"""
    r"""|(?P<comment>\#[^\n]*)|(?P<line>\n)|(?P<space>[^\S\n]+)|(?P<mark>[][{},=.])|(?P<word>[^\s\[\]{},=.#"']+)"""
)


class TooDeepError(ValueError):
    """A key or value is nested deeper than allowed; `line` is where."""

    def __init__(self, line: int) -> None:
        super().__init__(f"line {line} is nested too deeply")
        self.line = line


@dataclass
class _Frame:
    """The text itself, or a bracket that is still open: what stands in it, and where its keys belong.

    `prefix` is the path of the table around its keys; `closing` the bracket that ends it ("" for the text);
    `table` whether it holds keys, and not the items of a list; `listed` whether it is within a list, so that
    its keys have no path of their own; `wants_key` whether the next word begins a key, and not a value.
    """

    prefix: KeyPath = ()
    closing: str = ""
    table: bool = True
    listed: bool = False
    wants_key: bool = True


def key_lines(text: str, *, depth: int = 32) -> dict[KeyPath, int]:
    """Return the 1-based line on which each key path of `text` first stands, tables included.

    Keys of tables inside lists are left out. Raises `TooDeepError` where tables and lists together nest
    deeper than `depth`.
    """
    found: dict[KeyPath, int] = {}
    stack = [_Frame()]
    parts: list[str] = []  # of the key that is being read, which began on line `start`
    start = 0
    header = False  # whether that key stands in a header, [a.b]

    def place(path: KeyPath) -> None:
        for length in range(1, len(path) + 1):
            found.setdefault(path[:length], start)

    for kind, piece, line in _tokens(text):
        frame = stack[-1]
        if kind == "line":
            if len(stack) == 1:  # within brackets a line's end separates nothing
                parts, header, frame.wants_key = [], False, True
        elif piece == "[" and len(stack) == 1 and frame.wants_key and not parts:
            header, frame.prefix = True, ()  # [a.b] is a key from the root, whatever table it follows
        elif frame.wants_key and piece not in {frame.closing, ","}:
            if piece == ("]" if header else "="):
                path = (*frame.prefix, *parts)
                if not frame.listed:
                    place(path)
                frame.wants_key = False
                if header:
                    parts, header, frame.prefix = [], False, path
            elif kind != "mark":
                start = start if parts else line  # a key is where its first part is
                parts.append(_name(kind, piece))
        elif piece in {"[", "{"}:
            table = piece == "{"
            # An item of a list has no name; "" makes its path one longer, so that lists count as depth too.
            prefix = (*frame.prefix, *parts) if frame.table else (*frame.prefix, "")
            listed = frame.listed or not frame.table
            stack.append(_Frame(prefix, "}" if table else "]", table, listed, wants_key=table))
            parts = []
        elif piece == frame.closing and len(stack) > 1:
            stack.pop()
            parts = []
        elif piece == "," and len(stack) > 1:
            parts, frame.wants_key = [], frame.table
        if len(stack[-1].prefix) + len(parts) > depth:
            raise TooDeepError(line)
    return found


def _tokens(text: str) -> Iterator[tuple[str, str, int]]:
    line = 1
    for match in _TOKEN.finditer(text):
        kind, piece = match.lastgroup or "", match[0]
        if kind not in {"comment", "space"}:
            yield kind, piece, line
        line += piece.count("\n")


def _name(kind: str, piece: str) -> str:
    """Return a key as tomllib reads it; a piece that is no key comes back as it is."""
    if kind != "string":
        return piece
    try:
        return str(tomllib.loads(f"k = {piece}")["k"])
    except tomllib.TOMLDecodeError:
        return piece
