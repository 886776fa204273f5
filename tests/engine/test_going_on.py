"""Going on with a run: nothing trained is lost, what changes no bit is taken, and what does is told."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from i2i import run
from i2i.engine.observer import Silent
from i2i.errors import RecipeError, ResourceError
from i2i.runs import checkpoint, weights


@pytest.fixture
def heard():
    """An observer that remembers what it was told."""
    observer = Silent()
    observer.notes = []
    observer.note = observer.notes.append
    return observer


def told(observer, *words: str) -> bool:
    return any(all(word in note for word in words) for note in observer.notes)


def bytes_below(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def model_of(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


def about(folder: Path) -> dict:
    return json.loads((folder / "provenance.json").read_text())


# --- nothing trained is lost --------------------------------------------------------------------------


@pytest.mark.parametrize("lost", ["checkpoints", "their manifests", "their states"])
def test_a_model_without_a_sound_checkpoint_is_not_started_over(load, tmp_path, lost):
    folder = tmp_path / "run"
    run(load(), folder, stop_at=9)
    if lost == "checkpoints":
        shutil.rmtree(folder / "checkpoints")
    else:
        name = "manifest.json" if lost == "their manifests" else "trainer.safetensors"
        for path in (folder / "checkpoints").glob(f"*/{name}"):
            path.write_bytes(b"x")
    before = bytes_below(folder)
    with pytest.raises(RecipeError) as caught:
        run(load(), folder)
    assert bytes_below(folder) == before
    message = str(caught.value)
    assert caught.value.exit_code == 2
    assert "holds the model model.safetensors, metrics.jsonl up to step 8 and" in message
    assert ("no checkpoint to go on from" if lost == "checkpoints" else "of which none is sound") in message
    assert "--fresh starts over" in message
    assert f"--set generator.init_from={folder / 'model.safetensors'}" in message
    assert run(load("train.steps=3"), folder, fresh=True).status == "done"


def test_checkpoints_of_which_none_is_sound_are_not_started_over_though_there_is_no_model(load, tmp_path):
    folder = tmp_path / "run"
    run(load(), folder, stop_at=3)
    (folder / "model.safetensors").unlink()
    (folder / "checkpoints" / "000003" / "manifest.json").write_bytes(b"x")
    with pytest.raises(RecipeError, match=r"1 checkpoint, of which none is sound \(000003\).*--fresh"):
        run(load(), folder)
    assert (folder / "checkpoints" / "000003").is_dir()


def test_a_run_cut_before_its_first_checkpoint_starts_over_by_itself(load, tmp_path, heard):
    folder = tmp_path / "run"
    run(load(), tmp_path / "whole")
    run(load(), folder, stop_at=3)
    shutil.rmtree(folder / "checkpoints")
    (folder / "model.safetensors").unlink()
    assert run(load(), folder, observer=heard).status == "done"
    assert not told(heard, "going on from before it")
    assert model_of(folder) == model_of(tmp_path / "whole")


def rewritten(folder: Path, change) -> None:
    """Save the checkpoint in `folder` again with another trainer state, as one that verifies."""
    read = {path.name: weights.read(path) for path in folder.glob("*.safetensors")}
    headers = {name: dict(file.header) for name, file in read.items()}
    headers["trainer.safetensors"] = change(headers["trainer.safetensors"])
    files = {name: weights.Snapshot(file.tensors, headers[name]) for name, file in read.items()}
    checkpoint.save(folder.parent, int(folder.name), files)


@pytest.mark.parametrize(
    "change",
    [
        lambda header: {},
        lambda header: {"trainer": {"map": []}},
        lambda header: {"trainer": {"map": [["step", "9"]]}},
        lambda header: {
            "trainer": json.loads(json.dumps(header["trainer"]).replace('"step", 9', '"step", 8'))
        },
        lambda header: {"trainer": json.loads(json.dumps(header["trainer"]).replace('"000001"', '"9"'))},
        lambda header: {"trainer": json.loads(json.dumps(header["trainer"]).replace("param_groups", "p"))},
        lambda header: {"trainer": {"map": header["trainer"]["map"], "list": []}},
    ],
)
def test_a_checkpoint_that_verifies_and_is_not_understood_is_passed_over_for_the_one_before(
    load, tmp_path, heard, change
):
    folder = tmp_path / "run"
    run(load(), tmp_path / "whole")
    run(load(), folder, stop_at=9)
    rewritten(folder / "checkpoints" / "000009", change)
    assert run(load(), folder, observer=heard).status == "done"
    assert told(heard, "000009 is damaged and was set aside as 000009.damaged; going on from before it")
    assert (folder / "checkpoints" / "000009.damaged").is_dir()
    assert model_of(folder) == model_of(tmp_path / "whole")


def test_where_no_checkpoint_is_understood_nothing_is_set_aside(load, tmp_path):
    folder = tmp_path / "run"
    run(load(), folder, stop_at=3)
    rewritten(folder / "checkpoints" / "000003", lambda header: {})
    with pytest.raises(RecipeError, match=r"of which none is sound \(000003\)"):
        run(load(), folder)
    assert [path.name for path in (folder / "checkpoints").iterdir()] == ["000003"]


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="has no file that fails to be read")
@pytest.mark.parametrize(
    "name", ["metrics.jsonl", "provenance.json", "summary.json", "checkpoints/000009/trainer.safetensors"]
)
def test_what_cannot_be_read_for_now_ends_the_start_and_nothing_is_touched(load, tmp_path, name):
    folder = tmp_path / "run"
    run(load(), folder, stop_at=9)
    path = folder / name
    kept = path.read_bytes()
    path.unlink()
    path.symlink_to("/proc/self/mem")
    with pytest.raises(ResourceError, match=rf"{path.name} cannot be read: Input/output error") as caught:
        run(load(), folder)
    assert caught.value.exit_code == 4
    assert path.is_symlink()
    path.unlink()
    path.write_bytes(kept)
    assert run(load(), folder).status == "done"


def test_a_run_killed_between_its_checkpoint_and_its_model_writes_the_model_at_the_next_start(load, tmp_path):
    folder = tmp_path / "run"
    run(load(), folder, stop_at=9)
    older = model_of(folder)
    run(load(), folder)
    last = model_of(folder)
    for left in (older, None):
        (folder / "summary.json").unlink()
        (folder / "model.safetensors").unlink()
        if left:
            (folder / "model.safetensors").write_bytes(left)
        run(load(), folder)
        assert model_of(folder) == last


def test_a_model_newer_than_the_checkpoint_that_is_gone_on_from_stays_until_its_step_comes(load, tmp_path):
    folder = tmp_path / "run"
    run(load(), folder, stop_at=9)
    (folder / "checkpoints" / "000009" / "manifest.json").write_bytes(b"x")
    before = model_of(folder)
    run(load(), folder, stop_at=6)
    assert json.loads((folder / "summary.json").read_text())["steps"] == 6
    assert model_of(folder) == before


def test_litter_of_killed_processes_is_removed_at_the_next_start(load, tmp_path):
    folder = tmp_path / "run"
    run(load(), folder, stop_at=6)
    pictures = next((folder / "samples").iterdir())
    for litter in (folder / ".i2i-abc", pictures / ".i2i-def"):
        litter.write_text("half a fi")
    for litter in (folder / ".i2i-ghi" / "000001", folder / "checkpoints" / "000009.unfinished"):
        litter.mkdir(parents=True)
    run(load(), folder)
    left = [path.name for path in folder.rglob("*") if "i2i-" in path.name or "unfinished" in path.name]
    assert left == []


def test_an_old_checkpoint_that_cannot_be_removed_ends_no_run(load, tmp_path, heard):
    folder = tmp_path / "run"
    run(load("train.keep=1"), folder, stop_at=3)
    (folder / "checkpoints" / "000003.removed").write_text("stands in the way")
    assert run(load("train.keep=1"), folder, observer=heard).status == "done"
    assert told(heard, "000003.removed was left by an earlier run and cannot be removed")
    assert told(heard, "the old checkpoint", "000003 cannot be removed")


# --- what changes no bit ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "setting",
    [
        "data.workers=1",
        'data.cache="none"',
        "train.log_every=3",
        "train.save_every=4",
        "train.keep=1",
        "name=b",
    ],
)
def test_what_changes_no_bit_is_taken_with_a_note(load, tmp_path, heard, setting):
    folder = tmp_path / "run"
    run(load(), tmp_path / "whole")
    run(load(), folder, stop_at=6)
    assert run(load(setting), folder, observer=heard).status == "done"
    key = setting.partition("=")[0]
    assert told(heard, f"{key} was ", "taken, for it changes no bit")
    assert (
        weights.read(folder / "model.safetensors").header["sha256"]
        == (weights.read(tmp_path / "whole" / "model.safetensors").header["sha256"])
    )
    assert about(folder)["changed"][0]["at"] == 6
    assert list(about(folder)["changed"][0]["keys"]) == [key]
    again = Silent()
    again.notes = []
    again.note = again.notes.append
    run(load(setting), folder, observer=again)
    assert not told(again, "taken")


@pytest.mark.parametrize(
    "setting", ["train.eval_every=4", "optimizers.generators.lr=0.1", "data.batch_size=1"]
)
def test_what_changes_the_training_is_refused_and_names_the_way_on(load, tmp_path, setting):
    run(load(), tmp_path / "run", stop_at=6)
    before = bytes_below(tmp_path / "run")
    model = tmp_path / "run" / "model.safetensors"
    with pytest.raises(RecipeError) as caught:
        run(load(setting), tmp_path / "run")
    assert f"{setting.partition('=')[0]} was " in str(caught.value)
    assert f"goes on from its model with --set generator.init_from={model}" in str(caught.value)
    assert bytes_below(tmp_path / "run") == before
    assert run(load(setting, f"generator.init_from={model}"), tmp_path / "other").status == "done"


def test_the_way_on_is_named_only_where_there_is_a_model(load, tmp_path):
    run(load(), tmp_path / "run", stop_at=6)
    (tmp_path / "run" / "model.safetensors").unlink()
    with pytest.raises(RecipeError, match=r"start over with --fresh\.$"):
        run(load("optimizers.generators.lr=0.1"), tmp_path / "run")


# --- the data -----------------------------------------------------------------------------------------


def add_pairs(root: Path, split: str, numbers: range) -> None:
    for side in "AB":
        (root / split / side).mkdir(parents=True, exist_ok=True)
        for number in numbers:
            Image.new("RGB", (16, 16), (number, 99, 0)).save(root / split / side / f"{number}.png")


@pytest.fixture
def from_disk(load, tmp_path):
    """Return a function that loads the toy recipe for pairs in the folder it is given."""
    add_pairs(tmp_path / "data", "train", range(8))
    add_pairs(tmp_path / "data", "val", range(2))
    return lambda root, *settings: load("data.use=paired-images", f"data.root={root}", *settings)


def test_a_run_whose_data_and_folder_were_moved_goes_on_to_the_same_bits(from_disk, tmp_path, heard):
    run(from_disk(tmp_path / "data"), tmp_path / "whole")
    run(from_disk(tmp_path / "data"), tmp_path / "run", stop_at=6)
    (tmp_path / "elsewhere").mkdir()
    for name in ("data", "run"):
        (tmp_path / name).rename(tmp_path / "elsewhere" / name)
    root, folder = tmp_path / "elsewhere" / "data", tmp_path / "elsewhere" / "run"
    assert run(from_disk(root), folder, observer=heard).status == "done"
    assert told(
        heard, f"data.root was {tmp_path / 'data'}, now {root}: taken, for it only says where something is"
    )
    assert not told(heard, "not the data")
    assert model_of(folder) == model_of(tmp_path / "whole")
    assert f'root = "{root}"' in (folder / "resolved.toml").read_text()


def test_other_data_at_resume_are_told_and_written_down(from_disk, tmp_path, heard):
    folder, root = tmp_path / "run", tmp_path / "data"
    run(from_disk(root), folder, stop_at=6)
    assert about(folder)["data"]["train"]["pairs"] == 8
    assert checkpoint.newest(folder / "checkpoints").facts["data"] == about(folder)["data"]
    add_pairs(root, "train", range(8, 12))
    run(from_disk(root), folder, observer=heard, stop_at=9)
    assert told(heard, "not the data of step 6", "'train' had 8 pairs, and has 12 now", "undisturbed run")
    assert about(folder)["other_data"][0]["at"] == 6
    assert about(folder)["data"]["train"]["pairs"] == 8
    assert checkpoint.newest(folder / "checkpoints").facts["data"]["train"]["pairs"] == 12
    assert "other data" in (folder / "report.html").read_text()
    heard.notes.clear()
    run(from_disk(root), folder, observer=heard)
    assert not told(heard, "not the data")


# --- more steps ---------------------------------------------------------------------------------------


def rates_of(folder: Path) -> dict[int, float]:
    records = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return {r["step"]: r["learning_rates"]["generators.main"] for r in records if r["kind"] == "train"}


@pytest.mark.parametrize("stop", [None, 6])
def test_a_run_is_made_longer_with_schedules_over_the_new_length(load, tmp_path, heard, stop):
    folder = tmp_path / "run"
    run(load("train.log_every=1"), folder, stop_at=stop)
    result = run(load("train.log_every=1"), folder, extend=8, observer=heard)
    assert (result.status, result.summary["steps"]) == ("done", 20)
    assert told(heard, "Extended from step 12 to 20", "not that of a run which was planned so long")
    done = stop or 12
    # linear-decay: constant for the first half of the run, then on a line that ends one step after the last.
    expected = {step: 1e-3 * (1.0 - max(step - 1 - 10, 0) / 10) for step in range(done + 1, 21)}
    assert {step: rate for step, rate in rates_of(folder).items() if step > done} == pytest.approx(expected)
    entry = about(folder)["extended"]
    assert entry == [{"at": done, "by": 8, "from": 12, "to": 20, "planned": {"steps": 12}}]
    assert "from step 12 to 20" in (folder / "report.html").read_text()
    assert checkpoint.newest(folder / "checkpoints").step == 20


def test_an_extension_that_was_cut_off_is_gone_on_with_by_either_command(load, tmp_path):
    run(load(), tmp_path / "once")
    run(load(), tmp_path / "once", extend=8)
    for again in (None, 8):
        folder = tmp_path / f"again-{again}"
        run(load(), folder)
        assert run(load(), folder, extend=8, stop_at=15).status == "stopped"
        assert run(load(), folder, extend=again).summary["steps"] == 20
        assert model_of(folder) == model_of(tmp_path / "once")


def test_a_run_that_is_being_made_longer_is_not_called_done_should_it_be_killed(load, tmp_path):
    folder, seen = tmp_path / "run", []
    run(load(), folder)
    observer = Silent()
    observer.progress = lambda step, **_: seen.append(
        json.loads((folder / "summary.json").read_text())["status"]
    )
    run(load(), folder, extend=2, observer=observer)
    assert set(seen) == {"stopped"}
    assert json.loads((folder / "summary.json").read_text())["status"] == "done"


def test_a_run_is_made_longer_twice_and_is_then_finished(load, tmp_path, heard):
    folder = tmp_path / "run"
    run(load(), folder)
    run(load(), folder, extend=2)
    assert run(load(), folder, extend=2).summary["steps"] == 16
    assert run(load(), folder, observer=heard).summary["steps"] == 16
    assert told(heard, "is finished already; --extend N trains on, --fresh starts it over")


def test_a_run_planned_in_epochs_is_made_longer_by_steps(load, tmp_path):
    recipe = load("train.epochs=3", unset=("train.steps",))
    planned = run(recipe, tmp_path / "run").summary["steps"]
    assert run(recipe, tmp_path / "run", extend=5).summary["steps"] == planned + 5


def test_other_steps_in_the_recipe_name_the_option(load, tmp_path):
    run(load(), tmp_path / "run")
    with pytest.raises(RecipeError, match=r"train.steps was 12, now 20.* --extend N makes it longer"):
        run(load("train.steps=20"), tmp_path / "run")


def test_only_a_run_that_is_there_is_made_longer(load, tmp_path, i2i, gan):
    with pytest.raises(RecipeError, match="holds none to go on with"):
        run(load(), tmp_path / "run", extend=8)
    assert not (tmp_path / "run").exists()
    for options in (("--extend", "8"), ("--extend", "8", "--fresh", "--out", str(tmp_path / "run"))):
        ended = i2i("run", str(gan), *options)
        assert ended.code == 2
        assert "give --out, and no --fresh" in ended.err


# --- room ---------------------------------------------------------------------------------------------


def test_a_run_for_which_there_is_no_room_does_not_start(load, tmp_path, monkeypatch):
    run(load(), tmp_path / "run")
    sizes = [path.stat().st_size for path in (tmp_path / "run/checkpoints/000012").glob("*.safetensors")]
    needed = 4 * sum(sizes) + (tmp_path / "run" / "model.safetensors").stat().st_size
    before = bytes_below(tmp_path)

    def of_bytes(free: int) -> None:
        monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=free))

    of_bytes(needed // 2)
    with pytest.raises(ResourceError, match=r"what the run saves will take [\d,]+ bytes in .*free") as caught:
        run(load(), tmp_path / "other")
    said = int(re.search(r"([\d,]+) bytes", str(caught.value))[1].replace(",", ""))
    assert said == pytest.approx(needed, rel=0.1)
    assert bytes_below(tmp_path) == before
    assert run(load(), tmp_path / "run", fresh=True).status == "done"  # it takes the place of the old one
    of_bytes(needed * 2)
    assert run(load(), tmp_path / "other").status == "done"


def test_the_rehearsal_writes_where_the_run_will(load, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    assert run(load(), tmp_path / "run").status == "done"
    assert not [path.name for path in (tmp_path / "run").iterdir() if path.name.startswith(".")]


def test_what_a_run_left_without_its_recipe_is_kept_and_the_way_on_is_named(load, tmp_path):
    run(load("train.steps=3"), tmp_path / "run")
    (tmp_path / "run" / "resolved.toml").unlink()
    before = (tmp_path / "run" / "model.safetensors").read_bytes()
    for fresh in (False, True):
        with pytest.raises(RecipeError, match=r"holds no run; .* generator\.init_from = '.*/run/model"):
            run(load("train.steps=3"), tmp_path / "run", fresh=fresh)
    assert (tmp_path / "run" / "model.safetensors").read_bytes() == before


def test_records_that_are_gone_are_told_when_the_run_goes_on(load, tmp_path, heard):
    run(load(), tmp_path / "run", stop_at=6)
    (tmp_path / "run" / "metrics.jsonl").unlink()
    run(load(), tmp_path / "run", observer=heard)
    assert any("metrics.jsonl holds no record of the steps up to 6" in note for note in heard.notes)


def test_a_key_that_a_later_version_has_added_is_no_other_recipe(load, tmp_path, heard):
    run(load(), tmp_path / "whole")
    run(load(), tmp_path / "run", stop_at=6)
    resolved = tmp_path / "run" / "resolved.toml"
    lines = resolved.read_text().splitlines(keepends=True)
    older = [line for line in lines if not line.startswith(("fingerprint =", "clip =", "init ="))]
    assert len(older) < len(lines) - 3
    resolved.write_text("".join(older))
    run(load(), tmp_path / "run", observer=heard)
    assert not any("was absent" in note for note in heard.notes)
    assert (tmp_path / "run" / "model.safetensors").read_bytes() == (
        tmp_path / "whole" / "model.safetensors"
    ).read_bytes()
    resolved.write_text("".join(older))
    with pytest.raises(RecipeError, match="clip was absent, now 1"):
        run(load("train.clip=1.0"), tmp_path / "run")


def test_contents_are_compared_where_they_are_asked_for(from_disk, tmp_path, heard):
    root = tmp_path / "data"
    run(from_disk(root, "data.fingerprint=contents"), tmp_path / "run", stop_at=3)
    picture = sorted((root / "train").rglob("*.png"))[0]
    Image.new("RGB", (16, 16), (77, 99, 0)).save(picture)
    run(from_disk(root, "data.fingerprint=contents"), tmp_path / "run", observer=heard)
    assert told(heard, "not the data of step 3", "their pixels are others")
