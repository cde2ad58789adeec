"""Modulated deformable convolution (DCNv2), and the plain convolution it starts from."""
from __future__ import annotations

from typing import Callable, Optional

import torch
import torch.nn.functional as F
from torch import nn
from torchvision.ops import deform_conv2d

from ..loops import fast, gpu
from .layers import AlignedConv, conv3

SAMPLERS = ("loops", "torchvision", "grid", "triton")


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
        self.offset = AlignedConv(i, 27, 3, stride, 1)
        nn.init.zeros_(self.offset.weight)
        nn.init.zeros_(self.offset.bias)
        self.stride = stride
        self.deform = True
        self.sampler: Optional[str] = None  # of `SAMPLERS`; None is the device's own, see `default_sampler`

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.deform:
            return F.conv2d(x, self.weight * 0.5, self.bias, self.stride, 1)
        om = self.offset(x).float()
        sampler = self.sampler or default_sampler(x.device)
        if sampler == "torchvision":
            # It wants dy and dx of each tap side by side.
            shift = torch.stack([om[:, 0:9], om[:, 9:18]], 2).flatten(1, 2)
            return deform_conv2d(x.float(), shift, self.weight, self.bias, stride=self.stride, padding=1,
                                 mask=torch.sigmoid(om[:, 18:27]))
        if sampler == "grid":
            b, _, ho, wo = om.shape
            out = F.conv1d(grid_columns(x, om, self.stride), self.weight.flatten(1)[..., None], self.bias)
            return out.reshape(b, -1, ho, wo)
        return self._loops(x, om, gpu.deform_columns if sampler == "triton" else _columns_in_c)

    def _loops(self, x: torch.Tensor, om: torch.Tensor, sample: Callable[..., torch.Tensor]) -> torch.Tensor:
        b, _, ho, wo = om.shape
        shift = torch.cat([om[:, :18], torch.sigmoid(om[:, 18:])], 1).flatten(2).transpose(1, 2)
        columns = sample(x, shift, self.stride)
        weight = self.weight.permute(0, 2, 3, 1).flatten(1)  # [o, 9 i], as the columns run
        return F.linear(columns, weight.to(columns.dtype), self.bias.to(columns.dtype)).transpose(1, 2).reshape(b, -1, ho, wo)


def _columns_in_c(x: torch.Tensor, shift: torch.Tensor, stride: int) -> torch.Tensor:
    return fast.deform_columns(x.float() if x.dtype == torch.float16 else x, shift, stride)  # C has no float16


def default_sampler(device: torch.device) -> str:
    """Of `SAMPLERS`: on a processor the C loops, or where there is no compiler "grid", as torchvision 0.14 gives wrong
    gradients there, different ones at every call."""
    if device.type != "cpu":
        return "torchvision"
    return "grid" if fast.LIBRARY is None else "loops"


def grid_columns(x: torch.Tensor, om: torch.Tensor, stride: int) -> torch.Tensor:
    """The modulated samples that a 3x3 DCNv2 multiplies with its weights, by PyTorch's own bilinear sampling.

    x [B, C, H, W]; om [B, 27, ho, wo] float32: 9 dy, 9 dx, 9 logits. Gives [B, 9 C, ho * wo] float32, a channel's taps side by side.
    """
    b, c, h, w = x.shape
    ho, wo = om.shape[2:]
    tap = torch.arange(9, device=x.device)
    rows, columns = (torch.arange(n, device=x.device) * stride for n in (ho, wo))
    y = om[:, 0:9] + (tap // 3 - 1)[:, None, None] + rows[:, None]
    z = om[:, 9:18] + (tap % 3 - 1)[:, None, None] + columns
    # grid_sample counts from -1 to 1 between the outer edges of the first and the last pixel.
    grid = torch.stack([(2 * z + 1) / w - 1, (2 * y + 1) / h - 1], -1).reshape(b, 9 * ho, wo, 2)
    samples = F.grid_sample(x.float(), grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    samples = samples.reshape(b, c, 9, ho * wo) * torch.sigmoid(om[:, 18:27]).reshape(b, 1, 9, ho * wo)
    return samples.reshape(b, 9 * c, ho * wo)


def deformable(on: bool, i: int, o: int, stride: int = 1) -> nn.Module:
    """A DCNv2, or with the ablation switch `drb` off a plain conv3x3."""
    return DeformConv(i, o, stride) if on else conv3(i, o, stride)
