"""The optimiser: parameter groups with rates and clipping of their own, the schedule, the averaged weights."""
from __future__ import annotations

import math
from concurrent.futures import Executor
from typing import Any

import torch

from ..loops.fast import adam, balanced
from ..network.blocks import DRBS, R2B
from ..network.model import Cleric

# Share of the learning rate by group. The lifting nets are shared by twelve positions a pixel, so
# their gradient dwarfs the rest; offsets move the sampling grid of whole layers; the transforms
# start from a linear code (klt.py) that large steps spoil, the entropy model from nothing. "branch" are the nonlinear
# branches of g_a beside its linear path, which may bear larger steps than that.
SHARES = {"lift": 0.04, "offset": 0.04, "g_a": 0.08, "branch": 0.08, "g_s": 0.13, "entropy": 1.0, "gain": 0.15}
CLIP = 1.0
LAST = 0.01  # learning rate at the end of the cosine, as a share of the first
WARM_STEPS = 100
SLOW_STEPS = 150  # the transforms start later: an entropy model yet to learn would only bend them
BETA1, BETA2, EPSILON = 0.9, 0.99, 1e-9
DECAY = 0.999  # of the average of the weights; quicker at first
# Steps along m / v at the length of Adam's m / sqrt(v): where noise rules the gradients, sqrt(v) goes with the square
# root of the curvature. Adam's steps all have one length, and the sharpest weight (a channel of the mean colour, of
# which a per mille counts) sets it for all; at m / v each weight's jitter costs the same.
BALANCED = frozenset({"lift", "offset", "g_a", "branch", "g_s"})
DAMPING = 1e-4  # of the curvature, as a share of its mean over a tensor


def group_of(name: str) -> str:
    """The group of a parameter, by its name."""
    if ".lift." in name:
        return "lift"
    if ".offset." in name:
        return "offset"
    if name.startswith("log_"):
        return "gain"
    return name[:3] if name[:3] in ("g_a", "g_s") else "entropy"


def groups_of(model: Cleric) -> dict[str, str]:
    """The group of every parameter, by name: `group_of`, and "branch" for the bodies of g_a that a linear skip is beside:
    those of its R2Bs and, where it has linear shortcuts, of its DRBSs."""
    groups = {name: group_of(name) for name, _ in model.named_parameters()}
    for path, module in model.g_a.named_modules():
        if isinstance(module, R2B) or (isinstance(module, DRBS) and module.shortcut):
            inside = (f"g_a.{path}.{name}" for name, _ in module.named_parameters() if not name.startswith("skip."))
            groups.update({name: "branch" for name in inside if groups[name] == "g_a"})
    return groups


class Optimiser:
    """Adam over the groups, its steps balanced (`BALANCED`) in the weights of the transforms' convs.

    Each group's gradient is clipped by its own norm.

    `average` holds the exponential moving average of the weights, which is what gets exported.
    """

    def __init__(self, model: Cleric, lr: float, frozen: frozenset[str] = frozenset(),
                 shares: dict[str, float] | None = None) -> None:
        self.lr, self.frozen = lr, frozen | ({"branch"} if "g_a" in frozen else frozenset())
        self.shares = {**SHARES, **(shares or {})}
        self.count = 0
        self.parameters = dict(model.named_parameters())
        self.group = groups_of(model)
        self.groups: dict[str, list[str]] = {name: [] for name in SHARES}
        for name, group in self.group.items():
            self.groups[group].append(name)
        self.m = {k: torch.zeros_like(p) for k, p in self.parameters.items()}
        self.v = {k: torch.zeros_like(p) for k, p in self.parameters.items()}
        self.average: dict[str, torch.Tensor] = {}
        self.restart_average()

    def restart_average(self) -> None:
        """Sets the average to the weights as they are."""
        self.average = {k: p.detach().clone() for k, p in self.parameters.items()}

    def state(self) -> dict[str, Any]:
        return {"count": self.count, "m": self.m, "v": self.v}

    @torch.no_grad()
    def restore(self, state: dict[str, Any]) -> None:
        """Takes a `state` back; copies in place, so that memory layouts stay those of the weights."""
        self.count = state["count"]
        for name in self.parameters:
            self.m[name].copy_(state["m"][name])
            self.v[name].copy_(state["v"][name])

    @torch.no_grad()
    def restore_average(self, average: dict[str, torch.Tensor]) -> None:
        for name, value in self.average.items():
            value.copy_(average[name])

    def rate(self, step: int, progress: float) -> float:
        """Learning rate: a linear warm-up over the first steps times a cosine over `progress` in [0, 1]."""
        cosine = LAST + (1 - LAST) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
        return self.lr * min(1.0, (step + 1) / WARM_STEPS) * cosine

    def zero_grad(self) -> None:
        for p in self.parameters.values():
            p.grad = None

    @torch.no_grad()
    def step(self, step: int, progress: float, pool: Executor) -> dict[str, float] | None:
        """One update; gives the gradient norms by group, or None (and no update) where one is not finite."""
        grads = {k: p.grad for k, p in self.parameters.items() if p.grad is not None}
        sizes = dict(zip(grads, pool.map(lambda g: float(g.norm()), grads.values())))
        norms = {group: math.sqrt(sum(sizes[k] ** 2 for k in names if k in sizes))
                 for group, names in self.groups.items() if any(k in sizes for k in names)}
        self.zero_grad()
        if not all(math.isfinite(v) for v in norms.values()):
            return None
        self.count += 1
        rate = self.rate(step, progress)
        decay = min(DECAY, (1 + self.count) / (10 + self.count))
        correct = {"root": 1 / math.sqrt(1 - BETA2**self.count), "beta1": BETA1, "beta2": BETA2, "eps": EPSILON}

        slow = min(1.0, self.count / SLOW_STEPS)

        @torch.no_grad()  # a thread of the pool has a mode of its own
        def update(name: str) -> None:
            group = self.group[name]
            own = 0.0 if group in self.frozen else rate * self.shares[group] * (1.0 if group == "entropy" else slow)
            clip = min(1.0, CLIP / (norms[group] + 1e-6))
            p, m, v = self.parameters[name], self.m[name], self.v[name]
            if group in BALANCED and p.dim() == 4:
                balanced(p, grads[name], m, v, self.average[name], clip=clip, rate=own, correct1=1 / (1 - BETA1**self.count),
                         correct2=1 / (1 - BETA2**self.count), beta1=BETA1, beta2=BETA2, eps=EPSILON, damping=DAMPING,
                         decay=decay)
                return
            adam(p, grads[name], m, v, self.average[name], clip=clip, rate=own / (1 - BETA1**self.count), decay=decay,
                 **correct)

        list(pool.map(update, grads))
        return norms
