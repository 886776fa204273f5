"""On which line each key of a TOML text stands."""

from __future__ import annotations

import random
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
import tomli_w

from i2i.recipe.toml_lines import TooDeepError, key_lines


def paths(table: dict[str, Any], around: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, value in table.items():
        yield (*around, key)
        if isinstance(value, dict):
            yield from paths(value, (*around, key))


def test_keys_under_a_header_and_the_header_itself():
    found = key_lines("a = 1\n\n[b.c]\nd = 2  # e = 3\n")
    assert found == {("a",): 1, ("b",): 3, ("b", "c"): 3, ("b", "c", "d"): 4}


def test_dotted_and_quoted_keys_are_decoded():
    found = key_lines("""a."b.c".'d e' = 1\n[ x . "y\\u00e9" ]\nz = 2\n""")
    assert found["a", "b.c", "d e"] == 1
    assert found["x", "yé", "z"] == 3


def test_multi_line_strings_hide_what_looks_like_keys():
    text = 'a = """\n[no]\nb = 1 \\"""\n"""\nc = \'\'\'\nd = 2\n\'\'\'\ne = 3\n'
    assert key_lines(text) == {("a",): 1, ("c",): 5, ("e",): 8}


def test_a_string_may_end_in_quotes_of_its_own():
    assert key_lines('a = """x"""""\nb = 1\n') == {("a",): 1, ("b",): 2}


def test_lists_over_several_lines_with_comments_and_brackets_in_strings():
    text = 'a = [\n  1, # ]\n  "]",\n  [2, 3],\n]\nb = 4\n'
    assert key_lines(text) == {("a",): 1, ("b",): 6}


def test_inline_tables_place_their_keys_and_lists_hide_theirs():
    found = key_lines("a = { b = 1, c.d = { e = '}' }, f = [{ g = 1 }] }\nh = 2\n")
    assert found.keys() == {
        ("a",),
        ("a", "b"),
        ("a", "c"),
        ("a", "c", "d"),
        ("a", "c", "d", "e"),
        ("a", "f"),
        ("h",),
    }
    assert found["h",] == 2


def test_the_first_place_of_a_table_counts():
    found = key_lines("[a.b]\nc = 1\n[a]\nd = 2\n[[e]]\nf = 1\n[[e]]\nf = 2\n")
    assert (found["a",], found["a", "d"], found["e", "f"]) == (1, 4, 6)


def test_every_key_of_any_text_has_the_line_it_was_written_on():
    rng = random.Random(0)
    names = ["a", "b-c", "d.e", "f g", 'q"', "=", "#", "[x]", "ü", "'", "1.5"]
    values = [1, 2.5, True, "x = 1", "[h]\n# no", [1, [2, "]"]], [], {}, "\\", '"""', "'''"]

    def table(depth: int) -> dict[str, Any]:
        inside = {name: rng.choice(values) for name in rng.sample(names, 4)}
        return inside | ({rng.choice(names): table(depth - 1) for _ in range(2)} if depth else {})

    for multiline in [False, True] * 20:
        text = tomli_w.dumps(table(3), multiline_strings=multiline)
        parsed = tomllib.loads(text)
        found = key_lines(text)
        assert set(found) == set(paths(parsed))
        lines = text.splitlines()
        for path, number in found.items():
            assert tomli_w.dumps({path[-1]: 0})[:-5] in lines[number - 1]


@pytest.mark.parametrize(
    "text",
    [
        "[" + "a." * 40 + "b]",
        "a." * 40 + "b = 1",
        "a = " + "[" * 40,
        "x = [\n" * 40,
        "a = [{b." + "c." * 40 + "d = 1}]",
    ],
)
def test_nesting_is_refused_before_anything_is_parsed(text: str):
    with pytest.raises(TooDeepError):
        key_lines(text)


def test_the_line_of_what_is_too_deep_is_told():
    with pytest.raises(TooDeepError) as refused:
        key_lines("a = 1\n\nb = [[[1]]]\n", depth=2)
    assert refused.value.line == 3


@pytest.mark.parametrize(
    "text", ["[", "= 1", "a = \n]", '"""', "a = '", "[a\nb = 1", "}{", "\\", "a = {b = 1", "\x00"]
)
def test_what_is_no_toml_does_no_harm(text: str):
    assert isinstance(key_lines(text), dict)
