"""`parametrize_components`: one item for each check, skipped, expected or failed as its outcome says."""

from __future__ import annotations

import pytest

from i2i.errors import PluginError
from i2i.testing import CHECKS, parametrize_components


def items(*refs: str, **options) -> dict:
    """Return the items that the decorator makes, by name."""
    mark = parametrize_components(*refs, **options).mark
    names, parameters = mark.args
    assert names == "check"
    return {parameter.id: parameter.values[0] for parameter in parameters}


def test_there_is_an_item_for_each_check_of_each_component(sound):
    sound()
    made = items("sound/net", "metric sound/error")
    generators = [name for name, check in CHECKS.items() if "generator" in check.kinds]
    metrics = [name for name, check in CHECKS.items() if "metric" in check.kinds]
    assert list(made) == [
        *(f"sound/net-{name}" for name in generators),
        *(f"metric sound/error-{name}" for name in metrics),
    ]
    check = made["sound/net-gradient-everywhere"]
    check()
    assert (check.component, check.name) == ("sound/net", "gradient-everywhere")


def test_a_star_stands_for_the_plug_in_and_all_of_its_components(sound):
    sound()
    made = items("sound/*")
    assert next(iter(made)) == "sound-registers"
    assert {name.rpartition("/")[0] for name in made} == {"", "sound"}
    assert {check.component for check in made.values()} >= {"sound", "sound/net", "sound/fade"}


def test_outcomes_become_passes_failures_skips_and_expected_failures(sound):
    sound("return torch.tanh(self.up(inner))", "return self.up(inner)[:, :, :8]")
    made = items("sound/net", expected_failures={"same-seed-same-weights": "it passes in truth"})
    made["sound/net-module"]()
    with pytest.raises(
        pytest.fail.Exception, match=r"^generator sound/net, shapes: 2x3x64x64 becomes 2x3x8x64"
    ):
        made["sound/net-shapes"]()
    with pytest.raises(pytest.skip.Exception, match="it needs 'shapes', which has not passed"):
        made["sound/net-range"]()
    with pytest.raises(pytest.fail.Exception, match="take that expectation out"):
        made["sound/net-same-seed-same-weights"]()
    expected = items("sound/net", expected_failures={"shapes": "eight rows will do"})
    with pytest.raises(pytest.xfail.Exception, match="eight rows will do"):
        expected["sound/net-shapes"]()


def test_an_item_alone_runs_what_it_needs(sound):
    sound("return torch.tanh(self.up(inner))", "raise IndexError")
    with pytest.raises(pytest.skip.Exception, match="it needs 'shapes'"):
        items("sound/net")["sound/net-range"]()


def test_parameters_may_be_given_once_a_test_knows_them(sound, tmp_path):
    sound("self._count = count", "assert size == 8, size; self._count = count")
    check = items("sound/squares", params={"count": 3})["sound/squares-items"]
    with pytest.raises(pytest.skip.Exception):
        check()
    check(size=8)


def test_parameters_go_by_reference_where_there_are_several_components(sound):
    sound("self.up = nn", "assert width == 7; self.up = nn")
    made = items("sound/net", "sound/judge", params={"sound/net": {"width": 7}})
    made["sound/net-builds"]()
    made["sound/judge-builds"]()


@pytest.mark.parametrize(
    ("refs", "options", "says"),
    [
        ((), {}, "there is nothing to check"),
        (("sound/net",), {"expected_failures": ["range"]}, "`expected_failures` is a list"),
        (("sound/net",), {"expected_failures": {"range": ""}}, "fail 'range' without a reason"),
        (("sound/net",), {"expected_failures": {"range": None}}, "fail 'range' without a reason"),
        (
            ("sound/net",),
            {"params": {"sound/nett": {}}},
            "'sound/nett', which is none of sound/net.* - did you mean",
        ),
        (("sound/*",), {"params": {"other/net": {}}}, "'other/net', which is none of"),
        (
            ("sound/*",),
            {"expected_failures": {"range": "it may"}},
            "'range', which is none of .* by reference",
        ),
    ],
)
def test_what_would_be_left_unread_is_refused(sound, refs, options, says):
    sound()
    with pytest.raises(PluginError, match=says):
        items(*refs, **options)
