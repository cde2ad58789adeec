"""Checkpoints: everything a run needs to go on as if it had never stopped."""
from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch

from ..network.config import Config
from ..network.model import Cleric
from . import safetensors
from .lean import widened
from .settle import round_to_bf16


def save(path: Path, state: dict[str, Any]) -> None:
    """Writes beside `path`, then renames: a reader sees the old file or the new one, whole."""
    part = path.with_suffix(f".{os.getpid()}.part")
    torch.save(state, part)
    os.replace(part, path)


def load(path: Path) -> dict[str, Any]:
    """The state `save` wrote, of a lean checkpoint (lean.py) its weights in float32, or, from a .safetensors that `cleric convert-weights` made of it, what an export needs.

    torch.load runs whatever code a file holds: give it none from strangers.
    """
    if path.suffix == ".safetensors":
        tensors, metadata = safetensors.read(path)
        average = {name: torch.from_numpy(value.astype("f4")) for name, value in tensors.items()}
        return {"config": metadata["config"], "counts": json.loads(metadata["counts"]), "ema": average}
    return widened(torch.load(path, map_location="cpu"))


def model_of(path: Path, last: bool = False) -> tuple[Cleric, dict[str, float]]:
    """The model of a checkpoint with its averaged weights, or the last ones as bf16 has them, and the run's counts."""
    state = load(path)
    if last and "model" not in state:
        raise ValueError(f"Expected a checkpoint with the last weights but {path} has the averaged ones only")
    model = Cleric(Config.from_json(state["config"]))
    model.load_state_dict(state["model"] if last else state["ema"])
    if last:
        round_to_bf16(model)
    return model.eval(), state["counts"]
