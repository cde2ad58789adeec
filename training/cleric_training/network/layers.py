"""Small constructors shared by the nets."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from ..loops.fast import GELU


class PreciseConv(nn.Conv2d):
    """A conv in float32 even inside `autocast`: its output is quantised or shown."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.autocast(x.device.type, enabled=False):
            return super().forward(x.float())


TENSOR_CORE = 8  # channels that a GPU's matrix units take at a time in half precision


class AlignedConv(nn.Conv2d):
    """A conv of any number of channels, to a GPU as one of multiples of eight, as its matrix units take them in half precision."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.padded(x) if x.is_cuda else super().forward(x)

    def padded(self, x: torch.Tensor) -> torch.Tensor:
        """The same by a conv with channels of zeros."""
        i, o = (-n % TENSOR_CORE for n in (self.in_channels, self.out_channels))
        weight = F.pad(self.weight, (0, 0, 0, 0, 0, i, 0, o))
        bias = None if self.bias is None else F.pad(self.bias, (0, o))
        return F.conv2d(F.pad(x, (0, 0, 0, 0, 0, i)) if i else x, weight, bias, self.stride, self.padding)[:, :self.out_channels]


class Depthwise(nn.Conv2d):
    """A conv3x3 of each channel by itself; on a GPU with the channels first in memory, as PyTorch's own kernel for it needs them."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels, 3, 1, 1, groups=channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not x.is_cuda:
            return super().forward(x)
        return F.conv2d(x.contiguous(), self.weight.contiguous(), self.bias, 1, 1, 1, self.groups)


def conv3(i: int, o: int, stride: int = 1, precise: bool = False) -> nn.Conv2d:
    """conv3x3, zero padding 1."""
    kind = PreciseConv if precise else nn.Conv2d if i % TENSOR_CORE == 0 and o % TENSOR_CORE == 0 else AlignedConv
    return kind(i, o, 3, stride, 1)


def conv1(i: int, o: int, stride: int = 1) -> nn.Conv2d:
    """conv1x1."""
    return (nn.Conv2d if i % TENSOR_CORE == 0 else AlignedConv)(i, o, 1, stride)


def stack(*widths: int, kernel: int = 3) -> nn.Sequential:
    """Convs of the given widths with GELU between them; conv number n sits at index 2n."""
    layers: list[nn.Module] = []
    for n, (i, o) in enumerate(zip(widths[:-1], widths[1:])):
        if n:
            layers.append(GELU())
        layers.append(nn.Conv2d(i, o, kernel, 1, kernel // 2))
    return nn.Sequential(*layers)
