"""Whatever fails outside of a step, that step is saved, and what it still asks for is done later, once."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from i2i import load_recipe, run
from i2i.engine.observer import Silent
from i2i.errors import DivergedError, PluginError
from i2i.runs import checkpoint, weights

TRAPS = '''
from pathlib import Path
from threading import Lock

import torch

from i2i import hookimpl
from i2i.kinds import ImageSpec, PairSpec

i2i_api = 1
LOCK = Lock()


@hookimpl
def i2i_register(registry):
    registry.data("squares", ":Squares", "squares that may not be readable")
    registry.metric("error", ":Error", "a metric that may fail")
    registry.callback("watcher", ":Watcher", "a callback that may fail")
    registry.schedule("listener", ":Listener", "a schedule that may fail as it listens")


def pass_by(place):
    """Fail where a file says so: at the `count`-th time that `place` is passed."""
    trap = Path("trap.txt")
    with LOCK:  # held-out pairs are read in a thread of their own
        if not trap.is_file():
            return
        wanted, count = trap.read_text().split()
        if wanted == place:
            trap.write_text(f"{wanted} {int(count) - 1}")
            if int(count) <= 1:
                raise RuntimeError(f"a trap at {place}")


class Squares:
    def __init__(self, split):
        self.spec = PairSpec(ImageSpec(3, 8, 8), ImageSpec(3, 8, 8))
        self._split = split

    def __len__(self):
        return 8 if self._split == "train" else 3

    def __getitem__(self, index):
        pass_by(f"{self._split}-read")
        rng = torch.Generator().manual_seed(index + (100 if self._split == "val" else 0))
        image = torch.randint(0, 256, (3, 8, 8), generator=rng).to(torch.uint8)
        return {"source": image, "target": 255 - image, "id": f"{self._split}-{index}"}


class Error:
    directions = {"error": "min"}

    def reset(self):
        pass_by("metric-reset")
        self.seen = []

    def update(self, source, fake, real, ids):
        pass_by("metric-update")
        self.seen.append((fake - real).abs().mean())

    def compute(self):
        pass_by("metric-compute")
        return {"error": float(torch.stack(self.seen).mean())}


class Watcher:
    def __init__(self):
        self.steps, self.figures = [], []

    def run_start(self, run):
        pass_by("run-start")

    def step_end(self, run, logs):
        pass_by("step-end")
        self.steps.append(run.step)

    def eval_end(self, run, metrics):
        pass_by("eval-end")
        self.figures.append([run.step, metrics["error"]])

    def state_dict(self):
        return {"steps": self.steps, "figures": self.figures}

    def load_state_dict(self, state):
        self.steps, self.figures = list(state["steps"]), list(state["figures"])


class Listener:
    """Half the rate after each validation."""

    def __init__(self, total_steps):
        self.factor = 1.0

    def __call__(self, step):
        return self.factor

    def observe(self, metrics):
        pass_by("observe")
        self.factor *= 0.5

    def state_dict(self):
        return {"factor": self.factor}

    def load_state_dict(self, state):
        self.factor = state["factor"]
'''
TRAPS = TRAPS.replace("def __init__(self, total_steps):", "def __init__(self, *, total_steps: int) -> None:")
TRAPS = TRAPS.replace("def __init__(self, split):", "def __init__(self, *, split: str) -> None:")

RECIPE = """
recipe = 1
name = "trapped"
extends = "shapes"
unset = ["metrics", "schedules", "callbacks"]

[data]
use = "traps/squares"
batch_size = 2
cache = "none"

[generator]
depth = 2
width = 4

[discriminators.patch]
width = 4

[schedule]
use = "traps/listener"

[train]
steps = 14
precision = "fp32"
log_every = 3
eval_every = 4
save_every = 6
save_best = "error:min"

[metrics.error]
use = "traps/error"

[callbacks.watcher]
use = "traps/watcher"
every = 2
"""

PLACES = (
    "train-read",
    "val-read",
    "metric-reset",
    "metric-update",
    "metric-compute",
    "observe",
    "run-start",
    "step-end",
    "eval-end",
)


PASSED = {"train-read": (25, 40), "val-read": (4, 12), "run-start": (1, 1)}
"""At which time a place is to fail, where that is not one of the first four: a few pairs are read before the
first step, and once more to tell in the model's file what they are like."""


@pytest.fixture
def desk(distribution, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the recipe, and the plug-in that it needs."""
    distribution("i2i-traps", "1.0", "traps", {"i2i_traps.py": TRAPS})
    folder = tmp_path / "desk"
    folder.mkdir()
    (folder / "trapped.toml").write_text(RECIPE)
    monkeypatch.chdir(folder)
    return folder


def ended(folder: Path) -> tuple[dict, list[dict]]:
    """All bits of a run's end, and its records without what depends on the clock."""
    last = checkpoint.newest(folder / "checkpoints")
    assert last is not None
    bits = {path.name: path.read_bytes() for path in last.folder.glob("*.safetensors")}
    bits["model"] = (folder / "model.safetensors").read_bytes()
    records = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    clock = ("seconds", "images_per_second", "data_wait")
    return bits, [{key: value for key, value in record.items() if key not in clock} for record in records]


@pytest.mark.parametrize("place", PLACES)
def test_an_error_at_any_place_outside_of_a_step_leaves_that_step_saved(desk, place):
    recipe = load_recipe("trapped.toml")
    run(recipe, "whole", rehearsed=True)
    moments = random.Random(place)
    for attempt in range(3):
        (desk / "trap.txt").write_text(f"{place} {moments.randint(*PASSED.get(place, (1, 4)))}")
        out = desk / f"trapped-{attempt}"
        with pytest.raises(PluginError, match="a trap at"):
            run(recipe, out, rehearsed=True)
        done = json.loads((out / "summary.json").read_text())["steps"]
        saved = checkpoint.newest(out / "checkpoints")
        assert (saved.step if saved else 0) == done
        (desk / "trap.txt").unlink()
        assert run(recipe, out).status == "done"
        assert ended(out) == ended(desk / "whole")


@pytest.mark.parametrize("place", ["step-end", "eval-end", "metric-compute"])
@pytest.mark.parametrize("first", [True, False])
def test_records_and_notes_of_a_callback_are_written_once_where_another_fails(desk, place, first):
    health = '[callbacks.health]\nuse = "health"\npatience = 9\n'
    before, watcher = RECIPE.split("[callbacks.watcher]")
    text = f"{before}{health}[callbacks.watcher]{watcher}" if first else f"{RECIPE}{health}"
    text = text.replace("log_every = 3", "log_every = 1").replace("steps = 14", "steps = 16")
    (desk / "trapped.toml").write_text(f"{text}[losses.l1]\nweight = 1e6\n")
    recipe = load_recipe("trapped.toml")
    run(recipe, "whole", rehearsed=True)
    (desk / "trap.txt").write_text(f"{place} 3")
    with pytest.raises(PluginError, match="a trap at"):
        run(recipe, "trapped", rehearsed=True)
    (desk / "trap.txt").unlink()
    assert run(recipe, "trapped").status == "done"
    (bits, records), (own_bits, own) = ended(desk / "whole"), ended(desk / "trapped")
    assert own_bits == bits
    # A validation that is made again stands after what a callback had recorded of it.
    one, other = (sorted(found, key=lambda r: (r["step"], r["kind"])) for found in (own, records))
    assert one == other
    kinds = [record["kind"] for record in records]
    assert kinds.count("health") == 16 + 4
    assert kinds.count("note") >= 1


class Leaves(Silent):
    """Someone who watches a run and goes away at a step, as the parent of a process may."""

    def __init__(self, step: int) -> None:
        self._step = step

    def progress(self, step: int, **speed: float) -> None:
        if step == self._step:
            raise BrokenPipeError("nobody listens")


@pytest.mark.parametrize("step", [4, 6, 9, 12])  # one that validates, saves, logs, and one that does all
def test_who_watches_may_go_away_at_any_step_and_nothing_of_it_is_passed_over(desk, step):
    recipe = load_recipe("trapped.toml")
    run(recipe, "whole", rehearsed=True)
    with pytest.raises(BrokenPipeError):
        run(recipe, "left", observer=Leaves(step), rehearsed=True)
    assert run(recipe, "left").status == "done"
    assert ended(desk / "left") == ended(desk / "whole")


def test_an_id_that_cannot_be_a_files_name_costs_no_step(desk):
    text = RECIPE + '\n[callbacks.samples]\nuse = "samples"\ncount = 1\n'
    (desk / "trapped.toml").write_text(text)
    run(load_recipe("trapped.toml"), "named", rehearsed=True)
    assert checkpoint.newest(desk / "named" / "checkpoints").step == 14


TRAIN = """
import os, sys, time
from i2i import load_recipe
from i2i.engine.session import Session
evaluate = Session.evaluate
def die(self):
    if self.step == 8 and not os.path.exists("died"):
        open("died", "w").close()
        while sys.argv[1] == "saved" and not os.path.exists("killed/checkpoints/000008"):
            time.sleep(0.001)
        os.kill(os.getpid(), 9)
    return evaluate(self)
Session.evaluate = die
from i2i import run
run(load_recipe("trapped.toml"), "killed", rehearsed=True)
"""


@pytest.mark.parametrize(("when", "steps"), [("saved", {8}), ("at once", {6, 8})])
def test_a_kill_between_a_save_and_its_validation_changes_no_bit(desk, when, steps):
    """Whether the save is on the disk by then, or still being written beside the validation."""
    run(load_recipe("trapped.toml"), "whole", rehearsed=True)
    first = subprocess.run([sys.executable, "-c", TRAIN, when], cwd=desk, capture_output=True)
    assert first.returncode == -signal.SIGKILL
    assert checkpoint.newest(desk / "killed" / "checkpoints").step in steps
    assert run(load_recipe("trapped.toml"), "killed").status == "done"
    assert ended(desk / "killed") == ended(desk / "whole")


def test_callbacks_and_schedules_see_each_step_once_however_often_a_run_is_stopped(desk):
    recipe = load_recipe("trapped.toml")
    for stop in (4, 6, 8, 12, None):
        run(recipe, "parts", rehearsed=True, stop_at=stop)
    run(recipe, "whole", rehearsed=True)
    assert ended(desk / "parts") == ended(desk / "whole")


def test_a_signal_ends_a_run_with_its_step_saved_and_no_bit_changed(desk):
    code = "from i2i import load_recipe, run\nrun(load_recipe('trapped.toml'), 'stopped', rehearsed=True)"
    process = subprocess.Popen([sys.executable, "-c", code], cwd=desk, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while not (desk / "stopped" / "metrics.jsonl").exists():
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGTERM)
    process.communicate()
    assert run(load_recipe("trapped.toml"), "stopped").status == "done"
    run(load_recipe("trapped.toml"), "whole", rehearsed=True)
    assert ended(desk / "stopped") == ended(desk / "whole")


# --- what is not a number -----------------------------------------------------------------------------


def poisoned(load, *settings: str):
    return load("losses.poison.use=toys/poison", "train.log_every=50", "train.save_every=60", *settings)


def test_the_update_that_is_not_a_number_is_left_out_and_named(load, tmp_path):
    with pytest.raises(DivergedError) as caught:
        run(poisoned(load, "losses.poison.after=7", "train.eval_every=60"), tmp_path / "run")
    told = str(caught.value)
    assert "the part 'poison' of what generators minimise stopped being finite at step 8" in told
    assert "images: s" in told
    assert "optimizers.*.lr" in told
    kept = weights.read(tmp_path / "run" / "diverged" / "generator.safetensors").tensors
    assert all(tensor.isfinite().all() for tensor in kept.values())
    # What was kept is what seven sound steps give.
    run(poisoned(load, "losses.poison.after=7", "train.eval_every=60"), tmp_path / "seven", stop_at=7)
    seven = weights.read(tmp_path / "seven" / "model.safetensors").tensors
    trained = [name for name in seven if "running_" not in name and "num_batches" not in name]
    assert all(torch.equal(kept[name], seven[name]) for name in trained)


def test_what_was_kept_of_a_divergence_can_be_gone_on_from(load, tmp_path):
    with pytest.raises(DivergedError):
        run(poisoned(load, "losses.poison.after=3"), tmp_path / "run")
    kept = tmp_path / "run" / "diverged" / "generator.safetensors"
    gentler = load(f"generator.init_from={kept}")
    assert run(gentler, tmp_path / "gentler").status == "done"


def test_a_gradient_that_is_not_a_number_is_found_where_every_loss_is_one(load, tmp_path, distribution):
    distribution(
        "i2i-root",
        "1.0",
        "root",
        {
            "i2i_root.py": (
                "from i2i import hookimpl\ni2i_api = 1\n@hookimpl\ndef i2i_register(registry):\n"
                "    registry.paired_loss('root', ':Root', 'a root whose slope at 0 is infinite')\n"
                "class Root:\n    def __call__(self, fake, real):\n"
                "        return (fake - fake.detach()).float().square().sum().sqrt()\n"
            )
        },
    )
    with pytest.raises(DivergedError, match="a gradient of generators stopped being finite at step 1"):
        run(load("losses.root.use=root/root"), tmp_path / "run", rehearsed=True)


# --- who reads ----------------------------------------------------------------------------------------


def shell(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    script = f"{sys.executable} -m i2i {command}"
    return subprocess.run(["bash", "-c", script], cwd=folder, capture_output=True, text=True, timeout=120)


def test_a_reader_who_goes_away_ends_no_training(desk):
    ended = shell("run trapped.toml --out piped | head -1; exit ${PIPESTATUS[0]}", desk)
    assert ended.returncode == 0, ended.stderr
    assert json.loads((desk / "piped" / "summary.json").read_text())["status"] == "done"


def test_a_full_disk_under_the_output_ends_no_training(desk):
    ended = shell("run trapped.toml --out full > /dev/full", desk)
    assert ended.returncode == 0, ended.stderr
    assert json.loads((desk / "full" / "summary.json").read_text())["status"] == "done"


def test_a_list_of_which_only_the_start_is_read_is_no_failure(desk):
    ended = shell("components list | head -1; exit ${PIPESTATUS[0]}", desk)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_list_that_there_is_no_room_for_is_one(desk):
    ended = shell("components list > /dev/full", desk)
    assert ended.returncode == 4
    assert "no space is left" in ended.stderr


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_signal_to_all_processes_of_a_run_ends_it_as_one_to_itself(desk, signum):
    """As `timeout`, a service manager or a terminal sends it: to the data workers too."""
    (desk / "long.toml").write_text(RECIPE.replace("steps = 14", "steps = 100000").replace("= 6", "= 1000"))
    line = [sys.executable, "-m", "i2i", "run", "long.toml", "--out", "group", "--set", "data.workers=2"]
    process = subprocess.Popen(
        line, cwd=desk, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    deadline = time.monotonic() + 60
    while not (desk / "group" / "metrics.jsonl").exists():
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.killpg(process.pid, signum)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 128 + signum
    assert "Traceback" not in told
    assert "the state is saved" in told
    done = json.loads((desk / "group" / "summary.json").read_text())
    assert done["status"] == "interrupted"
    assert checkpoint.newest(desk / "group" / "checkpoints").step == done["steps"]
