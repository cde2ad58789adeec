"""Learned lifting: a CDF 9/7 wavelet whose four filters each carry a small residual net."""
from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from ..loops import fast, gpu

FILTERS = (-1.586134342059924, -0.052980118572961, 0.882911075530934, 0.443506852043971)
K = 1.230174104914001


@dataclass(frozen=True)
class Ends:
    """What a lifting step multiplies at the ends of a row of samples."""

    source: float = 1.0  # the last sample of those that it reads
    first: float = 1.0  # what is added to the first sample of the others
    last: float = 1.0  # and to the last


PLAIN = (Ends(),) * 4
_LEFT = (1 + 2 * FILTERS[0]) / (1 + FILTERS[0])
# Quantisation noise in the subbands of CDF 9/7 comes back 1.7 dB stronger in the last sample than inside, and 0.75 dB in the first:
# the last is odd, and is predicted from one neighbour that counts twice. Here that one counts once, by 1/2. A constant then leaves
# 1 + alpha of itself there in place of 1 + 2 alpha, which `_LEFT` makes up for wherever the sample is read, so constants stay
# constants. It counts by 0.872 in the last even sample's second update, and the first even sample's is 0.75 in all, not
# 2 delta: with these two the noise is 0.3 and 0.0 dB stronger.
BALANCED = (Ends(last=1 / 2), Ends(source=_LEFT), Ends(last=1 / _LEFT), Ends(source=0.872 / FILTERS[3], first=0.75 / (2 * FILTERS[3])))


class LiftNet(nn.Module):
    """conv3x3(1->c), tanh, conv3x3(c->c), tanh, conv1x1(c->1); the last starts at zero."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, c, 3, 1, 1)
        self.conv2 = nn.Conv2d(c, c, 3, 1, 1)
        self.conv3 = nn.Conv2d(c, 1, 1)
        nn.init.zeros_(self.conv3.weight)
        nn.init.zeros_(self.conv3.bias)
        self.in_triton = False  # on a GPU, while the net doesn't learn

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[n, 1, h, w] -> the same."""
        parameters = [p for conv in (self.conv1, self.conv2, self.conv3) for p in (conv.weight, conv.bias)]
        # Its sums are of factors rounded to eleven bits, which is for steps of training: validation is in float32.
        training = torch.is_grad_enabled() or torch.is_autocast_enabled()
        if self.in_triton and training and not any(p.requires_grad for p in parameters):
            return gpu.lift(x, *parameters)
        if torch.is_grad_enabled() and fast.lifts(x, len(self.conv1.bias)):
            return fast.lift(x, *(p.float() for p in parameters))
        return self.conv3(torch.tanh(self.conv2(torch.tanh(self.conv1(x)))))


def _weighted(x: torch.Tensor, first: float, last: float) -> torch.Tensor:
    """[..., rows, columns] with the first and the last row multiplied."""
    if first == last == 1:
        return x
    weights = x.new_ones(x.shape[-2], 1)
    weights[0] *= first
    weights[-1] *= last
    return x * weights


def _swap(x: torch.Tensor) -> torch.Tensor:
    return x.transpose(-1, -2)


class Lifting(nn.Module):
    """One level in two dimensions, each colour channel by itself.

    `nets_on` off skips the nets: the plain CDF 9/7 transform, which is also what zero last
    layers give, so that a stage of training without the nets carries over as it stands.
    """

    def __init__(self, c: int, ends: bool = False) -> None:
        super().__init__()
        self.nets = nn.ModuleList([LiftNet(c), LiftNet(c)])
        self.ends = BALANCED if ends else PLAIN
        self.nets_on = True

    def _filter(self, x: torch.Tensor, k: int) -> torch.Tensor:
        """What step k adds, of [B, C, H, W], along rows; predict steps repeat the last row, update steps the first."""
        ends = self.ends[k]
        x = _weighted(x, 1, ends.source)
        if k % 2 == 0:
            other = torch.cat([x[..., 1:, :], x[..., -1:, :]], -2)
        else:
            other = torch.cat([x[..., :1, :], x[..., :-1, :]], -2)
        f = FILTERS[k] * (x + other)
        if self.nets_on:
            b, c, h, w = f.shape
            f = f + self.nets[k // 2](f.reshape(b * c, 1, h, w)).reshape(b, c, h, w)
        return _weighted(f, ends.first, ends.last)

    def _split(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        even, odd = x[..., 0::2, :], x[..., 1::2, :]
        odd = odd + self._filter(even, 0)
        even = even + self._filter(odd, 1)
        odd = odd + self._filter(even, 2)
        even = even + self._filter(odd, 3)
        return even / K, odd * (K / 2)

    def _merge(self, even: torch.Tensor, odd: torch.Tensor) -> torch.Tensor:
        even, odd = even * K, odd / (K / 2)
        even = even - self._filter(odd, 3)
        odd = odd - self._filter(even, 2)
        even = even - self._filter(odd, 1)
        odd = odd - self._filter(even, 0)
        b, c, h, w = even.shape
        return torch.stack([even, odd], -2).reshape(b, c, 2 * h, w)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """[B, 3, H, W] -> low LL [B, 3, H/2, W/2] and high [LH, HL, HH] [B, 9, H/2, W/2]."""
        low, high = self._split(x)
        ll, lh = self._split(_swap(low))
        hl, hh = self._split(_swap(high))
        return _swap(ll), torch.cat([_swap(lh), _swap(hl), _swap(hh)], 1)

    def inverse(self, low: torch.Tensor, high: torch.Tensor) -> torch.Tensor:
        """The steps backwards with the signs flipped: `forward`'s outputs -> [B, 3, H, W]."""
        lh, hl, hh = high.chunk(3, 1)
        left = _swap(self._merge(_swap(low), _swap(lh)))
        right = _swap(self._merge(_swap(hl), _swap(hh)))
        return self._merge(left, right)
