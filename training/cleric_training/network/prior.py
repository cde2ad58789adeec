"""The two entropy models: a factorised density for z, a Gaussian for y."""
from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

from .bounds import lower_bound

LIKELIHOOD_MIN = 1e-9
SCALE_MIN = 0.11
RARE = 2.0**-16  # a symbol's least probability in a coding table
DEAD_ZONE = 14.0  # bits that a unit of squared error is worth, in latent steps; see dead_zone_round


class Factorized(nn.Module):
    """Non-parametric density of each hyper-latent channel (Balle et al. 2018), 4 hidden layers of 3."""

    def __init__(self, channels: int, init: float = 10.0, filters: tuple[int, ...] = (3, 3, 3, 3)) -> None:
        super().__init__()
        widths = (1, *filters, 1)
        self.layers = len(filters) + 1
        scale = init ** (1 / self.layers)
        for i in range(self.layers):
            start = math.log(math.expm1(1 / scale / widths[i + 1]))
            self.register_parameter(f"h{i}", nn.Parameter(torch.full((channels, widths[i + 1], widths[i]), start)))
            self.register_parameter(f"b{i}", nn.Parameter(torch.rand(channels, widths[i + 1], 1) - 0.5))
            if i < self.layers - 1:
                self.register_parameter(f"a{i}", nn.Parameter(torch.zeros(channels, widths[i + 1], 1)))

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        """Logit of the cumulative distribution at x [C, 1, n], each channel under its own density."""
        for i in range(self.layers):
            h = F.softplus(getattr(self, f"h{i}"))
            # Sums of three products: broadcasting beats a batched matrix product of this size.
            x = (h[..., None] * x[:, None]).sum(2) + getattr(self, f"b{i}")
            if i < self.layers - 1:
                x = x + torch.tanh(getattr(self, f"a{i}")) * torch.tanh(x)
        return x

    def likelihood(self, z: torch.Tensor) -> torch.Tensor:
        """Mass of the unit interval round each z [B, C, h, w]."""
        b, c, h, w = z.shape
        x = z.permute(1, 0, 2, 3).reshape(c, 1, -1)
        low, high = self.logits(x - 0.5), self.logits(x + 0.5)
        # Both tails are computed on the side where sigmoid does not saturate; right in the middle on either.
        sign = torch.where(low + high > 0, -1.0, 1.0)
        p = (torch.sigmoid(sign * high) - torch.sigmoid(sign * low)).abs()
        return lower_bound(p, LIKELIHOOD_MIN).reshape(c, b, h, w).permute(1, 0, 2, 3)


def gauss_likelihood(y: torch.Tensor, scale: torch.Tensor, mean: torch.Tensor) -> torch.Tensor:
    """Mass of the unit interval round y under N(mean, max(scale, 0.11)^2); any one shape."""
    distance = (y - mean).abs()
    sigma = lower_bound(scale, SCALE_MIN)

    def cdf(t: torch.Tensor) -> torch.Tensor:
        return 0.5 * torch.erfc(-(2**-0.5) * t)

    return lower_bound(cdf((0.5 - distance) / sigma) - cdf((-0.5 - distance) / sigma), LIKELIHOOD_MIN)


@torch.no_grad()
def dead_zone_round(v: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """Rounds v = y - mean of the given predicted scale, any one shape, as an encoder does: towards zero where that pays.

    A symbol is worth its bits only if they buy enough: from 0 to 1 the step is at
    1/2 + (bits(1) - bits(0)) / (2 DEAD_ZONE), and at the same fraction for larger symbols. At the optimal step of a
    quantiser of high rate a unit of squared error is worth 6 / ln 2 = 8.7 bits; 14 was best over all rates, as
    symbols are also what others are predicted from.
    """
    sigma = scale.clamp_min(SCALE_MIN)
    inner, outer = (torch.erf(t * 2**-0.5 / sigma) for t in (0.5, 1.5))
    gap = torch.log2(inner / (0.5 * (outer - inner)).clamp_min(RARE))
    return torch.sign(v) * torch.floor((v.abs() + 0.5 - gap / (2 * DEAD_ZONE)).clamp_min(0))
