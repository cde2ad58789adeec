"""Cumulative-frequency tables of the entropy coder, from the model's densities and, of the latents, from what was coded.

A table codes the integers min .. min + size - 2; its last symbol is the escape, which carries the
mass of both tails. Frequencies are at least 1 and sum to 2^16.
"""
from __future__ import annotations

import math
from functools import lru_cache
from typing import Mapping

import numpy as np
import torch

from ..network.prior import DEAD_ZONE, Factorized

TOTAL = 65536
LEVELS = 64
REACH = 4.5  # of a table, in standard deviations
LIMIT = 1153  # beyond the longest table
SPREAD = 2.0 ** np.arange(-2, 2.25, 0.5)  # standard deviations of a fitted table's density, as shares of its own scale
ROUNDS = 50  # of expectation maximisation
TRUST = 3000.0  # symbols that the fitted mixture is worth, next to those counted
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


def _reach(sigma: float) -> int:
    return max(1, math.ceil(REACH * sigma))


def _sides(edges: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """Mass of |v| between edges [n + 1], v normal with deviations sigma [s], then beyond the last: [s, n + 1]."""
    within = torch.erf(torch.from_numpy(edges / (np.reshape(sigma, (-1, 1)) * math.sqrt(2)))).numpy()
    return np.concatenate([np.diff(within, axis=1), 1 - within[:, -1:]], 1)


def _table(sides: np.ndarray) -> tuple[int, np.ndarray]:
    """(min, cumulative frequencies) of symbols whose sizes 0, 1, ... and beyond have the masses `sides`."""
    reach = len(sides) - 2
    one = sides[1:-1] / 2
    return -reach, quantise(np.concatenate([one[::-1], sides[:1], one, sides[-1:]]))


def gauss_table(sigma: float) -> tuple[int, np.ndarray]:
    """(min, cumulative frequencies) of a zero-mean Gaussian rounded to integers."""
    edges = np.append(0, np.arange(_reach(sigma) + 1) + 0.5)
    return _table(_sides(edges, np.array([sigma]))[0])


def fitted_table(sigma: float, zone: float, counts: np.ndarray) -> tuple[int, np.ndarray]:
    """(min, cumulative frequencies) of the symbols that were given the scale sigma, counted by size: counts [LIMIT + 1].

    What is coded under one scale is no Gaussian of that deviation: scales are estimates, which makes tails heavier,
    and the encoder rounds |v| < `zone` to 0. The table follows the counts, and where they are few a mixture of
    Gaussians fitted to them, under that rounding.
    """
    reach = _reach(sigma)
    seen = np.append(counts[:reach + 1], counts[reach + 1:].sum()).astype(np.float64)
    parts = _sides(np.append(0, np.arange(reach + 1) + zone), sigma * SPREAD)
    prior = np.where(SPREAD == 1, 20.0, 1.0)  # in symbols; without any the table is nearly Gaussian
    share = prior / prior.sum()
    for _ in range(ROUNDS):
        mixed = np.maximum(share @ parts, 1e-30)
        share = share * (parts @ (seen / mixed)) + prior
        share /= share.sum()
    return _table(seen + TRUST * (share @ parts))


def size_counts(symbols: np.ndarray, indexes: np.ndarray) -> np.ndarray:
    """How often each size of a symbol, of any shape, was coded under each table: [LEVELS, LIMIT + 1], the last for all beyond."""
    at = indexes.astype(np.int64) * (LIMIT + 1) + np.minimum(np.abs(symbols), LIMIT)
    return np.bincount(at.ravel(), minlength=LEVELS * (LIMIT + 1)).reshape(LEVELS, LIMIT + 1)


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
def gauss_tables() -> Mapping[str, np.ndarray]:
    """Tables of the 64 scales for latents that are as Gaussian as the model takes them to be."""
    return pack("y", [gauss_table(float(s)) for s in scale_table()])


def fitted_tables(zones: np.ndarray, counts: np.ndarray) -> dict[str, np.ndarray]:
    """Tables of the 64 scales for symbols counted by `size_counts`, rounded with the dead zones [64]."""
    return pack("y", [fitted_table(float(s), float(zone), row) for s, zone, row in zip(scale_table(), zones, counts)])


def prior_tables(prior: Factorized) -> dict[str, np.ndarray]:
    """The tables of the hyper-latents."""
    return pack("z", z_tables(prior))


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
