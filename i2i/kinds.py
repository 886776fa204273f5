"""The contract of each kind of component: what its factory is given and what it must return.

A factory is a class or a function. Its keyword parameters, all annotated, are the keys of its table
in a recipe; `injected` names are given by the engine; slot keys (`use`, and the fields of the kind's
settings) belong to the engine. Everything here is plain data and protocols: no torch at import.

Four injected names need words. `fetch` says whether a component that starts from published weights may get
them now: it is False where only shapes are asked for, and where a checkpoint or a model file is about to
replace all weights, so that neither needs a network. `condition_channels` is how many of a discriminator's
`in_channels` are the condition, which comes first. `augmentation` is what a method shows its discriminators
images through (`i2i.augmentation.Augmentation`); one that doesn't ask for it takes no transform at "judging".
`feature_channels`, a tuple of int, are the channels of each tensor that `features(image)` gives, of the
network which a network's slot is `on`.
`spec` is the `PairSpec` of the pairs that are trained on, in a model file that of its own training; a
generator's has what it reads as the source and what it writes as the target. A component that these do not
fit says so in a ValueError of its factory.

The call of a loss may ask for more than the tensors of its kind, by keyword: `source`, the sources of the
batch; `batch`, the `Batch` itself; `step`, the number of the step, from 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from i2i.kind_table import (
    CALLBACK_EVENTS,
    JUDGED_KINDS,
    KINDS,
    LOSS_KINDS,
    NEEDS,
    NETWORK_SECTIONS,
    SECTIONS,
    Kind,
    kinds_of,
)
from i2i.records import (
    RESERVED_FIELDS,
    Batch,
    Colour,
    Depth,
    Direction,
    DiscriminatorSlot,
    Event,
    ExtraSpec,
    GeneratorSlot,
    ImageSpec,
    Job,
    LossSlot,
    MethodSlots,
    NetworkNeed,
    NetworkSlot,
    OwnTerm,
    Pair,
    PairSpec,
    Part,
    Scale,
    Side,
    Split,
    TestSettings,
)

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from i2i.context import Run

__all__ = [
    "CALLBACK_EVENTS",
    "JUDGED_KINDS",
    "KINDS",
    "LOSS_KINDS",
    "NEEDS",
    "NETWORK_SECTIONS",
    "PROTOCOLS",
    "RESERVED_FIELDS",
    "SECTIONS",
    "AdversarialLoss",
    "Batch",
    "Callback",
    "Colour",
    "Data",
    "Depth",
    "Direction",
    "Discriminator",
    "DiscriminatorSlot",
    "Event",
    "Executor",
    "ExtraSpec",
    "FeatureLoss",
    "Generator",
    "GeneratorSlot",
    "ImageSpec",
    "Job",
    "Kind",
    "LossSlot",
    "Method",
    "MethodSlots",
    "Metric",
    "Network",
    "NetworkNeed",
    "NetworkSlot",
    "OptimizerFactory",
    "OwnTerm",
    "Pair",
    "PairSpec",
    "PairedLoss",
    "Part",
    "Penalty",
    "Scale",
    "Schedule",
    "Side",
    "Split",
    "TestSettings",
    "Transform",
    "kinds_of",
]


# --- protocols: what a factory must return -------------------------------------------------------


class Generator(Protocol):
    """An `nn.Module`: (B,Cin,H,W) -> (B,Cout,H,W), both in [-1,1].

    Two optional attributes (int): height and width must be multiples of `size_multiple`, and are at least
    `smallest`. Discriminators, losses and metrics may have a `smallest` too.
    A module with an attribute `keep_init = True` is left alone by `init` (pretrained weights).
    """

    def __call__(self, source: Tensor, /) -> Tensor: ...


class Discriminator(Protocol):
    """An `nn.Module`: (B,Cin,H,W) -> raw logits: a tensor, a list of tensors, or `Maps`; no sigmoid.

    An optional attribute `receptive_field` (int, pixels) is shown to people; 0 means the whole image.
    """

    def __call__(self, image: Tensor, /) -> Any: ...


class Network(Protocol):
    """Any `nn.Module` that a method makes use of: how it is called is between the two.

    Its factory may ask for `feature_channels`, `in_channels` and `out_channels`, as far as the method's slot
    gives them. Like every network it may hand out `features(image)` (`i2i.abilities.HandsOutFeatures`).
    """

    def __call__(self, *inputs: Any) -> Any: ...


class PairedLoss(Protocol):
    """(fake, real), both (B,C,H,W) in [-1,1] -> a scalar."""

    def __call__(self, fake: Tensor, real: Tensor, /) -> Tensor: ...


class AdversarialLoss(Protocol):
    """Both sides of the game, over lists of logit maps; each returns a scalar.

    Means are taken over each map in float32, then over maps. An optional `accuracy(fake, real)` returns two
    scalars, the shares (0 to 1) of the fake and of the real logits that are taken for what they are; a loss
    in which no single logit is right or wrong, as that of a critic, has none.
    """

    def generator(self, fake: Sequence[Tensor], real: Sequence[Tensor]) -> Tensor:
        """What the generator minimises."""
        ...

    def discriminator(self, fake: Sequence[Tensor], real: Sequence[Tensor]) -> Tensor:
        """What the discriminator minimises, the mean of its two halves."""
        ...


class FeatureLoss(Protocol):
    """(fake_features, real_features), a list of tensors for each scale -> a scalar."""

    def __call__(self, fake: list[list[Tensor]], real: list[list[Tensor]], /) -> Tensor: ...


class Penalty(Protocol):
    """(judge, real, fake) -> a scalar; `judge(image)` gives logit maps with the condition bound."""

    def __call__(self, judge: Callable[[Tensor], list[Tensor]], real: Tensor, fake: Tensor, /) -> Tensor: ...


@runtime_checkable
class Data(Protocol):
    """An indexed data set: the same item for the same index, always, in whichever process or thread.

    `__getitem__` gives ``{"source": (C,H,W), "target": (C,H,W), "id": str}`` with values as stored
    (`spec.*.depth`); sides may be larger or smaller than `spec` says, the engine resizes. DataError
    stands for an item that cannot be had, MissingSplitError for a split that is not there. Optional:
    `draw(index, rng)` for unpaired data, called instead in training with a seeded
    `torch.Generator`; `credit`, a sentence of attribution that every report repeats; `layout`, how the
    files were found, in words; `problems`, what was found wrong without opening any item: a sequence of
    `Problem`s, which are an error unless `on_bad = "skip"`; `notes`, sentences that are told when the data is
    opened; `ids` and `file_sizes`, sequences with an entry for each item, had without opening any: a run that
    goes on with other data is told from them; `optima`, where the best answers under L2 and L1 are known, a
    mapping from "mean" and "median" to pictures (C,H,W) in [0,1]; `scale = "own"` where it hands out windows
    of pictures, such as tiles, at the pictures' own resolution, so that whole pictures are translated at
    theirs; `extra`, a mapping from the names of further fields that each item has, such as masks, to
    what they are (`ExtraSpec`).
    """

    spec: PairSpec

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Mapping[str, Any]: ...


class Transform(Protocol):
    """Augments one pair: geometry on both sides with one draw, photometry on the source unless asked.

    `size` is the (height, width) that training wants; a transform may come to it or leave it to the
    engine. All randomness comes from `rng`, a generator on the CPU wherever the images are.

    A recipe says where it is applied (`at`): to pairs as they are "loading", to those on the "device", or, at
    "judging", to what discriminators see: the image as the pair's target, what is beside it as its source.
    There a gradient must come through to the image, and its values may leave [-1,1]. One that fits some of
    these places alone names them in an attribute `places` of its class or function. One that cuts windows at
    the pictures' own resolution has an attribute `scale = "own"` there, one that resizes them `"shrunk"`: the
    first in a recipe to say so decides how whole pictures are scored and translated.

    Data may have further fields that are images, such as masks: `pair.extra`. One that moves pixels moves
    these as the target, by nearest neighbour, and has an attribute `moves = True`; one that leaves pixels in
    place has `moves = False`. One without is refused where data have such fields.

    Optional: a keyword `another` of its call, a function that returns another training pair, drawn by `rng`,
    as it is before this transform. And a method `spec(spec)`, for one that adds or changes channels: it gives
    the `PairSpec` of what it makes. Such a one is part of reading a pair, also at test: it makes each side of
    that side alone, keeps height and width, and its `rng` is seeded by the item's id.
    """

    def __call__(self, pair: Pair, *, size: tuple[int, int], rng: torch.Generator) -> Pair: ...


class Method(Protocol):
    """The way networks and losses are trained together.

    `slots` is a class attribute. `step` is given one batch, or several with accumulation: it updates
    the discriminators over all of them, then the generators, through `run.update`, and returns what
    `run.update` logged. `test` says how the exported generator is run once trained.
    """

    slots: MethodSlots
    test: TestSettings

    def step(self, batches: Sequence[Batch], run: Run) -> Mapping[str, Tensor]: ...

    def translate(self, source: Tensor) -> Tensor: ...


class Metric(Protocol):
    """Scores translations as saved: float32 in [0,1] at the target's stored depth.

    `directions` names each figure and says which way is better; a figure without one is there to compare
    others with; an optional `references` names those. `update` may return one value an image for each name,
    (B,). A metric starts afresh on `reset()`. An optional `prepare(train_data)` is called once before the
    first update. One of whole sets has an attribute `fewest` (int), the images that it needs: a split with
    fewer is refused before the run, and in a rehearsal, which scores one batch, it is not asked for figures.
    What figures mean is shown beside them: the class's docstring up to `Args:`, or a string attribute
    `definition`. `update` may ask for further fields of the data by parameters of their names after `*`.
    """

    directions: Mapping[str, Direction]

    def reset(self) -> None: ...

    def update(
        self, source: Tensor, fake: Tensor, real: Tensor, ids: Sequence[str]
    ) -> Mapping[str, Tensor] | None: ...

    def compute(self) -> Mapping[str, float]: ...


class Callback(Protocol):
    """Any of `run_start(run)`, `step_end(run, logs)`, `eval_end(run, metrics)`, `run_end(run, error)`.

    State that must survive a resume goes through `state_dict()` and `load_state_dict(state)`: a
    mapping of tensors and JSON values.
    """


class OptimizerFactory(Protocol):
    """(params, ...) -> torch.optim.Optimizer."""

    def __call__(self, params: Iterable[nn.Parameter], **options: Any) -> torch.optim.Optimizer: ...


class Schedule(Protocol):
    """The factor at a step, counted from 0: on the learning rate of networks, or on the weight of a loss.

    Optional: `observe(metrics)` after each validation, then with `state_dict` and `load_state_dict`;
    and `watches`, the figure that it cannot do without, which the engine looks for before the run.
    """

    def __call__(self, step: int, /) -> float: ...


class Executor(Protocol):
    """Trains the cells of a benchmark, wherever it likes.

    `run` returns once every job has ended. It makes an `i2i.bench.jobs.Worker` in each of its processes,
    calls `train(job, …)` there, and passes every event on to `report`, in the thread it was called in. A job
    whose process died is tried again once, which resumes it; then an event says that it failed. When
    `stopped` turns true, it sends SIGTERM to the processes at work, or asks them in its own way to save
    and end, starts nothing new, and returns.

    `at_once` is how many jobs run at the same time.
    """

    at_once: int

    def run(
        self, jobs: Sequence[Job], *, report: Callable[[Event], None], stopped: Callable[[], bool]
    ) -> None: ...


PROTOCOLS: Mapping[str, type] = {
    "generator": Generator,
    "discriminator": Discriminator,
    "network": Network,
    "paired-loss": PairedLoss,
    "adversarial-loss": AdversarialLoss,
    "feature-loss": FeatureLoss,
    "penalty": Penalty,
    "data": Data,
    "transform": Transform,
    "method": Method,
    "metric": Metric,
    "callback": Callback,
    "optimizer": OptimizerFactory,
    "schedule": Schedule,
    "executor": Executor,
}
"""What a factory of each kind must return; for an optimizer, what the factory itself must be."""
