"""Translation without pairs for i2i: CycleGAN, CUT and FastCUT. This module stays thin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from i2i import hookimpl

if TYPE_CHECKING:
    from i2i.registry import Registrar

i2i_api = 1


@hookimpl
def i2i_register(registry: Registrar) -> None:
    """Declare what the package offers."""
    registry.method(
        "cyclegan", "i2i_unpaired.cyclegan:CycleGAN", "two generators without pairs, there and back again"
    )
    registry.method(
        "cut", "i2i_unpaired.cut:CUT", "one generator without pairs; a patch of a translation tells its own"
    )
    registry.network(
        "patch-heads", "i2i_unpaired.patch_heads:PatchHeads", "an MLP on patches of each feature, for cut"
    )
    recipes = "i2i_unpaired:recipes"
    registry.recipe("cyclegan", f"{recipes}/cyclegan.toml")
    registry.recipe("fastcut", f"{recipes}/fastcut.toml")
    registry.recipe("horse2zebra", f"{recipes}/horse2zebra.toml")
    registry.benchmark(
        "without-pairs",
        f"{recipes}/without-pairs.toml",
        "CycleGAN and FastCUT beside a pix2pix that has pairs",
    )
