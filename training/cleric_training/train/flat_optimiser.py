"""The optimiser's step as a few operations on all weights at once, without a word to the host.

The same steps as `Optimiser.step` to rounding (tests/test_device.py). There each tensor has its own turn in a C loop, which is
what a processor likes; here a step is some thirty launches, whatever the number of tensors, and learning rate, clipping and the
check for finite gradients are tensors, so that the step may be part of a recorded CUDA graph.
"""
from __future__ import annotations

import math

import torch

from .optimise import BALANCED, BETA1, BETA2, CLIP, DAMPING, DECAY, EPSILON, LAST, SLOW_STEPS, WARM_STEPS, Optimiser

TINY = torch.finfo(torch.float32).tiny
# float16 has no gradients below 6e-8 and none above 65504: the loss is multiplied by a scale, the gradients divided by it.
# It halves at every gradient that is not finite and doubles after so many steps without one.
FIRST_SCALE, MOST_SCALE, CALM_STEPS = 2.0**8, 2.0**16, 500


def _flat(tensors: list[torch.Tensor]) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Dense tensors copied one behind the other, and the views of that memory with their shapes and strides."""
    flat = torch.cat([t.detach().as_strided((t.numel(),), (1,)) for t in tensors])
    return flat, _views(flat, tensors)


def _views(flat: torch.Tensor, like: list[torch.Tensor]) -> list[torch.Tensor]:
    """The parts of flat memory that belong to these tensors, with their shapes and strides."""
    parts = flat.split([t.numel() for t in like])
    return [part.as_strided(t.shape, t.stride(), part.storage_offset()) for part, t in zip(parts, like)]


class FlatOptimiser:
    """Takes over the weights, moments and averages of an `Optimiser`, which afterwards are views of flat memory.

    What the optimiser saves and restores stays true. `progress` [2], the steps of this stage so far and the share of its
    schedule, is set by who runs the steps.
    """

    def __init__(self, optimiser: Optimiser, scaled: bool = False) -> None:
        """`scaled`: gradients are those of the loss times `scale`."""
        self.optimiser = optimiser
        self.scaled = scaled
        learning = {name: p for name, p in optimiser.parameters.items() if p.requires_grad}
        names = list(learning)
        parameters = list(learning.values())
        device = parameters[0].device
        self.w, views = _flat(parameters)
        self.g = torch.zeros_like(self.w)
        self.gradients = _views(self.g, parameters)
        for p, view, gradient in zip(parameters, views, self.gradients):
            p.data, p.grad = view, gradient
        self.m = self._take(optimiser.m, names)
        self.v = self._take(optimiser.v, names)
        self.average = self._take(optimiser.average, names)
        groups = [optimiser.group[name] for name in names]
        self.group_names = sorted(set(groups))
        self.sizes = torch.tensor([p.numel() for p in parameters], device=device)
        # Which tensor each weight belongs to: what is known of a tensor is spread over its weights by this.
        self.owner = torch.repeat_interleave(torch.arange(len(names), device=device), self.sizes).int()
        self.member = torch.tensor([[group == name for group in groups] for name in self.group_names], device=device).float()
        self.group_of = torch.tensor([self.group_names.index(group) for group in groups], device=device)
        self.share = torch.tensor([optimiser.shares[group] for group in groups], device=device)
        self.waits = torch.tensor([group != "entropy" for group in groups], device=device)
        self.balanced = torch.tensor([group in BALANCED and p.dim() == 4 for group, p in zip(groups, parameters)], device=device)
        self.parts = [p.numel() for p in parameters]
        self.count = torch.tensor(float(optimiser.count), device=device)
        self.progress = torch.zeros(2, device=device)
        self.norms = torch.zeros(len(self.group_names), device=device)
        self.skipped = torch.zeros((), device=device)
        self.scale = torch.tensor(FIRST_SCALE if scaled else 1.0, device=device)
        self.calm = torch.zeros((), device=device)  # steps since the scale changed

    @staticmethod
    def _take(values: dict[str, torch.Tensor], names: list[str]) -> torch.Tensor:
        flat, views = _flat([values[name] for name in names])
        values.update(zip(names, views))
        return flat

    def zero_grad(self) -> None:
        """Empties the gradients, in place: a backward pass adds to them."""
        self.g.zero_()

    def _norms(self, flat: torch.Tensor, order: float = 2) -> torch.Tensor:
        """The norm of each tensor's part of a flat tensor, [T]."""
        return torch.stack(torch._foreach_norm(list(flat.split(self.parts)), order))

    def _spread(self, of_tensor: torch.Tensor) -> torch.Tensor:
        """A value a tensor [T] -> the same for each of its weights."""
        return of_tensor.index_select(0, self.owner)

    def rate(self) -> torch.Tensor:
        """`Optimiser.rate` at `progress`."""
        step, share = self.progress
        cosine = LAST + (1 - LAST) * 0.5 * (1 + torch.cos(math.pi * share.clamp_max(1)))
        return self.optimiser.lr * ((step + 1) / WARM_STEPS).clamp_max(1) * cosine

    @torch.no_grad()
    def step(self) -> None:
        """One update by the gradients in `g`; none where one of them is not finite."""
        self.norms.copy_(torch.sqrt(self.member @ (self._norms(self.g) / self.scale) ** 2))
        finite = torch.isfinite(self.norms).all()
        on = finite.float()
        self.skipped += 1 - on
        self.count += on
        clip = (CLIP / (self.norms + 1e-6)).clamp_max(1)[self.group_of] / self.scale
        # A gradient that is not finite is emptied, as 0 times infinity is no number.
        g = torch.where(finite, self.g * self._spread(clip), torch.zeros_like(self.g))
        self.m.lerp_(g, (1 - BETA1) * on)
        self.v.lerp_(g * g, (1 - BETA2) * on)
        slow = torch.where(self.waits, (self.count / SLOW_STEPS).clamp_max(1), torch.ones_like(self.share))
        own = self.rate() * self.share * slow * on
        first = self.m / (1 - BETA1**self.count.clamp_min(1))
        second = self.v / (1 - BETA2**self.count.clamp_min(1))
        adam = first / (second.sqrt() + EPSILON)
        damping = DAMPING * self._norms(second, 1) / self.sizes
        direction = first / (second + self._spread(damping) + TINY)
        length = self._norms(adam) / self._norms(direction).clamp_min(1e-30)
        of_tensor = own * torch.where(self.balanced, length, torch.ones_like(length))
        self.w -= self._spread(of_tensor) * torch.where(self._spread(self.balanced), direction, adam)
        decay = ((1 + self.count) / (10 + self.count)).clamp_max(DECAY)
        self.average.lerp_(self.w, (1 - decay) * on)
        if self.scaled:
            self._rescale(finite)

    def _rescale(self, finite: torch.Tensor) -> None:
        """The scale for the next step: half of this one's if its gradients were not finite."""
        self.calm += 1
        grows = self.calm >= CALM_STEPS
        factor = torch.where(finite, torch.where(grows, 2.0, 1.0), 0.5)
        self.scale.copy_((self.scale * factor).clamp(1, MOST_SCALE))
        self.calm.copy_(torch.where(finite & ~grows, self.calm, torch.zeros_like(self.calm)))

    def report(self) -> dict[str, float]:
        """Gradient norms of the last step by group; brings `optimiser.count` up to date. Waits for the device."""
        self.optimiser.count = int(self.count)
        return {name: float(norm) for name, norm in zip(self.group_names, self.norms.tolist())}

