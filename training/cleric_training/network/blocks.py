"""The residual blocks of the transforms: R2B, DRBS, DRBU (paper, section on the transforms)."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from ..loops.fast import gelu
from .dcn import deformable
from .gdn import GDN
from .layers import conv1, conv3


class R2B(nn.Module):
    """Recurrent residual block: `rounds` times x <- gelu(conv(gelu(conv(x)))) + x, one set of weights."""

    def __init__(self, i: int, o: int, rounds: int = 1) -> None:
        super().__init__()
        self.conv1 = conv3(i, o)
        self.conv2 = conv3(o, o)
        self.rounds = rounds
        if i != o:
            self.skip = conv1(i, o)
        self.widens = i != o

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for _ in range(self.rounds):
            body = gelu(self.conv2(gelu(self.conv1(x))))
            x = body + (self.skip(x) if self.widens else x)
        return x


class DRBS(nn.Module):
    """Deformable residual block, stride 2: [B, i, H, W] -> [B, o, H/2, W/2].

    The paper's skip picks every other pixel, so that a linear code can only go through the body. With `shortcut` the skip
    is a conv3x3 of stride 2 that can hold one, and the body is free to be nonlinear (AuxT, arXiv 2501.13751, adds such
    shortcuts beside each stage).
    """

    def __init__(self, i: int, o: int, drb: bool, shortcut: bool = False) -> None:
        super().__init__()
        self.conv1 = deformable(drb, i, o, 2)
        self.conv2 = conv3(o, o)
        self.gdn = GDN(o)
        # The backward pass of oneDNN 2.6's 1x1 convs of stride 2 writes past the end of its scratch memory for 3 channels.
        self.picks = i % 16 != 0 and not shortcut
        self.shortcut = shortcut
        self.skip = conv3(i, o, 2) if shortcut else conv1(i, o, 1 if self.picks else 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.gdn(self.conv2(gelu(self.conv1(x)))) + self.skip(x[:, :, ::2, ::2] if self.picks else x)


class DRBU(nn.Module):
    """Deformable residual block, up 2: [B, i, H, W] -> [B, o, 2H, 2W]; both sub-pixel convs deform."""

    def __init__(self, i: int, o: int, drb: bool) -> None:
        super().__init__()
        self.up = deformable(drb, i, 4 * o)
        self.conv = conv3(o, o)
        self.igdn = GDN(o, inverse=True)
        self.skip = deformable(drb, i, 4 * o)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        body = self.conv(gelu(F.pixel_shuffle(self.up(x), 2)))
        return self.igdn(body) + F.pixel_shuffle(self.skip(x), 2)
