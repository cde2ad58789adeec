"""The weights of convs and linear layers in the precision in which `autocast` computes them, all cast in a few operations.

`autocast` casts each weight and bias by itself in every step, and the gradient of each on its way back: a thousand launches
of a few microseconds for a network of this size, as many as its layers need themselves.
"""
from __future__ import annotations

from typing import Callable

import torch
from torch import nn

from ..loops.fast import layout
from ..network.layers import PreciseConv
from .flat_optimiser import FlatOptimiser

try:
    from torch.func import functional_call
except ImportError:  # PyTorch 1.13
    from torch.nn.utils.stateless import functional_call


class _Whole(nn.Module):
    """An objective with its network inside, so that the network's weights can be others for one call."""

    def __init__(self, model: nn.Module, objective: Callable[..., dict[str, torch.Tensor]]) -> None:
        super().__init__()
        self.model, self.objective = model, objective

    def forward(self, x: torch.Tensor, q: torch.Tensor) -> dict[str, torch.Tensor]:
        return self.objective(x, q)


def _cast(model: nn.Module) -> set[str]:
    """Names of the parameters that `autocast` casts as they are."""
    return {f"{path}.{name}" for path, module in model.named_modules()
            if isinstance(module, (nn.Conv2d, nn.Linear)) and not isinstance(module, PreciseConv)
            for name, _ in module.named_parameters(recurse=False)}


class NarrowWeights:
    """Runs an objective with cast weights, and hands the gradients to `flat`."""

    def __init__(self, model: nn.Module, objective: Callable[..., dict[str, torch.Tensor]], flat: FlatOptimiser,
                 precision: torch.dtype) -> None:
        self._whole, self._flat = _Whole(model, objective), flat
        parameters = dict(model.named_parameters())
        learning = {name: p for name, p in parameters.items() if p.requires_grad}
        cast = _cast(model)
        # Each lies in a memory of its own: in flat memory most begin where a GPU's matrix units can't read.
        self._leaves = [torch.empty_like(p, dtype=precision if name in cast else p.dtype).requires_grad_() for name, p in learning.items()]
        self._rows: dict[torch.dtype, tuple[list[torch.Tensor], list[torch.Tensor]]] = {}
        for leaf, row in zip(self._leaves, flat.w.split(flat.parts)):
            mine, its = self._rows.setdefault(leaf.dtype, ([], []))
            mine.append(leaf.detach().as_strided((leaf.numel(),), (1,)))
            its.append(row)
        frozen = {name: p.detach().to(precision) for name, p in parameters.items() if name in cast and name not in learning}
        self._weights = {f"model.{name}": t for name, t in {**frozen, **dict(zip(learning, self._leaves))}.items()}

    def __call__(self, x: torch.Tensor, q: torch.Tensor) -> dict[str, torch.Tensor]:
        """What the objective gives for x [B, 3, H, W] and q [B]."""
        for mine, its in self._rows.values():
            _copy(mine, its)
        found: dict[str, torch.Tensor] = functional_call(self._whole, self._weights, (x, q))
        return found

    def backward(self, loss: torch.Tensor) -> None:
        """Leaves the gradients of `loss` in `flat.g`, in place of what was there."""
        found = torch.autograd.grad(loss, self._leaves, allow_unused=True)
        alike: dict[torch.dtype, tuple[list[torch.Tensor], list[torch.Tensor]]] = {}
        for row, view, gradient in zip(self._flat.g.split(self._flat.parts), self._flat.gradients, found):
            if gradient is None:
                row.zero_()
            elif layout(gradient) == layout(view):
                rows, gradients = alike.setdefault(gradient.dtype, ([], []))
                rows.append(row)
                gradients.append(gradient.as_strided((gradient.numel(),), (1,)))
            else:
                view.copy_(gradient)
        for rows, gradients in alike.values():
            _copy(rows, gradients)


def _copy(rows: list[torch.Tensor], values: list[torch.Tensor]) -> None:
    if hasattr(torch, "_foreach_copy_"):
        torch._foreach_copy_(rows, values)
        return
    for row, value in zip(rows, values):  # PyTorch 1.13
        row.copy_(value)
