"""Writes a model file anew, packed: `python3 -m cleric_training.repack --model OLD --out NEW`.

What it decides stays as it is, and so does its hash, unless `--round` puts the weights of the transforms on a grid first
(grid.py), without which float16 packs badly. That is another model.
"""
from __future__ import annotations

import argparse
from pathlib import Path

import torch

from .export import calibration_crops
from .files.grid import CROPS, on_grid
from .files.modelfile import half_weights, load_model, read_model, write_model
from .train.data import DATA, HOME


def main() -> None:
    p = argparse.ArgumentParser(prog="cleric_training.repack", description=__doc__)
    p.add_argument("--model", type=Path, required=True)
    p.add_argument("--out", type=Path, required=True)
    p.add_argument("--round", action="store_true", help="put the weights of g_a, h_a and g_s on a grid")
    p.add_argument("--images", type=Path, default=DATA / "train", help="folder of WebP images to fit the biases to")
    p.add_argument("--decoded", type=Path, default=HOME / "data", help="folder where these images are kept decoded")
    p.add_argument("--drawn", action="store_true", help="fit them to drawn images instead")
    args = p.parse_args()
    torch.set_num_threads(1)
    _, tensors, metadata = read_model(args.model)
    if args.round:
        images = calibration_crops(None if args.drawn else args.images, CROPS, marked=0, decoded=args.decoded)
        tensors = {**tensors, **half_weights(on_grid(load_model(args.model), images))}
    print(write_model(args.out, tensors, metadata))


if __name__ == "__main__":
    main()
