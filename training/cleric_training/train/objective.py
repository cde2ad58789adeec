"""What training minimises: lambda(q) 255^2 MSE + bpp, weighted over the rates."""
from __future__ import annotations

import torch

from ..network.model import Output

LAMBDA_LOW = 0.004
LAMBDA_RANGE = 100.0
BALANCE = 0.5
RUNAWAY = 0.01  # 20 dB


def rate_lambda(q: torch.Tensor, levels: int) -> torch.Tensor:
    """lambda(q) = 0.004 * 100^(q / (levels - 1)), any shape."""
    return LAMBDA_LOW * LAMBDA_RANGE ** (q / (levels - 1))


def balance(q: torch.Tensor, levels: int) -> torch.Tensor:
    """Weight of a sample: lambda^-0.5, 1 at the middle rate.

    A sample's loss grows with lambda (its bits do, and early on its distortion term more so), and
    without a weight the high rates would own the gradient. The exponent makes a per cent of rate
    about as dear at every q, which is what a BD-rate counts.
    """
    middle = LAMBDA_LOW * LAMBDA_RANGE**0.5
    return (rate_lambda(q, levels) / middle) ** -BALANCE


def tamed(mse: torch.Tensor) -> torch.Tensor:
    """Squared errors of samples with those far beyond any picture's on a logarithmic scale.

    A sample on which the decoder runs away would otherwise be all of a batch's gradient.
    """
    return torch.where(mse > RUNAWAY, RUNAWAY * (1 + torch.log(mse.clamp_min(RUNAWAY) / RUNAWAY)), mse)


def rate_distortion(x: torch.Tensor, out: Output, q: torch.Tensor, levels: int) -> dict[str, torch.Tensor]:
    """loss (scalar), and detached bpp and mse of each sample, [B]."""
    mse = (out.x_hat - x).pow(2).flatten(1).mean(1)
    bpp = out.bits() / (x.shape[2] * x.shape[3])
    loss = ((rate_lambda(q, levels) * 255**2 * tamed(mse) + bpp) * balance(q, levels)).mean()
    return {"loss": loss, "bpp": bpp.detach(), "mse": mse.detach()}
