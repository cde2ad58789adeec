"""Small constructors shared by the nets."""
from __future__ import annotations

import torch
from torch import nn

from ..loops.fast import GELU


class PreciseConv(nn.Conv2d):
    """A conv in float32 even inside `autocast`: its output is quantised or shown."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.autocast(x.device.type, enabled=False):
            return super().forward(x.float())


def conv3(i: int, o: int, stride: int = 1, precise: bool = False) -> nn.Conv2d:
    """conv3x3, zero padding 1."""
    return (PreciseConv if precise else nn.Conv2d)(i, o, 3, stride, 1)


def conv1(i: int, o: int, stride: int = 1) -> nn.Conv2d:
    """conv1x1."""
    return nn.Conv2d(i, o, 1, stride)


def stack(*widths: int, kernel: int = 3) -> nn.Sequential:
    """Convs of the given widths with GELU between them; conv number n sits at index 2n."""
    layers: list[nn.Module] = []
    for n, (i, o) in enumerate(zip(widths[:-1], widths[1:])):
        if n:
            layers.append(GELU())
        layers.append(nn.Conv2d(i, o, kernel, 1, kernel // 2))
    return nn.Sequential(*layers)
