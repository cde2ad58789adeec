"""The integer ops of the entropy model: small, slow, obvious. Backends must meet them bit for bit.

Tensors are int64 arrays [B, C, H, W] (B counts images). An *activation* has 12 bits, -2048..2047; a
*wide* tensor +-2^20. Every value that a backend holds in 32 bits is asserted to fit. Matrix products run
in float64 through BLAS, which is exact here: all operands are integers, every partial sum of whatever
order is below 2^31 in absolute value, and float64 holds integers up to 2^53.
"""
from __future__ import annotations

from typing import Optional, Sequence

import numpy as np
from numpy.typing import ArrayLike

ACTIVATION = 2048
WIDE = 1 << 20
WINDOW = 5
OUTSIDE = 65536  # what a logit loses where not both query and key are anchors
EXP_ONE = 1 << 14
TABLE = 4096


def i32(v: np.ndarray) -> np.ndarray:
    """`v`, which must fit a signed 32-bit integer."""
    assert v.size == 0 or (-(1 << 31) <= v.min() and v.max() < 1 << 31), "overflow of i32"
    return v


def u32(v: np.ndarray) -> np.ndarray:
    """`v`, which must fit an unsigned 32-bit integer."""
    assert v.size == 0 or (v.min() >= 0 and v.max() < 1 << 32), "overflow of u32"
    return v


def rshift(v: np.ndarray, s: ArrayLike) -> np.ndarray:
    """v / 2^s, rounded, halves up; `s` in 0..30 broadcasts."""
    s = np.asarray(s, np.int64)
    assert s.min() >= 0 and s.max() <= 30
    return i32(i32(v) + np.where(s > 0, 1 << np.maximum(s - 1, 0), 0)) >> s


def clamp12(v: np.ndarray) -> np.ndarray:
    return np.clip(v, -ACTIVATION, ACTIVATION - 1)


def clamp_wide(v: np.ndarray) -> np.ndarray:
    return np.clip(v, -WIDE, WIDE)


def anchors(h: int, w: int) -> np.ndarray:
    """Bool [h, w], true where row + column is odd."""
    return (np.arange(h)[:, None] + np.arange(w)) % 2 == 1


def half(keep: Optional[str], h: int, w: int) -> np.ndarray:
    """Bool [h, w]: what `keep` ('anchor', 'nonAnchor' or None for all) keeps."""
    return np.ones((h, w), bool) if keep is None else anchors(h, w) == (keep == "anchor")


def column(v: np.ndarray) -> np.ndarray:
    """Values a channel [C] -> [C, 1, 1]."""
    return np.asarray(v, np.int64)[:, None, None]


def pixel_shuffle(x: np.ndarray, r: int) -> np.ndarray:
    b, c, h, w = x.shape
    return x.reshape(b, c // r**2, r, r, h, w).transpose(0, 1, 4, 2, 5, 3).reshape(b, c // r**2, h * r, w * r)


def accumulate(x: np.ndarray, weight: np.ndarray, stride: int, padding: int) -> np.ndarray:
    """Sums of products of a convolution, tap by tap: x [B, I, H, W], weight [O, I, k, k] -> [B, O, H', W']."""
    b, c, h, w = x.shape
    k = weight.shape[2]
    padded = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding))).astype(np.float64)
    oh, ow = (h + 2 * padding - k) // stride + 1, (w + 2 * padding - k) // stride + 1
    acc = np.zeros((b, weight.shape[0], oh * ow))
    for row in range(k):
        for col in range(k):
            tap = padded[:, :, row:row + stride * (oh - 1) + 1:stride, col:col + stride * (ow - 1) + 1:stride]
            acc += weight[:, :, row, col].astype(np.float64) @ tap.reshape(b, c, oh * ow)
    return acc.astype(np.int64).reshape(b, -1, oh, ow)


def conv(inputs: Sequence[np.ndarray], weight: np.ndarray, bias: np.ndarray, shift: np.ndarray,
         table: Optional[np.ndarray] = None, stride: int = 1, padding: Optional[int] = None, shuffle: int = 1,
         wide: bool = False, residual: Optional[np.ndarray] = None, keep: Optional[str] = None) -> np.ndarray:
    """Convolution over the concatenation of `inputs`, requantised, looked up, added to a residual."""
    x = np.concatenate(inputs, 1)
    assert np.abs(x).max() <= ACTIVATION
    acc = accumulate(x, weight, stride, weight.shape[2] // 2 if padding is None else padding)
    return finish(acc, bias, shift, table, shuffle, wide, residual, keep)


def finish(acc: np.ndarray, bias: np.ndarray, shift: np.ndarray, table: Optional[np.ndarray] = None, shuffle: int = 1,
           wide: bool = False, residual: Optional[np.ndarray] = None, keep: Optional[str] = None) -> np.ndarray:
    """All of a convolution but its sums of products `acc`."""
    v = rshift(i32(acc + column(bias)), column(shift))
    if table is not None:
        v = np.asarray(table, np.int64)[clamp12(v) + ACTIVATION]
    else:
        v = clamp_wide(v) if wide else clamp12(v)
    v = pixel_shuffle(v * half(keep, *v.shape[2:]), shuffle)
    if residual is not None:
        v = residual + v
    return v if wide else clamp12(v)


def depthwise(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, shift: np.ndarray,
              table: Optional[np.ndarray] = None) -> np.ndarray:
    """3x3, padding 1, one filter a channel: weight [C, 1, 3, 3]."""
    assert np.abs(x).max() <= ACTIVATION
    return finish(accumulate_depthwise(x, weight), bias, shift, table)


def accumulate_depthwise(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    h, w = x.shape[2:]
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    return sum(column(weight[:, 0, r, c]) * padded[:, :, r:r + h, c:c + w] for r in range(3) for c in range(3))


def requantise(x: np.ndarray, shift: int) -> np.ndarray:
    """To an activation of a coarser step."""
    return clamp12(rshift(x, shift))


def bit_length(v: np.ndarray) -> np.ndarray:
    """Bits of positive integers below 2^53."""
    return np.frexp(v.astype(np.float64))[1].astype(np.int64)


def rsqrt_table() -> np.ndarray:
    """2^23 / sqrt(W) for the middle of each run of 128 W in [2^14, 2^16), int32 [384]."""
    middles = (np.arange(384) + 128.5) * 128
    return np.minimum(65535, np.round(2.0**23 / np.sqrt(middles))).astype(np.int32)


def normalise(x: np.ndarray, epsilon: int, rsqrt: np.ndarray) -> np.ndarray:
    """x minus its mean over the channels, over the norm of that, in 2^-14; |x| < 2^24.

    `epsilon`, in 2^-10 of x^2 and below 2^20, is added to the square of the norm.
    """
    assert np.abs(x).max() < 1 << 24 and 0 <= epsilon < 1 << 20
    c = x.shape[1]
    a = np.abs(x).max(1, keepdims=True)
    e = bit_length(np.maximum(a, 1)) - 11
    coarse = np.where(e > 0, rshift(x, np.maximum(e, 0)), x << np.maximum(-e, 0))
    assert np.abs(coarse).max() <= 2048
    total = coarse.sum(1, keepdims=True)
    mean = u32(4 * (total + 2048 * c) + (c >> 1)) // c - 8192
    u = 4 * coarse - mean
    k = 10 + 2 * e  # the norm is of x / 2^e
    small = np.where(k >= 0, epsilon >> np.clip(k, 0, 31), epsilon << np.maximum(-k, 0))
    v = u32((i32(u * u + 8) >> 4).sum(1, keepdims=True) + small)
    # t: V / 4^t lies in [2^14, 2^16)
    t = (bit_length(np.maximum(v, 1)) - 15) >> 1
    w = np.where(t > 0, v >> np.maximum(2 * t, 0), v << np.maximum(-2 * t, 0))
    g0 = rsqrt.astype(np.int64)[np.where(v == 0, 0, (w >> 7) - 128)]
    h = u32(g0 * g0) >> 16
    p = u32(w * h) >> 16
    g = u32(g0 * ((3 << 14) - p)) >> 15
    return np.where((a == 0) | (v == 0), 0, rshift(i32(u * g), np.where(v == 0, 11, t + 11)))


def layer_norm(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, shift: np.ndarray, epsilon: int,
               rsqrt: np.ndarray) -> np.ndarray:
    """LayerNorm over the channels."""
    n = normalise(x, epsilon, rsqrt)
    return clamp12(rshift(i32(i32(n * column(weight)) + column(bias)), column(shift)))


def exp_table(step: float) -> np.ndarray:
    """2^14 exp(-i step), int16 [4096]; the last entry is 0."""
    table = np.round(EXP_ONE * np.exp(-np.arange(TABLE) * step)).astype(np.int16)
    table[-1] = 0
    return table


def softmax_terms(x: np.ndarray, exp: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Numerators e and their sum T over `axis`."""
    e = exp.astype(np.int64)[np.minimum(TABLE - 1, x.max(axis, keepdims=True) - x)]
    return e, u32(e.sum(axis, keepdims=True))


def shares(e: np.ndarray, total: np.ndarray, bits: int) -> np.ndarray:
    """e / total in 2^-bits, rounded."""
    return u32((e << bits) + (total >> 1)) // total


def relative_positions() -> np.ndarray:
    """Of query and key tap: int [25, 25] into the 81 rows of a window's bias."""
    row, col = np.divmod(np.arange(WINDOW**2), WINDOW)
    return (row[:, None] - row + WINDOW - 1) * (2 * WINDOW - 1) + col[:, None] - col + WINDOW - 1


def window_attention(qkv: np.ndarray, bias: np.ndarray, shift: int, exp: np.ndarray, heads: int) -> np.ndarray:
    """Attention inside the window round each non-anchor: [B, 3d, H, W] -> [B, d, 5H, 5W], blocks of 5x5.

    Blocks of anchors are zero; nobody needs them.
    """
    b, channels, h, w = qkv.shape
    d, k = channels // 3, WINDOW**2
    hd = d // heads
    assert hd <= 256
    reach = WINDOW // 2
    edge = ((reach, reach), (reach, reach))
    window = np.lib.stride_tricks.sliding_window_view
    views = window(np.pad(qkv, ((0, 0), (0, 0), *edge)), (WINDOW, WINDOW), (2, 3))
    is_anchor = window(np.pad(anchors(h, w), edge), (WINDOW, WINDOW))
    rows, cols = np.nonzero(~anchors(h, w))
    seen = is_anchor[rows, cols].reshape(-1, k)
    both = seen[:, :, None] & seen[:, None, :]
    # [b, 3, heads, hd, places, 25] -> three of [b, places, heads, 25, hd]
    taken = views[:, :, rows, cols].reshape(b, 3, heads, hd, len(rows), k).transpose(1, 0, 4, 2, 5, 3).astype(np.float64)
    q, key, value = taken
    dot = i32((q @ key.swapaxes(-1, -2)).astype(np.int64))
    logits = rshift(dot, shift) + bias.astype(np.int64)[relative_positions()].transpose(2, 0, 1)
    logits = i32(logits - np.where(both, 0, OUTSIDE)[:, None])
    p = shares(*softmax_terms(logits, exp, -1), 16)
    result = rshift(i32((p.astype(np.float64) @ value).astype(np.int64)), 16)
    assert np.abs(result).max(initial=0) <= ACTIVATION
    out = np.zeros((b, d, h, w, WINDOW, WINDOW), np.int64)
    blocks = result.transpose(0, 2, 4, 1, 3).reshape(b, d, len(rows), WINDOW, WINDOW)
    out[:, :, rows, cols] = blocks
    return out.transpose(0, 1, 2, 4, 3, 5).reshape(b, d, h * WINDOW, w * WINDOW)


def linear_attention(query: np.ndarray, key: np.ndarray, value: np.ndarray, shift: int, exp: np.ndarray, heads: int,
                     split: bool = False) -> np.ndarray:
    """(softmax_positions(k) v^T)^T softmax_channels(q); with `split` keys at anchors, queries at the others."""
    b, c, h, w = query.shape
    hd = c // heads
    assert h * w <= 4096 and hd <= 256
    counted = half("anchor" if split else None, h, w).ravel()
    asking = half("nonAnchor" if split else None, h, w).ravel()
    parts = (b, heads, hd, -1)
    k, v = (t.reshape(b, c, -1)[:, :, counted].reshape(parts) for t in (key, value))
    q = query.reshape(b, c, -1)[:, :, asking].reshape(parts)
    pk = shares(*softmax_terms(k, exp, 3), 17)
    context = rshift(i32((pk.astype(np.float64) @ v.swapaxes(2, 3).astype(np.float64)).astype(np.int64)), 11)
    pq = shares(*softmax_terms(q, exp, 2), 12)
    acc = i32((context.swapaxes(2, 3).astype(np.float64) @ pq.astype(np.float64)).astype(np.int64))
    out = np.zeros((b, c, h * w), np.int64)
    out[:, :, asking] = clamp12(rshift(acc, shift)).reshape(b, c, -1)
    return out.reshape(query.shape)


def scale_index(params: np.ndarray, thresholds: np.ndarray, keep: str) -> np.ndarray:
    """Index into the 64 scales: how many thresholds are below the scale; zero off `keep`."""
    scale = params[:, :params.shape[1] // 2]
    return np.searchsorted(thresholds, scale, side="left") * half(keep, *scale.shape[2:])


def quantise(y: np.ndarray, params: np.ndarray, index: np.ndarray, zones: np.ndarray, keep: str) -> np.ndarray:
    """Symbols of float32 latents `y` on one half: y - mean rounded, with the dead zone of each scale's `index`.

    `zones`: tables.dead_zones.
    """
    mean = params[:, params.shape[1] // 2:]
    v = y.astype(np.float32) - (mean / 64).astype(np.float32)
    r = np.sign(v) * np.floor(np.maximum(np.abs(v) + (1 - zones[index]), 0))
    return np.clip(r, -32767, 32767).astype(np.int64) * half(keep, *y.shape[2:])


def tie_margin(v: np.ndarray, zone: np.ndarray) -> np.ndarray:
    """How far each y - mean lies from where it becomes another symbol, of the same shape or one that broadcasts."""
    reach = np.abs(v) + (1 - zone)
    return np.abs(reach - np.maximum(np.round(reach), 1))


def dequantise(symbols: np.ndarray, params: np.ndarray, keep: str, base: Optional[np.ndarray] = None) -> np.ndarray:
    """Symbol plus mean in 1/64 on one half; elsewhere `base` or zero. Below 2^22."""
    mean = params[:, params.shape[1] // 2:]
    rest = np.zeros_like(symbols) if base is None else base
    return np.where(half(keep, *symbols.shape[2:]), 64 * symbols + mean, rest)
