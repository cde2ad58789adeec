"""Weights of the transforms on a grid: multiples of a power of two, one for each output channel, so that they pack.

The larger a conv, the coarser its grid: under the same noise in proportion to its weights, each costs the image about the
same, and large ones have the bits to save. Behind GELU's offset activations are far from zero mean, so even small errors of
the weights would move what a conv gives; each bias takes that up, as it is found on images.
"""
from __future__ import annotations

import copy
import math
from typing import Callable, Mapping

import numpy as np
import torch
from torch import nn

from ..network.dcn import DeformConv
from ..network.model import Cleric
from .packing import LEAST_EXPONENT

# log2 of typical size over step, of a conv with as many weights as the next line says. That of g_a is finer: the few latents
# that carry the mean colour have hundreds of times the energy of others, and a small share of it is much for the encoder.
FINENESS = {"g_a": 9.0, "h_a": 8.0, "g_s": 8.0}
USUAL = 1 << 16
LEAST = 1 << 12  # weights of a conv that is worth packing
CROPS = 6  # of 256 x 256 are enough to fit the biases to


def step_of(rows: np.ndarray, fineness: float) -> np.ndarray:
    """Of each row of weights [outputs, any], a power of two that float16 has."""
    size = np.sqrt((rows.astype(np.float64) ** 2).mean(1))
    bits = fineness - 0.5 * math.log2(rows.size / USUAL)
    return np.exp2(np.maximum(np.round(np.log2(np.maximum(size, 1e-12)) - bits), LEAST_EXPONENT))


def with_their_sum(whole: np.ndarray, real: np.ndarray) -> np.ndarray:
    """Integers [n, k] near real ones whose sums over k are the nearest to the real sums: the least sure are rounded the other way."""
    error = whole - real
    surplus = np.round(error.sum(1))[:, None]
    rank = np.argsort(np.argsort(-error * np.sign(surplus), axis=1, kind="stable"), axis=1)
    return whole - np.sign(surplus) * (rank < np.abs(surplus))


def rounded_to_grid(weight: np.ndarray, fineness: float) -> np.ndarray:
    """Weights [outputs, ...], float32, as float16 on the grid, near to what they are.

    The sum of each kernel is kept to half a step: what an input has in common over a kernel is by far its largest part.
    """
    rows = weight.reshape(len(weight), -1)
    step = step_of(rows, fineness)[:, None]
    real = rows / step
    whole = np.round(real)
    if weight.ndim == 4 and weight[0, 0].size > 1:
        kernels = (-1, weight[0, 0].size)
        whole = with_their_sum(whole.reshape(kernels), real.reshape(kernels)).reshape(rows.shape)
    # Adding zero makes -0, which no integer is, 0.
    return (whole * step + 0.0).astype(np.float16).astype(np.float32).reshape(weight.shape)


def gridded(model: Cleric) -> dict[str, nn.Module]:
    """The convs whose weights go onto a grid, by name."""
    return {name: m for name, m in model.named_modules()
            if name[:3] in FINENESS and isinstance(m, (nn.Conv2d, DeformConv))
            and m.weight.numel() >= LEAST}


@torch.no_grad()
def on_grid(model: Cleric, images: torch.Tensor, fineness: Mapping[str, float] = FINENESS) -> Cleric:
    """A copy of a model whose convs are on the grid, their biases such that each gives the same mean on images.

    `images` [n, 3, H, W], sides multiples of 64, are taken at rates from the lowest to the highest.
    """
    result = copy.deepcopy(model)
    means: dict[str, torch.Tensor] = {}

    def record(name: str, conv: nn.Module, out: torch.Tensor) -> torch.Tensor:
        means.setdefault(name, out.double().mean((0, 2, 3)))
        return out

    y_hat = _observe(model, images, record)
    for name, conv in gridded(result).items():
        conv.weight.copy_(torch.from_numpy(rounded_to_grid(conv.weight.numpy(), fineness[name[:3]])))

    def correct(name: str, conv: nn.Module, out: torch.Tensor) -> torch.Tensor:
        # A recurrent block runs its convs more than once; the first time decides.
        if name in means:
            error = (means.pop(name) - out.double().mean((0, 2, 3))).float()
            conv.bias.add_(error)
            out = out + error[:, None, None]
        return out

    _observe(result, images, correct, y_hat)
    return result


def _observe(model: Cleric, images: torch.Tensor, see: Callable[[str, nn.Module, torch.Tensor], torch.Tensor],
             y_hat: torch.Tensor | None = None) -> torch.Tensor:
    """Runs the transforms, g_s on the rounded latents of another model where given; `see` is told what each conv gives.

    What `see` returns replaces it. Gives the rounded latents.
    """
    hooks = [conv.register_forward_hook(lambda m, _, out, name=name: see(name, m, out)) for name, conv in gridded(model).items()]
    try:
        gain, inverse = model.gains(torch.linspace(0, max(0, model.config.levels - 1), len(images)))
        y = model.g_a(images) * gain
        model.h_a(y)
        y_hat = torch.round(y) if y_hat is None else y_hat
        model.g_s(y_hat * inverse)
        return y_hat
    finally:
        for hook in hooks:
            hook.remove()
