"""Building a recipe's method before a run, so that what its constructor refuses is told with its place."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from i2i.augmentation import Augmentation
from i2i.building.components import build_losses, build_networks, build_transforms, make
from i2i.errors import PluginError
from i2i.networks import Losses, Networks
from i2i.recipe.recipe import Recipe
from i2i.records import ExtraSpec, PairSpec


def try_method(recipe: Recipe, spec: PairSpec, extra: Mapping[str, ExtraSpec] = {}) -> None:
    """Build the method on the recipe's networks and losses, for data of `spec`, and throw it away.

    The networks take no memory (the meta device); where the method cannot be built on such, as it reads
    values of their weights, they are built once more as they are. Nothing is fetched or read from files.

    Raises RecipeError, placed at the method, for what it refuses, PluginError where it fails.
    """
    losses = build_losses(recipe, "cpu", spec, extra=extra, fetch=False)
    augmentation = Augmentation(build_transforms(recipe, at="judging", spec=spec), spec)
    with torch.device("meta"):
        networks = build_networks(recipe, spec, start=False)
    try:
        _build(recipe, spec, networks, losses, augmentation)
    except PluginError:
        _build(recipe, spec, build_networks(recipe, spec, start=False), losses, augmentation)


def _build(
    recipe: Recipe, spec: PairSpec, networks: Networks, losses: Losses, augmentation: Augmentation
) -> None:
    for _, network in networks.modules():
        network.train()
    make(recipe, recipe.method, networks=networks, losses=losses, augmentation=augmentation, spec=spec)
