"""From a float model and calibration images to the integer entropy model of a model file.

Layer by layer in the order of the network: the integers that reach a layer are those of the layers already
made, so that a bias also takes away the mean error of everything before it. Weights have `bits` bits and a
power of two an output channel; the steps of the inputs are folded into them. Every accumulator is proved to
fit 32 bits.
"""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Callable, Mapping, Optional, Sequence

import numpy as np
import torch

from ..network.config import Config
from ..network.model import Cleric
from . import arithmetic, exponents
from .calibrate import FloatOps, Latents, samples
from .dequantise import NORM_UNIT, query_rows, runs
from .entropy_graph import walk
from .oracle import encode
from .tables import dead_zones, fitted_tables, gauss_tables, scale_table, size_counts

BITS = 8
MOST_BITS = 12
TABLE_ROUNDS = 2  # a table decides what is rounded to zero, and so what it is fitted to
NORM_LIMIT = 32767  # of a layer norm's weights


class QuantiseError(ValueError):
    """A model that has no integer form within the limits; names the layer."""


def check_accumulator(name: str, weight: np.ndarray, bias: np.ndarray, shift: np.ndarray) -> None:
    """The overflow proof of a convolution: no input in -2048..2047 makes an accumulator leave 32 bits."""
    if np.abs(weight.astype(np.int64)).max() > 2047:
        raise QuantiseError(f"Expected weights of at most 12 bits for {name}")
    if shift.min() < 1 or shift.max() > 30:
        raise QuantiseError(f"Expected shifts of 1..30 for {name} but received {shift.min()}..{shift.max()}")
    sums = np.abs(weight.astype(np.int64)).reshape(len(weight), -1).sum(1)
    bound = arithmetic.ACTIVATION * sums + np.abs(bias.astype(np.int64)) + (1 << (shift.astype(np.int64) - 1))
    if bound.max() >= 1 << 31:
        raise QuantiseError(f"Expected sums below 2^31 for {name} but channel {int(bound.argmax())} may reach {bound.max()}")


@dataclass
class Pair:
    """One tensor both ways: real [B, C, h, w] is about whole 2^e, e [C] an exponent a channel."""

    whole: np.ndarray
    real: torch.Tensor
    e: np.ndarray

    def error(self) -> np.ndarray:
        return self.whole * np.exp2(self.e)[:, None, None] - self.real.numpy()


@dataclass
class Quantised:
    """Tensors of a model file, and what dequantising them takes (metadata `quantisation`)."""

    tensors: dict[str, np.ndarray] = field(default_factory=dict)
    layers: dict[str, dict[str, Any]] = field(default_factory=dict)
    noise: dict[str, float] = field(default_factory=dict)  # of each layer: error over signal, root mean squares


class Quantiser:
    """Ops of `walk` that choose the integers of each layer, then compute it both ways."""

    def __init__(self, model: Cleric, chosen: Mapping[str, np.ndarray], bits: Callable[[str], int]) -> None:
        self.float = FloatOps(model)
        self.steps, self.bits = chosen, bits
        self.out = Quantised()
        self.out.tensors["rsqrt"] = arithmetic.rsqrt_table()
        self._tables: dict[tuple[str, int, int], int] = {}

    def note(self, name: str, x: Pair) -> None:
        pass

    def _store(self, name: str, **parts: np.ndarray) -> None:
        for part, value in parts.items():
            self.out.tensors[f"{name}.{part}"] = np.asarray(value)

    def _table(self, name: str, kind: str) -> np.ndarray:
        key = (kind, int(self.steps[name][0]), int(self.steps[f"{name}.out"][0]))
        number = self._tables.setdefault(key, len(self._tables))
        self.out.tensors[f"table.{number}"] = exponents.table(*key)
        self._store(name, table=np.array([number], np.int32))
        return self.out.tensors[f"table.{number}"]

    def _exponents(self, name: str) -> np.ndarray:
        """Of a layer's result before its activation, a channel each."""
        if name.endswith(".qkv"):
            return np.concatenate([self.steps[f"{name}.{part}"] for part in "qkv"])
        return self.steps[name]

    def _scaled(self, name: str, weight: np.ndarray, e_in: np.ndarray, e_out: np.ndarray,
                energy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Integer weights and the exponents of their accumulators. `energy` [I]: mean square of the inputs."""
        bias = np.abs(self.float.weights[f"{name}.bias"].double().numpy())
        # The finest an accumulator may be: shifts reach 30, and next to no weights a bias must still fit.
        finest = np.maximum(e_out - 30, np.ceil(np.log2(np.maximum(bias, 1e-30))).astype(int) - 28)
        folded = weight * np.exp2(e_in)[:, None, None]
        most = np.maximum(np.abs(folded).reshape(len(folded), -1).max(1), 1e-30)
        limit = (1 << (self.bits(name) - 1)) - 1
        fitting = np.ceil(np.log2(most / (limit + 0.5))).astype(int)
        # A shift is at least 1: where inputs are coarse (z_hat), weights get the bits that takes.
        room = e_out - 1 - fitting
        if (room + MOST_BITS - self.bits(name) < 0).any():
            raise QuantiseError(f"Expected a result less fine than its inputs by far for {name}: its step is too small")
        limits = np.where(room < 0, (1 << (MOST_BITS - 1)) - 1, limit)[:, None, None, None]
        tries = []
        for lower in (0, 1):
            a = np.clip(fitting - lower, finest, e_out - 1)
            unit = np.exp2(a)[:, None, None, None]
            whole = np.clip(np.round(folded / unit), -limits, limits)
            error = (((whole * unit - folded) ** 2).sum((2, 3)) * energy).sum(1)
            tries.append((error, whole, a))
        clip = tries[1][0] < tries[0][0]
        whole = np.where(clip[:, None, None, None], tries[1][1], tries[0][1])
        a = np.where(clip, tries[1][2], tries[0][2])
        return whole.astype(np.int16), a

    def _fit(self, name: str, weight: np.ndarray, x: np.ndarray, e_in: np.ndarray, real: torch.Tensor,
             sums: Callable[[np.ndarray], np.ndarray], matters: Optional[str]) -> tuple[np.ndarray, ...]:
        """Chooses and stores weight, bias and shift of a layer; gives the sums of products, bias, shift, exponents."""
        e_out = self._exponents(name)
        energy = (x.astype(np.float64) ** 2).mean((0, 2, 3))
        whole, a = self._scaled(name, weight, e_in, e_out, energy if weight.shape[1] > 1 else np.ones(1))
        acc = sums(whole)
        at = arithmetic.half(matters, *acc.shape[2:])
        gap = (acc * np.exp2(a)[:, None, None] - real.numpy())[..., at].mean((0, 2))  # = -bias, were all exact
        offset = np.round(-gap * np.exp2(-a))
        if np.abs(offset).max() >= 1 << 31:
            raise QuantiseError(f"Expected biases below 2^31 for {name}")
        shift = (e_out - a).astype(np.int32)
        offset = offset.astype(np.int32)
        check_accumulator(name, whole, offset, shift)
        self._store(name, weight=whole, bias=offset, shift=shift)
        self.out.layers[name] = {"in": runs(e_in), "out": runs(e_out)}
        return acc, offset, shift, e_out

    def _record(self, name: str, pair: Pair, matters: Optional[str] = None) -> Pair:
        at = arithmetic.half(matters, *pair.whole.shape[2:])
        signal = pair.real.numpy()[..., at].std() or 1.0
        self.out.noise[name] = float(np.sqrt((pair.error()[..., at] ** 2).mean()) / signal)
        return pair

    def conv(self, name: str, inputs: Sequence[Pair], *, activation: Optional[str] = None, stride: int = 1,
             padding: Optional[int] = None, shuffle: int = 1, wide: bool = False, residual: Optional[Pair] = None,
             keep: Optional[str] = None, matters: Optional[str] = None) -> Pair:
        weight = self.float.weight(name).double().numpy()
        pad = weight.shape[2] // 2 if padding is None else padding
        x, e_in = np.concatenate([p.whole for p in inputs], 1), np.concatenate([p.e for p in inputs])
        exact = self.float.products(name, [p.real for p in inputs], stride, padding)
        target, attends = exact, name.endswith(".qkv")
        if attends:
            rows = query_rows(len(weight))
            weight = weight * rows[:, None, None, None]
            target = exact * torch.from_numpy(rows).float()[:, None, None]
        acc, offset, shift, e = self._fit(name, weight, x, e_in, target,
                                          lambda w: arithmetic.accumulate(x, w, stride, pad), matters)
        table = self._table(name, activation) if activation else None
        whole = arithmetic.finish(acc, offset, shift, table, shuffle, wide, residual.whole if residual else None, keep)
        real = self.float.finish(name, exact, activation, shuffle, residual.real if residual else None, keep)
        if activation:
            e = self.steps[f"{name}.out"]
        pair = Pair(whole, real, e[:: shuffle**2])
        return pair if attends else self._record(name, pair, matters)

    def depthwise(self, name: str, x: Pair, activation: Optional[str] = None) -> Pair:
        # One input a filter: its step is folded by rows.
        weight = self.float.weight(name).double().numpy() * np.exp2(x.e)[:, None, None, None]
        exact = self.float.filtered(name, x.real)
        acc, offset, shift, e = self._fit(name, weight, x.whole, np.zeros(1, int), exact,
                                          lambda w: arithmetic.accumulate_depthwise(x.whole, w), None)
        self.out.layers[name]["in"] = runs(x.e)
        table = self._table(name, activation) if activation else None
        if activation:
            e = self.steps[f"{name}.out"]
        return self._record(name, Pair(arithmetic.finish(acc, offset, shift, table),
                                       self.float.finish(name, exact, activation), e))

    def requantise(self, name: str, x: Pair) -> Pair:
        e = self.steps[name]
        shift = int(e[0] - x.e[0])
        self._store(name, shift=np.array([shift], np.int32))
        return Pair(arithmetic.requantise(x.whole, shift), x.real, e)

    def layer_norm(self, name: str, x: Pair, matters: Optional[str] = None) -> Pair:
        assert (x.e == x.e[0]).all()
        count = len(x.e)
        unit = NORM_UNIT * np.sqrt(count)
        weight = self.float.weights[f"{name}.weight"].double().numpy() * unit
        bias = self.float.weights[f"{name}.bias"].double().numpy()
        e = self.steps[name]
        most = np.maximum(np.abs(weight) / NORM_LIMIT, np.abs(bias) / (2.0**29 - 2))
        a = np.maximum(np.ceil(np.log2(np.maximum(most, 1e-30))).astype(int), e - 30)
        if (a > e - 1).any():
            raise QuantiseError(f"Expected weights below {NORM_LIMIT} for {name}: its step is too small")
        whole = np.clip(np.round(weight * np.exp2(-a)), -NORM_LIMIT, NORM_LIMIT).astype(np.int16)
        offset, shift = np.round(bias * np.exp2(-a)).astype(np.int32), (e - a).astype(np.int32)
        epsilon = exponents.epsilon(count, int(x.e[0]))
        assert epsilon < 1 << exponents.EPSILON_BITS
        self._store(name, weight=whole, bias=offset, shift=shift, epsilon=np.array([epsilon], np.int32))
        self.out.layers[name] = {"out": runs(e)}
        normed = arithmetic.layer_norm(x.whole, whole, offset, shift, epsilon, self.out.tensors["rsqrt"])
        return self._record(name, Pair(normed, self.float.layer_norm(name, x.real), e), matters)

    def window_attention(self, name: str, qkv: Pair, heads: int) -> Pair:
        d = len(qkv.e) // 3
        shift = exponents.LOGIT - int(qkv.e[0] + qkv.e[d])
        if not 0 <= shift <= 30:
            raise QuantiseError(f"Expected queries and keys finer than their logits for {name}")
        bias = np.round(self.float.weights[f"{name.removesuffix('.attention')}.bias"].double().numpy() * 2.0**-exponents.LOGIT)
        if np.abs(bias).max() > 32767:
            raise QuantiseError(f"Expected biases of at most 128 for {name}")
        exp = arithmetic.exp_table(2.0**exponents.LOGIT)
        self._store(name, bias=bias.astype(np.int16), shift=np.array([shift], np.int32), exp=exp)
        whole = arithmetic.window_attention(qkv.whole, bias.astype(np.int16), shift, exp, heads)
        return self._record(name, Pair(whole, self.float.window_attention(name, qkv.real, heads), qkv.e[2 * d:]))

    def linear_attention(self, name: str, query: Pair, key: Pair, value: Pair, heads: int, split: bool) -> Pair:
        assert query.e[0] == key.e[0]
        e = self.steps[name]
        shift = int(e[0] - value.e[0] + 18)
        if not 0 <= shift <= 30:
            raise QuantiseError(f"Expected a shift of 0..30 for {name} but received {shift}")
        exp = arithmetic.exp_table(2.0 ** int(key.e[0]))
        self._store(name, shift=np.array([shift], np.int32), exp=exp)
        whole = arithmetic.linear_attention(query.whole, key.whole, value.whole, shift, exp, heads, split)
        real = self.float.linear_attention(name, query.real, key.real, value.real, heads, split)
        return self._record(name, Pair(whole, real, e), "nonAnchor" if split else None)

    def mask(self, x: Pair, keep: str) -> Pair:
        return Pair(x.whole * arithmetic.half(keep, *x.whole.shape[2:]), self.float.mask(x.real, keep), x.e)

    def slice(self, x: Pair, first: int, count: int) -> Pair:
        at = slice(first, first + count)
        return Pair(x.whole[:, at], x.real[:, at], x.e[at])

    def dequantise(self, symbols: Pair, params: Pair, keep: str, base: Optional[Pair]) -> Pair:
        """Both ways alike: the next layers are fitted to what a decoder will hand them."""
        return self.exact(arithmetic.dequantise(symbols.whole, params.whole, keep, base.whole if base else None), exponents.MEAN)

    def concat(self, parts: Sequence[Pair]) -> Pair:
        return Pair(np.concatenate([p.whole for p in parts], 1), torch.cat([p.real for p in parts], 1),
                    np.concatenate([p.e for p in parts]))

    @staticmethod
    def exact(whole: np.ndarray, e: int) -> Pair:
        """Integers whose real values are their own."""
        return Pair(whole, torch.from_numpy(whole * 2.0**e).float(), np.full(whole.shape[1], e))


def thresholds() -> np.ndarray:
    """Where one of the 64 scales gives way to the next: their geometric mean, in units of the scale output.

    Each scale is so coded with the nearest one in ratio; taking the next larger one instead costs over half a per
    cent of the bits. The last entry is out of reach.
    """
    scales = scale_table().astype(np.float64)
    return np.append(np.round(np.sqrt(scales[:-1] * scales[1:]) * 2.0**-exponents.SCALE), 1 << 30).astype(np.int32)


def quantise(model: Cleric, latents: Latents, bits: Callable[[str], int] = lambda name: BITS) -> Quantised:
    """The integer entropy model of a float one, fitted to latents; its coding tables are Gaussian, see `fit_tables`."""
    chosen = exponents.choose(model.config, samples(model, latents))
    ops = Quantiser(model, chosen, bits)
    ops.out.tensors.update(gauss_tables())
    ops.out.tensors["scales.thresholds"] = thresholds()
    d, zones = model.config.d, dead_zones(ops.out.tensors)

    def code(i: int, keep: str, params: Pair) -> Pair:
        index = arithmetic.scale_index(params.whole, ops.out.tensors["scales.thresholds"], keep)
        return ops.exact(arithmetic.quantise(latents.y[:, d * i:d * (i + 1)], params.whole, index, zones, keep), 0)

    with torch.no_grad():
        walk(ops, model.config, ops.exact(np.round(latents.z).astype(np.int64), 0), code)
    return ops.out


def fit_tables(config: Config, tensors: dict[str, np.ndarray], latents: Latents) -> None:
    """Replaces the Gaussian tables of an integer entropy model by those that suit what it codes of latents."""
    for _ in range(TABLE_ROUNDS):
        coded = encode(config, tensors, latents.y, latents.z)
        tensors.update(fitted_tables(dead_zones(tensors), size_counts(coded.symbols, coded.indexes)))
