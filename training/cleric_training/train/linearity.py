"""How much of y is not a linear function of the pixels: whether g_a has left its linear start.

From a window of pixels round its 16x16 block each latent is predicted by least squares; what the prediction leaves, on
crops that it was not fitted to, is not linear. The crops are always the same, and so are the products of their pixels.
"""
from __future__ import annotations

from concurrent.futures import Executor
from typing import Callable

import numpy as np
import torch
import torch.nn.functional as F

from .data import Images

BLOCK = 16  # pixels a latent
WINDOW = 24  # pixels seen of each side; 40 explain a tenth more of the rest
CROPS, SIDE = 32, 256  # fitted to: 6272 latents of a channel for the window's 1728 values
LEVELS = 255
MIDDLE = 128
RIDGE = 0.01  # added to the variances of pixels of 0 to 255: below that of their rounding, 1 / 12
EXACT = 512  # products of so many signed bytes add up to less than 2^24, which float32 holds exactly


def windows(x: torch.Tensor, side: int) -> torch.Tensor:
    """x [n, 3, H, W] -> windows of `side` pixels round all 16x16 blocks but the outermost, [n (H/16 - 2) (W/16 - 2), 3 side^2]."""
    margin = BLOCK - (side - BLOCK) // 2
    inner = x[:, :, margin:x.shape[2] - margin, margin:x.shape[3] - margin]
    return inner.unfold(2, side, BLOCK).unfold(3, side, BLOCK).permute(0, 2, 3, 1, 4, 5).flatten(0, 2).flatten(1)


def inner_latents(y: torch.Tensor) -> torch.Tensor:
    """y [n, M, h, w] -> the latents at the places of `windows`, [n (h - 2) (w - 2), M]."""
    return y[:, :, 1:-1, 1:-1].permute(0, 2, 3, 1).flatten(0, 2)


def _gram(rows: torch.Tensor) -> torch.Tensor:
    """rows^T rows of integers in [-128, 127], [n, p] float32, exactly: [p, p] float64.

    As 1x1 convs, which are quick also where PyTorch has no optimised BLAS, in pieces whose sums are exact.
    """
    total = torch.zeros(rows.shape[1], rows.shape[1], dtype=torch.float64)
    for part in rows.split(EXACT):
        total += F.conv2d(part[None, :, :, None], part.t()[:, :, None, None].contiguous())[0, :, :, 0]
    return total


class Linearity:
    """Measures any analysis of 16x16 blocks on crops of `images`.

    >>> Linearity(images).share(model.g_a, pool)
    {'all': 0.0025, 'median': 0.0085}
    """

    def __init__(self, images: Images, crops: int = CROPS, side: int = SIDE, window: int = WINDOW) -> None:
        self._fitted = images.batch(np.random.default_rng(0), crops, side, marked=0)
        self._held = images.validation(side)
        self._window = window
        seen = self._pixels(self._fitted)
        n, p = seen.shape
        if n <= p + 1:
            raise ValueError(f"Expected more than {p + 1} latents to fit {p} pixels to but received {n}")
        self._mean = seen.double().mean(0)
        gram = _gram(seen) - n * torch.outer(self._mean, self._mean)
        gram.diagonal().add_(n * RIDGE)
        self._factor = torch.linalg.cholesky(gram)
        # By as much a fit of p values to n samples raises the mean square of what no fit can predict.
        self._excess = (n - 1) / (n - p - 1)

    def _pixels(self, x: torch.Tensor) -> torch.Tensor:
        """The windows of crops in [0, 1] as signed bytes, float32."""
        return torch.round(windows(x, self._window) * LEVELS) - MIDDLE

    @torch.no_grad()
    def share(self, analysis: Callable[[torch.Tensor], torch.Tensor], pool: Executor) -> dict[str, float]:
        """Shares of variance, in 0 to 1, that are not linear: "all" of all channels' variances together, which the few
        channels of the coarse structure rule, and the "median" of the channels' own.

        `analysis` takes [1, 3, H, W] to y [1, M, H/16, W/16]; `pool` runs it on several crops at a time.
        """
        def latents(x: torch.Tensor) -> torch.Tensor:
            def one(crop: torch.Tensor) -> torch.Tensor:
                with torch.no_grad():  # a thread of the pool has a mode of its own
                    return inner_latents(analysis(crop))

            return torch.cat(list(pool.map(one, x.split(1)))).double()

        fitted, held = latents(self._fitted), latents(self._held)
        mean = fitted.mean(0)
        weights = torch.cholesky_solve((self._pixels(self._fitted).double() - self._mean).t() @ (fitted - mean), self._factor)
        predicted = (self._pixels(self._held).double() - self._mean) @ weights
        left = (held - mean - predicted).pow(2).mean(0) / self._excess
        whole = (held - held.mean(0)).pow(2).mean(0)
        return {"all": float(left.sum() / whole.sum()), "median": float((left / whole.clamp_min(1e-12)).median())}
