"""Published weights for timm's networks: from the cache, from the hub or from a file, and never unpickled.

timm itself would open a pickle where there is nothing else. Here only safetensors files are fetched; a
``.pth`` file that somebody names is read by torch's weights-only reader.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import timm
import torch
from huggingface_hub import hf_hub_download, try_to_load_from_cache
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError
from torch import Tensor

from i2i.errors import DataError, ResourceError
from i2i.runtime import ran_out_of_memory
from i2i.torch_files import read_tensors

FILE = "model.safetensors"

_log = logging.getLogger("i2i")


@dataclass(frozen=True)
class Source:
    """Where the weights of a network come from: a file, or a repository of the hub."""

    name: str
    file: Path | None
    repository: str = ""

    def load(self, options: Mapping[str, Any]) -> Any:
        """Return the network as `options` want it, with these weights.

        Raises ResourceError when they cannot be had, DataError when they are not those of the network.
        """
        path = self.file.expanduser() if self.file is not None else _fetched(self.name, self.repository)
        tensors = _read(path)
        try:
            with _quiet("timm"):  # which tells of a classifier that the file has and nobody wants
                net, other = (_build(self.name, tensors, options) for _ in range(2))
        except Exception as error:  # each family rearranges older files in its own way, and fails in its own
            if ran_out_of_memory(error):
                raise
            reason = (str(error).splitlines() or [type(error).__name__])[-1].strip(" .\t")
            raise DataError(f"{path} does not hold weights of timm's '{self.name}': {reason}.") from error
        # timm passes over what a file lacks. That is drawn at random, so two networks differ in it.
        pairs = zip(net.named_parameters(), other.parameters(), strict=True)
        left = [key for (key, one), two in pairs if not torch.equal(one, two)]
        if left:
            raise DataError(
                f"{path} does not hold weights of timm's '{self.name}': it has nothing for {len(left)} "
                f"parameters, such as '{left[0]}'."
            )
        return net


def find(name: str, file: Path | None) -> Source:
    """Return where the weights of timm's `name` come from; nothing is read yet.

    Raises ValueError where none are published, or none that can be opened safely.
    """
    if file is not None:
        return Source(name, file)
    config: Any = timm.get_pretrained_cfg(name)
    if config.hf_hub_id:
        return Source(name, None, config.hf_hub_id)
    if config.url:
        raise ValueError(
            f"the weights of '{name}' are published as a pickle alone, which is not opened ({config.url}): "
            "set `weights` to a safetensors file of them, or choose another backbone"
        )
    raise ValueError(
        f"timm knows no published weights for '{name}': set `weights` to a file, pretrained = false, or "
        "choose another backbone"
    )


def _build(name: str, tensors: Mapping[str, Tensor], options: Mapping[str, Any]) -> Any:
    overlay = {"state_dict": dict(tensors), "custom_load": False}
    net: Any = timm.create_model(
        name, features_only=True, pretrained=True, pretrained_cfg_overlay=overlay, **options
    )
    for part in net.modules():
        for config in (getattr(part, "pretrained_cfg", None), getattr(part, "default_cfg", None)):
            if isinstance(config, dict):
                config.pop("state_dict", None)  # timm keeps the whole file in there
    return net


def _fetched(name: str, repository: str) -> Path:
    """Return the file with the weights from the hub client's cache, or download it."""
    repository, _, revision = repository.partition("@")
    there = try_to_load_from_cache(repository, FILE, revision=revision or None)
    if isinstance(there, str):
        return Path(there)
    _log.info("downloading the weights of timm's %s from the hub: %s", name, repository)
    try:
        with _quiet("huggingface_hub"):  # which tells of each attempt
            return Path(hf_hub_download(repository, FILE, revision=revision or None))
    except Exception as error:  # whatever the hub's client runs into: no network, no access, no space
        missing = isinstance(error, EntryNotFoundError) and not isinstance(error, LocalEntryNotFoundError)
        reason = str(error.__cause__ or error).splitlines() or [type(error).__name__]
        what = f"the hub's {repository} has no {FILE}, and no pickle is opened" if missing else reason[0]
        raise ResourceError(
            f"the pretrained weights of timm's '{name}' could not be downloaded ({what.rstrip('.')}): set "
            f"`weights` to a file of them, such as {FILE} from https://huggingface.co/{repository}, or "
            "pretrained = false."
        ) from error


@contextmanager
def _quiet(package: str) -> Iterator[None]:
    """Leave out the warnings that a package logs."""
    logger = logging.getLogger(package)
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise ResourceError(f"`weights` names {path}, and there is no such file.")
    if path.suffix != ".safetensors":
        return read_tensors(path)
    try:
        tensors: dict[str, Tensor] = safetensors.torch.load_file(path, device="cpu")
    except (OSError, ValueError, safetensors.SafetensorError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"{path} is not a safetensors file, or it is damaged: {reason}.") from error
    return tensors
