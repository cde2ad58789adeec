"""Checkpoints: everything a run needs to go on as if it had never stopped."""
from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch

from . import safetensors


def save(path: Path, state: dict[str, Any]) -> None:
    """Writes beside `path`, then renames: a reader sees the old file or the new one, whole."""
    part = path.with_suffix(f".{os.getpid()}.part")
    torch.save(state, part)
    os.replace(part, path)


def load(path: Path) -> dict[str, Any]:
    """The state `save` wrote, or, from a .safetensors that `cleric convert-weights` made of it, what an export needs.

    torch.load runs whatever code a file holds: give it none from strangers.
    """
    if path.suffix == ".safetensors":
        tensors, metadata = safetensors.read(path)
        average = {name: torch.from_numpy(value.astype("f4")) for name, value in tensors.items()}
        return {"config": metadata["config"], "counts": json.loads(metadata["counts"]), "ema": average}
    return torch.load(path, map_location="cpu")
