"""The loss: its layers, its weights, and the two ways of measuring."""

from __future__ import annotations

import pytest
import torch
from i2i_timm.perceptual import Perceptual
from torch.nn import functional as F

from i2i.errors import RecipeError
from i2i.testing import run_tiny


def loss(**options) -> Perceptual:
    torch.manual_seed(0)
    return Perceptual(**{"backbone": "test_convnext", "pretrained": False, **options})


@pytest.fixture
def images() -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(3)
    return tuple(torch.rand(2, 3, 64, 64, generator=rng) * 2 - 1 for _ in range(2))


def test_layers_and_weights_are_those_that_are_asked_for(images):
    fake, real = images
    network = loss(layers=(0, 2), layer_weights=(3.0, 1.0))
    pairs = list(zip(network.features(fake), network.features(real), strict=True))
    assert [one.shape[-1] for one, _ in pairs] == [16, 4]
    first, second = (F.l1_loss(one, other) for one, other in pairs)
    assert torch.allclose(network(fake, real), 0.75 * first + 0.25 * second)


def test_l2_is_the_mean_squared_difference(images):
    fake, real = images
    network = loss(layers=(1,), distance="l2")
    (one,), (other,) = network.features(fake), network.features(real)
    assert torch.allclose(network(fake, real), F.mse_loss(one, other))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"layers": (0, 9)}, "has the layers 0 to 3"),
        ({"layers": (0, 1), "layer_weights": (1.0,)}, "1 for the 2 layers compared"),
        ({"layers": (0,), "layer_weights": (0.0,)}, "and not only 0"),
    ],
)
def test_what_does_not_fit_is_refused(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        loss(**options)


def test_a_size_that_the_backbone_cannot_take_is_a_matter_of_the_recipe():
    with pytest.raises(RecipeError, match=r"timm/perceptual: timm's 'test_vit_relpos' cannot take .* 32x32"):
        run_tiny(
            "losses.l1.use=timm/perceptual",
            "losses.l1.backbone=test_vit_relpos",
            "losses.l1.pretrained=false",
            "data.size=[32, 32]",
        )


def test_gradients_reach_the_fake_alone(images):
    fake, real = (image.requires_grad_() for image in images)
    network = loss()
    network(fake, real).backward()
    assert fake.grad.abs().sum() > 0
    assert real.grad is None
    assert all(p.grad is None and not p.requires_grad for p in network.parameters())


@pytest.mark.parametrize("channels", [1, 4])
def test_other_channels_than_three_are_compared_too(channels):
    images = torch.rand(2, 2, channels, 64, 64)
    network = loss()
    assert network(images[0], images[0]) == 0
    assert network(images[0], images[1]) > 0


def test_it_stays_in_eval_mode_in_training():
    network = loss(backbone="resnet10t").train()
    assert not any(part.training for part in network.features.modules())


def test_it_trains_from_a_recipe():
    done = run_tiny(
        "losses.l1.use=timm/perceptual",
        "losses.l1.backbone=test_convnext",
        "losses.l1.pretrained=false",
        "losses.l1.layers=[0, 1]",
        steps=2,
    )
    assert 0 < done.losses[-1]["l1"] < 10
