"""Dropout for a batch is what each image of it would get alone."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from i2i.models.noise import OwnNoise
from i2i.seeds import seeded

SEEDS = (3, 1, 4)


def apart(function, images):
    answers = []
    for seed, image in zip(SEEDS, images, strict=True):
        torch.manual_seed(seed)
        answers.append(function(image[None]))
    return torch.cat(answers)


@pytest.mark.parametrize(
    "function",
    [
        nn.Sequential(nn.Dropout(0.5), nn.Conv2d(4, 4, 1), nn.Dropout2d(0.3), nn.AlphaDropout(0.2)),
        nn.Sequential(nn.Dropout(0.5, inplace=True), nn.FeatureAlphaDropout(0.4)),
        lambda images: F.dropout(input=F.dropout2d(images, 0.3, True), p=0.1, training=True),
        lambda images: F.dropout(images.contiguous(memory_format=torch.channels_last), 0.5),
    ],
    ids=["modules", "in place", "functions", "channels last"],
)
def test_each_image_of_a_batch_draws_as_it_does_alone(function):
    images = torch.rand(3, 4, 5, 6)
    with seeded(0, "test"), torch.no_grad():
        wanted = apart(function, images.clone())
    with seeded(0, "test"), torch.no_grad(), OwnNoise(SEEDS, "cpu") as noise:
        found = function(images.clone())
    assert torch.allclose(found, wanted, atol=1e-6)
    assert not noise.others_drew


def test_dropout_in_place_changes_its_input():
    images = torch.ones(3, 50)
    with seeded(0, "test"), OwnNoise(SEEDS, "cpu"):
        dropped = F.dropout(images, 0.5, inplace=True)
    assert dropped is images
    assert (images == 0).any()


def test_dropout_that_is_off_draws_nothing():
    images = torch.rand(3, 50)
    with seeded(0, "test"), OwnNoise(SEEDS, "cpu") as noise:
        assert torch.equal(nn.Dropout(0.5).eval()(images), images)
    assert not noise.others_drew


@pytest.mark.parametrize(
    "draws",
    [
        lambda images: images + torch.randn_like(images),
        lambda images: F.dropout(images.flatten(0, 1), 0.5),
        lambda images: torch.dropout(images, 0.5, True),
        lambda images: images + torch.rand(1),
    ],
    ids=["noise", "not by image", "below the functions", "a number"],
)
def test_whatever_else_draws_is_noticed(draws):
    with seeded(0, "test"), OwnNoise(SEEDS, "cpu") as noise:
        draws(torch.ones(3, 4))
    assert noise.others_drew
