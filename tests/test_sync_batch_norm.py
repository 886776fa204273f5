"""A batch norm over several processes is that of one process with the whole batch.

Run as a program this file is one of the processes: ``python FILE RANK SIZE FOLDER CASE...`` meets the
others in FOLDER, and writes RANK.pt there, what it found in each case.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, distributed, nn

from i2i import norms, testtime
from i2i.core.discriminators.patch import Patch
from i2i.core.generators.unet import UNet
from i2i.kinds import TestSettings
from i2i.sync_batch_norm import SyncBatchNorm2d


@dataclass(frozen=True)
class Case:
    """How a batch of 4 images is shared out, and what is done with it."""

    shares: tuple[int, ...]
    dtype: torch.dtype = torch.float32
    momentum: float | None = 0.1
    affine: bool = True
    tracked: bool = True
    penalty: bool = False
    autocast: bool = False
    copied: bool = False
    compiled: bool = False


CASES = {
    "equal shares": Case((2, 2)),
    "unequal shares": Case((3, 1)),
    "double": Case((2, 2), torch.float64),
    "double, unequal": Case((1, 3), torch.float64),
    "plain mean": Case((2, 2), torch.float64, momentum=None),
    "without an affine part": Case((3, 1), torch.float64, affine=False),
    "without running statistics": Case((3, 1), torch.float64, tracked=False),
    "a penalty on gradients": Case((3, 1), torch.float64, penalty=True),
    "bfloat16": Case((2, 2), autocast=True),
    "copied": Case((2, 2), torch.float64, copied=True),
    "compiled": Case((2, 2), compiled=True),
}


def answers(case: Case, norm: Callable[..., nn.Module], place: slice) -> dict[str, Any]:
    """Return what a small network with this norm makes of two batches, of each the images in `place`.

    The gradients are of a sum over images, so that those of several processes add up.
    """
    torch.manual_seed(0)
    keys = {"momentum": case.momentum, "affine": case.affine, "track_running_stats": case.tracked}
    net = nn.Sequential(
        nn.Conv2d(2, 3, 3, bias=False),
        norm(3, **keys),
        nn.LeakyReLU(0.2),
        nn.Conv2d(3, 2, 3, bias=False),
        norm(2, **keys),
    )
    net.to(case.dtype)
    if case.affine:
        nn.init.uniform_(net[1].weight, 0.5, 1.5)
        nn.init.uniform_(net[1].bias, -1.0, 1.0)
    if case.copied:
        net = deepcopy(net)
    if case.compiled and norm is SyncBatchNorm2d:
        net.compile(backend="eager", dynamic=False)
    found: dict[str, Any] = {}
    for batch in range(2):
        rng = torch.Generator().manual_seed(batch)
        # In double a mean that is large beside the spread, where sums of squares would lose digits.
        mean = 300.0 if case.dtype is torch.float64 else 0.5
        images = mean + batch + torch.randn(4, 2, 8, 7, generator=rng, dtype=torch.float64)
        marks = torch.randn(4, 2, 4, 3, generator=rng, dtype=torch.float64).to(case.dtype)
        share = images.to(case.dtype)[place].requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=case.autocast):
            answer = net(share)
        loss = (answer * marks[place]).sum()
        if case.penalty:
            (slope,) = torch.autograd.grad((answer.square() * marks[place]).sum(), share, create_graph=True)
            loss = loss + slope.square().sum()
        loss.backward()
        found |= {f"answer {batch}": answer.detach(), f"images' gradient {batch}": share.grad}
    found["gradients"] = {name: part.grad for name, part in net.named_parameters()}
    found["buffers"] = dict(net.named_buffers())
    found["evaluated"] = net.eval()(share).detach()  # the processes do not wait for each other here
    return found


def places(shares: tuple[int, ...]) -> list[slice]:
    """Return which images of a batch each process has."""
    ends = [sum(shares[: rank + 1]) for rank in range(len(shares))]
    return [slice(end - share, end) for end, share in zip(ends, shares, strict=True)]


QUICK = [name for name, case in CASES.items() if not case.compiled]


def in_two_processes(folder: Path, cases: Sequence[str]) -> list[dict[str, Any]]:
    """Return what each of two processes finds in each of the cases."""
    processes = [
        subprocess.Popen(
            [sys.executable, __file__, str(rank), "2", folder, *cases], stderr=subprocess.PIPE, text=True
        )
        for rank in range(2)
    ]
    try:
        for process in processes:
            _, said = process.communicate(timeout=240)
            assert process.returncode == 0, said
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What two processes find in all quick cases; they are started once, for torch takes its time."""
    return in_two_processes(tmp_path_factory.mktemp("two processes"), QUICK)


def near(one: torch.Tensor, other: torch.Tensor, case: str) -> None:
    """Both are the same but for what is lost in rounding, seen beside the largest value."""
    bound = 1e-2 if CASES[case].autocast else 1e-10 if CASES[case].dtype is torch.float64 else 1e-6
    largest = max(1.0, float(other.abs().max()))
    torch.testing.assert_close(one, other, rtol=0.0, atol=bound * largest)


def joined(found: Sequence[dict[str, Any]], case: str, key: str) -> torch.Tensor:
    """The shares of all processes as one batch."""
    return torch.cat([each[case][key] for each in found])


def check_outputs_and_gradients(found: Sequence[dict[str, Any]], case: str) -> None:
    whole = answers(CASES[case], nn.BatchNorm2d, slice(None))
    for key in ("answer 0", "answer 1", "images' gradient 0", "images' gradient 1"):
        assert joined(found, case, key).dtype == whole[key].dtype
        near(joined(found, case, key), whole[key], case)
    assert found[0][case]["gradients"].keys() == whole["gradients"].keys()
    for name, gradient in whole["gradients"].items():
        near(sum(each[case]["gradients"][name] for each in found), gradient, case)


@pytest.mark.parametrize("case", QUICK)
def test_outputs_and_gradients_are_those_of_one_process_with_the_whole_batch(found, case):
    check_outputs_and_gradients(found, case)


@pytest.mark.slow
def test_compiled_networks_have_it_too(tmp_path):
    check_outputs_and_gradients(in_two_processes(tmp_path, ["compiled"]), "compiled")


@pytest.mark.parametrize("case", QUICK)
def test_running_statistics_are_those_of_one_process_and_the_same_bits_in_each(found, case):
    whole = answers(CASES[case], nn.BatchNorm2d, slice(None))
    first, second = (each[case]["buffers"] for each in found)
    assert first.keys() == second.keys() == whole["buffers"].keys()
    for name, buffer in whole["buffers"].items():
        assert torch.equal(first[name], second[name])
        near(first[name].to(torch.float64), buffer.to(torch.float64), case)


def test_in_eval_mode_each_process_answers_for_itself(found):
    whole = answers(CASES["double"], nn.BatchNorm2d, slice(None))
    near(joined(found, "double", "evaluated"), whole["evaluated"], "double")


def test_shapes_are_probed_without_the_other_processes(found):
    assert [each["on meta"]["shape"] for each in found] == [(2, 3, 4, 4)] * 2


def test_shares_of_a_batch_follow_each_other():
    assert places((3, 1)) == [slice(0, 3), slice(3, 4)]


def test_a_process_alone_has_a_batch_norm_to_the_bit():
    for case in CASES.values():
        plain, ours = (answers(case, norm, slice(None)) for norm in (nn.BatchNorm2d, SyncBatchNorm2d))
        for key in ("answer 0", "answer 1", "evaluated"):
            assert torch.equal(plain[key], ours[key])


def test_networks_with_it_are_those_with_batch_norm_under_another_norm():
    sizes = {"in_channels": 3, "out_channels": 2, "depth": 3, "width": 4}
    generators = [UNet(**sizes, norm=norm) for norm in ("batch", "sync-batch")]
    judges = [Patch(in_channels=5, width=4, layers=1, norm=norm) for norm in ("batch", "sync-batch")]
    for plain, ours in (generators, judges):
        names = {name: value.shape for name, value in plain.state_dict().items()}
        assert {name: value.shape for name, value in ours.state_dict().items()} == names
        of_ours = [part for part in ours.modules() if isinstance(part, nn.BatchNorm2d)]
        assert of_ours
        assert all(isinstance(part, SyncBatchNorm2d) for part in of_ours)
    assert not norms.biased("sync-batch")


def test_test_settings_take_it_for_a_batch_norm():
    images = torch.rand(2, 3, 4, 4)
    plain, ours = nn.BatchNorm2d(3), SyncBatchNorm2d(3)
    for norm in ("batch", "running"):
        with (
            testtime.applied(plain, TestSettings(False, norm)),
            testtime.applied(ours, TestSettings(False, norm)),
        ):
            assert torch.equal(plain(images), ours(images))


def _main(rank: int, size: int, folder: Path, cases: Sequence[str]) -> None:
    torch.set_num_threads(1)
    meeting = distributed.FileStore(str(folder / "meeting"), size)
    distributed.init_process_group("gloo", store=meeting, rank=rank, world_size=size)
    found: dict[str, dict[str, Any]] = {
        name: answers(CASES[name], SyncBatchNorm2d, places(CASES[name].shares)[rank]) for name in cases
    }
    on_meta: Tensor = SyncBatchNorm2d(3).to("meta")(torch.empty(2, 3, 4, 4, device="meta"))
    found["on meta"] = {"shape": tuple(on_meta.shape)}
    torch.save(found, folder / f"{rank}.pt")
    distributed.destroy_process_group()


if __name__ == "__main__":
    _main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), sys.argv[4:])
