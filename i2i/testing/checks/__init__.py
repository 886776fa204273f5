"""Every named check, in the order in which they are run: what is declared, then what is done.

`CHECKS` maps each name to its kinds, its purpose in a line, and the checks that must have passed before it.
"""

from __future__ import annotations

from collections.abc import Mapping

from i2i.testing.checks import (
    adversarial_losses,
    callbacks,
    changing_transforms,
    data,
    declaration,
    discriminators,
    executors,
    feature_losses,
    generators,
    losses,
    manners,
    method_losses,
    methods,
    metrics,
    networks,
    optimization,
    other_networks,
    paired_losses,
    plugins,
    transforms,
    translations,
)
from i2i.testing.outcomes import Check

MODULES = (
    plugins,
    declaration,
    manners,
    generators,
    discriminators,
    networks,
    other_networks,
    losses,
    paired_losses,
    adversarial_losses,
    feature_losses,
    data,
    transforms,
    changing_transforms,
    methods,
    method_losses,
    translations,
    metrics,
    callbacks,
    optimization,
    executors,
)

CHECKS: Mapping[str, Check] = {check.name: check for module in MODULES for check in module.CHECKS}
"""All checks by name."""
