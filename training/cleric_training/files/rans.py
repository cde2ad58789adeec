"""The coder of native/entropy/rans.h in NumPy: many streams side by side, as a step of one takes as long as of a thousand.

Tables are those of a model file: `values` [.] cumulative frequencies, `offset`, `size` and `min` [tables], all int.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import Mapping

import numpy as np

SLOT_BITS = 16
SLOTS = 1 << SLOT_BITS
LEAST_STATE = 1 << 24
STATE_BYTES = 4
BYPASS = SLOTS >> 1  # frequency of each value of a bypass bit
MOST_ZEROS = 16  # of an escaped value


class CorruptStream(ValueError):
    """Bytes that no encoder with these tables wrote."""


@dataclass(frozen=True)
class Tables:
    values: np.ndarray
    offset: np.ndarray
    size: np.ndarray  # the escape included
    least: np.ndarray

    @staticmethod
    def of(tensors: Mapping[str, np.ndarray], name: str) -> Tables:
        """The tables NAME.values and so on of a file, checked."""
        values, offset, size, least = (tensors[f"{name}.{part}"].astype(np.int64) for part in ("values", "offset", "size", "min"))
        tables = Tables(values, offset, size, least)
        for at, symbols in zip(offset, size):
            table = values[at:at + symbols + 1] if at >= 0 and symbols >= 1 else values[:0]
            if len(table) != symbols + 1 or table[0] != 0 or table[-1] != SLOTS or (np.diff(table) < 1).any():
                raise CorruptStream(f"Expected a table from 0 to {SLOTS} for {name} but received another")
        return tables


def _bit_length(v: np.ndarray) -> np.ndarray:
    """Of positive integers below 2^53."""
    return np.frexp(v.astype(np.float64))[1].astype(np.int64)


def _steps(symbols: np.ndarray, indexes: np.ndarray, tables: Tables) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(start, frequency) of every step of the coder, and how many steps each symbol takes."""
    at = symbols.astype(np.int64) - tables.least[indexes]
    escape = tables.size[indexes] - 1
    inside = (at >= 0) & (at < escape)
    slot = tables.offset[indexes] + np.where(inside, at, escape)
    out = np.flatnonzero(~inside)
    beyond = np.where(at[out] < 0, -at[out], at[out] - escape[out] + 1)  # u + 1
    bits = 2 * _bit_length(beyond)  # the sign, the zeros, and beyond itself
    code = np.where(at[out] < 0, 1 << (bits - 1), 0) | beyond
    taken = np.ones(len(symbols), np.int64)
    taken[out] += bits
    ends = np.cumsum(taken)
    start = np.empty(ends[-1] if len(ends) else 0, np.int64)
    bypassed = np.ones(len(start), bool)
    bypassed[ends - taken] = False
    start[~bypassed] = tables.values[slot]
    place = np.arange(bits.sum()) - np.repeat(np.cumsum(bits) - bits, bits)
    start[bypassed] = BYPASS * ((np.repeat(code, bits) >> (np.repeat(bits, bits) - 1 - place)) & 1)
    frequency = np.full(len(start), BYPASS, np.int64)
    frequency[~bypassed] = tables.values[slot + 1] - tables.values[slot]
    return start, frequency, taken


def encode(symbols: np.ndarray, indexes: np.ndarray, tables: Tables, length: int) -> list[bytes]:
    """Streams of `length` symbols each, the last one of what is left; symbol i, an int16, under table `indexes[i]`."""
    start, frequency, taken = _steps(symbols, indexes, tables)
    firsts = np.arange(0, len(symbols), length)
    ends = np.append(np.add.reduceat(taken, firsts) if len(firsts) else [], 0)[:len(firsts)].astype(np.int64)
    lanes, longest = len(firsts), int(ends.max(initial=0))
    # A step of frequency 2^16 changes nothing: it fills the shorter streams up.
    starts, frequencies = np.zeros((longest, lanes), np.int64), np.full((longest, lanes), SLOTS, np.int64)
    begin = 0
    for lane, count in enumerate(ends):
        starts[:count, lane], frequencies[:count, lane] = start[begin:begin + count], frequency[begin:begin + count]
        begin += count
    x = np.full(lanes, LEAST_STATE, np.int64)
    written, used = np.zeros((lanes, 2 * longest), np.uint8), np.zeros(lanes, np.int64)
    for s, f in zip(starts[::-1], frequencies[::-1]):
        while len(full := np.flatnonzero(x >= f << SLOT_BITS)):
            written[full, used[full]] = x[full] & 255
            used[full] += 1
            x[full] >>= 8
        whole, rest = np.divmod(x, f)
        x = (whole << SLOT_BITS) + s + rest
    return [int(x[n]).to_bytes(STATE_BYTES, "little") + written[n, :used[n]][::-1].tobytes() for n in range(lanes)]


def decode(streams: np.ndarray, lengths: np.ndarray, indexes: np.ndarray, tables: Tables, length: int) -> np.ndarray:
    """The symbols of streams that lie end to end, uint8, of `lengths` bytes each: int16, as many as `indexes`.

    Raises CorruptStream.
    """
    lanes = len(lengths)
    if lanes != -(-len(indexes) // length) or lengths.sum() != len(streams) or (lengths < STATE_BYTES).any():
        raise CorruptStream("Expected other lengths of the streams")
    if len(indexes) and int(indexes.max()) >= len(tables.size):
        raise CorruptStream("Expected a table for every symbol")
    ends = np.cumsum(lengths.astype(np.int64))
    next_byte = ends - lengths
    data = np.append(streams, np.zeros(STATE_BYTES, np.uint8)).astype(np.int64)
    x = sum((data[next_byte + n] << 8 * n for n in range(STATE_BYTES)), np.zeros(lanes, np.int64))
    next_byte += STATE_BYTES
    if (x < LEAST_STATE).any():
        raise CorruptStream("Expected a state within its range at the start of a stream")
    owner = np.concatenate([np.repeat(np.arange(size, dtype=np.int32), np.diff(tables.values[at:at + size + 1]))
                            for at, size in zip(tables.offset, tables.size)])
    table = np.zeros(lanes * length, np.int64)
    table[:len(indexes)] = indexes
    table = np.ascontiguousarray(table.reshape(lanes, length).T)
    symbols = np.zeros((length, lanes), np.int16)
    live = lanes
    for n in range(min(length, len(indexes))):
        if n == len(indexes) - (lanes - 1) * length:  # the last stream's end
            live = lanes - 1
            settled = x[live:], next_byte[live:]
            x, next_byte = x[:live], next_byte[:live]
        t = table[n, :live]
        slot = x & SLOTS - 1
        symbol = owner[(t << SLOT_BITS) + slot]
        at = tables.offset[t] + symbol
        first = tables.values[at]
        x = (tables.values[at + 1] - first) * (x >> SLOT_BITS) + slot - first
        _refill(x, next_byte, data)
        value = tables.least[t] + symbol
        for lane in (symbol == tables.size[t] - 1).nonzero()[0]:
            value[lane] = _escaped(x, next_byte, data, int(lane), int(tables.least[t[lane]]), int(symbol[lane]))
        symbols[n, :live] = value
    if live < lanes:
        x, next_byte = np.append(x, settled[0]), np.append(next_byte, settled[1])
    if (x != LEAST_STATE).any() or (next_byte != ends).any():
        raise CorruptStream("Expected every stream to end in the state that it began with")
    return symbols.T.reshape(-1)[:len(indexes)]


def _refill(x: np.ndarray, next_byte: np.ndarray, data: np.ndarray) -> None:
    while len(low := (x < LEAST_STATE).nonzero()[0]):
        if int(next_byte[low].max()) >= len(data):
            raise CorruptStream("Expected more bytes in a stream")
        x[low] = x[low] << 8 | data[next_byte[low]]
        next_byte[low] += 1


def _escaped(x: np.ndarray, next_byte: np.ndarray, data: np.ndarray, lane: int, least: int, escape: int) -> int:
    """A value outside its table; few are, so that this lane's state may leave NumPy for Python's numbers."""
    state, place = int(x[lane]), int(next_byte[lane])

    def bit() -> int:
        nonlocal state, place
        slot = state & SLOTS - 1
        state = BYPASS * (state >> SLOT_BITS) + slot % BYPASS
        while state < LEAST_STATE:
            if place >= len(data):
                raise CorruptStream("Expected more bytes in a stream")
            state = state << 8 | int(data[place])
            place += 1
        return slot // BYPASS

    below, zeros = bit(), 0
    while not bit():
        zeros += 1
        if zeros > MOST_ZEROS:
            raise CorruptStream("Expected a shorter code of an escaped value")
    code = 1
    for _ in range(zeros):
        code = 2 * code + bit()
    x[lane], next_byte[lane] = state, place
    value = least - code if below else least + escape + code - 1
    if not -2**15 <= value < 2**15:
        raise CorruptStream("Expected an escaped value within int16")
    return value
