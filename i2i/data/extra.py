"""The further fields of items, such as masks: what a data set says of them, and what an item holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from keyword import iskeyword
from typing import Any

import torch
from torch import Tensor

from i2i.errors import DataError, PluginError, described
from i2i.images.resizing import resize
from i2i.records import RESERVED_FIELDS, ExtraSpec

Fields = Mapping[str, Tensor]
Extra = Mapping[str, ExtraSpec]


def extra_of(data: Any) -> Extra:
    """Return what a data set says of its further fields, by name; PluginError where it says no such thing."""
    extra = getattr(data, "extra", {})
    if not isinstance(extra, Mapping) or not all(isinstance(said, ExtraSpec) for said in extra.values()):
        raise PluginError(f"the `extra` of the data is {described(extra)}: map names of fields to ExtraSpec.")
    for name in extra:
        if not isinstance(name, str) or not name.isidentifier() or iskeyword(name) or name in RESERVED_FIELDS:
            raise PluginError(
                f"the data has a further field '{name}', which is no name of a parameter, or is taken: give "
                "it another."
            )
    return extra


def images_of(extra: Extra) -> list[str]:
    """Return the names of the fields that are images, which move with the picture."""
    return [name for name, said in extra.items() if said.image]


def check_fields(item: Mapping[str, Any], extra: Extra) -> None:
    """Raise PluginError where an item has not what a field should be, DataError for other channels."""
    for name, said in extra.items():
        value = item.get(name)
        if not isinstance(value, Tensor) or (said.image and value.dim() != 3):
            wanted = "a tensor (C,H,W)" if said.image else "a tensor"
            found = described(value) if name in item else "missing"
            raise PluginError(f"the field '{name}' of '{item['id']}' is {found}, and has to be {wanted}.")
        if said.image and value.shape[0] != said.channels:
            raise DataError(
                f"the field '{name}' of '{item['id']}' has {value.shape[0]} channels, and the data set says "
                f"{said.channels}."
            )


def image_fields(item: Mapping[str, Any], extra: Extra, size: tuple[int, int]) -> dict[str, Tensor]:
    """Return the fields of an item that are images, at `size`."""
    return fitted({name: _computable(item[name]) for name in images_of(extra)}, size)


def value_fields(item: Mapping[str, Any], extra: Extra) -> dict[str, Tensor]:
    """Return the fields of an item that are no images."""
    return {name: _computable(item[name]) for name, said in extra.items() if not said.image}


def fitted(images: Fields, size: tuple[int, int]) -> dict[str, Tensor]:
    """Return fields that are images, (C,H,W) or (B,C,H,W), at `size`, by nearest neighbour."""
    return {name: resize(image, size, labels=True) for name, image in images.items()}


def stacked(fields: Sequence[Fields], ids: tuple[str, ...]) -> dict[str, Tensor]:
    """Return the fields of a batch's items, each as one tensor; DataError where their shapes differ."""
    batch = {}
    for name in fields[0]:
        values = [each[name] for each in fields]
        odd = next((place for place, value in enumerate(values) if value.shape != values[0].shape), None)
        if odd is not None:
            raise DataError(
                f"the field '{name}' is {tuple(values[0].shape)} of '{ids[0]}' and "
                f"{tuple(values[odd].shape)} of '{ids[odd]}', and has to be of one shape."
            )
        batch[name] = torch.stack(values)
    return batch


def _computable(value: Tensor) -> Tensor:
    """Return a field in a type that torch can compute with, which uint16 is not."""
    return value.to(torch.int32) if value.dtype == torch.uint16 else value
