"""Two processes on the loopback interface train as one: the same weights and figures, saved and gone on with.

They are started as torchrun starts them, the store held by the test.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch.distributed import TCPStore

from i2i import load_recipe, run
from i2i.engine.observer import Silent
from i2i.plugins.catalog import Catalog
from i2i.runs import checkpoint, weights

RECIPE = """\
recipe = 1
name = "tiny"
seed = 3

[data]
use = "shapes"
size = [16, 16]
count = 24
batch_size = 4

[generator]
use = "unet"
depth = 2
width = 4
norm = "none"
dropout = 0.0

[discriminators.patch]
use = "patch"
layers = 1
width = 4
norm = "none"

[losses.adversarial]
use = "lsgan"

[losses.l1]
use = "l1"
weight = 10.0

[method]
use = "paired-adversarial"

[optimizers.generators]
use = "adam"
lr = 1e-3

[optimizers.discriminators]
use = "adam"
lr = 1e-3

[train]
steps = 6
precision = "fp32"
threads = 1
log_every = 2
eval_every = 3
save_every = 3

[metrics.mae]
use = "mae"

[metrics.psnr]
use = "psnr"
"""

OWN = """\
import ctypes
import os
from pathlib import Path
import torch
from torch import nn
from i2i import hookimpl
from i2i.errors import DataError
from i2i.kinds import GeneratorSlot, ImageSpec, MethodSlots, PairSpec, TestSettings

i2i_api = 1


class Net(nn.Module):
    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(in_channels, 4, 3, padding=1).double()
        self.last = nn.Conv2d(4, out_channels, 3, padding=1).double()
        self.unused = nn.Parameter(torch.zeros(3).double())

    def forward(self, source):
        return torch.tanh(self.last(torch.relu(self.first(source.double()))))


class Plain:
    slots = MethodSlots(
        generators={"main": GeneratorSlot()}, exported="main", loss_kinds=frozenset({"paired-loss"})
    )

    def __init__(self, networks, losses) -> None:
        self.net, self.test = networks.generators["main"], TestSettings()

    def step(self, batches, run):
        def square(batch):
            loss = ((self.net(batch.source) - batch.target.double()) ** 2).mean()
            return loss, {"square": loss}

        return run.update("generators", map(square, batches), parts=len(batches))

    def translate(self, source):
        return self.net(source)


class Partly(Plain):
    # Of each batch of four, the last two pass through `last`; the others are answered by `first` alone.
    def step(self, batches, run):
        def square(batch):
            place = run.rank * len(batch.source)
            total = 0.0
            for number, (source, target) in enumerate(zip(batch.source.double(), batch.target.double())):
                inner = self.net.first(source)
                answer = self.net.last(inner) if place + number >= 2 else inner[:3]
                total = total + ((answer - target) ** 2).mean() / len(batch.source)
            return total, {"square": total}

        return run.update("generators", map(square, batches), parts=len(batches))


class Spoilt(Plain):
    def step(self, batches, run):
        if run.rank and run.step == 2:
            batches = [batch.moved(lambda image: image * float("nan")) for batch in batches]
        return super().step(batches, run)


class Nearest:
    # Of a set as a whole, and of what it was prepared with, as some of i2i's own.
    directions = {"nearest": "min", "beside_training": "min"}
    fewest = 2

    def prepare(self, train_data):
        self._mean = torch.stack([train_data[i]["target"] / 255 for i in range(len(train_data))]).mean(dim=0)

    def reset(self):
        self._shape, self._fake, self._real = self._mean.shape, [], []

    def update(self, source, fake, real, ids):
        self._fake.append(fake)
        self._real.append(real)

    def compute(self):
        fake, real = torch.cat(self._fake), torch.cat(self._real)
        return {
            "nearest": torch.cdist(fake.flatten(1), real.flatten(1)).amin(dim=1).mean(),
            "beside_training": (fake.mean(dim=0) - self._mean).abs().mean(),
        }


class Stuck(Plain):
    # As in a collective of a GPU's: within a call into C, where no signal is heard.
    def step(self, batches, run):
        if run.folder is not None and run.step == 4:  # of the first process, and of no rehearsal
            Path("is-stuck").touch()
            ctypes.CDLL(None).sleep(300)
        return super().step(batches, run)


class NoRoom:
    # A folder in which nothing can be saved any more, however mighty the user is.
    def step_end(self, run, logs):
        if run.step == 4 and run.folder is not None:
            checkpoints = run.folder / "checkpoints"
            checkpoints.rename(run.folder / "moved")
            checkpoints.touch()


class Uneven:
    def __init__(self, split: str) -> None:
        side = ImageSpec(3, 16, 16)
        self.spec, self.count = PairSpec(side, side), 8 + int(os.environ.get("RANK", "0"))

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        image = torch.full((3, 16, 16), index, dtype=torch.uint8)
        return {"source": image, "target": image, "id": str(index)}


class Absent(Uneven):
    def __init__(self, split: str) -> None:
        if os.environ.get("RANK") == "1":
            raise DataError("there is no folder 'pairs'")
        super().__init__(split)


@hookimpl
def i2i_register(registry):
    registry.generator("net", f"{__name__}:Net", "of doubles")
    registry.method("plain", f"{__name__}:Plain", "squares")
    registry.method("partly", f"{__name__}:Partly", "a layer that half of the images pass")
    registry.method("spoilt", f"{__name__}:Spoilt", "not finite in one process")
    registry.metric("nearest", f"{__name__}:Nearest", "of a set")
    registry.method("stuck", f"{__name__}:Stuck", "waits for ever in one process")
    registry.callback("no-room", f"{__name__}:NoRoom", "a disk without room")
    registry.data("absent", f"{__name__}:Absent", "no data in one process")
    registry.data("uneven", f"{__name__}:Uneven", "other data in each process")
"""

WITHOUT_JUDGES = ("discriminators", "losses.adversarial", "optimizers.discriminators")

JOBS = """
import json, os, sys
from pathlib import Path
from i2i import load_recipe, run
from i2i.errors import I2IError, exit_code_of
from i2i.plugins.catalog import Catalog

rank, told = int(os.environ["RANK"]), []
for job in json.loads(sys.argv[1]):
    if rank and "version" in job:
        from i2i.engine import offers
        offers.__version__ = job["version"]
    if "bucket" in job:
        from i2i.processes import gradients
        gradients.BUCKET = job["bucket"]
    try:
        catalog = Catalog.installed(local=Path(job["plugin"]))
        more = job.get("only", {}).get(str(rank), [])
        recipe = load_recipe(
            job["recipe"], set=[*job["set"], *more], unset=job.get("unset", ()), catalog=catalog
        )
        run(recipe, job["out"], **job["options"])
        told.append([0, ""])
    except I2IError as error:
        told.append([exit_code_of(error), str(error)])
Path(sys.argv[2]).with_suffix(f".{rank}.json").write_text(json.dumps(told))
"""

Start = Callable[..., list[subprocess.Popen[str]]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Return a function that starts processes which find each other; none of them outlives the test."""
    started: list[subprocess.Popen[str]] = []
    stores = []

    def start_all(size: int, *arguments: str, launcher: bool = True) -> list[subprocess.Popen[str]]:
        store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
        port = store.port
        if launcher:
            stores.append(store)
        else:  # a launcher without a store, as Slurm: the first process holds it
            del store
        shared = {
            "WORLD_SIZE": str(size),
            "LOCAL_WORLD_SIZE": str(size),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
            "TORCHELASTIC_USE_AGENT_STORE": str(launcher),
            "OMP_NUM_THREADS": "1",
        }
        found = [
            subprocess.Popen(
                [sys.executable, *arguments],
                env={**os.environ, **shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
                cwd=tmp_path,
            )
            for rank in range(size)
        ]
        started.extend(found)
        return found

    yield start_all
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def ended(processes: Sequence[subprocess.Popen[str]], seconds: float = 100) -> list[tuple[int, str]]:
    """Return the exit code of each, and what it said on standard error."""
    deadline = time.monotonic() + seconds
    said = [process.communicate(timeout=max(1.0, deadline - time.monotonic()))[1] for process in processes]
    return [(process.returncode, text) for process, text in zip(processes, said, strict=True)]


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    (tmp_path / "own.py").write_text(OWN)
    path = tmp_path / "tiny.toml"
    path.write_text(RECIPE)
    return path


def job_of(recipe: Path, name: str, *settings: str, **more: Any) -> dict[str, Any]:
    folder = recipe.parent
    return {
        "recipe": str(recipe),
        "plugin": str(folder / "own.py"),
        "out": str(folder / name),
        "set": list(settings),
        "options": {},
        **more,
    }


def made_together(start: Start, folder: Path, jobs: Sequence[Mapping[str, Any]]) -> list[list[Any]]:
    """Let two processes do the jobs; return by process what each job ended with."""
    for code, said in ended(start(2, "-c", JOBS, json.dumps(jobs), str(folder / "told"))):
        assert code == 0, said
    return [json.loads((folder / f"told.{rank}.json").read_text()) for rank in (0, 1)]


def made_alone(job: Mapping[str, Any], name: str) -> Path:
    catalog = Catalog.installed(local=Path(job["plugin"]))
    loaded = load_recipe(job["recipe"], set=job["set"], unset=job.get("unset", ()), catalog=catalog)
    out = Path(job["out"]).with_name(name)
    run(loaded, out, **job["options"])
    return out


def networks_of(run_folder: Path) -> dict[str, torch.Tensor]:
    last = checkpoint.newest(run_folder / "checkpoints").folder
    files = [*last.glob("generator*.safetensors"), *last.glob("discriminators*.safetensors")]
    files.append(run_folder / "model.safetensors")
    return {f"{f.name}.{key}": value for f in files for key, value in weights.read(f).tensors.items()}


def apart(one: Path, other: Path) -> float:
    """Return how far the weights of two runs are apart, at most."""
    first, second = networks_of(one), networks_of(other)
    assert first.keys() == second.keys()
    return max(float((first[key] - second[key]).abs().max()) for key in first)


def validations_of(run_folder: Path) -> list[Any]:
    records = map(json.loads, (run_folder / "metrics.jsonl").read_text().splitlines())
    return [(r["step"], r["metrics"], r["copy_input"]) for r in records if r["kind"] == "val"]


def bytes_of(run_folder: Path) -> dict[str, bytes]:
    last = checkpoint.newest(run_folder / "checkpoints").folder
    return {path.name: path.read_bytes() for path in last.glob("*.safetensors")}


def test_two_processes_make_the_weights_and_figures_of_one_and_go_on_to_the_same_bits(start, recipe):
    everything = (
        "losses.r1.use=r1",
        "losses.r1.every=2",
        "train.accumulate=2",
        "train.ema=0.9",
        "train.clip=0.5",
        "metrics.set.use=local/nearest",
    )
    own = ("generator.use=local/net", "method.use=local/plain", "optimizers.generators.use=sgd")
    drawing = ("generator.dropout=0.5", "generator.norm=batch", "method.pool=3", "train.steps=8")
    gan = job_of(recipe, "gan", *everything)
    doubles = job_of(recipe, "doubles", *own, unset=WITHOUT_JUDGES)
    partly = (*own, "method.use=local/partly")
    # A bucket for each of its parameters, of which the first process lacks the gradients of some, and both
    # that of one.
    buckets = job_of(recipe, "buckets", *partly, unset=WITHOUT_JUDGES, bucket=1)
    parts = job_of(recipe, "parts", *drawing)
    jobs = [
        gan,
        doubles,
        job_of(recipe, "whole", *drawing),
        {**parts, "options": {"stop_at": 5}},
        parts,
        job_of(recipe, "fewer", *drawing, options={"stop_at": 5}),
        buckets,
    ]
    assert made_together(start, recipe.parent, jobs) == [[[0, ""]] * len(jobs)] * 2
    folder = recipe.parent
    alone = made_alone(gan, "gan-alone")
    compare(folder / "gan", alone)
    assert [step for step, *_ in validations_of(folder / "gan")] == [3, 6]
    # Of doubles, where nothing else than the order of sums is left.
    assert apart(folder / "doubles", made_alone(doubles, "doubles-alone")) < 1e-9

    assert apart(folder / "buckets", made_alone(buckets, "buckets-alone")) < 1e-9

    assert bytes_of(folder / "parts") == bytes_of(folder / "whole")
    assert "trainer.1.safetensors" in bytes_of(folder / "whole")
    assert "trainer.1.safetensors" not in bytes_of(folder / "gan")

    class Notes(Silent):
        def __init__(self) -> None:
            self.all: list[str] = []

        def note(self, text: str) -> None:
            self.all.append(text)

    notes = Notes()
    one = load_recipe(recipe, set=drawing)
    assert run(one, folder / "fewer", observer=notes).status == "done"
    assert any("was saved by 2 processes, and 1 goes on" in note for note in notes.all)


def test_processes_that_differ_are_refused_by_the_first_one_and_nothing_is_written(start, recipe):
    jobs = [
        job_of(recipe, "a", "data.batch_size=3"),
        job_of(recipe, "b", only={"1": ["losses.l1.weight=7.0"]}),
        job_of(recipe, "c", "data.use=local/uneven"),
        job_of(recipe, "e", version="9.9"),
        job_of(recipe, "d", "data.use=local/absent"),
    ]
    jobs[2]["unset"] = jobs[4]["unset"] = ["data.size", "data.count"]
    first, second = made_together(start, recipe.parent, jobs)
    assert [code for code, _ in first] == [code for code, _ in second] == [2, 2, 3, 2, 3]
    assert [text for _, text in second] == [""] * 5
    assert "a batch of 3 cannot be shared out evenly among 2 processes" in first[0][1]
    assert "has another recipe: losses.l1.weight is 7.0 there and 10.0 in process 0" in first[1][1]
    assert "process 1 on" in first[1][1]
    assert "has other data than process 0" in first[2][1]
    assert "has i2i 9.9, and process 0 has" in first[3][1]
    assert "process 1 on" in first[4][1]
    assert "there is no folder 'pairs'" in first[4][1]
    assert not any((recipe.parent / name).exists() for name in "abcde")


def test_what_is_not_finite_ends_all_after_the_same_step_and_is_told_by_the_one_that_found_it(start, recipe):
    own = ("generator.use=local/net", "method.use=local/spoilt", "optimizers.generators.use=sgd")
    jobs = [
        job_of(recipe, "spoilt", *own, unset=WITHOUT_JUDGES),
        # Here it is a weight, which the first process finds as it saves.
        job_of(recipe, "huge", "optimizers.generators.lr=1e39", "train.save_every=1"),
    ]
    first, second = made_together(start, recipe.parent, jobs)
    assert [code for code, _ in first] == [code for code, _ in second] == [5, 5]
    assert "what another of the processes computed stopped being finite at step 3. " in first[0][1]
    assert "process 1 on" in second[0][1]
    assert "stopped being finite at step 3 (images: " in second[0][1]
    assert "weights that are not finite at step 1" in first[1][1]
    assert second[1][1] == ""
    assert not checkpoint.newest(recipe.parent / "huge" / "checkpoints")
    assert (recipe.parent / "spoilt" / "diverged").is_dir()


def waited_for_a_checkpoint(folder: Path, processes: Sequence[subprocess.Popen[str]]) -> int:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and all(process.poll() is None for process in processes):
        if found := checkpoint.newest(folder / "checkpoints"):
            return found.step
        time.sleep(0.02)
    raise AssertionError("there was no checkpoint")


def endless(recipe: Path, name: str) -> list[str]:
    command = ["-m", "i2i", "run", str(recipe), "--out", str(recipe.parent / name)]
    for setting in ("train.steps=5000", "train.eval_every=100000", "method.pool=3"):
        command += ["--set", setting]
    return command


def test_a_process_that_is_killed_ends_the_others_which_say_so_and_the_run_goes_on(start, recipe):
    folder = recipe.parent / "killed"
    processes = start(2, *endless(recipe, "killed"))
    waited_for_a_checkpoint(folder, processes)
    processes[1].kill()
    began = time.monotonic()
    (code, said), (killed, _) = ended(processes)
    assert (code, killed) == (4, -signal.SIGKILL)
    assert time.monotonic() - began < 30
    assert "of its 2 processes another process is gone" in said
    assert "the same command goes on from step" in said
    assert "Traceback" not in said
    step = checkpoint.newest(folder / "checkpoints").step
    assert step > 0
    settings = ("train.steps=5000", "train.eval_every=100000", "method.pool=3")
    again = run(load_recipe(recipe, set=settings), folder, stop_at=step + 1)
    assert again.summary["steps"] == step + 1


def test_a_signal_to_one_process_saves_and_ends_all_after_the_same_step(start, recipe):
    folder = recipe.parent / "stopped"
    processes = start(2, *endless(recipe, "stopped"))
    waited_for_a_checkpoint(folder, processes)
    processes[1].send_signal(signal.SIGTERM)
    (code, said), (other, beside) = ended(processes)
    assert (code, other) == (143, 143), said + beside
    assert "the state is saved" in said
    assert "Traceback" not in said + beside
    assert "interrupted" not in beside
    last = checkpoint.newest(folder / "checkpoints")
    assert f"after step {last.step:,}" in said
    assert (last.folder / "trainer.1.safetensors").is_file()


@pytest.mark.slow
def test_a_process_that_waits_within_a_call_for_one_that_was_killed_is_ended_and_says_so(start, recipe):
    own = ("generator.use=local/net", "method.use=local/stuck", "optimizers.generators.use=sgd")
    job = job_of(recipe, "stuck", *own, unset=WITHOUT_JUDGES)
    processes = start(2, "-c", JOBS, json.dumps([job]), str(recipe.parent / "told"), launcher=False)
    deadline = time.monotonic() + 100
    while not (recipe.parent / "is-stuck").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    processes[1].kill()
    began = time.monotonic()
    (code, said), _ = ended(processes)
    assert code == 4
    assert time.monotonic() - began < 30
    assert "process 1 of 2 is gone" in said
    assert "goes on from the last checkpoint" in said
    assert checkpoint.newest(recipe.parent / "stuck" / "checkpoints").step == 3


@pytest.mark.slow
def test_what_is_wrong_in_one_process_before_all_meet_ends_all_and_is_said_once(start, recipe):
    command = "import os, sys\nfrom i2i.cli import main\n"
    command += "main([*sys.argv[1:], '--set', 'train.stepz=1'][: None if os.environ['RANK'] == '1' else -2])"
    out = recipe.parent / "wrong"
    processes = start(2, "-c", command, "run", str(recipe), "--out", str(out), launcher=False)
    (code, said), (other, beside) = ended(processes)
    assert (code, other) == (2, 2)
    assert said.count("unknown key 'stepz'") == 1
    assert "process 1 on" in said
    assert beside == ""
    assert not out.exists()


@pytest.mark.slow
def test_going_on_starting_anew_and_from_other_weights_are_those_of_one_process(start, recipe):
    pairs = recipe.parent / "pairs"
    for split, count in (("train", 21), ("val", 1)):
        for number in range(count):
            drawn = torch.Generator().manual_seed(number)
            pixels = torch.randint(0, 256, (16, 16, 3), generator=drawn, dtype=torch.uint8).numpy()
            for side in "AB":
                file = pairs / split / side / f"{number}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(file)
    damaged = pairs / "train" / "A" / "5.png"
    damaged.write_bytes(damaged.read_bytes()[:200])
    # Two batches an epoch and four odd pairs, accumulation over epochs, one held-out pair for two processes.
    uneven = job_of(
        recipe,
        "uneven",
        *("data.use=paired-images", f"data.root={pairs}", "data.on_bad=skip", "data.batch_size=8"),
        *("train.epochs=4", "train.accumulate=3", "seed=11"),
        unset=["data.count", "train.steps"],
    )
    short = job_of(recipe, "long")
    longer = job_of(recipe, "long", options={"extend": 4})
    begun = job_of(recipe, "begun", "seed=9", options={"init_from": str(recipe.parent / "long")})
    again = job_of(recipe, "begun", "seed=4", options={"fresh": True})
    full = job_of(recipe, "full", "callbacks.full.use=local/no-room")
    jobs = [uneven, short, longer, begun, again, full]
    first, second = made_together(start, recipe.parent, jobs[:4])
    assert (first, second) == ([[0, ""]] * 4,) * 2
    for job, name in ((uneven, "uneven-alone"), (begun, "begun-alone")):
        compare(Path(job["out"]), made_alone(job, name))
    made_alone(short, "long-alone")
    compare(recipe.parent / "long", made_alone(longer, "long-alone"))
    first, second = made_together(start, recipe.parent, jobs[4:])
    assert (first[0], second[0]) == ([0, ""], [0, ""])
    compare(recipe.parent / "begun", made_alone(again, "again-alone"))
    assert (first[1][0], second[1][0]) == (4, 4)
    assert "cannot be written" in first[1][1]


def compare(together: Path, alone: Path) -> None:
    assert apart(together, alone) < 1e-5
    found, expected = validations_of(together), validations_of(alone)
    assert [step for step, *_ in found] == [step for step, *_ in expected]
    for (_, metrics, copied), (_, others, copied_alone) in zip(found, expected, strict=True):
        assert metrics == pytest.approx(others, rel=1e-5)
        assert copied == copied_alone


@pytest.mark.slow
def test_a_signal_ends_at_once_who_waits_for_the_others_to_join(start, recipe):
    late = "import os, time\nfrom i2i.engine import loop\n"
    late += "if os.environ['RANK'] == '1':\n    loop._train = lambda *about: time.sleep(90)\n"
    job = job_of(recipe, "waiting")
    first, _ = start(2, "-c", late + JOBS, json.dumps([job]), str(recipe.parent / "told"))
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (recipe.parent / "waiting" / "recipe.toml").exists():
        time.sleep(0.05)
    time.sleep(2)
    assert first.poll() is None
    first.send_signal(signal.SIGTERM)
    assert first.wait(timeout=10) == -signal.SIGTERM


@pytest.mark.parametrize(
    "command", [["translate", "a", "b", "c"], ["eval", "a"], ["bench", "edges"], ["run", "x", "--dry-run"]]
)
def test_other_commands_are_refused_beside_others(i2i, monkeypatch, command):
    for name, value in {"WORLD_SIZE": "2", "RANK": "0", "MASTER_ADDR": "a", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, value)
    found = i2i(*command)
    assert found.code == 2
    assert "for one process, and a launcher has started 2" in found.err


@pytest.mark.slow
def test_torchrun_starts_two_that_make_the_weights_of_one(recipe, tmp_path):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command += ["-m", "i2i", "run", str(recipe), "--out", str(tmp_path / "two")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        _, said = process.communicate(timeout=200)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0, said
    shutil.copy(recipe, tmp_path / "same.toml")
    run(load_recipe(tmp_path / "same.toml"), tmp_path / "one")
    assert apart(tmp_path / "one", tmp_path / "two") < 1e-5
