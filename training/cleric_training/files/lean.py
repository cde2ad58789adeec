"""Checkpoints to carry away: the weights in 16 bits where an export loses nothing by that, and nothing of the optimiser."""
from __future__ import annotations

from typing import Any, Mapping, Optional

import torch

LOSS = 2**-10  # of a tensor's root mean square, that 16 bits may change


def halved(value: torch.Tensor) -> torch.Tensor:
    """A tensor in float16, in a memory of its own, or in float32 where float16 loses more than `LOSS`. On the processor.

    A model file has the transforms in float16 anyway, and integers of at most 12 bits of everything else.
    """
    value = value.detach().float().cpu()
    half = value.half()
    lost, size = (half.float() - value).pow(2).mean().sqrt(), value.pow(2).mean().sqrt()
    # Not "more than": what overflows loses infinity, and not a number is no loss that compares.
    return half if bool(lost <= LOSS * size) else value.clone()


def lean_state(config: str, lmbda: float, counts: Mapping[str, float], average: Mapping[str, torch.Tensor],
               model: Optional[Mapping[str, torch.Tensor]] = None) -> dict[str, Any]:
    """What `checkpoint.save` writes of it; the last weights, `model`, only if they are given."""
    state: dict[str, Any] = {"config": config, "lambda": lmbda, "counts": dict(counts),
                             "ema": {name: halved(value) for name, value in average.items()}}
    if model is not None:
        state["model"] = {name: halved(value) for name, value in model.items()}
    return state


def widened(state: dict[str, Any]) -> dict[str, Any]:
    """A state whose weights are float32, whichever `lean_state` wrote."""
    return {**state, **{part: {name: value.float() for name, value in state[part].items()}
                        for part in ("ema", "model") if part in state}}
