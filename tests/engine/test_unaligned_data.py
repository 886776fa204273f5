"""Data without pairs: what compares pairs is refused or left out, and nothing of copying the input."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from i2i import run
from i2i.building.probe import probe
from i2i.core.transforms.geometry import Crop
from i2i.data.opening import open_data, open_splits
from i2i.data.stream import HeldOutPairs
from i2i.data.views import seen_by
from i2i.engine.rehearsal import rehearse
from i2i.engine.session import Session
from i2i.engine.stored import model_files
from i2i.errors import DataError, RecipeError
from i2i.kinds import GeneratorSlot, ImageSpec, Pair, PairSpec
from i2i.recipe.recipe import load_recipe
from i2i.runs import checkpoint, weights
from i2i.runs.header import ModelHeader
from i2i.system.device import resolve


@pytest.fixture
def horses(tmp_path: Path) -> Path:
    """Two kinds of pictures in the folders that CycleGAN has."""
    for channel, (name, count) in enumerate((("trainA", 14), ("trainB", 9), ("valA", 3), ("valB", 5))):
        (tmp_path / "horses" / name).mkdir(parents=True)
        for number in range(count):
            colour = tuple(20 * number if place == channel else 90 for place in range(3))
            Image.new("RGB", (16, 16), colour).save(tmp_path / "horses" / name / f"{name}-{number}.png")
    return tmp_path / "horses"


@pytest.fixture
def settings(horses: Path) -> tuple[str, ...]:
    """What makes the recipe of two generators one for these pictures."""
    return ("data.use=unpaired-images", f"data.root={horses}", "data.size=16", "data.batch_size=2")


def bits(folder: Path) -> dict[str, bytes]:
    last = checkpoint.newest(folder / "checkpoints")
    files = {path.name: path.read_bytes() for path in last.folder.glob("*.safetensors")}
    return files | {"model": (folder / "model.safetensors").read_bytes()}


def test_unpaired_pictures_train_and_go_on_to_the_same_bits_with_any_workers(two_way, settings, tmp_path):
    run(load_recipe(two_way, set=settings), tmp_path / "whole")
    workers = load_recipe(two_way, set=(*settings, "data.workers=2"))
    run(workers, tmp_path / "parts", stop_at=3)
    run(workers, tmp_path / "parts")
    assert bits(tmp_path / "parts") == bits(tmp_path / "whole")


def test_a_model_file_says_that_its_data_had_no_pairs_and_an_older_one_had_them(two_way, settings, tmp_path):
    folder = run(load_recipe(two_way, set=settings), tmp_path / "run").folder
    path = folder / "model.safetensors"
    spec, _ = ModelHeader.read(weights.read(path).header, path=path).generator(path=path)
    assert not spec.aligned
    side = {"channels": 3, "height": 8, "width": 8}
    assert PairSpec.from_json({"source": side, "target": side}).aligned


def test_a_paired_metric_is_refused_by_name_before_the_run_writes_anything(two_way, settings, tmp_path, i2i):
    wanted = (*settings, "metrics.error.use=mae", "metrics.ssim.use=ssim")
    with pytest.raises(RecipeError) as caught:
        run(load_recipe(two_way, set=wanted), tmp_path / "run")
    told = {problem.where: problem.message for problem in caught.value.problems}
    assert set(told) == {"metrics.error", "metrics.ssim"}
    assert told["metrics.error"].startswith("core/mae compares each translation with its own target")
    assert not list((tmp_path / "run").glob("*.toml"))
    words = [word for setting in wanted for word in ("--set", setting)]
    ended = i2i("recipe", "check", str(two_way), "--build", *words)
    assert ended.code == 2
    assert "core/ssim compares each translation with its own target" in ended.err


def test_the_line_of_the_table_that_needs_pairs_is_named(two_way, settings):
    text = two_way.read_text() + '\n[metrics.error]\nuse = "psnr"\n'
    two_way.write_text(text)
    recipe = load_recipe(two_way, set=settings)
    with pytest.raises(RecipeError) as caught:
        probe(recipe, open_data(recipe, "train").spec)
    (problem,) = caught.value.problems
    assert (problem.file, problem.line) == (str(two_way), text.splitlines().index("[metrics.error]") + 1)


def test_paired_adversarial_is_refused_on_data_without_pairs(load, settings):
    with pytest.raises(
        RecipeError, match="core/paired-adversarial compares each translation with the target"
    ):
        rehearse(load(*settings, unset=("metrics",)), device="cpu")


def test_nothing_is_said_of_copying_the_input_nor_of_the_worst_images(two_way, settings, tmp_path):
    wanted = (*settings, "metrics.sharp.use=diversity", "metrics.sharp.draws=2", "callbacks.s.use=samples")
    folder = run(load_recipe(two_way, set=wanted), tmp_path / "run").folder
    records = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    validations = [record for record in records if record["kind"] == "val"]
    assert validations
    assert all(record["metrics"] and not record["copy_input"] for record in validations)
    assert not list(folder.glob("worst/*"))
    report = (folder / "report.html").read_text()
    assert "These data are no pairs" in report
    assert "The worst held-out images" not in report


def test_eval_scores_whole_sets_alone_and_names_what_it_left_out(two_way, settings, horses, tmp_path, i2i):
    folder = run(load_recipe(two_way, set=settings), tmp_path / "run").folder
    ended = i2i("eval", str(folder), "--split", "val", "--metric", "mae", "--json")
    assert ended.code == 0, ended.err
    assert "Left out, as these data have no pairs that could be compared: mae." in ended.err
    (figure,) = json.loads(ended.out)["figures"].items()
    assert figure[0] == "spread"
    assert figure[1]["copy_input"] is None


def test_eval_of_unpaired_data_by_metrics_of_pairs_alone_says_what_to_add(two_way, settings, tmp_path, i2i):
    recipe = load_recipe(two_way, set=settings, unset=("metrics", "callbacks"))
    folder = run(recipe, tmp_path / "run").folder
    ended = i2i("eval", str(folder), "--split", "val", "--metric", "mae", "--metric", "psnr")
    assert ended.code == 2
    assert "mae, psnr: each compares a translation with its own target" in ended.err
    assert not (folder / "eval").exists()


def test_data_check_reads_unpaired_pictures(settings, tmp_path, i2i, horses):
    recipe = tmp_path / "horses.toml"
    recipe.write_text(
        f'recipe = 1\nname = "h"\n[data]\nuse = "unpaired-images"\nroot = "{horses}"\nsize = 16\n'
    )
    ended = i2i("data", "check", str(recipe))
    assert ended.code == 0, ended.err
    assert "17 of 17 sources can be used" in ended.out
    assert "val has 3 sources and 5 targets" in ended.out
    (horses / "valB" / "valB-0.png").write_bytes(b"no picture")
    broken = i2i("data", "check", str(recipe))
    assert broken.code == 3
    assert "valB-0.png" in broken.out


def test_a_target_that_cannot_be_read_is_drawn_anew_where_bad_items_are_skipped(two_way, settings, horses):
    for number in (1, 5, 7):
        (horses / "trainB" / f"trainB-{number}.png").write_bytes(b"no picture")
    recipe = load_recipe(two_way, set=(*settings, "data.on_bad=skip"))
    data = open_data(recipe, "train")
    drawn = [data.draw(0, torch.Generator().manual_seed(seed))["target"] for seed in range(60)]
    assert {int(target[1].max()) // 20 for target in drawn} == {0, 2, 3, 4, 6, 8}
    refusing = open_data(load_recipe(two_way, set=settings), "train")
    with pytest.raises(DataError, match="trainB-"):
        [refusing.draw(0, torch.Generator().manual_seed(seed)) for seed in range(60)]


@pytest.mark.parametrize("what", ["missing", "empty", "same"])
def test_folders_that_are_no_two_kinds_end_a_run_before_it_writes(two_way, settings, tmp_path, what):
    (tmp_path / "horses" / "empty").mkdir()
    target = {"missing": "nowhere", "empty": "empty", "same": "trainA"}[what]
    wanted = (*settings, "data.source=trainA", f"data.target={target}")
    with pytest.raises(DataError):
        run(load_recipe(two_way, set=wanted), tmp_path / "run")
    assert not list((tmp_path / "run").glob("*.toml"))


def test_a_crop_leaves_each_side_of_unaligned_data_at_its_own_scale():
    spec = PairSpec(ImageSpec(1, 8, 8), ImageSpec(1, 8, 8), aligned=False)
    source = torch.arange(20.0 * 30).reshape(1, 20, 30)
    target = torch.arange(9.0 * 11).reshape(1, 9, 11)
    out = Crop()(Pair(source, target, spec), size=(8, 8), rng=torch.Generator().manual_seed(1))
    assert out.source.shape == out.target.shape == (1, 8, 8)
    assert out.source[0, 1, 0] - out.source[0, 0, 0] == 30, "rows of the source as they were"
    assert out.target[0, 1, 0] - out.target[0, 0, 0] == 11, "rows of the target as they were"


def test_held_out_pictures_at_their_own_scale_come_as_the_middle_that_both_fill():
    class Sides:
        spec = PairSpec(ImageSpec(1, 8, 8), ImageSpec(1, 8, 8), aligned=False)

        def __len__(self):
            return 1

        def __getitem__(self, index):
            sizes = {"source": (10, 6), "target": (4, 12)}
            rows = {
                side: torch.arange(height, dtype=torch.uint8)[:, None].expand(height, width)[None].clone()
                for side, (height, width) in sizes.items()
            }
            return {**rows, "id": "0"}

    item = HeldOutPairs(Sides(), scale="own")[0]
    assert item[0].shape == item[1].shape == (1, 4, 6)
    assert ((item[0][0, :, 0] + 1) * 127.5).round().tolist() == [3, 4, 5, 6]


def test_whatever_is_made_of_data_without_pairs_has_none(two_way, settings, refine):
    data = open_data(load_recipe(two_way, set=settings), "train")
    assert not seen_by(GeneratorSlot("target", "source"), data).spec.aligned
    recipe = load_recipe(refine, set=("data.use=toys/unpaired-squares",), unset=("metrics.mae",))
    runtime = resolve("cpu", "fp32")
    session = Session(recipe, data=open_splits(recipe), runtime=runtime, provenance={})
    (model,) = model_files(session).values()
    assert model.header["pair_spec"]["aligned"] is False
