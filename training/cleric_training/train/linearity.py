"""How much of y is not a linear function of the pixels: whether g_a has left its linear start.

From a window of pixels round its 16x16 block each latent is predicted by least squares; what the prediction leaves, on
crops that it was not fitted to, is not linear. The crops are always the same, so all that depends on them alone is
computed once: a matrix that takes the latents of the fitted crops to predictions of those of the held-out ones.
"""
from __future__ import annotations

from concurrent.futures import Executor
from typing import Callable

import numpy as np
import torch

from .data import Images

BLOCK = 16  # pixels a latent
WINDOW = 24  # pixels seen of each side; 40 explain a tenth more of the rest
CROPS, SIDE = 64, 256  # fitted to: 12544 latents of a channel, seven times the window's 1728 values
RIDGE = 1e-7  # added to the pixels' variances: far below that of the rounding to 8 bits, 1.3e-6


def windows(x: torch.Tensor, side: int) -> torch.Tensor:
    """x [n, 3, H, W] -> windows of `side` pixels round all 16x16 blocks but the outermost, [n (H/16 - 2) (W/16 - 2), 3 side^2]."""
    margin = BLOCK - (side - BLOCK) // 2
    inner = x[:, :, margin:x.shape[2] - margin, margin:x.shape[3] - margin]
    return inner.unfold(2, side, BLOCK).unfold(3, side, BLOCK).permute(0, 2, 3, 1, 4, 5).flatten(0, 2).flatten(1)


def inner_latents(y: torch.Tensor) -> torch.Tensor:
    """y [n, M, h, w] -> the latents at the places of `windows`, [n (h - 2) (w - 2), M]."""
    return y[:, :, 1:-1, 1:-1].permute(0, 2, 3, 1).flatten(0, 2)


class Linearity:
    """Measures any analysis of 16x16 blocks on crops of `images`.

    >>> Linearity(images).share(model.g_a, pool)
    {'all': 0.0025, 'median': 0.0085}
    """

    def __init__(self, images: Images, crops: int = CROPS, side: int = SIDE, window: int = WINDOW) -> None:
        self._fitted = images.batch(np.random.default_rng(0), crops, side, marked=0)
        self._held = images.validation(side)
        seen, unseen = windows(self._fitted, window).double(), windows(self._held, window).double()
        n, p = seen.shape
        if n <= p + 1:
            raise ValueError(f"Expected more than {p + 1} latents to fit {p} pixels to but received {n}")
        mean = seen.mean(0)
        seen -= mean
        unseen -= mean
        gram = seen.t() @ seen
        gram.diagonal().add_(n * RIDGE)
        self._predict = (unseen @ torch.cholesky_solve(seen.t(), torch.linalg.cholesky(gram))).float()
        # By as much a fit of p values to n samples raises the mean square of what no fit can predict.
        self._excess = (n - 1) / (n - p - 1)

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

            return torch.cat(list(pool.map(one, x.split(1))))

        fitted, held = latents(self._fitted), latents(self._held)
        mean = fitted.mean(0)
        left = (held - mean - self._predict @ (fitted - mean)).pow(2).mean(0) / self._excess
        whole = (held - held.mean(0)).pow(2).mean(0)
        return {"all": float(left.sum() / whole.sum()), "median": float((left / whole.clamp_min(1e-12)).median())}
