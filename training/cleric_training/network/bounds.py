"""Gradient tricks: lower bounds that let go, and rounding that is invisible to the gradient."""
from __future__ import annotations

from typing import Any

import torch


class LowerBound(torch.autograd.Function):
    """max(x, bound); the gradient passes where x is above the bound or would be pushed up."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, bound: float) -> torch.Tensor:
        ctx.save_for_backward(x)
        ctx.bound = bound
        return x.clamp_min(bound)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None]:
        (x,) = ctx.saved_tensors
        return grad * ((x >= ctx.bound) | (grad < 0)).to(grad.dtype), None


def lower_bound(x: torch.Tensor, bound: float) -> torch.Tensor:
    """max(x, bound) with the gradient of `LowerBound`."""
    return LowerBound.apply(x, bound)


def ste_round(x: torch.Tensor) -> torch.Tensor:
    """round(x) forward, identity backward (straight-through estimator)."""
    return x + (torch.round(x) - x).detach()
