"""MEM++: the entropy model of y, slice by slice, anchors before non-anchors (after MLIC++)."""
from __future__ import annotations

from typing import Callable, Optional

import torch
from torch import nn

from .attention import GlobalInter, GlobalIntra, LocalContext, anchor_mask
from .config import Config
from .layers import stack
from .prior import dead_zone_round, gauss_likelihood

Trace = Callable[[str, torch.Tensor], None]


def _each(make: Callable[[int], nn.Module], slices: int) -> nn.ModuleList:
    """A net for every slice but the first, keyed by the slice's number."""
    return nn.ModuleList([make(i) if i else nn.Identity() for i in range(slices)])


def _coded(y: torch.Tensor, scale: torch.Tensor, mean: torch.Tensor) -> torch.Tensor:
    """y as it is coded, all of one shape; backwards the mean is a constant and rounding the identity."""
    v = y - mean
    return v + (dead_zone_round(v, scale) - v).detach() + mean


class MEM(nn.Module):
    """Multi-reference entropy model. Contexts: channel, local window, global intra, global inter."""

    def __init__(self, c: Config) -> None:
        super().__init__()
        d = self.d = c.d
        n = self.slices = c.slices
        self.M = c.M
        self.local = nn.ModuleList([LocalContext(d) for _ in range(n)])
        self.channel = _each(lambda i: stack(d * i, *c.chan, 4 * d), n)
        self.inter = _each(lambda i: GlobalInter(d * i, 2 * d, max(1, d * i // 32)), n)
        self.intra = _each(lambda i: GlobalIntra(d), n)
        hyper = 2 * c.M

        def ep(extra: int) -> nn.Sequential:
            return stack(hyper + extra, *c.ep, 2 * d, kernel=1)

        self.ep_a = nn.ModuleList([ep(6 * d if i else 0) for i in range(n)])
        self.ep_n = nn.ModuleList([ep(10 * d if i else 2 * d) for i in range(n)])
        self.lrp_a = nn.ModuleList([stack(c.M + d * (i + 1), *c.lrp_widths(i), d) for i in range(n)])
        self.lrp_n = nn.ModuleList([stack(c.M + d * (i + 1), *c.lrp_widths(i), d) for i in range(n)])

    def forward(self, y: torch.Tensor, hyper: torch.Tensor, noisy: bool,
                trace: Optional[Trace] = None) -> tuple[torch.Tensor, torch.Tensor]:
        """y [B, M, h, w], hyper [B, 2M, h, w] -> y_hat and the likelihoods of y, both like y.

        `noisy` takes the likelihoods at y plus uniform noise (training) instead of at the rounded
        values; y_hat is rounded in both cases, with a straight-through gradient.
        """
        m = anchor_mask(*y.shape[2:], y.device)
        means = hyper[:, self.M:]
        done: list[torch.Tensor] = []
        likelihoods: list[torch.Tensor] = []
        note: Trace = trace or (lambda name, value: None)
        for i, ys in enumerate(y.chunk(self.slices, 1)):
            context: list[torch.Tensor] = []
            if i:
                prev = torch.cat(done, 1)
                inter, channel = self.inter[i](prev), self.channel[i](prev)
                note(f"inter.{i}", inter)
                note(f"channel.{i}", channel)
                context = [inter, channel]
            params_a = self.ep_a[i](torch.cat(context + [hyper], 1)).float()
            note(f"params_a.{i}", params_a)
            scale_a, mean_a = params_a.chunk(2, 1)
            ya = _coded(ys, scale_a, mean_a) * m
            ya = ya + self._lrp(self.lrp_a[i], means, done, ya) * m
            note(f"y_hat_a.{i}", ya)
            local = self.local[i](ya)
            note(f"local.{i}", local)
            half = [local]
            if i:
                intra = self.intra[i](done[-1], ya)
                note(f"intra.{i}", intra)
                half.append(intra)
            params_n = self.ep_n[i](torch.cat(half + context + [hyper], 1)).float()
            note(f"params_n.{i}", params_n)
            scale_n, mean_n = params_n.chunk(2, 1)
            scale, mean = torch.where(m, scale_a, scale_n), torch.where(m, mean_a, mean_n)
            note(f"r.{i}", dead_zone_round(ys - mean, scale))
            seen = ys + torch.empty_like(ys).uniform_(-0.5, 0.5) if noisy else _coded(ys, scale, mean)
            likelihoods.append(gauss_likelihood(seen, scale, mean))
            yh = ya + _coded(ys, scale_n, mean_n) * ~m
            yh = yh + self._lrp(self.lrp_n[i], means, done, yh) * ~m
            note(f"y_hat.{i}", yh)
            done.append(yh)
        return torch.cat(done, 1), torch.cat(likelihoods, 1)

    @staticmethod
    def _lrp(net: nn.Module, means: torch.Tensor, done: list[torch.Tensor], now: torch.Tensor) -> torch.Tensor:
        """Latent residual prediction: a correction in (-0.5, 0.5) of the rounded slice."""
        return 0.5 * torch.tanh(net(torch.cat([means, *done, now], 1)).float())
