"""Generalised divisive normalisation (Balle et al. 2016) and its inverse."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from .bounds import lower_bound

BETA_MIN = 1e-3
GAMMA_MIN = 2**-18


class GDN(nn.Module):
    """y_i = x_i / sqrt(b_i + sum_j g_ij x_j^2), or times that root; b = beta^2, g = gamma^2.

    Takes and gives [B, n, H, W].
    """

    def __init__(self, n: int, inverse: bool = False) -> None:
        super().__init__()
        self.inverse = inverse
        self.beta = nn.Parameter(torch.ones(n))
        self.gamma = nn.Parameter((0.1 * torch.eye(n) + 2**-36).sqrt())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        beta = lower_bound(self.beta, BETA_MIN) ** 2
        gamma = lower_bound(self.gamma, GAMMA_MIN) ** 2
        norm = F.conv2d(x * x, gamma[:, :, None, None], beta)
        return x * (torch.sqrt(norm) if self.inverse else torch.rsqrt(norm))
