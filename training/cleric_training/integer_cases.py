"""Golden vectors of the entropy model's integer ops, from the oracle: test/fixtures/integer-ops.safetensors.

    python3 -m cleric_training.integer_cases ../test/fixtures/integer-ops.safetensors

Laid out as op_cases.py has it, but tensors are I32 and parameters I16 or I32 (`latent` of quantise is F32).
Values are random with the extremes mixed in; sizes are odd wherever an op takes them.
"""
from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Optional

import numpy as np

from .files.safetensors import write
from .integer import arithmetic
from .integer.tables import dead_zones, gauss_tables
from .op_cases import Cases

SEED = 20241124


class Random:
    """Seeded integers with a share of extreme values."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(SEED)

    def activation(self, *shape: int, std: float = 500.0, extremes: float = 0.05) -> np.ndarray:
        """Normal, clamped to 12 bits; some values are at either end."""
        v = np.round(self.rng.normal(0, std, shape))
        ends = self.rng.choice([-arithmetic.ACTIVATION, arithmetic.ACTIVATION - 1], shape)
        return arithmetic.clamp12(np.where(self.rng.random(shape) < extremes, ends, v)).astype(np.int64)

    def whole(self, low: int, high: int, *shape: int) -> np.ndarray:
        """Uniform in low..high."""
        return self.rng.integers(low, high + 1, shape)

    def weight(self, *shape: int, limit: int = 127) -> np.ndarray:
        return np.clip(np.round(self.rng.normal(0, limit / 2.5, shape)), -limit, limit).astype(np.int16)

    def table(self) -> np.ndarray:
        """A GELU-like table of 4096 entries: rising, with noise, over the whole range."""
        x = np.arange(-arithmetic.ACTIVATION, arithmetic.ACTIVATION)
        noise = self.rng.integers(-3, 4, x.shape)
        return arithmetic.clamp12(np.where(x > -1000, x, x // 16) + noise).astype(np.int16)


def conv(c: Cases, r: Random, name: str, ins: list[int], out: int, h: int, w: int, kernel: int, stride: int = 1,
         padding: Optional[int] = None, limit: int = 127, shift: Optional[int] = None, table: bool = False,
         shuffle: int = 1, wide: bool = False, residual: bool = False, keep: Optional[str] = None,
         extremes: float = 0.05) -> None:
    pad = kernel // 2 if padding is None else padding
    inputs = [r.activation(1, i, h, w, extremes=extremes) for i in ins]
    total, count = sum(ins), out * shuffle**2
    weight = r.weight(count, total, kernel, kernel, limit=limit)
    spread = 500 * limit / 2.5 * np.sqrt(total * kernel**2)
    bias = np.round(r.rng.normal(0, spread, count)).astype(np.int32)
    usual = int(np.round(np.log2(spread / (40000 if wide else 700)))) if shift is None else shift
    shifts = np.clip(usual + r.whole(-1, 1, count), 1, 30).astype(np.int32)
    oh, ow = (h + 2 * pad - kernel) // stride + 1, (w + 2 * pad - kernel) // stride + 1
    rest = None
    if residual:
        shape = (1, out, oh * shuffle, ow * shuffle)
        rest = r.whole(-arithmetic.WIDE, arithmetic.WIDE, *shape) if wide else r.activation(*shape)
    values = r.table() if table else None
    y = arithmetic.conv(inputs, weight, bias, shifts, values, stride, pad, shuffle, wide, rest, keep)
    parameters: dict[str, object] = {"weight": weight, "bias": bias, "shift": shifts}
    if values is not None:
        parameters["table"] = values
    c.add(name, "integerConv", {"inputs": [v[0] for v in inputs], "residual": None if rest is None else rest[0]},
          {"output": y[0]},
          {**{key: f"{name}/{key}" for key in ("weight", "bias", "shift")}, "table": f"{name}/table" if table else None,
           "kernel": kernel, "stride": stride, "padding": pad, "shuffle": shuffle,
           "range": "wide" if wide else "activation", "keep": keep}, parameters)


def convs(c: Cases, r: Random) -> None:
    conv(c, r, "integerConv 3x3", [5], 7, 11, 13, 3)
    conv(c, r, "integerConv 3x3 table", [8], 8, 9, 17, 3, table=True)
    conv(c, r, "integerConv 3x3 two inputs of 3", [3, 3], 6, 10, 21, 3, table=True)
    conv(c, r, "integerConv 3x3 five inputs wide table residual keep", [6, 5, 4, 3, 2], 6, 8, 7, 3, table=True, wide=True,
         residual=True, keep="nonAnchor")
    conv(c, r, "integerConv 3x3 keep anchor", [4], 5, 6, 9, 3, table=True, keep="anchor")
    conv(c, r, "integerConv 3x3 shuffle", [6], 5, 7, 5, 3, table=True, shuffle=2)
    conv(c, r, "integerConv 3x3 shuffle residual", [4], 3, 4, 6, 3, shuffle=2, residual=True)
    conv(c, r, "integerConv 3x3 one texel", [3], 9, 1, 1, 3)
    conv(c, r, "integerConv 3x3 many channels", [96, 64], 20, 6, 5, 3, table=True)
    conv(c, r, "integerConv 3x3 heavy weights", [32], 12, 5, 7, 3, limit=2047)
    conv(c, r, "integerConv 1x1", [10], 33, 5, 7, 1)
    conv(c, r, "integerConv 1x1 three inputs", [12, 5, 8], 18, 9, 6, 1, table=True, keep="nonAnchor")
    conv(c, r, "integerConv 1x1 wide", [24], 16, 7, 6, 1, wide=True)
    conv(c, r, "integerConv 1x1 residual", [16], 12, 6, 7, 1, residual=True)
    conv(c, r, "integerConv 1x1 wide clamped", [12], 8, 5, 6, 1, limit=2047, shift=1, wide=True, extremes=0.5)
    conv(c, r, "integerConv 5x5", [6], 9, 9, 11, 5)
    conv(c, r, "integerConv 5x5 stride 5", [8], 6, 15, 25, 5, stride=5, padding=0)
    conv(c, r, "integerConv 5x5 stride 5 wide channels", [32], 64, 10, 20, 5, stride=5, padding=0)
    # Next to the bound of the overflow proof: 2048 sum|w| + |bias| + 2^(s-1) just below 2^31.
    name = "integerConv 3x3 at the bound"
    inputs = np.where(r.rng.random((1, 64, 5, 6)) < 0.5, -2048, 2047)
    inputs[:, :, :3, :3] = -2048
    weight = np.full((2, 64, 3, 3), 1815, np.int16)
    weight[1] = -weight[1]
    shift = np.array([24, 9], np.int32)
    room = 2**31 - 1 - 2048 * np.abs(weight.astype(np.int64)).sum((1, 2, 3)) - (1 << (shift.astype(np.int64) - 1))
    bias = (room * [-1, 1]).astype(np.int32)
    y = arithmetic.conv([inputs], weight, bias, shift)
    c.add(name, "integerConv", {"inputs": [inputs[0]], "residual": None}, {"output": y[0]},
          {**{key: f"{name}/{key}" for key in ("weight", "bias", "shift")}, "table": None, "kernel": 3, "stride": 1,
           "padding": 1, "shuffle": 1, "range": "activation", "keep": None},
          {"weight": weight, "bias": bias, "shift": shift})


def depthwise(c: Cases, r: Random) -> None:
    for table, channels, h, w, limit in ((False, 5, 7, 9, 127), (True, 8, 1, 3, 127), (True, 12, 6, 5, 2047)):
        name = f"integerDepthwise {channels}{' table' if table else ''}"
        x = r.activation(1, channels, h, w)
        weight = r.weight(channels, 1, 3, 3, limit=limit)
        bias = r.whole(-20000, 20000, channels).astype(np.int32)
        shift = (r.whole(6, 9, channels) + (4 if limit > 127 else 0)).astype(np.int32)
        values = r.table() if table else None
        y = arithmetic.depthwise(x, weight, bias, shift, values)
        parameters: dict[str, object] = {"weight": weight, "bias": bias, "shift": shift}
        if values is not None:
            parameters["table"] = values
        c.add(name, "integerDepthwise", {"input": x[0]}, {"output": y[0]},
              {**{key: f"{name}/{key}" for key in ("weight", "bias", "shift")},
               "table": f"{name}/table" if table else None}, parameters)


def norms(c: Cases, r: Random) -> None:
    c.tensors["rsqrt"] = arithmetic.rsqrt_table()
    for channels, h, w, limit, epsilon in ((7, 5, 9, 3000, 0), (12, 4, 5, 2**24 - 1, 2**20 - 1), (64, 6, 7, 20000, 2684),
                                           (128, 5, 4, 2047, 20), (512, 3, 5, 2**22, 2**20 - 1)):
        name = f"integerLayerNorm {channels}"
        # Positions of every magnitude from 0 up; constant ones, ones of one value, and one at the ends.
        size = 2.0 ** r.rng.uniform(0, np.log2(limit), (1, 1, h, w))
        x = np.clip(np.round(r.rng.normal(0, 1, (1, channels, h, w)) * size / 3), -limit, limit).astype(np.int64)
        x[..., 0, 0] = 0
        x[..., 0, 1] = limit
        x[..., 0, 2] = 0
        x[:, 3, 0, 2] = -1
        x[..., 1, 0] = np.where(np.arange(channels) % 2, limit, -limit)
        x[..., 1, 1] = x[..., 1, 1] // 8 + limit * 7 // 8
        x[..., 1, 2] = 0
        x[:, 0, 1, 2] = limit
        x[..., 1, 3] = np.where(np.arange(channels) % 5 == 0, 1, 0)
        weight = r.whole(-32767, 32767, channels).astype(np.int16)
        bias = r.whole(-(2**29 - 1), 2**29 - 1, channels).astype(np.int32)
        shift = r.whole(10, 22, channels).astype(np.int32)
        quiet = np.arange(channels) % 3 == 1  # values as a model has them
        weight = np.where(quiet, weight >> 3, weight).astype(np.int16)
        bias = np.where(quiet, bias >> 8, bias).astype(np.int32)
        y = arithmetic.layer_norm(x, weight, bias, shift, epsilon, c.tensors["rsqrt"])
        c.add(name, "integerLayerNorm", {"input": x[0]}, {"output": y[0]},
              {key: f"{name}/{key}" for key in ("weight", "bias", "shift", "epsilon")},
              {"weight": weight, "bias": bias, "shift": shift, "epsilon": np.array([epsilon], np.int32)})


def attention(c: Cases, r: Random) -> None:
    for h, w, d, heads, std, step in ((5, 7, 8, 2, 300, 2**-7), (2, 3, 16, 2, 900, 2**-6), (4, 9, 12, 1, 30, 2**-8),
                                      (6, 5, 64, 2, 400, 2**-7)):
        name = f"integerWindowAttention {h}x{w} {d}"
        qkv = r.activation(1, 3 * d, h, w, std=std)
        bias = r.whole(-400, 400, 81, heads).astype(np.int16)
        shift = np.array([max(1, int(np.round(np.log2(std * std * np.sqrt(d / heads) * step))))], np.int32)
        exp = arithmetic.exp_table(step)
        y = arithmetic.window_attention(qkv, bias, int(shift[0]), exp, heads)
        c.add(name, "integerWindowAttention", {"qkv": qkv[0]}, {"output": y[0]},
              {**{key: f"{name}/{key}" for key in ("bias", "shift", "exp")}, "heads": heads},
              {"bias": bias, "shift": shift, "exp": exp})
    for split, channels, heads, h, w, std, shift in (
            (False, 16, 2, 5, 7, 300, 16), (True, 8, 2, 6, 9, 300, 15), (False, 24, 3, 1, 3, 900, 18),
            (False, 64, 2, 9, 11, 150, 14), (True, 64, 2, 8, 10, 500, 17), (False, 12, 1, 3, 5, 5, 13)):
        name = f"integerLinearAttention{' split' if split else ''} {channels}"
        q, k, v = (r.activation(1, channels, h, w, std=std) for _ in range(3))
        exp = arithmetic.exp_table(2**-7)
        y = arithmetic.linear_attention(q, k, v, shift, exp, heads, split)
        c.add(name, "integerLinearAttention", {"query": q[0], "key": k[0], "value": v[0]}, {"output": y[0]},
              {"shift": f"{name}/shift", "exp": f"{name}/exp", "heads": heads, "split": split},
              {"shift": np.array([shift], np.int32), "exp": exp})


def elementwise(c: Cases, r: Random) -> None:
    for shift, limit in ((0, 3000), (3, 20000), (9, 2**22)):
        name = f"requantise by {shift}"
        x = r.whole(-limit, limit, 1, 5, 7, 9)
        x[0, 0, 0, :4] = [-limit, limit, (1 << shift) // 2, -((1 << shift) // 2)]
        c.add(name, "requantise", {"input": x[0]}, {"output": arithmetic.requantise(x, shift)[0]},
              {"shift": f"{name}/shift"}, {"shift": np.array([shift], np.int32)})
    x = r.activation(5, 7, 9)
    for keep in ("anchor", "nonAnchor"):
        c.add(f"mask {keep}", "mask", {"input": x}, {"output": x * arithmetic.half(keep, 7, 9)}, {"keep": keep})


def coding(c: Cases, r: Random) -> None:
    """From entropy parameters to what the coder needs, and back."""
    thresholds = np.round(2048 * np.exp(np.linspace(np.log(0.117), np.log(240), 64))).astype(np.int32)
    thresholds[-1] = 1 << 30
    zones = dead_zones(gauss_tables())
    for keep, d in (("anchor", 5), ("nonAnchor", 8)):
        h, w = 6, 7
        scale = np.clip(np.exp(r.rng.normal(7, 2.5, (1, d, h, w))), 0, arithmetic.WIDE).astype(np.int64)
        scale[0, 0, :2, :6] = [[-5, arithmetic.WIDE, 0, thresholds[20], thresholds[20] + 1, thresholds[0]]] * 2
        mean = np.round(r.rng.normal(0, 200, (1, d, h, w))).astype(np.int64)
        mean[0, 0, :2, 6] = [arithmetic.WIDE, -arithmetic.WIDE]
        params = np.concatenate([scale, mean], 1)
        name = f"scaleIndex {keep}"
        indexes = arithmetic.scale_index(params, thresholds, keep)
        c.add(name, "scaleIndex", {"params": params[0]}, {"output": indexes[0]},
              {"table": f"{name}/table", "keep": keep}, {"table": thresholds}, {"output": "int16"})
        first = 3
        latent = r.rng.normal(0, 5, (1, d + 6, h, w)).astype(np.float32)
        latent[0, 3, :2, :2] = [[1e6, -1e6]] * 2
        # On either side of where a symbol becomes the next one, of every sign.
        ends = zones[indexes[0, 1:3]] + r.whole(0, 3, 2, h, w) + r.rng.choice([-2e-3, 2e-3], (2, h, w))
        latent[0, first + 1:first + 3] = mean[0, 1:3] / 64 + ends * r.rng.choice([-1, 1], (2, h, w))
        symbols = arithmetic.quantise(latent[:, first:first + d], params, indexes, zones, keep)
        v = latent[:, first:first + d].astype(np.float64) - mean / 64
        coded = arithmetic.half(keep, h, w) & (np.abs(v) < 100)
        assert arithmetic.tie_margin(v, zones[indexes])[coded].min() > 5e-5, "devices may differ in a tie"
        name = f"quantise {keep}"
        c.add(name, "quantise", {"latent": latent[0], "params": params[0], "indexes": indexes[0]},
              {"output": symbols[0]}, {"first": first, "deadZones": f"{name}/zones", "keep": keep}, {"zones": zones},
              {"output": "int16", "indexes": "int16"})
        base = r.whole(-(1 << 21), 1 << 21, 1, d, h, w)
        for label, rest in (("", None), (" base", base)):
            y = arithmetic.dequantise(symbols, params, keep, rest)
            c.add(f"dequantise {keep}{label}", "dequantise",
                  {"symbols": symbols[0], "params": params[0], "base": None if rest is None else rest[0]},
                  {"output": y[0]}, {"keep": keep}, formats={"symbols": "int16"})


def main() -> None:
    cases, random = Cases(), Random()
    for part in (convs, depthwise, norms, attention, elementwise, coding):
        part(cases, random)
    write(Path(sys.argv[1]), cases.tensors, {"cases": json.dumps(cases.cases, separators=(",", ":"))})


if __name__ == "__main__":
    main()
