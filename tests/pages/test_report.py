"""The page of a run: what it shows, that it is safe to open, and that it stays small."""

from __future__ import annotations

import base64
import hashlib
import io
import math
import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from itertools import pairwise

import pytest
from PIL import Image

from i2i.errors import ResourceError
from i2i.pages.report import LARGEST_PICTURE, MOST_COLUMNS, MOST_POINTS, MOST_READINGS, MOST_ROWS, Report

NASTY = "<script>alert('x')</script>\"&"
VOID = {"meta", "link", "img", "br"}


class Page(HTMLParser):
    """The elements, texts and headings of a page; fails on tags that do not nest."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.texts, self.open = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] not in (["style"], ["script"]) and data.strip():
            self.texts.append(data.strip())

    def all(self, tag, **wanted):
        wanted = {key.rstrip("_"): value for key, value in wanted.items()}
        return [a for t, a in self.elements if t == tag and wanted.items() <= a.items()]


def make(path, **changes):
    options = {
        "name": "pix2pix",
        "recipe": 'recipe = 1\nname = "pix2pix"\n',
        "environment": {"device": "cpu"},
        "plugins": [{"namespace": "core", "distribution": "i2i-toolkit", "version": "0.1.0"}],
        "credits": ["Pictures by somebody."],
        "total_steps": 1000,
        "directions": {"mae": "min"},
    }
    return Report(path, **(options | changes))


def written(report, path):
    report.write()
    return Page(path.read_text(encoding="utf-8"))


def train(step, **losses):
    return {
        "kind": "train",
        "step": step,
        "epoch": step / 100,
        "seconds": step / 10,
        "images_per_second": 40.0,
        "data_wait": 0.0,
        "losses": losses or {"l1": 1 / step},
    }


def val(step, mae, copied=None):
    record = {"kind": "val", "step": step, "epoch": step / 100, "seconds": step / 10, "metrics": {"mae": mae}}
    return record | ({} if copied is None else {"copy_input": {"mae": copied}})


def strip(folder, name, colours=("red", "lime", "blue"), size=(8, 6)):
    image = Image.new("RGB", (3 * size[0], size[1]))
    for index, colour in enumerate(colours):
        image.paste(colour, (index * size[0], 0, (index + 1) * size[0], size[1]))
    image.save(folder / f"{name}.png")
    return folder / f"{name}.png"


def hash_of(script):
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"


def decoded(address):
    kind, data = re.fullmatch(r"data:image/(png|jpeg);base64,(.+)", address).groups()
    image = Image.open(io.BytesIO(base64.b64decode(data)))
    assert image.format.lower() == kind
    return image


# --- the page ---------------------------------------------------------------------------------------


def test_a_page_without_any_record_says_what_will_come(tmp_path):
    page = written(make(tmp_path / "report.html"), tmp_path / "report.html")
    assert "The first pictures come with the first validation." in page.texts
    assert "running" in page.texts
    assert page.all("svg") == page.all("img") == []


def test_the_page_is_one_file_that_asks_for_nothing(tmp_path):
    report = make(tmp_path / "report.html")
    report.add(train(1))
    report.add(train(2))
    report.add_strips(2, [strip(tmp_path, "a")])
    page = written(report, tmp_path / "report.html")
    assert {a["src"].split(":")[0] for a in page.all("img")} == {"data"}
    assert page.all("iframe") == page.all("a") == []
    assert [a["href"] for a in page.all("link")] == ["data:,"]
    (policy,) = page.all("meta", **{"http-equiv": "Content-Security-Policy"})
    assert policy["content"].startswith("default-src 'none'")
    assert page.all("script") == [{}]  # in the page, and the only one that its policy lets run
    text = (tmp_path / "report.html").read_text()
    script = re.search(r"<script>(.*)</script>", text, re.S).group(1)
    assert f"script-src '{hash_of(script)}'" in policy["content"]
    assert "url(" not in text
    assert "@import" not in text
    assert "http:" not in text
    assert "https:" not in text


def test_everything_from_outside_is_escaped(tmp_path):
    report = make(
        tmp_path / "report.html",
        name=NASTY,
        recipe=NASTY,
        environment={NASTY: NASTY},
        plugins=[{"namespace": NASTY, "distribution": NASTY, "version": NASTY}],
        credits=[NASTY],
        directions={NASTY: "min"},
        command=NASTY,
        started=NASTY,
    )
    for step in (1, 2):
        report.add(train(step, **{NASTY: 1.0}))
        report.add(val(step, 0.5) | {"metrics": {NASTY: 1.0 * step}, "copy_input": {NASTY: 1.0}})
    file = strip(tmp_path, "a")
    file = file.rename(tmp_path / "<script>alert('x')<&\">.png")
    report.add_strips(2, [file])
    report.set_status(NASTY, {"error": NASTY, NASTY: NASTY})
    report.show_worst(2, NASTY, [(file, NASTY, 1.0, 1.0)])
    report.suggest([(NASTY, NASTY)])
    page = written(report, tmp_path / "report.html")
    assert page.all("script") == [{}]
    assert page.texts.count(NASTY) >= 16
    assert (tmp_path / "report.html").read_text().count("<script") == 1


def test_status_error_and_facts_are_shown(tmp_path):
    report = make(tmp_path / "report.html")
    report.add(train(30))
    report.set_status("failed", {"error": "The loss is not finite.", "peak memory": "900 MB"})
    page = written(report, tmp_path / "report.html")
    assert page.all("span", **{"data-status": "failed"})
    assert page.all("p", role="alert")
    assert {"The loss is not finite.", "peak memory", "900 MB", "Step 30 of 1,000, after 0:03."} <= set(
        page.texts
    )
    assert "error" not in page.texts


def test_a_metric_stands_beside_its_best_and_copying_the_input(tmp_path):
    report = make(tmp_path / "report.html")
    for step, mae in ((100, 0.0521), (200, 0.0433), (300, 0.0448)):
        report.add(val(step, mae, copied=0.0604))
    page = written(report, tmp_path / "report.html")
    text = " ".join(page.texts)
    assert "mae ↓ lower is better 0.04480 best 0.04330 at step 200 beats copying (0.06040)" in text
    assert "It beats copying the input on mae ." in text
    assert page.all("span", **{"class": "against", "data-against": "beats copying"})


def test_what_is_worse_than_copying_the_input_is_said_so_and_marked(tmp_path):
    report = make(tmp_path / "report.html", directions={"mae": "min", "psnr": "max"})
    found = {"metrics": {"mae": 0.0704, "psnr": 15.0}, "copy_input": {"mae": 0.0604, "psnr": 15.0}}
    report.add(val(100, 0.0704) | found)
    page = written(report, tmp_path / "report.html")
    text = " ".join(page.texts)
    assert "worse than copying (0.06040)" in text
    assert "is as good as copying the input on psnr ; is worse than copying the input on mae ." in text
    marks = [a["data-against"] for a in page.all("span", class_="against")]
    assert set(marks) == {"worse than copying", "as good as copying"}


def test_without_a_direction_or_copying_nothing_is_claimed(tmp_path):
    report = make(tmp_path / "report.html", directions=None)
    report.add(val(100, 0.0521))
    text = " ".join(written(report, tmp_path / "report.html").texts)
    assert "mae 0.05210 Held-out images" in text


def test_headings_come_in_order_and_tables_have_headers(tmp_path):
    report = make(tmp_path / "report.html")
    report.add(train(1))
    report.add(train(2))
    report.add_strips(2, [strip(tmp_path, "a")])
    page = written(report, tmp_path / "report.html")
    levels = [int(tag[1]) for tag, _ in page.elements if tag in ("h1", "h2", "h3")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert len(page.all("table")) == 2
    assert all(a["scope"] in ("col", "row") for a in page.all("th"))
    ids = [a["id"] for _, a in page.elements if "id" in a]
    assert len(ids) == len(set(ids))


def test_the_recipe_is_there_to_the_letter(tmp_path):
    recipe = '[data]\nuse = "a<b>"\n\n[train]\nsteps = 10\n'
    make(tmp_path / "report.html", recipe=recipe).write()
    text = (tmp_path / "report.html").read_text()
    assert "[data]\nuse = &#34;a&lt;b&gt;&#34;\n\n[train]\nsteps = 10\n</pre>" in text
    assert Page(text).all("details") == [{}]  # folded


def test_the_page_says_when_it_began_and_ended_by_what_command_and_what_to_type_next(tmp_path):
    report = make(tmp_path / "report.html", command="i2i run pix2pix", started="2026-01-31T09:30:00+0100")
    report.add(train(40))
    report.reach(45, 6.0)
    report.suggest([("go on to the end", "i2i run r/resolved.toml --out r")])
    report.set_status("interrupted", {}, ended="2026-01-31T09:31:00+0100")
    page = written(report, tmp_path / "report.html")
    assert "Step 45 of 1,000, after 0:06." in page.texts
    text = " ".join(page.texts)
    assert "started 2026-01-31 09:30:00+0100 ended 2026-01-31 09:31:00+0100" in text
    assert "made by i2i run pix2pix go on to the end i2i run r/resolved.toml --out r" in text
    assert len(page.all("code", class_="command")) == 2


def test_a_run_from_python_shows_no_command(tmp_path):
    page = written(make(tmp_path / "report.html"), tmp_path / "report.html")
    assert "made by" not in page.texts
    assert page.all("code") == []


def test_no_attribution_means_no_heading_for_it(tmp_path):
    page = written(make(tmp_path / "report.html", credits=[]), tmp_path / "report.html")
    assert "Attribution" not in page.texts


def test_writing_replaces_the_page_and_leaves_nothing_beside_it(tmp_path):
    path = tmp_path / "report.html"
    path.write_text("old")
    report = make(path)
    report.write()
    first = path.read_bytes()
    report.write()
    assert path.read_bytes() == first != b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]


def test_a_failed_write_is_one_sentence_and_leaves_nothing_behind(tmp_path):
    path = tmp_path / "report.html"
    report = make(path)
    report.write()
    path.unlink()
    (path / "in the way").mkdir(parents=True)
    with pytest.raises(ResourceError, match=r"report\.html cannot be written"):
        report.write()
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]


# --- pictures ---------------------------------------------------------------------------------------


def test_a_strip_is_cut_into_input_output_and_target(tmp_path):
    report = make(tmp_path / "report.html")
    report.add_strips(100, [strip(tmp_path, "cat")])
    page = written(report, tmp_path / "report.html")
    pictures = {a["alt"]: decoded(a["src"]) for a in page.all("img")}
    assert list(pictures) == ["Input of cat", "Output for cat at step 100", "Target of cat"]
    assert [image.getpixel((0, 0)) for image in pictures.values()] == [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    assert {image.size for image in pictures.values()} == {(8, 6)}
    assert all(a["class"] == "small" and a["width"] == "8" and a["height"] == "6" for a in page.all("img"))


def test_input_and_target_are_embedded_once_whatever_the_number_of_steps(tmp_path):
    report = make(tmp_path / "report.html")
    for step, colour in ((100, "lime"), (200, "yellow"), (300, "white")):
        report.add_strips(step, [strip(tmp_path, "cat", ("red", colour, "blue"))])
    page = written(report, tmp_path / "report.html")
    assert [a["alt"] for a in page.all("img")] == [
        "Input of cat",
        "Output for cat at step 100",
        "Output for cat at step 200",
        "Output for cat at step 300",
        "Target of cat",
    ]
    assert decoded(page.all("img")[3]["src"]).getpixel((0, 0)) == (255, 255, 255)


def test_a_picture_that_is_missing_at_one_step_leaves_a_gap(tmp_path):
    report = make(tmp_path / "report.html")
    report.add_strips(100, [strip(tmp_path, "a")])
    report.add_strips(200, [strip(tmp_path, "a"), strip(tmp_path, "b")])
    page = written(report, tmp_path / "report.html")
    assert page.texts.count("none") == 1
    assert len(page.all("img")) == 4 + 3


def test_large_pictures_are_shown_smaller_and_flat_ones_stay_exact(tmp_path):
    report = make(tmp_path / "report.html")
    report.add_strips(1, [strip(tmp_path, "flat", size=(200, 150)), strip(tmp_path, "big", size=(1200, 600))])
    noise = Image.effect_noise((600, 200), 60).convert("RGB")
    noise.save(tmp_path / "photo.png")
    report.add_strips(2, [tmp_path / "photo.png"])
    page = written(report, tmp_path / "report.html")
    pictures = {a["alt"]: decoded(a["src"]) for a in page.all("img")}
    assert pictures["Target of big"].size == (LARGEST_PICTURE, LARGEST_PICTURE // 2)
    assert pictures["Target of flat"].format == "PNG"
    assert pictures["Target of photo"].format == "JPEG"
    assert not any("class" in a for a in page.all("img"))


def test_a_file_that_is_not_three_pictures_is_refused(tmp_path):
    Image.new("RGB", (10, 4)).save(tmp_path / "odd.png")
    with pytest.raises(ValueError, match=r"odd.png is 10 pixels wide"):
        make(tmp_path / "report.html").add_strips(1, [tmp_path / "odd.png"])


def test_rows_and_columns_stay_few_with_the_first_and_the_last_step(tmp_path):
    report = make(tmp_path / "report.html")
    strips = [strip(tmp_path, f"image-{index:02}") for index in range(MOST_ROWS + 4)]
    for step in range(100, 10_000, 100):
        report.add_strips(step, strips)
    page = written(report, tmp_path / "report.html")
    shown = [a["alt"] for a in page.all("img") if a["alt"].startswith("Output for image-00 ")]
    steps = [int(alt.rsplit(" ", 1)[1].replace(",", "")) for alt in shown]
    assert MOST_COLUMNS / 2 <= len(steps) <= MOST_COLUMNS
    assert steps[0] == 100
    assert steps[-1] == 9900
    assert steps == sorted(set(steps))
    assert len(page.all("img", alt="Input of image-07")) == 1
    assert len(page.all("img", alt="Input of image-08")) == 0


def test_the_worst_images_are_shown_with_their_figures_in_place_of_those_before(tmp_path):
    report = make(tmp_path / "report.html")
    report.show_worst(100, "mae", [(strip(tmp_path, "old"), "old", 0.5, None)])
    found = [
        (strip(tmp_path, "a"), "dark", 0.4, 0.3),
        (strip(tmp_path, "b"), "light", 0.2, 0.3),
        (strip(tmp_path, "c"), "lost", None, None),
    ]
    report.show_worst(200, "mae", found)
    page = written(report, tmp_path / "report.html")
    text = " ".join(page.texts)
    assert "Those with the worst mae at step 200, from the worst on." in text
    assert "dark mae 0.4000, worse than copying (0.3000)" in text
    assert "light mae 0.2000, beats copying (0.3000)" in text
    assert "lost mae not a number" in text
    assert "old" not in page.texts
    assert [a["alt"] for a in page.all("img")[:3]] == ["Input of dark", "Output for dark", "Target of dark"]


# --- curves -----------------------------------------------------------------------------------------


def test_each_loss_has_its_own_chart_and_metrics_show_copying_the_input(tmp_path):
    report = make(tmp_path / "report.html")
    for step in (1, 10, 20):
        report.add(train(step, adversarial=0.5, l1=10.0 / step))
        report.add(val(step, 0.05 / step, copied=0.06))
    page = written(report, tmp_path / "report.html")
    labels = [a["aria-label"].split(":")[0] for a in page.all("svg")]
    assert labels == ["adversarial", "l1", "mae"]
    assert len(page.all("line", class_="baseline")) == 1
    assert len(page.all("circle", class_="best")) == 1
    assert page.all("svg")[2]["aria-label"].endswith("Copying the input scores 0.06000.")
    assert "step 20: 0.5000" in page.texts


def test_every_chart_is_well_formed_and_stays_inside_its_box(tmp_path):
    report = make(tmp_path / "report.html", directions={"mae": "min"})
    for step in range(1, 400, 3):
        report.add(train(step, falling=math.exp(-step / 50), level=2.0, zero=0.0, below=-1e6 + step))
        report.add(val(step, 1 / step, copied=0.5))
    report.write()
    svgs = re.findall(r"<svg.*?</svg>", (tmp_path / "report.html").read_text(), re.S)
    assert len(svgs) == 5
    for svg in svgs:
        root = ElementTree.fromstring(svg)
        _, _, width, height = map(float, root.get("viewBox").split())
        for line in root.iter("polyline"):
            points = [tuple(map(float, point.split(","))) for point in line.get("points").split()]
            assert len(points) > 100
            assert all(0 <= x <= width and 0 <= y <= height for x, y in points)
        assert 2 <= len([line for line in root.iter("line") if line.get("class") == "grid"]) <= 6
        assert all(float(rect.get("width")) > 0 for rect in root.iter("rect"))


def test_values_that_are_not_finite_are_left_out_of_a_curve(tmp_path):
    report = make(tmp_path / "report.html")
    for step, value in ((1, 0.5), (2, math.nan), (3, math.inf), (4, 0.25)):
        report.add(train(step, l1=value))
        report.add(val(step, value, copied=math.inf))
    report.write()
    text = (tmp_path / "report.html").read_text()
    assert not re.search(r"""(points|x|y|cx|cy|y1)="[^"]*(nan|inf)""", text)
    assert 'aria-label="l1: 0.5000 at step 1, 0.2500 at step 4' in text


def test_the_page_stays_small_for_a_hundred_thousand_records(tmp_path):
    path = tmp_path / "report.html"
    report = make(path, total_steps=100_000)
    sizes = {}
    for step in range(1, 100_001):
        report.add(train(step, l1=1 / step + step % 7, adversarial=0.5 + step % 11))
        if step % 100 == 0:
            report.add(val(step, 1 / step, copied=0.06))
        if step in (50_000, 100_000):
            report.write()
            sizes[step] = path.stat().st_size
    page = Page(path.read_text())
    for line in page.all("polyline"):
        points = line["points"].split()
        assert MOST_POINTS / 2 <= len(points) <= MOST_POINTS
        assert points[-1].startswith("390")
    assert len(page.all("g", class_="reading")) <= 3 * (MOST_READINGS + 1)
    assert max(sizes.values()) < 200_000
    assert "Step 100,000 of 100,000, after 2:46:40." in " ".join(page.texts)
