"""Translating image files: the next ones are read and the last ones written while the network computes."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from i2i.errors import DataError, Problem
from i2i.images import by_file, write_image
from i2i.images.formats import format_for
from i2i.images.metadata import NOTHING, Beside, read_beside
from i2i.images.rows import pixels_of
from i2i.images.writing import write_bands
from i2i.models.drawing import Drawer, Precision, Sources, equal_samples
from i2i.models.planning import written
from i2i.models.sizing import Size, Sizing
from i2i.models.sources import Files, opened_source, read_source
from i2i.models.translate import Model
from i2i.records import ImageSpec
from i2i.system.beside import helper, made_ahead
from i2i.system.memory import hand_back_memory

MOST_TOGETHER = 8
"""Pictures that go through the network at once, at most."""

MOST_PIXELS = MOST_TOGETHER * 256 * 256
"""Pixels that go through the network at once, unless a single picture has more."""


@dataclass
class Done:
    """What has been done: pictures whose answers are written, and what a person should be told.

    `dropped` counts what stood beside pixels and could not be carried on. `part` is told how much is done of
    a picture that goes in tiles, from 0 to 1.
    """

    part: Callable[[float], None] = lambda share: None
    written: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)


def translate_all(
    model: Model,
    work: Iterable[tuple[Files, Files]],
    *,
    seed: int,
    samples: int = 1,
    sizing: Sizing | None = None,
    precision: Precision = "fp32",
    done: Done | None = None,
) -> Generator[Path, None, None]:
    """Translate what `plan` returned, yielding the (first) file of each answer once it is written, in order.

    `sizing` decides at which size, and holds what to tell a person afterwards, as does `done`; without it
    that is the scale of the training, where the model tells it. Dropout is drawn from `seed` and the (first)
    file's name. Pictures of one size that follow each other are translated together, as `Drawer` does that.
    What stands beside the pixels of the (first) file is carried on. Several `samples` are written as NAME-1,
    NAME-2 and so on, of which the first is what one alone is.

    Where it is left before its end, the answers that were drawn are still written.

    An image that cannot be read or does not fit the model stops none of the others: DataError names all of
    them at the end. Raises RecipeError for samples that are all equal.
    """
    work, done, sizing = list(work), done or Done(), sizing or model.sizing()
    drawer = Drawer(model, seed=seed, precision=precision)
    done.notes = drawer.notes
    with helper() as reader, helper() as writer:
        begun = _Begun(model, drawer, writer, samples, done)
        for number, picture in enumerate(_read_ahead(reader, work, model, sizing)):
            begun.take(picture, sizing, left=len(work) - number)
            yield from begun.finished()
        begun.draw()
        yield from begun.finished(all_of_them=True)
    if begun.problems:
        raise DataError(*begun.problems)


@dataclass
class _Picture:
    """A picture's file, where its answers go, and how far it has come.

    `source` (C,H,W) is in [-1,1], to be translated at `size`; `problems` say why there is none. Of one that
    may have to be cut into tiles there are the `files`, and nothing is read yet.
    """

    first: Path
    target: Files
    source: Tensor | None = None
    beside: Beside = NOTHING
    problems: Sequence[Problem] = ()
    size: Size = (0, 0)
    writing: Future[None] | None = None
    files: Files | None = None


class _Begun:
    """The pictures that were read and are not done with, in order: they are drawn, written and told."""

    def __init__(
        self, model: Model, drawer: Drawer, writer: ThreadPoolExecutor, samples: int, done: Done
    ) -> None:
        self._model, self._drawer, self._writer = model, drawer, writer
        self._spec, self._samples, self._done = model.spec.target, samples, done
        self._pictures = deque[_Picture]()
        self._batch: list[_Picture] = []
        self._left = 0
        self._room = 2 * MOST_TOGETHER
        self.problems: list[Problem] = []

    def take(self, picture: _Picture, sizing: Sizing, *, left: int) -> None:
        """Take the next picture, with which `left` are to come; draw those before it if it is unlike them."""
        self._pictures.append(picture)
        if picture.files is not None:
            self._open(picture, picture.files, sizing)
        if picture.source is not None:
            height, width = picture.source.shape[-2:]
            picture.size = sizing.size((height, width), str(picture.first))
            if self._batch and _shapes(picture) != _shapes(self._batch[0]):
                self.draw()
            self._batch.append(picture)
            self._left = left + len(self._batch) - 1
            if len(self._batch) == most_together(picture.source, picture.size):
                self.draw()

    def _open(self, picture: _Picture, files: Files, sizing: Sizing) -> None:
        """Translate a large picture row by row where it is cut into tiles; else read it as a whole."""
        try:
            with opened_source(files, self._model.files.source) as rows:
                size, tiling = (rows.height, rows.width), self._model.tiling
                layout = None if tiling is None else tiling.layout(size)
                if tiling is None or layout is None:
                    picture.source = rows.read(0, rows.height)[0]
                    return
                self.draw()
                hand_back_memory()
                sizing.size(size, str(picture.first))
                if self._samples > 1 and not tiling.reach.draws:
                    raise equal_samples(self._samples)
                for number, paths in enumerate(written(picture.target, self._samples)):
                    bands = self._drawer.bands(rows.read, layout, picture.first.name, number=number)
                    told = self._told(bands, done=number * rows.height, of=self._samples * rows.height)
                    answers = list(zip(paths, self._spec.files, strict=True))
                    write_bands(answers, _in_little_memory(told), size=size, beside=picture.beside)
        except DataError as error:
            picture.problems = error.problems
            return
        self._finish(picture)
        picture.writing = Future()
        picture.writing.set_result(None)

    def _told(self, bands: Iterator[Tensor], *, done: int, of: int) -> Iterator[Tensor]:
        """Pass bands of a large answer on, and tell which part of its rows there are."""
        for band in bands:
            done += band.shape[-2]
            self._done.part(done / of)
            yield band

    def draw(self) -> None:
        """Draw the answers to the pictures that wait for that, and let them be written."""
        batch, self._batch = self._batch, []
        if not batch:
            return
        images = torch.stack([picture.source for picture in batch if picture.source is not None])
        sources = Sources(images, batch[0].size, [picture.first.name for picture in batch])
        drawn = self._drawer(sources, samples=self._samples, left=self._left)
        for place, picture in enumerate(batch):
            picture.source = None
            picture.writing = self._writer.submit(self._write, picture, [answer[place] for answer in drawn])
        self._room = 2 * len(batch)

    def finished(self, *, all_of_them: bool = False) -> Iterator[Path]:
        """Yield the targets that are written, in order; wait where too many are not, or for `all_of_them`."""
        while self._pictures:
            first = self._pictures[0]
            if first.writing is not None:
                behind = sum(picture.writing is not None for picture in self._pictures)
                if not (all_of_them or behind > self._room or first.writing.done()):
                    return
            elif not first.problems:
                return  # it is to be drawn yet
            self._pictures.popleft()
            try:
                if first.writing is not None:
                    first.writing.result()
            except DataError as error:
                first.problems = error.problems
            self.problems += first.problems
            if not first.problems:
                yield written(first.target, 1)[0][0]

    def _write(self, picture: _Picture, answers: Sequence[Tensor]) -> None:
        for paths, answer in zip(written(picture.target, self._samples), answers, strict=True):
            for path, (file, piece) in zip(paths, by_file(answer, self._spec), strict=True):
                write_image(path, piece, spec=file, beside=picture.beside)
        self._finish(picture)

    def _finish(self, picture: _Picture) -> None:
        self._done.dropped.update(_dropped(picture, self._spec))
        self._done.written += 1


def _dropped(picture: _Picture, spec: ImageSpec) -> list[str]:
    """Return in words what stood beside a picture's pixels and none of its answer's files carries."""
    files = zip(written(picture.target, 1)[0], spec.files, strict=True)
    first, *others = [picture.beside.missing(format_for(path, file), file) for path, file in files]
    return [what for what in first if all(what in other for other in others)]


def most_together(source: Tensor, size: Size) -> int:
    """Return how many pictures like `source` (C,H,W) go through the network at once at `size`."""
    pixels = max(source.shape[-2] * source.shape[-1], size[0] * size[1])
    return max(1, min(MOST_TOGETHER, MOST_PIXELS // pixels))


def _shapes(picture: _Picture) -> tuple[Size, Size] | None:
    source = picture.source
    return None if source is None else ((source.shape[-2], source.shape[-1]), picture.size)


def _read_ahead(
    reader: ThreadPoolExecutor, work: Sequence[tuple[Files, Files]], model: Model, sizing: Sizing
) -> Iterator[_Picture]:
    """Yield the pictures of `work`, in order; meanwhile the next ones are read, large ones one by one."""

    def most(last: _Picture | None) -> int:
        if last is None or last.source is None:
            return 2
        height, width = last.source.shape[-2:]
        return most_together(last.source, (height, width)) + 1

    return made_ahead(reader, lambda item: _read(*item, model, sizing), work, most=most)


def _read(files: Files, target: Files, model: Model, sizing: Sizing) -> _Picture:
    first = files if isinstance(files, Path) else files[0]
    try:
        if _may_be_cut(first, model, sizing):
            return _Picture(first, target, files=files, beside=read_beside(first))
        source = model.source(read_source(files, model.files.source), first.stem)
        return _Picture(first, target, source, read_beside(first))
    except DataError as error:
        return _Picture(first, target, problems=error.problems)


def _in_little_memory(bands: Iterator[Tensor]) -> Iterator[Tensor]:
    """Pass bands of a large answer on; what was free after each is not kept."""
    for band in bands:
        yield band
        hand_back_memory()
    hand_back_memory()


def _may_be_cut(first: Path, model: Model, sizing: Sizing) -> bool:
    """Whether a picture is large enough for tiles, as its file holds it and the model reads it."""
    if model.tiling is None or model.changes is not None:
        return False
    size = pixels_of(first)
    return size is not None and model.tiling.may_cut(size) and sizing.wanted(size) == size
