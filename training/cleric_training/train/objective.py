"""What training minimises: lambda 255^2 MSE + bpp, weighted over the rates."""
from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from ..network.model import GAIN_START, Output

LAMBDA_LOW = 0.004
LAMBDA_RANGE = 100.0
LAMBDA_MIDDLE = LAMBDA_LOW * LAMBDA_RANGE**0.5
BALANCE = 0.5
RUNAWAY = 0.01  # 20 dB


def rate_lambda(q: torch.Tensor, levels: int) -> torch.Tensor:
    """lambda(q) = 0.004 * 100^(q / (levels - 1)), any shape; of a model of more than one rate."""
    return LAMBDA_LOW * LAMBDA_RANGE ** (q / (levels - 1))


def start_gain(lmbda: float) -> float:
    """The gain with which a model of every rate starts at this lambda, for the transforms of a model of one rate."""
    low, high = GAIN_START
    return 2 ** (low + (high - low) * math.log(lmbda / LAMBDA_LOW, LAMBDA_RANGE))


def balance(lmbda: torch.Tensor) -> torch.Tensor:
    """Weight of a sample by its lambda: lambda^-0.5, 1 at the middle rate.

    A sample's loss grows with lambda (its bits do, and early on its distortion term more so), and
    without a weight the high rates would own the gradient. The exponent makes a per cent of rate
    about as dear at every q, which is what a BD-rate counts.
    """
    return (lmbda / LAMBDA_MIDDLE) ** -BALANCE


def tamed(mse: torch.Tensor) -> torch.Tensor:
    """Squared errors of samples with those far beyond any picture's on a logarithmic scale.

    A sample on which the decoder runs away would otherwise be all of a batch's gradient.
    """
    return torch.where(mse > RUNAWAY, RUNAWAY * (1 + torch.log(mse.clamp_min(RUNAWAY) / RUNAWAY)), mse)


@dataclass(frozen=True)
class Border:
    """What the outermost `rings` of pixels of a crop weigh in the distortion; one pixel inside weighs 1.

    A crop's border is that of a tile, beyond which g_a and g_s see zeros. Its pixels are few (1.6 % of a crop of 256 are
    the first ring), so that the plain mean leaves them 1.7 dB behind the others, and tiles side by side show a grid.
    """

    weight: float = 1.0
    rings: int = 1

    def mean(self, error: torch.Tensor) -> torch.Tensor:
        """Weighted means of [B, C, H, W], [B]: of errors all alike, whatever the weight, that one error."""
        if self.weight == 1:
            return error.flatten(1).mean(1)
        weights = torch.full(error.shape[2:], self.weight, device=error.device)
        weights[self.rings:-self.rings, self.rings:-self.rings] = 1
        return (error.mean(1) * (weights / weights.mean())).flatten(1).mean(1)


PLAIN = Border()


def weighted(mse: torch.Tensor, bpp: torch.Tensor, lmbda: torch.Tensor) -> torch.Tensor:
    """The loss of samples with these squared errors, bits and lambdas, [B] each."""
    return ((lmbda * 255**2 * mse + bpp) * balance(lmbda)).mean()


def rate_distortion(x: torch.Tensor, out: Output, lmbda: torch.Tensor, border: Border = PLAIN) -> dict[str, torch.Tensor]:
    """loss (scalar), and detached bpp and unweighted mse of each sample, [B]."""
    error = (out.x_hat - x).pow(2)
    bpp = out.bits() / (x.shape[2] * x.shape[3])
    loss = weighted(tamed(border.mean(error)), bpp, lmbda)
    return {"loss": loss, "bpp": bpp.detach(), "mse": error.detach().flatten(1).mean(1)}
