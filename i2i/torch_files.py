"""Reading torch's own file format: tensors by name, and nothing that such a file holds is run.

These files are pickles. torch's weights-only reader builds tensors and plain containers from them and
refuses the rest; releases before `SAFE_SINCE` could be led astray by a crafted file, so they read none.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from packaging.version import Version
from torch import Tensor

from i2i.errors import DataError, ResourceError

SAFE_SINCE = Version("2.10")


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Return the state dict in a ``.pth`` file, on the CPU.

    Raises DataError when the file is missing, damaged, or holds anything but tensors by name;
    ResourceError when the installed torch is too old to open it safely.
    """
    if Version(torch.__version__) < SAFE_SINCE:
        raise ResourceError(
            f"{path} is a pickle, which only torch {SAFE_SINCE} or newer opens safely; "
            f"installed is {torch.__version__}: update torch."
        )
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # remarks on the file's age, which nobody here can change
            content = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle can end in any of them
        raise DataError(f"{path} is not a file of tensors that torch wrote, or it is damaged.") from error
    if not isinstance(content, Mapping) or not content:
        raise DataError(f"{path} holds no tensors by name: save a network's state_dict().")
    for name, value in content.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            kind = type(value).__name__
            raise DataError(f"{path} holds more than tensors by name: '{name}' is of type {kind}.")
        if value.layout is not torch.strided or value.is_quantized or value.device.type != "cpu":
            raise DataError(f"{path} holds more than plain tensors: '{name}' is sparse, quantised or empty.")
    # A few stored numbers can be declared a tensor of any size by giving them a stride of nothing.
    if sum(value.nbytes for value in content.values()) > len(data):
        raise DataError(f"{path} claims more numbers than it holds.")
    return {name: value.detach() for name, value in content.items()}
