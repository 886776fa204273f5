"""`i2i run`: what it says first, where its words go, and what it says to programs."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import datetime

import pytest

from i2i import __version__

STAMPED = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d)  (.*)")


@pytest.fixture
def short(gan, tmp_path, monkeypatch) -> tuple[str, ...]:
    monkeypatch.chdir(tmp_path)
    return "run", str(gan), "--steps", "2", "--out", "out"


def test_the_first_line_comes_before_torch_is_imported(gan):
    gan.write_text(gan.read_text().replace("seed = 3", 'summary = "squares, and their negatives"\nseed = 3'))
    program = f"""if True:
        import sys
        class Refused:
            def find_spec(self, name, *_):
                assert name != "torch", "now"
        sys.meta_path.insert(0, Refused())
        from i2i.cli import main
        main(["run", {str(gan)!r}])
    """
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    first = ended.stderr.splitlines()[0]
    assert STAMPED.fullmatch(first)[2] == f"i2i {__version__} - toy: squares, and their negatives"
    assert "now" in ended.stderr


def test_off_a_terminal_what_goes_by_is_dated_on_stderr_and_the_last_lines_are_on_stdout(i2i, short):
    ended = i2i(*short)
    assert ended.code == 0, ended.err
    lines = [STAMPED.fullmatch(line) for line in ended.err.splitlines()]
    assert all(lines), ended.err
    assert all(datetime.fromisoformat(line[1]).tzinfo for line in lines)
    assert any(line[2].startswith("step 2 of 2") for line in lines)
    first, verdict, *files = ended.out.splitlines()
    assert first.startswith("done at step 2 of 2")
    assert re.fullmatch(
        r"validation at step 2: (beats|as good as|worse than) copying the input on mae", verdict
    )
    assert files == ["report  out/report.html", "model   out/model.safetensors"]


def test_with_json_a_run_is_one_object(i2i, short):
    ended = i2i(*short, "--json")
    found = json.loads(ended.out)
    assert (found["status"], found["folder"], found["model"]) == ("done", "out", "out/model.safetensors")
    assert found["summary"]["steps"] == 2
    assert "done at step 2 of 2" in ended.err


def test_quiet_leaves_the_last_lines(i2i, short):
    ended = i2i(*short, "--quiet")
    assert (ended.code, ended.err) == (0, "")
    assert [line.split()[0] for line in ended.out.splitlines()] == ["done", "validation", "report", "model"]


def test_quiet_and_json_leave_the_object(i2i, short):
    ended = i2i(*short, "--quiet", "--json")
    assert json.loads(ended.out)["status"] == "done"
    assert "step 2 of 2" not in ended.err.replace("done at step 2 of 2", "")


def test_quiet_keeps_errors(i2i, short):
    ended = i2i(*short, "--quiet", "--set", "generator.use=nothing")
    assert ended.code == 2
    assert "no generator 'nothing'" in ended.err


def test_a_dry_run_as_json_has_the_networks(i2i, gan):
    ended = i2i("run", str(gan), "--dry-run", "--json")
    found = json.loads(ended.out)
    assert found["status"] == "tried"
    assert [network["ref"] for network in found["networks"]] == ["toys/tiny", "toys/tiny"]


def test_what_plug_ins_log_while_data_are_opened_is_shown(i2i, gan, toys, tmp_path):
    data = toys / "i2i_toys" / "data.py"
    warn = '        import logging; logging.getLogger("i2i").warning("squares cannot be kept")\n'
    data.write_text(
        data.read_text().replace("        side = ImageSpec", f"{warn}        side = ImageSpec", 1)
    )
    ended = i2i("run", str(gan), "--steps", "1", "--out", str(tmp_path / "out"))
    assert ended.code == 0, ended.err
    assert STAMPED.search("\n".join(line for line in ended.err.splitlines() if "squares cannot" in line))
