"""What may go wrong around a run: nothing is lost in silence, and everything is told in a sentence."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import traceback
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from i2i import run
from i2i.bench.pictures import make_pictures
from i2i.building import components
from i2i.building.blame import component_at_fault
from i2i.data import survey
from i2i.data.opening import open_data
from i2i.engine.average import Average
from i2i.engine.rehearsal import rehearse
from i2i.errors import DataError, DivergedError, PluginError, RecipeError
from i2i.kinds import ImageSpec, PairSpec
from i2i.models.calibrate import calibrated_file
from i2i.models.evaluation import evaluate_trained
from i2i.models.trained import find_trained
from i2i.plugins.catalog import Catalog
from i2i.runs import checkpoint, state, weights
from i2i.runs.folder import RunFolder

LOCAL = """
import sys
import torch
from torch import nn
from i2i import hookimpl
from i2i.kinds import ImageSpec, PairSpec, TestSettings

i2i_api = 1

@hookimpl
def i2i_register(registry):
    registry.generator("tied", ":Tied", "two layers with one weight")
    registry.generator("tuple", ":Tuple", "returns no image")
    registry.generator("quits", ":Quits", "ends the process")
    registry.generator("buggy", ":buggy", "raises in its factory")
    registry.paired_loss("counting", ":Counting", "a module with a buffer that changes")
    registry.optimizer("fused", ":fused", "torch's fused Adam and nothing else")
    registry.optimizer("breaks", ":Breaks", "leaves no number behind in its second step")
    registry.paired_loss("late", ":Late", "raises in a helper, in its third step")
    registry.paired_loss("typo", ":typo", "raises when it is called")
    registry.metric("picky", ":Picky", "asks torch for what torch refuses")
    registry.paired_loss("each", ":each", "a number for each image")
    registry.generator("detached", ":Detached", "lets no gradient through")
    registry.adversarial_loss("one-sided", ":OneSided", "has no side for the discriminator")
    registry.metric("undecided", ":Undecided", "does not say which way is better")
    registry.metric("one-of-many", ":OneOfMany", "one number for all the images of a batch")
    registry.metric("other", ":Other", "computes what it does not declare")
    registry.data("shy", ":Shy", "cannot be read in a worker process")
    registry.transform("clumsy", ":clumsy", "lets fall what it is given")
    registry.data("tired", ":Tired", "has an item that cannot be made")
    registry.data("borrowed", ":borrowed", "a class of another package")
    registry.data("unreadable", ":Unreadable", "lets through what reading a file raises")
    registry.callback("misspelt", ":Misspelt", "has an event that nobody calls")
    registry.callback("short", ":Short", "takes too few arguments")
    registry.optimizer("nothing", ":nothing", "no optimizer")
    registry.schedule("backwards", ":backwards", "a factor below 0")
    registry.callback("bad-end", ":BadEnd", "raises when the run ends")
    registry.metric("tensor", ":TensorMetric", "computes a tensor, as one does")

class Tied(nn.Module):
    def __init__(self, *, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.a = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.b = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.b.weight = self.a.weight
    def forward(self, x):
        return torch.tanh(self.b(self.a(x)))

class Tuple(Tied):
    def forward(self, x):
        return super().forward(x), None

class Quits(Tied):
    def forward(self, x):
        if not x.is_meta:
            sys.exit(0)
        return super().forward(x)

def buggy(*, in_channels: int, out_channels: int) -> nn.Module:
    return {}["oops"]

class Counting(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))
    def forward(self, fake, real):
        self.calls += 1
        return (fake - real).abs().mean() * self.calls

def fused(params, *, lr: float = 1e-3) -> torch.optim.Optimizer:
    return torch.optim.Adam(list(params), lr=lr, fused=True)

class Breaks(torch.optim.SGD):
    def __init__(self, params) -> None:
        super().__init__(list(params), lr=1e-3)
        self.steps = 0
    def step(self):
        self.steps += 1
        super().step()
        if self.steps == 2:
            self.param_groups[0]["params"][0].data.fill_(float("inf"))

class Late:
    def __init__(self) -> None:
        self.calls = 0
    def __call__(self, fake, real):
        self.calls += 1
        return distance(fake, real if self.calls < 3 else None)

def distance(fake, real):
    return (fake - real).abs().mean()

def typo():
    return lambda fake, real: fake.nonsense()

class BadEnd:
    def run_end(self, run, error):
        raise KeyError("no such thing")

def each():
    return lambda fake, real: (fake - real).abs().mean(dim=(1, 2, 3))

class Detached(Tied):
    def forward(self, x):
        return super().forward(x).detach()

class OneSided:
    def generator(self, fake, real):
        return fake[0].mean()

class Undecided:
    def reset(self): pass
    def update(self, source, fake, real, ids): pass
    def compute(self): return {"figure": 0.0}

class OneOfMany(Undecided):
    directions = {"figure": "min"}
    def update(self, source, fake, real, ids): return {"figure": fake.mean()[None]}

class Other(OneOfMany):
    def update(self, source, fake, real, ids): pass
    def compute(self): return {"number": 0.0}

class Unreadable:
    def __init__(self, split: str) -> None:
        self.spec = PairSpec(ImageSpec(3, 16, 16), ImageSpec(3, 16, 16))
    def __len__(self):
        return 4
    def __getitem__(self, index):
        open("nowhere.png")

class Tired(Unreadable):
    def __getitem__(self, index):
        late = torch.utils.data.get_worker_info() is not None and index == 1
        image = torch.full((3, 16, 16), 1 // (not late), dtype=torch.uint8)
        return {"source": image, "target": image, "id": str(index)}

def borrowed(split: str):
    from i2i.data.views import View
    return View(Unreadable(split))

class Shy(Unreadable):
    def __getitem__(self, index):
        if torch.utils.data.get_worker_info():
            open("nowhere.png")
        image = torch.zeros(3, 16, 16, dtype=torch.uint8)
        return {"source": image, "target": image, "id": str(index)}

def clumsy():
    return lambda pair, size, rng: pair.nothing

class Misspelt:
    def on_step_end(self, run, logs): pass

class Short:
    def step_end(self, logs): pass

def nothing(params):
    return None

def backwards():
    return lambda step: -1.0

class Picky:
    directions = {"picky": "min"}
    def reset(self): pass
    def update(self, source, fake, real, ids): torch.cat([fake, fake[:, :1, :1]], dim=0)
    def compute(self): return {"picky": 0.0}

class TensorMetric:
    directions = {"t": "min"}
    def reset(self):
        self.values = []
    def update(self, source, fake, real, ids):
        self.values.append(fake.mean())
    def compute(self):
        return {"t": torch.stack(self.values).mean()}
"""


@pytest.fixture
def local(gan: Path, tmp_path: Path):
    """Return a function that loads the toy recipe with a local plug-in of trouble-makers."""
    from i2i.recipe.recipe import load_recipe

    folder = tmp_path / "local"
    folder.mkdir()
    (folder / "trouble_makers.py").write_text(LOCAL)
    catalog = Catalog.installed(local=folder / "trouble_makers.py")
    yield lambda *settings: load_recipe(gan, set=settings, catalog=catalog)
    sys.path.remove(str(folder))
    sys.modules.pop("trouble_makers", None)


def models_of(*folders: Path) -> list[bytes]:
    return [(folder / "model.safetensors").read_bytes() for folder in folders]


# --- the folder ---------------------------------------------------------------------------------------


def test_fresh_removes_nothing_where_no_run_was(load, tmp_path):
    for name in ("recipe.toml", "samples/mine.png", "checkpoints/best.pt"):
        path = tmp_path / "mine" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("precious")
    with pytest.raises(RecipeError, match="is not empty and holds no run"):
        run(load(), tmp_path / "mine", fresh=True)
    assert len([path for path in (tmp_path / "mine").rglob("*") if path.is_file()]) == 3


def test_fresh_removes_nothing_before_the_new_run_is_known_to_work(load, tmp_path):
    run(load("train.steps=2"), tmp_path / "run")
    before = models_of(tmp_path / "run")
    with pytest.raises(RecipeError):
        run(load("data.size=15"), tmp_path / "run", fresh=True)
    assert models_of(tmp_path / "run") == before


def test_a_failed_start_leaves_no_folder_behind(load, tmp_path):
    with pytest.raises(RecipeError):
        run(load("data.size=15"), tmp_path / "deep" / "run")
    assert not (tmp_path / "deep" / "run").exists()


def test_two_runs_do_not_share_a_folder(load, tmp_path):
    with RunFolder.held(tmp_path / "run"), pytest.raises(RecipeError, match="in use by another run"):
        run(load(), tmp_path / "run")
    assert run(load("train.steps=1"), tmp_path / "run").status == "done"


def test_runs_of_the_same_second_get_folders_of_their_own(tmp_path):
    with RunFolder.new("a", under=tmp_path) as one, RunFolder.new("a", under=tmp_path) as other:
        assert one.root != other.root
    assert list(tmp_path.iterdir()) == []  # nothing was written there


def test_a_start_that_was_cut_off_does_not_stand_in_the_way(load, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "provenance.json").write_text("{}")
    (tmp_path / "run" / ".i2i-abc").write_text("half a fi")
    (tmp_path / "run" / ".lock").touch()
    (tmp_path / "run" / ".i2i-def" / "000001").mkdir(parents=True)
    assert run(load("train.steps=1"), tmp_path / "run").status == "done"
    assert not list((tmp_path / "run").glob(".i2i-*"))


# --- damage -------------------------------------------------------------------------------------------


def test_a_model_that_was_not_yet_written_when_the_process_died_is_written_on_resume(load, tmp_path):
    run(load(), tmp_path / "whole")
    run(load(), tmp_path / "cut", stop_at=9)
    (tmp_path / "cut" / "model.safetensors").unlink()
    run(load(), tmp_path / "cut")
    one, other = models_of(tmp_path / "whole", tmp_path / "cut")
    assert one == other


@pytest.mark.parametrize("name", ["provenance.json", "summary.json"])
@pytest.mark.parametrize("content", ['{"x', "[]", "\udcff"])
def test_a_damaged_record_is_written_anew_and_training_goes_on(load, tmp_path, heard, name, content):
    run(load(), tmp_path / "whole")
    run(load(), tmp_path / "run", stop_at=6)
    (tmp_path / "run" / name).write_text(content, errors="surrogateescape")
    run(load(), tmp_path / "run", observer=heard)
    assert any(f"{name} was" in note and "damaged" in note for note in heard.notes)
    assert isinstance(json.loads((tmp_path / "run" / name).read_text()), dict)
    assert (tmp_path / "run" / f"{name}.damaged").read_bytes() == content.encode(errors="surrogateescape")
    one, other = models_of(tmp_path / "whole", tmp_path / "run")
    assert one == other


@pytest.mark.parametrize("lost", ["runtime", "plugins", "python", None])
def test_a_provenance_that_lacks_something_is_written_anew_and_says_so(load, tmp_path, heard, lost):
    run(load(), tmp_path / "run", stop_at=6)
    path = tmp_path / "run" / "provenance.json"
    about = json.loads(path.read_text())
    assert "rewritten" not in about
    path.unlink() if lost is None else path.write_text(json.dumps(about | {lost: None}).replace(lost, "x", 1))
    assert run(load(), tmp_path / "run", observer=heard).status == "done"
    again = json.loads(path.read_text())
    assert (again["rewritten"], again["runtime"], again["plugins"]) == (
        True,
        *map(about.get, ("runtime", "plugins")),
    )


def test_a_damaged_summary_is_named_where_runs_are_compared(load, tmp_path):
    run(load(), tmp_path / "run")
    (tmp_path / "run" / "summary.json").write_text("{")
    with pytest.raises(
        DataError, match=r"summary.json is missing or damaged; i2i run with --out .* writes it anew"
    ):
        RunFolder(tmp_path / "run").summary()


def test_damaged_lines_and_pictures_are_left_out_and_said(load, tmp_path, heard):
    run(load(), tmp_path / "run", stop_at=6)
    path = tmp_path / "run" / "metrics.jsonl"
    lines = path.read_bytes().splitlines()
    path.write_bytes(b"\n".join([b"\xff{", b'{"kind": "train", "step": 1}', *lines]) + b'\n{"half a li')
    next((tmp_path / "run" / "samples").rglob("*.png")).write_bytes(b"no picture")
    result = run(load(), tmp_path / "run", observer=heard)
    assert result.status == "done"
    assert sum("is damaged and was left out" in note for note in heard.notes) == 2
    assert sum("left out of the report" in note for note in heard.notes) == 1
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()][:3] == [1, 2, 4]


def test_a_damaged_checkpoint_is_said_and_does_not_crowd_out_sound_ones(load, tmp_path, heard):
    settings = ("train.keep=1", "train.save_every=3")
    run(load(*settings), tmp_path / "run", stop_at=6)
    shutil.copytree(tmp_path / "run" / "checkpoints" / "000006", tmp_path / "run" / "checkpoints" / "000009")
    (tmp_path / "run" / "checkpoints" / "000009" / "trainer.safetensors").write_bytes(b"x")
    run(load(*settings), tmp_path / "run", stop_at=8, observer=heard)
    assert any("000009 is damaged and was set aside as 000009.damaged" in note for note in heard.notes)
    left = sorted(c.name for c in (tmp_path / "run" / "checkpoints").iterdir())
    assert left == ["000008", "000009.damaged"]
    assert checkpoint.newest(tmp_path / "run" / "checkpoints").step == 8


@pytest.fixture
def heard():
    """An observer that remembers what it was told."""
    from i2i.engine.observer import Silent

    observer = Silent()
    observer.notes = []
    observer.note = observer.notes.append
    return observer


# --- other people's components ---------------------------------------------------------------------------


def test_any_fused_optimizer_resumes_to_the_same_bits_with_channels_last(local, tmp_path):
    settings = ("optimizers.generators.use=local/fused", "train.precision=bf16", "generator.use=unet")
    settings += ("generator.depth=2", "generator.width=8")
    run(local(*settings), tmp_path / "whole")
    run(local(*settings), tmp_path / "parts", stop_at=7)
    run(local(*settings), tmp_path / "parts")
    one, other = models_of(tmp_path / "whole", tmp_path / "parts")
    assert one == other


def test_the_state_of_a_loss_that_is_a_module_survives(local, tmp_path):
    settings = ("losses.l1.use=local/counting",)
    run(local(*settings), tmp_path / "whole")
    run(local(*settings), tmp_path / "parts", stop_at=7)
    run(local(*settings), tmp_path / "parts")
    one, other = models_of(tmp_path / "whole", tmp_path / "parts")
    assert one == other


def test_averaging_leaves_the_training_of_tied_weights_alone(local, tmp_path):
    settings = ("generator.use=local/tied", "train.ema=0.5", "train.steps=8", "train.save_every=8")
    run(local(*settings, "train.eval_every=100"), tmp_path / "seldom")
    run(local(*settings, "train.eval_every=2"), tmp_path / "often")
    files = [tmp_path / name / "checkpoints/000008/generator.safetensors" for name in ("seldom", "often")]
    one, other = (file.read_bytes() for file in files)
    assert one[one.index(b"}") :].split(b"}   ")[-1] == other[other.index(b"}") :].split(b"}   ")[-1]
    module = nn.Linear(1, 1, bias=False)
    net = nn.ModuleList([module, module])
    average = Average({"main": net}, 0.5)
    with torch.no_grad():
        module.weight.fill_(3.0)
    before = module.weight.item()
    with average.swapped():
        assert module.weight.item() != before
    assert module.weight.item() == before


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("generator.use=local/tuple", "local/tuple returned a tuple"),
        (
            "generator.use=local/buggy",
            r"local/buggy failed: KeyError: 'oops'.*trouble_makers.py:\d+, in buggy",
        ),
        (
            "losses.l1.use=local/typo",
            r"--set losses.l1.use=local/typo  losses.l1\n  local/typo failed: AttributeError: .*'nonsense'"
            r".*trouble_makers.py:\d+, in <lambda>\)",
        ),
        (
            "metrics.p.use=local/picky",
            r"local/picky failed: RuntimeError: .*\(trouble_makers.py:\d+, in update",
        ),
    ],
)
def test_a_component_at_fault_is_named(local, tmp_path, setting, words):
    with pytest.raises((RecipeError, PluginError), match=words):
        run(local(setting), tmp_path / "run")


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("losses.l1.use=local/each", r"losses\.l1: it returned what is of shape \(2,\)"),
        ("generator.use=local/detached", "what generators minimise has no gradient"),
        (
            "losses.adversarial.use=local/one-sided",
            r"is no adversarial-loss: what its factory returned has no discriminator\(\)",
        ),
        ("metrics.m.use=local/undecided", "metrics.m: its `directions` is None: map the name"),
        (
            "metrics.m.use=local/one-of-many",
            r"metrics.m: its update\(\) gave 'figure' of shape \(1,\) for 2 im",
        ),
        ("metrics.m.use=local/other", r"its compute\(\) gave number, and its `directions` declares figure"),
        ("callbacks.c.use=local/misspelt", "local/misspelt has none of the events .*: run_start, step_end"),
        ("callbacks.c.use=local/short", r"local/short failed: TypeError: Short.step_end\(\) takes 2"),
        ("optimizers.generators.use=local/nothing", "local/nothing returned a NoneType, and not a torch"),
        ("schedule.use=local/backwards", "local/backwards gives -1.0 for step 0"),
    ],
)
def test_a_component_that_breaks_its_contract_is_told_how(local, tmp_path, setting, words):
    with pytest.raises(PluginError, match=words):
        run(local(setting, "train.steps=1"), tmp_path / "run")


def test_a_data_set_at_fault_is_named_when_it_is_checked(local):
    told = r"local/unreadable failed: FileNotFoundError: .*'nowhere.png'.*makers.py:\d+, in __getitem__\)"
    with pytest.raises(PluginError, match=told):
        survey.check(local("data.use=local/unreadable"))


def test_a_data_set_at_fault_is_named_from_a_process_of_its_own(local, tmp_path):
    told = r"local/shy failed: FileNotFoundError: .*'nowhere.png'.*makers.py:\d+, in __getitem__\)"
    settings = ("data.use=local/shy", "data.workers=1", "data.cache=none")
    with pytest.raises(PluginError, match=told):
        run(local(*settings), tmp_path / "run")


@pytest.mark.parametrize("workers", [0, 1])
def test_a_transform_at_fault_is_named_wherever_it_is_applied(local, tmp_path, workers):
    told = (
        r"transforms.clumsy\n  local/clumsy failed: AttributeError: .*'nothing'.*makers.py:\d+, in <lambda>\)"
    )
    with pytest.raises(PluginError, match=told) as caught:
        run(local("transforms.clumsy.use=local/clumsy", f"data.workers={workers}"), tmp_path / "run")
    assert "in <lambda>" in "".join(traceback.format_exception(caught.value.__cause__))


def test_what_fails_late_in_a_process_of_its_own_leaves_that_process_s_traceback(local, tmp_path):
    settings = ("data.use=local/tired", "data.workers=1", "data.cache=none", "train.steps=4")
    settings += ("data.batch_size=1", "train.save_every=1", "train.eval_every=100")
    with pytest.raises(PluginError, match=r"local/tired failed: ZeroDivisionError: "):
        run(local(*settings), tmp_path / "run")
    story = (tmp_path / "run" / "traceback.txt").read_text()
    assert "in a worker process" in story
    assert "1 // (not late)" in story


def test_a_data_set_made_by_a_library_is_named_too(local, tmp_path):
    told = r"\n  local/borrowed failed: FileNotFoundError: .*'nowhere.png'"
    with pytest.raises(PluginError, match=told):
        run(local("data.use=local/borrowed", "data.cache=none"), tmp_path / "run")


@pytest.mark.parametrize("command", ["eval", "calibrate", "pictures", "check"])
def test_a_data_set_at_fault_is_named_by_every_command(local, load, tmp_path, command):
    net = ("generator.use=unet", "generator.depth=2", "generator.width=8")
    folder = run(load("train.steps=1", *net), tmp_path / "run").folder
    recipe, catalog = local("data.use=local/unreadable", "data.cache=none"), Catalog.installed()
    trained = replace(find_trained(folder, catalog=catalog), recipe=recipe)
    commands = {
        "eval": lambda: evaluate_trained(trained, split="val", catalog=catalog),
        "calibrate": lambda: calibrated_file(trained, catalog=catalog),
        "pictures": lambda: make_pictures({}, recipe, open_data(recipe, "val"), tmp_path, catalog=catalog),
        "check": lambda: survey.check(recipe),
    }
    told = r"data\n  local/unreadable failed: FileNotFoundError: .*makers.py:\d+, in __getitem__\)"
    with pytest.raises(PluginError, match=told) as caught:
        commands[command]()
    assert caught.value.exit_code == 6


def test_a_metric_at_fault_is_named_when_a_model_is_scored(local, load, tmp_path):
    folder = run(load("train.steps=1"), tmp_path / "run").folder
    recipe = local("metrics.p.use=local/picky")
    catalog = Catalog.installed()
    trained = replace(find_trained(folder, catalog=catalog), recipe=recipe)
    with pytest.raises(PluginError, match=r"metrics.p\n  local/picky failed: RuntimeError: "):
        evaluate_trained(trained, split="val", catalog=catalog)


def test_a_component_that_fails_late_leaves_its_traceback_until_the_run_goes_on(local, tmp_path):
    late = local("losses.l1.use=local/late", "train.steps=4", "train.save_every=1")
    told = r"local/late failed: TypeError: .*makers.py:\d+, in __call__; trouble_makers.py:\d+, in distance\)"
    with pytest.raises(PluginError, match=told):
        run(late, tmp_path / "run", rehearsed=True)  # as a rehearsal has calls enough to find it out
    story = tmp_path / "run" / "traceback.txt"
    assert "Traceback" in story.read_text()
    assert "in distance" in story.read_text()
    # A new instance has calls to spare for what is left.
    run(late, tmp_path / "run")
    assert not story.exists()


def test_what_fails_in_code_of_our_own_is_no_component_s_fault(local):
    recipe = local("losses.l1.use=local/typo")
    with pytest.raises(TypeError, match="a state holds tensors") as caught:
        state.pack({"odd": {1, 2}})
    assert component_at_fault(recipe, caught.value) is None


def test_a_component_that_ends_the_process_does_not_end_it_well(local, tmp_path):
    with pytest.raises(PluginError, match=r"called sys.exit\(0\)"):
        run(local("generator.use=local/quits"), tmp_path / "run")


def test_a_callback_that_fails_at_the_end_costs_no_summary(local, tmp_path):
    with pytest.raises(PluginError, match="local/bad-end failed: KeyError: 'no such thing'"):
        run(local("callbacks.bad.use=local/bad-end", "train.steps=2"), tmp_path / "run")
    assert (tmp_path / "run" / "report.html").exists()
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["steps"] == 2


def test_a_metric_may_compute_tensors(local, tmp_path):
    result = run(local("metrics.t.use=local/tensor", "train.steps=1"), tmp_path / "run")
    assert isinstance(result.summary["metrics"]["t"], float)


def test_weights_that_are_no_numbers_are_neither_scored_nor_exported(local, tmp_path):
    # The optimizer breaks the weights in its second step, after a loss that was finite.
    settings = ("optimizers.generators.use=local/breaks", "train.eval_every=1", "train.save_best=mae:max")
    with pytest.raises(DivergedError, match=r"generators.main has weights that are not finite at step 2\b"):
        run(local(*settings, "train.save_every=100"), tmp_path / "run")
    lines = map(json.loads, (tmp_path / "run" / "metrics.jsonl").read_text().splitlines())
    assert [record["step"] for record in lines if record["kind"] == "val"] == [1]
    file = weights.read(tmp_path / "run" / "model.safetensors")
    assert file.header["provenance"]["step"] == 1
    assert all(tensor.isfinite().all() for tensor in file.tensors.values())


def test_too_large_a_network_is_a_lack_of_memory(load, tmp_path):
    from i2i.errors import ResourceError

    with pytest.raises(ResourceError, match="memory ran out"):
        rehearse(load("generator.width=1000000000"))


def test_adding_a_transform_leaves_the_draws_of_the_others_alone(load):
    from i2i.building import components
    from i2i.data.stream import training_batches

    def flips(*settings: str) -> list[torch.Tensor]:
        recipe = load(*settings)
        data = open_data(recipe, "train")
        transforms = components.build_transforms(recipe, at="loading", spec=data.spec)
        stream = training_batches(data, transforms, recipe.data.settings, seed=1, first=0, last=5)
        return [batch.source for batch in stream]

    alone = flips()
    beside = flips("transforms.jitter.use=jitter", "transforms.jitter.resize=16")
    assert all(torch.equal(one, other) for one, other in zip(alone, beside, strict=True))


def test_a_file_of_another_revision_starts_no_network(load, tmp_path):
    first = run(load("train.steps=1"), tmp_path / "first").folder / "model.safetensors"
    file = weights.read(first)
    header = {key: value for key, value in file.header.items() if key not in ("format_version", "sha256")}
    weights.write(tmp_path / "old.safetensors", file.tensors, {**header, "rev": 0})
    with pytest.raises(
        RecipeError, match=r"init_from[\s\S]*revision 0, and installed is toys/tiny revision 1"
    ):
        rehearse(load(f"generator.init_from={tmp_path / 'old.safetensors'}"))


def test_a_network_starts_from_a_runs_folder(load, tmp_path):
    first = run(load("train.steps=1"), tmp_path / "first").folder
    spec = PairSpec(ImageSpec(3, 16, 16), ImageSpec(3, 16, 16))
    started = components.build_networks(load(f"generator.init_from={first}"), spec)
    written = weights.read(first / "model.safetensors").tensors
    own = started.generators["main"].state_dict()
    assert all(torch.equal(own[name], tensor) for name, tensor in written.items())
    with pytest.raises(DataError, match=r"init_from[\s\S]*holds no run"):
        rehearse(load(f"generator.init_from={tmp_path}"))


def test_weights_of_another_make_say_what_both_are_made_of(load, tmp_path):
    first = run(load("train.steps=1", "generator.width=8"), tmp_path / "first").folder
    words = r"first/model\.safetensors \(width = 8\) does not fit toys/tiny \(width = 4\): "
    with pytest.raises(RecipeError, match=words):
        rehearse(load(f"generator.init_from={first / 'model.safetensors'}"))


def test_a_resumed_run_does_not_ask_for_the_weights_it_started_from(load, tmp_path):
    first = run(load("train.steps=1"), tmp_path / "first").folder / "model.safetensors"
    settings = (f"generator.init_from={first}",)
    run(load(*settings), tmp_path / "run", stop_at=6)
    first.unlink()
    assert run(load(*settings), tmp_path / "run").status == "done"


def test_what_a_plug_in_prints_stays_off_stdout(gan, toys):
    entry = toys / "i2i_toys" / "__init__.py"
    entry.write_text(entry.read_text() + "\nprint('hello from a plug-in')\n")
    line = [sys.executable, "-m", "i2i", "plugins", "--json"]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60)
    assert {plugin["namespace"] for plugin in json.loads(done.stdout)["plugins"]} >= {"core", "toys"}
    assert "hello from a plug-in" in done.stderr


def test_an_interrupted_run_says_so(load, gan, tmp_path):
    import signal
    import time

    folder = tmp_path / "run"
    line = [sys.executable, "-m", "i2i", "run", str(gan), "--out", str(folder), "--steps", "4000"]
    process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not (folder / "metrics.jsonl").exists() and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "interrupted at step" in out
    assert "failed" not in out
