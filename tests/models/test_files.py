"""Folders of pictures: read ahead, translated together, written behind; each as it would be alone."""

from __future__ import annotations

import itertools
from contextlib import closing
from pathlib import Path

import pytest
import torch
from PIL import Image

from i2i import run
from i2i.errors import DataError, ResourceError
from i2i.images import read_image, write_image
from i2i.models.files import Done, translate_all
from i2i.models.sources import read_source
from i2i.models.translate import load_model, translate
from i2i.seeds import seeded


@pytest.fixture
def model(load, tmp_path):
    return load_model(run(load("train.steps=2"), tmp_path / "run").folder / "model.safetensors")


def pictures(folder: Path, sizes) -> list[tuple[Path, Path]]:
    folder.mkdir()
    work = []
    for number, size in enumerate(sizes):
        path = folder / f"{number:02}.png"
        Image.effect_noise(size, 90).convert("RGB").save(path)
        work.append((path, folder.parent / "out" / path.name))
    return work


def calls_of(model) -> list[int]:
    calls: list[int] = []
    model.module.register_forward_pre_hook(lambda module, given: calls.append(len(given[0])))
    return calls


def test_a_picture_alone_is_written_as_its_network_answers(model, tmp_path):
    [(source, target)] = pictures(tmp_path / "in", [(16, 16)])
    assert list(translate_all(model, [(source, target)], seed=7)) == [target]
    with seeded(7, "translate", source.name):
        answer = translate(model, read_source(source, model.spec.source))
    write_image(tmp_path / "wanted.png", answer, spec=model.spec.target)
    assert target.read_bytes() == (tmp_path / "wanted.png").read_bytes()


def test_pictures_that_go_together_are_those_that_go_alone(model, tmp_path):
    sizes = [(16, 16)] * 11 + [(24, 16), (16, 16), (300, 800)]
    work = pictures(tmp_path / "in", sizes)
    calls = calls_of(model)
    assert list(translate_all(model, work, seed=3)) == [target for _, target in work]
    assert calls == [1, 8, 3, 1, 1, 1]
    for source, target in work:
        alone = tmp_path / "alone" / source.name
        list(translate_all(model, [(source, alone)], seed=3))
        apart = read_image(target).int() - read_image(alone).int()
        assert apart.abs().max() <= 1


def test_a_bad_picture_is_told_in_its_turn_and_the_others_are_done(model, tmp_path):
    work = pictures(tmp_path / "in", [(16, 16)] * 12)
    for place in (2, 9):
        path = work[place][0]
        path.write_bytes(path.read_bytes()[:-60])
    calls, done, found = calls_of(model), Done(), []
    with pytest.raises(DataError) as told:
        found.extend(translate_all(model, work, seed=0, done=done))
    assert [Path(problem.file).name for problem in told.value.problems] == ["02.png", "09.png"]
    assert found == [target for place, (_, target) in enumerate(work) if place not in (2, 9)]
    assert all(target.exists() for target in found)
    assert done.written == 10
    assert calls == [1, 8, 2]


def test_what_cannot_be_written_is_told_and_what_was_is_kept(model, tmp_path):
    work = pictures(tmp_path / "in", [(16, 16)] * 10)
    (tmp_path / "file").write_text("no folder")
    work[9] = (work[9][0], tmp_path / "file" / "x.png")
    found = []
    with pytest.raises(ResourceError, match=r"x\.png cannot be written"):
        found.extend(translate_all(model, work, seed=0))
    assert found == [target for _, target in work[:9]]


def test_where_it_is_left_files_are_whole_and_counted(model, tmp_path):
    work = pictures(tmp_path / "in", [(16, 16)] * 40)
    done = Done()
    with closing(translate_all(model, work, seed=0, done=done)) as translated:
        list(itertools.islice(translated, 3))
    there = sorted((tmp_path / "out").iterdir())
    assert 3 <= len(there) < 40
    assert done.written == len(there)
    assert all(read_image(path).shape == (3, 16, 16) for path in there)


def test_threads_beside_the_network_leave_it_its_own(model, tmp_path):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        counts = []
        model.module.register_forward_pre_hook(lambda *_: counts.append(torch.get_num_threads()))
        list(translate_all(model, pictures(tmp_path / "in", [(16, 16)] * 20), seed=0))
        assert set(counts) == {2}
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
