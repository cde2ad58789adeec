"""Exports a checkpoint: `python3 -m cleric_training.export --checkpoint CKPT --out FILE`.

Its averaged weights, or with `--last` the last ones, see settle.py. The weights of the transforms go onto a grid (grid.py), and
the entropy model becomes integers, fitted to crops of training images at every rate (quantise.py).
"""
from __future__ import annotations

import argparse
import datetime
from pathlib import Path
from typing import Callable, Optional

import numpy as np
import torch

from .files.checkpoint import model_of
from .files.grid import CROPS as GRID_CROPS
from .files.grid import on_grid
from .files.modelfile import rounded, save_model
from .files.settle import centre
from .integer.calibrate import Latents, latents_of
from .integer.quantise import BITS, fit_tables, quantise
from .network.model import Cleric
from .train.data import DATA, HOME, Images, decode_all, drawn_image

CROPS, SIDE = 32, 256
MARKED = 0.08  # of the crops, see data.mark: the integers' ranges have to hold for such tiles too


def calibration_crops(folder: Optional[Path], count: int = CROPS, side: int = SIDE, marked: float = MARKED,
                      decoded: Path = HOME / "data") -> torch.Tensor:
    """Crops of the images of a folder as training draws them, or drawn images without one: [count, 3, side, side].

    `decoded`: where the images are kept decoded, or will be.
    """
    if folder is None:
        return torch.cat([drawn_image(n, side, side) for n in range(count)])
    decode_all(folder, decoded)
    return Images(decoded).batch(np.random.default_rng(0), count, side, marked)


def calibration(model: Cleric, images: torch.Tensor) -> Latents:
    """Latents of images, from the lowest rate to the highest."""
    return latents_of(model, images, torch.linspace(0, max(0, model.config.levels - 1), len(images)))


def positive(text: str) -> int:
    """A number of things, of the command line."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number above 0 but received {text!r}")
    return int(text)


def bits_by_layer(text: str) -> Callable[[str], int]:
    """'9,mem.ep=10' -> bits of a layer's weights: the first number, or that of the last prefix that fits."""
    default, *rest = text.split(",")
    prefixes = [item.split("=") for item in rest]

    def bits(name: str) -> int:
        return int(next((value for prefix, value in reversed(prefixes) if name.startswith(prefix)), default))

    return bits


def add_quantisation(p: argparse.ArgumentParser, folder: str) -> None:
    """Options of what makes an integer model; `folder` names the one for the calibration images."""
    p.add_argument(folder, dest="calibration", type=Path, default=DATA / "train", help="folder of WebP images to calibrate on")
    p.add_argument("--decoded", type=Path, default=HOME / "data", help="folder where these images are kept decoded")
    p.add_argument("--drawn", action="store_true", help="calibrate on drawn images instead (a worse fit)")
    p.add_argument("--crops", type=positive, default=CROPS, help=f"of {SIDE} x {SIDE} to calibrate on; default {CROPS}")
    p.add_argument("--weight-bits", type=bits_by_layer, default=bits_by_layer(str(BITS)), metavar="BITS[,PREFIX=BITS...]",
                   help=f"of the entropy model's weights, up to 12, also by layers; default {BITS}")


def chosen_crops(args: argparse.Namespace, marked: float = MARKED) -> torch.Tensor:
    """Crops to calibrate on, by the options of `add_quantisation`."""
    return calibration_crops(None if args.drawn else args.calibration, args.crops, marked=marked, decoded=args.decoded)


def latents_for(model: Cleric, args: argparse.Namespace) -> Latents:
    """What to fit the integer entropy model of `rounded(model)` to, by the options of `add_quantisation`."""
    return calibration(model, chosen_crops(args))


def main() -> None:
    p = argparse.ArgumentParser(prog="cleric_training.export", description=__doc__)
    p.add_argument("--checkpoint", type=Path, required=True)
    p.add_argument("--out", type=Path, required=True)
    p.add_argument("--name", help="default: cleric-PRESET")
    p.add_argument("--last", action="store_true", help="the last weights, made ready for float32, instead of the averaged ones")
    add_quantisation(p, "--images")
    args = p.parse_args()
    torch.set_num_threads(1)
    model, counts = model_of(args.checkpoint, args.last)
    if args.last:
        centre(model, chosen_crops(args, marked=0))
    model = on_grid(model, chosen_crops(args, marked=0)[:GRID_CROPS])
    as_stored = rounded(model)
    latents = latents_for(as_stored, args)
    quantised = quantise(as_stored, latents, args.weight_bits)
    fit_tables(model.config, quantised.tensors, latents)
    name = args.name or f"cleric-{model.config.preset}"
    training = {k: round(v) for k, v in counts.items() if k in ("step", "pixels", "seconds")}
    created = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    print(save_model(args.out, model, quantised, name, training, created))


if __name__ == "__main__":
    main()
