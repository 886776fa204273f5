"""Diffusion between two images for i2i: two methods, and the network of both. This module stays thin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from i2i import hookimpl

if TYPE_CHECKING:
    from i2i.registry import Registrar

i2i_api = 1


@hookimpl
def i2i_register(registry: Registrar) -> None:
    """Declare what the package offers."""
    registry.generator(
        "attention-unet",
        "i2i_bridge.attention_unet:AttentionUNet",
        "a small U-Net with self-attention that is told the time",
        rev=1,
    )
    registry.method(
        "bridge", "i2i_bridge.bridge:Bridge", "a Brownian bridge from the source to the target", rev=1
    )
    registry.method(
        "flow", "i2i_bridge.flow:Flow", "a rectified flow from noise to the target, given the source", rev=1
    )
    recipes = "i2i_bridge:recipes"
    registry.recipe("bridge", f"{recipes}/bridge.toml")
    registry.recipe("flow", f"{recipes}/flow.toml")
    registry.benchmark(
        "evaluations", f"{recipes}/evaluations.toml", "how many passes a bridge needs, from one training"
    )
