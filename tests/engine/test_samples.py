"""Several answers an image: `i2i translate --samples N`."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from i2i import run


@pytest.fixture
def model(load, tmp_path) -> str:
    return str(run(load("train.steps=2"), tmp_path / "run").folder / "model.safetensors")


@pytest.fixture
def images(tmp_path) -> Path:
    folder = tmp_path / "in"
    (folder / "deep").mkdir(parents=True)
    for name in ("a.png", "deep/b.jpg"):
        Image.effect_noise((18, 16), 90).convert("RGB").save(folder / name)
    return folder


def written(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_each_image_gets_numbered_answers_that_differ(i2i, model, images, tmp_path):
    ended = i2i("translate", model, str(images), str(tmp_path / "out"), "--samples", "3")
    assert ended.code == 0, ended.err
    assert ended.out.strip() == f"2 images translated to {tmp_path / 'out'}, 3 samples each"
    found = written(tmp_path / "out")
    assert set(found) == {
        f"{stem}-{n}{suffix}" for stem, suffix in (("a", ".png"), ("deep/b", ".jpg")) for n in (1, 2, 3)
    }
    assert len(set(found.values())) == 6


def test_more_samples_leave_the_first_ones_as_they_were(i2i, model, images, tmp_path):
    i2i("translate", model, str(images / "a.png"), str(tmp_path / "one.png"))
    for count in ("2", "4"):
        i2i("translate", model, str(images / "a.png"), str(tmp_path / count / "a.png"), "--samples", count)
    two, four = written(tmp_path / "2"), written(tmp_path / "4")
    assert two["a-1.png"] == (tmp_path / "one.png").read_bytes()
    assert {name: four[name] for name in two} == two
    assert set(four) == {"a-1.png", "a-2.png", "a-3.png", "a-4.png"}


def test_a_model_without_randomness_is_refused_in_a_sentence(i2i, model, images, tmp_path):
    ended = i2i("translate", model, str(images), str(tmp_path / "out"), "--samples", "3", "--no-dropout")
    assert ended.code == 2
    assert ended.err == (
        "this model draws nothing at random, so 3 samples would be equal; "
        "leave --samples out, or turn on what draws: dropout by --dropout, a sampler by its test key, "
        "--test KEY=VALUE.\n"
    )
    assert not (tmp_path / "out").exists()
