"""The page of a benchmark: what it shows, that it is safe to open, and that nothing breaks it."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from itertools import pairwise

from PIL import Image

from i2i.bench.results import read_results
from i2i.bench.view.drawing import MARKERS, looks
from i2i.bench.view.page import write_page

NASTY = "<script>alert('x')</script>\"&"
VOID = {"meta", "link", "img", "wbr", "input"}
WAY = {"mae": "min", "psnr": "max", "kid": None}


class Page(HTMLParser):
    """The elements and texts of a page; fails on tags that do not nest."""

    def __init__(self, path):
        super().__init__()
        self.elements, self.texts, self.open = [], [], []
        self.feed(path.read_text(encoding="utf-8"))
        self.close()
        assert self.open == []
        self.text = " ".join(" ".join(self.texts).split())

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] != ["style"] and data.strip():
            self.texts.append(data.strip())

    def all(self, tag, **wanted):
        wanted = {key.rstrip("_"): value for key, value in wanted.items()}
        return [a for t, a in self.elements if t == tag and wanted.items() <= a.items()]


def scored(mean, *, deviation=0.001, verdict="within noise", difference=0.0, reach=0.002, n=3, images=None):
    """One metric of one variant, as the table of results holds it."""
    if verdict == "baseline":
        away = None
    else:
        low, high = (None, None) if reach is None else (difference - reach, difference + reach)
        away = {"mean": difference, "low": low, "high": high, "n": n}
    return {
        "values": [mean] * n,
        "mean": mean,
        "deviation": deviation,
        "n": n,
        "difference": away,
        "images": images,
        "verdict": verdict,
    }


NO_SCORE = scored(None, deviation=None, verdict="cannot tell", n=0) | {"values": [], "difference": None}
NO_COST = {
    "generator_parameters": None,
    "discriminator_parameters": None,
    "flops_per_step": None,
    "receptive_field": {},
    "step_seconds": None,
    "images_per_second": None,
    "peak_memory_mb": None,
    "reached": None,
}


def costing(**known):
    return NO_COST | known


def made_up(scores, *, metrics=("mae",), seeds=(0, 1, 2), costs=None, **changes):
    """Results of variants by name, each with its metrics by name; the first is the baseline."""
    names = list(scores)
    steps = [100, 200, 300]
    results = {
        "schema": 1,
        "kind": "benchmark",
        "name": "swap",
        "summary": "Which one?",
        "credit": "Pictures by somebody.",
        "status": "done",
        "baseline": names[0],
        "seeds": list(seeds),
        "budget": {"steps": 300},
        "environment": {"torch": "2.0", "device": "cpu", "threads": 2, "processor": ""},
        "plugins": [{"namespace": "core", "distribution": "i2i-toolkit", "version": "0.1.0"}],
        "metrics": [{"name": m, "better": WAY.get(m), "definition": f"What {m} is."} for m in metrics],
        "notes": [],
        "variants": [
            {
                "name": name,
                "changes": [] if name == names[0] else [["losses.l1.weight", 100, None]],
                "steps": 300,
            }
            for name in names
        ],
        "cells": [
            {
                "variant": name,
                "seed": seed,
                "folder": f"cells/{name}-{seed}",
                "status": "done",
                "error": "",
                "steps": 300,
                "metrics": {m: scores[name][m]["mean"] for m in metrics},
                "copy_input": {"mae": 0.08},
                "seconds": 61.0,
            }
            for name in names
            for seed in seeds
        ],
        "table": [
            {
                "variant": name,
                "baseline": name == names[0],
                "n": len(seeds),
                "metrics": scores[name],
                "cost": (costs or {}).get(name, NO_COST),
            }
            for name in names
        ],
        "curves": {
            name: {
                m: {
                    "steps": steps,
                    "mean": [0.09, 0.07, 0.06],
                    "low": [0.08, 0.06, 0.05],
                    "high": [0.1, 0.08, 0.07],
                }
                for m in metrics
            }
            for name in names
        },
        "pictures": None,
    }
    return results | changes


THREE = {
    "patch-70": {"mae": scored(0.061, verdict="baseline")},
    "patch-16": {"mae": scored(0.058, verdict="better", difference=-0.003)},
    "image": {"mae": scored(0.065, verdict="worse", difference=0.004)},
}


def written(results, folder):
    return Page(write_page(read_results(results), folder))


# --- the page ---------------------------------------------------------------------------------------


def test_the_page_is_one_file_that_asks_for_nothing(tmp_path):
    page = written(pictured(tmp_path), tmp_path)
    assert {a["src"].split(":")[0] for a in page.all("img")} == {"data"}
    assert page.all("script") == page.all("iframe") == []
    (policy,) = page.all("meta", **{"http-equiv": "Content-Security-Policy"})
    assert policy["content"].startswith("default-src 'none'")
    text = (tmp_path / "report.html").read_text()
    for word in ("url(", "@import", "http:", "https:"):
        assert word not in text


def test_every_link_inside_leads_somewhere_and_no_id_is_there_twice(tmp_path):
    page = written(pictured(tmp_path), tmp_path)
    ids = [a["id"] for _, a in page.elements if "id" in a]
    assert len(ids) == len(set(ids))
    inside = {a["href"][1:] for _, a in page.elements if a.get("href", "").startswith("#")}
    assert len(inside) > 10
    assert inside <= set(ids)


def test_headings_come_in_order_and_tables_have_headers(tmp_path):
    page = written(pictured(tmp_path), tmp_path)
    levels = [int(tag[1]) for tag, _ in page.elements if tag in ("h1", "h2", "h3")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert all(a["scope"] in ("col", "row", "colgroup", "rowgroup") for a in page.all("th"))


def test_everything_from_outside_is_escaped(tmp_path):
    scores = {
        name: {NASTY: scored(0.06, verdict=verdict)}
        for name, verdict in ((NASTY, "baseline"), ("b", "better"))
    }
    results = made_up(scores, metrics=(NASTY,), name=NASTY, summary=NASTY, credit=NASTY, notes=[NASTY])
    results["environment"] = {NASTY: NASTY}
    results["plugins"] = [{"namespace": NASTY, "distribution": NASTY, "version": NASTY}]
    results["metrics"][0]["definition"] = NASTY
    results["variants"][1]["changes"] = [[NASTY, NASTY, NASTY]]
    results["cells"][0] |= {"folder": NASTY, "error": NASTY, "status": "failed"}
    page = written(results, tmp_path)
    assert page.all("script") == []
    assert page.texts.count(NASTY) >= 15
    assert "<script" not in (tmp_path / "report.html").read_text()


def test_the_leaderboard_puts_the_best_mean_first_with_verdicts_in_words(tmp_path):
    page = written(made_up(THREE), tmp_path)
    board = page.text[page.text.index("Leaderboard") : page.text.index("Curves")]
    assert board.index("0.0580 ± 0.0010") < board.index("0.0610 ± 0.0010") < board.index("0.0650 ± 0.0010")
    assert "-0.0030 [-0.0050, -0.0010] ▲ better" in board
    assert "+0.0040 [+0.0020, +0.0060] ▼ worse" in board
    assert "● baseline" in board
    assert "copying the input 0.0800" in board


def test_figures_say_in_words_whether_they_beat_copying_the_input(tmp_path):
    scores = {
        "plain": {"mae": scored(0.061, verdict="baseline") | {"against_copying": "beats copying"}},
        "other": {"mae": scored(0.09) | {"against_copying": "worse than copying"}},
    }
    page = written(made_up(scores), tmp_path)
    board, runs = page.text[: page.text.index("Curves")], page.text[page.text.index("Runs") :]
    assert "0.0610 ± 0.0010 beats copying" in board
    assert "0.0900 ± 0.0010 worse than copying" in board
    assert "0.06100 beats copying" in runs
    assert "0.09000 worse than copying" in runs
    assert page.all("small", **{"class": "against", "data-against": "worse than copying"})


def test_costs_that_nobody_knows_take_no_room(tmp_path):
    costs = {
        "patch-70": costing(
            generator_parameters=4_300_000, receptive_field={"patch": 70}, step_seconds=0.066
        ),
        "patch-16": costing(
            generator_parameters=4_300_000, receptive_field={"a": 16, "b": 0}, step_seconds=0.0612
        ),
        "image": costing(
            reached={"metric": "mae", "score": 0.061, "steps": None, "seconds": None, "seeds": 1, "of": 3}
        ),
    }
    board = written(made_up(THREE, costs=costs), tmp_path).text
    assert "cost variant" in board
    assert "4.30 M 70 px 66.0 ms -" in board
    assert "4.30 M a 16 px, b all 61.2 ms -" in board
    assert "- - - not reached 1 of 3 seeds" in board
    assert "memory" not in board.replace("Times and memory", "")
    assert "cost" not in written(made_up(THREE), tmp_path).text


def test_a_failed_cell_is_shown_with_its_error_and_without_figures(tmp_path):
    results = made_up(THREE | {"broken": {"mae": NO_SCORE}}, status="incomplete")
    results["cells"][-1] |= {
        "status": "failed",
        "error": "The loss is not finite.",
        "metrics": {},
        "copy_input": {},
    }
    results["cells"][-2] |= {"status": "missing", "folder": "", "seconds": None, "steps": 0, "metrics": {}}
    results["curves"].pop("broken")
    page = written(results, tmp_path)
    assert "The loss is not finite." in page.texts
    assert "✕ failed" in page.texts
    assert "broken has no figure." in page.text
    assert "10 of 12 finished" in page.text


def test_one_seed_has_no_intervals_and_says_so(tmp_path):
    scores = {
        "a": {"mae": scored(0.061, deviation=None, verdict="baseline", n=1)},
        "b": {
            "mae": scored(0.058, deviation=None, verdict="cannot tell", difference=-0.003, reach=None, n=1)
        },
    }
    results = made_up(scores, seeds=(7,), notes=["There is one seed."])
    page = written(results, tmp_path)
    assert "With these runs nothing can be told apart from a on mae." in page.texts
    assert "There is one seed." in page.texts
    assert "? cannot tell" in page.text
    assert "±" not in page.text.replace("mean ± deviation", "")
    assert page.all("path", class_="span") == []


def test_a_comparison_needs_neither_budget_nor_costs_nor_curves(tmp_path):
    results = made_up(THREE, kind="comparison", budget={}, curves={}, environment={}, credit="", summary="")
    page = written(results, tmp_path)
    assert "length 300 steps" in page.text
    assert {"Attribution", "Curves", "Quality over cost"}.isdisjoint(page.texts)


def test_what_differs_is_told_with_both_values(tmp_path):
    text = written(made_up(THREE), tmp_path).text
    assert "patch-16 losses. l1. weight 100 absent" in text
    assert "patch-70 the baseline" in text


def test_runs_are_linked_by_their_folder_and_its_report_where_there_is_one(tmp_path):
    (tmp_path / "cells" / "image-2").mkdir(parents=True)
    (tmp_path / "cells" / "image-2" / "report.html").touch()
    (tmp_path / "cells" / "patch-70-1").mkdir()
    (tmp_path / "a b").mkdir()
    results = made_up(THREE)
    results["cells"][0]["folder"] = str(tmp_path / "a b")
    elements = written(results, tmp_path).elements
    runs = [a["href"] for _, a in elements[elements.index(("table", {"class": "runs"})) :] if "href" in a]
    assert runs[0].startswith("file:///")
    assert runs[0].endswith("/a%20b/")
    assert runs[1:] == ["cells/patch-70-1/", "cells/image-2/report.html"]


def test_a_run_whose_folder_is_gone_is_named_without_a_link(tmp_path):
    page = written(made_up(THREE), tmp_path)
    assert page.all("a") == []
    assert "cells/patch-70-1" in page.texts


def test_each_seed_is_drawn_beside_its_pair_and_its_dots_lead_to_both_reports(tmp_path):
    results = made_up(THREE)
    for cell in results["cells"]:
        (tmp_path / cell["folder"]).mkdir(parents=True)
        (tmp_path / cell["folder"] / "report.html").touch()
        cell["metrics"] = {"mae": cell["metrics"]["mae"] + 0.001 * cell["seed"]}
    page = written(results, tmp_path)
    assert len(page.all("g", class_="joined")) == 6
    assert page.texts.count("seed 2: 0.06000, baseline 0.06300, -0.003000") == 2  # in the bar too
    for name, count in (("patch-70", 3), ("patch-16", 2), ("image", 2)):  # the last of them in the runs
        assert len(page.all("a", href=f"cells/{name}-1/report.html")) == count
    assert len(page.all("circle", class_="seed")) == 6


def test_a_seed_that_the_baseline_lacks_has_no_pair(tmp_path):
    results = made_up(THREE)
    results["cells"][1] |= {"status": "missing", "metrics": {}}
    page = written(results, tmp_path)
    assert len(page.all("g", class_="joined")) == 4
    assert not any(text.startswith("seed 1:") for text in page.texts)


def test_it_says_how_verdicts_were_made_and_how_many_seeds_others_need(tmp_path):
    noise = scored(0.0611, difference=0.0001) | {"corrected": 0.4, "seeds_needed": 17}
    noise["difference"] |= {"percent": 0.16, "deviation": 0.001, "p": 0.2}
    better = scored(0.058, verdict="better", difference=-0.003) | {"corrected": 0.01}
    scores = {"a": {"mae": scored(0.061, verdict="baseline")}, "b": {"mae": noise}, "c": {"mae": better}}
    text = written(made_up(scores), tmp_path).text
    assert "+0.0001 (+0.2 %) [-0.0019, +0.0021] ≈ within noise about 17 seeds needed" in text
    assert "95 % interval over seeds, each by itself" in text
    assert "Verdicts are made at 5 % after Holm's correction over the 2 comparisons of each figure." in text


def test_an_unfinished_benchmark_says_so_and_gives_the_command_that_goes_on(tmp_path):
    results = made_up(THREE, status="incomplete", go_on=f"i2i bench a.toml --metric '{NASTY}'")
    results["cells"][-1] |= {"status": "missing", "metrics": {}, "copy_input": {}}
    page = written(results, tmp_path)
    said = "Unfinished: 8 of 9 cells have ended. patch-16 beats patch-70 on mae; image is worse."
    assert said in page.texts
    assert results["go_on"] in page.texts
    assert page.all("script") == []


def test_twenty_variants_of_ten_seeds_have_looks_of_their_own(tmp_path):
    names = ["base", *(f"variant number {i} with a rather long name" for i in range(1, 20))]
    metrics = ("mae", "psnr", "kid")
    scores = {
        name: {
            m: scored(
                0.06 + 0.001 * i, verdict="within noise" if i else "baseline", difference=0.001 * i, n=10
            )
            for m in metrics
        }
        for i, name in enumerate(names)
    }
    costs = {
        name: costing(
            generator_parameters=10**6,
            discriminator_parameters=10**5 * (i % 7 + 1),
            step_seconds=0.05 + 0.001 * i,
        )
        for i, name in enumerate(names)
    }
    page = written(made_up(scores, metrics=metrics, seeds=range(10), costs=costs), tmp_path)
    found = looks(names, "base").values()
    assert len({(look.colour, look.dash) for look in found}) == len({look.number for look in found}) == 20
    assert {look.marker for look in found} == set(range(MARKERS + 1))
    assert len(page.all("input", type="checkbox")) == 20
    assert len([a for _, a in page.elements if a.get("class", "").startswith("series")]) == 20 * len(metrics)
    for svg in re.findall(
        r'<svg viewBox.*?role="img".*?\n  </svg>', (tmp_path / "report.html").read_text(), re.S
    ):
        assert not re.search(r'="[^"]*\b(nan|inf|None)\b', svg)
        ElementTree.fromstring(svg)


def test_one_legend_names_the_looks_of_points_and_curves(tmp_path):
    costs = {name: costing(step_seconds=0.06 + 0.001 * i) for i, name in enumerate(THREE)}
    for changes in ({"costs": costs}, {}, {"costs": costs, "curves": {}}):
        page = written(made_up(THREE, **changes), tmp_path)
        drawn = [a["class"] for _, a in page.elements if re.search(r"\bseries\b", a.get("class", ""))]
        numbers = {re.search(r"\bs(\d)", names)[1] for names in drawn}
        assert {a["id"].removeprefix("show-") for a in page.all("input")} == numbers == {"0", "1", "2"}
        assert len(page.all("input")) == 3
        assert len([names for names in drawn if "point" in names]) == (3 if "costs" in changes else 0)


def test_a_metric_without_a_better_end_says_less_and_more(tmp_path):
    scores = {
        "a": {"kid": scored(0.04, verdict="baseline")},
        "b": {"kid": scored(0.05, verdict="differs", difference=0.01)},
    }
    text = written(made_up(scores, metrics=("kid",)), tmp_path).text
    assert "← less more →" in text
    assert "b differs from a on kid." in text
    assert "≠ differs" in text


# --- pictures ---------------------------------------------------------------------------------------


def pictured(folder, *, missing=()):
    """Results with two held-out images."""
    (folder / "pictures").mkdir(exist_ok=True)

    def made(name, colour):
        if name in missing:
            return None
        Image.new("RGB", (8, 6), colour).save(folder / "pictures" / f"{name}.png")
        return f"pictures/{name}.png"

    images = [
        {"id": f"cat-{i}", "source": made(f"in{i}", "white"), "target": made(f"out{i}", "black")}
        for i in (0, 1)
    ]
    outputs = {
        name: [made(f"{name}{i}", colour) for i in (0, 1)]
        for name, colour in (("patch-70", "red"), ("patch-16", "lime"), ("image", "blue"))
    }
    return made_up(THREE, pictures={"images": images, "outputs": outputs, "seed": 4})


def test_pictures_have_the_input_first_the_target_last_and_variants_as_on_the_leaderboard(tmp_path):
    page = written(pictured(tmp_path), tmp_path)
    assert [a["alt"] for a in page.all("img")] == [
        f"{row}: cat-{i}" for row in ("input", "patch-16", "patch-70", "image", "target") for i in (0, 1)
    ]
    assert "answered by the models of seed 4" in page.text


def test_each_picture_opens_in_place_and_leads_to_its_neighbours(tmp_path):
    page = written(pictured(tmp_path, missing=("patch-700",)), tmp_path)
    assert page.texts.count("none") == 1
    links = {}
    for tag, attrs in page.elements:
        if tag == "figure" and "id" in attrs:
            at = attrs["id"]
        if tag == "a" and attrs.get("aria-label", "").startswith("the "):
            links[at, attrs["aria-label"]] = attrs["href"]
    assert links["picture-1-0", "the row below"] == "#picture-3-0"
    assert links["picture-1-1", "the row below"] == "#picture-2-1"
    assert links["picture-0-0", "the next image"] == "#picture-0-1"
    assert ("picture-2-1", "the image before") not in links
    assert ("picture-4-1", "the row below") not in links


def test_a_picture_whose_file_is_gone_leaves_a_gap(tmp_path):
    results = pictured(tmp_path)
    (tmp_path / "pictures" / "image1.png").unlink()
    assert written(results, tmp_path).texts.count("none") == 1
