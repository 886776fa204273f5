"""What components may be able to do beside their kind's contract: small protocols, asked for by isinstance.

A component has such an ability by defining the method or the attribute; it inherits and registers nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from i2i.kinds import Data, PairSpec


@runtime_checkable
class Stateful(Protocol):
    """A part of a run whose state survives a resume: a mapping of tensors and JSON values."""

    def state_dict(self) -> Mapping[str, Any]: ...

    def load_state_dict(self, state: Mapping[str, Any], /) -> Any: ...


@runtime_checkable
class Prepares(Protocol):
    """A metric that looks at the training split once, before its first update."""

    def prepare(self, train_data: Data, /) -> None: ...


@runtime_checkable
class NeedsImages(Protocol):
    """A metric of whole sets, which has no figure of fewer than so many images."""

    fewest: int


@runtime_checkable
class Observes(Protocol):
    """A schedule that is told the figures of each validation."""

    def observe(self, metrics: Mapping[str, float], /) -> None: ...


@runtime_checkable
class Watches(Protocol):
    """A schedule that cannot do without one figure, which the engine looks for before the run."""

    watches: str


@runtime_checkable
class ChangesSpec(Protocol):
    """A transform that adds or changes channels, and says what it makes of the spec of pairs."""

    def spec(self, spec: PairSpec, /) -> PairSpec: ...
