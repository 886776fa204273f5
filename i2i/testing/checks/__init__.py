"""Every named check, in the order in which they are run: what is declared, then what is done.

`CHECKS` maps each name to its kinds, its purpose in a line, and the checks that must have passed before it.
"""

from __future__ import annotations

from collections.abc import Mapping

from i2i.testing.checks import (
    adversarial_losses,
    callbacks,
    data,
    declaration,
    discriminators,
    executors,
    feature_losses,
    generators,
    losses,
    manners,
    methods,
    metrics,
    networks,
    optimization,
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
    losses,
    paired_losses,
    adversarial_losses,
    feature_losses,
    data,
    transforms,
    methods,
    translations,
    metrics,
    callbacks,
    optimization,
    executors,
)

CHECKS: Mapping[str, Check] = {check.name: check for module in MODULES for check in module.CHECKS}
"""All checks by name."""
