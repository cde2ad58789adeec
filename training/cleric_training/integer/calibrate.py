"""The entropy model in floating point, layer by layer, with samples of every layer's values.

What quantise.py needs to know of a model: how large the values of each tensor get on real images, at every rate.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Optional, Sequence

import numpy as np
import torch
import torch.nn.functional as F

from ..network.model import Cleric
from ..network.prior import dead_zone_round
from . import arithmetic
from .entropy_graph import walk
from .exponents import query_scale

SAMPLES = 128  # positions kept of an image


@dataclass
class Latents:
    """Latents of calibration images: y [B, M, h, w] after the gain, z [B, Z, h/4, w/4], float32."""

    y: np.ndarray
    z: np.ndarray


@torch.no_grad()
def latents_of(model: Cleric, images: torch.Tensor, q: torch.Tensor) -> Latents:
    """Latents of images [B, 3, H, W] (sides multiples of 64), image n at rate q[n]."""
    y, z = [], []
    for n in range(len(images)):
        one = model.g_a(images[n:n + 1]) * model.gains(q[n:n + 1])[0]
        y.append(one)
        z.append(model.h_a(one))
    return Latents(torch.cat(y).numpy(), torch.cat(z).numpy())


def _windows(x: torch.Tensor) -> torch.Tensor:
    """5x5 windows round every position, zero outside: [B, C, h, w] -> [B, C, 25, h * w]."""
    b, c, h, w = x.shape
    return F.unfold(x, arithmetic.WINDOW, padding=arithmetic.WINDOW // 2).reshape(b, c, arithmetic.WINDOW**2, h * w)


class FloatOps:
    """Ops of `walk` on float32 tensors [B, C, H, W], with the weights of a model.

    `see(name, value)` is told each layer's result before its activation (NAME), after it (NAME.out), and with
    its residual (NAME.sum), where it matters.
    """

    def __init__(self, model: Cleric, see: Optional[Callable[[str, torch.Tensor], None]] = None) -> None:
        self.weights = {k: v.detach().float() for k, v in model.state_dict().items()}
        self._see = see
        self.notes: dict[str, torch.Tensor] = {}

    def see(self, name: str, value: torch.Tensor, matters: Optional[str] = None) -> None:
        if self._see is not None:
            at = torch.from_numpy(arithmetic.half(matters, *value.shape[2:]))
            self._see(name, value[..., at])

    def note(self, name: str, x: torch.Tensor) -> None:
        self.notes[name] = x

    def weight(self, name: str) -> torch.Tensor:
        """Weight of a conv or a linear layer, [O, I, k, k]."""
        w = self.weights[f"{name}.weight"]
        return w[:, :, None, None] if w.dim() == 2 else w

    def conv(self, name: str, inputs: Sequence[torch.Tensor], *, activation: Optional[str] = None, stride: int = 1,
             padding: Optional[int] = None, shuffle: int = 1, wide: bool = False,
             residual: Optional[torch.Tensor] = None, keep: Optional[str] = None,
             matters: Optional[str] = None) -> torch.Tensor:
        x = self.products(name, inputs, stride, padding)
        return self.finish(name, x, activation, shuffle, residual, keep, matters)

    def products(self, name: str, inputs: Sequence[torch.Tensor], stride: int = 1,
                 padding: Optional[int] = None) -> torch.Tensor:
        """A convolution, its bias included, before all else."""
        weight = self.weight(name)
        pad = weight.shape[2] // 2 if padding is None else padding
        return F.conv2d(torch.cat(list(inputs), 1), weight, self.weights[f"{name}.bias"], stride, pad)

    def finish(self, name: str, x: torch.Tensor, activation: Optional[str] = None, shuffle: int = 1,
               residual: Optional[torch.Tensor] = None, keep: Optional[str] = None,
               matters: Optional[str] = None) -> torch.Tensor:
        """What follows on `products`."""
        self.see(name, x, matters)
        if activation is not None:
            x = F.gelu(x) if activation == "gelu" else 0.5 * torch.tanh(x)
            self.see(f"{name}.out", x, matters)
        x = F.pixel_shuffle(x * torch.from_numpy(arithmetic.half(keep, *x.shape[2:])), shuffle)
        if residual is not None:
            x = residual + x
            self.see(f"{name}.sum", x, matters)
        return x

    def depthwise(self, name: str, x: torch.Tensor, activation: Optional[str] = None) -> torch.Tensor:
        return self.finish(name, self.filtered(name, x), activation)

    def filtered(self, name: str, x: torch.Tensor) -> torch.Tensor:
        """A depthwise convolution before its activation."""
        return F.conv2d(x, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"], padding=1, groups=x.shape[1])

    def requantise(self, name: str, x: torch.Tensor) -> torch.Tensor:
        self.see(name, x)
        return x

    def layer_norm(self, name: str, x: torch.Tensor, matters: Optional[str] = None) -> torch.Tensor:
        y = F.layer_norm(x.permute(0, 2, 3, 1), (x.shape[1],), self.weights[f"{name}.weight"], self.weights[f"{name}.bias"])
        y = y.permute(0, 3, 1, 2)
        self.see(name, y, matters)
        return y

    def window_attention(self, name: str, qkv: torch.Tensor, heads: int) -> torch.Tensor:
        b, channels, h, w = qkv.shape
        d, k = channels // 3, arithmetic.WINDOW**2
        hd = d // heads
        is_anchor = torch.from_numpy(arithmetic.anchors(h, w))
        at = torch.nonzero(~is_anchor.flatten())[:, 0]
        seen = _windows(is_anchor[None, None].float())[0, 0][:, at].t()
        far = (1 - seen[:, :, None] * seen[:, None, :]) * -100
        q, key, v = _windows(qkv)[..., at].reshape(b, 3, heads, hd, k, len(at)).permute(1, 0, 5, 2, 4, 3)
        relative = torch.from_numpy(arithmetic.relative_positions())
        bias = self.weights[f"{name.removesuffix('.attention')}.bias"][relative].permute(2, 0, 1)
        p = torch.softmax(q @ key.transpose(-1, -2) * hd**-0.5 + bias + far[:, None], -1)
        out = torch.zeros(b, d, k, h * w)
        out[..., at] = (p @ v).permute(0, 2, 4, 3, 1).reshape(b, d, k, len(at))
        blocks = out.reshape(b, d, arithmetic.WINDOW, arithmetic.WINDOW, h, w)
        return blocks.permute(0, 1, 4, 2, 5, 3).reshape(b, d, h * arithmetic.WINDOW, w * arithmetic.WINDOW)

    def linear_attention(self, name: str, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, heads: int,
                         split: bool) -> torch.Tensor:
        b, c, h, w = query.shape
        counted = torch.from_numpy(arithmetic.half("anchor" if split else None, h, w)).flatten()
        asking = torch.from_numpy(arithmetic.half("nonAnchor" if split else None, h, w)).flatten()
        parts = (b, heads, c // heads, -1)
        k, v = (t.flatten(2)[:, :, counted].reshape(parts) for t in (key, value))
        q = query.flatten(2)[:, :, asking].reshape(parts)
        context = k.softmax(3) @ v.transpose(2, 3)
        out = torch.zeros(b, c, h * w)
        out[:, :, asking] = (context.transpose(2, 3) @ q.softmax(2)).reshape(b, c, -1)
        out = out.reshape(query.shape)
        self.see(name, out, "nonAnchor" if split else None)
        return out

    def mask(self, x: torch.Tensor, keep: str) -> torch.Tensor:
        return x * torch.from_numpy(arithmetic.half(keep, *x.shape[2:]))

    def slice(self, x: torch.Tensor, first: int, count: int) -> torch.Tensor:
        return x[:, first:first + count]

    def dequantise(self, symbols: torch.Tensor, params: torch.Tensor, keep: str,
                   base: Optional[torch.Tensor]) -> torch.Tensor:
        rest = torch.zeros_like(symbols) if base is None else base
        at = torch.from_numpy(arithmetic.half(keep, *symbols.shape[2:]))
        return torch.where(at, symbols + params.chunk(2, 1)[1], rest)

    def concat(self, parts: Sequence[torch.Tensor]) -> torch.Tensor:
        return torch.cat(list(parts), 1)


@torch.no_grad()
def run_float(ops: FloatOps, model: Cleric, latents: Latents) -> torch.Tensor:
    """y_hat of the float entropy model."""
    y, d = torch.from_numpy(latents.y), model.config.d

    def code(i: int, keep: str, params: torch.Tensor) -> torch.Tensor:
        at = torch.from_numpy(arithmetic.half(keep, *y.shape[2:]))
        scale, mean = params.chunk(2, 1)
        return dead_zone_round(y[:, d * i:d * (i + 1)] - mean, scale) * at

    return walk(ops, model.config, torch.round(torch.from_numpy(latents.z)), code)


def samples(model: Cleric, latents: Latents) -> dict[str, np.ndarray]:
    """Values of every layer, [B, C, n], by the names of FloatOps.see: at a random choice of positions.

    Requantised tensors of one name share an entry; the queries of a window attention (NAME.qkv.q) are divided by
    the root of the channels a head, as their integers are.
    """
    random = np.random.default_rng(0)
    kept: dict[str, np.ndarray] = {}

    def see(name: str, value: torch.Tensor) -> None:
        if name.endswith(".qkv"):
            d = value.shape[1] // 3
            for part, x in zip("qkv", value.split(d, 1)):
                keep(f"{name}.{part}", x * query_scale(d) if part == "q" else x)
        else:
            keep(name, value)

    def keep(name: str, value: torch.Tensor) -> None:
        x = value.numpy()
        if x.shape[2] > SAMPLES:
            x = x[:, :, np.sort(random.choice(x.shape[2], SAMPLES, replace=False))]
        kept[name] = np.concatenate([kept[name], x], 2) if name in kept else x

    run_float(FloatOps(model, see), model, latents)
    return kept
