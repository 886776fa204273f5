"""Pictures in memory: the bits of the command's files, in the kind of picture that was given."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from i2i import Translator, run
from i2i.errors import DataError, RecipeError
from i2i.images import read_image
from i2i.kinds import Colour, ImageSpec, Part

PALETTE: tuple[Colour, ...] = ((0, 0, 0), (200, 10, 10), (10, 200, 10), (10, 10, 200))
RNG = np.random.default_rng(0)


@pytest.fixture
def model(load, tmp_path) -> Path:
    """The folder of a run whose model has dropout on and norms with each image's own statistics."""
    return run(load("train.steps=2"), tmp_path / "run").folder


def noise(*shape: int, dtype: str = "uint8") -> np.ndarray:
    return RNG.integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)


def file_of_command(i2i, model: Path, source: Path, *options: str) -> Path:
    """Return the file that `i2i translate` writes for another."""
    target = source.parent.with_name("out") / source.name
    done = i2i("translate", str(model), str(source), str(target), "--device", "cpu", "--overwrite", *options)
    assert done.code == 0, done.err
    return target


def a_file(folder: Path, mode: str = "RGB", size: tuple[int, int] = (23, 17), name: str = "one.png") -> Path:
    folder.mkdir(exist_ok=True)
    deep = noise(*size, dtype="uint16") if mode == "I;16" else None
    picture = Image.fromarray(noise(*size, 4) if deep is None else deep)
    if mode in ("P", "1"):
        picture = picture.convert("RGB")
    picture.convert(mode).save(folder / name)
    return folder / name


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P", "1", "LA", "I;16"])
def test_a_picture_has_the_bits_of_the_commands_file(model, tmp_path, i2i, mode):
    source = a_file(tmp_path / "in", mode)
    written = file_of_command(i2i, model, source)
    with Image.open(source) as picture:
        assert picture.mode == mode
        answer = Translator(model, device="cpu")(picture)
    assert answer.mode == "RGB"
    assert np.array_equal(np.array(answer), np.array(Image.open(written)))


@pytest.mark.parametrize(
    ("options", "arguments"),
    [
        ((), {}),
        (("--seed", "3"), {"seed": 3}),
        (("--size", "native"), {"size": "native"}),
        (("--size", "24"), {"size": 24}),
        (("--size", "24x40"), {"size": (24, 40)}),
        (("--no-dropout",), {"dropout": False}),
        (("--norm", "running"), {"norm": "running"}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_options_mean_what_they_mean_to_the_command(model, tmp_path, i2i, options, arguments):
    source = a_file(tmp_path / "in", size=(70, 51))
    written = read_image(file_of_command(i2i, model, source, *options))
    translator = Translator(model, device="cpu", **arguments)
    answer = translator(np.array(Image.open(source)), name="one.png")
    assert torch.equal(torch.from_numpy(answer).permute(2, 0, 1), written)
    assert bool(translator.notes) == (arguments.get("size") != 24 and arguments.get("size") != (24, 40))


def test_samples_are_those_of_the_command(model, tmp_path, i2i):
    source = a_file(tmp_path / "in")
    written = file_of_command(i2i, model, source, "--samples", "3")
    translator = Translator(model, device="cpu")
    with Image.open(source) as picture:
        answers = translator.samples(picture, 3)
        assert np.array_equal(np.array(translator(picture)), np.array(answers[0]))
    for number, answer in enumerate(answers, start=1):
        file = Image.open(written.with_stem(f"one-{number}"))
        assert np.array_equal(np.array(answer), np.array(file))


def test_a_list_has_the_answers_of_its_pictures_one_by_one(model, tmp_path):
    pictures = [noise(16, 16, 3), noise(20, 9), noise(20, 9, 3), noise(16, 16, 3)]
    translator = Translator(model, device="cpu")
    answers = translator(pictures)
    assert [answer.shape for answer in answers] == [(16, 16, 3), (20, 9, 3), (20, 9, 3), (16, 16, 3)]
    assert all(
        np.array_equal(one, translator(picture)) for one, picture in zip(answers, pictures, strict=True)
    )
    mixed = translator([Image.fromarray(pictures[0]), pictures[1]])
    assert np.array_equal(np.array(mixed[0]), answers[0])
    assert np.array_equal(mixed[1], answers[1])
    assert translator([]) == []


def test_names_tell_the_pictures_of_a_list_apart_for_dropout(model):
    same = [noise(16, 16, 3)] * 2
    translator = Translator(model, device="cpu")
    one, other = translator(same, name=["a.png", "b.png"])
    assert not np.array_equal(one, other)
    assert np.array_equal(other, translator(same[0], name="somewhere/b.png"))
    with pytest.raises(DataError, match=r"2 pictures have 1 names: give one for each"):
        translator(same, name=["a.png"])


def test_pictures_of_one_size_go_through_the_network_together(model):
    translator = Translator(model, device="cpu", dropout=False, batch_size=3)
    seen = []
    translator._model.module.register_forward_pre_hook(lambda module, given: seen.append(given[0].shape[0]))
    pictures = [noise(16, 16, 3) for _ in range(4)] + [noise(16, 24, 3)]
    together = translator(pictures)
    assert seen == [1, 3, 1, 1]  # the first one shows that company changes nothing
    seen.clear()
    assert all(map(np.array_equal, translator(pictures), together))
    assert seen == [3, 1, 1]
    apart = Translator(model, device="cpu", dropout=False)(pictures)
    for one, other in zip(together, apart, strict=True):
        assert np.abs(one.astype(int) - other).max() <= 1


def test_dropout_is_drawn_for_each_picture_of_a_batch_by_itself(model):
    pictures, names = [noise(16, 16, 3) for _ in range(3)], ["a.png", "b.png", "c.png"]
    together = Translator(model, device="cpu", dropout=True, batch_size=3)(pictures, name=names)
    apart = Translator(model, device="cpu", dropout=True)(pictures, name=names)
    for one, other in zip(together, apart, strict=True):
        assert np.abs(one.astype(int) - other).max() <= 1


def test_a_precision_of_half_the_bits_is_close(model):
    picture = noise(16, 16, 3)
    halved = Translator(model, device="cpu", dropout=False, precision="bf16")(picture)
    whole = Translator(model, device="cpu", dropout=False)(picture)
    assert 0 < np.abs(halved.astype(int) - whole).max() <= 8


@pytest.mark.parametrize(
    ("array", "spec"),
    [
        (noise(30, 41), ImageSpec(1, 8, 8)),
        (noise(30, 41, 1), ImageSpec(1, 8, 8)),
        (noise(30, 41, 4), ImageSpec(4, 8, 8)),
        (noise(30, 41, 5), ImageSpec(5, 8, 8)),
        (noise(30, 41, dtype="uint16"), ImageSpec(1, 8, 8, depth="uint16", high=65535)),
        (noise(30, 41, 3, dtype="uint16"), ImageSpec(3, 8, 8, depth="uint16", high=65535)),
        (noise(30, 41, dtype="uint16") % 4096, ImageSpec(1, 8, 8, depth="uint16", high=4095)),
        (noise(30, 41, 3), ImageSpec(3, 8, 8, depth="uint16", high=65535)),
        (noise(9, 9) % 4, ImageSpec(4, 8, 8, high=1, labels=True)),
    ],
    ids=lambda value: str(value.shape) if isinstance(value, np.ndarray) else value.depth,
)
def test_an_array_comes_back_as_it_went_in(identity, array, spec):
    answer = Translator(identity(spec), device="cpu", size="native")(array)
    assert (answer.dtype, answer.shape) == (array.dtype, array.shape)
    assert np.array_equal(answer, array)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_floats_are_shares_of_the_range_of_integers(identity, dtype):
    array = (noise(16, 16, 3) / 255).astype(dtype)
    answer = Translator(identity(ImageSpec(3, 8, 8)), device="cpu")(array)
    assert answer.dtype == array.dtype
    assert np.allclose(answer, array, atol=1e-3 if dtype == "float16" else 1e-6)


def test_what_arithmetic_left_beside_the_range_of_floats_is_cut_off(identity):
    picture = np.linspace(-1e-6, 1 + 1e-6, 192, dtype=np.float32).reshape(8, 8, 3)
    answer = Translator(identity(ImageSpec(3, 8, 8)), device="cpu")(picture)
    assert np.abs(answer - picture.clip(0, 1)).max() < 1e-5


def test_grey_floats_are_repeated_as_grey_integers_are(identity):
    grey = noise(16, 16, 1)[..., 0] / 255
    answer = Translator(identity(ImageSpec(3, 8, 8)), device="cpu")(grey)
    assert answer.shape == (16, 16, 3)
    assert np.allclose(answer, grey[..., None], atol=1e-6)


def test_floats_are_the_stored_values_of_data_that_are_floats(identity, tmp_path, i2i):
    spec = ImageSpec(2, 8, 8, depth="float32", low=-40.0, high=60.0)
    array = RNG.uniform(-40, 60, (16, 16, 2)).astype(np.float32)
    model = identity(spec)
    (tmp_path / "in").mkdir()
    np.save(tmp_path / "in" / "one.npy", array)
    written = np.load(file_of_command(i2i, model, tmp_path / "in" / "one.npy"))
    answer = Translator(model, device="cpu")(array)
    assert np.array_equal(answer, written)
    assert np.allclose(answer, array, atol=1e-4)


def test_an_answer_can_have_other_channels_than_its_picture(identity):
    spec, target = ImageSpec(3, 8, 8), ImageSpec(3, 8, 8, depth="float32", low=0.0, high=2.0)
    array = noise(8, 8, 3)
    answer = Translator(identity(spec, target), device="cpu")(array)
    assert answer.dtype == np.float32  # what integers cannot hold
    assert np.allclose(answer, array / 255 * 2, atol=1e-5)


def test_deep_grey_pictures_of_pillow_stay_deep(identity):
    array = noise(16, 16, dtype="uint16")
    model = identity(ImageSpec(1, 8, 8, depth="uint16", high=65535))
    for picture in (Image.fromarray(array), Image.fromarray(array.astype(np.int32))):
        answer = Translator(model, device="cpu")(picture)
        assert answer.mode == "I;16"
        assert np.array_equal(np.array(answer), array)


def test_classes_keep_their_palette(identity, tmp_path, i2i):
    spec = ImageSpec(4, 8, 8, high=1, labels=True, palette=PALETTE)
    picture = Image.fromarray((noise(16, 16) % 4).astype(np.uint8))
    picture.putpalette([value for colour in PALETTE for value in colour])
    answer = Translator(identity(spec), device="cpu")(picture)
    assert answer.mode == "P"
    assert np.array_equal(np.array(answer), np.array(picture))
    assert answer.convert("RGB").getpixel((0, 0)) == picture.convert("RGB").getpixel((0, 0))


def test_a_rotated_photo_comes_out_upright(identity):
    photo = Image.fromarray(noise(16, 24, 3))
    photo.getexif()[0x0112] = 6
    photo.info["exif"] = photo.getexif().tobytes()
    answer = Translator(identity(ImageSpec(3, 8, 8)), device="cpu", size="native")(photo)
    assert answer.size == (16, 24)


BAD = [
    (noise(8, 8, 2), r"an image with 2 channel\(s\) of uint8 cannot be turned into 3"),
    (noise(8, 8, 3).astype(np.int64), r"an array of int64 with the shape \(8, 8, 3\) is no picture"),
    (noise(8, 8, 3) > 9, r"an array of bool with the shape \(8, 8, 3\) is no picture"),
    (noise(2, 8, 8, 3), r"an array of uint8 with the shape \(2, 8, 8, 3\) is no picture"),
    (np.zeros((0, 8, 3), np.uint8), r"with the shape \(0, 8, 3\) is no picture"),
    (np.full((8, 8, 3), 2.0), r"floats stand for values from 0 to 1 here, and these go from 2 to 2"),
    (np.full((8, 8, 3), np.nan), r"values that are not finite"),
    (np.full((8, 8, 2), 0.5), r"an image with 2 channel\(s\) of float32 cannot be turned into 3"),
    (torch.zeros(3, 8, 8), r"a Tensor is no picture: give one of Pillow's, or an array of NumPy's"),
    ("one.png", r"a str is no picture"),
    (Image.new("F", (8, 8)), r"an image with 1 channel\(s\) of float32 cannot be turned into 3"),
]


@pytest.mark.parametrize(("picture", "message"), BAD)
def test_what_is_no_picture_for_the_model_is_refused_in_a_sentence(identity, picture, message):
    translator = Translator(identity(ImageSpec(3, 8, 8)), device="cpu")
    with pytest.raises(DataError, match=message) as caught:
        translator(picture)
    assert len(caught.value.problems) == 1
    with pytest.raises(DataError, match=r"picture 2\n"):
        translator([noise(8, 8, 3), picture])


def test_pictures_that_pillow_has_not_or_would_cut_short_are_refused(identity, tmp_path):
    deep = identity(ImageSpec(3, 8, 8, depth="uint16", high=65535))
    with pytest.raises(DataError, match=r"Pillow has no pictures with 3 channel\(s\) of uint16"):
        Translator(deep, device="cpu")(Image.fromarray(noise(8, 8, 3)))
    from i2i.images import write_image

    spec = ImageSpec(3, 8, 8, depth="uint16", high=65535)
    write_image(tmp_path / "deep.png", torch.zeros(3, 8, 8), spec=spec)
    with (
        Image.open(tmp_path / "deep.png") as picture,
        pytest.raises(DataError, match=r"deep\.png\n.*Pillow keeps 8"),
    ):
        Translator(deep, device="cpu")(picture)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": "big"}, r"'big' is no size"),
        ({"size": 0}, r"'0' is no size"),
        ({"size": (8, 0)}, r"'8x0' is no size"),
        ({"norm": "layer"}, r"norm = 'layer' is not known"),
        ({"batch_size": 0}, r"batch_size = 0 is no number of pictures"),
        ({"precision": "fp16"}, r"precision = 'fp16' is not known: give auto, fp32, bf16"),
    ],
)
def test_arguments_that_mean_nothing_are_refused(identity, arguments, message):
    with pytest.raises(RecipeError, match=message):
        Translator(identity(ImageSpec(3, 8, 8)), device="cpu", **arguments)


def test_samples_that_would_be_equal_are_refused(identity):
    translator = Translator(identity(ImageSpec(3, 8, 8)), device="cpu")
    with pytest.raises(RecipeError, match=r"draws nothing at random"):
        translator.samples(noise(8, 8, 3), 2)
    with pytest.raises(RecipeError, match=r"0 is no number of samples"):
        translator.samples(noise(8, 8, 3), 0)


def test_a_file_that_is_no_model_is_refused(tmp_path):
    (tmp_path / "x.safetensors").write_bytes(b"not a model")
    with pytest.raises(DataError, match=r"is not a weights file"):
        Translator(tmp_path / "x.safetensors")


def test_its_name_is_at_hand_without_torch():
    code = "import sys, i2i; assert 'Translator' in dir(i2i) and 'torch' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


# --- sides of several files -------------------------------------------------------------------------


def several(tmp_path: Path) -> ImageSpec:
    """Return a side of a label map, grey, and two channels of 16 bits; write one of each below `in`."""
    parts = (
        Part("seg", 4, "uint8", 0, 1, labels=True, palette=PALETTE),
        Part("grey", 1, "uint8", 0, 255),
        Part("deep", 1, "uint16", 0, 4095),
    )
    for part in parts:
        (tmp_path / "in" / part.name).mkdir(parents=True)
    seg = Image.fromarray(noise(9, 12) % 4)
    seg.putpalette([value for colour in PALETTE for value in colour])
    seg.save(tmp_path / "in/seg/1.png")
    Image.fromarray(noise(9, 12)).save(tmp_path / "in/grey/1.png")
    Image.fromarray(noise(9, 12, dtype="uint16") % 4096).save(tmp_path / "in/deep/1.png")
    return ImageSpec(6, 8, 8, "float32", -1, 1, parts=parts)


def test_parts_come_and_go_by_name(identity, tmp_path):
    translate = Translator(identity(several(tmp_path)), device="cpu")
    opened = {name: Image.open(tmp_path / f"in/{name}/1.png") for name in ("seg", "grey", "deep")}
    pictures = translate(opened)
    assert {name: np.array(picture).tolist() for name, picture in pictures.items()} == {
        name: np.array(picture).tolist() for name, picture in opened.items()
    }
    assert pictures["seg"].getpalette()[:12] == [value for colour in PALETTE for value in colour]
    given = {name: np.array(opened[name]) for name in ("grey", "deep")}
    given["seg"] = np.array(opened["seg"].convert("RGB"))
    arrays = translate(given)
    assert {name: (array.dtype.name, array.shape) for name, array in arrays.items()} == {
        "seg": ("uint8", (9, 12)),
        "grey": ("uint8", (9, 12)),
        "deep": ("uint16", (9, 12)),
    }
    assert np.array_equal(arrays["deep"], np.array(opened["deep"]))
    assert np.array_equal(arrays["seg"], np.array(opened["seg"]))


def test_parts_that_do_not_fit_the_model_are_named(identity, tmp_path):
    spec = several(tmp_path)
    translate = Translator(identity(spec), device="cpu")
    grey = np.zeros((9, 12), np.uint8)
    with pytest.raises(DataError, match="the picture is given as grey; the model takes seg, grey, deep"):
        translate({"grey": grey})
    black = np.zeros((9, 12, 3), np.uint8)
    with pytest.raises(DataError, match="different sizes: 12x9, 12x9, 12x5"):
        translate({"seg": black, "grey": grey, "deep": np.zeros((5, 12), np.uint16)})
    with pytest.raises(DataError, match="the model takes one picture"):
        Translator(identity(ImageSpec(3, 8, 8)), device="cpu")({"a": black})
