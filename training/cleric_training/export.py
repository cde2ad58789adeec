"""Exports a checkpoint's averaged weights: `python3 -m cleric_training.export --checkpoint CKPT --out FILE`."""
from __future__ import annotations

import argparse
import datetime
from pathlib import Path

import torch

from . import checkpoint
from .config import Config
from .model import Cleric
from .modelfile import save_model


def model_of(path: Path) -> tuple[Cleric, dict[str, float]]:
    """The model of a checkpoint with its averaged weights, and the run's counts."""
    state = checkpoint.load(path)
    model = Cleric(Config.from_json(state["config"]))
    model.load_state_dict(state["ema"])
    return model.eval(), state["counts"]


def main() -> None:
    p = argparse.ArgumentParser(prog="cleric_training.export", description=__doc__)
    p.add_argument("--checkpoint", type=Path, required=True)
    p.add_argument("--out", type=Path, required=True)
    p.add_argument("--name", help="default: cleric-PRESET")
    args = p.parse_args()
    torch.set_num_threads(1)
    model, counts = model_of(args.checkpoint)
    name = args.name or f"cleric-{model.config.preset}"
    training = {k: round(v) for k, v in counts.items() if k in ("step", "pixels", "seconds")}
    created = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    print(save_model(args.out, model, name, training, created))


if __name__ == "__main__":
    main()
