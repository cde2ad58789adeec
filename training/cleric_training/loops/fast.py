"""Loops in C for training on a CPU (fast.c), built on first use; without a compiler PyTorch's own."""
from __future__ import annotations

import ctypes
import hashlib
import os
import subprocess
from pathlib import Path
from typing import Any, Optional

import torch
import torch.nn.functional as F
from torch import nn

SOURCE = Path(__file__).with_name("fast.c")
FLAGS = ["-O3", "-march=native", "-mprefer-vector-width=512", "-ffast-math", "-fno-finite-math-only", "-shared", "-fPIC"]


def _build() -> Optional[ctypes.CDLL]:
    """Compiles fast.c (which includes deform.c and lift.c) into the user's cache, once for every version of it."""
    sources = b"".join(path.read_bytes() for path in (SOURCE, SOURCE.with_name("deform.c"), SOURCE.with_name("lift.c")))
    digest = hashlib.sha256(sources + " ".join(FLAGS).encode()).hexdigest()[:16]
    target = Path.home() / ".cache" / "cleric-train" / f"fast-{digest}.so"
    try:
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            part = target.with_suffix(f".{os.getpid()}.part")
            subprocess.run(["cc", *FLAGS, str(SOURCE), "-o", str(part), "-lm"], check=True, capture_output=True)
            os.replace(part, target)
        library = ctypes.CDLL(str(target))
        library.lift_kept.restype = ctypes.c_int64
        return library
    except (OSError, subprocess.CalledProcessError):
        return None


LIBRARY = None if os.environ.get("CLERIC_TRAINING_PLAIN") else _build()


def layout(t: torch.Tensor) -> list[int]:
    """The strides that matter: those of dimensions longer than one."""
    return [stride for size, stride in zip(t.shape, t.stride()) if size > 1]


def _at(t: torch.Tensor) -> ctypes.c_void_p:
    return ctypes.c_void_p(t.data_ptr())


def _in_c(x: torch.Tensor) -> bool:
    return LIBRARY is not None and x.dtype == torch.bfloat16


class _Gelu(torch.autograd.Function):
    """Exact GELU of a dense tensor of any memory format; in C for bfloat16.

    PyTorch 1.13 leaves the gradient of its own unwritten, as the memory was, where the layouts of its two operands differ.
    """

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x)
        if not _in_c(x):
            return F.gelu(x)
        out = torch.empty_like(x)
        LIBRARY.gelu_forward(_at(x), _at(out), ctypes.c_int64(x.numel()))
        return out

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> torch.Tensor:
        (x,) = ctx.saved_tensors
        if grad.stride() != x.stride():
            grad = torch.empty_strided(x.shape, x.stride(), dtype=x.dtype).copy_(grad)
        if not _in_c(x):
            row, grad_row = (t.as_strided((t.numel(),), (1,)) for t in (x, grad))  # as they lie in memory
            return torch.ops.aten.gelu_backward(grad_row, row).as_strided(x.shape, x.stride())
        out = torch.empty_strided(x.shape, x.stride(), dtype=x.dtype)
        LIBRARY.gelu_backward(_at(x), _at(grad), _at(out), ctypes.c_int64(x.numel()))
        return out


def _dense(x: torch.Tensor) -> bool:
    return x.is_contiguous() or (x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last))


def gelu(x: torch.Tensor) -> torch.Tensor:
    """Exact GELU; on a processor in C for bfloat16."""
    if x.device.type != "cpu":
        return F.gelu(x)
    return _Gelu.apply(x if _dense(x) else x.contiguous())


class GELU(nn.Module):
    """`gelu` as a layer."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return gelu(x)


def adam(w: torch.Tensor, g: torch.Tensor, m: torch.Tensor, v: torch.Tensor, average: torch.Tensor, *, clip: float,
         rate: float, root: float, beta1: float, beta2: float, eps: float, decay: float) -> None:
    """One Adam step in place, see fast.c; all five tensors share one shape and memory layout."""
    same = all(layout(t) == layout(w) for t in (g, m, v, average))
    if LIBRARY is not None and same and w.dtype == torch.float32:
        numbers = (ctypes.c_float(f) for f in (clip, rate, root, beta1, beta2, eps, decay))
        LIBRARY.adam(_at(w), _at(g), _at(m), _at(v), _at(average), ctypes.c_int64(w.numel()), *numbers)
        return
    g = g * clip
    m.mul_(beta1).add_(g, alpha=1 - beta1)
    v.mul_(beta2).addcmul_(g, g, value=1 - beta2)
    w.addcdiv_(m, v.sqrt().mul_(root).add_(eps), value=-rate)
    average.lerp_(w, 1 - decay)


def balanced(w: torch.Tensor, g: torch.Tensor, m: torch.Tensor, v: torch.Tensor, average: torch.Tensor, *, clip: float,
             rate: float, correct1: float, correct2: float, beta1: float, beta2: float, eps: float, damping: float,
             decay: float) -> None:
    """One step in place along m / v at the length of Adam's m / sqrt(v), see fast.c; tensors as for `adam`."""
    if LIBRARY is not None and w.dtype == torch.float32:
        if layout(g) != layout(w):
            g = torch.empty_like(w).copy_(g)
        if all(layout(t) == layout(w) for t in (m, v, average)):
            numbers = (clip, rate, correct1, correct2, beta1, beta2, eps, damping, decay)
            LIBRARY.balanced(_at(w), _at(g), _at(m), _at(v), _at(average), ctypes.c_int64(w.numel()), *map(ctypes.c_float, numbers))
            return
    g = g * clip
    m.lerp_(g, 1 - beta1)
    v.mul_(beta2).addcmul_(g, g, value=1 - beta2)
    first, second = m * correct1, v * correct2
    direction = first / (second + damping * second.mean() + torch.finfo(v.dtype).tiny)
    length = (first / (second.sqrt() + eps)).norm()
    w.sub_(direction, alpha=rate * float(length / direction.norm().clamp_min(1e-30)))
    average.lerp_(w, 1 - decay)


class _DeformColumns(torch.autograd.Function):
    """Samples of a 3x3 DCNv2, see deform.c: x [B, C, H, W], shift [B, P, 27] float32 -> [B, P, 9 C]."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, shift: torch.Tensor, stride: int) -> torch.Tensor:
        b, c, h, w = x.shape
        # Channels last, whatever layout the strides of a size-one dimension claim.
        x = x.permute(0, 2, 3, 1).contiguous()
        shift = shift.contiguous()
        ho, wo = (h + stride - 1) // stride, (w + stride - 1) // stride
        columns = x.new_empty(b, ho * wo, 9 * c)
        run = LIBRARY.deform_columns_bf16 if x.dtype == torch.bfloat16 else LIBRARY.deform_columns_f32
        for n in range(b):
            run(_at(x[n]), _at(shift[n]), _at(columns[n]), *map(ctypes.c_int64, (h, w, c, ho, wo, stride)))
        ctx.save_for_backward(x, shift)
        ctx.sizes = (h, w, c, ho, wo, stride)
        return columns

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None]:
        x, shift = ctx.saved_tensors
        grad = grad.to(x.dtype).contiguous()
        dx = torch.zeros_like(x, dtype=torch.float32)
        dshift = torch.empty_like(shift)
        run = LIBRARY.deform_columns_backward_bf16 if x.dtype == torch.bfloat16 else LIBRARY.deform_columns_backward_f32
        for n in range(len(x)):
            run(_at(x[n]), _at(shift[n]), _at(grad[n]), _at(dx[n]), _at(dshift[n]), *map(ctypes.c_int64, ctx.sizes))
        return dx.to(x.dtype).permute(0, 3, 1, 2), dshift, None


def deform_columns(x: torch.Tensor, shift: torch.Tensor, stride: int) -> torch.Tensor:
    """The samples a 3x3 DCNv2 multiplies with its weights; needs `LIBRARY`.

    x [B, C, H, W] bfloat16 or float32; shift [B, P, 27] float32: 9 dy, 9 dx, 9 modulations in (0, 1),
    P = ceil(H / stride) * ceil(W / stride). Gives [B, P, 9 * C], taps row-major, in x's type.
    """
    return _DeformColumns.apply(x, shift, stride)


class _Lift(torch.autograd.Function):
    """A lifting net, see lift.c: x [n, 1, h, w] float32 and the six parameters of the net -> like x."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, *parameters: torch.Tensor) -> torch.Tensor:
        x = x.contiguous()
        weights = torch.cat([p.detach().contiguous().flatten() for p in parameters])
        n, _, h, w = x.shape
        sizes = (n, h, w, len(parameters[1]))
        kept = x.new_empty(n * LIBRARY.lift_kept(*map(ctypes.c_int64, sizes[1:])))
        y = torch.empty_like(x)
        LIBRARY.lift_forward(_at(x), _at(weights), _at(kept), _at(y), *map(ctypes.c_int64, sizes))
        ctx.save_for_backward(x, weights, kept)
        ctx.sizes, ctx.shapes = sizes, [p.shape for p in parameters]
        return y

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[Optional[torch.Tensor], ...]:
        x, weights, kept = ctx.saved_tensors
        grad = grad.float().contiguous()
        dx, dweights = torch.empty_like(x), torch.zeros_like(weights) if any(ctx.needs_input_grad[1:]) else None
        LIBRARY.lift_backward(_at(x), _at(weights), _at(kept), _at(grad), _at(dx), None if dweights is None else _at(dweights),
                              *map(ctypes.c_int64, ctx.sizes))
        if dweights is None:
            return dx, *(None for _ in ctx.shapes)
        parts = dweights.split([shape.numel() for shape in ctx.shapes])
        return dx, *(part.view(shape) for part, shape in zip(parts, ctx.shapes))


def lifts(x: torch.Tensor, hidden: int) -> bool:
    """Whether `lift` takes x [n, 1, h, w] and this hidden width."""
    return LIBRARY is not None and x.device.type == "cpu" and x.dtype == torch.float32 and x.shape[-1] % 16 == 0 and hidden in (4, 8, 16, 32)


def lift(x: torch.Tensor, *parameters: torch.Tensor) -> torch.Tensor:
    """conv3x3(1->c), tanh, conv3x3(c->c), tanh, conv1x1(c->1) of x [n, 1, h, w], where `lifts` says yes."""
    return _Lift.apply(x, *parameters)
