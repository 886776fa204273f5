"""How weights start, by module class, whatever architecture they are part of.

pix2pix draws convolutions from N(0, 0.02) and norm scales from N(1, 0.02), with zero biases (Isola et
al. 2017, section 6.2, and the authors' code). A module with ``keep_init = True`` keeps its own values,
and so does all that is in it.
"""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd
from torch.nn.utils import parametrize

from i2i.slot_keys import Init

STD = 0.02


def initialise(module: nn.Module, how: Init) -> None:
    """Draw the weights of `module` from torch's global generator; "none" leaves them as they are."""
    if how == "none":
        return
    for part in _open_parts(module):
        if isinstance(part, (_ConvNd, nn.Linear)):
            _fill(_original(part, "weight"), how)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        elif isinstance(part, (_NormBase, nn.GroupNorm)) and part.weight is not None:
            nn.init.normal_(part.weight, 1.0, STD)
            nn.init.zeros_(part.bias)


def _open_parts(module: nn.Module) -> Iterator[nn.Module]:
    if getattr(module, "keep_init", False):
        return
    yield module
    for child in module.children():
        yield from _open_parts(child)


def _original(part: nn.Module, name: str) -> Tensor:
    """Return the parameter itself where a parametrization such as spectral norm hides it."""
    if parametrize.is_parametrized(part, name):
        original = part.parametrizations[name].original  # type: ignore[index,union-attr]
        assert isinstance(original, Tensor)
        return original
    weight = getattr(part, name)
    assert isinstance(weight, Tensor)
    return weight


def _fill(weight: Tensor, how: Init) -> None:
    if how == "normal":
        nn.init.normal_(weight, 0.0, STD)
    elif how == "xavier":
        nn.init.xavier_normal_(weight, gain=STD)
    elif how == "kaiming":
        nn.init.kaiming_normal_(weight)
    else:
        nn.init.orthogonal_(weight, gain=STD)
