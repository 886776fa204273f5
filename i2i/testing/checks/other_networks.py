"""What a network of any use promises, whose inputs only its method knows; and what features are."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from i2i.building.feature_channels import hands_out_features
from i2i.runs import weights
from i2i.seeds import seeded
from i2i.testing import samples
from i2i.testing.outcomes import check, fail, require, told
from i2i.testing.subjects import MODULES, NETWORKS, Subject, side_for


@check("network-weights", "network", needs=["module"])
def network_weights(subject: Subject) -> None:
    """Its weights file holds all of its parameters, and a fresh one that is loaded from it has the same."""
    network, fresh = subject.build(seed=1), subject.build(seed=2)
    for name, _ in network.named_parameters(remove_duplicate=False):
        require(
            name in network.state_dict(),
            f"its state_dict() lacks the parameter '{name}', which would be lost: leave state_dict() alone",
        )
    with tempfile.TemporaryDirectory(prefix="i2i-check-") as folder:
        path = Path(folder, "weights.safetensors")
        weights.write(path, network.state_dict(), {})
        file = weights.read(path)
    weights.load_into(fresh, file.tensors, source="its weights file", target="a fresh one")
    for name, tensor in network.state_dict().items():
        require(
            torch.equal(tensor, fresh.state_dict()[name]),
            f"loaded from its weights file, '{name}' is not what was saved: leave load_state_dict() as it is",
        )


@check("network-trains", "network", needs=["network-weights"])
def network_trains(subject: Subject) -> None:
    """What an optimizer changes is what its weights file holds."""
    network = subject.build()
    trained = {name: p for name, p in network.named_parameters() if p.requires_grad}
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    for parameter in network.parameters():
        parameter.grad = torch.ones_like(parameter) if parameter.requires_grad else None
    if trained:
        torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=1.0).step()
    for name in trained:
        require(
            not torch.equal(before[name], network.state_dict()[name]),
            f"an optimizer that is given its parameters() does not change '{name}': hand out the parameters "
            "themselves, not copies",
        )


@check("network-meta", "network", needs=["module"])
def network_meta(subject: Subject) -> None:
    """It can be built on the meta device, as the engine does to look at a recipe without memory."""
    with torch.device("meta"):
        network = subject.build()
    for name, tensor in network.state_dict().items():
        require(
            tensor.is_meta,
            f"'{name}' is not on the device that torch.device says: make tensors without device=",
        )


@check("groups", *MODULES, needs=["module"])
def groups(subject: Subject) -> None:
    """If it names `groups` of its parts, they are sub-modules that it has, and share no parameter."""
    network = subject.build()
    said = getattr(network, "groups", None)
    if said is None or isinstance(said, int):
        return
    require(
        isinstance(said, Mapping) and all(isinstance(name, str) for name in said),
        f"its `groups` is a {type(said).__name__}: map the name of each group to names of sub-modules",
    )
    parts, owners = dict(network.named_modules()), dict[int, str]()
    for group, names in said.items():
        require(names, f"its group '{group}' has no parts: name some, or leave it out")
        for name in (names,) if isinstance(names, str) else names:
            require(
                name in parts and name != "",
                f"its group '{group}' names '{name}', which is no sub-module: name those of named_modules()",
            )
            for parameter in parts[name].parameters():
                require(
                    owners.setdefault(id(parameter), group) == group,
                    f"its groups '{owners[id(parameter)]}' and '{group}' share a parameter: put it into one",
                )


@check("features", *NETWORKS, needs=["modes"])
def features(subject: Subject) -> None:
    """If it has a method `features`, that gives a list of tensors, as many and as wide for other sizes."""
    network = subject.build()
    if not hands_out_features(network):
        return
    side = side_for(network, at_least=samples.SIDE)
    found = [_features(network, side), _features(network, 2 * side)]
    channels = [[one.shape[1] for one in seen] for seen in found]
    require(
        channels[0] == channels[1],
        f"its features have the channels {channels[0]} of {side} pixels, and {channels[1]} of {2 * side}: "
        "let its parameters alone decide how many there are, and their channels",
    )
    require(
        all(one.requires_grad for one in found[0]),
        "its features carry no gradient: leave out detach() and no_grad(), methods say what they train",
    )


def _features(network: nn.Module, side: int) -> list[Tensor]:
    image = samples.images(2, 3, side, side)
    try:
        with seeded(0, "features"):
            found = network.features(image)  # type: ignore[operator]
    except Exception as error:
        fail(f"features(image) raises {told(error)}: it takes the same images as forward")
    sound = isinstance(found, list) and found and all(isinstance(one, Tensor) for one in found)
    require(
        sound and all(one.dim() > 1 and len(one) == 2 for one in found),
        "features(image) does not return a list of tensors (B,c,...), one for each layer: return these",
    )
    return list(found)


CHECKS = (network_weights, network_trains, network_meta, groups, features)
