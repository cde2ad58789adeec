"""The step (value of one unit) of every integer tensor: the power of two with the least error on samples.

Exponents e stand for steps 2^e. An activation holds 12 bits, so a large step rounds and a small one clips.
"""
from __future__ import annotations

import math
from typing import Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F

from . import integer
from .config import Config
from .walk import HEADS

MEAN = -6  # of means and y_hat: 1/64
SCALE = -11  # of scales: up to 2^20 units = 512, which is beyond the last of the 64
LOGIT = -8  # of the logits of window attention; exp(-4095 / 256) is next to nothing
LEAST_EXP = -8  # likewise of the keys and queries of linear attention
HEADROOM = 1.2  # other images have larger values than the samples
SEARCH = 5  # steps tried downwards from the one that clips nothing
SPREAD = 50_000  # values a choice looks at


def query_scale(d: int) -> float:
    """1 / sqrt(channels a head) of a window attention over d channels."""
    return (d / HEADS) ** -0.5


def gelu(x: np.ndarray) -> np.ndarray:
    return F.gelu(torch.from_numpy(np.asarray(x, np.float64))).numpy()


ACTIVATIONS = {"gelu": gelu, "tanh": lambda x: 0.5 * np.tanh(x)}


def table(kind: str, before: int, after: int) -> np.ndarray:
    """An activation's values for units -2048..2047 of step 2^before, in units of 2^after: int16 [4096]."""
    x = np.arange(-integer.ACTIVATION, integer.ACTIVATION) * 2.0**before
    return integer.clamp12(np.round(ACTIVATIONS[kind](x) * 2.0**-after)).astype(np.int16)


def rounded(x: np.ndarray, e: int) -> np.ndarray:
    """x as an activation of step 2^e has it."""
    return integer.clamp12(np.round(x * 2.0**-e)) * 2.0**e


def _thin(x: np.ndarray) -> np.ndarray:
    """Evenly spread order statistics, extremes included: enough to choose by."""
    x = np.sort(x.astype(np.float64) * HEADROOM)
    return x if x.size <= SPREAD else x[np.linspace(0, x.size - 1, SPREAD).round().astype(int)]


def largest(x: np.ndarray) -> int:
    """The exponent whose step clips nothing."""
    return math.ceil(math.log2(max(float(np.abs(x).max()), 1e-9) / (integer.ACTIVATION - 1)))


def best(parts: Sequence[np.ndarray], least: int = -30) -> int:
    """One exponent for tensors that must share a step; each counts by its mean squared error."""
    thin = [_thin(x) for x in parts]
    top = max(max(largest(x) for x in thin), least)
    tries = range(top, max(top - SEARCH, least - 1), -1)
    return min(tries, key=lambda e: sum(float(((rounded(x, e) - x) ** 2).mean()) for x in thin))


def best_pair(kind: str, x: np.ndarray) -> tuple[int, int]:
    """Exponents before and after an activation."""
    thin = _thin(x)
    exact = ACTIVATIONS[kind](thin)
    top, top_out = largest(thin), largest(exact)
    outs = range(top_out, top_out - SEARCH, -1) if kind == "gelu" else [MEAN]

    def error(pair: tuple[int, int]) -> float:
        values = ACTIVATIONS[kind](rounded(thin, pair[0]))
        return float(((rounded(values, pair[1]) - exact) ** 2).mean())

    return min(((e, out) for e in range(top, top - SEARCH, -1) for out in outs), key=error)


def ties(config: Config) -> list[list[str]]:
    """Tensors that share a step: terms of a sum and the sum; keys and queries under one table."""
    groups = []
    for i in range(config.slices):
        local = f"mem.local.{i}"
        groups.append([f"{local}.proj", f"{local}.mlp.2", f"{local}.mlp.2.sum"])
        for kind, skip in (("inter", "skip"), ("intra", "reproj")) if i else ():
            name = f"mem.{kind}.{i}"
            groups.append([f"{name}.{skip}", f"{name}.mlp.4", f"{name}.mlp.4.sum"])
            groups.append([f"{name}.qkv.q.1", f"{name}.qkv.k.1"])
    return groups


def choose(config: Config, samples: Mapping[str, np.ndarray]) -> dict[str, int]:
    """Exponents by the names of calibrate.samples: NAME before its activation, NAME.out after."""
    steps: dict[str, int] = {"h_s.input": 0}
    last = 2 * len(config.ep)
    for group in ties(config):
        least = LEAST_EXP if group[0].endswith("qkv.q.1") else -30
        steps.update(dict.fromkeys(group, best([samples[name] for name in group], least)))
    for name, x in samples.items():
        if name in steps or name.endswith((".out", ".sum")):
            continue
        if name.startswith("mem.ep_") and name.endswith(f".{last}"):
            continue  # scales and means, whose steps are fixed
        if f"{name}.out" in samples:
            kind = "tanh" if name.startswith("mem.lrp") and f"{name}.sum" in samples else "gelu"
            steps[name], steps[f"{name}.out"] = best_pair(kind, x)
        else:
            # y_hat is never finer than its own unit.
            steps[name] = best([x], MEAN if name.startswith("mem.y_hat") else -30)
    return steps
