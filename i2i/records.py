"""The records that components, the engine and its commands exchange: plain data, without behaviour.

Pairs and how they are stored, batches, what a method declares of its networks, and the cells of a benchmark.
No torch at import.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from i2i.slot_keys import Byte

if TYPE_CHECKING:
    from torch import Tensor

Side = Literal["source", "target"]
Split = Literal["train", "val", "test"]
Depth = Literal["uint8", "uint16", "float32"]
Direction = Literal["min", "max"]
Scale = Literal["shrunk", "own"]
"""Pictures brought to the size of the data, or drawn at it; or windows of pictures at their resolution."""
NetworkNeed = Literal["time", "features"]
"""What a method may need of a network: an input `time` beside the image, or a method `features`."""

Colour = tuple[Byte, Byte, Byte]
"""Red, green and blue, 0 to 255."""


@dataclass(frozen=True)
class Part:
    """One of several files that are stacked to one side: its name, channels, and how it is stored.

    Everything but the name means what it means for an `ImageSpec`.
    """

    name: str
    channels: int
    depth: Depth
    low: float
    high: float
    labels: bool = False
    palette: tuple[Colour, ...] = ()

    @property
    def one_hot(self) -> bool:
        """Whether each channel stands for a class, and every pixel is of the one with the highest value."""
        return self.labels and self.channels > 1


@dataclass(frozen=True)
class ImageSpec:
    """One side of a pair: channels, height and width in pixels, and how its values are stored.

    `low` and `high` are the stored values that become -1 and 1 inside the engine. `labels` marks a
    map of classes, one channel for each, which is only ever resized by nearest neighbour and never
    changes its values; files hold it as indices, or in the colours of `palette`.

    `parts` are the files that a side of several is stacked from, in order, each with a name of its own: their
    channels add up to the side's. Then `labels` and `palette` are those of the parts, and the side's own stay
    empty. A data set hands such a side out in one tensor: where all parts have the depth and the range of the
    side, as stored; otherwise the side is float32 from -1 to 1, and each part's range is mapped to that.
    """

    channels: int
    height: int
    width: int
    depth: Depth = "uint8"
    low: float = 0.0
    high: float = 255.0
    labels: bool = False
    palette: tuple[Colour, ...] = ()
    parts: tuple[Part, ...] = ()

    @property
    def one_hot(self) -> bool:
        """Whether each channel stands for a class, and every pixel is of the one with the highest value."""
        return self.labels and self.channels > 1 and not self.parts

    @property
    def files(self) -> tuple[ImageSpec, ...]:
        """What each file of the side is by itself, in order: one without parts is its only one."""
        return tuple(self._of(part) for part in self.parts) or (self,)

    def part(self, name: str) -> ImageSpec:
        """Return what the part `name` is by itself; KeyError where there is none."""
        return next((self._of(part) for part in self.parts if part.name == name), None) or self._none(name)

    def channels_of(self, name: str) -> slice:
        """Return which of the side's channels are those of the part `name`; KeyError where there is none."""
        first = 0
        for part in self.parts:
            if part.name == name:
                return slice(first, first + part.channels)
            first += part.channels
        return self._none(name)

    def _of(self, part: Part) -> ImageSpec:
        return ImageSpec(
            part.channels, *self.size, part.depth, part.low, part.high, part.labels, part.palette
        )

    def _none(self, name: str) -> NoReturn:
        raise KeyError(f"no part '{name}' in {', '.join(part.name for part in self.parts) or 'this side'}")

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.height, self.width


@dataclass(frozen=True)
class PairSpec:
    """What a data set hands out: its source side and its target side.

    `aligned` says that a target belongs to its source, so that a translation can be compared with it. Where
    it is False the two are any picture of each side.
    """

    source: ImageSpec
    target: ImageSpec
    aligned: bool = True

    def side(self, side: Side) -> ImageSpec:
        """Return the spec of `side`."""
        return self.source if side == "source" else self.target

    def about(self, part: str | None) -> PairSpec:
        """Return the spec with one part of the target as its target, if there is such a part."""
        there = part is not None and any(each.name == part for each in self.target.parts)
        return replace(self, target=self.target.part(part)) if there and part else self

    def seen_by(self, role: GeneratorSlot) -> PairSpec:
        """Return what a generator reads and writes; several sides that it reads count as one stack.

        A stack is no map of classes, whatever its sides are.
        """
        first, *others = (self.side(side) for side in role.sides)
        channels = first.channels + sum(side.channels for side in others)
        stack = replace(first, channels=channels, labels=False, palette=(), parts=())
        return PairSpec(stack if others else first, self.side(role.writes), self.aligned)

    @classmethod
    def from_json(cls, table: Mapping[str, Any]) -> PairSpec:
        """Return the spec that `dataclasses.asdict` took apart; TypeError or KeyError where it is none."""
        aligned = table.get("aligned", True)
        return cls(_image_spec(table["source"]), _image_spec(table["target"]), aligned)


@dataclass(frozen=True)
class ExtraSpec:
    """A further field of each item beside its pair: what it is, in words, and how it behaves.

    An `image` is (channels,H,W) of any type; it moves with the picture and is resized by nearest neighbour,
    its values as they are. Any other is a tensor of one shape.
    """

    what: str
    image: bool = True
    channels: int = 1


RESERVED_FIELDS = frozenset({"source", "target", "id", "ids", "fake", "real", "batch", "step", "run", "spec"})
"""Names that no further field of an item can have: components are given other things by these."""


def _image_spec(table: Mapping[str, Any]) -> ImageSpec:
    parts = tuple(Part(**{**part, "palette": _palette(part)}) for part in table.get("parts", ()))
    return ImageSpec(**{**table, "palette": _palette(table), "parts": parts})


def _palette(table: Mapping[str, Any]) -> tuple[Colour, ...]:
    return tuple((red, green, blue) for red, green, blue in table.get("palette", ()))


@dataclass(frozen=True)
class Pair:
    """One source and target, (C,H,W) float32 in [-1,1], as a transform sees them.

    `extra` are the further fields that are images, (C,H,W) of the target's size: what moves pixels moves
    these alike, by nearest neighbour.
    """

    source: Tensor
    target: Tensor
    spec: PairSpec
    extra: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Pictures:
    """What the pictures of a training were like, told from some of them, before the engine resized any.

    `height` and `width` are those of the middle one by area, in pixels; `squashed` says that one at least
    has other proportions than the size that all are brought to.
    """

    height: int
    width: int
    squashed: bool


@dataclass(frozen=True)
class Batch:
    """Sources (B,Cin,H,W) and targets (B,Cout,H,W), float32 in [-1,1], with the id of each.

    `extra` are the further fields that the data has, by name: images (B,C,H,W), or values (B,...).
    """

    source: Tensor
    target: Tensor
    ids: tuple[str, ...]
    extra: Mapping[str, Tensor] = field(default_factory=dict)

    def moved(self, place: Callable[[Tensor], Tensor]) -> Batch:
        """Return the batch with all tensors as `place` gives them: on a device, in its layout."""
        extra = {name: place(value) for name, value in self.extra.items()}
        return Batch(place(self.source), place(self.target), self.ids, extra)

    def side(self, side: Side) -> Tensor:
        """Return the images of `side`."""
        return self.source if side == "source" else self.target

    def seen_by(self, role: GeneratorSlot) -> Batch:
        """Return what a generator reads as the sources, several sides in one stack, and writes as targets."""
        first, *others = (self.side(side) for side in role.sides)
        stack = first
        if others:
            import torch

            stack = torch.cat((first, *others), dim=1)
        return replace(self, source=stack, target=self.side(role.writes))

    def pin_memory(self) -> Batch:
        """Return the batch in page-locked memory, for a loader that feeds a GPU."""
        return self.moved(lambda image: image.pin_memory())


@dataclass(frozen=True)
class TestSettings:
    """How a trained generator is run: dropout on or off, and which statistics its batch norms use.

    `norm = "batch"` takes each image's own statistics, whatever the batch (pix2pix, section 3.3, at
    batch size 1); "running" takes the averages gathered in training.
    """

    dropout: bool = False
    norm: Literal["batch", "running"] = "running"

    __test__ = False  # not a test class, whatever its name says to a test runner


# --- what a method declares about its networks --------------------------------------------------


@dataclass(frozen=True)
class GeneratorSlot:
    """A generator that a method needs: the side it reads, or several as one stack, and the side it writes.

    `needs` are the abilities of `NetworkNeed` that the method cannot do without.
    """

    reads: Side | tuple[Side, ...] = "source"
    writes: Side = "target"
    needs: frozenset[NetworkNeed] = frozenset()

    @property
    def sides(self) -> tuple[Side, ...]:
        """The sides that it reads, in the order in which they are stacked."""
        return (self.reads,) if isinstance(self.reads, str) else self.reads


@dataclass(frozen=True)
class DiscriminatorSlot:
    """A discriminator that a method can use: the side it judges, and what a conditional one sees too.

    Without a `condition` it sees the image alone: of unpaired data nothing belongs beside it. `needs` are the
    abilities of `NetworkNeed` that the method cannot do without.
    """

    judges: Side = "target"
    condition: Side | None = "source"
    needs: frozenset[NetworkNeed] = frozenset()


@dataclass(frozen=True)
class NetworkSlot:
    """Any other network of a method, such as a head on features, an encoder or a teacher.

    `on` is the path of a network ("generators.main") whose features it works on: its factory may ask for
    their channels. `reads` and `writes` are sides of a pair whose channels it may ask for. One that is not
    `required` may be left out of a recipe.
    """

    on: str | None = None
    reads: Side | None = None
    writes: Side | None = None
    required: bool = True


@dataclass(frozen=True)
class LossSlot:
    """A loss that a method applies by its name: of which kind it is, and whether it has to be there."""

    kind: str
    required: bool = True


@dataclass(frozen=True)
class OwnTerm:
    """What a method adds to what is minimised, or how it applies losses of the recipe, to be told to people.

    `what` says it in a few words. `weight` is that of a term which the method adds itself, None of a loss,
    whose table has it. `of` are the sections, or paths, of the networks that minimise a term of its own.
    """

    what: str = ""
    weight: float | None = None
    of: tuple[str, ...] = ("generators",)


@dataclass(frozen=True)
class MethodSlots:
    """What a method is assembled from; read before anything is built.

    `exported` names the generators that a run's model files hold, the first of them what its figures are of.
    `discriminators` is a mapping of required names, or one slot: then any number of them, none
    included, under any names. `networks` are all others. `losses` are those that the method applies by name,
    each of its kind; `loss_kinds` are the kinds of all others that it makes use of, so that a loss nobody
    would apply is refused. A method whose `translate` is more than one pass of the exported generator names
    in `translates_with` all networks that it takes: the model file holds these, and the method's table.
    """

    generators: Mapping[str, GeneratorSlot]
    exported: str | tuple[str, ...]
    discriminators: Mapping[str, DiscriminatorSlot] | DiscriminatorSlot = field(default_factory=dict)
    networks: Mapping[str, NetworkSlot] = field(default_factory=dict)
    loss_kinds: frozenset[str] = frozenset({"paired-loss"})
    losses: Mapping[str, LossSlot] = field(default_factory=dict)
    translates_with: tuple[str, ...] = ()

    @property
    def exports(self) -> tuple[str, ...]:
        """The names of the exported generators, the first of which is the default."""
        return (self.exported,) if isinstance(self.exported, str) else self.exported


# --- the cells of a benchmark -------------------------------------------------------------------

CellStatus = Literal["running", "done", "failed", "diverged", "interrupted"]


@dataclass(frozen=True)
class Job:
    """One cell: its recipe's file and its run folder, both absolute, and what it may use.

    `key` names the cell; `folder` is the working folder that relative paths of the recipe start from;
    `plugin` is the file of a local plug-in. `threads` are those of each of the `processes` that train the
    cell as one, on so many `nodes`. Plain data, so that it can be sent anywhere.
    """

    key: str
    recipe: str
    out: str
    folder: str
    device: str
    threads: int
    steps: int
    plugin: str | None = None
    processes: int = 1
    nodes: int = 1

    def command(self) -> str:
        """Return the shell command that does this job alone; over several nodes, the one for each process."""
        launcher = ["torchrun", *self.torchrun_options(), "-m"] if self.processes > self.nodes == 1 else []
        words = [*launcher, "i2i", *self.run_arguments()]
        return f"cd {shlex.quote(self.folder)} && OMP_NUM_THREADS={self.threads} {shlex.join(words)}"

    def torchrun_options(self) -> list[str]:
        """Return the options with which torchrun starts the processes of this job on one machine."""
        return ["--standalone", f"--nproc-per-node={self.processes}"]

    def run_arguments(self) -> list[str]:
        """Return what follows `i2i` in the command of each process."""
        local = ["--plugin", self.plugin] if self.plugin else []
        # One process takes OMP_NUM_THREADS for what it may have at most; several could not agree on fewer.
        threads = ["--threads", str(self.threads)] if self.processes > 1 else []
        return ["run", self.recipe, "--out", self.out, "--device", self.device, *threads, *local]


@dataclass(frozen=True)
class Event:
    """How far a job is: `step` steps are done; `status` other than "running" ends it.

    `error` says in a sentence why it is not "done", and `code` is the exit code that goes with it.
    """

    key: str
    status: CellStatus
    step: int = 0
    error: str = ""
    code: int = 0
