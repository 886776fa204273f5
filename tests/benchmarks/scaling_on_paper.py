"""What it costs to average gradients over processes, computed and not measured: docs/scaling.md's tables.

python tests/benchmarks/scaling_on_paper.py          prints them
python tests/benchmarks/scaling_on_paper.py --write  puts them into docs/scaling.md
"""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import torch
from torch import nn

from i2i.core.discriminators.patch import Patch
from i2i.core.generators.resnet import ResNet
from i2i.core.generators.unet import UNet
from i2i.sync_batch_norm import SyncBatchNorm2d

PAGE = Path(__file__).parents[2] / "docs" / "scaling.md"
BEGIN, END = "<!-- computed: begin -->", "<!-- computed: end -->"

LINKS = {"10 GbE": 1.25e9, "100 GbE": 12.5e9, "NVLink (H100)": 450e9}
"""Bytes a second that a link carries in one direction, as its name promises; what is reached is less."""

PROCESSES = (2, 4, 8, 16)
HIDDEN = 0.5
"""The share of a process's computing beside which gradients can travel: most of what goes back."""

MEASURED = {8: 1.2175, 1: 0.2528}
"""Seconds of a step of the paper's networks at 256 pixels on two cores, by the images in it: RESULTS.md."""


def count(*networks: nn.Module) -> int:
    """Return how many numbers a step averages over processes."""
    return sum(parameter.numel() for network in networks for parameter in network.parameters())


def methods() -> dict[str, int]:
    """Return how many parameters are trained in each of the papers' methods."""
    with torch.device("meta"):
        unet, resnet = (kind(in_channels=3, out_channels=3) for kind in (UNet, ResNet))
        seeing, blind = Patch(in_channels=6), Patch(in_channels=3)
    return {
        "pix2pix: U-Net, patch": count(unet, seeing),
        "ResNet-9, patch": count(resnet, seeing),
        "CycleGAN: two ResNet-9, two patch": 2 * count(resnet, blind),
    }


def exchange(parameters: int, processes: int, bandwidth: float) -> float:
    """Return the seconds of a ring's all-reduce of float32: each process sends 2 (N-1)/N of all bytes."""
    return 2 * (processes - 1) / processes * 4 * parameters / bandwidth


def even(seconds: float, processes: int, *, hidden: float) -> float:
    """Return how long a step in one process takes at least, for its N-th part and the exchange to be shorter.

    T/N + max(0, C - hidden T/N) = T, with `seconds` C.
    """
    return seconds / (1 - 1 / processes + hidden / processes)


def well_used(seconds: float, *, hidden: float, efficiency: float = 0.9) -> float:
    """Return how long the computing of each process takes at least, for the exchange to cost a tenth.

    T / (T + max(0, C - hidden T)) = efficiency.
    """
    return seconds / (1 / efficiency - 1 + hidden)


def milliseconds(seconds: float) -> str:
    """Return a time as a table has it, to three digits."""
    value = 1000 * seconds
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [headers, ["---"] * len(headers), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def paragraph(text: str) -> str:
    """Return a text in lines as long as those of the page."""
    return textwrap.fill(" ".join(text.split()), width=120, break_long_words=False, break_on_hyphens=False)


def sizes() -> str:
    """Return what a step averages, network by network."""
    with torch.device("meta"):
        networks: Mapping[str, nn.Module] = {
            "U-Net, depth 8, width 64": UNet(in_channels=3, out_channels=3),
            "ResNet-9, width 64": ResNet(in_channels=3, out_channels=3),
            "patch, 70 pixels, which sees the input too (6 channels)": Patch(in_channels=6),
            "patch, 70 pixels (3 channels)": Patch(in_channels=3),
        }
    rows = [(name, f"{count(net):,}", f"{4e-6 * count(net):.1f}") for name, net in networks.items()]
    rows += [(f"*{name}*", f"{number:,}", f"{4e-6 * number:.1f}") for name, number in methods().items()]
    return table(("what is trained", "parameters", "MB a step"), rows)


def exchanges() -> str:
    """Return how long the exchange of a step takes, in ms."""
    rows = [
        (name, str(n), *(milliseconds(exchange(number, n, speed)) for speed in LINKS.values()))
        for name, number in methods().items()
        for n in PROCESSES
    ]
    return table(("method", "N", *(f"{link}, ms" for link in LINKS)), rows)


def break_even() -> str:
    """Return from which step on N processes are faster than one with the same whole batch, in ms."""
    rows = []
    for name, number in methods().items():
        for n in PROCESSES:
            costs = [exchange(number, n, speed) for speed in LINKS.values()]
            pairs = [[milliseconds(even(cost, n, hidden=part)) for part in (0.0, HIDDEN)] for cost in costs]
            rows.append((name, str(n), *(" / ".join(pair) for pair in pairs)))
    return table(("method", "N", *(f"{link}, ms" for link in LINKS)), rows)


def efficient() -> str:
    """Return from which step on each process loses at most a tenth of its speed, in ms."""
    rows = []
    for name, number in methods().items():
        for n in PROCESSES:
            costs = [exchange(number, n, speed) for speed in LINKS.values()]
            pairs = [[milliseconds(well_used(cost, hidden=part)) for part in (0.0, HIDDEN)] for cost in costs]
            rows.append((name, str(n), *(" / ".join(pair) for pair in pairs)))
    return table(("method", "N", *(f"{link}, ms" for link in LINKS)), rows)


def on_these_cores() -> str:
    """Return what would come of the step that was measured on a CPU, shared out to 8 machines of its kind."""
    n, rows = 8, []
    number = next(iter(methods().values()))
    for link, speed in LINKS.items():
        if link.startswith("NVLink"):
            continue
        cost, own = exchange(number, n, speed), MEASURED[1]
        steps = [own + max(0.0, cost - part * own) for part in (0.0, HIDDEN)]
        rows.append(
            (link, milliseconds(cost), *(f"{milliseconds(s)} ({MEASURED[n] / s:.1f} x)" for s in steps))
        )
    headers = ("link", "exchange, ms", "a step, ms, nothing hidden", "a step, ms, half hidden")
    return table(headers, rows)


def norms() -> str:
    """Return how often processes wait for each other in a step with `norm = "sync-batch"`."""
    with torch.device("meta"):
        unet = UNet(in_channels=3, out_channels=3, norm="sync-batch")
        patch = Patch(in_channels=6, norm="sync-batch")
    of_unet, of_patch = (
        sum(isinstance(part, SyncBatchNorm2d) for part in net.modules()) for net in (unet, patch)
    )
    # The generator goes forward and back once; the discriminator for the real, the fake, and the fake again.
    waits = 2 * of_unet + 3 * 2 * of_patch
    return paragraph(
        f"""With `norm = "sync-batch"` the U-Net has {of_unet} norms and the patch discriminator {of_patch}.
        Each is a small exchange on the way forward and one on the way back, and the discriminator makes
        three such ways in a step of pix2pix: {waits} in all. At 30 microseconds each these are
        {milliseconds(waits * 30e-6)} ms a step, at 200, as between machines without RDMA,
        {milliseconds(waits * 200e-6)} ms."""
    )


def tables() -> str:
    """Return all that is computed, as it stands in the page."""
    n = 8
    return "\n\n".join(
        (
            "### What a step averages",
            sizes(),
            "### How long that takes",
            "Seconds are bytes by bandwidth, as the links promise it; latency is left out.",
            exchanges(),
            "### From which step on several processes are faster",
            paragraph(
                """The time of a step *in one process with the whole batch*, without overlap / with half of
                each process's computing to hide the exchange beside."""
            ),
            break_even(),
            "### From which step on they are well used",
            paragraph(
                """Here each process keeps a batch as large as one process had, so the whole batch grows:
                the time of a step *without any exchange* from which 90 % of the speed is left, without
                overlap / with it."""
            ),
            efficient(),
            "### The one step that was measured",
            paragraph(
                f"""The paper's networks at 256 pixels, a batch of {n}, on two cores of an AMD EPYC:
                {milliseconds(MEASURED[n])} ms a step, and {milliseconds(MEASURED[1])} ms with one image
                ([measured](../tests/benchmarks/RESULTS.md)). So {n} such machines, each with one image,
                would take {milliseconds(MEASURED[1])} ms and the exchange (computed); one image alone uses
                a machine less well than {n} together, which bounds the gain before any link does."""
            ),
            on_these_cores(),
            "### Batch norm over all processes",
            norms(),
        )
    )


def main() -> None:
    """Print the tables, or put them into the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", action="store_true", help="put them into docs/scaling.md")
    if not parser.parse_args().write:
        print(tables())
        return
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n\n{tables()}\n\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
