"""Temporary distributions with real entry points, and a way to run the command line in this process."""

from __future__ import annotations

import os

# Tiny networks gain nothing by a second thread, and two processes of tests on two cores lose by it.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import NamedTuple

import pytest

from i2i.recipe.recipe import Recipe, load_recipe
from i2i.testing import fake_distribution

TOYS = Path(__file__).parent / "toys"

Distribution = Callable[..., Path]


@pytest.fixture
def distribution(tmp_path: Path) -> Iterator[Distribution]:
    """Return a function that installs a distribution for this test, also for its subprocesses.

    ``distribution(name, version, namespace, files)`` writes `files` (path -> text) and an entry point
    ``namespace = <first module>`` into a site folder of their own and returns that folder. Without a
    `namespace` it has no entry point.
    """
    with ExitStack() as stack:
        numbers = count()

        def install(name: str, version: str, namespace: str | None, files: Mapping[str, str]) -> Path:
            site = tmp_path / "sites" / str(next(numbers))
            fake = fake_distribution(name, files, namespace=namespace, version=version, site=site)
            return stack.enter_context(fake)

        yield install


BITS = """
from i2i import hookimpl

i2i_api = 1

@hookimpl
def i2i_register(registry):
    registry.generator("net", "i2i_bits.parts:Net", "a generator")
    registry.generator("other", "i2i_bits.parts:Other", "another generator")
    registry.discriminator("judge", "i2i_bits.parts:Judge", "a discriminator")
    registry.paired_loss("distance", "i2i_bits.parts:Distance", "a paired loss")
    registry.adversarial_loss("game", "i2i_bits.parts:Game", "an adversarial loss")
    registry.adversarial_loss("critic", "i2i_bits.parts:Critic", "one that needs a penalty")
    registry.feature_loss("match", "i2i_bits.parts:Match", "a feature loss")
    registry.penalty("slope", "i2i_bits.parts:Slope", "a penalty")
    registry.data("squares", "i2i_bits.parts:Squares", "data")
    registry.transform("turn", "i2i_bits.parts:Turn", "a transform")
    registry.method("any", "i2i_bits.parts:Any", "takes any discriminators")
    registry.method("pair", "i2i_bits.parts:Pair", "takes two generators")
    registry.metric("error", "i2i_bits.parts:Error", "a metric")
    registry.callback("bell", "i2i_bits.parts:Bell", "a callback")
    registry.optimizer("walk", "i2i_bits.parts:walk", "an optimizer")
    registry.schedule("fade", "i2i_bits.parts:Fade", "a schedule")
    registry.schedule("plateau", "i2i_bits.parts:Plateau", "one that needs a metric")
"""

PARTS = '''
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge

from i2i.kinds import DiscriminatorSlot, GeneratorSlot, LossSlot, MethodSlots

if TYPE_CHECKING:
    from nowhere import Networks, Parameters


class Net:
    """A generator.

    Args:
        depth: how deep.
        norm: which norm.
    """

    def __init__(
        self,
        in_channels: int,
        *,
        depth: Annotated[int, Ge(1)] = 6,
        width: Annotated[int, Ge(1)] = 8,
        norm: Literal["batch", "instance"] = "batch",
        dropout: float = 0.5,
        table: dict[str, float] = {},
        kernel: tuple[int, int] | None = None,
    ) -> None: ...


class Other:
    def __init__(self, *, blocks: int = 9, depth: int = 2) -> None: ...


class Judge:
    def __init__(self, in_channels: int, *, field: int = 70) -> None: ...


class Distance:
    pass


class Game:
    pass


class Critic:
    requires = {"penalty": "bits/critic needs a penalty, like bits/slope"}


class Match:
    pass


class Slope:
    def __init__(self, *, target: float = 1.0) -> None: ...


class Squares:
    def __init__(self, split: str, *, root: Path, size: tuple[int, int] = (8, 8)) -> None: ...


class Turn:
    def __init__(self, *, angle: float = 10.0) -> None: ...


class Any:
    slots = MethodSlots(
        generators={"main": GeneratorSlot()},
        exported="main",
        discriminators=DiscriminatorSlot(),
        loss_kinds=frozenset({"paired-loss", "adversarial-loss", "penalty"}),
    )

    def __init__(self, networks: Networks, losses, *, test_dropout: bool = False) -> None: ...


class Pair:
    slots = MethodSlots(
        generators={"there": GeneratorSlot(), "back": GeneratorSlot("target", "source")},
        exported="there",
        discriminators={"end": DiscriminatorSlot()},
        loss_kinds=frozenset({"paired-loss", "adversarial-loss"}),
        losses={"cycle": LossSlot("paired-loss")},
    )


class Error:
    directions = {"error": "min"}


class Bell:
    pass


def walk(params: Parameters, *, lr: Annotated[float, Ge(0)] = 1e-3, betas: tuple[float, float] = (0.9, 0.9)):
    """An optimizer."""


class Fade:
    def __init__(self, total_steps: int, *, start: float = 0.5) -> None: ...


class Plateau:
    requires = {"metric": "bits/plateau watches a metric: add one as [metrics.NAME]"}
'''

RECIPE = """\
recipe = 1
name = "bits"

[data]
use = "bits/squares"
root = "images"

[generator]
use = "bits/net"
depth = 5

[discriminators.patch]
use = "bits/judge"

[losses.adversarial]
use = "bits/game"

[losses.l1]
use = "bits/distance"
weight = 100

[method]
use = "bits/any"

[optimizers.generators]
use = "bits/walk"
lr = 2e-4

[optimizers.discriminators]
use = "bits/walk"

[schedule]
use = "bits/fade"

[train]
steps = 100

[metrics.error]
use = "bits/error"
"""


@pytest.fixture
def bits(distribution: Distribution) -> Path:
    """Install the plug-in ``bits``: one toy component of each kind, that nobody can build."""
    return distribution("i2i-bits", "1.0", "bits", {"i2i_bits/__init__.py": BITS, "i2i_bits/parts.py": PARTS})


@pytest.fixture
def recipe_file(bits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Work in a folder of its own, and return a function that writes a recipe of toy components there.

    ``recipe_file(text)`` writes a text as it is; ``recipe_file(old=..., new=...)`` a sound recipe with one
    passage replaced; both take the file's `name` and return it.
    """
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)

    def write(text: str = RECIPE, *, old: str = "", new: str = "", name: str = "x.toml") -> str:
        assert old in text
        Path(name).write_text(text.replace(old, new, 1) if old else text + new)
        return name

    return write


class Ended(NamedTuple):
    """How a command ended: its exit code, and what it printed."""

    code: int
    out: str
    err: str


@pytest.fixture
def i2i(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """Return a function that runs the command line in this process."""
    from i2i.cli import main

    def run(*arguments: str) -> Ended:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        code = ended.value.code
        assert isinstance(code, int)
        return Ended(code, *capsys.readouterr())

    return run


@pytest.fixture
def toys(tmp_path: Path) -> Iterator[Path]:
    """Install the toy distribution for this test, also for subprocesses; return its site folder."""
    files = {f"i2i_toys/{path.name}": path.read_text() for path in (TOYS / "i2i_toys").glob("*.py")}
    with fake_distribution("i2i-toys", files, namespace="toys", site=tmp_path / "site") as site:
        yield site


@pytest.fixture
def gan(toys: Path, tmp_path: Path) -> Path:
    """A recipe file: a toy generator against a toy judge."""
    path = tmp_path / "toy.toml"
    path.write_text((TOYS / "gan.toml").read_text())
    return path


@pytest.fixture
def load(gan: Path):
    """Return a function that loads the toy recipe with settings on top."""

    def load_with(*settings: str, unset: tuple[str, ...] = ()) -> Recipe:
        return load_recipe(gan, set=settings, unset=unset)

    return load_with


@pytest.fixture
def refine(toys: Path, tmp_path: Path) -> Path:
    """A recipe file: a method that translates by several passes of a generator on two sides."""
    path = tmp_path / "refine.toml"
    path.write_text((TOYS / "refine.toml").read_text())
    return path


@pytest.fixture
def two_way(toys: Path, tmp_path: Path) -> Path:
    """A recipe file: two generators and two judges on unpaired data."""
    path = tmp_path / "two-way.toml"
    path.write_text((TOYS / "two-way.toml").read_text())
    return path
