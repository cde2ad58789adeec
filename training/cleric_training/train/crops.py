"""Crops of training images drawn where the network runs: nothing of a step waits for the host.

All images lie on the device as bytes. A crop is a function of random numbers of the device, without a branch, so that it
may be part of a recorded CUDA graph. What it draws is what `Images.batch` draws: the same planes with the same chances, the
same turns, the same marks.
"""
from __future__ import annotations

import copy
import math

import numpy as np
import torch

from .data import MARKED, REDUCTIONS, SHARES, Images, Plane

PLACE = 6  # random numbers that say which crop, and how it is turned
MARK = 15  # that say what a mark is, of each of two
NUMBERS = PLACE + 2 * MARK
CELLS = (4, 8, 16, 32)  # sides of a mark's cells in pixels


class DeviceCrops:
    """The planes of `images` on a device, and batches of them."""

    def __init__(self, images: Images, device: torch.device) -> None:
        planes = [(plane, share * chance) for group, share, chances in zip(images.train, SHARES, images.chances)
                  for plane, chance in zip(group, chances)]
        # Reductions that no image is large enough for leave their share to the full size, as `Images.batch` does.
        missing = sum(share for group, share in zip(images.train, SHARES) if not group)
        full = SHARES[0] + missing
        weights = np.array([weight * full / SHARES[0] if plane.reduction == REDUCTIONS[0] else weight for plane, weight in planes])
        self.device = device
        self.bytes = torch.from_numpy(np.array(images.bytes)).to(device)
        self._list([plane for plane, _ in planes], weights)

    def _list(self, planes: list[Plane], weights: np.ndarray) -> None:
        self.planes, self.weights = planes, weights
        self.least = min(min(plane.height, plane.width) for plane in planes)
        self.table = torch.tensor([[plane.offset, plane.height, plane.width] for plane in planes], device=self.device)
        self.until = torch.from_numpy(np.cumsum(weights / weights.sum())).float().to(self.device)

    def holding(self, crop: int) -> DeviceCrops:
        """The same pixels without the planes that are too small for such crops."""
        kept = [n for n, plane in enumerate(self.planes) if min(plane.height, plane.width) >= crop]
        if not kept:
            raise ValueError(f"Expected at most {max(min(plane.height, plane.width) for plane in self.planes)} for crop but received {crop}")
        some = copy.copy(self)
        some._list([self.planes[n] for n in kept], self.weights[kept])
        return some

    def batch(self, count: int, crop: int, marked: float = MARKED) -> torch.Tensor:
        """`count` random crops: [count, 3, crop, crop] float32 in [0, 1], channels last in memory."""
        if not 0 < crop <= self.least or crop % max(CELLS):
            raise ValueError(f"Expected a multiple of {max(CELLS)} of at most {self.least} for crop but received {crop}")
        cells = torch.rand(2, count, crop // CELLS[0], crop // CELLS[0], device=self.device)
        return self.crops(torch.rand(count, NUMBERS, device=self.device), cells, crop, marked)

    def crops(self, numbers: torch.Tensor, cells: torch.Tensor, crop: int, marked: float) -> torch.Tensor:
        """The crops that these numbers in [0, 1) stand for: numbers [B, NUMBERS], cells [2, B, crop / 4, crop / 4]."""
        pixels = self._pixels(numbers, crop)
        chosen = numbers[:, 5] < marked
        for n in range(2):
            of_mark = numbers[:, PLACE + n * MARK:PLACE + (n + 1) * MARK]
            where, colour = _mark(of_mark, cells[n], crop)
            # A second mark is as likely as not.
            drawn = chosen if n == 0 else chosen & (of_mark[:, 14] < 0.5)
            pixels = torch.where((where & drawn[:, None, None])[..., None], colour[:, None, None], pixels)
        return pixels.permute(0, 3, 1, 2) / 255

    def _pixels(self, numbers: torch.Tensor, crop: int) -> torch.Tensor:
        """[B, crop, crop, 3] float32, 0 to 255."""
        plane = torch.searchsorted(self.until, numbers[:, 0].contiguous(), right=True).clamp_max(len(self.until) - 1)
        offset, height, width = self.table[plane].unbind(1)
        top = (numbers[:, 1] * (height - crop + 1)).long().minimum(height - crop)
        left = (numbers[:, 2] * (width - crop + 1)).long().minimum(width - crop)
        turn = (numbers[:, 3] * 4).long()
        along = torch.arange(crop, device=self.device)
        i, j = along[None, :, None], along[None, None, :]
        # The eight symmetries of a square: swap the axes or not, run along each forwards or backwards.
        swap, back_i, back_j = (flag[:, None, None] for flag in (numbers[:, 4] < 0.5, turn % 2 == 1, turn // 2 == 1))
        row, column = torch.where(swap, j, i), torch.where(swap, i, j)
        row = torch.where(back_i, crop - 1 - row, row)
        column = torch.where(back_j, crop - 1 - column, column)
        at = offset[:, None, None] + 3 * ((top[:, None, None] + row) * width[:, None, None] + left[:, None, None] + column)
        return self.bytes[at[..., None] + torch.arange(3, device=self.device)].float()


def _mark(u: torch.Tensor, cells: torch.Tensor, crop: int) -> tuple[torch.Tensor, torch.Tensor]:
    """What `data.mark` paints, from numbers [B, MARK] and cells [B, n, n]: where, bool [B, crop, crop]; colours [B, 3]."""
    at = torch.arange(crop, device=u.device)
    y, x = (at / crop)[None, :, None], (at / crop)[None, None, :]

    def each(n: int) -> torch.Tensor:
        return u[:, n, None, None]

    vivid, any_colour = (u[:, 0:3] * 2).floor() * 255, (u[:, 0:3] * 256).floor()
    colour = torch.where(u[:, 3:4] < 0.6, vivid, any_colour)
    angle, edge = each(5) * (2 * math.pi), each(6) * 0.8 - 0.4
    half = (x - 0.5) * torch.cos(angle) + (y - 0.5) * torch.sin(angle) > edge
    top, left = each(7) * 0.8, each(8) * 0.8
    height, width = 0.05 + 0.75 * each(9), 0.05 + 0.75 * each(10)
    box = (y >= top) & (y < top + height) & (x >= left) & (x < left + width)
    size = CELLS[0] * 2 ** (u[:, 11] * len(CELLS)).long()
    row, column = (at[None] // size[:, None])[:, :, None], (at[None] // size[:, None])[:, None, :]
    sample = torch.arange(len(u), device=u.device)[:, None, None]
    chequered = cells[sample, row, column] < 0.5
    kind = each(4)
    where = torch.where(kind < 0.3, torch.ones_like(half), torch.where(kind < 0.6, half, torch.where(kind < 0.8, box, chequered)))
    return where, colour
