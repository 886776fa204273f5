"""Published weights for timm's networks: from the hub, a file or an installed package, and never unpickled.

timm itself would open a pickle where there is nothing else. Here only safetensors files are fetched; a
``.pth`` file that somebody names is read by torch's weights-only reader.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import timm
import torch
from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url, try_to_load_from_cache
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError
from torch import Tensor, nn

from i2i.errors import DataError, ResourceError, ran_out_of_memory
from i2i.torch_files import read_tensors
from i2i_timm import published as installed
from i2i_timm.published import PUBLISHED, Published

FILE = "model.safetensors"

_log = logging.getLogger("i2i")


@dataclass(frozen=True)
class Source:
    """Where the weights of a network come from: a file, an installed distribution or the hub."""

    name: str
    file: Path | None = None
    published: Published | None = None
    repository: str = ""

    def load(self, options: Mapping[str, Any]) -> Any:
        """Return the network as timm makes it of `options`, with these weights.

        Raises ResourceError when they cannot be had, DataError when they are not those of the network.
        """
        path, tensors = self._read()
        try:
            with _quiet("timm"):  # which tells of a classifier that the file has and nobody wants
                net, other = (_build(self.name, tensors, options) for _ in range(2))
        except Exception as error:  # each family rearranges older files in its own way, and fails in its own
            if ran_out_of_memory(error):
                raise
            reason = (str(error).splitlines() or [type(error).__name__])[-1].strip(" .\t")
            raise DataError(f"{path} does not hold weights of timm's '{self.name}': {reason}.") from error
        broken = [key for key, value in net.named_parameters() if not value.isfinite().all()]
        if broken:
            raise DataError(
                f"{path} holds numbers that are not finite, such as in '{broken[0]}' of timm's "
                f"'{self.name}': take an undamaged file."
            )
        # timm passes over what a file lacks. That is drawn at random, so two networks differ in it.
        pairs = zip(net.named_parameters(), other.parameters(), strict=True)
        left = [key for (key, one), two in pairs if not torch.equal(one, two)] or _unmeasured(net, tensors)
        if left:
            raise DataError(
                f"{path} does not hold weights of timm's '{self.name}': it has nothing for {len(left)} "
                f"tensors, such as '{left[0]}'."
            )
        return net

    def _read(self) -> tuple[Path, dict[str, Tensor]]:
        if self.published is not None:
            return installed.read(self.published)
        path = self.file.expanduser() if self.file is not None else _fetched(self.name, self.repository)
        return path, _read(path)


def check(name: str, *, pretrained: bool, weights: Path | None, published: Published | None) -> None:
    """Raise ValueError where the keys that say what timm's `name` starts from contradict each other."""
    if published is None:
        if weights is not None and not pretrained:
            raise ValueError("`weights` is only read with pretrained = true: set that too, or leave it out")
        return
    if weights is not None:
        raise ValueError("`weights` and `published` both say where weights come from: leave one of them out")
    network = PUBLISHED[published].backbone
    wanted = {f'backbone = "{network}"': name == network, "pretrained = true": pretrained}
    missing = [key for key, given in wanted.items() if not given]
    if missing:
        raise ValueError(
            f"published = \"{published}\" holds the weights of timm's '{network}': set "
            f"{' and '.join(missing)} too, or leave it out"
        )


def find(name: str, file: Path | None, published: Published | None = None) -> Source:
    """Return where the weights of timm's `name` come from; nothing is read yet.

    Raises ValueError where none are published, or none that can be opened safely.
    """
    if file is not None or published is not None:
        return Source(name, file, published)
    config: Any = timm.get_pretrained_cfg(name)
    if config.hf_hub_id:
        return Source(name, repository=config.hf_hub_id)
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
    net: Any = timm.create_model(name, pretrained=True, pretrained_cfg_overlay=overlay, **options)
    for part in net.modules():
        for config in (getattr(part, "pretrained_cfg", None), getattr(part, "default_cfg", None)):
            if isinstance(config, dict):
                config.pop("state_dict", None)  # timm keeps the whole file in there
    return net


def _unmeasured(net: nn.Module, tensors: Mapping[str, Tensor]) -> list[str]:
    """Return the batch norms' statistics that a file with too few of them left as they start.

    Some published networks have norms that are never used, whose statistics are those of the start in the
    file as well: so the file's are counted, too.
    """
    norms = {key: part for key, part in net.named_modules() if isinstance(part, nn.BatchNorm2d)}
    if sum(key.endswith("running_var") for key in tensors) >= len(norms):
        return []
    return [
        f"{key}.running_var"
        for key, part in norms.items()
        if part.running_var is not None and part.running_mean is not None
        if part.running_var.eq(1).all() and part.running_mean.eq(0).all()
    ]


def _fetched(name: str, repository: str) -> Path:
    """Return the file with the weights from the hub client's cache, or download it."""
    repository, _, revision = repository.partition("@")
    there = try_to_load_from_cache(repository, FILE, revision=revision or None)
    if isinstance(there, str):
        return Path(there)
    _log.info("downloading the weights of timm's %s from the hub: %s", name, repository)
    try:
        with _quiet("huggingface_hub"):  # which tells of each attempt
            _look_up(repository, revision or None)
            return Path(hf_hub_download(repository, FILE, revision=revision or None))
    except Exception as error:  # whatever the hub's client runs into: no network, no access, no space
        missing = isinstance(error, EntryNotFoundError) and not isinstance(error, LocalEntryNotFoundError)
        reason = str(error.__cause__ or error).splitlines() or [type(error).__name__]
        what = f"the hub's {repository} has no {FILE}, and no pickle is opened" if missing else reason[0]
        come = [f'published = "{key}"' for key, weights in PUBLISHED.items() if weights.backbone == name]
        raise ResourceError(
            f"the pretrained weights of timm's '{name}' could not be downloaded ({what.rstrip('.')}): set "
            f"`weights` to a file of them, such as {FILE} from https://huggingface.co/{repository}, or "
            f"{', or '.join([*come, 'pretrained = false'])}."
        ) from error


def _look_up(repository: str, revision: str | None) -> None:
    """Raise what the hub's client runs into if its host has no address here: without a network, at once.

    The client would try again for half a minute. Whatever else fails may be better the next time.
    """
    try:
        get_hf_file_metadata(hf_hub_url(repository, FILE, revision=revision))
    except Exception as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, socket.gaierror):
            cause = cause.__cause__ or cause.__context__
        if cause is not None:
            raise


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
        what = "which is a folder" if path.is_dir() else "and there is no such file"
        raise ResourceError(f"`weights` names {path}, {what}: give the path of the file with the weights.")
    if path.suffix != ".safetensors":
        return read_tensors(path)
    try:
        tensors: dict[str, Tensor] = safetensors.torch.load_file(path, device="cpu")
    except (OSError, ValueError, safetensors.SafetensorError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"{path} is not a safetensors file, or it is damaged: {reason}.") from error
    return tensors
