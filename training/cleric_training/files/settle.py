"""The last weights of a run as float32 finds them best: training in bf16 bends the biases to its own roundings.

Once the learning rate is near zero the roundings of the weights to bf16 stay the same from step to step, and the biases
learn to make up for them. With unrounded weights the mean colour is then off, by more than a level.
"""
from __future__ import annotations

import torch
from torch import nn

from ..network.dcn import DeformConv
from ..network.layers import PreciseConv
from ..network.lifting import Lifting
from ..network.model import Cleric

ROUNDS = 3  # of the correction, which is linear but for the lifting nets


def _in_bf16(model: Cleric) -> list[nn.Parameter]:
    """What autocast rounds in g_a and g_s: of all convs but the last ones and those of the lifting nets."""
    found: list[nn.Parameter] = []
    for transform in (model.g_a, model.g_s):
        lifting = {id(m) for part in transform.modules() if isinstance(part, Lifting) for m in part.modules()}
        for m in transform.modules():
            if isinstance(m, (nn.Conv2d, DeformConv)) and id(m) not in lifting and not isinstance(m, PreciseConv):
                found += list(m.parameters(recurse=False))
    return found


@torch.no_grad()
def round_to_bf16(model: Cleric) -> None:
    """Rounds the weights of g_a and g_s that training in bf16 computes rounded."""
    for p in _in_bf16(model):
        p.copy_(p.to(torch.bfloat16).float())


@torch.no_grad()
def mean_error(model: Cleric, images: torch.Tensor) -> torch.Tensor:
    """Mean of x_hat - x by colour, [3], of images [n, 3, H, W] over all rates, truly rounded."""
    last = max(0, model.config.levels - 1)
    errors = [model(x, torch.full((1,), last * n / max(1, len(images) - 1)), noisy=False).x_hat - x
              for n, x in enumerate(images.split(1))]
    return torch.cat(errors).mean((0, 2, 3))


@torch.no_grad()
def centre(model: Cleric, images: torch.Tensor) -> None:
    """Corrects the last biases of g_s such that `mean_error` on `images` vanishes."""
    bias = model.g_s.net[-1].bias
    colours = bias[:3] if model.g_s.ls else bias.view(3, 4)  # the low band, or four sub-pixels of each colour
    for _ in range(ROUNDS):
        error = mean_error(model, images)
        colours.sub_(error / _gain(model) if model.g_s.ls else error[:, None])


def _gain(model: Cleric) -> torch.Tensor:
    """By how much a constant in the low band moves the pixels, by colour: [3]; of mid grey, as the nets aren't linear."""
    def pixels(low: float) -> torch.Tensor:
        band = torch.full((1, 3, 32, 32), low)
        return model.g_s.lift.inverse(band, torch.zeros(1, 9, 32, 32))[:, :, 16:48, 16:48].mean((0, 2, 3))

    return (pixels(1.01) - pixels(0.99)) / 0.02
