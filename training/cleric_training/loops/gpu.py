"""The loops of fast.c for GPUs, in Triton: deformable sampling and lifting nets that don't learn.

What there is for them is slow, or unfit: torchvision's kernels go to the default stream, where a recorded CUDA graph doesn't
see them, and sampling by `grid_sample` and the nets by convs made a recorded step on an H200 87 ms instead of 74.
With TRITON_INTERPRET=1 they run on a processor, for tests.
"""
from __future__ import annotations

from typing import Any

import torch

try:
    import triton
    import triton.language as tl
except ImportError:  # a PyTorch for processors, or of before it
    triton = None

AVAILABLE = triton is not None
PLACES = 32  # of a program of the sampling kernels, each with all channels of one tap
PIXELS = 128  # of a program of the lifting kernels
LEAST_DOT = 16  # sides of the least matrices that `tl.dot` multiplies; narrower nets are padded

if AVAILABLE:
    @triton.jit
    def _corner(x, b, y, z, h, w, c, channel, live):
        """Values [PLACES, CHANNELS] of x [B, h, w, c] at integer places, zero outside; and whether they are inside, and where."""
        inside = live & (y >= 0) & (y < h) & (z >= 0) & (z < w)
        at = ((b * h + y) * w + z) * c
        mask = inside[:, None] & (channel < c)[None, :]
        return tl.load(x + at[:, None] + channel[None, :], mask=mask, other=0.0).to(tl.float32), mask, at

    @triton.jit
    def _located(shift, p, tap, area, wo, stride, live):
        """Where a tap of each output place p samples: image, upper left of the four samples, shares of the lower and the right ones
        [PLACES, 1], and its modulation."""
        place = p % area
        y = tl.load(shift + p * 27 + tap, mask=live, other=0.0) + (place // wo * stride + tap // 3 - 1).to(tl.float32)
        z = tl.load(shift + p * 27 + 9 + tap, mask=live, other=0.0) + (place % wo * stride + tap % 3 - 1).to(tl.float32)
        y0, z0 = tl.floor(y), tl.floor(z)
        modulation = tl.load(shift + p * 27 + 18 + tap, mask=live, other=0.0)
        return p // area, y0.to(tl.int32), z0.to(tl.int32), (y - y0)[:, None], (z - z0)[:, None], modulation

    @triton.jit
    def _columns(x, shift, columns, places, area, h, w, c, wo, stride, PLACES: tl.constexpr, CHANNELS: tl.constexpr):
        """x [B, h, w, c], shift [places, 27] -> columns [places, 9, c], as deform.c."""
        p = tl.program_id(0) * PLACES + tl.arange(0, PLACES)
        tap, channel, live = tl.program_id(1), tl.arange(0, CHANNELS), p < places
        b, iy, iz, fy, fz, modulation = _located(shift, p, tap, area, wo, stride, live)
        v00, m00, a00 = _corner(x, b, iy, iz, h, w, c, channel, live)
        v01, m01, a01 = _corner(x, b, iy, iz + 1, h, w, c, channel, live)
        v10, m10, a10 = _corner(x, b, iy + 1, iz, h, w, c, channel, live)
        v11, m11, a11 = _corner(x, b, iy + 1, iz + 1, h, w, c, channel, live)
        value = (1 - fy) * ((1 - fz) * v00 + fz * v01) + fy * ((1 - fz) * v10 + fz * v11)
        out = columns + (p * 9 + tap)[:, None] * c + channel[None, :]
        tl.store(out, (value * modulation[:, None]).to(columns.dtype.element_ty), mask=live[:, None] & (channel < c)[None, :])

    @triton.jit
    def _columns_backward(x, shift, dcolumns, dx, dshift, places, area, h, w, c, wo, stride, PLACES: tl.constexpr, CHANNELS: tl.constexpr):
        """Adds to dx [B, h, w, c] float32 and writes dshift [places, 27]."""
        p = tl.program_id(0) * PLACES + tl.arange(0, PLACES)
        tap, channel, live = tl.program_id(1), tl.arange(0, CHANNELS), p < places
        b, iy, iz, fy, fz, modulation = _located(shift, p, tap, area, wo, stride, live)
        g = tl.load(dcolumns + (p * 9 + tap)[:, None] * c + channel[None, :], mask=live[:, None] & (channel < c)[None, :], other=0.0).to(tl.float32)
        v00, m00, a00 = _corner(x, b, iy, iz, h, w, c, channel, live)
        v01, m01, a01 = _corner(x, b, iy, iz + 1, h, w, c, channel, live)
        v10, m10, a10 = _corner(x, b, iy + 1, iz, h, w, c, channel, live)
        v11, m11, a11 = _corner(x, b, iy + 1, iz + 1, h, w, c, channel, live)
        top, bottom = (1 - fz) * v00 + fz * v01, (1 - fz) * v10 + fz * v11
        out = dshift + p * 27 + tap
        tl.store(out + 18, tl.sum(g * ((1 - fy) * top + fy * bottom), 1), mask=live)
        tl.store(out, modulation * tl.sum(g * (bottom - top), 1), mask=live)
        tl.store(out + 9, modulation * tl.sum(g * ((1 - fy) * (v01 - v00) + fy * (v11 - v10)), 1), mask=live)
        g = g * modulation[:, None]
        tl.atomic_add(dx + a00[:, None] + channel[None, :], g * (1 - fy) * (1 - fz), mask=m00)
        tl.atomic_add(dx + a01[:, None] + channel[None, :], g * (1 - fy) * fz, mask=m01)
        tl.atomic_add(dx + a10[:, None] + channel[None, :], g * fy * (1 - fz), mask=m10)
        tl.atomic_add(dx + a11[:, None] + channel[None, :], g * fy * fz, mask=m11)

    @triton.jit
    def _tanh(x):
        return 2 * tl.sigmoid(2 * x) - 1

    @triton.jit
    def _lift_first(x, weight, bias, t1, total, h, w, PIXELS: tl.constexpr, C: tl.constexpr):
        """tanh of conv3x3(1 -> C): x [total] of rows of w and images of h rows -> t1 [total, C]."""
        at, channel = tl.program_id(0) * PIXELS + tl.arange(0, PIXELS), tl.arange(0, C)
        row, column = at // w % h, at % w
        sums = tl.zeros((PIXELS, C), tl.float32) + tl.load(bias + channel)[None, :]
        for tap in tl.static_range(9):
            dy, dz = tap // 3 - 1, tap % 3 - 1
            inside = (at < total) & (row + dy >= 0) & (row + dy < h) & (column + dz >= 0) & (column + dz < w)
            value = tl.load(x + at + dy * w + dz, mask=inside, other=0.0)
            sums += value[:, None] * tl.load(weight + channel * 9 + tap)[None, :]
        tl.store(t1 + at[:, None] * C + channel[None, :], _tanh(sums).to(t1.dtype.element_ty), mask=(at < total)[:, None])

    @triton.jit
    def _lift_second(t1, weight2, bias2, weight3, bias3, t2, y, total, h, w, PIXELS: tl.constexpr, C: tl.constexpr, WIDE: tl.constexpr):
        """t2 [total, C], the tanh of conv3x3(C -> C) of t1, and y [total], conv1x1(C -> 1) of that."""
        at, channel = tl.program_id(0) * PIXELS + tl.arange(0, PIXELS), tl.arange(0, WIDE)
        row, column, real = at // w % h, at % w, channel < C
        sums = tl.zeros((PIXELS, WIDE), tl.float32) + tl.load(bias2 + channel, mask=real, other=0.0)[None, :]
        pairs = real[:, None] & real[None, :]
        for tap in tl.static_range(9):
            dy, dz = tap // 3 - 1, tap % 3 - 1
            inside = (at < total) & (row + dy >= 0) & (row + dy < h) & (column + dz >= 0) & (column + dz < w)
            value = tl.load(t1 + (at + dy * w + dz)[:, None] * C + channel[None, :], mask=inside[:, None] & real[None, :], other=0.0).to(tl.float32)
            sums += tl.dot(value, tl.load(weight2 + (channel[None, :] * C + channel[:, None]) * 9 + tap, mask=pairs, other=0.0))
        second = _tanh(sums)
        tl.store(t2 + at[:, None] * C + channel[None, :], second.to(t2.dtype.element_ty), mask=(at < total)[:, None] & real[None, :])
        out = tl.sum(second * tl.load(weight3 + channel, mask=real, other=0.0)[None, :], 1) + tl.load(bias3)
        tl.store(y + at, out, mask=at < total)

    @triton.jit
    def _lift_second_backward(t1, t2, g, weight2, weight3, d1, total, h, w, PIXELS: tl.constexpr, C: tl.constexpr, WIDE: tl.constexpr):
        """The gradient of conv3x3(1 -> C)'s output, d1 [total, C], of that of y, g [total]."""
        at, channel = tl.program_id(0) * PIXELS + tl.arange(0, PIXELS), tl.arange(0, WIDE)
        row, column, real = at // w % h, at % w, channel < C
        sums = tl.zeros((PIXELS, WIDE), tl.float32)
        last = tl.load(weight3 + channel, mask=real, other=0.0)[None, :]
        pairs = real[:, None] & real[None, :]
        for tap in tl.static_range(9):
            dy, dz = 1 - tap // 3, 1 - tap % 3
            inside = (at < total) & (row + dy >= 0) & (row + dy < h) & (column + dz >= 0) & (column + dz < w)
            there = at + dy * w + dz
            gradient = tl.load(g + there, mask=inside, other=0.0)
            second = tl.load(t2 + there[:, None] * C + channel[None, :], mask=inside[:, None] & real[None, :], other=0.0).to(tl.float32)
            value = gradient[:, None] * (1 - second * second) * last
            sums += tl.dot(value, tl.load(weight2 + (channel[:, None] * C + channel[None, :]) * 9 + tap, mask=pairs, other=0.0))
        live = (at < total)[:, None] & real[None, :]
        first = tl.load(t1 + at[:, None] * C + channel[None, :], mask=live, other=0.0).to(tl.float32)
        tl.store(d1 + at[:, None] * C + channel[None, :], sums * (1 - first * first), mask=live)

    @triton.jit
    def _lift_first_backward(d1, weight, dx, total, h, w, PIXELS: tl.constexpr, C: tl.constexpr):
        """The gradient of x, dx [total]."""
        at, channel = tl.program_id(0) * PIXELS + tl.arange(0, PIXELS), tl.arange(0, C)
        row, column = at // w % h, at % w
        sums = tl.zeros((PIXELS, C), tl.float32)
        for tap in tl.static_range(9):
            dy, dz = 1 - tap // 3, 1 - tap % 3
            inside = (at < total) & (row + dy >= 0) & (row + dy < h) & (column + dz >= 0) & (column + dz < w)
            value = tl.load(d1 + (at + dy * w + dz)[:, None] * C + channel[None, :], mask=inside[:, None], other=0.0)
            sums += value * tl.load(weight + channel * 9 + tap)[None, :]
        tl.store(dx + at, tl.sum(sums, 1), mask=at < total)


class _Columns(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, shift: torch.Tensor, stride: int) -> torch.Tensor:
        b, c, h, w = x.shape
        x, shift = x.permute(0, 2, 3, 1).contiguous(), shift.contiguous()
        ho, wo = (h + stride - 1) // stride, (w + stride - 1) // stride
        places = b * ho * wo
        columns = x.new_empty(b, ho * wo, 9 * c)
        ctx.numbers = (places, ho * wo, h, w, c, wo, stride)
        ctx.grid, ctx.blocks = (triton.cdiv(places, PLACES), 9), {"PLACES": PLACES, "CHANNELS": triton.next_power_of_2(c)}
        _columns[ctx.grid](x, shift, columns, *ctx.numbers, **ctx.blocks)
        ctx.save_for_backward(x, shift)
        return columns

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None]:
        x, shift = ctx.saved_tensors
        dx, dshift = torch.zeros_like(x, dtype=torch.float32), torch.empty_like(shift)
        _columns_backward[ctx.grid](x, shift, grad.contiguous(), dx, dshift, *ctx.numbers, **ctx.blocks)
        return dx.to(x.dtype).permute(0, 3, 1, 2), dshift, None


def deform_columns(x: torch.Tensor, shift: torch.Tensor, stride: int) -> torch.Tensor:
    """`fast.deform_columns` on a GPU: x [B, C, H, W] of any float type, shift [B, P, 27] float32 -> [B, P, 9 C] in x's type."""
    return _Columns.apply(x, shift, stride)


class _Lift(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, *parameters: torch.Tensor) -> torch.Tensor:
        x = x.float().contiguous()
        w1, b1, w2, b2, w3, b3 = (p.detach().float().contiguous() for p in parameters)
        channels, (h, w), total = len(b1), x.shape[2:], x.numel()
        kept = torch.float16 if x.is_cuda else torch.float32
        t1, t2 = x.new_empty(2, total, channels, dtype=kept)
        y = torch.empty_like(x)
        ctx.grid, ctx.numbers, ctx.blocks = (triton.cdiv(total, PIXELS),), (total, h, w), {"PIXELS": PIXELS, "C": channels}
        _lift_first[ctx.grid](x, w1, b1, t1, *ctx.numbers, **ctx.blocks)
        ctx.wide = max(LEAST_DOT, channels)
        _lift_second[ctx.grid](t1, w2, b2, w3, b3, t2, y, *ctx.numbers, **ctx.blocks, WIDE=ctx.wide)
        ctx.save_for_backward(t1, t2, w1, w2, w3)
        return y

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        t1, t2, w1, w2, w3 = ctx.saved_tensors
        grad = grad.float().contiguous()
        d1, dx = torch.empty_like(t1, dtype=torch.float32), torch.empty_like(grad)
        _lift_second_backward[ctx.grid](t1, t2, grad, w2, w3, d1, *ctx.numbers, **ctx.blocks, WIDE=ctx.wide)
        _lift_first_backward[ctx.grid](d1, w1, dx, *ctx.numbers, **ctx.blocks)
        return dx, *(None for _ in range(6))


def lift(x: torch.Tensor, *parameters: torch.Tensor) -> torch.Tensor:
    """conv3x3(1->c), tanh, conv3x3(c->c), tanh, conv1x1(c->1) of x [n, 1, h, w]: the same shape, float32. The six parameters get no gradient;
    c is a power of two."""
    return _Lift.apply(x, *parameters)
