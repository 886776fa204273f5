"""What is shown of a run on a terminal, and what is printed anywhere else."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from i2i.cli.lines import Lines
from i2i.cli.live import LiveView, terminal
from i2i.engine.observer import RunStart, Silent

FOLDER = Path("runs/pix2pix-0001")
LONG = "/far/away/" + "a-rather-long-folder-name/" * 6 + "report.html"
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Clock:
    """A clock that stands still until it is told to go on."""

    def __init__(self):
        self.time = 100.0

    def __call__(self):
        return self.time


class Screen:
    """The lines that a terminal shows after the control codes that rich's live view uses."""

    def __init__(self, text):
        self.lines, self.row, self.column = [""], 0, 0
        for code, char in re.findall(r"(\x1b\[[0-9;?]*[A-Za-z])|(.)", text, re.S):
            self.control(code) if code else self.put(char)

    def control(self, code):
        count = int(re.search(r"\d+", code).group()) if re.search(r"\d", code) else 1
        if code.endswith("A"):
            self.row = max(0, self.row - count)
        elif code == "\x1b[2K":
            self.lines[self.row] = ""
        else:
            assert code.endswith("m") or code in ("\x1b[?25l", "\x1b[?25h")

    def put(self, char):
        if char == "\r":
            self.column = 0
        elif char == "\n":
            self.row, self.column = self.row + 1, 0
            self.lines += [""] * (self.row + 1 - len(self.lines))
        else:
            line = self.lines[self.row].ljust(self.column)
            self.lines[self.row] = line[: self.column] + char + line[self.column + 1 :]
            self.column += 1


def console(width=80, height=24, **options):
    options = {"force_terminal": True, "_environ": {"TERM": "xterm-256color"}} | options
    return Console(file=io.StringIO(), width=width, height=height, **options)


def printed(console):
    return console.file.getvalue()


def start(observer, **changes):
    options = {
        "name": "pix2pix",
        "folder": FOLDER,
        "first_step": 0,
        "total_steps": 1000,
        "facts": {"data": "toy, 12 training pairs", "device": "cpu"},
        "directions": {"mae": "min", "psnr": "max"},
    }
    observer.start(RunStart(**(options | changes)))
    return observer


def train(step, **losses):
    return {
        "kind": "train",
        "step": step,
        "epoch": step / 100,
        "seconds": step / 10,
        "images_per_second": 64.25,
        "data_wait": 0.031,
        "losses": losses or {"adversarial": 0.75, "l1": 0.25, "discriminators.patch": 0.125},
    }


def val(step, mae, **more):
    return {"kind": "val", "step": step, "epoch": 1.0, "seconds": 9.0, "metrics": {"mae": mae} | more}


# --- plain lines ------------------------------------------------------------------------------------


def plain():
    clock = Clock()
    return Lines(console(force_terminal=False), now=clock), clock


def lines_of(observer):
    return printed(observer._console).splitlines()


def test_off_a_terminal_a_run_begins_with_its_facts():
    observer, _ = plain()
    start(observer)
    assert lines_of(observer) == [
        "pix2pix: 1,000 steps",
        "  folder  runs/pix2pix-0001",
        "  data    toy, 12 training pairs",
        "  device  cpu",
    ]


def test_train_lines_come_at_most_every_ten_seconds_with_the_first_and_the_last():
    observer, clock = plain()
    start(observer, facts={})
    for step in range(10, 1001, 10):
        clock.time += 1
        observer.progress(step, images_per_second=64.0, data_wait=0.0, epoch=1.0)
        observer.train(train(step))
    observer.end(status="done", lines=[])
    steps = [line.split()[1] for line in lines_of(observer) if line.startswith("step ")]
    assert steps == [*map(str, range(10, 1000, 100)), "1,000"]
    assert lines_of(observer)[2] == (
        "step 10 of 1,000  epoch 0.1  64.2 images/s  data wait 3%  "
        "adversarial 0.7500  l1 0.2500  discriminators.patch 0.1250"
    )


def test_the_last_train_line_of_an_interrupted_run_is_printed_at_its_end():
    observer, clock = plain()
    start(observer, facts={})
    observer.train(train(10))
    clock.time += 1
    observer.train(train(20))
    observer.progress(25, images_per_second=64.0, data_wait=0.0, epoch=1.0)
    observer.end(status="interrupted", lines=[("model", "m.safetensors")])
    assert [line.split("  ")[0] for line in lines_of(observer)[2:]] == [
        "step 10 of 1,000",
        "step 20 of 1,000",
        "interrupted at step 25 of 1,000 after 0:01",
        "model",
    ]


def test_each_validation_is_a_line_beside_the_best_and_copying_the_input():
    observer, _ = plain()
    start(observer, facts={})
    observer.validation(val(100, 0.05, psnr=20.0) | {"copy_input": {"mae": 0.0604}})
    observer.validation(val(200, 0.06, psnr=21.0, other=3.5) | {"copy_input": {}})
    assert lines_of(observer)[2:] == [
        "validation at step 100  mae 0.05000, beats copying (0.06040), best so far  psnr 20, best so far",
        "validation at step 200  mae 0.06000, best 0.05000 at step 100  psnr 21, best so far  other 3.500",
    ]


def test_the_last_lines_say_how_the_last_validation_stands_to_copying_the_input():
    observer, _ = plain()
    start(observer, facts={})
    copied = {"mae": 0.06, "psnr": 21.0, "other": 3.0}
    observer.validation(val(100, 0.05, psnr=20.0, other=2.0) | {"copy_input": copied})
    observer.validation(val(200, 0.07, psnr=22.0, other=2.0) | {"copy_input": copied})
    observer.end(status="interrupted", lines=[("report", "r.html")])
    assert lines_of(observer)[-2:] == [
        "validation at step 200: beats copying the input on psnr; worse than copying the input on mae",
        "report  r.html",
    ]


def test_notes_are_printed_as_they_are_also_before_the_start():
    observer, _ = plain()
    observer.note("The data set is being made: [bold]12 images[/bold] :smile:.")
    start(observer)
    assert lines_of(observer)[0] == "The data set is being made: [bold]12 images[/bold] :smile:."


def test_a_resumed_run_says_where_it_goes_on():
    observer, _ = plain()
    start(observer, first_step=400)
    assert lines_of(observer)[0] == "pix2pix: resumed after step 400 of 1,000"


def test_plain_lines_hold_no_control_codes_even_from_names():
    observer, _ = plain()
    start(observer, name="a\x1b[31mb", facts={"data": "\x07bell\rback"})
    observer.note("tab\tand \x9b31m, and a second\nline")
    observer.end(status="failed", lines=[("report", "/tmp/\x1b]0;title\x07")])
    assert not [char for char in printed(observer._console) if not (char.isprintable() or char == "\n")]
    assert lines_of(observer)[0] == "a\\x1b[31mb: 1,000 steps"


def test_the_last_lines_are_whole_on_a_narrow_terminal():
    for force in (True, False):
        target = console(width=20, height=10, force_terminal=force)
        observer = start(terminal(target))
        observer.end(status="done", lines=[("report", LONG), ("model", LONG)])
        text = CONTROL.sub("", printed(target))
        assert text.endswith(f"\nreport  {LONG}\nmodel   {LONG}\n")


def test_a_run_that_ends_before_it_starts_only_names_its_files():
    for force in (True, False):
        target = console(force_terminal=force)
        terminal(target).end(status="failed", lines=[("report", LONG)])
        assert printed(target) == f"report  {LONG}\n"


# --- the live view ----------------------------------------------------------------------------------


def shown(width=80, height=24, *, losses=3, **options):
    """The live view of a run at step 500: its last frame, as lines."""
    clock = Clock()
    target = console(width, height, **options)
    observer = start(LiveView(target, now=clock), facts={})
    before = len(printed(target))
    for step in range(10, 501, 10):
        clock.time += 1
        values = {f"loss-{i}": 1.0 / step for i in range(losses)} if losses != 3 else {}
        observer.train(train(step, **values))
    observer.validation(val(400, 0.05, psnr=20.0) | {"copy_input": {"mae": 0.0604, "psnr": 17.31}})
    observer.validation(val(500, 0.06, psnr=21.0) | {"copy_input": {"mae": 0.0604, "psnr": 17.31}})
    screen = Screen(printed(target)[before:])
    observer.end(status="done", lines=[])
    return [line.rstrip() for line in screen.lines]


def test_the_live_view_shows_pace_losses_and_validation():
    lines = shown()
    text = "\n".join(lines)
    assert lines[1].endswith(" 50%")
    assert "step 500 of 1,000 · epoch 5.0 · 64.2 images/s · data wait 3% · 0:50 left" in lines
    assert re.search(r"^loss +now +smoothed +trend$", text, re.M)
    assert re.search(r"^discriminators.patch +0.1250 +0.1250 +▁{12}$", text, re.M)
    assert re.search(r"^validation at 500 +last +best +against copying the input$", text, re.M)
    assert re.search(r"^mae ↓ +0.06000 +0.05000 at 400 +beats copying \(0.06040\)$", text, re.M)
    assert re.search(r"^psnr ↑ +21 +21 at 500 +beats copying \(17.31\)$", text, re.M)


@pytest.mark.parametrize(("width", "height"), [(40, 20), (60, 24), (72, 24), (80, 24), (139, 30), (140, 30)])
@pytest.mark.parametrize("losses", [3, 40])
def test_the_live_view_fits_the_terminal(width, height, losses):
    lines = shown(width, height, losses=losses)
    assert len(lines) <= height
    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    assert "psnr ↑" in text
    assert re.search(r"beats copying$" if width < 60 else r"beats copying \(17\.31\)$", text, re.M)
    assert ("and " in text) == (losses == 40)


def test_a_narrow_terminal_keeps_the_values_the_trend_and_the_words():
    text = "\n".join(shown(40, 20))
    assert re.search(r"^l1 +0.2500 +▁{12}$", text, re.M)
    assert re.search(r"^discrimin\S*… +0.1250 +▁{12}$", text, re.M)
    assert re.search(r"^mae ↓ +0.06000  beats copying$", text, re.M)
    assert re.search(r"^mae ↓ +0.06000 +0.05000  beats copying$", "\n".join(shown(50, 20)), re.M)


GREEN, YELLOW, RED = "\x1b[32m", "\x1b[33m", "\x1b[31m"


@pytest.mark.parametrize(
    ("mae", "words", "colour"),
    [(0.05, "beats", GREEN), (0.060401, "as good as", YELLOW), (0.07, "worse than", RED)],
)
@pytest.mark.parametrize("width", [40, 80])
def test_only_what_beats_copying_the_input_is_green(mae, words, colour, width):
    target = console(width)
    observer = start(LiveView(target), facts={}, total_steps=10)
    observer.train(train(10))
    observer.validation(val(10, mae) | {"copy_input": {"mae": 0.0604}})
    observer.end(status="done", lines=[])
    text = printed(target)
    assert f"{colour}{words} copying" in text
    others = {GREEN, YELLOW, RED} - {colour}
    assert not any(other in text or other.replace("[", "[1;") in text for other in others)


def test_without_a_figure_for_copying_there_is_no_column_for_it():
    target = console()
    observer = start(LiveView(target), facts={})
    observer.validation(val(10, 0.5))
    observer.end(status="done", lines=[])
    assert "copying" not in printed(target)


def test_a_wide_terminal_has_losses_and_validation_side_by_side():
    assert any("smoothed" in line and "against copying the input" in line for line in shown(140, 30))


def test_an_encoding_without_blocks_gets_plain_characters():
    target = Console(
        file=io.TextIOWrapper(io.BytesIO(), encoding="ascii"),
        width=80,
        height=24,
        force_terminal=True,
        _environ={"TERM": "xterm"},
    )
    observer = start(LiveView(target))
    observer.train(train(10))
    observer.validation(val(10, 0.5))
    observer.end(status="done", lines=[])
    target.file.seek(0)
    text = target.file.read()
    assert "mae (min)" in text
    assert "trend" not in text


def test_no_color_is_respected():
    colours = re.compile(r"\x1b\[(?:\d+;)*(?:3[0-8]|4[0-8]|9\d)(?:;\d+)*m")
    for environ, coloured in (({}, True), ({"NO_COLOR": "1"}, False)):
        target = console(_environ={"TERM": "xterm-256color", **environ})
        observer = start(LiveView(target))
        observer.train(train(10))
        observer.validation(val(10, 0.5))
        observer.end(status="done", lines=[])
        assert bool(colours.search(printed(target))) == coloured


def test_frames_are_drawn_at_most_twice_a_second():
    clock = Clock()
    target = console()
    observer = start(LiveView(target, now=clock))
    sizes = set()
    for step in range(1, 50):
        clock.time += 0.001
        observer.progress(step, images_per_second=1.0, data_wait=0.0, epoch=0.0)
        observer.train(train(step))
        sizes.add(len(printed(target)))
    assert len(sizes) == 1
    clock.time += 1
    observer.progress(50, images_per_second=1.0, data_wait=0.0, epoch=0.0)
    assert len(printed(target)) > sizes.pop()
    observer.end(status="done", lines=[])


def test_the_end_restores_the_terminal_and_leaves_the_last_figures():
    target, stdout = console(), sys.stdout
    observer = start(LiveView(target))
    observer.train(train(20, l1=0.5))
    assert printed(target).count("\x1b[?25l") == 1
    observer.end(status="interrupted", lines=[("report", "r.html")])
    assert printed(target).count("\x1b[?25h") == 1
    assert sys.stdout is stdout
    lines = [line.rstrip() for line in Screen(printed(target)).lines]
    assert "step 20 of 1,000 · epoch 0.2 · 64.2 images/s · data wait 3%" in "\n".join(lines)
    assert lines[-3].startswith("interrupted at step 20 of 1,000 after 0:0")
    assert lines[-2:] == ["report  r.html", ""]


def test_notes_stay_above_the_live_view_whole_and_without_markup():
    target = console()
    observer = start(LiveView(target))
    observer.train(train(10))
    observer.note("Saved [step] 10 \x1b[2J.")
    observer.train(train(20))
    observer.end(status="done", lines=[])
    lines = [line.rstrip() for line in Screen(printed(target)).lines]
    assert lines.count("Saved [step] 10 \\x1b[2J.") == 1
    assert lines.index("Saved [step] 10 \\x1b[2J.") < lines.index(
        next(line for line in lines if line.startswith("step "))
    )


def test_names_are_not_markup():
    target = console()
    observer = start(LiveView(target), facts={"[red]": "[/]"}, directions={"[b]": "min"})
    observer.train(train(10, **{"[red]loss[/red]": 1.0}))
    observer.validation(val(10, 0.5) | {"metrics": {"[b]": 0.5}})
    observer.end(status="done", lines=[])
    text = CONTROL.sub("", printed(target))
    assert "[red]loss[/red]" in text
    assert "[b] ↓" in text


def test_best_counts_from_where_a_run_was_resumed():
    target = console()
    observer = start(LiveView(target), first_step=400)
    observer.validation(val(500, 0.05))
    observer.end(status="done", lines=[])
    assert "best since 400" in CONTROL.sub("", printed(target))


# --- which one --------------------------------------------------------------------------------------


def test_a_terminal_gets_the_live_view_and_all_else_gets_lines():
    assert isinstance(terminal(console()), LiveView)
    assert isinstance(terminal(console(force_terminal=False)), Lines)
    assert isinstance(terminal(console(_environ={"TERM": "dumb"})), Lines)


def test_standard_output_is_the_default(capsys):
    observer = terminal()
    start(observer)
    observer.end(status="done", lines=[("report", LONG)])
    assert capsys.readouterr().out.endswith(f"report  {LONG}\n")


def test_a_pipe_gets_plain_lines_even_where_colour_is_forced():
    program = """if True:
        from pathlib import Path
        from i2i.cli.live import terminal
        from i2i.engine.observer import RunStart
        observer = terminal()
        observer.start(RunStart(name="x", folder=Path("."), first_step=0, total_steps=2, facts={}))
        observer.end(status="done", lines=[("report", "r.html")])
    """
    environ = os.environ | {"FORCE_COLOR": "1", "TERM": "xterm-256color", "TTY_COMPATIBLE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environ, capture_output=True, text=True, check=True
    )
    assert "\x1b" not in done.stdout
    assert done.stdout.endswith("report  r.html\n")


def test_before_the_first_step_one_line_says_what_is_done():
    observer = LiveView(console())
    observer.stage("opening the data")
    observer.note("a note")
    observer.stage("building the networks")
    assert Screen(printed(observer._console)).lines == ["a note", "building the networks …"]
    start(observer, facts={})
    assert "building" not in "\n".join(Screen(printed(observer._console)).lines)


def test_an_error_before_the_first_step_leaves_no_status():
    observer = LiveView(console())
    observer.stage("opening the data")
    observer.close()
    assert "".join(Screen(printed(observer._console)).lines).strip() == ""


@pytest.mark.parametrize(
    ("width", "told"),
    [
        (80, "stopping after this step; Ctrl-C again ends at once"),
        (40, "stopping after this step"),
        (12, "stopping af"),
    ],
)
def test_the_answer_to_ctrl_c_is_there_at_once_and_in_the_next_frame(width, told):
    observer = start(LiveView(console(width, 24), now=Clock()), facts={})
    observer.progress(1, images_per_second=1.0, data_wait=0.0, epoch=0.0)
    height = len(Screen(printed(observer._console)).lines)
    observer.stopping("this step")
    lines = Screen(printed(observer._console)).lines
    assert (len(lines), lines[-1].rstrip()) == (height, told)
    observer.progress(2, images_per_second=1.0, data_wait=0.0, epoch=0.0)  # no frame was due
    text = [line.rstrip() for line in Screen(printed(observer._console)).lines]
    assert text.count(told) == 1
    assert text[-1] != told
    observer.end(status="interrupted", lines=[])
    assert told not in "\n".join(Screen(printed(observer._console)).lines)


def test_the_frame_says_that_it_validates():
    observer = start(LiveView(console(), now=Clock()), facts={})
    observer.stage("validating")
    assert "validating …" in [line.rstrip() for line in Screen(printed(observer._console)).lines]
    observer.validation(val(10, 0.5))
    assert "validating …" not in [line.rstrip() for line in Screen(printed(observer._console)).lines]


def test_off_a_terminal_a_stage_is_a_line_where_it_takes_long():
    observer, clock = plain()
    observer.stage("opening the data")
    clock.time += 9
    observer.stage("rendering: 200 of 1,155")
    assert lines_of(observer) == []
    clock.time += 2
    observer.stage("rendering: 400 of 1,155")
    assert lines_of(observer) == ["rendering: 400 of 1,155"]


def test_off_a_terminal_the_answer_to_ctrl_c_is_a_line():
    observer, _ = plain()
    observer.stopping("this validation")
    assert lines_of(observer) == ["stopping after this validation; Ctrl-C again ends at once"]


def test_silence_prints_nothing(capfd):
    observer = start(Silent())
    observer.note("a note")
    observer.progress(1, images_per_second=1.0, data_wait=0.0, epoch=0.0)
    observer.train(train(10))
    observer.validation(val(10, 0.5))
    observer.end(status="done", lines=[("report", "r.html")])
    captured = capfd.readouterr()
    assert captured.out == captured.err == ""


def test_importing_the_module_is_cheap():
    program = "import sys, i2i.cli.live; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not {"torch", "PIL", "numpy", "kornia", "rich", "jinja2"} & set(done.stdout.split())
