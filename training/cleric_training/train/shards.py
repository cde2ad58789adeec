"""A batch's gradient from several processes, each with a share of the batch.

Threads would do, were it not for Python's lock: two of them take 1.15 to 1.3 times as long for a step as two processes.
The weights lie in memory that all processes see; the optimiser stays in the first.
"""
from __future__ import annotations

import mmap
import multiprocessing
import signal
from multiprocessing.connection import Connection
from typing import Callable, Optional

import numpy as np
import torch
from torch import nn

Result = dict[str, torch.Tensor]
# x [b, 3, H, W] and q [b] of a share -> a scalar "loss" to go backwards from, and what else is to be known.
Objective = Callable[[torch.Tensor, torch.Tensor], Result]


def _shared(tensors: list[torch.Tensor]) -> list[torch.Tensor]:
    """Zeros of the shapes and strides of dense float32 `tensors`, in one piece of memory that forks share."""
    flat = torch.from_numpy(np.frombuffer(mmap.mmap(-1, 4 * sum(t.numel() for t in tensors)), np.float32))
    parts = flat.split([t.numel() for t in tensors])
    return [part.as_strided(t.shape, t.stride(), part.storage_offset()) for part, t in zip(parts, tensors)]


def _backward(objective: Objective, x: torch.Tensor, q: torch.Tensor, seed: int, count: int) -> Result:
    torch.manual_seed(seed)
    result = objective(x, q)
    (result["loss"] / count).backward()
    return {k: v.detach() for k, v in result.items()}


class Shards:
    """`count` processes, this one among them, for one model and objective. Those of a dead parent end by themselves."""

    def __init__(self, model: nn.Module, objective: Objective, count: int) -> None:
        self.objective, self.count = objective, count
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self.pipes: list[Connection] = []
        self.workers: list[multiprocessing.Process] = []
        self.gradients: list[list[torch.Tensor]] = []
        if count == 1:
            return
        for p, home in zip(self.parameters, _shared([p.detach() for p in self.parameters])):
            home.copy_(p.detach())
            p.data = home
        fork = multiprocessing.get_context("fork")
        for _ in range(count - 1):
            gradients = _shared([p.detach() for p in self.parameters])
            here, there = fork.Pipe()
            worker = fork.Process(target=self._serve, args=(there, here, gradients), daemon=True)
            worker.start()
            there.close()
            self.workers.append(worker)
            self.pipes.append(here)
            self.gradients.append(gradients)

    def _serve(self, pipe: Connection, others: Connection, gradients: list[torch.Tensor]) -> None:
        others.close()
        for earlier in self.pipes:
            earlier.close()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        torch.set_num_threads(1)  # more would wait for OpenMP's threads, which a fork does not have
        torch.set_flush_denormal(True)
        while True:
            try:
                x, q, seed = pipe.recv()
            except EOFError:
                return
            try:
                x = torch.from_numpy(x).contiguous(memory_format=torch.channels_last)
                found = _backward(self.objective, x, torch.from_numpy(q), seed, self.count)
                used = [p.grad is not None for p in self.parameters]
                for p, home in zip(self.parameters, gradients):
                    if p.grad is not None:
                        home.copy_(p.grad)
                    p.grad = None
                pipe.send(({k: v.numpy() for k, v in found.items()}, used))
            except Exception as error:
                pipe.send(error)

    def run(self, x: torch.Tensor, q: torch.Tensor, seeds: list[int]) -> Result:
        """Adds the gradient of the mean loss of x [B, 3, H, W] and q [B] to the parameters; a seed a process.

        Gives the mean "loss", and the rest of what the objective gives, joined along the batch.
        """
        pieces = list(zip(x.chunk(self.count), q.chunk(self.count), seeds))
        for pipe, (one, rate, seed) in zip(self.pipes, pieces[1:]):
            pipe.send((one.contiguous().numpy(), rate.numpy(), seed))
        failure: Optional[Exception] = None
        try:
            results = [_backward(self.objective, *pieces[0], self.count)]
        finally:
            answers = [self._answer(n) for n in range(len(self.pipes))]  # also if this process failed: none may stay in a pipe
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
        return {"loss": torch.stack([r["loss"] for r in results]).mean(),
                **{k: torch.cat([r[k] for r in results]) for k in results[0] if k != "loss"}}

    def _answer(self, n: int) -> object:
        """What a worker sends: its results, or what it failed with."""
        try:
            return self.pipes[n].recv()
        except EOFError:
            self.workers[n].join(5)
            return RuntimeError(f"Expected an answer from process {self.workers[n].pid} but it ended with {self.workers[n].exitcode}")
