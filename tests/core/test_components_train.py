"""Every built-in network and loss trains, and keeps to the contract of its kind.

They are found by the catalogue, so a new one is tested as soon as it is registered. `ROWS` says what it
takes to build each of them small; a component without a row fails.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from i2i import load_recipe
from i2i.building.initialise import initialise
from i2i.building.probe import probe
from i2i.core.st_lpips import NAMES, STLPIPS
from i2i.engine.session import Session
from i2i.images import label_spec, quantise
from i2i.kinds import LOSS_KINDS, Batch, ImageSpec, PairSpec
from i2i.maps import as_features, as_maps
from i2i.plugins.catalog import Catalog
from i2i.registry import Entry
from i2i.system.device import Runtime

RECIPE = """
recipe = 1
name = "twenty-steps"

[data]
use = "paired-images"
root = "never-opened"
batch_size = 2

[generator]
use = "unet"
depth = 3
width = 4

[discriminators.judge]
use = "patch"
receptive_field = 16
width = 4
norm = "instance"

[losses.adversarial]
use = "lsgan"

[losses.l1]
use = "l1"

[method]
use = "paired-adversarial"

[optimizers.generators]
use = "adam"
lr = 1e-3

[optimizers.discriminators]
use = "adam"
lr = 1e-3

[train]
steps = 20
"""


def made_up_weights(folder: Path) -> dict[str, object]:
    """Stand-ins for the published weights of ST-LPIPS: a test of training needs no sound judgement."""
    torch.manual_seed(0)
    tensors = {NAMES[name]: tensor for name, tensor in STLPIPS().state_dict().items()}
    tensors["scaling_layer.scale"] = torch.ones_like(tensors["scaling_layer.scale"])
    torch.save(tensors, folder / "made-up.pth")
    return {"weights": str(folder / "made-up.pth")}


Row = dict[str, object] | Callable[[Path], dict[str, object]]

# What each component is built with. A key with a dot stands for a key anywhere in the recipe, others are
# the component's own; a function is given a folder for files that the component needs.
ROWS: dict[str, Row] = {
    "core/unet": {"depth": 3, "width": 4},
    "core/encoder-decoder": {"depth": 3, "width": 4},
    "core/resnet": {"blocks": 1, "width": 4},
    "core/noise": {"depth": 3, "width": 4},
    "core/patch": {"receptive_field": 16, "width": 4},
    "core/pixel": {"width": 4},
    "core/image": {"width": 4, "layers": 3},
    "core/multi-scale": {"receptive_field": 16, "width": 4},
    "core/l1": {},
    "core/l2": {},
    "core/charbonnier": {},
    "core/gradient-difference": {},
    "core/cross-entropy": {},
    "core/st-lpips": made_up_weights,
    "core/lsgan": {},
    "core/vanilla": {},
    "core/hinge": {},
    "core/wgan": {"losses.slope.use": "gradient-penalty"},
    "core/relativistic": {},
    "core/feature-matching": {},
    "core/gradient-penalty": {},
    "core/r1": {},
}

# Where a component of each kind goes in the recipe, and which of the logged parts it answers for.
PLACES = {
    "generator": ("generator", "l1"),
    "discriminator": ("discriminators.judge", "discriminators.judge"),
    "paired-loss": ("losses.tested", "tested"),
    "adversarial-loss": ("losses.adversarial", "adversarial"),
    "feature-loss": ("losses.tested", "tested"),
    "penalty": ("losses.tested", "tested.judge"),
}

CATALOG = Catalog.installed()
ENTRIES = [entry for kind in PLACES for entry in CATALOG.entries(kind) if entry.namespace == "core"]
NETWORKS = [entry for entry in ENTRIES if entry.kind in ("generator", "discriminator")]


def row_of(entry: Entry, folder: Path) -> dict[str, object]:
    if entry.ref not in ROWS:
        pytest.fail(f"{entry.kind} {entry.ref} has no row: add it to ROWS in {Path(__file__).name}")
    row = ROWS[entry.ref]
    return row(folder) if callable(row) else row


def network(entry: Entry, folder: Path, *, inputs: int, outputs: int, seed: int = 0) -> nn.Module:
    """A network as the engine makes it, for other channels than those of the recipe."""
    options = {"in_channels": inputs} | ({"out_channels": outputs} if entry.kind == "generator" else {})
    torch.manual_seed(seed)
    module = entry.load()(**row_of(entry, folder), **options)
    initialise(module, "normal")
    return module


def answers(entry: Entry, module: nn.Module, image: Tensor) -> list[Tensor]:
    return as_maps(module(image))


class Pairs:
    """As much of a data set as a session asks for; targets are label maps where a component needs them."""

    def __init__(self, entry: Entry) -> None:
        side = ImageSpec(3, 32, 32)
        labelled = "labels" in getattr(entry.load(), "requires", {})
        self.spec = PairSpec(side, label_spec(3, height=32, width=32) if labelled else side)

    def __len__(self) -> int:
        return 2


def test_every_row_is_of_a_registered_component() -> None:
    assert {"generator", "discriminator", *LOSS_KINDS} == PLACES.keys()
    gone = ROWS.keys() - {entry.ref for entry in ENTRIES}
    assert not gone, f"take these rows out of ROWS in {Path(__file__).name}"


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_twenty_steps_leave_finite_losses_and_moved_weights(entry: Entry, tmp_path: Path) -> None:
    place, logged = PLACES[entry.kind]
    settings = {f"{place}.use": entry.ref}
    for key, value in row_of(entry, tmp_path).items():
        settings[key if "." in key else f"{place}.{key}"] = value
    (tmp_path / "recipe.toml").write_text(RECIPE)
    recipe = load_recipe(tmp_path / "recipe.toml", set=settings)
    pairs = Pairs(entry)
    probe(recipe, pairs.spec)
    session = Session(recipe, data={"train": pairs}, runtime=Runtime("cpu", "fp32", False, 1), provenance={})
    before = {
        (path, name): parameter.detach().clone()
        for path, module in session.networks.modules()
        for name, parameter in module.named_parameters()
    }
    rng = torch.Generator().manual_seed(0)
    source, target = (torch.rand((2, 3, 32, 32), generator=rng) * 2 - 1 for _ in range(2))
    if pairs.spec.target.one_hot:
        target = quantise(target, pairs.spec.target) * 2.0 - 1
    for _ in range(20):
        logs = session.advance([Batch(source, target, ("a", "b"))])
        assert all(value.isfinite() for value in logs.values()), logs
        assert logged in logs
    session.run.check_finite(session.networks.modules())
    still = [
        (path, name)
        for path, module in session.networks.modules()
        for name, parameter in module.named_parameters()
        if parameter.ndim > 1 and torch.equal(parameter, before[path, name])
    ]
    assert not still


@pytest.mark.parametrize(("inputs", "outputs"), [(1, 3), (4, 2)])
@pytest.mark.parametrize("entry", NETWORKS, ids=lambda entry: entry.name)
def test_a_network_takes_rectangles_of_any_channels_and_every_parameter_learns(
    entry: Entry, tmp_path: Path, inputs: int, outputs: int
) -> None:
    module = network(entry, tmp_path, inputs=inputs, outputs=outputs)
    maps = answers(entry, module, torch.randn(2, inputs, 32, 48))
    if entry.kind == "generator":
        assert [tuple(image.shape) for image in maps] == [(2, outputs, 32, 48)]
        assert maps[0].abs().max() <= 1
    assert all(len(logits) == 2 for logits in maps)
    sum((logits * torch.randn_like(logits)).sum() for logits in maps).backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.ndim == 1 or parameter.grad.any(), name


@pytest.mark.parametrize("entry", NETWORKS, ids=lambda entry: entry.name)
def test_a_network_is_a_function_of_its_seed(entry: Entry, tmp_path: Path) -> None:
    image = torch.randn(2, 3, 32, 32)

    def told(seed: int) -> list[Tensor]:
        return answers(entry, network(entry, tmp_path, inputs=3, outputs=3, seed=seed), image)

    first, again, other = told(1), told(1), told(2)
    assert all(map(torch.equal, first, again))
    assert not any(map(torch.equal, first, other))


@pytest.mark.parametrize("entry", NETWORKS, ids=lambda entry: entry.name)
def test_a_network_shows_its_shapes_without_memory(entry: Entry, tmp_path: Path) -> None:
    with torch.device("meta"):
        bare = network(entry, tmp_path, inputs=3, outputs=3)
        shapes = [logits.shape for logits in answers(entry, bare, torch.empty(2, 3, 32, 48))]
    assert all(parameter.is_meta for parameter in bare.parameters())
    real = answers(entry, network(entry, tmp_path, inputs=3, outputs=3), torch.randn(2, 3, 32, 48))
    assert shapes == [logits.shape for logits in real]


@pytest.mark.parametrize("entry", NETWORKS, ids=lambda entry: entry.name)
def test_a_network_is_finite_in_bfloat16(entry: Entry, tmp_path: Path) -> None:
    module = network(entry, tmp_path, inputs=3, outputs=3)
    with torch.autocast("cpu", torch.bfloat16):
        maps = answers(entry, module, torch.randn(2, 3, 32, 32))
    assert all(logits.dtype == torch.bfloat16 and logits.isfinite().all() for logits in maps)
    sum(logits.float().square().mean() for logits in maps).backward()
    assert all(parameter.grad.isfinite().all() for parameter in module.parameters())


@pytest.mark.parametrize("entry", [e for e in NETWORKS if e.kind == "discriminator"], ids=lambda e: e.name)
def test_a_built_in_discriminator_hands_out_features_for_each_map(entry: Entry, tmp_path: Path) -> None:
    output = network(entry, tmp_path, inputs=3, outputs=3)(torch.randn(2, 3, 32, 32))
    features = as_features(output)
    assert len(features) == len(as_maps(output))
    assert all(scale and all(feature.requires_grad for feature in scale) for scale in features)
