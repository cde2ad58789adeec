"""The oracle: the integer entropy model of a model file, and what it makes of an image's latents."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Mapping, Optional, Sequence

import numpy as np

from ..network.config import Config
from . import arithmetic
from .entropy_graph import walk
from .tables import dead_zones


class IntegerOps:
    """Ops of `walk` on int64 arrays [B, C, H, W]; parameters by their names in a model file."""

    def __init__(self, tensors: Mapping[str, np.ndarray], trace: bool = False) -> None:
        self.tensors = tensors
        self.trace: Optional[dict[str, np.ndarray]] = {} if trace else None

    def note(self, name: str, x: np.ndarray) -> np.ndarray:
        if self.trace is not None:
            self.trace[name] = x
        return x

    def _layer(self, name: str, activation: Optional[str]) -> tuple[np.ndarray, ...]:
        values = [self.tensors[f"{name}.{part}"] for part in ("weight", "bias", "shift")]
        table = self.tensors[f"table.{int(self.tensors[f'{name}.table'][0])}"] if activation else None
        return (*values, table)

    def conv(self, name: str, inputs: Sequence[np.ndarray], *, activation: Optional[str] = None, stride: int = 1,
             padding: Optional[int] = None, shuffle: int = 1, wide: bool = False,
             residual: Optional[np.ndarray] = None, keep: Optional[str] = None,
             matters: Optional[str] = None) -> np.ndarray:
        return self.note(name, arithmetic.conv(inputs, *self._layer(name, activation), stride, padding, shuffle, wide,
                                               residual, keep))

    def depthwise(self, name: str, x: np.ndarray, activation: Optional[str] = None) -> np.ndarray:
        return self.note(name, arithmetic.depthwise(x, *self._layer(name, activation)))

    def _shift(self, name: str) -> int:
        return int(self.tensors[f"{name}.shift"][0])

    def requantise(self, name: str, x: np.ndarray) -> np.ndarray:
        return arithmetic.requantise(x, self._shift(name))

    def layer_norm(self, name: str, x: np.ndarray, matters: Optional[str] = None) -> np.ndarray:
        weight, bias, shift = (self.tensors[f"{name}.{part}"] for part in ("weight", "bias", "shift"))
        epsilon = int(self.tensors[f"{name}.epsilon"][0])
        return self.note(name, arithmetic.layer_norm(x, weight, bias, shift, epsilon, self.tensors["rsqrt"]))

    def window_attention(self, name: str, qkv: np.ndarray, heads: int) -> np.ndarray:
        bias, exp = self.tensors[f"{name}.bias"], self.tensors[f"{name}.exp"]
        return self.note(name, arithmetic.window_attention(qkv, bias, self._shift(name), exp, heads))

    def linear_attention(self, name: str, query: np.ndarray, key: np.ndarray, value: np.ndarray, heads: int,
                         split: bool) -> np.ndarray:
        exp = self.tensors[f"{name}.exp"]
        return self.note(name, arithmetic.linear_attention(query, key, value, self._shift(name), exp, heads, split))

    def mask(self, x: np.ndarray, keep: str) -> np.ndarray:
        return x * arithmetic.half(keep, *x.shape[2:])

    def slice(self, x: np.ndarray, first: int, count: int) -> np.ndarray:
        return x[:, first:first + count]

    def dequantise(self, symbols: np.ndarray, params: np.ndarray, keep: str,
                   base: Optional[np.ndarray]) -> np.ndarray:
        return arithmetic.dequantise(symbols, params, keep, base)

    def concat(self, parts: Sequence[np.ndarray]) -> np.ndarray:
        return np.concatenate(parts, 1)


@dataclass
class Coded:
    """What an encoder codes, and y_hat in 1/64; every array [B, M, h, w] but z_hat."""

    z_hat: np.ndarray
    symbols: np.ndarray
    indexes: np.ndarray
    y_hat: np.ndarray


def round_z(z: np.ndarray) -> np.ndarray:
    """float z -> z_hat, ties to even, within int16."""
    return np.clip(np.round(z), -32767, 32767).astype(np.int64)


def encode(config: Config, tensors: Mapping[str, np.ndarray], y: np.ndarray, z: np.ndarray,
           trace: Optional[dict[str, np.ndarray]] = None) -> Coded:
    """Codes latents: float y [B, M, h, w] after the gain, float z [B, Z, h/4, w/4].

    `trace`, if given, receives every intermediate integer tensor by name.
    """
    ops = IntegerOps(tensors, trace is not None)
    d, thresholds, zones = config.d, tensors["scales.thresholds"], dead_zones(tensors)
    found: dict[str, np.ndarray] = {}

    def code(i: int, keep: str, params: np.ndarray) -> np.ndarray:
        index = arithmetic.scale_index(params, thresholds, keep)
        symbols = arithmetic.quantise(y[:, d * i:d * (i + 1)], params, index, zones, keep)
        for name, value in ((f"r.{i}", symbols), (f"index.{i}", index)):
            found[name] = found.get(name, 0) + value
        return symbols

    z_hat = round_z(z)
    y_hat = walk(ops, config, z_hat, code)
    if trace is not None and ops.trace is not None:
        trace.update(ops.trace)
        trace.update(found)
    return Coded(z_hat, *(np.concatenate([found[f"{name}.{i}"] for i in range(config.slices)], 1)
                          for name in ("r", "index")), y_hat)
