"""The four transforms g_a, g_s, h_a, h_s."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from ..loops.fast import GELU
from .blocks import DRBS, DRBU, R2B
from .config import Config
from .layers import conv3
from .lifting import Lifting


class Analysis(nn.Module):
    """g_a: [B, 3, H, W] in [0, 1] -> y [B, M, H/16, W/16]."""

    def __init__(self, c: Config) -> None:
        super().__init__()
        self.ls = c.ls

        def tail(out: int) -> list[nn.Module]:
            return [DRBS(c.N, c.N, c.drb, c.shortcuts), R2B(c.N, c.N, c.rounds), DRBS(c.N, c.width8, c.drb, c.shortcuts),
                    R2B(c.width8, c.width8, c.rounds), conv3(c.width8, out, 2, precise=True)]

        if c.ls:
            self.lift = Lifting(c.lift, c.ends)
            self.low = nn.Sequential(R2B(6, c.N), *tail(c.M // 2))
            self.high = nn.Sequential(R2B(12, c.N), *tail(c.M // 2))
        else:
            self.net = nn.Sequential(DRBS(3, c.N, c.drb, c.shortcuts), R2B(c.N, c.N, c.rounds), *tail(c.M))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.ls:
            return self.net(x)
        low, high = self.lift(x)
        half = F.avg_pool2d(x, 2)
        low, high = torch.cat([low, half], 1), torch.cat([high, half], 1)
        return torch.cat([self.low(low), self.high(high)], 1)


class Synthesis(nn.Module):
    """g_s: y_hat [B, M, H/16, W/16] -> x_hat [B, 3, H, W], not clamped."""

    def __init__(self, c: Config) -> None:
        super().__init__()
        self.ls = c.ls
        first = c.width8 if c.narrow else c.M
        ups = [R2B(c.M, first, c.rounds), DRBU(first, c.width8, c.drb), R2B(c.width8, c.width8, c.rounds),
               DRBU(c.width8, c.N, c.drb), R2B(c.N, c.N, c.rounds), DRBU(c.N, c.N, c.drb)]
        if c.ls:
            self.net = nn.Sequential(*ups, conv3(c.N, 12, precise=True))
            self.lift = Lifting(c.lift, c.ends)
        else:
            self.net = nn.Sequential(*ups, R2B(c.N, c.N, c.rounds), conv3(c.N, 12, precise=True))

    def forward(self, y: torch.Tensor) -> torch.Tensor:
        out = self.net(y)
        return self.lift.inverse(out[:, :3], out[:, 3:]) if self.ls else F.pixel_shuffle(out, 2)


class HyperAnalysis(nn.Module):
    """h_a: y [B, M, h, w] -> z [B, Z, h/4, w/4]."""

    def __init__(self, c: Config) -> None:
        super().__init__()
        self.net = nn.Sequential(conv3(c.M, c.Z), GELU(), conv3(c.Z, c.Z), GELU(), conv3(c.Z, c.Z, 2),
                                 GELU(), conv3(c.Z, c.Z), GELU(), conv3(c.Z, c.Z, 2, precise=True))

    def forward(self, y: torch.Tensor) -> torch.Tensor:
        return self.net(y)


class HyperSynthesis(nn.Module):
    """h_s: z_hat [B, Z, h/4, w/4] -> hyper scales, then hyper means [B, 2M, h, w]."""

    def __init__(self, c: Config) -> None:
        super().__init__()
        w = c.hyper_width
        self.net = nn.Sequential(
            conv3(c.Z, w), GELU(), conv3(w, w * 4), nn.PixelShuffle(2), GELU(), conv3(w, w * 3 // 2),
            GELU(), conv3(w * 3 // 2, w * 6), nn.PixelShuffle(2), GELU(), conv3(w * 3 // 2, c.M * 2))

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return self.net(z)
