"""Using a trained model: any size, names kept, the test settings of the file."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from i2i import load_generator, run
from i2i.errors import DataError, PluginError, RecipeError
from i2i.images import read_image
from i2i.models.files import translate_all
from i2i.models.translate import load_model, translate
from i2i.plugins.catalog import Catalog


@pytest.fixture
def model(load, tmp_path) -> Path:
    return run(load("train.steps=2"), tmp_path / "run").folder / "model.safetensors"


def picture(path: Path, size: tuple[int, int] = (16, 16), mode: str = "RGB") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.effect_noise(size, 90).convert(mode).save(path)
    return path


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "i2i", "translate", *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, timeout=120)


def test_a_folder_is_translated_under_its_own_names_in_any_size(model, tmp_path):
    sizes = {"a.png": (16, 16), "b.jpg": (301, 203), "deep/c.PNG": (7, 5), "deep/one.png": (1, 1)}
    for name, size in sizes.items():
        picture(tmp_path / "in" / name, size)
    (tmp_path / "in" / "notes.txt").write_text("not an image")
    done = command(model, tmp_path / "in", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    told = f"4 of 5 files translated to {tmp_path / 'out'}; 1 file of another kind: .txt 1"
    assert done.stdout.strip() == told
    found = {str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*") if p.is_file()}
    assert found == set(sizes)
    for name, size in sizes.items():
        with Image.open(tmp_path / "out" / name) as image:
            assert image.size == size


def test_a_pickle_in_place_of_a_model_is_sent_to_import(tmp_path):
    torch.save({"x": torch.zeros(1)}, tmp_path / "latest_net_G.pth")
    with pytest.raises(DataError, match=r"is not a weights file: .+`i2i import` makes a weights file of one"):
        load_model(tmp_path / "latest_net_G.pth")


def test_a_runs_folder_stands_for_its_model(model, tmp_path):
    source = picture(tmp_path / "one.png")
    assert command(model.parent, source, tmp_path / "two.png").returncode == 0
    weights = (load_generator(path).state_dict() for path in (model, model.parent, str(model.parent)))
    first, *others = weights
    assert all(torch.equal(first[name], other[name]) for other in others for name in first)


def test_a_folder_that_holds_no_model_is_refused_in_a_sentence(model, tmp_path):
    with pytest.raises(DataError, match=r"holds no run; give the folder of one, or a model file"):
        load_generator(tmp_path)
    model.unlink()
    with pytest.raises(DataError, match=r"holds a run that has written no model\.safetensors yet"):
        load_generator(model.parent)


def test_a_single_file_goes_to_a_file_or_into_a_folder(model, tmp_path):
    source = picture(tmp_path / "one.png")
    assert command(model, source, tmp_path / "two.png").returncode == 0
    assert command(model, source, tmp_path / "out").returncode == 0
    assert (tmp_path / "two.png").read_bytes() == (tmp_path / "out" / "one.png").read_bytes()


def test_the_same_seed_draws_the_same_answer_and_another_seed_another(model, tmp_path):
    source = picture(tmp_path / "one.png")
    loaded = load_model(model)
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        list(translate_all(loaded, [(source, tmp_path / f"{name}.png")], seed=seed))
    a, b, c = (read_image(tmp_path / f"{name}.png") for name in "abc")
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


def test_without_dropout_every_seed_gives_the_same_answer(model, tmp_path):
    source = picture(tmp_path / "one.png")
    for name, seed in (("a", 0), ("b", 1)):
        assert (
            command(model, source, tmp_path / f"{name}.png", "--seed", seed, "--no-dropout").returncode == 0
        )
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_the_file_says_whether_dropout_stays_on(load, tmp_path):
    settings = ("train.steps=1", "method.test_dropout=false", "method.test_norm=running")
    quiet = run(load(*settings), tmp_path / "quiet").folder / "model.safetensors"
    module = load_generator(quiet)
    image = torch.rand(1, 3, 16, 16)
    assert torch.equal(module(image), module(image))
    assert not any(part.training for part in module.modules())


def test_per_image_statistics_make_batching_change_nothing(load, tmp_path):
    path = (
        run(load("train.steps=1", "method.test_dropout=false"), tmp_path / "run").folder / "model.safetensors"
    )
    module = load_generator(path)
    images = torch.rand(3, 3, 16, 16) * torch.tensor([0.1, 1.0, 0.5]).view(3, 1, 1, 1)
    together = module(images)
    apart = torch.cat([module(image[None]) for image in images])
    assert torch.allclose(together, apart, atol=1e-6)


def test_padding_is_cut_off_again_and_changes_nothing_inside(model):
    loaded = load_model(model, dropout=False)
    image = torch.rand(3, 8, 8) * 2 - 1
    assert translate(loaded, image[:, :7, :5]).shape == (3, 7, 5)
    assert torch.equal(translate(loaded, image), loaded.module(image[None])[0].detach())


def test_a_grey_image_is_read_as_the_model_wants_it(model, tmp_path):
    source = picture(tmp_path / "grey.png", mode="L")
    assert command(model, source, tmp_path / "out.png").returncode == 0
    assert read_image(tmp_path / "out.png").shape[0] == 3


def test_one_unreadable_image_is_named_and_stops_none_of_the_others(model, tmp_path):
    picture(tmp_path / "in" / "a.png")
    (tmp_path / "in" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nand then nothing")
    picture(tmp_path / "in" / "z.png")
    done = command(model, tmp_path / "in", tmp_path / "out")
    assert done.returncode == 3
    assert "broken.png" in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.png", "z.png"]


def test_among_pictures_of_many_sizes_a_torn_one_is_one_sentence_and_the_rest_is_done(model, tmp_path):
    sizes = {f"{number:02}.png": (16 + 8 * (number // 3), 20) for number in range(9)}
    for name, size in sizes.items():
        picture(tmp_path / "in" / name, size)
    torn = tmp_path / "in" / "04.png"
    torn.write_bytes(torn.read_bytes()[:-60])
    done = command(model, tmp_path / "in", tmp_path / "out")
    assert done.returncode == 3
    scale, place, sentence = done.stderr.strip().splitlines()
    assert "brought to the scale of the training" in scale
    assert place == str(torn)
    assert "the image cannot be decoded" in sentence
    found = {path.name: tuple(read_image(path).shape[:0:-1]) for path in (tmp_path / "out").iterdir()}
    assert found == {name: size for name, size in sizes.items() if name != "04.png"}


def test_the_command_takes_a_precision(model, tmp_path):
    source = picture(tmp_path / "one.png")
    for name, *options in (("auto",), ("fp32", "--precision", "fp32"), ("bf16", "--precision", "bf16")):
        done = command(model, source, tmp_path / f"{name}.png", *options)
        assert done.returncode == 0, done.stderr
    auto, whole, half = (read_image(tmp_path / f"{name}.png").int() for name in ("auto", "fp32", "bf16"))
    assert torch.equal(auto, whole)
    assert 0 < (half - whole).abs().max() <= 8
    assert command(model, source, tmp_path / "out.png", "--precision", "fp16").returncode == 2


def test_input_is_never_overwritten(model, tmp_path):
    source = picture(tmp_path / "in" / "a.png")
    before = source.read_bytes()
    assert command(model, source, source).returncode == 2
    assert source.read_bytes() == before


def test_an_empty_or_missing_input_is_one_sentence(model, tmp_path):
    (tmp_path / "empty").mkdir()
    for source, words in ((tmp_path / "empty", "holds no image"), (tmp_path / "missing", "does not exist")):
        done = command(model, source, tmp_path / "out")
        assert done.returncode == 3
        assert words in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    "content",
    [b"", b"PK\x03\x04 a pickle, perhaps", b"\xff" * 64, (10).to_bytes(8, "little") + b'{"a": 1}  '],
)
def test_a_file_that_is_no_model_is_refused(tmp_path, content):
    picture(tmp_path / "a.png")
    (tmp_path / "model.safetensors").write_bytes(content)
    done = command(tmp_path / "model.safetensors", tmp_path / "a.png", tmp_path / "b.png")
    assert done.returncode == 3
    assert "model.safetensors" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_discriminators_weights_are_no_model(model, tmp_path):
    judge = model.parent / "checkpoints" / "000002" / "discriminators.judge.safetensors"
    with pytest.raises(DataError, match="describes no generator"):
        load_model(judge)


def test_a_model_whose_plug_in_is_gone_names_it(model, tmp_path):
    catalog = Catalog.installed(environ={"I2I_DISABLE": "toys"})
    with pytest.raises(PluginError, match="'toys/tiny' needs the plug-in 'toys'"):
        load_model(model, catalog=catalog)


def test_a_changed_revision_is_refused(model, monkeypatch):
    import i2i_toys

    source = i2i_toys.i2i_register

    def newer(registry):
        monkeypatch.setattr(
            registry, "generator", lambda *a, **k: type(registry).component(registry, "generator", *a, rev=2)
        )
        source(registry)

    from i2i import hookimpl

    monkeypatch.setattr(i2i_toys, "i2i_register", hookimpl(newer))
    with pytest.raises(RecipeError, match="revision 1, and installed is toys/tiny revision 2"):
        load_model(model)


def test_a_loaded_generator_is_an_ordinary_module(model):
    module = load_generator(str(model))
    assert isinstance(module, torch.nn.Module)
    assert sum(p.numel() for p in module.parameters()) > 0
    assert module(torch.zeros(2, 3, 16, 16)).shape == (2, 3, 16, 16)
    twin = copy.deepcopy(module).train()
    twin(torch.zeros(2, 3, 16, 16)).sum().backward()
    assert all(p.grad is not None for p in twin.parameters())


def test_norm_and_dropout_can_be_other_than_the_file_says(model):
    images = torch.rand(3, 3, 16, 16) * torch.tensor([0.1, 1.0, 0.5]).view(3, 1, 1, 1)
    answers = {}
    for norm in ("batch", "running"):
        module = load_generator(model, norm=norm, dropout=False, device=torch.device("cpu"))
        assert not any(part.training for part in module.modules())
        answers[norm] = module(images)
    assert not torch.allclose(answers["batch"], answers["running"], atol=1e-3)
    assert torch.equal(load_generator(model, dropout=False)(images), answers["batch"])
    drawing = load_generator(model, dropout=True)
    assert [type(part) for part in drawing.modules() if part.training] == [torch.nn.Dropout]
    with pytest.raises(RecipeError, match="norm = 'layer' is not known; use 'batch' or 'running'"):
        load_generator(model, norm="layer")


def test_a_loaded_generator_trains_and_evaluates_as_it_is_told(model):
    image = torch.rand(2, 3, 16, 16)
    module, other = (load_generator(model, norm=norm, dropout=True) for norm in ("batch", "running"))
    trained = []
    for each in (module, other):
        torch.manual_seed(1)
        trained.append(each.train()(image))
    assert torch.equal(*trained)
    norms = [part for part in module.modules() if isinstance(part, torch.nn.BatchNorm2d)]
    assert [int(norm.num_batches_tracked) for norm in norms] == [3]  # two steps of training, and this one
    assert all(torch.equal(value, other.state_dict()[key]) for key, value in module.state_dict().items())
    assert torch.allclose(module.eval()(image)[:1], module(image[:1]), atol=1e-6)
    assert torch.equal(module(image), pickle.loads(pickle.dumps(module))(image))
    assert torch.equal(other.eval()(image), load_with(other, model)(image))


def load_with(trained: torch.nn.Module, model: Path) -> torch.nn.Module:
    module = load_generator(model, norm="running", dropout=False)
    module.load_state_dict(trained.state_dict())
    return module


def test_the_command_normalises_as_it_is_told(model, tmp_path):
    source = picture(tmp_path / "one.png")
    for name, *options in (("file",), ("batch", "--norm", "batch"), ("running", "--norm", "running")):
        done = command(model, source, tmp_path / f"{name}.png", "--no-dropout", *options)
        assert done.returncode == 0, done.stderr
    file, batch, running = ((tmp_path / f"{name}.png").read_bytes() for name in ("file", "batch", "running"))
    assert file == batch
    assert file != running
    assert command(model, source, tmp_path / "out.png", "--norm", "layer").returncode == 2


def test_a_norm_that_cannot_take_own_statistics_is_named_with_its_file_and_component(model, monkeypatch):
    class ByHand(torch.nn.BatchNorm2d):
        def forward(self, image):
            return image - self.running_mean[:, None, None]

    monkeypatch.setattr("i2i_toys.networks.nn.BatchNorm2d", ByHand)
    told = (
        r"model.safetensors  toys/tiny\n  'body.1' \(ByHand\) cannot take each image's own statistics: .+; "
        r'use the running ones \(norm "running", in a recipe method.test_norm\)\.'
    )
    with pytest.raises(PluginError, match=told):
        load_generator(model)
    assert load_generator(model, norm="running")(torch.zeros(1, 3, 16, 16)).shape == (1, 3, 16, 16)
