"""Networks that are neither generator nor discriminator: they train, are saved and resumed as those are."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from i2i import load_generator, load_recipe, run
from i2i.building.components import build_networks
from i2i.building.probe import probe
from i2i.data.opening import spec_of
from i2i.errors import DivergedError, PluginError, RecipeError
from i2i.recipe.recipe import Recipe
from i2i.runs import checkpoint, weights
from i2i.testing import fake_distribution

TOYS = Path(__file__).parents[1] / "toys"


@pytest.fixture
def contrast(toys: Path, tmp_path: Path) -> Iterator[Callable[..., Recipe]]:
    """Return a function that loads the recipe of the method in the style of CUT, with settings on top."""
    files = {f"i2i_contrast/{path.name}": path.read_text() for path in (TOYS / "i2i_contrast").glob("*.py")}
    recipe = tmp_path / "contrast.toml"
    recipe.write_text((TOYS / "contrast.toml").read_text())

    def load(*settings: str, unset: tuple[str, ...] = ()) -> Recipe:
        return load_recipe(recipe, set=settings, unset=unset)

    with fake_distribution("i2i-contrast", files, namespace="contrast", site=tmp_path / "more"):
        yield load


def saved(folder: Path) -> dict[str, bytes]:
    """The bytes of a finished run's state and model."""
    last = checkpoint.newest(folder / "checkpoints")
    files = {path.name: path.read_bytes() for path in last.folder.glob("*.safetensors")}
    return files | {"model": (folder / "model.safetensors").read_bytes()}


def losses(folder: Path) -> list[dict]:
    records = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [record["losses"] for record in records if record["kind"] == "train"]


def test_a_head_on_a_generators_features_trains_resumes_to_the_same_bits_and_the_generator_is_exported(
    contrast, tmp_path
):
    run(contrast(), tmp_path / "whole")
    run(contrast(), tmp_path / "parts", stop_at=5)
    run(contrast(), tmp_path / "parts")
    whole = saved(tmp_path / "whole")
    assert whole == saved(tmp_path / "parts")
    assert {"networks.head.safetensors", "generator.safetensors"} <= whole.keys()
    logged = losses(tmp_path / "whole")
    assert logged == losses(tmp_path / "parts")
    assert logged[-1]["nce"] < logged[0]["nce"]
    module = load_generator(tmp_path / "whole" / "model.safetensors")
    assert module(torch.zeros(1, 3, 8, 8)).shape == (1, 3, 8, 8)


def test_its_first_weights_depend_on_its_own_slot_alone(contrast):
    recipe, other = contrast(), contrast("generator.use=resnet", "generator.blocks=1", "generator.width=4")
    head = build_networks(recipe, spec_of(recipe)).others["head"].state_dict()
    again = build_networks(recipe, spec_of(recipe)).others["head"].state_dict()
    assert all(torch.equal(head[name], again[name]) for name in head)
    assert [head[f"layers.{i}.0.weight"].shape[1] for i in (0, 1)] == [4, 8]
    wide = build_networks(other, spec_of(other)).others["head"].state_dict()
    assert [wide[f"layers.{i}.0.weight"].shape[1] for i in range(4)] == [4, 8, 16, 16]


def test_its_parameters_are_counted_before_the_run(contrast):
    recipe = contrast()
    facts = {fact.path: fact for fact in probe(recipe, spec_of(recipe))}
    head = build_networks(recipe, spec_of(recipe)).others["head"]
    assert facts["networks.head"].parameters == sum(p.numel() for p in head.parameters())
    assert facts["networks.head"].inputs == ()


def test_it_starts_from_an_earlier_training(contrast, tmp_path):
    run(contrast(), tmp_path / "first")
    run(contrast("train.steps=1"), tmp_path / "second", init_from=tmp_path / "first")
    state = checkpoint.newest(tmp_path / "first" / "checkpoints").folder / "networks.head.safetensors"
    began = weights.read(tmp_path / "second" / "checkpoints/000001/networks.head.safetensors").tensors
    ended = weights.read(state).tensors
    assert all((began[name] - ended[name]).abs().max() < 0.011 for name in ended)  # one step of Adam away


def test_weights_of_it_that_are_no_numbers_are_found(contrast, tmp_path):
    with pytest.raises(DivergedError):
        run(contrast("optimizers.networks.use=sgd", "optimizers.networks.lr=1e30"), tmp_path / "run")


@pytest.mark.parametrize(
    ("settings", "unset", "message"),
    [
        ((), ("networks",), "contrast/contrast needs a network 'head': write [networks.head]"),
        (
            ("networks.hat.use=contrast/head",),
            (),
            "contrast/contrast has no place for a network 'hat'; it takes head, spare",
        ),
        ((), ("optimizers.networks",), "no optimizer trains this network: add [optimizers.networks]"),
        (
            ("networks.head.use=contrast/deaf",),
            (),
            "contrast/deaf asks for `in_channels`, which contrast/contrast does not give 'head': its "
            "NetworkSlot says no `reads`; contrast/head asks for no more than it gives",
        ),
        (
            ("networks.head.feature_channels=[1]",),
            (),
            "'feature_channels' is given to contrast/head by i2i itself; leave it out",
        ),
        (("networks.head.width='x'",), (), "'width' cannot be"),
    ],
)
def test_what_does_not_fit_is_told_when_the_recipe_is_read(contrast, settings, unset, message):
    with pytest.raises(RecipeError) as refused:
        contrast(*settings, unset=unset)
    assert message in str(refused.value)


def test_a_network_that_is_missing_is_told_without_what_follows_from_it(contrast):
    with pytest.raises(RecipeError) as refused:
        contrast(unset=("networks",))
    assert "contrast/contrast needs a network 'head': write [networks.head]" in str(refused.value)
    assert "nothing to do" not in str(refused.value)


@pytest.mark.parametrize("unset", [(), ("generator", "optimizers.generators")])
def test_a_method_without_a_place_for_a_generator_is_at_fault_itself(contrast, tmp_path, unset):
    part = tmp_path / "more" / "i2i_contrast" / "contrast.py"
    asked = 'generators={"main": GeneratorSlot(needs=frozenset({"features"}))}'
    assert asked in part.read_text()
    part.write_text(part.read_text().replace(asked, "generators={}"))
    with pytest.raises(PluginError, match="contrast/contrast: its `slots` name no generator") as refused:
        contrast(unset=unset)
    assert "[generator]" not in str(refused.value)


def test_a_generator_without_features_is_refused_before_the_run(contrast, tmp_path):
    recipe = contrast("generator.use=toys/tiny")
    with pytest.raises(RecipeError) as refused:
        run(recipe, tmp_path / "run")
    assert str(refused.value).startswith("--set generator.use=toys/tiny  generator.use\n")
    assert "needs a generator that hands out features" in str(refused.value)
    assert "would fit" in str(refused.value)
    assert not (tmp_path / "run").exists()


def test_a_network_on_features_is_refused_where_its_method_forgot_to_ask_for_them(contrast, tmp_path):
    part = tmp_path / "more" / "i2i_contrast" / "contrast.py"
    part.write_text(part.read_text().replace('needs=frozenset({"features"})', ""))
    with pytest.raises(
        RecipeError, match=r"contrast/head works on the features of generators.main, and toys/tiny"
    ):
        run(contrast("generator.use=toys/tiny"), tmp_path / "run")


def test_features_that_are_no_list_are_their_plugins_fault(contrast, toys):
    part = toys / "i2i_toys" / "networks.py"
    part.write_text(
        part.read_text().replace(
            "    def forward(self, source):",
            "    def features(self, image):\n        return image\n\n    def forward(self, source):",
            1,
        )
    )
    recipe = contrast("generator.use=toys/tiny")
    with pytest.raises(PluginError, match=r"toys/tiny: features\(image\) returned of shape \(2, 3, 16, 16\)"):
        build_networks(recipe, spec_of(recipe))


def test_updates_together_step_what_is_trained_and_log_what_is_frozen(contrast, tmp_path):
    head = contrast("train.keep=8", "networks.head.frozen=true", unset=("optimizers.networks",))
    run(head, tmp_path / "head")
    generator = contrast("train.keep=8", "generator.frozen=true", unset=("optimizers.generators",))
    run(generator, tmp_path / "generator")
    for folder, kept, trained in (
        ("head", "networks.head", "generator"),
        ("generator", "generator", "networks.head"),
    ):
        first, last = (
            [
                weights.read(tmp_path / folder / f"checkpoints/{step:06d}/{name}.safetensors").tensors
                for name in (kept, trained)
            ]
            for step in (3, 8)
        )
        assert all(torch.equal(first[0][name], last[0][name]) for name in first[0])
        assert not any(torch.equal(first[1][name], last[1][name]) for name in first[1] if "num" not in name)
        assert {"fooled", "nce"} <= losses(tmp_path / folder)[-1].keys()


@pytest.mark.slow  # the compiler of each network takes its time
@pytest.mark.filterwarnings("ignore")  # of torch, about its own compiler
def test_compiled_networks_share_a_forward_pass_between_objectives(contrast, tmp_path):
    assert run(contrast("train.compile=default", "train.steps=2"), tmp_path / "run").status == "done"
