"""The attention contexts of MEM++: a local window, and two linear global attentions."""
from __future__ import annotations

from typing import Optional

import torch
import torch.nn.functional as F
from torch import nn

from ..loops.fast import GELU
from .layers import Depthwise


def anchor_mask(h: int, w: int, device: Optional[torch.device] = None) -> torch.Tensor:
    """Bool [h, w], true at anchors: (row + column) odd."""
    return (torch.arange(h, device=device)[:, None] + torch.arange(w, device=device)[None]) % 2 == 1


def _windows(x: torch.Tensor, win: int) -> torch.Tensor:
    """Windows round the non-anchors of [B, C, h, w], zero outside -> [B, C, win*win, 2, h/2, w/2].

    Non-anchors are (even, even) and (odd, odd): two unfolds of stride 2. h and w are even.
    """
    b, c, h, w = x.shape
    r = win // 2
    unfold = unfold_views if x.is_cuda else F.unfold
    parts = [unfold(F.pad(x, (r - o, r + o - 1, r - o, r + o - 1)), win, stride=2) for o in (0, 1)]
    return torch.stack(parts, 2).reshape(b, c, win * win, 2, h // 2, w // 2)


def unfold_views(x: torch.Tensor, win: int, stride: int) -> torch.Tensor:
    """`F.unfold` of square windows without padding, by views: on a GPU that one launches a kernel for each sample."""
    windows = x.unfold(2, win, stride).unfold(3, win, stride)  # [B, C, rows, columns, win, win]
    return windows.permute(0, 1, 4, 5, 2, 3).reshape(len(x), -1, windows.shape[2] * windows.shape[3])


def spread(x: torch.Tensor) -> torch.Tensor:
    """Values at non-anchors [B, C, 2, h/2, w/2] -> map [B, C, h, w] with zeros at anchors."""
    zero = torch.zeros_like(x[:, :, 0])
    even = torch.stack([x[:, :, 0], zero], -1).flatten(-2)
    odd = torch.stack([zero, x[:, :, 1]], -1).flatten(-2)
    return torch.stack([even, odd], -2).flatten(2, 3)


class LocalContext(nn.Module):
    """Attention inside the 5x5 window round each non-anchor, over the decoded anchors.

    [B, d, h, w], zero at non-anchors -> [B, 2d, h, w], computed at non-anchors and zero elsewhere.
    Channels are head-major in q, k, v and in the output.
    """

    def __init__(self, d: int, win: int = 5, heads: int = 2) -> None:
        super().__init__()
        self.d, self.win, self.heads = d, win, heads
        self.norm1 = nn.LayerNorm(d)
        self.qkv = nn.Linear(d, 3 * d)
        self.bias = nn.Parameter(torch.randn((2 * win - 1) ** 2, heads) * 0.02)
        self.fusion = nn.Conv2d(d, 2 * d, win)
        self.proj = nn.Linear(2 * d, 2 * d)
        self.norm2 = nn.LayerNorm(2 * d)
        self.mlp = nn.Sequential(nn.Linear(2 * d, 4 * d), GELU(), nn.Linear(4 * d, 2 * d))
        at = torch.stack(torch.meshgrid(torch.arange(win), torch.arange(win), indexing="ij")).flatten(1)
        rel = at[:, :, None] - at[:, None, :] + win - 1
        self.register_buffer("rel", (rel[0] * (2 * win - 1) + rel[1]).flatten(), persistent=False)
        # The window's centre is a non-anchor, so anchors sit at odd tap sums; outside the image
        # there are only zeros, and those count as non-anchors.
        self.register_buffer("taps", (at.sum(0) % 2 == 1).float(), persistent=False)

    def _pairs(self, h: int, w: int, dtype: torch.dtype) -> torch.Tensor:
        """0 for (anchor, anchor) pairs, -100 for the rest: [P, 1, k, k]."""
        k = self.win**2
        inside = _windows(torch.ones(1, 1, h, w, device=self.taps.device), self.win).reshape(k, -1).t()
        m = inside * self.taps
        return ((m[:, :, None] * m[:, None, :] - 1) * 100.0)[:, None].to(dtype)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        b, d, h, w = x.shape
        k, hd, places = self.win**2, d // self.heads, h * w // 2
        qkv = self.qkv(self.norm1(x.float().permute(0, 2, 3, 1))).permute(0, 3, 1, 2)
        win = _windows(qkv, self.win).reshape(b, 3, self.heads, hd, k, places)
        q, key, v = win.permute(1, 0, 5, 2, 4, 3).reshape(3, b * places * self.heads, k, hd)
        logits = torch.bmm(q * hd**-0.5, key.transpose(1, 2)).view(b, places, self.heads, k, k)
        bias = self.bias[self.rel].view(k, k, self.heads).permute(2, 0, 1)
        weights = torch.softmax(logits + bias + self._pairs(h, w, logits.dtype), -1)
        out = torch.bmm(weights.view(-1, k, k).to(v.dtype), v).view(b, places, self.heads, k, hd)
        # The 5x5 fusion conv sees one window at a time: a linear map of k * d values.
        out = out.permute(0, 1, 2, 4, 3).reshape(b, places, d * k)
        out = self.proj(F.linear(out, self.fusion.weight.flatten(1), self.fusion.bias))
        out = out + self.mlp(self.norm2(out.float()))
        return spread(out.transpose(1, 2).reshape(b, 2 * d, 2, h // 2, w // 2))


class DwQKV(nn.Module):
    """q, k, v each by conv1x1, then depthwise conv3x3."""

    def __init__(self, d: int) -> None:
        super().__init__()

        def pair() -> nn.Sequential:
            return nn.Sequential(nn.Conv2d(d, d, 1), Depthwise(d))

        self.q, self.k, self.v = pair(), pair(), pair()


def linear_attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, heads: int) -> torch.Tensor:
    """(softmax_positions(k) v^T)^T softmax_channels(q); q [B, C, Lq], k and v [B, C, L] -> [B, C, Lq]."""
    b, c, n = q.shape
    hd = c // heads
    q = q.reshape(b * heads, hd, n).softmax(1)
    k = k.reshape(b * heads, hd, -1).softmax(2)
    v = v.reshape(b * heads, hd, -1)
    return torch.bmm(torch.bmm(v, k.transpose(1, 2).to(v.dtype)), q.to(v.dtype)).reshape(b, c, n)


def _mlp(i: int, hidden: int, o: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(i, hidden, 1), GELU(), Depthwise(hidden),
                         GELU(), nn.Conv2d(hidden, o, 1))


def _anchors(x: torch.Tensor) -> torch.Tensor:
    """[B, C, h, w] -> its anchors [B, C, h*w/2]; the order is row-major within the two phases."""
    return torch.stack([x[..., 0::2, 1::2], x[..., 1::2, 0::2]], 2).flatten(2)


class GlobalIntra(nn.Module):
    """What the previous slice's halves tell about this slice's: [B, d, h, w] twice -> [B, 2d, h, w]."""

    def __init__(self, d: int, heads: int = 2) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = DwQKV(d)
        self.reproj = nn.Conv2d(d, 2 * d, 5, 1, 2)
        self.mlp = _mlp(2 * d, 4 * d, 2 * d)

    def forward(self, prev: torch.Tensor, anchor: torch.Tensor) -> torch.Tensor:
        b, c, h, w = prev.shape
        mask = anchor_mask(h, w, prev.device)
        query = self.qkv.q(prev * ~mask)
        q = torch.stack([query[..., 0::2, 0::2], query[..., 1::2, 1::2]], 2).flatten(2)
        k, v = _anchors(self.qkv.k(prev * mask)), _anchors(self.qkv.v(anchor))
        out = spread(linear_attention(q, k, v, self.heads).reshape(b, c, 2, h // 2, w // 2))
        out = self.reproj(out)
        return out + self.mlp(out)


class GlobalInter(nn.Module):
    """Global context of all earlier slices: [B, d*i, h, w] -> [B, out, h, w]."""

    def __init__(self, d: int, out: int, heads: int) -> None:
        super().__init__()
        e = out * 3 // 2
        self.heads = heads
        self.qkv = DwQKV(d)
        self.reproj = nn.Conv2d(d, e, 5, 1, 2)
        self.mlp = _mlp(e, 2 * out, out)
        self.skip = nn.Conv2d(e, out, 1)

    def forward(self, prev: torch.Tensor) -> torch.Tensor:
        q, k, v = (net(prev).flatten(2) for net in (self.qkv.q, self.qkv.k, self.qkv.v))
        out = self.reproj(linear_attention(q, k, v, self.heads).reshape(prev.shape))
        return self.skip(out) + self.mlp(out)
