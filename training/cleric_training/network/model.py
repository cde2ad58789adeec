"""The whole codec as one module: transforms, entropy model, gains of the variable rate."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

import torch
from torch import nn

from .bounds import ste_round
from .config import Config
from .dcn import DeformConv
from .lifting import Lifting
from .mem import MEM, Trace
from .prior import Factorized
from .transforms import Analysis, HyperAnalysis, HyperSynthesis, Synthesis


@dataclass
class Output:
    """x_hat [B, 3, H, W] not clamped; likelihoods of y [B, M, H/16, W/16] and z [B, Z, H/64, W/64]."""

    x_hat: torch.Tensor
    y_likelihood: torch.Tensor
    z_likelihood: torch.Tensor

    def bits(self) -> torch.Tensor:
        """Estimated bits of each sample, [B]."""
        return -(torch.log2(self.y_likelihood).flatten(1).sum(1) + torch.log2(self.z_likelihood).flatten(1).sum(1))


GAIN_START = (-0.8, 2.5)  # log2 of the gain at the first level and at the last: the optimal step goes with lambda^(-1/2)


class Cleric(nn.Module):
    """CLERIC with the gains of the variable rate when `config.levels` > 0."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.g_a, self.g_s = Analysis(config), Synthesis(config)
        self.h_a, self.h_s = HyperAnalysis(config), HyperSynthesis(config)
        self.z_prior, self.mem = Factorized(config.Z), MEM(config)
        if config.levels:
            start = torch.linspace(*GAIN_START, config.levels)
            # log2 of the gain, channel by channel.
            self.log_gain = nn.Parameter(start[:, None].repeat(1, config.M))
            self.log_inv = nn.Parameter(torch.zeros(config.levels, config.M))

    def stage(self, lift_nets: bool = True, deform: bool = True) -> None:
        """Leaves the lifting nets or the deformation out of the computation (cheap early training)."""
        for module in self.modules():
            if isinstance(module, Lifting):
                module.nets_on = lift_nets
            elif isinstance(module, DeformConv):
                module.deform = deform

    def gains(self, q: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """q [B] in [0, levels - 1] -> gain and inverse gain, each [B, M, 1, 1]; logs interpolate linearly.

        Of a model of one rate, whatever q: ones, [B, 1, 1, 1].
        """
        if not self.config.levels:
            one = torch.ones(len(q), 1, 1, 1, device=q.device)
            return one, one
        levels = torch.arange(self.config.levels, device=q.device)
        share = (1 - (q[:, None] - levels).abs()).clamp_min(0)  # [B, levels], two shares of a row sum to 1
        gain, inverse = ((share[:, :, None] * log[None]).sum(1) for log in (self.log_gain, self.log_inv))
        return torch.exp2(gain)[:, :, None, None], torch.exp2(inverse - gain)[:, :, None, None]

    def entropy(self, y: torch.Tensor, noisy: bool, trace: Optional[Trace] = None) -> tuple[torch.Tensor, ...]:
        """y [B, M, h, w] after the gain -> y_hat before the inverse gain, and the likelihoods of y and z."""
        z = self.h_a(y)
        z_hat = ste_round(z)
        seen = z + torch.empty_like(z).uniform_(-0.5, 0.5) if noisy else z_hat
        z_likelihood = self.z_prior.likelihood(seen)
        hyper = self.h_s(z_hat)
        if trace:
            for name, value in (("y", y), ("z", z), ("z_hat", z_hat), ("hyper", hyper)):
                trace(name, value)
        return (*self.mem(y, hyper, noisy, trace), z_likelihood)

    def forward(self, x: torch.Tensor, q: Optional[torch.Tensor] = None, noisy: bool = True,
                trace: Optional[Trace] = None) -> Output:
        """x [B, 3, H, W] in [0, 1], H and W multiples of 64; q [B]. `noisy`: training, else true rounding."""
        y = self.g_a(x)
        gain = inverse = None
        if self.config.levels:
            assert q is not None, "a model of variable rate needs q"
            gain, inverse = self.gains(q)
            y = y * gain
        y_hat, y_likelihood, z_likelihood = self.entropy(y, noisy, trace)
        if inverse is not None:
            y_hat = y_hat * inverse
        if trace:
            trace("y_hat", y_hat)
        return Output(self.g_s(y_hat), y_likelihood, z_likelihood)
