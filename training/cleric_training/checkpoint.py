"""Checkpoints: everything a run needs to go on as if it had never stopped."""
from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch


def save(path: Path, state: dict[str, Any]) -> None:
    """Writes beside `path`, then renames: a reader sees the old file or the new one, whole."""
    part = path.with_suffix(f".{os.getpid()}.part")
    torch.save(state, part)
    os.replace(part, path)


def load(path: Path) -> dict[str, Any]:
    """The state `save` wrote."""
    return torch.load(path, map_location="cpu")
