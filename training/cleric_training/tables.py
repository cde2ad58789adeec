"""Cumulative-frequency tables of the entropy coder, from the model's densities.

A table codes the integers min .. min + size - 2; its last symbol is the escape, which carries the
mass of both tails. Frequencies are at least 1 and sum to 2^16.
"""
from __future__ import annotations

import math
from functools import lru_cache
from typing import Mapping

import numpy as np
import torch

from .prior import DEAD_ZONE, Factorized

TOTAL = 65536
LEVELS = 64
REACH = 4.5  # of a Gaussian table, in standard deviations
TAIL = 2.0**-16
Z_LIMIT = 64


def scale_table() -> np.ndarray:
    """The 64 scales, exp(linspace(ln 0.11, ln 256)), float32 [64]."""
    return np.exp(np.linspace(math.log(0.11), math.log(256), LEVELS)).astype(np.float32)


def quantise(mass: np.ndarray) -> np.ndarray:
    """Probabilities (escape last) -> cumulative frequencies, int32 [len(mass) + 1], 0 .. 65536."""
    ideal = mass / mass.sum() * TOTAL
    freq = np.maximum(1, np.round(ideal)).astype(np.int64)
    while (excess := int(freq.sum() - TOTAL)) != 0:
        # Give to or take from the symbols that lose least by it, one unit each.
        cost = np.where(freq > 1, freq - ideal, -np.inf) if excess > 0 else ideal - freq
        for n in np.argsort(-cost, kind="stable")[:abs(excess)]:
            if excess < 0 or freq[n] > 1:
                freq[n] -= int(np.sign(excess))
    return np.concatenate([[0], np.cumsum(freq)]).astype(np.int32)


def _gauss_cdf(x: np.ndarray, sigma: float) -> np.ndarray:
    return 0.5 * (1 + np.array([math.erf(v / (sigma * math.sqrt(2))) for v in x]))


def gauss_table(sigma: float) -> tuple[int, np.ndarray]:
    """(min, cumulative frequencies) of a zero-mean Gaussian rounded to integers."""
    reach = max(1, math.ceil(REACH * sigma))
    edges = _gauss_cdf(np.arange(-reach, reach + 2) - 0.5, sigma)
    mass = np.diff(edges)
    return -reach, quantise(np.append(mass, 1 - mass.sum()))


@torch.no_grad()
def _z_cdf(prior: Factorized, x: np.ndarray) -> np.ndarray:
    """Cumulative distribution of every channel at x [n]: [Z, n], float64."""
    channels = prior.b0.shape[0]
    wide = Factorized(channels).double()
    wide.load_state_dict(prior.state_dict())
    points = torch.from_numpy(x).double().expand(channels, 1, len(x))
    return torch.sigmoid(wide.logits(points))[:, 0].numpy()


def z_tables(prior: Factorized) -> list[tuple[int, np.ndarray]]:
    """(min, cumulative frequencies) of each hyper-latent channel."""
    symbols = np.arange(-Z_LIMIT, Z_LIMIT + 1)
    edges = _z_cdf(prior, np.arange(-Z_LIMIT, Z_LIMIT + 2) - 0.5)
    tables = []
    for cdf in edges:
        inside = np.nonzero((cdf[1:] > TAIL) & (cdf[:-1] < 1 - TAIL))[0]
        # A density wholly outside the limits still needs a table: the symbols nearest to it.
        nearest = 0 if cdf[0] > 0.5 else len(symbols) - 1
        first, last = (inside[0], inside[-1]) if len(inside) else (nearest, nearest)
        mass = np.diff(cdf[first:last + 2])
        tables.append((int(symbols[first]), quantise(np.append(mass, max(0.0, 1 - mass.sum())))))
    return tables


def pack(name: str, tables: list[tuple[int, np.ndarray]]) -> dict[str, np.ndarray]:
    """Tables laid end to end, as a model file holds them: `cdf.NAME.values/offset/size/min`."""
    sizes = np.array([len(values) - 1 for _, values in tables], np.int32)
    starts = np.concatenate([[0], np.cumsum(sizes + 1)[:-1]]).astype(np.int32)
    return {f"cdf.{name}.values": np.concatenate([v for _, v in tables]).astype(np.int32),
            f"cdf.{name}.offset": starts, f"cdf.{name}.size": sizes,
            f"cdf.{name}.min": np.array([m for m, _ in tables], np.int32)}


@lru_cache(maxsize=None)
def y_tables() -> Mapping[str, np.ndarray]:
    """The tables of the 64 scales, the same in every model."""
    return pack("y", [gauss_table(float(s)) for s in scale_table()])


def all_tables(prior: Factorized) -> dict[str, np.ndarray]:
    """Everything about coding that a model file holds besides the weights."""
    return {**y_tables(), **pack("z", z_tables(prior))}


def dead_zones(tensors: Mapping[str, np.ndarray]) -> np.ndarray:
    """From what |y - mean| on an encoder no longer makes it 0, by each table `cdf.y.*`: float32 [64], 0.5 .. 1.25.

    The trade of prior.dead_zone_round, with the coder's frequencies; see src/model/dead-zones.ts.
    """
    values, offset, size, least = (tensors[f"cdf.y.{part}"].astype(np.int64) for part in ("values", "offset", "size", "min"))

    def frequency(symbol: int) -> np.ndarray:
        at, escape = symbol - least, size - 1
        inside = (at >= 0) & (at < escape)
        slot = offset + np.where(inside, at, escape)
        # After the escape a sign and an Exp-Golomb code of order 0.
        beyond = np.where(inside, 0, np.where(at < 0, -at - 1, at - escape))
        bypass = np.where(inside, 0, 2 + 2 * np.floor(np.log2(beyond + 1)))
        return (values[slot + 1] - values[slot]) * 2.0**-bypass

    gap = np.log2(2 * frequency(0) / (frequency(1) + frequency(-1)))
    return np.clip(0.5 + gap / (2 * DEAD_ZONE), 0.5, 1.25).astype(np.float32)
