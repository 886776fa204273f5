"""Evaluating what was trained: figures, each image's own, definitions, and where they are written."""

from __future__ import annotations

import csv
import json
import shutil
import statistics
from pathlib import Path

import pytest
import torch
from PIL import Image

from i2i import run
from i2i.core.metrics.pixel import MAE
from i2i.core.metrics.ssim import SSIM
from i2i.engine.scoring import Scorer, definition
from i2i.kinds import Batch, ImageSpec, PairSpec
from i2i.models.evaluation import evaluate_trained
from i2i.models.trained import find_trained
from i2i.pages.numbers import short
from i2i.plugins.catalog import Catalog
from i2i.runs import weights
from i2i.system.device import resolve


@pytest.fixture
def trained(load, tmp_path) -> Path:
    """The folder of a finished run with two metrics, one of them over the whole set."""
    settings = ("train.steps=2", "metrics.spread.use=toys/spread", "metrics.psnr.use=psnr")
    return run(load(*settings), tmp_path / "run").folder


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """A working folder of its own."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_validation_split_scores_what_training_said_at_its_end(i2i, trained):
    ended = i2i("eval", str(trained), "--split", "val", "--json")
    assert ended.code == 0, ended.err
    last = json.loads((trained / "metrics.jsonl").read_text().splitlines()[-1])
    found = json.loads(ended.out)["figures"]
    assert {name: figure["mean"] for name, figure in found.items()} == last["metrics"]
    assert {name: figure["copy_input"] for name, figure in found.items()} == last["copy_input"]


def test_deviation_and_n_are_those_of_the_images_own_figures(i2i, trained):
    found = json.loads(i2i("eval", str(trained), "--json").out)
    table = rows(trained / "eval" / "test.csv")
    assert [row["id"] for row in table] == [f"s{number}" for number in range(200, 210)]
    assert found["images"] == len(table) == 10
    for name in ("mae", "psnr"):
        own = [float(row[name]) for row in table]
        figure = found["figures"][name]
        assert figure["n"] == 10
        assert figure["mean"] == pytest.approx(statistics.mean(own))
        assert figure["deviation"] == pytest.approx(statistics.stdev(own))
    assert "spread" not in table[0]
    assert found["figures"]["spread"]["deviation"] is None


def test_definitions_resize_and_credit_stand_beside_the_figures(i2i, trained):
    ended = i2i("eval", str(trained))
    written = json.loads((trained / "eval" / "test.json").read_text())
    assert written["definitions"]["spread"].startswith("How far all translations together spread")
    assert written["definitions"]["mae"] == definition(MAE())
    assert written["resize"] == "bilinear, smoothed as it shrinks; label maps by nearest neighbour"
    assert written["size"] == [16, 16]
    assert written["credit"] == "Squares by <nobody>, public domain."
    for sentence in (*written["definitions"].values(), written["resize"], written["credit"]):
        assert sentence in ended.out
    assert str(trained / "eval" / "test.csv") in ended.out


def test_the_table_says_which_way_is_better_and_what_the_input_scores(i2i, trained):
    lines = i2i("eval", str(trained)).out.splitlines()
    assert lines[0].split("  ")[0] == "figure"
    assert "copying the input" in lines[0]
    cells = {line.split()[0]: line.split() for line in lines[1:4]}
    assert cells["mae"][4] == "lower"
    assert cells["psnr"][4] == "higher"
    assert cells["spread"][2:4] == ["-", "10"]


def test_each_figure_and_each_image_says_whether_it_beats_copying_the_input(i2i, trained):
    found = json.loads(i2i("eval", str(trained), "--json").out)["figures"]
    printed = i2i("eval", str(trained)).out.splitlines()
    for name, better in (("mae", 1), ("psnr", -1)):
        figure = found[name]
        beats = better * figure["mean"] < better * figure["copy_input"]
        words = "beats copying" if beats else "worse than copying"
        assert figure["against_copying"] == words
        line = next(line for line in printed if line.startswith(f"{name} "))
        assert line.endswith(f"{words} ({short(figure['copy_input'])})")
    table = rows(trained / "eval" / "test.csv")
    assert list(table[0]) == ["id", "mae", "psnr", "mae_against_copying", "psnr_against_copying"]
    words = {row["mae_against_copying"] for row in table}
    assert words <= {"beats copying", "as good as copying", "worse than copying"}
    assert words


def test_splits_do_not_overwrite_each_other_and_out_chooses_the_folder(i2i, trained, tmp_path):
    for split in ("val", "test"):
        assert i2i("eval", str(trained), "--split", split, "--out", str(tmp_path / "out")).code == 0
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["test.csv", "test.json", "val.csv", "val.json"]
    assert not (trained / "eval").exists()


def test_a_fresh_start_takes_the_evaluation_away(i2i, load, trained):
    i2i("eval", str(trained))
    run(load("train.steps=1", unset=("callbacks",)), trained, fresh=True)
    assert not (trained / "eval").exists()


def test_metrics_can_be_added_set_and_taken_away(i2i, trained):
    arguments = ("--metric", "diversity", "--set", "metrics.diversity.draws=3", "--unset", "metrics.psnr")
    ended = i2i("eval", str(trained), *arguments, "--json")
    assert ended.code == 0, ended.err
    found = json.loads(ended.out)
    assert set(found["figures"]) == {"mae", "spread", "diversity"}
    assert found["figures"]["diversity"]["mean"] > 0
    assert found["figures"]["diversity"]["copy_input"] == 0
    assert found["draws"] == {"mae": 1, "spread": 1, "diversity": 3}


def test_metrics_of_one_name_from_two_packages_do_not_displace_each_other(i2i, distribution, trained):
    plugin = """
from i2i import hookimpl

i2i_api = 1


@hookimpl
def i2i_register(registry):
    registry.metric("psnr", "i2i_other.parts:PSNR", "another figure of that name")
"""
    parts = """
from i2i.core.metrics.pixel import MAE


class PSNR(MAE):
    '''Not that one.'''

    name, directions = "other", {"other": "min"}
"""
    distribution("i2i-other", "1.0", "other", {"i2i_other/__init__.py": plugin, "i2i_other/parts.py": parts})
    ended = i2i("eval", str(trained), "--metric", "psnr", "--metric", "other/psnr", "--json")
    assert ended.code == 0, ended.err
    found = json.loads(ended.out)
    assert {"psnr", "other"} < set(found["figures"])
    assert found["definitions"]["other-psnr"] == "Not that one."


def test_a_model_scored_in_bf16_says_so(i2i, trained):
    whole, half = (i2i("eval", str(trained), "--precision", name, "--json") for name in ("fp32", "bf16"))
    assert (whole.code, half.code) == (0, 0), half.err
    found = [json.loads(ended.out) for ended in (whole, half)]
    assert [each["precision"] for each in found] == ["fp32", "bf16"]
    mae, of_bf16 = (each["figures"]["mae"]["mean"] for each in found)
    assert mae != of_bf16
    assert mae == pytest.approx(of_bf16, abs=0.01)
    assert "The model computed in bf16" in half.err
    assert "bf16" not in whole.err
    assert json.loads(i2i("eval", str(trained), "--json").out)["figures"]["mae"]["mean"] == mae


def test_draws_and_seed_decide_what_dropout_draws(i2i, trained):
    def mae(*arguments: str) -> float:
        return json.loads(i2i("eval", str(trained), "--json", *arguments).out)["figures"]["mae"]["mean"]

    assert mae() == mae("--seed", "3")  # the recipe's own
    assert mae() != mae("--seed", "4")
    assert mae() != mae("--draws", "5")


def test_only_data_and_metrics_can_be_changed(i2i, trained):
    ended = i2i("eval", str(trained), "--set", "generator.width=3")
    assert ended.code == 2
    assert "here only data and metrics can be changed" in ended.err


def test_a_model_file_alone_knows_its_data_and_metrics(i2i, trained, here):
    shutil.copy(trained / "model.safetensors", here / "mine.safetensors")
    alone = i2i("eval", "mine.safetensors", "--json")
    assert alone.code == 0, alone.err
    inside = json.loads(i2i("eval", str(trained / "model.safetensors"), "--json").out)
    assert json.loads(alone.out)["figures"] == inside["figures"]
    assert json.loads(alone.out)["files"] == ["eval/test.csv", "eval/test.json"]
    assert (trained / "eval" / "test.csv").read_bytes() == (here / "eval" / "test.csv").read_bytes()


def test_a_model_file_carries_no_path_of_the_machine_it_was_made_on(i2i, gan, tmp_path, here):
    from PIL import Image

    for split in ("train", "val", "test"):
        folder = tmp_path / "photos" / split
        folder.mkdir(parents=True)
        for number in range(2):
            Image.effect_noise((32, 16), 60).convert("RGB").save(folder / f"{number}.png")
    settings = ("data.use=paired-images", f"data.root={tmp_path / 'photos'}", "data.size=16")
    arguments = [text for setting in settings for text in ("--set", setting)]
    assert i2i("run", str(gan), "--out", "run", "--steps", "1", *arguments).code == 0
    header = weights.read(here / "run" / "model.safetensors").header
    assert header["data"]["size"] == 16
    assert "root" not in header["data"]
    assert str(tmp_path) not in json.dumps({key: header[key] for key in header if key != "provenance"})

    shutil.copy(here / "run" / "model.safetensors", here / "mine.safetensors")
    refused = i2i("eval", "mine.safetensors")
    assert refused.code == 2
    assert "mine.safetensors  data.root\n  core/paired-images needs 'root'" in refused.err
    done = i2i("eval", "mine.safetensors", "--data", f"root={tmp_path / 'photos'}")
    assert done.code == 0, done.err


def test_a_recipe_beside_a_model_brings_its_own_data_and_metrics(i2i, trained, gan, here):
    text = gan.read_text().replace("batch_size = 2", "batch_size = 2\ncount = 4")
    Path("other.toml").write_text(text)
    found = json.loads(i2i("eval", str(trained), "--recipe", "other.toml", "--json").out)
    assert set(found["figures"]) == {"mae"}
    assert found["images"] == 4


def test_without_data_it_says_what_to_give(i2i, trained, here):
    file = weights.read(trained / "model.safetensors")
    header = {key: value for key, value in file.header.items() if key not in ("data", "metrics")}
    del header["format_version"], header["sha256"]
    weights.write(here / "bare.safetensors", file.tensors, header)
    ended = i2i("eval", "bare.safetensors")
    assert ended.code == 2
    assert "does not say which data it belongs to: give --recipe FILE, or --data use=NAME" in ended.err
    assert "add one, like --metric mae" in i2i("eval", "bare.safetensors", "--data", "use=toys/squares").err
    added = ("--data", "use=toys/squares", "--data", "count=3", "--metric", "mae")
    ended = i2i("eval", "bare.safetensors", *added, "--json")
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["images"] == 3


@pytest.mark.parametrize(
    ("name", "words", "code"), [("nothing", "No such file", 3), (".", "holds no run", 3)]
)
def test_what_is_no_model_is_one_sentence(i2i, here, name, words, code):
    ended = i2i("eval", name)
    assert (ended.code, len(ended.err.strip().splitlines())) == (code, 1)
    assert words in ended.err


def test_data_of_other_channels_is_refused(i2i, trained):
    ended = i2i("eval", str(trained), "--data", "use=toys/unpaired-squares")
    assert ended.code == 3
    assert "was trained with 3 channels on the source side, and toys/unpaired-squares has 1" in ended.err


def test_a_split_that_is_not_there_leads_to_the_option_for_another(i2i, trained, tmp_path):
    (tmp_path / "pairs" / "train").mkdir(parents=True)
    Image.new("RGB", (32, 16)).save(tmp_path / "pairs" / "train" / "1.png")
    ended = i2i("eval", str(trained), "--data", "use=paired-images", "--data", f"root={tmp_path / 'pairs'}")
    assert ended.code == 3
    hint = "put some into test; --split scores another; sources without targets are for i2i translate"
    assert f"none for test.   ({hint})" in ended.err


def test_a_picture_is_no_answer_where_classes_are_wanted():
    classes = ImageSpec(3, 4, 4, low=0.0, high=1.0, labels=True)
    source, target = torch.rand(1, 3, 4, 4) * 2 - 1, torch.zeros(1, 3, 4, 4).index_fill(1, torch.tensor(0), 1)
    batches = [Batch(source, target * 2 - 1, ("1",))]
    for spec, figures in (
        (PairSpec(ImageSpec(3, 4, 4), classes), set()),
        (PairSpec(classes, classes), {"mae"}),
        (PairSpec(ImageSpec(3, 4, 4), ImageSpec(3, 4, 4)), {"mae"}),
    ):
        scorer = Scorer({"mae": MAE()}, spec, resolve("cpu", "fp32"), seed=0, draws={"mae": 1})
        assert scorer.copy_input(batches).figures.keys() == figures


def test_two_metrics_with_one_figure_are_refused(i2i, trained):
    ended = i2i("eval", str(trained), "--set", "metrics.again.use=mae")
    assert ended.code == 2
    assert "metrics.mae and metrics.again both give a figure 'mae'" in ended.err


def test_sizes_that_the_generator_cannot_take_are_padded(i2i, trained):
    assert i2i("eval", str(trained), "--data", "size=15").code == 0


def test_a_plug_in_that_only_training_needed_may_be_gone(load, tmp_path):
    settings = ("generator.use=unet", "generator.depth=2", "generator.width=4", "train.steps=1")
    folder = run(load(*settings, unset=("callbacks",)), tmp_path / "run").folder
    (folder / "resolved.toml").write_text(
        (folder / "resolved.toml").read_text().replace('"toys/tiny"', '"gone/judge"')
    )
    catalog = Catalog.installed()
    found = evaluate_trained(find_trained(folder, catalog=catalog), split="test", catalog=catalog)
    assert found.figures["mae"].n == 10


def test_figures_that_are_not_finite_are_null_in_json(i2i, trained, tmp_path):
    file = tmp_path / "odd.py"
    file.write_text(
        "from i2i import hookimpl\ni2i_api = 1\n"
        "@hookimpl\ndef i2i_register(registry):\n    registry.metric('odd', ':Odd', 'not a number')\n"
        "class Odd:\n    '''Never a number.'''\n    directions = {'odd': 'min'}\n"
        "    def reset(self): pass\n    def update(self, *seen): pass\n"
        "    def compute(self): return {'odd': float('nan')}\n"
    )
    ended = i2i("eval", str(trained), "--plugin", str(file), "--metric", "local/odd", "--json")
    assert ended.code == 0, ended.err
    assert "NaN" not in ended.out
    assert json.loads(ended.out)["figures"]["odd"]["mean"] is None


def test_a_definition_is_the_docstring_up_to_its_arguments_unless_the_metric_says_it():
    class Spoken:
        """Its docstring.

        Args:
            size: of nothing.
        """

        definition = "In its own words."

    assert definition(Spoken()) == "In its own words."
    Spoken.definition = ""
    assert definition(Spoken()) == "Its docstring."
    assert definition(SSIM()).startswith("Structural similarity")
    assert definition(object.__new__(type("Bare", (), {}))) == ""


def test_scoring_leaves_the_random_state_as_it_was(trained):
    catalog = Catalog.installed()
    before = torch.get_rng_state()
    evaluate_trained(find_trained(trained, catalog=catalog), split="test", catalog=catalog)
    assert torch.equal(torch.get_rng_state(), before)


def test_data_that_are_not_those_of_the_training_are_told(i2i, load, tmp_path):
    for split, count in (("train", 3), ("val", 2)):
        for number in range(count):
            for side in "AB":
                path = tmp_path / "pairs" / split / side / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.effect_noise((16, 16), 90 + number).convert("RGB").save(path)
    data = ("data.use=paired-images", f"data.root={tmp_path / 'pairs'}", "data.size=16")
    folder = run(load(*data, "train.steps=1"), tmp_path / "own").folder
    same = i2i("eval", str(folder), "--split", "val")
    assert (same.code, "not the data of the training" in same.err) == (0, False)
    for side in "AB":
        Image.effect_noise((16, 16), 10).convert("RGB").save(tmp_path / "pairs" / "val" / side / "9.png")
    other = i2i("eval", str(folder), "--split", "val")
    assert other.code == 0
    told = "These are not the data of the training: the split 'val' had 2 pairs, and has 3 now."
    assert told in other.err
