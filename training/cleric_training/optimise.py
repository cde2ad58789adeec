"""The optimiser: parameter groups with rates and clipping of their own, the schedule, the EMA."""
from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn

from .model import Cleric

# Share of the learning rate by group. The lifting nets are shared by twelve positions a pixel, so
# their gradient dwarfs the rest; offsets move the sampling grid of whole layers.
SHARES = {"lift": 0.1, "offset": 0.1, "g_a": 1.0, "g_s": 1.0, "entropy": 1.0, "gain": 1.0}
CLIP = 1.0
LAST = 0.01  # learning rate at the end of the cosine, as a share of the first
WARM_STEPS = 200


def group_of(name: str) -> str:
    """The group of a parameter, by its name."""
    if ".lift." in name:
        return "lift"
    if ".offset." in name:
        return "offset"
    if name.startswith("log_"):
        return "gain"
    return name[:3] if name[:3] in ("g_a", "g_s") else "entropy"


class Optimiser:
    """Adam over the groups; each group's gradient is clipped by its own norm."""

    def __init__(self, model: Cleric, lr: float, frozen: frozenset[str] = frozenset()) -> None:
        self.lr = lr
        self.frozen = frozen
        self.groups: dict[str, list[nn.Parameter]] = {name: [] for name in SHARES}
        for name, parameter in model.named_parameters():
            self.groups[group_of(name)].append(parameter)
        self.adam = torch.optim.Adam([{"params": v, "name": k, "lr": 0.0} for k, v in self.groups.items() if v],
                                     betas=(0.9, 0.99), eps=1e-9)

    def rate(self, step: int, progress: float) -> float:
        """Learning rate: a linear warm-up over the first steps times a cosine over `progress` in [0, 1]."""
        cosine = LAST + (1 - LAST) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
        return self.lr * min(1.0, (step + 1) / WARM_STEPS) * cosine

    def step(self, step: int, progress: float) -> dict[str, float] | None:
        """One update; gives the gradient norms by group, or None (and no update) where one is not finite."""
        norms = {}
        for name, parameters in self.groups.items():
            with_grad = [p for p in parameters if p.grad is not None]
            if with_grad:
                norms[name] = float(nn.utils.clip_grad_norm_(with_grad, CLIP, error_if_nonfinite=False))
        if not all(math.isfinite(v) for v in norms.values()):
            self.adam.zero_grad(set_to_none=True)
            return None
        rate = self.rate(step, progress)
        for group in self.adam.param_groups:
            group["lr"] = 0.0 if group["name"] in self.frozen else rate * SHARES[group["name"]]
        self.adam.step()
        self.adam.zero_grad(set_to_none=True)
        return norms


@dataclass
class Ema:
    """Exponential moving average of the parameters, quick at first."""

    shadow: dict[str, torch.Tensor]
    decay: float = 0.999

    @staticmethod
    def of(model: nn.Module) -> "Ema":
        return Ema({k: v.detach().clone() for k, v in model.state_dict().items()})

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, value in model.state_dict().items():
            self.shadow[name].lerp_(value, 1 - decay)
