"""Large pictures in tiles: what whole pictures are where that can be, and else it is measured and said."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from torch import nn

from i2i import Translator, run, testtime
from i2i.core.generators.unet import UNet
from i2i.errors import DataError, RecipeError, ResourceError
from i2i.images import read_image, tiff, write_image
from i2i.images.rows import pixels_of
from i2i.models import tiling
from i2i.models.averaging import PASSES, Averaged
from i2i.models.evaluation import evaluate_trained
from i2i.models.files import Done, translate_all
from i2i.models.sources import read_source
from i2i.models.tiling import Tiling, asked_tile
from i2i.models.trained import find_trained
from i2i.models.translate import Model, load_model, translate
from i2i.plugins.catalog import Catalog
from i2i.recipe.recipe import load_recipe
from i2i.records import ImageSpec, PairSpec, Part, TestSettings
from i2i.seeds import seeded

SPEC = PairSpec(ImageSpec(3, 64, 64), ImageSpec(3, 64, 64))


def unet(*, norm="running", dropout=False, spec: PairSpec = SPEC, depth: int = 3) -> Model:
    """A U-Net whose running statistics are those of pictures, as after training; it looks 19 px far."""
    torch.manual_seed(0)
    sides = {"in_channels": spec.source.channels, "out_channels": spec.target.channels}
    module = UNet(**sides, depth=depth, width=8, dropout=0.5)
    with torch.no_grad():
        for _ in range(20):
            module.train()(torch.rand(2, spec.source.channels, 64, 64) * 2 - 1)
    testtime.apply(module, TestSettings(dropout=dropout, norm=norm))
    return Model(module, spec, ())


def picture(height: int, width: int, channels: int = 3) -> torch.Tensor:
    rng = torch.Generator().manual_seed(1)
    return torch.rand(channels, height, width, generator=rng) * 2 - 1


def shapes_seen(model: Model) -> list[tuple[int, ...]]:
    seen: list[tuple[int, ...]] = []
    network = model.module.network if isinstance(model.module, Averaged) else model.module
    network.register_forward_pre_hook(lambda module, given: seen.append(tuple(given[0].shape)))
    return seen


# --- the whole picture -----------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(256, 256), (203, 301), (97, 300), (300, 64), (113, 129)])
@pytest.mark.parametrize(("tile", "overlap"), [(96, None), (112, 40), (96, 64)])
def test_with_fixed_statistics_tiles_are_the_whole_picture(size, tile, overlap):
    model = unet()
    tiled = model.answering(tile=tile, overlap=overlap)
    source = picture(*size)
    answer = translate(tiled, source)
    assert torch.allclose(answer, translate(model, source), atol=1e-4)
    assert tiled.tiling.covered
    assert tiled.tiling.apart is None
    (note,) = tiled.tiling.notes()
    assert re.match(
        r"1 picture was translated in tiles of \d+ px that overlap by \d+; its network looks 19", note
    )


def test_a_network_that_looks_too_far_for_its_tiles_is_told_how_far_they_are_from_the_whole():
    model = unet().answering(tile=64, overlap=16)
    source = picture(100, 200)
    answer = translate(model, source)
    apart = model.tiling.apart
    assert (apart.height, apart.width) == (100, 112)
    assert 0 < apart.mean < apart.most < 100
    assert not torch.allclose(answer, translate(unet(), source), atol=1e-4)
    first, second = model.tiling.notes()
    assert "its network looks 19 px far, for which they overlap too little: on a part of 100x112 px" in first
    assert f"at most {apart.most:.0f} and on average {apart.mean:.2f} of 255 levels from the whole" in first
    assert second == "--overlap 40 is enough for that."


@pytest.mark.parametrize(
    ("tile", "overlap", "cut"),
    [
        (64, 12, (64, 16, 8)),  # no less than was asked for, and in step with the network
        (64, None, (64, 16, 8)),  # a quarter where the reach would take more than half
        (8, 4, (8, 4, 4)),  # no room for a multiple: as near to one as can be
        (112, None, (112, 56, 8)),
    ],
)
def test_tiles_begin_where_the_network_begins_anew_in_the_whole_picture(tile, overlap, cut):
    found = unet().answering(tile=tile, overlap=overlap).tiling.cut
    assert (found.side, found.overlap, found.step) == cut


def test_what_is_said_to_be_enough_is_enough():
    model, source = unet(), picture(150, 170)
    tiled = model.answering(tile=64, overlap=40)
    assert torch.allclose(translate(tiled, source), translate(model, source), atol=1e-4)
    assert "answers are those to whole pictures" in tiled.tiling.notes()[0]


def test_statistics_of_each_tile_are_told_with_the_way_to_fixed_ones():
    model = unet(norm="batch").answering(tile=64)
    translate(model, picture(100, 200))
    first, second = model.tiling.notes()
    assert "its norms take each tile's own statistics: on a part of" in first
    assert second.startswith(
        "`i2i calibrate` makes a model with fixed statistics; its network looks 19 px far"
    )
    assert any(isinstance(part, testtime.OwnStatistics) for part in model.module.modules())


def test_dropout_is_drawn_for_each_tile_and_that_is_said():
    model = unet(dropout=True).answering(tile=96)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        one = translate(model, picture(200, 200))
        torch.manual_seed(3)
        same = translate(model, picture(200, 200))
        other = translate(model, picture(200, 200))
        torch.manual_seed(3)
        whole = translate(unet(dropout=True), picture(200, 200))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert not torch.allclose(one, whole, atol=1e-2)
    first, second = model.tiling.notes()
    assert "what its network draws at random it draws for each tile: on a part of" in first
    assert second == "--no-dropout draws nothing in tiles."


# --- which pictures, which tiles -------------------------------------------------------------------


def test_pictures_are_cut_where_memory_asks_for_it(monkeypatch):
    model = unet().answering()
    translate(model, picture(300, 300))
    assert model.tiling.pictures == 0
    assert "bytes_per_pixel" not in vars(model.tiling)  # small ones cost no measure
    needed = model.tiling.bytes_per_pixel
    monkeypatch.setattr(tiling, "SMALL", 0)
    monkeypatch.setattr(tiling, "MOST_BYTES", needed * 200 * 200)
    model, seen = unet().answering(), []
    model.module.register_forward_pre_hook(lambda module, given: seen.append(given[0].shape[-1]))
    translate(model, picture(200, 200))
    assert seen[-1] == 200
    answer = translate(model, picture(201, 200))
    assert seen[-1] == model.tiling.side == 200 / 2 // 8 * 8
    assert torch.allclose(answer, translate(unet(), picture(201, 200)), atol=1e-4)


def test_no_picture_is_cut_where_somebody_asks_for_none(monkeypatch):
    monkeypatch.setattr(tiling, "SMALL", 0)
    monkeypatch.setattr(tiling, "MOST_BYTES", 1)
    model = unet().answering(tile=0)
    seen = shapes_seen(model)
    translate(model, picture(100, 200))
    assert seen == [(1, 3, 104, 200)]
    assert model.tiling.notes() == []


def test_a_tile_is_rounded_up_to_what_the_network_takes_and_no_picture_within_one_is_cut():
    model = unet().answering(tile=90)
    assert model.tiling.side == 96
    translate(model, picture(96, 96))
    (note,) = model.tiling.notes()
    assert note == "no picture was cut: none was larger than a tile of 96 px where it was translated."


@pytest.mark.parametrize(
    ("tile", "overlap", "told"),
    [
        (7, None, r"tiles of 7 px are too small: this network takes multiples of 8 px"),
        (64, 64, r"tiles of 64 px cannot overlap by 64: give an overlap that is less"),
        (60, 100, r"tiles of 64 px cannot overlap by 100"),
        (0, 10, r"no picture is to be cut, so no tiles overlap"),
    ],
)
def test_tiles_that_cannot_be_are_refused(tile, overlap, told):
    with pytest.raises(RecipeError, match=told):
        unet().answering(tile=tile, overlap=overlap)


def test_what_a_person_may_ask_for():
    assert [asked_tile(text) for text in ("auto", "none", "0", "512")] == [None, 0, 0, 512]
    for text in ("-1", "big", "1.5", "", "٣", "99999999"):
        with pytest.raises(RecipeError, match="is no side of a tile"):
            asked_tile(text)


def test_a_part_that_memory_has_no_room_for_is_not_compared(monkeypatch):
    model = unet(norm="batch").answering(tile=64)
    monkeypatch.setattr(tiling, "MOST_BYTES", 1)
    translate(model, picture(100, 200))
    assert model.tiling.apart is None
    assert "and no part was small enough to compare" in model.tiling.notes()[0]


# --- files -----------------------------------------------------------------------------------------


def write(path: Path, image: torch.Tensor, spec: ImageSpec = SPEC.source) -> Path:
    write_image(path, image, spec=spec)
    return path


@pytest.mark.parametrize("suffix", [".tif", ".png"])
def test_a_file_read_row_by_row_is_answered_as_the_picture_in_memory(tmp_path, suffix):
    source = write(tmp_path / f"a{suffix}", picture(150, 210))
    model = unet(dropout=True).answering(tile=64)
    target = tmp_path / f"b{suffix}"
    done = Done()
    assert list(translate_all(model, [(source, target)], seed=5, done=done)) == [target]
    assert done.written == 1
    whole = unet(dropout=True).answering(tile=64)
    with seeded(5, "translate", source.name):
        answer = translate(whole, read_source(source, SPEC.source))
    write(tmp_path / "wanted.png", answer)
    assert torch.equal(read_image(target), read_image(tmp_path / "wanted.png"))


def test_samples_of_a_large_picture_differ_and_are_refused_where_they_would_not(tmp_path):
    source = write(tmp_path / "a.tif", picture(100, 130))
    model = unet(dropout=True).answering(tile=64)
    list(translate_all(model, [(source, tmp_path / "b.tif")], seed=0, samples=2))
    one, two = (read_image(tmp_path / f"b-{number}.tif") for number in (1, 2))
    assert not torch.equal(one, two)
    with pytest.raises(RecipeError, match="2 samples would be equal"):
        list(translate_all(unet().answering(tile=64), [(source, tmp_path / "c.tif")], seed=0, samples=2))
    assert not (tmp_path / "c-1.tif").exists()


def test_it_is_told_how_much_of_a_large_picture_is_done_over_all_its_samples(tmp_path):
    source = write(tmp_path / "a.tif", picture(160, 96))
    shares: list[float] = []
    done = Done(part=shares.append)
    work = [(source, tmp_path / "b.tif")]
    model = unet(dropout=True).answering(tile=64)
    assert list(translate_all(model, work, seed=0, samples=2, done=done))
    assert len(shares) > 4
    assert shares == sorted(set(shares))
    assert 0 < shares[0] < 0.5
    assert 0.5 in shares
    assert shares[-1] == 1


def test_large_and_small_pictures_are_answered_in_order(tmp_path):
    sizes = [(32, 32), (100, 130), (32, 32), (90, 70), (32, 40)]
    work = [
        (write(tmp_path / f"{number}.png", picture(*size)), tmp_path / "out" / f"{number}.png")
        for number, size in enumerate(sizes)
    ]
    bad = tmp_path / "bad.tif"
    tifffile.imwrite(bad, np.zeros((200, 100, 3), np.uint8), rowsperstrip=8, photometric="rgb")
    bad.write_bytes(bad.read_bytes()[:-3000])
    work.insert(2, (bad, tmp_path / "out" / "bad.tif"))
    done = Done()
    found = []
    with pytest.raises(DataError, match="cut short") as told:
        found.extend(translate_all(unet().answering(tile=64), work, seed=0, done=done))
    assert told.value.problems[0].file == str(bad)
    assert found == [target for source, target in work if source != bad]
    assert done.written == 5
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [f"{n}.png" for n in range(5)]


def test_what_stands_beside_the_pixels_of_a_large_picture_is_carried_on(tmp_path):
    tags = [(33550, "d", 3, (10.0, 10.0, 0.0), True)]
    pixels = np.zeros((100, 90, 3), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb", resolution=(300, 300), extratags=tags)
    list(translate_all(unet().answering(tile=64), [(tmp_path / "a.tif", tmp_path / "b.tif")], seed=0))
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        page = file.pages.first
        assert page.tags[33550].value == (10.0, 10.0, 0.0)
        assert page.tags["XResolution"].value == (300, 1)
        assert page.rowsperstrip * page.imagewidth * 3 <= 2**18


def test_a_full_disk_leaves_nothing_and_says_so(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    source = write(tmp_path / "a.tif", picture(100, 130))
    monkeypatch.setattr(tiff.zlib, "compress", full)
    with pytest.raises(ResourceError, match=r"b\.tif cannot be written: No space left"):
        list(translate_all(unet().answering(tile=64), [(source, tmp_path / "b.tif")], seed=0))
    assert [path.name for path in tmp_path.iterdir()] == ["a.tif"]


def test_depth_classes_and_parts_are_as_without_tiles(tmp_path):
    deep = ImageSpec(1, 64, 64, depth="uint16", high=65535.0)
    labels = ImageSpec(4, 64, 64, high=1.0, labels=True)
    parts = (Part("photo", 3, "uint8", 0.0, 255.0), Part("depth", 1, "uint16", 0.0, 65535.0))
    several = ImageSpec(4, 64, 64, depth="float32", low=-1.0, high=1.0, parts=parts)
    for number, target in enumerate((deep, labels, several)):
        model = unet(spec=PairSpec(SPEC.source, target))
        source = write(tmp_path / f"{number}.png", picture(120, 90))
        files = {}
        for tile in (0, 64):
            out = tmp_path / f"{number}-{tile}"
            names = [out / part.name / "a.png" for part in target.parts] or [out / "a.png"]
            names = tuple(names) if target.parts else names[0]
            list(
                translate_all(
                    model.answering(tile=tile, overlap=40 if tile else None), [(source, names)], seed=0
                )
            )
            files[tile] = [read_image(path, indices=True) for path in sorted(out.rglob("*.png"))]
        for whole, tiled in zip(files[0], files[64], strict=True):
            assert whole.dtype == tiled.dtype
            apart = (whole.int() - tiled.int()).abs()
            assert (
                apart.max() <= (1 if whole.dtype == torch.uint8 else 8) or (apart > 0).float().mean() < 1e-3
            )


# --- several looks ---------------------------------------------------------------------------------


def test_mirrors_and_quarter_turns_are_averaged():
    model = unet()
    source = picture(40, 64)
    answers = []
    for mirrored in (False, True):
        for turns in range(4):
            seen = torch.rot90(source.flip(-1) if mirrored else source, turns, (-2, -1))
            answer = torch.rot90(translate(model, seen), -turns, (-2, -1))
            answers.append(answer.flip(-1) if mirrored else answer)
    assert len(answers) == PASSES == 8
    averaged = model.answering(tta=True)
    assert torch.allclose(translate(averaged, source), torch.stack(answers).mean(0), atol=1e-6)
    assert averaged.notes == (
        "each answer is the mean of 8 passes: the picture and its mirror image, turned by quarters.",
    )


def test_an_average_minds_no_mirror_and_no_turn():
    model = unet().answering(tta=True)
    source = picture(48, 64)
    answer = translate(model, source)
    assert torch.allclose(translate(model, source.flip(-2)).flip(-2), answer, atol=1e-5)
    assert torch.allclose(translate(model, source.rot90(1, (-2, -1))).rot90(-1, (-2, -1)), answer, atol=1e-5)


def test_an_average_in_tiles_is_that_of_the_whole_picture():
    source = picture(150, 203)
    whole = translate(unet().answering(tta=True), source)
    tiled = unet().answering(tta=True, tile=96)
    assert torch.allclose(translate(tiled, source), whole, atol=1e-4)
    assert tiled.tiling.reach.pixels == 19


class Votes(nn.Module):
    """Scores of two classes: of each way of looking another one, two of eight strongly."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, image):
        self.calls += 1
        second = 0.9 if self.calls <= 2 else -0.2
        return torch.stack([torch.zeros_like(image[:, 0]), torch.full_like(image[:, 0], second)], dim=1)


def test_of_classes_scores_are_averaged_before_one_is_chosen():
    target = ImageSpec(2, 8, 8, high=1.0, labels=True)
    model = Model(Votes(), PairSpec(ImageSpec(1, 8, 8), target), ()).answering(tta=True)
    answer = translate(model, torch.zeros(1, 8, 8))
    # (2 x 0.9 - 6 x 0.2) / 8 > 0, where six of eight votes would be for the first class.
    assert bool((answer.argmax(dim=0) == 1).all())


# --- in Python, and of a run -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    settings = {
        "data.use": "shapes",
        "data.size": [16, 16],
        "data.count": 4,
        "data.batch_size": 2,
        "generator.depth": 3,
        "generator.width": 4,
        "discriminators.patch.width": 4,
        "train.steps": 2,
    }
    recipe = load_recipe("shapes", set=settings)
    return run(recipe, tmp_path_factory.mktemp("runs") / "run", rehearsed=True).folder


def test_a_translator_takes_tiles_and_averages(trained):
    array = np.asarray(Image.effect_noise((70, 50), 90).convert("RGB"))
    options = {"size": "native", "dropout": False, "norm": "running"}
    whole = Translator(trained, **options, tile=0)(array)
    tiled = Translator(trained, **options, tile=32, overlap=16)
    assert np.abs(tiled(array).astype(int) - whole.astype(int)).max() <= 40
    assert any("in tiles of 32 px that overlap by 16" in note for note in tiled.notes)
    tiled(array[:16, :16])
    assert any("no picture was cut" in note for note in tiled.notes)
    several = Translator(trained, **options, tta=True)
    assert not np.array_equal(several(array), whole)
    assert any("the mean of 8 passes" in note for note in several.notes)
    with pytest.raises(RecipeError, match="too small"):
        Translator(trained, tile=4)


def test_large_arrays_of_one_size_go_together(trained):
    arrays = [np.asarray(Image.effect_noise((70, 50), 90).convert("RGB")) for _ in range(3)]
    options = {"size": "native", "dropout": True, "norm": "running", "tile": 32, "overlap": 8}
    together = Translator(trained, **options, batch_size=3)(arrays)
    for one, alone in zip(together, Translator(trained, **options)(arrays), strict=True):
        assert np.abs(one.astype(int) - alone.astype(int)).max() <= 1


def test_a_whole_model_file_answers_as_before(trained):
    plain = load_model(trained / "model.safetensors", dropout=False)
    source = picture(50, 70)
    assert torch.equal(translate(plain, source), translate(plain.answering(), source))
    assert isinstance(plain.answering().tiling, Tiling)


def test_an_evaluation_takes_tiles_and_averages_and_writes_that_down(trained):
    catalog = Catalog.installed()
    found = find_trained(trained, catalog=catalog)
    about = {"split": "val", "catalog": catalog, "norm": "running", "dropout": False}
    whole = evaluate_trained(found, **about)
    assert "passes" not in whole.record()
    cut = evaluate_trained(found, **about, tile=8, overlap=4)
    assert cut.record()["passes"] == {"tile": 8, "overlap": 4}
    assert any("translated in tiles of 8 px that overlap by 4" in note for note in cut.notes)
    averaged = evaluate_trained(found, **about, tta=True)
    assert averaged.record()["passes"] == {"tta": 8}
    figures = [each.figures["mae"].mean for each in (whole, cut, averaged)]
    assert len(set(figures)) == 3


def test_the_command_line_cuts_averages_and_says_so(trained, tmp_path, i2i):
    source = write(tmp_path / "a.tif", picture(90, 70))
    options = (
        "--size",
        "native",
        "--norm",
        "running",
        "--no-dropout",
        "--tile",
        61,
        "--overlap",
        40,
        "--tta",
    )
    done = i2i("translate", *map(str, (trained, source, tmp_path / "b.tif", *options)))
    assert done.code == 0, done.err
    assert read_image(tmp_path / "b.tif").shape == (3, 90, 70)
    assert "each answer is the mean of 8 passes" in done.err
    assert (
        "1 picture was translated in tiles of 64 px that overlap by 40; its network looks 19 px" in done.err
    )
    assert "so that answers are those to whole pictures" in done.err


def test_where_pictures_come_to_the_scale_of_the_training_it_is_said_that_none_is_cut(trained, tmp_path, i2i):
    source = write(tmp_path / "a.png", picture(90, 70))
    done = i2i("translate", *map(str, (trained, source, tmp_path / "b.png", "--tile", 32)))
    assert done.code == 0, done.err
    assert "brought to the scale of the training, 16x16" in done.err
    assert "--size native takes pictures as they are" in done.err
    assert "no picture was cut: none was larger than a tile of 32 px where it was translated" in done.err


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--tile", "4"), "tiles of 4 px are too small: this network takes multiples of 8 px"),
        (("--tile", "16", "--overlap", "16"), "tiles of 16 px cannot overlap by 16"),
        (("--tile", "huge"), "'huge' is no side of a tile"),
        (("--tile", "none", "--overlap", "4"), "no picture is to be cut"),
    ],
)
def test_tiles_that_cannot_be_are_a_sentence_and_exit_2(trained, tmp_path, i2i, options, told):
    source = write(tmp_path / "a.png", picture(40, 40))
    for words in (("translate", trained, source, tmp_path / "b.png"), ("eval", trained)):
        done = i2i(*map(str, words), *options)
        assert done.code == 2
        assert told in done.err
    assert not (tmp_path / "b.png").exists()


def test_an_interruption_within_a_picture_leaves_nothing_and_exits_130(trained, tmp_path):
    source = tmp_path / "a.tif"
    tifffile.imwrite(source, np.zeros((8192, 2048, 3), np.uint8), photometric="rgb", compression="zlib")
    words = ("translate", trained, source, tmp_path / "out" / "b.tif", "--size", "native", "--tile", "256")
    line = [sys.executable, "-m", "i2i", *map(str, words)]
    with subprocess.Popen(line, stderr=subprocess.PIPE, text=True) as process:
        end = time.monotonic() + 100
        while not list(tmp_path.glob("out/.i2i-*")) and time.monotonic() < end:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "interrupted; 0 images translated" in said
    assert "Traceback" not in said
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".tif", ".png"])
def test_8192_pixels_a_side_take_less_than_2_gib(trained, tmp_path, suffix):
    """The most memory of the whole process, as the system counts it."""
    source = tmp_path / f"a{suffix}"
    pixels = np.random.default_rng(0).integers(0, 255, (8192, 1, 3), np.uint8).repeat(8192, axis=1)
    if suffix == ".tif":
        tifffile.imwrite(source, pixels, photometric="rgb", compression="zlib")
    else:
        Image.fromarray(pixels).save(source, compress_level=1)
    del pixels
    target = tmp_path / f"b{suffix}"
    words = ["translate", trained, source, target, "--size", "native", "--norm", "running", "--no-dropout"]
    code = (
        "import resource, sys\nfrom i2i.cli import main\ntry:\n    main(sys.argv[1:])\n"
        "finally:\n    print('peak', resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)"
    )
    line = [sys.executable, "-c", code, *map(str, words)]
    done = subprocess.run(line, capture_output=True, text=True, timeout=1500)
    assert done.returncode == 0, done.stderr
    assert "1 picture was translated in tiles of 768 px" in done.stderr
    kilobytes = int(re.search(r"peak (\d+)", done.stderr)[1]) / (1024 if sys.platform == "darwin" else 1)
    assert kilobytes < 2 * 2**20
    assert pixels_of(target) == (8192, 8192)
