"""Two ways of doubling the size of feature maps."""

from __future__ import annotations

from typing import Literal

from torch import nn

Upsample = Literal["transposed", "resize"]


def doubling(
    inputs: int, outputs: int, *, upsample: Upsample, kernel: int, bias: bool
) -> dict[str, nn.Module]:
    """Return the layers, by name, that take (B,inputs,H,W) to (B,outputs,2H,2W).

    "transposed" is a transposed convolution with `kernel` of 3 or 4. It can leave a checkerboard, as
    its outputs are not all made of equally many inputs; "resize" cannot: nearest neighbour, then a
    3x3 convolution (Odena et al. 2016, "Deconvolution and checkerboard artifacts").
    """
    if upsample == "resize":
        return {
            "resize": nn.Upsample(scale_factor=2.0),
            "conv": nn.Conv2d(inputs, outputs, 3, padding=1, bias=bias),
        }
    return {
        "conv": nn.ConvTranspose2d(
            inputs, outputs, kernel, stride=2, padding=1, output_padding=kernel % 2, bias=bias
        )
    }
