"""From a model file's integers back to the floats that training goes on from."""
from __future__ import annotations

from typing import Any, Mapping, Sequence

import numpy as np

from .exponents import LOGIT, query_scale

NORM_UNIT = 2.0**-14  # of a normalised vector's integers, times the root of its channels


def runs(e: np.ndarray) -> list[list[int]]:
    """Run lengths of exponents: [[count, exponent], ...]."""
    starts = np.flatnonzero(np.diff(e, prepend=e[0] - 1))
    return [[int(n), int(e[s])] for s, n in zip(starts, np.diff(np.append(starts, len(e))))]


def unroll(pairs: Sequence[Sequence[int]]) -> np.ndarray:
    """Inverse of `runs`."""
    return np.repeat([e for _, e in pairs], [n for n, _ in pairs])


def query_rows(count: int) -> np.ndarray:
    """What the rows of a window attention's qkv are multiplied by: the queries' scale, then 1."""
    d = count // 3
    return np.where(np.arange(count) < d, query_scale(d), 1.0)


def dequantise(tensors: Mapping[str, np.ndarray], layers: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Weights and biases of the entropy model by their state_dict names, float32 (linear layers as 1x1 convs).

    `layers`: the metadata `quantisation`, by layer `out`, the exponents of its results before any activation, and
    `in`, those of its inputs (layer norms have none, they norm them away).
    """
    out: dict[str, np.ndarray] = {}
    for name, exponents in layers.items():
        weight, bias, shift = (tensors[f"{name}.{part}"].astype(np.float64) for part in ("weight", "bias", "shift"))
        unit = np.exp2(unroll(exponents["out"]) - shift)  # of the accumulator
        rows = 1 / query_rows(len(weight)) if name.endswith(".qkv") else np.ones(len(weight))
        if "in" not in exponents:
            weight = weight * unit / (NORM_UNIT * np.sqrt(len(weight)))
        else:
            step = np.exp2(unroll(exponents["in"]))[:, None, None]
            if weight.shape[1] == 1 and len(step) == len(weight):  # depthwise: one input a filter
                step = step[:, None]
            weight = weight * (unit * rows)[:, None, None, None] / step
        out[f"{name}.weight"], out[f"{name}.bias"] = weight.astype(np.float32), (bias * unit * rows).astype(np.float32)
    for name, value in tensors.items():
        if name.endswith(".attention.bias"):
            out[f"{name.removesuffix('.attention.bias')}.bias"] = (value * 2.0**LOGIT).astype(np.float32)
    return out
