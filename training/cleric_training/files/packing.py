"""Weights as a packed model file holds them: entropy-coded integers (docs/model-format.md).

A tensor's rows belong to the first dimension, its columns to the second. Each row and each column has a level, and a
value is coded under the table whose number is the sum of its row's and its column's level: weights are about as large as
their output channel's and their input channel's typical size have them. Tables are half an octave apart.

Float16 is packed where each row's values are integers times a power of two (`halves.py` makes them so). Everything is
lossless: what can't be packed stays as it is.
"""
from __future__ import annotations

import json
import math
from typing import Mapping, Optional, Sequence

import numpy as np

from ..integer.tables import TOTAL, quantise
from ..integer.tables import pack as table_pack
from . import rans, safetensors

STREAM = 1 << 14  # values in a stream
MOST = 32767  # magnitude of a value
LEVELS_AN_OCTAVE = 2
LEAST_SIZE = 2.0**-4  # typical size under table 0: nearly all of its values are zero
MOST_TABLE = 32  # of typical size 2^12: tables of larger ones would take more than they save
LEAST_EXPONENT = -24  # of float16
LARGEST_SHARE = 0.5  # of a table that one value may have: none takes less than a bit, or small files could stand for large ones
REACHES = (0.75, 1, 1.5, 2, 2.5, 3, 3.5, 4, 5, 6, 8)  # of tables, in typical sizes
PRIOR = 30.0  # symbols that a smooth density is worth, next to those counted


def as_integers(tensor: np.ndarray) -> Optional[tuple[np.ndarray, np.ndarray]]:
    """Integers [rows, columns, rest] and the exponents of the rows ([0] for int16) that a tensor is made of.

    None where it isn't, or is larger than packing pays for.
    """
    if tensor.dtype not in (np.int16, np.float16) or tensor.ndim < 2 or not tensor.size:
        return None
    shape = (*tensor.shape[:2], -1)
    if tensor.dtype == np.int16:
        whole, exponents = tensor.astype(np.int64), np.zeros(0, np.int16)
    else:
        if not np.isfinite(tensor).all() or ((tensor == 0) & np.signbit(tensor)).any():
            return None
        units = (tensor.astype(np.float64) * 2.0**-LEAST_EXPONENT).astype(np.int64).reshape(len(tensor), -1)
        every = np.bitwise_or.reduce(np.abs(units), axis=1)
        zeros = np.log2(np.where(every == 0, 2.0**-LEAST_EXPONENT, every & -every)).astype(np.int64)
        whole, exponents = units >> zeros[:, None], (zeros + LEAST_EXPONENT).astype(np.int16)
    if np.abs(whole).max() > MOST:
        return None
    row, column = levels(whole.reshape(shape))
    return (whole.reshape(shape), exponents) if row.max() + column.max() <= MOST_TABLE else None


def levels(whole: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Levels of the rows and of the columns of integers [rows, columns, rest], none below zero."""
    energy = (whole.astype(np.float64) ** 2).mean(2)
    rows = np.maximum(energy.mean(1), LEAST_SIZE**2)
    columns = np.maximum((energy / rows[:, None]).mean(0), LEAST_SIZE**2)
    row, column = (np.round(LEVELS_AN_OCTAVE / 2 * np.log2(e)).astype(np.int64) for e in (rows, columns))
    # Only their sum counts.
    row += column.min() - level_of(LEAST_SIZE)
    return np.maximum(row, 0), column - column.min()


def level_of(size: float) -> int:
    return round(LEVELS_AN_OCTAVE * math.log2(size))


def table_for(counts: np.ndarray, size: float) -> tuple[int, np.ndarray]:
    """(min, cumulative frequencies) of values counted by magnitude, counts [MOST + 1], of typically that size.

    Its reach is what takes the fewest bits, those of the table included.
    """
    total = counts.sum()
    if not total:
        return 0, np.array([0, TOTAL], np.int32)  # nothing but the escape
    last = int(np.flatnonzero(counts)[-1])
    edges = np.maximum(np.arange(MOST + 2) - 0.5, 0)
    mass = counts - PRIOR * np.diff(np.exp(-math.sqrt(2) / size * edges))  # Laplace's density
    best: tuple[float, int, np.ndarray] = (math.inf, 0, np.zeros(0, np.int32))
    for reach in sorted({min(last, math.ceil(r * size)) for r in REACHES}):
        inside, beyond = mass[:reach + 1], mass[reach + 1:].sum()
        both = np.concatenate([inside[:0:-1] / 2, inside[:1], inside[1:] / 2, [beyond]])
        both /= both.sum()
        # What a symbol has above a half goes to the escape.
        both[-1] += np.maximum(0, both[:-1] - LARGEST_SHARE).sum()
        table = quantise(np.minimum(both, LARGEST_SHARE))
        bits = -np.log2(np.diff(table) / TOTAL)
        beyond_counts = counts[reach + 1:]
        escapes = beyond_counts @ (bits[-1] + 2 * np.frexp(np.arange(1, len(beyond_counts) + 1))[1])
        cost = counts[:reach + 1] @ bits[reach:2 * reach + 1] + escapes + 32 * len(table)
        if cost < best[0]:
            best = (cost, -reach, table)
    return best[1], best[2]


def table_numbers(shapes: Sequence[tuple[int, ...]], rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """The table of each value of tensors that have these shapes, uint8."""
    found, row, column = [np.zeros(0, np.uint8)], 0, 0
    for shape in shapes:
        sums = rows[row:row + shape[0], None] + columns[None, column:column + shape[1]]
        found.append(np.repeat(sums.ravel(), math.prod(shape[2:])).astype(np.uint8))
        row, column = row + shape[0], column + shape[1]
    return np.concatenate(found)


def pack(tensors: Mapping[str, np.ndarray]) -> tuple[dict[str, np.ndarray], str]:
    """What a file stores in place of `tensors`, by its names there, and the list of what is packed (metadata `packed`)."""
    integers = {name: found for name in sorted(tensors) if (found := as_integers(tensors[name]))}
    stored = {name: value for name, value in tensors.items() if name not in integers}
    listed = [[name, safetensors.type_name(tensors[name]), list(tensors[name].shape)] for name in integers]
    both = [levels(whole) for whole, _ in integers.values()]
    rows, columns = (np.concatenate([np.zeros(0, np.int64), *(pair[n] for pair in both)]) for n in (0, 1))
    values = np.concatenate([np.zeros(0, np.int64), *(whole.ravel() for whole, _ in integers.values())])
    numbers = table_numbers([tensors[name].shape for name in integers], rows, columns)
    counts = np.bincount(numbers.astype(np.int64) * (MOST + 1) + np.abs(values), minlength=1).astype(np.float64)
    counts = np.append(counts, np.zeros(-len(counts) % (MOST + 1))).reshape(-1, MOST + 1)
    made = table_pack("", [table_for(row, LEAST_SIZE * 2 ** (n / LEVELS_AN_OCTAVE)) for n, row in enumerate(counts)])
    tables = {name.replace("cdf..", "packed.tables."): value for name, value in made.items()}
    streams = rans.encode(values, numbers, rans.Tables.of(tables, "packed.tables"), STREAM)
    exponents = np.concatenate([np.zeros(0, np.int16), *(e for _, e in integers.values())])
    stored.update(tables)
    stored.update({"packed.streams": np.frombuffer(b"".join(streams), np.uint8),
                   "packed.lengths": np.array([len(s) for s in streams], np.int32),
                   "packed.rows": rows.astype(np.uint8), "packed.columns": columns.astype(np.uint8),
                   "packed.exponents": exponents.astype(np.int16)})
    return stored, json.dumps(listed, separators=(",", ":"))


def unpack(stored: Mapping[str, np.ndarray], listed: str) -> dict[str, np.ndarray]:
    """The inverse of `pack`. Raises CorruptStream where streams, tables and lengths don't agree."""
    packed = json.loads(listed)
    shapes = [tuple(shape) for _, _, shape in packed]
    numbers = table_numbers(shapes, stored["packed.rows"].astype(np.int64), stored["packed.columns"].astype(np.int64))
    values = rans.decode(stored["packed.streams"], stored["packed.lengths"], numbers,
                         rans.Tables.of(stored, "packed.tables"), STREAM)
    tensors = {name: value for name, value in stored.items() if not name.startswith("packed.")}
    at = row = 0
    for (name, dtype, _), shape in zip(packed, shapes):
        whole = values[at:at + math.prod(shape)].reshape(shape)
        if dtype == "F16":
            exponents = stored["packed.exponents"][row:row + shape[0]].astype(np.float64)
            whole = (whole * np.exp2(exponents).reshape(-1, *[1] * (len(shape) - 1))).astype(np.float16)
            row += shape[0]
        tensors[name] = whole
        at += whole.size
    return tensors
