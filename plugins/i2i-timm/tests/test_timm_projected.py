"""The discriminator: what is frozen, what is seen apart, and a run that goes on to the same bits."""

from __future__ import annotations

from pathlib import Path

import pytest
import safetensors.torch
import torch
from i2i_timm.backbone import Backbone
from i2i_timm.frozen import Frozen, groups_of, in_colour
from i2i_timm.projected import Projected

from i2i import load_recipe, run
from i2i.building.initialise import initialise
from i2i.core.losses.features import FeatureMatching
from i2i.maps import as_features
from i2i.runs import checkpoint


def judge(name: str = "test_convnext", **options) -> Projected:
    return Projected(**{"in_channels": 3, "backbone": name, "pretrained": False, "width": 4, **options})


# --- the frozen part


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 6, 7])
def test_every_three_channels_are_an_image_of_their_own(channels):
    image = torch.rand(2, channels, 5, 6)
    groups = in_colour(image)
    assert len(groups) == groups_of(channels)
    assert all(group.shape == (2, 3, 5, 6) for group in groups)
    assert torch.equal(groups[0][:, 0], image[:, 0])
    assert torch.equal(groups[-1][:, 0], image[:, 3 * (len(groups) - 1)])
    if channels % 3 == 1:
        assert torch.equal(groups[-1][:, 2], image[:, -1])


def test_groups_do_not_see_each_other():
    features = Frozen("test_convnext", pretrained=False, weights=None, fetch=False)
    image = torch.rand(2, 6, 64, 64)
    both, first = features(image), features(image[:, :3])
    for one, other in zip(both, first, strict=True):
        assert one.shape[1] == 2 * other.shape[1]
        assert torch.allclose(one[:, : other.shape[1]], other, atol=1e-5)


def test_it_stays_in_eval_mode_and_wants_no_gradient():
    network = judge("resnet10t").train()
    assert not any(part.training for part in network.features.modules())
    assert not any(p.requires_grad for part in (network.features, network.mixing) for p in part.parameters())
    assert network.judges.training
    before = {key: value.clone() for key, value in network.features.state_dict().items()}
    network(torch.rand(2, 3, 64, 64))
    assert all(torch.equal(value, before[key]) for key, value in network.features.state_dict().items())


@pytest.mark.parametrize("name", ["test_vit", "mobilenetv3_small_050", "test_convnext"])
def test_penalties_on_its_gradient_have_one_of_their_own(name):
    network = judge(name)
    image = torch.rand(1, 3, 64, 64, requires_grad=True)
    logits = torch.cat([part.flatten() for part in network(image).logits])
    (slope,) = torch.autograd.grad(logits.sum(), image, create_graph=True)
    slope.square().sum().backward()
    gradients = [p.grad for p in network.judges.parameters() if p.grad is not None]
    assert any(gradient.abs().sum() > 0 for gradient in gradients)
    assert all(gradient.isfinite().all() for gradient in gradients)


@pytest.mark.parametrize("name", ["test_vit", "mobilenetv3_small_050"])
def test_what_can_be_derived_twice_has_the_same_values(name):
    features = Frozen(name, pretrained=False, weights=None, fetch=False)
    plain = Backbone(name, in_channels=3).eval()
    plain.load_state_dict(features.backbone.state_dict())
    image = torch.rand(2, 3, 64, 64) * 2 - 1
    for one, other in zip(features(image), plain(image), strict=True):
        assert torch.allclose(one, other, atol=1e-5)


def test_init_is_for_what_learns():
    torch.manual_seed(0)
    network = judge()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    initialise(network, "normal")
    changed = {
        key.split(".")[0]
        for key, value in network.state_dict().items()
        if not torch.equal(value, before[key])
    }
    assert changed == {"judges"}


# --- what it sees


def test_every_scale_is_judged_on_maps_of_the_coarsest_size():
    maps = judge("resnet10t")(torch.rand(2, 3, 128, 64))
    assert [tuple(logits.shape) for logits in maps.logits] == [(2, 1, 4, 2)] * 4
    assert [len(scale) for scale in maps.features] == [4, 3, 2, 1]


def test_layers_can_be_chosen():
    assert len(judge(layers=(0, 2))(torch.rand(2, 3, 64, 64)).logits) == 2


def test_a_condition_is_looked_at_apart_from_the_image():
    network = judge(in_channels=4, condition_channels=1)
    seen: list[torch.Tensor] = []
    network.features.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    both = torch.rand(2, 4, 64, 64)
    network(both)
    assert [part.shape[1] for part in seen] == [3, 1]
    assert torch.equal(seen[0], both[:, 1:])
    changed = both.clone()
    changed[:, :1] = 0
    assert not torch.allclose(network(both).logits[0], network(changed).logits[0])


def test_each_scale_hears_of_all_coarser_ones():
    network = judge()
    maps = [torch.rand(1, c, 16 // 2**i, 16 // 2**i) for i, c in enumerate(network.features.channels)]
    base = network.mixing(maps)
    for touched in range(len(maps)):
        other = [part + (number == touched) for number, part in enumerate(maps)]
        changed = [not torch.equal(a, b) for a, b in zip(base, network.mixing(other), strict=True)]
        assert changed == [number <= touched for number in range(len(maps))]


def test_what_is_random_and_fixed_comes_from_the_seed():
    states = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        states.append(judge().mixing.state_dict())
    first, same, other = states
    assert all(torch.equal(value, same[key]) for key, value in first.items())
    assert not torch.equal(first["channels.0.weight"], other["channels.0.weight"])


def test_each_of_its_weights_is_bounded():
    network = judge().train()
    for _ in range(20):
        network(torch.rand(1, 3, 64, 64))
    for part in network.judges.modules():
        if isinstance(part, torch.nn.Conv2d):
            largest = torch.linalg.matrix_norm(part.weight.detach().flatten(1), 2)
            assert largest.item() == pytest.approx(1.0, abs=0.2)


# --- in a run


SETTINGS = (
    "data.size=[16, 16]",
    "data.count=10",
    "data.batch_size=2",
    "generator.depth=2",
    "generator.width=4",
    "discriminators.patch.use=timm/projected",
    "discriminators.patch.backbone=test_convnext",
    "discriminators.patch.pretrained=false",
    "discriminators.patch.width=4",
    "losses.adversarial.use=hinge",
    "losses.perceptual.use=timm/perceptual",
    "losses.perceptual.backbone=test_resnet",
    "losses.perceptual.pretrained=false",
    "train.precision=fp32",
)


def state_of(folder: Path) -> dict[str, bytes]:
    last = checkpoint.newest(folder / "checkpoints")
    return {path.name: path.read_bytes() for path in last.folder.glob("*.safetensors")}


def test_a_run_that_was_stopped_goes_on_to_the_same_bits(tmp_path):
    recipe = load_recipe("shapes", set=SETTINGS, steps=4)
    run(recipe, tmp_path / "whole", device="cpu")
    run(recipe, tmp_path / "parts", device="cpu", stop_at=2)
    run(recipe, tmp_path / "parts", device="cpu")
    whole = state_of(tmp_path / "whole")
    assert state_of(tmp_path / "parts") == whole
    # What is frozen is saved with the rest.
    saved = safetensors.torch.load(whole["discriminators.patch.safetensors"])
    assert saved.keys() == judge(in_channels=6, condition_channels=3).state_dict().keys()
    assert "features.backbone.net.stem_0.weight" in saved


def test_feature_matching_works_through_it():
    network, match = judge(), FeatureMatching()
    fake, real = torch.rand(2, 2, 3, 64, 64)
    seen, reference = (as_features(network(image)) for image in (fake, real))
    assert match(seen, reference) > 0
    assert match(seen, seen) == 0
