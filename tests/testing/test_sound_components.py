"""Components that keep every promise pass every check."""

from __future__ import annotations

from i2i.testing import CHECKS, check_plugin


def test_a_sound_plug_in_passes_everything(sound):
    sound()
    outcomes = check_plugin("sound")
    assert [outcome for outcome in outcomes if outcome.status != "passed"] == []
    assert {outcome.check for outcome in outcomes} == set(CHECKS)
