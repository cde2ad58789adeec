"""A start from which the transforms learn at once instead of resting at the mean colour."""
from __future__ import annotations

import torch
from torch import nn

from ..network.model import Cleric

CONV_GAIN = 1.6  # over PyTorch's default, whose signal fades by a factor 0.58 a layer
MEAN_COLOUR = (0.72, 0.53, 0.69)  # of H&E in [0, 1]


@torch.no_grad()
def initialise(model: Cleric) -> None:
    """Scales the convs of the transforms, centres the first layers and sets the output's bias."""
    for part in (model.g_a, model.g_s, model.h_a, model.h_s):
        for name, module in part.named_modules():
            if isinstance(module, nn.Conv2d) and "nets" not in name and not name.endswith("offset"):
                module.weight.mul_(CONV_GAIN)
            elif type(module).__name__ == "DeformConv":
                module.weight.mul_(CONV_GAIN)
    if not model.config.ls:
        return
    model.g_s.net[-1].weight.mul_(0.3)  # the start is close to the mean colour
    flat = torch.tensor(MEAN_COLOUR)[None, :, None, None].expand(1, 3, 64, 64)
    low = model.g_s.lift(flat)[0].mean((0, 2, 3))
    model.g_s.net[-1].bias[:3] = low
    mean = torch.cat([low, torch.tensor(MEAN_COLOUR)])
    for conv in (model.g_a.low[0].conv1, model.g_a.low[0].skip):
        conv.bias.sub_(conv.weight.sum((2, 3)) @ mean)
    half = torch.cat([torch.zeros(9), torch.tensor(MEAN_COLOUR)])
    for conv in (model.g_a.high[0].conv1, model.g_a.high[0].skip):
        conv.bias.sub_(conv.weight.sum((2, 3)) @ half)
