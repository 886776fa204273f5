"""Where transforms are applied: while loading, on the device, or to what discriminators see."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from i2i import load_recipe, run
from i2i.augmentation import Augmentation
from i2i.building import components
from i2i.building.probe import probe
from i2i.data.opening import open_data
from i2i.data.stream import training_batches
from i2i.engine.session import Session
from i2i.errors import RecipeError
from i2i.kinds import DiscriminatorSlot, ImageSpec, PairSpec
from i2i.runs import checkpoint, weights
from i2i.system.device import Runtime
from i2i.testing import samples

CPU = Runtime("cpu", "fp32", False, 1)

SHAKEN = (
    "transforms.mirror.use=mirror",
    "transforms.light.use=colour-jitter",
    "transforms.grain.use=core/noise",
)
"""Several transforms that draw, on top of the toy recipe's."""


NETWORKS = ("generator", "discriminators.judge")


def weights_of(folder: Path, network: str) -> dict[str, torch.Tensor]:
    return weights.read(checkpoint.newest(folder / "checkpoints").folder / f"{network}.safetensors").tensors


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(value, other[key]) for key, value in one.items())


def at(place: str, *names: str) -> tuple[str, ...]:
    return tuple(f"transforms.{name}.at={place}" for name in names)


def test_on_the_device_a_transform_does_what_it_does_while_loading(load, tmp_path):
    run(load(*SHAKEN), tmp_path / "loading")
    everywhere = at("device", "mirror", "light", "grain")
    run(load(*SHAKEN, *everywhere), tmp_path / "device")
    run(load(), tmp_path / "plain")
    for name in NETWORKS:
        assert equal(weights_of(tmp_path / "loading", name), weights_of(tmp_path / "device", name)), name
        assert not equal(weights_of(tmp_path / "loading", name), weights_of(tmp_path / "plain", name)), name


@pytest.mark.parametrize("place", ["device", "judging"])
@pytest.mark.parametrize("more", [(), ("train.accumulate=2",), ("data.workers=2",)])
def test_a_stopped_run_goes_on_to_the_same_bits(load, tmp_path, place, more):
    settings = (*SHAKEN, *at(place, "mirror", "light", "grain"))
    run(load(*settings, *more), tmp_path / "parts", stop_at=5)
    run(load(*settings, *more), tmp_path / "parts")
    undisturbed = [setting for setting in more if not setting.startswith("data.")]
    run(load(*settings, *undisturbed), tmp_path / "whole")
    for name in NETWORKS:
        assert equal(weights_of(tmp_path / "whole", name), weights_of(tmp_path / "parts", name)), name


def test_batches_come_to_the_device_before_and_after_its_transforms(load):
    recipe = load()
    data = open_data(recipe, "train")
    placed = []
    mirror = components.build_transforms(load("transforms.mirror.at=device"), at="device", spec=data.spec)
    batches = training_batches(
        data,
        {},
        recipe.data.settings,
        seed=3,
        first=0,
        last=2,
        on_device=mirror,
        place=lambda batch: placed.append(batch) or batch,
    )
    assert len(list(batches)) == 2
    assert len(placed) == 4


def test_any_transform_can_stand_before_the_discriminators(load):
    recipe = load("transforms.mirror.at=judging", "transforms.mirror.probability=1.0")
    data = {split: open_data(recipe, split) for split in ("train", "val")}
    session = Session(recipe, data=data, runtime=CPU, provenance={})
    seen, made = [], []
    session.networks.judges["judge"].module.register_forward_pre_hook(
        lambda module, inputs: seen.append(inputs[0].detach().clone())
    )
    session.networks.generators["main"].register_forward_hook(
        lambda module, inputs, output: made.append((inputs[0].clone(), output.detach().clone()))
    )
    (batch,) = training_batches(data["train"], {}, recipe.data.settings, seed=3, first=0, last=1)
    session.advance([batch])
    (source, fake), *_ = made
    assert torch.equal(source, batch.source)  # the generator sees pairs as they are
    for image, shown in zip((fake, batch.target, fake), seen, strict=True):
        assert torch.equal(shown, torch.cat((source, image), dim=1).flip(-1))


def test_a_transform_without_a_gradient_is_refused_before_discriminators_before_a_step_is_made(
    load, tmp_path
):
    recipe = load("transforms.grey.use=toys/rounded", "transforms.grey.at=judging")
    with pytest.raises(RecipeError, match=r"transforms\.grey: no gradient comes through to the image"):
        run(recipe, tmp_path / "run")
    assert not (tmp_path / "run" / "checkpoints").exists()
    assert run(load("transforms.grey.use=toys/rounded"), tmp_path / "loading").status == "done"


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            ("transforms.x.use=diff-augment",),
            'core/diff-augment cannot be applied at "loading": set at = "judging"',
        ),
        (
            ("transforms.x.use=toys/early", "transforms.x.at=judging"),
            'toys/early cannot be applied at "judging": set at = "loading" or "device"',
        ),
        (("transforms.mirror.at=jugding",), "did you mean 'judging'"),
    ],
)
def test_a_place_that_does_not_fit_is_refused(load, settings, sentence):
    with pytest.raises(RecipeError) as caught:
        load(*settings)
    assert sentence in str(caught.value)
    assert "transforms." in str(caught.value)


def test_what_discriminators_see_needs_discriminators(load):
    alone = ("discriminators", "losses.adversarial", "optimizers.discriminators")
    with pytest.raises(
        RecipeError, match='at = "judging" is for what discriminators see, and the recipe has'
    ):
        load("transforms.mirror.at=judging", unset=alone)


def test_a_method_that_does_not_ask_for_augmentation_takes_none(two_way):
    with pytest.raises(RecipeError, match="toys/two-way shows discriminators images as they are"):
        load_recipe(two_way, set=("transforms.mirror.use=mirror", "transforms.mirror.at=judging"))


# --- drawing one -----------------------------------------------------------------------------------

SPEC = PairSpec(ImageSpec(4, 8, 8, high=1.0, labels=True), ImageSpec(3, 8, 8))


class Sides:
    """Remember the pairs that it is given."""

    def __init__(self) -> None:
        self.pairs = []

    def __call__(self, pair, *, size, rng):
        self.pairs.append((pair, size, float(torch.rand((), generator=rng))))
        return pair


def test_without_transforms_the_very_tensors_come_back_and_nothing_is_drawn():
    rng = samples.generator()
    image, source = samples.images(2, 3, 8, 8), samples.images(2, 4, 8, 8)
    augment = Augmentation({}, SPEC).drawn(rng)
    shown, beside = augment(image, source)
    assert shown is image
    assert beside is source
    assert augment(image, None)[0] is image
    assert torch.equal(rng.get_state(), samples.generator().get_state())


def test_one_draw_serves_real_and_fake_and_each_place_has_its_own():
    sides = Sides()
    augment = Augmentation({"sides": sides}, SPEC).drawn(samples.generator())
    real, fake, source = samples.images(3, 3, 8, 8), samples.images(3, 3, 8, 8), samples.images(3, 4, 8, 8)
    augment(real, source)
    augment(fake, source)
    draws = [draw for _, _, draw in sides.pairs]
    assert draws[:3] == draws[3:]
    assert len(set(draws[:3])) == 3
    Augmentation({"sides": sides}, SPEC).drawn(samples.generator(1))(real, source)
    assert [draw for _, _, draw in sides.pairs[6:]] != draws[:3]


def test_a_pair_is_the_image_and_what_is_beside_it_as_the_role_says():
    image, source = samples.images(1, 3, 8, 8), samples.images(1, 4, 8, 8)
    sides = Sides()
    augmentation = Augmentation({"sides": sides}, SPEC)
    augmentation.drawn(samples.generator())(image, source)
    augmentation.drawn(samples.generator(), role=DiscriminatorSlot("source", "target"))(source, image)
    augmentation.drawn(samples.generator(), role=DiscriminatorSlot("source", None))(source, None)
    (usual, size, _), (back, _, _), (alone, _, _) = sides.pairs
    assert size == (8, 8)
    assert torch.equal(usual.target, image[0])
    assert torch.equal(usual.source, source[0])
    assert (usual.spec.source.labels, usual.spec.target.labels) == (True, False)
    assert torch.equal(back.target, source[0])
    assert (back.spec.source.labels, back.spec.target.labels) == (False, True)
    assert torch.equal(alone.target, alone.source)
    assert alone.spec == PairSpec(SPEC.source, SPEC.source)


def test_a_fake_in_lower_precision_is_treated_in_float32_as_the_real_image_is():
    from i2i.core.transforms.photometry import Blur

    blur = {"blur": Blur(sigma=(1.0, 1.0), probability=1.0, on=("target",))}
    augment = Augmentation(blur, SPEC).drawn(samples.generator())
    image, source = samples.images(2, 3, 8, 8), samples.images(2, 4, 8, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        shown, _ = augment(image.bfloat16(), source)
    assert shown.dtype == torch.float32
    assert torch.equal(shown, augment(image.bfloat16().float(), source)[0])


def test_a_method_with_roles_without_a_condition_has_unconditional_judges(two_way):
    recipe = load_recipe(two_way)
    facts = {fact.path: fact for fact in probe(recipe, open_data(recipe, "train").spec)}
    assert facts["discriminators.source"].inputs == (1, 16, 16)
    assert facts["discriminators.target"].inputs == (3, 16, 16)
    assert facts["discriminators.target"].conditional is False
    with pytest.raises(RecipeError, match="toys/two-way has nothing to show beside the image") as caught:
        load_recipe(two_way, set=("discriminators.target.conditional=true",))
    assert "discriminators.target.conditional" in str(caught.value)


def test_a_judge_that_wants_a_condition_and_gets_none_says_so(load):
    recipe = load()
    networks = components.build_networks(recipe, open_data(recipe, "train").spec)
    with pytest.raises(TypeError, match=r"discriminators\.judge is conditional: give it what is beside"):
        networks.judges["judge"].maps(samples.images(1, 3, 16, 16))
