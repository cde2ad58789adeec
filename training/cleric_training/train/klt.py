"""A start as a transform code: the network begins as the best linear 16x16 block transform.

From random weights the transforms need hours to reach what linear algebra gives at once. Here the
convs are set so that g_a computes Karhunen-Loeve components of the wavelet's subbands, stage by
stage (2x2 blocks merged at each down-sampling), and g_s their least-squares inverse, while all
other paths start small. Where g_a has linear shortcuts (`Config.shortcuts`) the code lies in them, and the bodies beside
them, zero at their output only, are as nonlinear as at any other start. Elsewhere GELU stays out of the way by a bias (gelu(u + 6) is u + 6 for small u), GDN by
a small gamma. Training then bends the linear code into a nonlinear one.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from ..network.blocks import DRBS, DRBU, R2B
from ..network.dcn import DeformConv
from ..network.model import Cleric
from .data import Images
from .objective import LAMBDA_MIDDLE, start_gain

OFFSET = 6.0  # bias that keeps GELU linear: 7.5 standard deviations
SPREAD = 0.8  # standard deviation of every feature
SMALL = 0.1  # scale of the paths that start idle
GAMMA = 3e-4
LATENT = 5.5  # latent units a unit of pixel error, before the gain: puts the steps of log_gain at their optimum


def latent_size(levels: int, lmbda: float) -> float:
    """By how much a latent moves for a unit of pixel error: before the gain, which a model of one rate has in g_a.

    `lmbda` is that rate's lambda, and nothing to a model of more.
    """
    return LATENT if levels else LATENT * start_gain(lmbda)


@dataclass
class Features:
    """Raw features [n, C, h, w] and the factor by which the network holds each of them, [C]."""

    raw: torch.Tensor
    factor: torch.Tensor

    @staticmethod
    def of(raw: torch.Tensor) -> "Features":
        return Features(raw, SPREAD / raw.std((0, 2, 3)).clamp_min(1e-4))


def _components(blocks: torch.Tensor, count: int) -> torch.Tensor:
    """The `count` leading eigenvectors of the covariance of [n, C, h, w], as rows [count, C]."""
    rows = blocks.transpose(0, 1).flatten(1).double()
    values, vectors = torch.linalg.eigh(rows @ rows.t())
    return vectors.flip(1)[:, :count].t().float()


def _project(matrix: torch.Tensor, blocks: torch.Tensor) -> torch.Tensor:
    return torch.einsum("kc,nchw->nkhw", matrix, blocks)


def _quieten(module: nn.Module) -> None:
    """Empties residual bodies (their last convs) and makes normalisations nearly the identity."""
    for m in module.modules():
        if isinstance(m, R2B):
            m.conv2.weight.zero_()
            m.conv2.bias.zero_()
        elif isinstance(m, DRBS) and m.shortcut:
            m.conv2.weight.zero_()
            m.conv2.bias.zero_()
        elif isinstance(m, (DRBS, DRBU)):
            norm = m.gdn if isinstance(m, DRBS) else m.igdn
            norm.gamma.copy_((GAMMA * torch.eye(len(norm.beta)) + 2**-36).sqrt())
            if isinstance(m, DRBU):
                m.conv.weight.zero_()
                m.conv.bias.zero_()
            else:
                m.skip.weight.zero_()
                m.skip.bias.zero_()


def _spread_over_taps(matrix: torch.Tensor, channels: int) -> torch.Tensor:
    """[k, 4 C] on 2x2 blocks (channel major) -> weights [k, channels, 3, 3] of a conv3x3 of stride 2."""
    k, width = matrix.shape
    weight = torch.zeros(k, channels, 3, 3)
    weight[:, :width // 4, 1:, 1:] = matrix.reshape(k, width // 4, 2, 2)
    return weight


def _through(down: DRBS, matrix: torch.Tensor, before: Features, after: Features,
             mean: Optional[torch.Tensor] = None) -> None:
    """Lets a DRBS compute `matrix` on 2x2 blocks, through its shortcut or else its main path; of its input, `mean` [C]
    is taken away."""
    scaled = after.factor[:, None] * matrix / before.factor.repeat_interleave(4)[None]
    used, width = len(scaled), down.conv1.weight.shape[1]
    centre = 0 if mean is None else scaled @ mean.repeat_interleave(4)
    if down.shortcut:
        down.skip.weight.mul_(SMALL)
        down.skip.weight[:used] = _spread_over_taps(scaled, width)
        down.skip.bias.zero_()
        down.skip.bias[:used] -= centre
        return
    gain = 2 if isinstance(down.conv1, DeformConv) else 1  # the modulation starts at a half
    down.conv1.weight[:used] = gain * _spread_over_taps(scaled, width)
    down.conv1.bias[:used] = OFFSET - centre
    down.conv2.weight.mul_(SMALL)
    down.conv2.weight[:used] = 0
    down.conv2.weight[range(used), range(used), 1, 1] = 1
    down.conv2.bias[:used] = -OFFSET


def _branch(net: nn.Sequential, raw: torch.Tensor, mean: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Sets g_a's `net`, or one branch of it, for centred and weighted inputs `raw`; gives its components of a 16x16
    block, [n, M or M / 2, h, w]."""
    if isinstance(net[0], R2B):
        features = Features.of(raw)
        channels = raw.shape[1]
        first = net[0].skip
        first.weight.mul_(SMALL)
        first.weight[:channels] = 0
        first.weight[range(channels), range(channels), 0, 0] = weights * features.factor
        first.bias[:channels] = -mean * weights * features.factor
    else:
        features = Features(raw, torch.ones(raw.shape[1]))
    for down in (part for part in net if isinstance(part, DRBS)):
        width = down.conv1.weight.shape[0]
        blocks = F.pixel_unshuffle(features.raw, 2)
        matrix = _components(blocks, min(width, blocks.shape[1]))
        after = Features.of(_project(matrix, blocks))
        _through(down, matrix, features, after, mean if down is net[0] else None)
        features = after
    blocks = F.pixel_unshuffle(features.raw, 2)
    last = net[-1]
    matrix = _components(blocks, min(len(last.weight), blocks.shape[1]))
    last.weight.mul_(SMALL)
    last.weight[:len(matrix)] = _spread_over_taps(matrix / features.factor.repeat_interleave(4)[None], last.weight.shape[1])
    last.bias.zero_()
    return _project(matrix, blocks)


def _centre(conv: nn.Module, matrix: torch.Tensor) -> None:
    """Sets the leading rows and columns of a conv to a 1x1 `matrix`, the rest small."""
    gain = 2 if isinstance(conv, DeformConv) else 1
    conv.weight.mul_(SMALL)
    conv.weight[:len(matrix)] = 0
    conv.weight[:len(matrix), :matrix.shape[1], 1, 1] = gain * matrix
    conv.bias.zero_()


def _subband_norms(model: Cleric) -> torch.Tensor:
    """Pixel norm of a unit impulse in each of the 12 subband channels, [12]."""
    impulses = torch.zeros(12, 12, 32, 32)
    impulses[range(12), range(12), 16, 16] = 1
    return model.g_s.lift.inverse(impulses[:, :3], impulses[:, 3:]).flatten(1).norm(dim=1)


def _start_analysis(model: Cleric, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Sets g_a for images x [n, 3, H, W]. Gives what it computes of them, [n, M, H/16, W/16], and what g_s has to give
    at half the resolution: channels less their mean and times their weight [n, 12, H/2, W/2], means and weights [12].
    """
    if not model.config.ls:
        mean = x.mean((0, 2, 3))
        y = _branch(model.g_a.net, x - mean[:, None, None], mean, torch.ones(3))
        means = mean.repeat_interleave(4)
        return y, F.pixel_unshuffle(x, 2) - means[:, None, None], means, torch.ones(12)
    low, high = model.g_a.lift(x)
    subbands = torch.cat([low, high], 1)
    means = torch.cat([low.mean((0, 2, 3)), torch.zeros(9)])
    weights = _subband_norms(model)
    s = (subbands - means[:, None, None]) * weights[:, None, None]
    y = torch.cat([_branch(model.g_a.low, s[:, :3], means[:3], weights[:3]),
                   _branch(model.g_a.high, s[:, 3:], means[3:], weights[3:])], 1)
    return y, s, means, weights


@torch.no_grad()
def start_linear(model: Cleric, images: Images, crops: int = 96, lmbda: float = LAMBDA_MIDDLE) -> None:
    """Sets g_a and g_s of a new model, whose lifting nets and offsets are still zero; `lmbda` as in `latent_size`."""
    x = images.batch(np.random.default_rng(0), crops, 128, marked=0)
    for part in (model.g_a, model.g_s):
        _quieten(part)
    y, s, mean, weights = _start_analysis(model, x)

    net = model.g_s.net
    width, deep = (net[n].skip.weight.shape[1] for n in (5, 3))
    quarter_blocks = F.pixel_unshuffle(s, 2)
    quarter_basis = _components(quarter_blocks, min(width, quarter_blocks.shape[1]))
    quarter = Features.of(_project(quarter_basis, quarter_blocks))
    eighth_blocks = F.pixel_unshuffle(quarter.raw, 2)
    basis = _components(eighth_blocks, min(deep, eighth_blocks.shape[1]))
    eighth = Features.of(_project(basis, eighth_blocks))
    fine = Features.of(s)
    target = F.pixel_unshuffle(eighth.raw, 2).transpose(0, 1).flatten(1).double()
    source = y.transpose(0, 1).flatten(1).double()
    gram = source @ source.t()
    gram += 1e-6 * gram.diagonal().mean() * torch.eye(len(gram))
    decode = torch.linalg.solve(gram, source @ target.t()).t().float()
    _centre(net[1].skip, eighth.factor.repeat_interleave(4)[:, None] * decode)
    _centre(net[3].skip, quarter.factor.repeat_interleave(4)[:, None] * basis.t() / eighth.factor)
    _centre(net[5].skip, fine.factor.repeat_interleave(4)[:, None] * quarter_basis.t() / quarter.factor)
    _centre(net[-1], torch.diag(1 / (fine.factor * weights)))
    net[-1].bias.copy_(mean)

    # One unit of a latent shall move the pixels by 1 / latent_size, whatever the channel.
    used = y.shape[1]
    rest = model.g_s(torch.zeros(1, used, 4, 4))
    unit = torch.zeros(used, used, 4, 4)
    unit[range(used), range(used), 2, 2] = 0.1
    response = torch.cat([(model.g_s(part) - rest).flatten(1).norm(dim=1) for part in unit.split(16)]) / 0.1
    factor = (latent_size(model.config.levels, lmbda) * response).clamp_min(1e-3)
    net[1].skip.weight[:, :used] /= factor[None, :, None, None]
    branches = (model.g_a.low, model.g_a.high) if model.config.ls else (model.g_a.net,)
    for branch, part in zip(branches, factor.chunk(len(branches))):
        branch[-1].weight *= part[:, None, None, None]
    y = y * factor[:, None, None]
    # The nonlinear paths see every channel at one size; their own last convs are still zero.
    size = y.std((0, 2, 3)).clamp_min(0.3)
    for conv in (net[0].conv1, net[1].up):
        conv.weight /= size[None, :, None, None]
    _spread_scales(model, y)


def _spread_scales(model: Cleric, y: torch.Tensor) -> None:
    """Starts the Gaussians of y [n, M, h, w] at each channel's own spread, at the middle rate."""
    gain = model.gains(torch.tensor([max(0, model.config.levels - 1) / 2]))[0][0]
    spread = (y * gain).std((0, 2, 3)).clamp_min(0.2)
    d = model.config.d
    for nets in (model.mem.ep_a, model.mem.ep_n):
        for i, net in enumerate(nets):
            net[-1].bias[:d] = spread[d * i:d * (i + 1)]
