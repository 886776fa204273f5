"""The generator with a noise input: where the noise comes from, and where it goes."""

from __future__ import annotations

import torch

from i2i.core.generators.noise import Noise
from i2i.core.generators.unet import UNet


def small(**options: object) -> Noise:
    return Noise(in_channels=2, out_channels=3, depth=2, width=2, **options)


def test_the_noise_is_drawn_anew_in_training_and_at_test() -> None:
    torch.manual_seed(0)
    net, image = small(), torch.randn(1, 2, 8, 8)
    for mode in (net.train(), net.eval()):
        assert not torch.equal(mode(image), mode(image))


def test_the_noise_is_a_function_of_the_global_seed() -> None:
    net, image = small().eval(), torch.randn(1, 2, 8, 8)
    torch.manual_seed(4)
    first = net(image)
    torch.manual_seed(4)
    assert torch.equal(net(image), first)


def test_images_of_a_batch_get_noise_of_their_own() -> None:
    torch.manual_seed(0)
    first, second = small().eval()(torch.ones(2, 2, 8, 8))
    assert not torch.equal(first, second)


def test_it_is_a_unet_that_reads_the_image_first_and_then_the_noise() -> None:
    net = small(z_channels=3)
    unet = UNet(in_channels=5, out_channels=3, depth=2, width=2, dropout=0.0)
    unet.load_state_dict(net.net.state_dict())
    image = torch.randn(2, 2, 8, 8)
    torch.manual_seed(1)
    z = torch.randn(2, 3, 8, 8)
    torch.manual_seed(1)
    assert torch.equal(net.eval()(image), unet.eval()(torch.cat((image, z), dim=1)))
    assert net.size_multiple == unet.size_multiple == 4


def test_without_weights_for_it_the_noise_has_no_say() -> None:
    net, image = small().eval(), torch.randn(1, 2, 8, 8)
    with torch.no_grad():
        net.net.encoder[0].conv.weight[:, 2:] = 0
    assert torch.equal(net(image), net(image))
