"""Weights of the reference implementation: found out, converted, and equal in what they compute.

The twin computes each network straight from its tensors, by the reference's names and with torch's functions
alone, so that it shares nothing with the components.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from i2i import load_generator
from i2i.building.components import build_networks
from i2i.errors import DataError
from i2i.kinds import ImageSpec, PairSpec
from i2i.models.importing import import_weights
from i2i.plugins.catalog import Catalog
from i2i.plugins.schema import component_schema
from i2i.recipe.recipe import load_recipe
from i2i.runs import weights

State = dict[str, Tensor]
CATALOG = Catalog.installed()
NORMS = ["batch", "instance", "none"]


# --- the twin: made-up weights, and what they compute -----------------------------------------------


class Twin:
    """Made-up weights of one network under the reference's names, and its forward pass."""

    def __init__(self, norm: str, forward: Callable[[Twin, Tensor], Tensor]) -> None:
        self.norm, self.run, self.training = norm, forward, False
        self.state: State = {}
        self.rng = torch.Generator().manual_seed(0)

    def add(self, name: str, *shape: int, bias: bool | None = None, outputs: int = 0) -> None:
        """Add a convolution; before a norm it has a bias only where that norm is an instance norm."""
        self.state[f"{name}.weight"] = 0.3 * torch.randn(shape, generator=self.rng)
        if self.norm == "instance" if bias is None else bias:
            self.state[f"{name}.bias"] = torch.randn(outputs or shape[0], generator=self.rng)

    def add_norm(self, name: str, channels: int) -> None:
        if self.norm == "batch":
            for part in ("weight", "bias", "running_mean"):
                self.state[f"{name}.{part}"] = torch.randn(channels, generator=self.rng)
            self.state[f"{name}.running_var"] = torch.rand(channels, generator=self.rng) + 0.5
            self.state[f"{name}.num_batches_tracked"] = torch.tensor(7)

    def conv(self, image: Tensor, name: str, **options: int) -> Tensor:
        return F.conv2d(image, self.state[f"{name}.weight"], self.state.get(f"{name}.bias"), **options)

    def up(self, image: Tensor, name: str, **options: int) -> Tensor:
        weight, bias = self.state[f"{name}.weight"], self.state.get(f"{name}.bias")
        return F.conv_transpose2d(image, weight, bias, stride=2, padding=1, **options)

    def normalise(self, image: Tensor, name: str) -> Tensor:
        if self.norm == "instance":
            return F.instance_norm(image)
        if self.norm == "none":
            return image
        mean, var, weight, bias = (
            self.state[f"{name}.{part}"].clone() for part in ("running_mean", "running_var", "weight", "bias")
        )
        return F.batch_norm(image, mean, var, weight, bias, training=self.training)

    def __call__(self, image: Tensor, *, training: bool) -> Tensor:
        self.training = training
        return self.run(self, image)


def unet(norm: str, *, depth: int = 5, width: int = 2) -> Twin:
    def block(twin: Twin, image: Tensor, prefix: str, level: int) -> Tensor:
        inner = f"{prefix}.{1 if level == 0 else 3}.model"
        if level == 0:
            deep = block(twin, twin.conv(image, f"{prefix}.0", stride=2, padding=1), inner, 1)
            return torch.tanh(twin.up(F.relu(deep), f"{prefix}.3"))
        down = twin.conv(F.leaky_relu(image, 0.2), f"{prefix}.1", stride=2, padding=1)
        if level == depth - 1:
            back = twin.normalise(twin.up(F.relu(down), f"{prefix}.3"), f"{prefix}.4")
        else:
            deep = block(twin, twin.normalise(down, f"{prefix}.2"), inner, level + 1)
            back = twin.normalise(twin.up(F.relu(deep), f"{prefix}.5"), f"{prefix}.6")
        return torch.cat([image, back], 1)

    twin = Twin(norm, lambda twin, image: block(twin, image, "model.model", 0))
    counts = [3] + [width * min(2**level, 8) for level in range(depth)]
    prefix = "model.model"
    for level, (before, after) in enumerate(pairwise(counts)):
        innermost = level == depth - 1
        twin.add(f"{prefix}.{0 if level == 0 else 1}", after, before, 4, 4)
        if not innermost:
            up = 3 if level == 0 else 5
            twin.add(f"{prefix}.{up}", 2 * after, before, 4, 4, bias=level == 0 or None, outputs=before)
        else:
            twin.add(f"{prefix}.3", after, before, 4, 4, outputs=before)
        if level > 0:
            twin.add_norm(f"{prefix}.{4 if innermost else 6}", before)
            if not innermost:
                twin.add_norm(f"{prefix}.2", after)
        prefix = f"{prefix}.{1 if level == 0 else 3}.model"
    return twin


def resnet(norm: str, *, blocks: int = 6, width: int = 2, second: int = 5) -> Twin:
    def forward(twin: Twin, image: Tensor) -> Tensor:
        image = twin.conv(F.pad(image, (3, 3, 3, 3), mode="reflect"), "model.1")
        image = F.relu(twin.normalise(image, "model.2"))
        for number in (4, 7):
            image = twin.conv(image, f"model.{number}", stride=2, padding=1)
            image = F.relu(twin.normalise(image, f"model.{number + 1}"))
        for number in range(10, 10 + blocks):
            inner = image
            for conv in (1, second):
                inner = twin.conv(
                    F.pad(inner, (1, 1, 1, 1), mode="reflect"), f"model.{number}.conv_block.{conv}"
                )
                inner = twin.normalise(inner, f"model.{number}.conv_block.{conv + 1}")
                inner = F.relu(inner) if conv == 1 else inner
            image = image + inner
        for number in (10 + blocks, 13 + blocks):
            image = twin.up(image, f"model.{number}", output_padding=1)
            image = F.relu(twin.normalise(image, f"model.{number + 1}"))
        last = twin.conv(F.pad(image, (3, 3, 3, 3), mode="reflect"), f"model.{17 + blocks}")
        return torch.tanh(last)

    twin = Twin(norm, forward)
    twin.add("model.1", width, 3, 7, 7)
    twin.add_norm("model.2", width)
    for number, count in ((4, 2 * width), (7, 4 * width)):
        twin.add(f"model.{number}", count, count // 2, 3, 3)
        twin.add_norm(f"model.{number + 1}", count)
    for number in range(10, 10 + blocks):
        for conv in (1, second):
            twin.add(f"model.{number}.conv_block.{conv}", 4 * width, 4 * width, 3, 3)
            twin.add_norm(f"model.{number}.conv_block.{conv + 1}", 4 * width)
    for number, count in ((10 + blocks, 2 * width), (13 + blocks, width)):
        twin.add(f"model.{number}", 2 * count, count, 3, 3, outputs=count)
        twin.add_norm(f"model.{number + 1}", count)
    twin.add(f"model.{17 + blocks}", 3, width, 7, 7, bias=True)
    return twin


def patch(norm: str, *, layers: int = 2, width: int = 2) -> Twin:
    def forward(twin: Twin, image: Tensor) -> Tensor:
        image = F.leaky_relu(twin.conv(image, "model.0", stride=2, padding=1), 0.2)
        for layer in range(layers):
            number = 2 + 3 * layer
            image = twin.conv(image, f"model.{number}", stride=2 if layer < layers - 1 else 1, padding=1)
            image = F.leaky_relu(twin.normalise(image, f"model.{number + 1}"), 0.2)
        return twin.conv(image, f"model.{2 + 3 * layers}", padding=1)

    twin = Twin(norm, forward)
    counts = [width * min(2**layer, 8) for layer in range(layers + 1)]
    twin.add("model.0", width, 6, 4, 4, bias=True)
    for layer, (before, after) in enumerate(pairwise(counts)):
        twin.add(f"model.{2 + 3 * layer}", after, before, 4, 4)
        twin.add_norm(f"model.{3 + 3 * layer}", after)
    twin.add(f"model.{2 + 3 * layers}", 1, counts[-1], 4, 4, bias=True)
    return twin


def pixel(norm: str, *, width: int = 4) -> Twin:
    def forward(twin: Twin, image: Tensor) -> Tensor:
        image = twin.conv(F.leaky_relu(twin.conv(image, "net.0"), 0.2), "net.2")
        return twin.conv(F.leaky_relu(twin.normalise(image, "net.3"), 0.2), "net.5")

    twin = Twin(norm, forward)
    twin.add("net.0", width, 6, 1, 1, bias=True)
    twin.add("net.2", 2 * width, width, 1, 1)
    twin.add_norm("net.3", 2 * width)
    twin.add("net.5", 1, 2 * width, 1, 1)
    return twin


# --- converting and building again ------------------------------------------------------------------


def imported(state: State, folder: Path) -> Path:
    torch.save(state, folder / "net.pth")
    import_weights(folder / "net.pth", folder / "net.safetensors", catalog=CATALOG)
    return folder / "net.safetensors"


def rebuilt(path: Path, *, training: bool, **channels: int) -> nn.Module:
    """The component as its file describes it, in plain train mode without dropout, or in eval mode."""
    file = weights.read(path)
    entry = CATALOG.get(("generator", "discriminator"), file.header["component"])
    factory, schema = component_schema(entry)
    options = {key: value for key, value in file.header["slot"].items() if key in schema.names}
    module = factory(**schema.read(options).values, **channels)
    weights.load_into(module, file.tensors, source=str(path), target=entry.ref)
    for part in module.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0
    return module.train(training)


def answer(module: nn.Module, image: Tensor) -> Tensor:
    with torch.no_grad():
        output = module(image)
    return output if isinstance(output, Tensor) else output.logits[0]


GENERATORS = [
    *(pytest.param(unet(norm), id=f"unet-{norm}") for norm in NORMS),
    *(pytest.param(resnet(norm), id=f"resnet-{norm}") for norm in NORMS),
    *(pytest.param(resnet(norm, second=6), id=f"resnet-dropout-{norm}") for norm in NORMS),
    pytest.param(resnet("instance", blocks=9), id="resnet-9"),
    pytest.param(unet("batch", depth=6, width=1), id="unet-6"),
]
DISCRIMINATORS = [
    *(pytest.param(patch(norm), id=f"patch-{norm}") for norm in NORMS),
    pytest.param(patch("batch", layers=1), id="patch-1"),
    pytest.param(patch("batch", layers=4, width=1), id="patch-4"),
    *(pytest.param(pixel(norm), id=f"pixel-{norm}") for norm in NORMS),
]


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("twin", [*GENERATORS, *DISCRIMINATORS])
def test_an_imported_network_computes_what_its_tensors_say(tmp_path: Path, twin: Twin, training) -> None:
    path = imported(twin.state, tmp_path)
    judges = "pair_spec" not in weights.read(path).header
    channels = {"in_channels": 6} if judges else {"in_channels": 3, "out_channels": 3}
    image = torch.randn(2, channels["in_channels"], 64, 64, generator=torch.Generator().manual_seed(1))
    expected = twin(image, training=training)
    assert expected.std() > 0.01
    found = answer(rebuilt(path, training=training, **channels), image)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("name", ["unet7", "resnet6_instance", "patch3", "pixel"])
def test_the_samples_compute_what_the_reference_computed(tmp_path: Path, name: str, training: bool) -> None:
    if "I2I_TEST_DATA" not in os.environ:
        pytest.skip("I2I_TEST_DATA is not set")
    folder = Path(os.environ["I2I_TEST_DATA"], "reference")
    path = tmp_path / "net.safetensors"
    import_weights(folder / f"{name}.pth", path, catalog=CATALOG)
    with np.load(folder / "golden.npz") as golden:
        x, y = torch.from_numpy(golden["x"]), torch.from_numpy(golden["y"])
        expected = torch.from_numpy(golden[f"{name}_{'train' if training else 'eval'}"])
    if name in ("patch3", "pixel"):
        module, image = rebuilt(path, training=training, in_channels=6), torch.cat((x, y), dim=1)
    else:
        module, image = rebuilt(path, training=training, in_channels=3, out_channels=3), x
    torch.testing.assert_close(answer(module, image), expected, rtol=0, atol=1e-5)


# --- what the file says ---------------------------------------------------------------------------------


def test_the_header_says_what_the_weights_are(tmp_path: Path) -> None:
    header = weights.read(imported(unet("batch").state, tmp_path)).header
    slot = header["slot"]
    assert header["component"] == "core/unet"
    assert (slot["use"], slot["depth"], slot["width"], slot["norm"]) == ("unet", 5, 2, "batch")
    assert (slot["dropout"], slot["dropout_placement"]) == (0.5, "pytorch")
    assert header["test"] == {"dropout": True, "norm": "batch"}
    side = header["pair_spec"]["source"]
    assert (side["channels"], side["height"], side["width"]) == (3, 32, 32)
    assert header["provenance"]["imported"] == "net.pth"
    assert len(header["provenance"]["sha256"]) == 64


def test_channels_come_from_the_tensors(tmp_path: Path) -> None:
    state = unet("batch").state
    state["model.model.0.weight"] = torch.randn(2, 1, 4, 4)
    state["model.model.3.weight"], state["model.model.3.bias"] = torch.randn(4, 4, 4, 4), torch.randn(4)
    spec = weights.read(imported(state, tmp_path)).header["pair_spec"]
    assert (spec["source"]["channels"], spec["target"]["channels"]) == (1, 4)


@pytest.mark.parametrize(("second", "dropout"), [(5, 0.0), (6, 0.5)])
def test_dropout_in_residual_blocks_is_seen(tmp_path: Path, second: int, dropout: float) -> None:
    for norm in NORMS:
        header = weights.read(imported(resnet(norm, second=second).state, tmp_path)).header
        assert header["slot"]["dropout"] == dropout
        assert (header["slot"]["blocks"], header["slot"]["norm"]) == (6, norm)


# --- use ------------------------------------------------------------------------------------------------


def test_an_imported_generator_is_an_ordinary_model(tmp_path: Path) -> None:
    twin = unet("batch")  # at depth 5 there is no dropout, so that answers can be compared
    module = load_generator(imported(twin.state, tmp_path))
    image = torch.randn(3, 3, 32, 64)
    with torch.no_grad():
        found = module(image)
    each = torch.cat([twin(one[None], training=True) for one in image])
    torch.testing.assert_close(found, each, rtol=0, atol=1e-5)


RECIPE = """
recipe = 1
name = "fine-tuning"

[data]
use = "paired-images"
root = "never-opened"

[generator]
use = "unet"
depth = 5
width = 2
init_from = "{folder}/g.safetensors"

[discriminators.patch]
use = "patch"
layers = 2
width = 2
init_from = "{folder}/d.safetensors"

[losses.adversarial]
use = "lsgan"

[method]
use = "paired-adversarial"

[optimizers.generators]
use = "adam"

[optimizers.discriminators]
use = "adam"

[train]
steps = 1
"""


def test_imported_networks_are_where_a_training_can_start_from(tmp_path: Path) -> None:
    states = {"g": unet("batch").state, "d": patch("batch").state}
    for name, state in states.items():
        imported(state, tmp_path).rename(tmp_path / f"{name}.safetensors")
    (tmp_path / "r.toml").write_text(RECIPE.format(folder=tmp_path.as_posix()))
    networks = build_networks(
        load_recipe(tmp_path / "r.toml"), PairSpec(ImageSpec(3, 32, 32), ImageSpec(3, 32, 32))
    )
    judge = networks.judges["patch"].module.state_dict()
    assert judge.keys() == states["d"].keys()
    assert all(torch.equal(judge[name], value) for name, value in states["d"].items())
    first = networks.generators["main"].state_dict()["encoder.0.conv.weight"]
    assert torch.equal(first, states["g"]["model.model.0.weight"])


# --- tensors that do not fit ------------------------------------------------------------------------------


def without(state: State, *names: str) -> State:
    return {name: value for name, value in state.items() if name not in names}


DEEP = "model.model.1.model.3.model"


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        (without(unet("batch").state, f"{DEEP}.2.running_var"), f"but '{DEEP}.2.running_var' is missing"),
        (without(unet("none").state, "model.model.3.bias"), "but 'model.model.3.bias' is missing"),
        (without(unet("batch").state, "model.model.0.weight"), "a U-Net, but 'model.model.0.weight' is"),
        (without(patch("none").state, "model.8.bias"), "but 'model.8.bias' is missing"),
        (without(patch("batch").state, "model.5.weight"), "but 'model.5.weight' is missing"),
        (
            unet("batch").state | {f"{DEEP}.5.weight": torch.zeros(1, 2, 4, 4)},
            rf"core/unet \(depth 5, width 2, .+\), but '{DEEP}.5.weight' is 1x2x4x4 and not 16x4x4x4",
        ),
        (
            resnet("instance").state | {"model.10.conv_block.0.weight": torch.zeros(8)},
            "which has no place for 'model.10.conv_block.0.weight'",
        ),
        (
            pixel("batch").state | {"net.5.bias": torch.zeros(1)},
            r"looks like core/pixel \(width 4, norm batch\), which has no place for 'net.5.bias'",
        ),
    ],
    ids=range(8),
)
def test_a_tensor_that_is_missing_too_many_or_misshapen_is_named(
    tmp_path: Path, state: State, sentence: str
) -> None:
    with pytest.raises(DataError, match=sentence) as refused:
        imported(state, tmp_path)
    assert str(refused.value).count("\n") == 0
    assert not (tmp_path / "net.safetensors").exists()
