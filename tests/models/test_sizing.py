"""Pictures are translated at the scale that the model knows, and it is said when that was not their own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from i2i import run
from i2i.data.opening import open_data
from i2i.data.scale import pictures_of, scale_of
from i2i.data.stream import HeldOutPairs, held_out_batches
from i2i.errors import RecipeError
from i2i.images import normalise, quantise, read_image
from i2i.images.resizing import resize
from i2i.kinds import ImageSpec
from i2i.models.files import translate_all
from i2i.models.sizing import Sizing, asked_size
from i2i.models.translate import load_model, translate
from i2i.records import Pictures
from i2i.runs import weights

SOURCE = ImageSpec(3, 64, 96)
SQUARE = ImageSpec(3, 64, 64)


def sizes(sizing: Sizing, *pictures: tuple[int, int]) -> list[tuple[int, int]]:
    return [sizing.size(picture, f"{number}.png") for number, picture in enumerate(pictures)]


# --- which size ------------------------------------------------------------------------------------


def test_a_picture_of_the_trainings_proportions_comes_to_the_size_of_the_data():
    kept = Sizing(SOURCE, "shrunk", Pictures(640, 960, squashed=False))
    assert sizes(kept, (128, 192), (64, 96), (640, 960), (32, 48), (641, 961)) == [(64, 96)] * 5


def test_other_proportions_are_kept_where_training_kept_them():
    kept = Sizing(SQUARE, "shrunk", Pictures(512, 512, squashed=False))
    assert sizes(kept, (512, 1024), (300, 100), (100, 200)) == [(64, 128), (192, 64), (64, 128)]
    # A ribbon is not blown up until its shorter side is as in training.
    assert sizes(kept, (10, 1000), (1, 100_000)) == [(3, 256), (1, 256)]


@pytest.mark.parametrize("pictures", [Pictures(300, 600, squashed=True), None])
def test_where_training_squashed_pictures_they_are_squashed(pictures):
    assert sizes(Sizing(SQUARE, "shrunk", pictures), (512, 1024), (64, 64)) == [(64, 64)] * 2


@pytest.mark.parametrize("scale", ["own", None])
def test_pictures_keep_their_size_where_training_took_them_at_theirs_or_nobody_knows(scale):
    sizing = Sizing(SQUARE, scale, Pictures(200, 200, squashed=True))
    assert sizes(sizing, (300, 201), (64, 64)) == [(300, 201), (64, 64)]


def test_a_person_may_ask_for_another_size():
    of = {
        text: sizes(Sizing(SQUARE, "shrunk", None, asked_size(text)), (100, 200))[0]
        for text in ("native", "50", "128x32")
    }
    assert of == {"native": (100, 200), "50": (50, 100), "128x32": (128, 32)}
    for text in ("big", "0", "12x", "-4", "1.5", "64x64x3", "", "٣"):
        with pytest.raises(RecipeError, match="is no size: give native"):
            asked_size(text)


# --- what is said ----------------------------------------------------------------------------------


def test_what_was_brought_to_the_training_is_said_once_with_a_count():
    sizing = Sizing(SQUARE, "shrunk", None)
    sizes(sizing, *[(512, 512)] * 12, (64, 64))
    (note,) = sizing.notes()
    assert note.startswith(
        "12 pictures are brought to the scale of the training, 64x64, and the answers back"
    )
    assert "--size native" in note


def test_pictures_at_the_trainings_size_need_no_word():
    sizing = Sizing(SQUARE, "shrunk", None)
    sizes(sizing, (64, 64))
    assert sizing.notes() == []


def test_pictures_far_from_the_training_are_counted_and_the_first_named():
    own = Sizing(SQUARE, "own", Pictures(400, 400, squashed=False))
    sizes(own, (400, 400), (800, 800), (200, 200), (801, 801), (100, 100), (2000, 100), (64, 64), (9000, 90))
    (note,) = own.notes()
    assert note.startswith(
        "4 pictures are far from the scale of the training, 400x400, and not brought to it: "
        "3.png, 4.png, 6.png, …"
    )
    assert "--size 400" in note
    unknown = Sizing(SQUARE, None)
    sizes(unknown, (512, 512))
    assert unknown.notes()[0].startswith("1 picture is far from the scale of the training, 64x64")


# --- what a training says --------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Pairs of several sizes, none of them a multiple of anything."""
    root = tmp_path / "pairs"
    for split in ("train", "val", "test"):
        for number, size in enumerate([(41, 33), (41, 33), (27, 35)] * (2 if split == "train" else 1)):
            for side in "AB":
                path = root / split / side / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.effect_noise(size, 90).convert("RGB").save(path)
    return root


@pytest.fixture
def paired(load, folder):
    def load_with(*settings: str):
        data = ("data.use=paired-images", f"data.root={folder}", "data.size=16", "train.steps=2")
        return load(*data, "callbacks.samples.use=samples", "method.test_dropout=false", *settings)

    return load_with


CROP = "transforms.crop.use=crop"
JITTER = ("transforms.jitter.use=jitter", "transforms.jitter.resize=20")


def test_the_first_transform_that_says_so_decides_and_else_the_data(paired):
    assert scale_of(paired()) == "shrunk"
    assert scale_of(paired(CROP)) == "own"
    assert scale_of(paired("transforms.mirror.use=mirror", CROP)) == "own"
    assert scale_of(paired(CROP, 'transforms.crop.at="device"')) == "shrunk"
    assert scale_of(paired(*JITTER, CROP)) == "shrunk"

    class Tiles:
        scale = "own"

    class Factor:
        scale = 4

    assert scale_of(paired(), Tiles()) == "own"
    assert scale_of(paired(), Factor()) == "shrunk"
    assert scale_of(paired(*JITTER), Tiles()) == "shrunk"


def test_what_pictures_are_like_is_told_from_some_of_them(paired, folder):
    assert pictures_of(open_data(paired(), "train")) == Pictures(33, 41, squashed=True)
    assert pictures_of(open_data(paired("data.size=[66,82]"), "val")).squashed  # one is taller than wide
    (folder / "train" / "A" / "2.png").write_bytes(b"damaged")
    (folder / "train" / "A" / "5.png").unlink()
    (folder / "train" / "B" / "5.png").unlink()
    assert pictures_of(open_data(paired("data.size=[66,82]"), "train")) == Pictures(33, 41, squashed=False)


def test_a_data_set_drawn_at_any_size_squashes_nothing(load):
    data = open_data(load("data.use=shapes", "data.size=[24,16]"), "train")
    assert pictures_of(data) == Pictures(24, 16, squashed=False)


# --- from the training to the answer ---------------------------------------------------------------


def test_a_shrunk_answer_is_that_of_the_evaluation_to_the_bit(paired, folder, tmp_path, i2i):
    trained = run(paired(), tmp_path / "run").folder
    header = weights.read(trained / "model.safetensors").header
    assert header["scale"] == "shrunk"
    assert header["pictures"] == {"height": 33, "width": 41, "squashed": True}
    model = load_model(trained)
    pairs = HeldOutPairs(open_data(paired(), "val"))
    sources = [source for source, *_ in pairs]
    names = sorted((folder / "val" / "A").iterdir())
    done = i2i("translate", str(trained), str(folder / "val" / "A"), str(tmp_path / "out"), "--device", "cpu")
    assert done.code == 0
    assert "3 pictures are brought to the scale of the training, 16x16" in done.err
    for source, name in zip(sources, names, strict=True):
        answer = translate(model, source)
        own = read_image(name).shape[-2:]
        spec = model.spec.target
        brought_back = quantise(resize(answer, tuple(own), labels=False), spec)
        assert torch.equal(read_image(tmp_path / "out" / name.name), brought_back)
    sized = ("--size", "16x16")
    assert i2i("translate", str(trained), str(names[0]), str(tmp_path / "one.png"), *sized).code == 0
    assert torch.equal(read_image(tmp_path / "one.png"), read_image(tmp_path / "out" / names[0].name))


def test_at_their_own_scale_pictures_are_scored_and_translated_whole(paired, folder, tmp_path, i2i):
    recipe = paired(CROP, "metrics.mae.use=mae", "data.batch_size=2")
    trained = run(recipe, tmp_path / "run").folder
    assert weights.read(trained / "model.safetensors").header["scale"] == "own"
    model = load_model(trained)
    pairs = HeldOutPairs(open_data(recipe, "val"), scale="own")
    assert [tuple(target.shape) for _, target, *_ in pairs] == [(3, 33, 41), (3, 33, 41), (3, 35, 27)]
    errors = []
    for source, target, *_ in pairs:
        stored = quantise(translate(model, source), model.spec.target).float()
        errors.append(float((stored - quantise(target, model.spec.target).float()).abs().mean() / 255))
    wanted = sum(errors) / len(errors)
    last = json.loads((trained / "metrics.jsonl").read_text().splitlines()[-1])
    assert last["metrics"]["mae"] == pytest.approx(wanted, abs=1e-5)
    scored = i2i("eval", str(trained), "--split", "val", "--json")
    assert scored.code == 0, scored.err
    record = json.loads(scored.out)
    assert record["figures"]["mae"]["mean"] == pytest.approx(wanted, abs=1e-5)
    assert (record["scale"], record["size"]) == ("own", None)
    assert (trained / "samples").is_dir()
    done = i2i("translate", str(trained), str(folder / "val" / "A"), str(tmp_path / "out"))
    assert (done.code, done.err) == (0, "")
    source, *_ = pairs[0]
    answer = quantise(translate(model, source), model.spec.target)
    assert torch.equal(read_image(tmp_path / "out" / "0.png"), answer)
    calibrated = i2i("calibrate", str(trained), "--out", str(tmp_path / "c.safetensors"))
    assert calibrated.code == 0, calibrated.err
    assert weights.read(tmp_path / "c.safetensors").header["scale"] == "own"


def test_whole_pairs_of_one_size_share_a_batch(paired):
    recipe = paired(CROP, "data.batch_size=4")
    batches = list(held_out_batches(open_data(recipe, "val"), recipe.data.settings, scale="own"))
    assert [len(batch.ids) for batch in batches] == [2, 1]
    pairs = HeldOutPairs(open_data(recipe, "val"), scale="own")
    source, target, *_ = pairs.spread(1)[0]
    whole, *_ = pairs[0]
    assert source.shape == target.shape == (3, 16, 16)
    assert torch.equal(source, whole[:, 8:24, 12:28])


def old_file(trained: Path, to: Path) -> Path:
    """Write the model as it was before files said at which scale they were trained."""
    file = weights.read(trained / "model.safetensors")
    header = {k: v for k, v in file.header.items() if k not in (*weights.OWN, "scale", "pictures")}
    weights.write(to, file.tensors, header)
    return to


def test_an_older_file_counts_as_shrunk_where_a_recipe_beside_it_says_so(paired, folder, tmp_path):
    trained = run(paired(), tmp_path / "run").folder
    alone = load_model(old_file(trained, tmp_path / "alone.safetensors"))
    beside = load_model(old_file(trained, trained / "model.safetensors"))
    assert (alone.scale, beside.scale) == (None, "shrunk")
    picture = tmp_path / "big.png"
    Image.effect_noise((200, 100), 90).convert("RGB").save(picture)
    image = normalise(read_image(picture), alone.spec.source)
    answers = {}
    for name, model in (("alone", alone), ("beside", beside)):
        sizing = model.sizing()
        list(translate_all(model, [(picture, tmp_path / f"{name}.png")], seed=0, sizing=sizing))
        answers[name] = read_image(tmp_path / f"{name}.png")
        assert len(sizing.notes()) == 1
    assert torch.equal(answers["alone"], quantise(translate(alone, image), alone.spec.target))
    small = translate(beside, resize(image, (16, 16), labels=False))
    assert torch.equal(
        answers["beside"], quantise(resize(small, (100, 200), labels=False), beside.spec.target)
    )
    cropped = run(paired(CROP), tmp_path / "cropped").folder
    assert load_model(old_file(cropped, cropped / "model.safetensors")).scale == "own"
