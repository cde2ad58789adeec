"""Bits that native/entropy/rans.h spends on symbols under a model file's tables, to a hundredth of a per cent."""
from __future__ import annotations

from typing import Mapping

import numpy as np

from ..integer.oracle import Coded
from ..integer.tables import TOTAL


class CodeLength:
    """Bits of symbols, by the table of each: `kind` 'y' or 'z', as tables.pack names them."""

    def __init__(self, tensors: Mapping[str, np.ndarray], kind: str) -> None:
        values, offset, size, self._min = (tensors[f"cdf.{kind}.{part}"].astype(np.int64)
                                           for part in ("values", "offset", "size", "min"))
        self._bits = [-np.log2(np.diff(values[o:o + n + 1]) / TOTAL) for o, n in zip(offset, size)]

    def __call__(self, symbols: np.ndarray, index: np.ndarray) -> float:
        """Total over symbols, each under the table that `index`, of the same shape, names."""
        total = 0.0
        for number in np.unique(index):
            bits, at = self._bits[number], symbols[index == number] - self._min[number]
            last = len(bits) - 1  # the escape
            beyond = np.where(at < 0, -at - 1, at - last)
            outside = beyond[(at < 0) | (at >= last)]
            inside = at[(at >= 0) & (at < last)]
            # After the escape a sign and an Exp-Golomb code of order 0.
            total += bits[inside].sum() + len(outside) * bits[last] + (2 + 2 * np.floor(np.log2(outside + 1))).sum()
        return float(total)


def coded_bits(tensors: Mapping[str, np.ndarray], coded: Coded) -> float:
    """Bits of all latents and hyper-latents."""
    channels = np.broadcast_to(np.arange(coded.z_hat.shape[1])[:, None, None], coded.z_hat.shape)
    return CodeLength(tensors, "y")(coded.symbols, coded.indexes) + CodeLength(tensors, "z")(coded.z_hat, channels)
