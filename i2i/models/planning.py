"""Which images are translated, and where each answer is written: decided before the first is read.

Files that are there are kept unless told otherwise, and a folder of answers is no folder of images.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from i2i.errors import DataError, Problem, RecipeError
from i2i.images import fitting
from i2i.images.formats import READABLE_SUFFIXES
from i2i.images.listing import files_below, is_image, other_kinds, other_kinds_told
from i2i.kinds import ImageSpec, PairSpec
from i2i.models.sources import Files, parts_in


@dataclass(frozen=True)
class Plan:
    """The images to translate, each with the file or the files it is written to, and what was left out.

    `others` counts, by suffix, the files below the folder that are no images, hidden ones apart.
    """

    work: tuple[tuple[Files, Files], ...]
    others: Counter[str] = field(default_factory=Counter)


def plan(
    source: Path, target: Path, spec: PairSpec | None = None, *, samples: int = 1, overwrite: bool = False
) -> Plan:
    """Return which image is written where: a file, or every image below a folder under its own name.

    Links are followed, but not in a circle; `target` is passed over where it lies below `source`. With the
    `spec` of a model, a folder may hold one folder for each of the files that its source is stacked from,
    and a name gets another suffix where its own cannot hold the model's images. A model whose targets have
    several files gets one file for each: below a folder of the part's name, or beside each other as
    NAME.PART.EXT where `target` is a file.

    Raises DataError when there is no image; RecipeError when a translation would replace its source,
    another translation or, without `overwrite`, any file.
    """
    work: list[tuple[Files, Files]]
    answers = spec.target if spec else None
    others = Counter[str]()
    if source.is_dir():
        if target.is_file():
            raise RecipeError(f"{target} is a file, and {source} is a folder; name a folder to write to.")
        found, others = _images_below(source, spec, but=target)
        work = [(files, _below(target, name, answers)) for files, name in found]
    elif source.is_file():
        inside = target.is_dir() or not target.suffix
        work = [(source, _below(target, Path(source.name), answers) if inside else _beside(target, answers))]
    else:
        raise DataError(f"{source} does not exist.")
    _check_results(work, samples, overwrite=overwrite)
    return Plan(tuple(work), others)


def written(result: Files, samples: int) -> list[tuple[Path, ...]]:
    """Return the files that each sample of an answer is written to: its own, or NAME-1, NAME-2 and so on.

    Of NAME.PART the samples are NAME-1.PART and so on.
    """
    files = (result,) if isinstance(result, Path) else result
    if samples == 1:
        return [files]
    return [tuple(_numbered(file, number, result) for file in files) for number in range(1, samples + 1)]


def _numbered(file: Path, number: int, result: Files) -> Path:
    beside = not isinstance(result, Path) and len({file.parent for file in result}) == 1
    name, dot, part = file.stem.rpartition(".") if beside else (file.stem, "", "")
    return file.with_stem(f"{name}-{number}{dot}{part}")


def _below(folder: Path, name: Path, spec: ImageSpec | None) -> Files:
    """Return where the answer to the image `name` goes in a folder: its parts in a folder for each."""
    if spec is None:
        return folder / name
    if not spec.parts:
        return fitting(folder / name, spec)
    parts = zip(spec.parts, spec.files, strict=True)
    return tuple(fitting(folder.joinpath(*_safe(part.name), name), file) for part, file in parts)


def _beside(target: Path, spec: ImageSpec | None) -> Files:
    """Return where an answer goes that is to be the file `target`: as it is, for its suffix was chosen.

    Of several files each is NAME.PART.EXT, with another suffix where that one cannot hold it.
    """
    if spec is None or not spec.parts:
        return target
    return tuple(
        fitting(target.with_stem(f"{target.stem}.{'-'.join(_safe(part.name))}"), file)
        for part, file in zip(spec.parts, spec.files, strict=True)
    )


def _safe(part: str) -> list[str]:
    """Return the folders that a part's name stands for: never one outside of where answers are to be."""
    names = [name for name in re.split(r"[/\\:]", part) if name not in ("", ".", "..")]
    return names or ["part"]


def _images_below(
    folder: Path, spec: PairSpec | None, *, but: Path
) -> tuple[list[tuple[Files, Path]], Counter[str]]:
    """Return the images below a folder, each with its name inside it, and the other files by suffix."""
    parts = parts_in(folder, spec.source) if spec else []
    if parts:
        return [(files, Path(files[0].name)) for files in parts], Counter()
    names = list(files_below(folder, but=but))
    found = sorted((Path(name) for name in names if is_image(name)), key=lambda path: path.parts)
    others = other_kinds(names)
    if not found:
        kinds = f", only {other_kinds_told(others)}" if others else ""
        hint = f"looked for {', '.join(READABLE_SUFFIXES)}"
        raise DataError(Problem(f"{folder} holds no image{kinds}.", hint=hint))
    return [(folder / name, name) for name in found], others


def _check_results(work: Sequence[tuple[Files, Files]], samples: int, *, overwrite: bool) -> None:
    sources = [path for files, _ in work for path in ((files,) if isinstance(files, Path) else files)]
    known = {_identity(path): path for path in sources}
    taken: dict[Path, Path] = {}
    there: list[Path] = []
    for files, result in work:
        first = files if isinstance(files, Path) else files[0]
        for path in written(result, 1)[0]:
            if path in taken:
                raise RecipeError(f"{taken[path]} and {first} would both become {path}: rename one.")
            taken[path] = first
        for path in chain.from_iterable(written(result, samples)):
            if not os.path.lexists(path):
                continue
            source = known.get(_identity(path))
            if source is not None:
                raise RecipeError(f"{source} would be overwritten by a translation; choose another output.")
            there.append(path)
    if there and not overwrite:
        count = "is there already" if len(there) == 1 else f"and {len(there) - 1:,} more are there already"
        raise RecipeError(
            f"{there[0]} {count}, and nothing was written: choose another output, or replace them with "
            "--overwrite."
        )


def _identity(path: Path) -> tuple[int, int] | Path:
    """Return what tells a file from all others, whatever its name; of one that is not there its name."""
    try:
        found = path.stat()
    except OSError:  # a link to nowhere, which is said when it is read
        return path
    return found.st_dev, found.st_ino
