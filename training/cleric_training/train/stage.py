"""What one stage of training minimises: of the whole network, or of the part of it that learns."""
from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from ..network.model import Cleric, Output
from .klt import latent_size
from .objective import Border, rate_distortion, rate_lambda, weighted

TRANSFORMS = frozenset({"g_a", "g_s", "gain", "lift", "offset"})


PRECISIONS = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32}


def computes_in(precision: torch.dtype, device: str = "cpu") -> bool:
    """Whether PyTorch's convs and `autocast` have this type there; 1.13 refuses bfloat16 where oneDNN is told to use less
    than the processor has, and has no float16 on processors."""
    if precision == torch.float32:
        return True
    one = torch.ones(1, 16, 8, 8, device=device)
    try:
        with torch.autocast(device, dtype=precision):
            return F.conv2d(one, torch.ones(16, 16, 3, 3, device=device)).dtype == precision
    except RuntimeError:
        return False


@dataclass(frozen=True)
class Stage:
    """The loss of a share of a batch: called with x [b, 3, H, W] and q [b], gives loss, and bpp and mse of each sample."""

    model: Cleric
    frozen: frozenset[str]  # groups of parameters that don't learn, see optimise.py
    precision: torch.dtype  # of convs and products
    lmbda: float  # of a model of one rate
    border: Border

    def __call__(self, x: torch.Tensor, q: torch.Tensor) -> dict[str, torch.Tensor]:
        # PyTorch 1.13 refuses float32 as the precision of autocast even where it is off.
        narrow = {} if self.precision == torch.float32 else {"dtype": self.precision}
        with torch.autocast(x.device.type, enabled=bool(narrow), **narrow):
            if {"g_a", "gain", "entropy"} <= self.frozen:
                return self._decoder_only(x, q)
            if TRANSFORMS <= self.frozen:
                return self._latent_only(x, q)
            return rate_distortion(x, self.model(x, q), self.lambdas(q), self.border)

    def lambdas(self, q: torch.Tensor) -> torch.Tensor:
        """lambda of each sample, like q."""
        levels = self.model.config.levels
        return rate_lambda(q, levels) if levels > 1 else torch.full_like(q, self.lmbda)

    def _latent_only(self, x: torch.Tensor, q: torch.Tensor) -> dict[str, torch.Tensor]:
        """Rate-distortion where only the entropy model learns: distortion in the latents, without g_s.

        The linear start scales every latent to move the pixels by one unit of error a `latent_size` (klt.py), so that
        the error of y_hat is that of the image, but for what g_a itself has dropped.
        """
        with torch.no_grad():
            y = self.model.g_a(x)
            gain, inverse = self.model.gains(q)
        y_hat, *likelihoods = self.model.entropy(y * gain, noisy=True)
        bpp = Output(x, *likelihoods).bits() / (x.shape[2] * x.shape[3])
        size = latent_size(self.model.config.levels, self.lmbda)
        mse = ((y_hat * inverse - y) / size).pow(2).flatten(1).sum(1) / x[0].numel()
        return {"loss": weighted(mse, bpp, self.lambdas(q)), "bpp": bpp.detach(), "mse": mse.detach()}

    def _decoder_only(self, x: torch.Tensor, q: torch.Tensor) -> dict[str, torch.Tensor]:
        """Distortion alone, where only g_s learns: from latents rounded as if every mean were zero."""
        with torch.no_grad():
            gain, inverse = self.model.gains(q)
            y_hat = torch.round(self.model.g_a(x) * gain) * inverse
        error = (self.model.g_s(y_hat) - x).pow(2)
        bpp = torch.zeros(len(x), device=x.device)
        loss = weighted(self.border.mean(error), bpp, self.lambdas(q))
        return {"loss": loss, "bpp": bpp, "mse": error.detach().flatten(1).mean(1)}
