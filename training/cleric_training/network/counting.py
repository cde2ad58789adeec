"""Parameters and multiply-adds, as the paper's Table 3 counts them."""
from __future__ import annotations

from typing import Any

import torch
from torch import nn

from .attention import LocalContext
from .gdn import GDN
from .lifting import LiftNet
from .model import Cleric

SIDE = 64  # every count is proportional to the area at multiples of this


def parameters(model: nn.Module) -> int:
    """Number of trainable values."""
    return sum(p.numel() for p in model.parameters())


def _local(net: LocalContext, positions: int) -> int:
    """qkv, the 5x5 fusion, the projection and the MLP, at every position as the paper's code does."""
    d, taps = net.d, net.win**2
    return positions * (3 * d * d + 2 * d * d * taps + 4 * d * d + 16 * d * d)


@torch.no_grad()
def multiply_adds(model: Cleric, side: int = 256) -> int:
    """Multiply-adds of conv and linear layers for one side x side image, encoder and decoder once.

    Attention products and the main product of deformable convs are left out, and the two-tap
    filter of a lifting step counts as a conv3x3, as in the paper. Measured by hooks on a small image.
    """
    total = 0
    local = {id(m) for net in model.modules() if isinstance(net, LocalContext) for m in net.modules()}

    def add(module: nn.Module, inputs: tuple[Any, ...], out: torch.Tensor) -> None:
        nonlocal total
        if isinstance(module, LocalContext):
            total += _local(module, inputs[0].shape[0] * inputs[0].shape[2] * inputs[0].shape[3])
        elif id(module) in local:
            return
        elif isinstance(module, (nn.Conv2d, nn.Linear)):
            total += out.numel() * module.weight[0].numel()
        elif isinstance(module, GDN):
            total += out.numel() * module.gamma.shape[1]
        elif isinstance(module, LiftNet):
            total += inputs[0].numel() * 9

    hooks = [m.register_forward_hook(add) for m in model.modules()]
    q = torch.zeros(1) if model.config.levels else None
    model(torch.rand(1, 3, SIDE, SIDE), q, noisy=False)
    for hook in hooks:
        hook.remove()
    return total * side * side // (SIDE * SIDE)
