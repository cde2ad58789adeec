"""Modulated deformable convolution (DCNv2), and the plain convolution it starts from."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn
from torchvision.ops import deform_conv2d

from ..loops import fast
from .layers import conv3


class DeformConv(nn.Module):
    """DCNv2 3x3, [B, i, H, W] -> [B, o, H/stride, W/stride].

    The offset conv gives 9 dy, 9 dx and 9 modulation logits, taps row-major. It starts at zero,
    where the layer equals a plain conv3x3 with its weights halved (sigmoid(0) = 1/2). With
    `deform` off that plain conv is computed, so a stage of training without deformation is
    exactly the layer with zero offsets, and carries over as it stands.
    """

    def __init__(self, i: int, o: int, stride: int = 1) -> None:
        super().__init__()
        plain = nn.Conv2d(i, o, 3, stride, 1)
        # Doubled, as the modulation halves: the layer starts with the scale of a fresh conv.
        self.weight = nn.Parameter(plain.weight.detach() * 2)
        self.bias = nn.Parameter(plain.bias.detach().clone())
        self.offset = nn.Conv2d(i, 27, 3, stride, 1)
        nn.init.zeros_(self.offset.weight)
        nn.init.zeros_(self.offset.bias)
        self.stride = stride
        self.deform = True

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.deform:
            return F.conv2d(x, self.weight * 0.5, self.bias, self.stride, 1)
        om = self.offset(x)
        if fast.LIBRARY is not None:
            return self._columns(x, om.float())
        if torch.is_grad_enabled():
            # torchvision 0.14 gives wrong gradients on a CPU, different ones at every call.
            raise RuntimeError("training deformable convolutions needs the C loops of fast.c: install a C compiler")
        # torchvision wants dy and dx of each tap side by side.
        shift = torch.stack([om[:, 0:9], om[:, 9:18]], 2).flatten(1, 2).float()
        return deform_conv2d(x.float(), shift, self.weight, self.bias, stride=self.stride, padding=1,
                             mask=torch.sigmoid(om[:, 18:27].float()))

    def _columns(self, x: torch.Tensor, om: torch.Tensor) -> torch.Tensor:
        b, _, ho, wo = om.shape
        shift = torch.cat([om[:, :18], torch.sigmoid(om[:, 18:])], 1).flatten(2).transpose(1, 2)
        columns = fast.deform_columns(x, shift, self.stride)
        weight = self.weight.permute(0, 2, 3, 1).flatten(1)  # [o, 9 i], as the columns run
        return F.linear(columns, weight.to(columns.dtype), self.bias.to(columns.dtype)).transpose(1, 2).reshape(b, -1, ho, wo)


def deformable(on: bool, i: int, o: int, stride: int = 1) -> nn.Module:
    """A DCNv2, or with the ablation switch `drb` off a plain conv3x3."""
    return DeformConv(i, o, stride) if on else conv3(i, o, stride)
