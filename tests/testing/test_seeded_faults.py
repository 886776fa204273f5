"""The kit itself is tested by faults: each is caught by the check that is meant for it, and by none before.

A fault is one passage of the sound plug-in, what stands there instead, and a piece of what is said of it.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from i2i.plugins.catalog import Catalog
from i2i.testing import CHECKS
from i2i.testing.examination import examine_plugin

FAULTS = [
    fault
    for file in sorted((Path(__file__).parent / "faults").glob("*.toml"))
    for fault in tomllib.loads(file.read_text())["fault"]
]


def examined(component: str):
    """Return the examination of one component of the plug-in, or of the plug-in itself."""
    for examination in examine_plugin("sound", catalog=Catalog.installed()):
        if examination.subject.title.split()[1] == component:
            return examination
    raise LookupError(component)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault["check"])
def test_a_fault_is_caught_by_the_check_that_is_meant_for_it(sound, fault):
    sound(fault["old"], fault["new"])
    examination = examined(fault["component"])
    names = list(examination.checks)
    earlier = [examination.outcome(name) for name in names[: names.index(fault["check"])]]
    assert [outcome for outcome in earlier if outcome.status == "failed"] == []
    outcome = examination.outcome(fault["check"])
    assert outcome.status == "failed"
    assert fault["says"] in outcome.sentence
    assert "\n" not in outcome.sentence
    waiting = [name for name, check in examination.checks.items() if fault["check"] in check.needs]
    assert {examination.outcome(name).status for name in waiting} <= {"not run"}


def test_every_check_has_a_fault_that_it_catches():
    assert {fault["check"] for fault in FAULTS} == set(CHECKS)
    assert len(FAULTS) >= 30
