"""A batch's gradient from several processes, each with a share of the batch.

Threads would do, were it not for Python's lock: two of them take 1.15 to 1.3 times as long for a step as two processes.
The weights lie in memory that all processes see; the optimiser stays in the first.

The processes are spawned, not forked. A fork has the locks of its parent's threads but not the threads: PyTorch 2 refuses
a backward pass in it once autograd has threads, OpenBLAS and OpenMP wait for theirs for ever. A spawned process costs the
seconds that importing PyTorch takes, once.
"""
from __future__ import annotations

import ctypes
import io
import multiprocessing
import pickle
import signal
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Callable, Optional, Sequence

import numpy as np
import torch
from torch import nn

Result = dict[str, torch.Tensor]
# x [b, 3, H, W] and q [b] of a share -> a scalar "loss" to go backwards from, and what else is to be known.
Objective = Callable[[torch.Tensor, torch.Tensor], Result]


@dataclass(frozen=True)
class Layout:
    """A parameter without its values."""

    shape: torch.Size
    stride: tuple[int, ...]
    learns: bool

    @staticmethod
    def of(p: nn.Parameter) -> "Layout":
        return Layout(p.shape, p.stride(), p.requires_grad)


def _views(memory: Any, layouts: Sequence[Layout]) -> list[torch.Tensor]:
    """Dense float32 tensors of the layouts, one behind the other in a shared array of floats."""
    parts = torch.frombuffer(memory, dtype=torch.float32).split([layout.shape.numel() for layout in layouts])
    return [part.as_strided(layout.shape, layout.stride, part.storage_offset()) for part, layout in zip(parts, layouts)]


class _Pickler(pickle.Pickler):
    """Names the model's parameters by their numbers: their values are in shared memory."""

    def __init__(self, file: io.BytesIO, parameters: Sequence[nn.Parameter]) -> None:
        super().__init__(file)
        self._numbers = {id(p): n for n, p in enumerate(parameters)}

    def persistent_id(self, value: object) -> Optional[int]:
        return self._numbers.get(id(value))


class _Unpickler(pickle.Unpickler):
    """The reverse."""

    def __init__(self, file: io.BytesIO, parameters: Sequence[nn.Parameter]) -> None:
        super().__init__(file)
        self.persistent_load = parameters.__getitem__


def _backward(objective: Objective, x: torch.Tensor, q: torch.Tensor, seed: int, share: float) -> Result:
    torch.manual_seed(seed)
    result = objective(x, q)
    (result["loss"] * share).backward()
    return {k: v.detach() for k, v in result.items()}


def _serve(pipe: Connection, pickled: bytes, layouts: Sequence[Layout], weights: Any, gradients: Any) -> None:
    """What a process does until the pipe is closed: gradients of shares of batches."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process ends all of them
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    parameters = [nn.Parameter(view, layout.learns) for view, layout in zip(_views(weights, layouts), layouts)]
    objective: Objective = _Unpickler(io.BytesIO(pickled), parameters).load()
    learning = [p for p in parameters if p.requires_grad]
    homes = _views(gradients, [layout for layout in layouts if layout.learns])
    while True:
        try:
            x, q, seed, share = pipe.recv()
        except EOFError:
            return
        try:
            x = torch.from_numpy(x).contiguous(memory_format=torch.channels_last)
            found = _backward(objective, x, torch.from_numpy(q), seed, share)
            used = [p.grad is not None for p in learning]
            for p, home in zip(learning, homes):
                if p.grad is not None:
                    home.copy_(p.grad)
                p.grad = None
            pipe.send(({k: v.numpy() for k, v in found.items()}, used))
        except Exception as error:
            pipe.send(error)


class Shards:
    """`count` processes, this one among them, for one model and objective. Those of a dead parent end by themselves.

    The objective is pickled with the model that it holds, as it is now: what is learnt reaches the other processes
    through the parameters alone.
    """

    def __init__(self, model: nn.Module, objective: Objective, count: int) -> None:
        self.objective, self.count = objective, count
        parameters = list(model.parameters())
        self.parameters = [p for p in parameters if p.requires_grad]
        self.pipes: list[Connection] = []
        self.workers: list[multiprocessing.process.BaseProcess] = []
        self.gradients: list[list[torch.Tensor]] = []
        if count == 1:
            return
        spawn = multiprocessing.get_context("spawn")
        layouts = [Layout.of(p) for p in parameters]
        learning = [layout for layout in layouts if layout.learns]
        weights = spawn.RawArray(ctypes.c_float, sum(p.numel() for p in parameters))
        for p, home in zip(parameters, _views(weights, layouts)):
            home.copy_(p.detach())
            p.data = home
        pickled = io.BytesIO()
        _Pickler(pickled, parameters).dump(objective)
        for _ in range(count - 1):
            gradients = spawn.RawArray(ctypes.c_float, sum(p.numel() for p in self.parameters))
            here, there = spawn.Pipe()
            worker = spawn.Process(target=_serve, args=(there, pickled.getvalue(), layouts, weights, gradients), daemon=True)
            worker.start()
            there.close()
            self.workers.append(worker)
            self.pipes.append(here)
            self.gradients.append(_views(gradients, learning))

    def close(self) -> None:
        """Ends the other processes."""
        for pipe, worker in zip(self.pipes, self.workers):
            pipe.close()
            worker.join()

    def run(self, x: torch.Tensor, q: torch.Tensor, seeds: list[int]) -> Result:
        """Adds the gradient of the mean loss of x [B, 3, H, W] and q [B] to the parameters; a seed a process.

        Gives the mean "loss", and the rest of what the objective gives, joined along the batch.
        """
        pieces = [(one, rate, seed, len(one) / len(x)) for one, rate, seed in zip(x.chunk(self.count), q.chunk(self.count), seeds)]
        for pipe, (one, rate, seed, share) in zip(self.pipes, pieces[1:]):
            with suppress(BrokenPipeError):  # of a process that has ended: `_answer` says so
                pipe.send((one.contiguous().numpy(), rate.numpy(), seed, share))
        failure: Optional[Exception] = None
        try:
            results = [_backward(self.objective, *pieces[0])]
        finally:
            answers = [self._answer(n) for n in range(len(pieces) - 1)]  # also if this process failed: none may stay in a pipe
        for answer, gradients in zip(answers, self.gradients):
            if isinstance(answer, Exception):
                failure = answer
                continue
            found, used = answer
            results.append({k: torch.from_numpy(np.asarray(v)) for k, v in found.items()})
            for p, gradient, was_used in zip(self.parameters, gradients, used):
                if was_used:
                    p.grad = gradient.clone() if p.grad is None else p.grad.add_(gradient)
        if failure:
            raise failure
        return {"loss": torch.stack([r["loss"] * share for r, (*_, share) in zip(results, pieces)]).sum(),
                **{k: torch.cat([r[k] for r in results]) for k in results[0] if k != "loss"}}

    def _answer(self, n: int) -> object:
        """What a worker sends: its results, or what it failed with."""
        try:
            return self.pipes[n].recv()
        except (EOFError, ConnectionResetError):
            worker = self.workers[n]
            worker.join(5)
            return RuntimeError(f"Expected an answer from process {worker.pid} but it ended with {worker.exitcode}")
