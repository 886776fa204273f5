"""Rendering one emoji, judging it, and the list of those that were found clean."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch
from i2i_openmoji.rendering import OPENMOJI_VERSION, all_names, line_svg, read_svg, render_pair
from i2i_openmoji.selection import compute_names, filter_names, is_candidate, is_clean, shipped_names

from i2i.errors import ResourceError

SVG = """<svg viewBox="0 0 72 72" xmlns="http://www.w3.org/2000/svg">
<defs><path id="p"/></defs><style>.a{fill:red}</style>
<g id="color"><g id="line-inside"/></g><g id="line"><path d="M1,1"/></g>
<g id="line-supplement"/><g id="skin"/><path/>
</svg>"""


# --- rendering


def test_a_line_drawing_keeps_line_groups_definitions_and_styles_alone() -> None:
    drawing = line_svg(SVG)
    for kept in (
        'id="p"',
        "fill:red",
        'id="line"',
        'd="M1,1"',
        'id="line-supplement"',
        'viewBox="0 0 72 72"',
    ):
        assert kept in drawing
    for left_out in ("color", "line-inside", "skin"):
        assert left_out not in drawing


def test_a_pair_is_a_drawing_and_its_colours_on_white() -> None:
    pair = render_pair("1F600", 48)
    assert pair.dtype == torch.uint8
    assert pair.shape == (2, 3, 48, 48)
    drawing, emoji = pair
    assert drawing[:, 0, 0].tolist() == emoji[:, 0, 0].tolist() == [255, 255, 255]
    assert torch.equal(drawing[0], drawing[2])
    centre_left = emoji[:, 24, 12].int()
    assert centre_left[0] > 200
    assert centre_left[2] < 100
    black = drawing.amax(0) < 64
    assert black.any()
    assert (emoji.amax(0)[black] < 110).all()


def test_an_emoji_that_the_package_lacks_is_named() -> None:
    with pytest.raises(ResourceError, match=r"lacks 1F6FFF\.svg"):
        read_svg("1F6FFF")


# --- candidates and clean pairs


@pytest.mark.parametrize(
    "name", ["1F600", "1F3FB", "0023-FE0F-20E3", "1F3F4-200D-2620-FE0F", "E010", "1F468-200D-1F9B0"]
)
def test_what_may_be_kept(name: str) -> None:
    assert is_candidate(name)


@pytest.mark.parametrize(
    "name",
    [
        "1F44B-1F3FD",
        "1F9D1-1F3FB-200D-1F9B0",
        "1F1E9-1F1EA",
        "1F1E6",
        "1F3F4-E0067-E0062-E0065-E006E-E0067-E007F",
        "E000",
    ],
)
def test_flags_skin_tones_and_what_the_published_list_lacks_are_no_candidates(name: str) -> None:
    assert not is_candidate(name)


def clean_pair() -> torch.Tensor:
    """A black bar on white, and the same bar on red."""
    pair = torch.full((2, 3, 10, 10), 255, dtype=torch.uint8)
    pair[1, 1:] = 0
    pair[:, :, 4:6] = 0
    return pair


def test_a_drawing_with_colours_around_its_lines_is_clean() -> None:
    assert is_clean(clean_pair())


def test_no_drawing_no_colour_or_covered_lines_are_not_clean() -> None:
    no_drawing, no_colour, covered = clean_pair(), clean_pair(), clean_pair()
    no_drawing[0] = 255
    no_colour[1] = no_colour[0]
    covered[1, 0, 4:6, 5:] = 200
    grey_only = clean_pair()
    grey_only[0, :, 4:6] = 100
    assert not any(map(is_clean, (no_drawing, no_colour, covered, grey_only)))


def test_of_equal_drawings_the_first_is_kept() -> None:
    drawings = {name: render_pair(name, 64)[0] for name in ("1F534", "1F535", "1F600")}
    assert torch.equal(drawings["1F534"], drawings["1F535"])
    assert filter_names(["1F534", "1F600", "1F535"]) == ["1F534", "1F600"]


# --- the list


def test_the_list_is_there_for_the_installed_version_and_its_emojis_exist() -> None:
    names = shipped_names("17.0.0")
    assert names is not None
    assert len(names) == len(set(names)) == 1381
    assert all(map(is_candidate, names))
    if OPENMOJI_VERSION == "17.0.0":
        assert set(names) <= set(all_names())


def test_another_version_has_no_list() -> None:
    assert shipped_names("16.9.9") is None


@pytest.mark.skipif(OPENMOJI_VERSION != "17.0.0", reason="the list is for OpenMoji 17.0.0")
def test_the_filter_reproduces_the_whole_list() -> None:
    assert compute_names() == shipped_names("17.0.0")


@pytest.mark.skipif("I2I_TEST_DATA" not in os.environ, reason="needs the reference list")
def test_the_list_is_the_reference_list() -> None:
    reference = json.loads((Path(os.environ["I2I_TEST_DATA"]) / "openmoji_clean.json").read_text())
    assert shipped_names("17.0.0") == reference
