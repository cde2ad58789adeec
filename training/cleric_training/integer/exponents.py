"""The step (value of one unit) of every integer tensor: the power of two with the least error on samples.

Exponents e stand for steps 2^e. An activation holds 12 bits, so a large step rounds and a small one clips.
"""
from __future__ import annotations

from typing import Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F

from ..network.config import Config
from . import arithmetic
from .entropy_graph import HEADS

MEAN = -6  # of means and y_hat: 1/64
SCALE = -11  # of scales: up to 2^20 units = 512, which is beyond the last of the 64
LOGIT = -8  # of the logits of window attention; exp(-4095 / 256) is next to nothing
LEAST_EXP = -8  # likewise of the keys and queries of linear attention
NORM_EPSILON = 1e-5  # of nn.LayerNorm
EPSILON_BITS = 20  # of the integer that stands for it
HEADROOM = 1.3  # other images have larger values than the samples
EVEN = 0.8  # 1: an error counts by its share of the values at that rate; 0: by its size
SEARCH = 5  # steps tried downwards from the one that clips nothing
SPREAD = 2000  # values of an image that the choice of a table looks at


def query_scale(d: int) -> float:
    """1 / sqrt(channels a head) of a window attention over d channels."""
    return (d / HEADS) ** -0.5


def gelu(x: np.ndarray) -> np.ndarray:
    return F.gelu(torch.from_numpy(np.asarray(x, np.float64))).numpy()


ACTIVATIONS = {"gelu": gelu, "tanh": lambda x: 0.5 * np.tanh(x)}


def epsilon(count: int, e: int) -> int:
    """What a layer norm over `count` channels of step 2^e adds to the square of their norm, in 2^-10 of its unit."""
    return round(count * NORM_EPSILON * 2.0 ** (10 - 2 * e))


def table(kind: str, before: int, after: int) -> np.ndarray:
    """An activation's values for units -2048..2047 of step 2^before, in units of 2^after: int16 [4096]."""
    x = np.arange(-arithmetic.ACTIVATION, arithmetic.ACTIVATION) * 2.0**before
    return arithmetic.clamp12(np.round(ACTIVATIONS[kind](x) * 2.0**-after)).astype(np.int16)


def rounded(x: np.ndarray, e: np.ndarray | int) -> np.ndarray:
    """x as an activation of step 2^e has it."""
    unit = np.exp2(np.asarray(e, np.float32))
    return np.clip(np.round(x / unit), -arithmetic.ACTIVATION, arithmetic.ACTIVATION - 1) * unit


def largest(x: np.ndarray) -> np.ndarray:
    """Exponents whose steps clip nothing along the last axis."""
    most = np.maximum(np.abs(x).max(-1), 1e-9)
    return np.ceil(np.log2(most / (arithmetic.ACTIVATION - 1))).astype(int)


def relative(error: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Squared errors over the power of the values, image by image, [B, C, n] both: the mean of [B] ratios a channel.

    The values of low rates are a tenth of those of high ones. Weighed by size alone they would be left with few of
    the 12 bits, yet a per cent of rate counts the same at every rate. But a clipped outlier does more harm than its
    share of the error says, and those come at high rates.
    """
    power = (x**2).mean(2)
    power += 1e-3 * power.mean(1, keepdims=True) + 1e-12
    return ((error**2).mean(2) / power**EVEN).mean(0)


def by_channel(parts: Sequence[np.ndarray]) -> np.ndarray:
    """An exponent a channel, [C], for tensors [B, C, n] that must share them."""
    top = np.max([largest(x.swapaxes(0, 1).reshape(x.shape[1], -1)) for x in parts], 0)
    errors = [sum(relative(rounded(x, (top - n)[:, None]) - x, x) for x in parts) for n in range(SEARCH)]
    return top - np.argmin(errors, 0)


def _whole(x: np.ndarray) -> np.ndarray:
    """[B, C, n] as one channel."""
    return x.reshape(len(x), 1, -1)


def uniform(parts: Sequence[np.ndarray], least: int = -30) -> int:
    """One exponent for all channels of tensors that must share it."""
    whole = [_whole(x) for x in parts]
    top = max(int(largest(x.ravel())) for x in whole)
    tries = range(max(top, least), max(top - SEARCH, least - 1), -1)
    return min(tries, key=lambda e: sum(float(relative(rounded(x, e) - x, x)[0]) for x in whole))


def offset(x: np.ndarray, base: np.ndarray) -> int:
    """What to add to the exponents `base` of the channels of x."""
    top = int((largest(x.swapaxes(0, 1).reshape(x.shape[1], -1)) - base).max())

    def error(n: int) -> float:
        gap = rounded(x, (base + n)[:, None]) - x
        return float(relative(_whole(gap), _whole(x))[0])

    return min(range(top, top - SEARCH, -1), key=error)


def best_pair(kind: str, x: np.ndarray) -> tuple[int, int]:
    """Exponents before and after an activation."""
    ordered = np.sort(x.reshape(len(x), -1), 1)
    spread = np.linspace(0, ordered.shape[1] - 1, min(SPREAD, ordered.shape[1])).round().astype(int)
    thin = ordered[:, None, spread]  # of each image: evenly spread order statistics, extremes included
    exact = ACTIVATIONS[kind](thin).astype(np.float32)
    top, top_out = int(largest(thin.ravel())), int(largest(exact.ravel()))
    outs = range(top_out, top_out - SEARCH, -1) if kind == "gelu" else [MEAN]

    def error(pair: tuple[int, int]) -> float:
        values = ACTIVATIONS[kind](rounded(thin, pair[0]))
        return float(relative(rounded(values, pair[1]) - exact, exact)[0])

    return min(((e, out) for e in range(top, top - SEARCH, -1) for out in outs), key=error)


def _tied(config: Config) -> list[list[str]]:
    """Terms of a sum and the sum, which share steps."""
    return [[f"mem.{kind}.{i}.{part}" for part in (skip, "mlp.4", "mlp.4.sum")]
            for i in range(1, config.slices) for kind, skip in (("inter", "skip"), ("intra", "reproj"))]


def choose(config: Config, samples: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Exponents [C] by the names of calibrate.samples: NAME before its activation, NAME.out after.

    A step a channel costs nothing where no table stands behind: the shift makes it, and the weights of the next
    layer take it back.
    """
    steps: dict[str, np.ndarray] = {}
    samples = {name: x * np.float32(HEADROOM) for name, x in samples.items()}

    def fill(name: str, e: np.ndarray | int) -> None:
        steps[name] = np.broadcast_to(e, samples[name].shape[1])

    fill("h_s.input", 0)
    for i in range(config.slices):
        local = [f"mem.local.{i}.{part}" for part in ("proj", "mlp.2", "mlp.2.sum")]  # and a norm reads them
        e = uniform([samples[part] for part in local])
        while epsilon(samples[local[0]].shape[1], e) >= 1 << EPSILON_BITS:
            e += 1
        for name in local:
            fill(name, e)
        for kind in ("inter", "intra") if i else ():
            pair = [f"mem.{kind}.{i}.qkv.{part}.1" for part in "qk"]  # under one table
            for name in pair:
                fill(name, uniform([samples[part] for part in pair], LEAST_EXP))
    for group in _tied(config):
        e = by_channel([samples[name] for name in group])
        for name in group:
            fill(name, e)
    last = f".{2 * len(config.ep)}"
    for name, x in samples.items():
        if name in steps or name.endswith((".out", ".sum")):
            continue
        if name.startswith("mem.ep_") and name.endswith(last):
            fill(name, np.repeat([SCALE, MEAN], x.shape[1] // 2))
        elif f"{name}.out" in samples:
            for part, e in zip((name, f"{name}.out"), best_pair("tanh" if f"{name}.sum" in samples else "gelu", x)):
                fill(part, e)
        elif name.endswith(".attention"):
            values = steps[f"{name.removesuffix('.attention')}.qkv.v.1"]
            fill(name, values + offset(x, values))
        elif name.endswith((".qkv.q", ".qkv.k")):
            fill(name, uniform([x]))
        elif name.startswith("mem.y_hat"):
            fill(name, uniform([x], MEAN))  # never finer than its own unit
        else:
            fill(name, by_channel([x]))
    return steps
