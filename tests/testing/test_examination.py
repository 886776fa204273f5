"""What comes of checks: outcomes, in one sentence each, and a process that is left as it was."""

from __future__ import annotations

import random
import subprocess
import sys

import numpy as np
import pytest
import torch

from i2i.errors import PluginError, RecipeError
from i2i.kinds import KINDS
from i2i.testing import CHECKS, check_component, check_plugin, fake_distribution, isolated_plugins
from i2i.testing.examination import examine_plugin
from i2i.testing.subjects import BUILDABLE
from i2i.testing.surroundings import RANDOM, SETTINGS, changed, read

NO_TANH = ("return torch.tanh(self.up(inner))", "return self.up(inner)")


def by_check(outcomes) -> dict:
    return {outcome.check: outcome for outcome in outcomes}


def test_an_outcome_names_the_component_with_its_kind(sound):
    sound()
    (first, *_) = check_component("sound/fade")
    assert (first.component, first.check, first.status) == ("schedule sound/fade", "summary", "passed")
    titles = [examination.subject.title for examination in examine_plugin("sound")]
    generators = ["generator sound/net", "generator sound/drift", "generator sound/grain"]
    assert titles[:5] == ["plug-in sound", *generators, "discriminator sound/judge"]


def test_a_failed_check_says_what_is_wrong_and_those_that_need_it_are_not_run(sound):
    sound("return torch.tanh(self.up(inner))", "return torch.tanh(inner)")
    outcomes = by_check(check_component("sound/net"))
    assert outcomes["shapes"].status == "failed"
    assert outcomes["rectangles"].status == "not run"
    assert outcomes["rectangles"].sentence == "it needs 'shapes', which has not passed"
    assert outcomes["odd-sizes"].sentence == "it needs 'rectangles', which has not passed"
    assert outcomes["same-seed-same-weights"].status == "passed"


def test_an_expected_failure_keeps_its_reason(sound):
    sound(*NO_TANH)
    outcomes = by_check(check_component("sound/net", expected_failures={"range": "it paints in any light"}))
    assert (outcomes["range"].status, outcomes["range"].sentence) == ("expected", "it paints in any light")
    assert {outcome.status for outcome in outcomes.values()} == {"passed", "expected"}


def test_an_expected_failure_that_passes_is_a_failure(sound):
    sound()
    outcome = by_check(check_component("sound/walk", expected_failures={"minimises": "it climbs"}))[
        "minimises"
    ]
    assert outcome.status == "failed"
    assert "it passes, and was expected to fail (it climbs): take that expectation out" in outcome.sentence


def test_an_expectation_about_no_check_is_refused(sound):
    sound()
    with pytest.raises(PluginError, match=r"fail the check 'rage'.* did you mean 'range'\?"):
        check_component("sound/net", expected_failures={"rage": "no such check"})
    with pytest.raises(
        PluginError, match="generator sound/net cannot be expected to fail the check 'spawn-safe'"
    ):
        check_component("sound/net", expected_failures={"spawn-safe": "not a check of generators"})


def test_what_is_not_here_leaves_checks_unrun_rather_than_failed(sound):
    sound(
        "self.up = nn",
        "from i2i.errors import ResourceError; raise ResourceError('no weights'); self.up = nn",
    )
    outcomes = by_check(check_component("sound/net"))
    assert (outcomes["builds"].status, outcomes["builds"].sentence) == ("not run", "no weights")
    assert "failed" not in {outcome.status for outcome in outcomes.values()}


def test_parameters_reach_the_component_and_wrong_ones_are_named(sound):
    sound("self.up = nn", "assert width == 7; self.up = nn")
    assert by_check(check_component("sound/net", params={"width": 7}))["builds"].status == "passed"
    wrong = {"widht": 7}, {"width": 0}
    told = [by_check(check_component("sound/net", params=params))["builds"].sentence for params in wrong]
    assert "'widht', which is no parameter of it - did you mean 'width'?" in told[0]
    assert "'width' cannot be 0" in told[1]


def test_a_required_parameter_is_asked_for(sound):
    sound("width: Annotated[int, Ge(1)] = 4", "width: int")
    outcome = by_check(check_component("sound/net"))["builds"]
    assert (
        outcome.sentence
        == "sound/net needs 'width' (int): give 'width' in `params`, or as --set sound/net.width=VALUE"
    )


def test_params_and_expectations_of_a_plug_in_go_by_reference(sound):
    sound()
    plugin, net, *others = examine_plugin(
        "sound",
        params={"sound/net": {"width": 2}},
        expected_failures={"generator sound/net": {"range": "any light"}, "sound": {"recipes": "none yet"}},
    )
    assert (net.subject.params, net.expected) == ({"width": 2}, {"range": "any light"})
    assert plugin.expected == {"recipes": "none yet"}
    assert {(len(other.subject.params), len(other.expected)) for other in others} == {(0, 0)}
    with pytest.raises(PluginError, match=r"no component 'sound/nett'.* did you mean 'sound/net'"):
        check_plugin("sound", params={"sound/nett": {}})


def test_what_is_not_installed_is_an_error_with_a_name(sound):
    sound()
    with pytest.raises(PluginError, match=r"'sund' needs a plug-in .* did you mean 'sound'"):
        check_plugin("sund")
    with pytest.raises(PluginError, match=r"plug-in 'sound' has no component 'nut' - did you mean 'net'\?"):
        check_component("sound/nut")
    with pytest.raises(RecipeError, match="'sound/net' is a generator, not a metric"):
        check_component("sound/net", kind="metric")


def test_a_name_of_two_kinds_must_say_which():
    with pytest.raises(PluginError, match=r"'noise' is a generator and a transform: say which, as 'gen"):
        check_component("noise")
    assert check_component("transform noise")[0].component == "transform core/noise"
    assert check_component("noise", kind="transform")[0].component == "transform core/noise"


def test_a_broken_plug_in_is_one_failed_check(sound):
    sound("i2i_api = 1", "i2i_api = 99")
    outcomes = by_check(check_plugin("sound"))
    assert outcomes["registers"].status == "failed"
    assert {outcomes[name].status for name in ("thin-import", "recipes")} == {"not run"}


def test_the_process_is_left_as_it_was_whatever_a_component_does(sound):
    sound(
        "self.up = nn",
        "import random, numpy; random.seed(1); numpy.random.seed(1); torch.manual_seed(1); "
        "torch.set_num_threads(3); torch.set_default_dtype(torch.float64); torch.set_grad_enabled(False); "
        "self.up = nn",
    )
    torch.manual_seed(5)
    random.seed(5)
    np.random.seed(5)
    settings, states = read(SETTINGS), read(RANDOM)
    check_component("sound/net")
    assert changed(SETTINGS, settings) == []
    assert changed(RANDOM, states) == []


def test_what_a_component_prints_does_not_get_into_the_output(sound, capfd):
    sound("self.up = nn", "print('hello'); self.up = nn")
    check_component("sound/net")
    out, err = capfd.readouterr()
    assert "hello" not in out
    assert "hello" in err


def test_every_check_has_a_purpose_and_needs_what_there_is():
    names = list(CHECKS)
    for check in CHECKS.values():
        assert check.purpose.endswith("."), check.name
        assert set(check.needs) <= set(names), check.name
        assert check.kinds <= {"plug-in", *KINDS}, check.name
    assert all(any(kind in check.kinds for check in CHECKS.values()) for kind in KINDS)


def test_the_kit_can_build_a_component_of_every_kind_but_a_method():
    assert set(KINDS) - set(BUILDABLE) == {"method"}


def test_importing_the_kit_imports_neither_torch_nor_pytest():
    source = (
        "import sys, i2i.testing as kit; kit.fake_distribution; print({'torch', 'pytest'} & set(sys.modules))"
    )
    ended = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    assert ended.stdout == "set()\n"


def test_a_recipe_is_left_aside_where_a_parent_names_a_plug_in_that_is_not_there():
    pytest.importorskip("i2i_openmoji")  # which pix2pix names for its images
    files = {
        "i2i_heir/__init__.py": """
from i2i import hookimpl

i2i_api = 1


@hookimpl
def i2i_register(registry):
    registry.recipe("heir", "i2i_heir:recipes/heir.toml", "a child of another's recipe")
""",
        "i2i_heir/recipes/heir.toml": 'recipe = 1\nname = "heir"\nextends = "pix2pix"\n[train]\nsteps = {}\n',
    }
    outcomes = {}
    for steps in ("5", "0"):
        written = {name: text.replace("{}", steps) for name, text in files.items()}
        with fake_distribution("i2i-heir", written, namespace="heir"):
            with isolated_plugins("core", "heir") as alone:
                assert by_check(check_plugin("heir", catalog=alone))["recipes"].status == "passed"
            outcomes[steps] = by_check(check_plugin("heir"))["recipes"]
    assert outcomes["5"].status == "passed"
    assert "'steps' cannot be 0" in outcomes["0"].sentence
