"""Dropout and normalisation at test time are two settings."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from i2i import testtime
from i2i.errors import PluginError
from i2i.kinds import TestSettings
from i2i.sync_batch_norm import SyncBatchNorm2d

OWN = TestSettings(False, "batch")
RUNNING = TestSettings(False, "running")


def network() -> nn.Sequential:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.Conv2d(4, 1, 1))
    net[1].weight.data.uniform_(0.5, 1.5)
    net[1].bias.data.uniform_(-1, 1)
    return net


IMAGE = torch.rand(2, 2, 6, 6, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("dropout", [True, False])
@pytest.mark.parametrize("norm", ["batch", "running"])
def test_each_setting_does_its_own_part(dropout, norm):
    net = network()
    with testtime.applied(net, TestSettings(dropout, norm)):
        torch.manual_seed(5)
        first = net(IMAGE)
        second = net(IMAGE)
        alone = net(IMAGE[:1])
    assert torch.equal(first, second) is not dropout
    if not dropout:
        assert torch.allclose(first[:1], alone, atol=1e-6)
        plain = network().eval()
        assert torch.allclose(first, plain(IMAGE)) is (norm == "running")


def test_per_image_statistics_are_those_of_batch_norm_on_one_image():
    net = network()
    reference = network()
    reference[2].p = 0.0
    with testtime.applied(net, TestSettings(False, "batch")):
        mine = net(IMAGE[:1])
    assert torch.allclose(mine, reference.train()(IMAGE[:1]), atol=1e-6)


class NormThenRelu(nn.BatchNorm2d):
    def forward(self, image):
        return F.relu(F.batch_norm(image, self.running_mean, self.running_var, self.weight, bias=self.bias))


def test_a_norm_that_does_more_still_does_it():
    plain = network()
    more = network()
    more[1] = NormThenRelu(4)
    more[1].load_state_dict(plain[1].state_dict())
    plain.insert(2, nn.ReLU())
    for norm in ("batch", "running"):
        with (
            testtime.applied(plain, TestSettings(False, norm)),
            testtime.applied(more, TestSettings(False, norm)),
        ):
            assert torch.equal(plain(IMAGE), more(IMAGE))


def test_everything_is_put_back_even_after_an_error():
    net = network().train()
    net[2].eval()
    before = net.state_dict()["1.running_mean"].clone()

    def fail_inside() -> None:
        with testtime.applied(net, TestSettings(True, "batch")):
            net(IMAGE)
            raise KeyError

    with pytest.raises(KeyError):
        fail_inside()
    assert [part.training for part in net] == [True, True, False, True]
    assert torch.equal(net.state_dict()["1.running_mean"], before)
    net(IMAGE)
    assert not torch.equal(net.state_dict()["1.running_mean"], before)


def test_a_map_of_one_pixel_is_normalised_to_the_bias():
    norm = nn.BatchNorm2d(3)
    norm.bias.data = torch.tensor([1.0, 2.0, 3.0])
    testtime.apply(norm, TestSettings(False, "batch"))
    assert torch.allclose(
        norm(torch.rand(2, 3, 1, 1)).flatten(1), torch.tensor([1.0, 2.0, 3.0]).expand(2, 3), atol=1e-3
    )


# --- what a module that takes each image's own statistics is ---------------------------------------


class NormThenSilu(nn.BatchNorm2d):
    def forward(self, image):
        return F.silu(super().forward(image))


class NormOfTorch(nn.BatchNorm2d):
    def forward(self, image):
        affine, running = (self.weight, self.bias), (self.running_mean, self.running_var)
        return torch.batch_norm(2 * image, *affine, *running, self.training, 0.1, self.eps, True) + image


NORMS = {
    "plain": nn.BatchNorm2d,
    "with more": NormThenSilu,
    "of torch": NormOfTorch,
    "of all processes": SyncBatchNorm2d,
}


def with_norm(norm: nn.Module) -> nn.Sequential:
    """A network around `norm` whose affine part and running statistics leave a mark."""
    net = network()
    net[1] = norm
    with torch.no_grad():
        for tensor in (*norm.parameters(), *norm.buffers()):
            if tensor.is_floating_point():
                tensor.uniform_(0.5, 1.5)
    return net


def each_alone(norm: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """What a batch norm in training mode makes of images that come one by one."""
    alone = copy.deepcopy(norm).train()
    return torch.cat([alone(image[None]) for image in images])


@pytest.mark.parametrize(
    ("norm", "size"),
    [
        (nn.BatchNorm1d(4), (7,)),
        (nn.BatchNorm2d(4), (5, 6)),
        (nn.BatchNorm3d(4), (2, 5, 6)),
        (nn.SyncBatchNorm(4), (5, 6)),
        (nn.BatchNorm2d(4, affine=False), (5, 6)),
        (nn.BatchNorm2d(4, track_running_stats=False), (5, 6)),
        (NormThenSilu(4, track_running_stats=False, affine=False), (5, 6)),
        (NormThenSilu(4), (5, 6)),
        (NormOfTorch(4), (5, 6)),
    ],
)
def test_any_batch_norm_makes_of_each_image_what_it_would_in_training_on_that_image_alone(norm, size):
    images = torch.rand(3, 4, *size) * torch.tensor([1.0, 5.0, 0.2]).view(3, 1, *[1 for _ in size])
    norm = with_norm(norm)[1]
    with testtime.applied(norm, OWN):
        together = norm(images)
        pixels = norm(torch.rand(2, 4, *[1 for _ in size]))
    assert torch.allclose(together, each_alone(norm, images), atol=1e-5)
    assert pixels.isfinite().all()


def test_a_flat_vector_has_one_value_per_channel_too():
    norm = with_norm(nn.BatchNorm1d(4))[1]
    with testtime.applied(norm, OWN):
        assert torch.allclose(norm(torch.rand(3, 4)), norm.bias.expand(3, 4), atol=1e-3)
        with pytest.raises(ValueError, match="expected 2D or 3D input"):
            norm(torch.rand(3, 4, 2, 2))


@pytest.mark.parametrize("norm", NORMS.values(), ids=NORMS)
def test_train_and_eval_mean_what_they_say(norm):
    net, twin = with_norm(norm(4)), with_norm(norm(4))
    testtime.apply(net, TestSettings(True, "batch"))
    assert [part.training for part in net.modules() if part.training] == [True]
    with torch.no_grad():
        own = net.eval()(IMAGE)
        assert torch.equal(own, net(IMAGE))  # eval has turned dropout off
        for other in (net, twin):
            torch.manual_seed(7)
            other.train()(IMAGE)
        assert all(torch.equal(value, net.state_dict()[key]) for key, value in twin.state_dict().items())
        assert torch.allclose(net.eval()(IMAGE), own)
        assert not torch.allclose(twin.eval()(IMAGE), own, atol=1e-3)


@pytest.mark.parametrize("norm", NORMS.values(), ids=NORMS)
def test_it_is_copied_and_pickled_with_its_own_statistics(norm):
    net = with_norm(norm(4))
    names = list(net.state_dict())
    testtime.apply(net, OWN)
    assert list(net.state_dict()) == names
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert torch.equal(twin(IMAGE), net(IMAGE))
        assert list(twin.state_dict()) == names
        testtime.apply(twin, RUNNING)
        assert type(twin[1]) is norm
        assert not torch.allclose(twin(IMAGE), net(IMAGE), atol=1e-3)


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("norm", NORMS.values(), ids=NORMS)
@pytest.mark.filterwarnings("ignore:While compiling, we found certain side effects")
def test_it_is_exported_for_images_of_any_number_and_size(norm, strict):
    net = with_norm(norm(4))
    testtime.apply(net, OWN)
    free = {0: torch.export.Dim("images"), 2: torch.export.Dim("height"), 3: torch.export.Dim("width")}
    program = torch.export.export(net, (IMAGE,), dynamic_shapes=(free,), strict=strict)
    other = torch.rand(3, 2, 9, 7)
    assert torch.allclose(program.module()(other), net(other), atol=1e-6)
    assert sorted(program.state_dict) == sorted(net.state_dict())


@pytest.mark.parametrize("norm", NORMS.values(), ids=NORMS)
def test_it_is_compiled_whole_and_notices_when_its_statistics_change(norm):
    net = with_norm(norm(4)).eval()
    compiled = torch.compile(net, backend="eager", fullgraph=True)
    running = compiled(IMAGE)
    with testtime.applied(net, OWN):
        assert torch.allclose(compiled(IMAGE), net(IMAGE))
        assert not torch.allclose(compiled(IMAGE), running, atol=1e-3)
    assert torch.equal(compiled(IMAGE), running)


def test_everything_else_that_a_norm_is_stays_with_it():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.one = nn.BatchNorm2d(2)
            self.other = self.one
            self.unregistered = [self.one]

        def forward(self, image):
            return self.unregistered[0](image)

    net = Twice()
    parameters, norm, seen = list(net.parameters()), net.one, []
    norm.register_forward_hook(lambda part, given, answer: seen.append(part))
    with testtime.applied(net, OWN):
        assert net.one is net.other is norm
        assert all(a is b for a, b in zip(net.parameters(), parameters, strict=True))
        assert torch.allclose(net(IMAGE)[:1], net(IMAGE[:1]))
        assert seen == [norm, norm]
    assert type(norm) is nn.BatchNorm2d
    assert net.one is net.other is norm


def test_a_while_with_running_statistics_ends_with_own_ones_where_it_began_with_them():
    net = with_norm(NormThenSilu(4))
    testtime.apply(net, OWN)
    own = net(IMAGE)
    with testtime.applied(net, RUNNING):
        assert type(net[1]) is NormThenSilu
        assert not torch.allclose(net(IMAGE), own, atol=1e-3)
    assert torch.equal(net(IMAGE), own)


def test_a_lazy_norm_takes_own_statistics_once_it_has_seen_an_image():
    net = network()
    net[1] = nn.LazyBatchNorm2d()
    testtime.apply(net, OWN)
    assert torch.allclose(net(IMAGE)[:1], net(IMAGE[:1]))
    testtime.apply(net, RUNNING)
    assert type(net[1]) is nn.BatchNorm2d


def test_a_norm_with_a_parametrised_weight_keeps_it():
    net = network()
    parametrize.register_parametrization(net[1], "weight", nn.Softplus(), unsafe=True)
    kind = type(net[1])
    with testtime.applied(net, OWN):
        assert torch.allclose(net[1](net[0](IMAGE)), each_alone(net[1], net[0](IMAGE)), atol=1e-5)
    assert type(net[1]) is kind


def test_own_statistics_whose_class_was_changed_are_not_taken_away():
    net = network()
    testtime.apply(net, OWN)
    parametrize.register_parametrization(net[1], "weight", nn.Softplus(), unsafe=True)
    own = net(IMAGE)
    with pytest.raises(PluginError, match=r"'1' .+ running statistics: its class was changed"):
        testtime.apply(net, RUNNING)
    assert torch.equal(net(IMAGE), own)


def test_torch_fx_takes_it_for_one_operation():
    net = with_norm(nn.BatchNorm2d(4))
    testtime.apply(net, OWN)
    assert torch.equal(torch.fx.symbolic_trace(net)(IMAGE), net(IMAGE))


# --- what cannot take own statistics ---------------------------------------------------------------


class ByHand(nn.BatchNorm2d):
    def forward(self, image):
        if self.training:
            return super().forward(image)
        return (image - self.running_mean[:, None, None]) / (
            self.running_var[:, None, None] + self.eps
        ).sqrt()


class HalfByHand(nn.BatchNorm2d):
    def forward(self, image):
        answer = super().forward(image)
        return answer if self.training else answer + self.running_mean[:, None, None]


class Frozen(nn.BatchNorm2d):
    def forward(self, image):
        return image - self.running_mean[:, None, None]


class OfAllImages(nn.BatchNorm2d):
    def forward(self, image):
        return super().forward(image - image.mean(0, keepdim=True))


class OfTwo(nn.BatchNorm2d):
    def forward(self, image, condition):
        return super().forward(image) * condition


@pytest.mark.parametrize("kind", [ByHand, HalfByHand, Frozen, OfAllImages, OfTwo])
def test_a_norm_that_would_be_silently_wrong_is_refused_by_name_and_nothing_changes(kind):
    norm = kind(4)
    nn.init.zeros_(norm.weight)  # a trial with this weight would see no difference
    net = nn.Sequential(nn.Sequential(nn.BatchNorm2d(4), norm, kind(4)), nn.Dropout()).train()
    net[1].eval()
    told = rf"'0\.1' \({kind.__name__}\) cannot take each image's own statistics: on a trial it .+running"
    with pytest.raises(PluginError, match=told) as caught:
        testtime.apply(net, OWN)
    assert len(caught.value.problems) == 1
    with pytest.raises(PluginError, match=told), testtime.applied(net, OWN):
        pass
    assert [type(part) for part in net[0]] == [nn.BatchNorm2d, kind, kind]
    assert [part.training for part in net.modules()] == [True, True, True, True, True, False]
    testtime.apply(net, RUNNING)
    assert not any(part.training for part in net.modules())


@pytest.mark.filterwarnings("ignore:`torch.jit")
def test_a_norm_that_is_compiled_or_has_another_forward_is_refused():
    scripted = network()
    scripted[1] = torch.jit.trace(nn.BatchNorm2d(4).eval(), torch.rand(1, 4, 5, 6))
    patched = network()
    patched[1].forward = lambda image: image
    for net, reason in ((scripted, r"torch\.jit has compiled"), (patched, "its forward has been replaced")):
        with pytest.raises(PluginError, match=rf"'1' .+ own statistics: {reason}"):
            testtime.apply(net, OWN)
    scripted[1] = torch.jit.trace(nn.GELU(), torch.rand(1, 4, 5, 6))
    testtime.apply(scripted, OWN)
    assert torch.allclose(scripted(IMAGE)[:1], scripted(IMAGE[:1]), atol=1e-6)


def test_the_trial_draws_nothing_and_leaves_no_mark_on_the_norm():
    norm = with_norm(NormThenSilu(4))[1].train()
    norm.drop = nn.Dropout()
    norm.register_forward_hook(lambda *called: pytest.fail("the hook was called"))
    before, drawn = copy.deepcopy(norm.state_dict()), torch.get_rng_state()
    with testtime.applied(norm, OWN):
        assert torch.equal(torch.get_rng_state(), drawn)
    assert all(torch.equal(value, before[key]) for key, value in norm.state_dict().items())
    assert type(norm) is NormThenSilu
