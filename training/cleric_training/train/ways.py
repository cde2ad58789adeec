"""The ways in which a device can run a step, of which the fastest that does the same as the plain one is taken.

Each way can fail, on one version of PyTorch or another, on one GPU or another: then the log says why, and the next is tried.
"""
from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Callable, Optional

import torch

from ..loops import gpu
from ..network.dcn import SAMPLERS, DeformConv, default_sampler
from ..network.lifting import LiftNet
from ..network.model import Cleric
from .flat_optimiser import FlatOptimiser
from .narrow import NarrowWeights

Objective = Callable[[torch.Tensor, torch.Tensor], dict[str, torch.Tensor]]
Draw = Callable[[], tuple[torch.Tensor, torch.Tensor]]

WARM = 3  # steps before a way is timed or recorded: libraries choose their kernels in them
TRIAL = 20  # steps by which a way is timed and compared
LOSS_APART = 0.01  # how far a way's mean loss over the trial may be from the plain one's, as a share of it
COMPILED_SIZES = 64  # variants of one function
LEAST_COSINE = 0.8  # between a way's change of the weights over the trial and the plain one's


@dataclass(frozen=True)
class Way:
    """How to run a step: who samples for DCNv2 (and, in Triton, computes lifting nets that don't learn), whether all weights are cast at once, and whether it is compiled and
    recorded as a CUDA graph."""

    sampler: str
    narrow: bool = False
    compiled: bool = False
    recorded: bool = False

    @staticmethod
    def plain(device: torch.device) -> "Way":
        """What all others are compared with."""
        return Way(default_sampler(device))

    @staticmethod
    def named(name: str) -> "Way":
        """The way whose `str` this is, such as "grid+narrow+recorded"."""
        sampler, *more = name.split("+")
        if sampler not in SAMPLERS or not set(more) <= {"narrow", "compiled", "recorded"}:
            raise ValueError(f"Expected one of {', '.join(SAMPLERS)} with +narrow, +compiled or +recorded for a way but received {name}")
        return Way(sampler, "narrow" in more, "compiled" in more, "recorded" in more)

    def __str__(self) -> str:
        return "+".join([self.sampler, *(["narrow"] if self.narrow else []), *(["compiled"] if self.compiled else []), *(["recorded"] if self.recorded else [])])


class DeviceStep:
    """A whole step on the device: crops, loss, gradients, update. Nothing in it waits for the host."""

    def __init__(self, model: Cleric, objective: Objective, optimiser: FlatOptimiser, draw: Draw, precision: torch.dtype = torch.float32) -> None:
        """`precision` is that of `objective`'s convs and products."""
        self.model, self.objective, self.optimiser, self.draw, self.precision = model, objective, optimiser, draw, precision
        # Sums over steps since they were last read, but for those without finite ones: loss, bpp, mse, PSNR, steps.
        self.sums = torch.zeros(5, device=optimiser.w.device)
        self.run: Callable[[], None] = lambda: self._step(self.objective)

    def _step(self, objective: Objective | NarrowWeights) -> None:
        x, q = self.draw()
        result = objective(x, q)
        loss = result["loss"] * self.optimiser.scale
        if isinstance(objective, NarrowWeights):
            objective.backward(loss)
        else:
            self.optimiser.zero_grad()
            loss.backward()
        self.optimiser.step()
        loss, bpp, mse = result["loss"].detach(), result["bpp"].mean(), result["mse"]
        found = torch.stack([loss, bpp, mse.mean(), -10 * torch.log10(mse).mean(), torch.ones_like(loss)])
        self.sums += torch.where(torch.isfinite(found).all(), found, torch.zeros_like(found))

    def take(self, way: Way) -> None:
        """Makes `run` a step in this way. Steps are run on the way there, which change the weights."""
        for module in self.model.modules():
            if isinstance(module, DeformConv):
                module.sampler = way.sampler
            elif isinstance(module, LiftNet):
                module.in_triton = way.sampler == "triton"
        objective = _compiled(self.objective) if way.compiled else self.objective
        if way.narrow:
            objective = NarrowWeights(self.model, objective, self.optimiser, self.precision)

        def step() -> None:
            self._step(objective)

        self.run = _recorded(step) if way.recorded else step
        for _ in range(WARM):
            self.run()

    def use(self, way: Way) -> None:
        """`take`, after which weights and averages are as they were."""
        kept = self._state()
        try:
            self.take(way)
        finally:
            self._restore(kept)

    def choose(self, write: Callable[[dict[str, Any]], None], seed: int, compiling: bool = True) -> Way:
        """Tries the ways, takes the fastest that agrees with the plain one, and leaves weights and averages as they were."""
        kept = self._state()
        plain = Way.plain(self.optimiser.w.device)
        first = self._try(plain, kept, seed, None, write)
        if first is None:
            raise RuntimeError("Expected a step to run on this device but received an error, which is in the log")
        found = {plain: first}

        def attempt(way: Way) -> None:
            trial = self._try(way, kept, seed, first, write)
            if trial is not None:
                found[way] = trial

        likely = self.likely()
        if likely:
            attempt(likely)
        if likely not in found:
            self._attempt_each(attempt, found, plain)
        if compiling and hasattr(torch, "compile"):
            sampler = min(self._fit(found), key=lambda way: found[way].seconds).sampler
            attempt(Way(sampler, compiled=True))
            if self.optimiser.w.is_cuda and Way(sampler, compiled=True) in found:
                attempt(Way(sampler, compiled=True, recorded=True))
        chosen = min(found, key=lambda way: found[way].seconds)
        self.use(chosen)
        torch.manual_seed(seed)
        write({"way": str(chosen), "ms_a_step": round(1000 * found[chosen].seconds, 2)})
        return chosen

    def likely(self) -> Optional[Way]:
        """What was fastest wherever it was measured: where it does what the plain way does, others but compiled ones are left untried."""
        if not (self.optimiser.w.is_cuda and gpu.AVAILABLE):
            return None
        return Way("triton", narrow=self.precision != torch.float32, recorded=True)

    def _attempt_each(self, attempt: Callable[[Way], None], found: dict[Way, Trial], plain: Way) -> None:
        """One thing after the other: the samplers, cast weights, a recorded graph."""
        on_gpu = self.optimiser.w.is_cuda
        for sampler in ("grid", *(["triton"] if on_gpu and gpu.AVAILABLE else [])):
            if sampler != plain.sampler:
                attempt(Way(sampler))
        sampler = min(self._fit(found), key=lambda way: found[way].seconds).sampler
        narrow = self.precision != torch.float32
        if narrow:
            attempt(Way(sampler, narrow=True))
            narrow = Way(sampler, narrow=True) in found
        way = Way(sampler, narrow=narrow, recorded=True)
        if on_gpu and way != self.likely():  # which failed before this
            attempt(way)

    def _fit(self, found: dict[Way, Trial]) -> list[Way]:
        """Those whose sampler may be recorded: torchvision's kernels go to the default stream, and a graph would be without them."""
        return [way for way in found if not (self.optimiser.w.is_cuda and way.sampler == "torchvision")] or list(found)

    def _try(self, way: Way, kept: list[torch.Tensor], seed: int, plain: Optional["Trial"],
             write: Callable[[dict[str, Any]], None]) -> Optional["Trial"]:
        """Seconds a step, and what the trial's steps made of the weights; None, with a word in the log, if the way is no good."""
        started = time.monotonic()
        try:
            self.take(way)
            self._restore(kept)
            torch.manual_seed(seed)
            self._wait()
            ready = time.monotonic()
            for _ in range(TRIAL):
                self.optimiser.progress.fill_(0)
                self.run()
            self._wait()
            trial = Trial((time.monotonic() - ready) / TRIAL, float(self.sums[0] / self.sums[4]), self.optimiser.w - kept[0])
        except Exception as error:  # whatever a compiler or a driver throws: the way is not taken
            write({"tried": str(way), "failed": f"{type(error).__name__}: {error}"[:500]})
            return None
        finally:
            self._restore(kept)
        entry = {"tried": str(way), "ms_a_step": round(1000 * trial.seconds, 2), "loss": round(trial.loss, 5),
                 "ready_s": round(ready - started, 1)}
        if plain is not None:
            apart, cosine = abs(trial.loss / plain.loss - 1), float(torch.cosine_similarity(trial.change, plain.change, 0))
            entry.update({"apart": round(apart, 5), "cosine": round(cosine, 4)})
            if not (apart <= LOSS_APART and cosine >= LEAST_COSINE):
                write({**entry, "failed": "it does not do what the plain way does"})
                return None
        write(entry)
        return trial

    def _wait(self) -> None:
        if self.optimiser.w.is_cuda:
            torch.cuda.synchronize()

    def _tensors(self) -> list[torch.Tensor]:
        o = self.optimiser
        return [o.w, o.m, o.v, o.average, o.count, o.progress, o.skipped, o.scale, o.calm, self.sums]

    def _state(self) -> list[torch.Tensor]:
        return [t.clone() for t in self._tensors()]

    def _restore(self, kept: list[torch.Tensor]) -> None:
        for tensor, value in zip(self._tensors(), kept):
            tensor.copy_(value)


@dataclass(frozen=True)
class Trial:
    """What came of trying a way."""

    seconds: float  # a step
    loss: float  # mean
    change: torch.Tensor  # of the weights


def _compiled(objective: Objective) -> Objective:
    import torch._dynamo.config as dynamo
    import torch._inductor.config as inductor

    inductor.fallback_random = True  # the same random numbers as without compiling, or no way could be compared
    # A layer's code is compiled for the size of each layer that it is the code of, of which a network has dozens. Sizes
    # that are left open, as PyTorch makes them after the second, can't be compiled for DCNv2 (2.14: an InductorError).
    limit = "recompile_limit" if hasattr(dynamo, "recompile_limit") else "cache_size_limit"
    setattr(dynamo, limit, max(getattr(dynamo, limit), COMPILED_SIZES))
    return torch.compile(lambda x, q: objective(x, q), dynamic=False)


def _recorded(step: Callable[[], None]) -> Callable[[], None]:
    """A step as a CUDA graph: one launch for all its kernels."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(WARM):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    # A capture that fails leaves its own stream the current one; this puts that of before back.
    with torch.cuda.stream(torch.cuda.current_stream()), torch.cuda.graph(graph):
        step()

    def replay(held: Callable[[], None] = step) -> None:
        """`held` keeps alive what the step made outside the graph, such as cast weights: the graph has only their addresses."""
        graph.replay()

    return replay
