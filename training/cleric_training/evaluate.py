"""Rate and distortion of a model on whole images: `python3 -m cleric_training.evaluate --model FILE`.

bpp is estimated from the likelihoods (the coder's files are larger by their headers and the
rounding of the tables, well below one per cent); PSNR is over RGB, after rounding to 8 bits, each
the mean over the images.
"""
from __future__ import annotations

import argparse
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from .data import DATA
from .dcn import DeformConv
from .export import model_of
from .model import Cleric
from .modelfile import load_model

BLOCK = 64


def read_image(path: Path) -> torch.Tensor:
    """RGB image as [1, 3, H, W] in [0, 1]."""
    pixels = np.array(Image.open(path).convert("RGB"))
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255


def skip_idle_deformation(model: Cleric) -> None:
    """Computes DCNv2 layers whose offsets are still all zero as the plain convs they equal."""
    for module in model.modules():
        if isinstance(module, DeformConv):
            offsets = module.offset
            module.deform = bool(offsets.weight.any()) or bool(offsets.bias.any())


@torch.no_grad()
def measure(model: Cleric, x: torch.Tensor, q: float) -> tuple[float, float]:
    """(bpp, PSNR in dB) of one image at rate q."""
    h, w = x.shape[2:]
    padded = F.pad(x, (0, -w % BLOCK, 0, -h % BLOCK), mode="replicate")
    rate = torch.tensor([q]) if model.config.levels else None
    out = model(padded, rate, noisy=False)
    shown = (out.x_hat[..., :h, :w].clamp(0, 1) * 255).round() / 255
    mse = float((shown - x).pow(2).mean())
    return float(out.bits()) / (h * w), float(-10 * np.log10(max(mse, 1e-12)))


def main() -> None:
    p = argparse.ArgumentParser(prog="cleric_training.evaluate", description=__doc__)
    source = p.add_mutually_exclusive_group(required=True)
    source.add_argument("--model", type=Path, help="a model file")
    source.add_argument("--checkpoint", type=Path, help="a checkpoint; its averaged weights are measured")
    p.add_argument("--images", type=Path, default=DATA / "eval", help="folder of PNG images")
    p.add_argument("--q", default="0,1,2,3,4,5,6,7", help="comma-separated rates")
    p.add_argument("--limit", type=int, help="only the first so many images of every set")
    p.add_argument("--threads", type=int, default=2, help="images at a time")
    args = p.parse_args()
    torch.set_num_threads(1)
    model = load_model(args.model) if args.model else model_of(args.checkpoint)[0]
    model = model.to(memory_format=torch.channels_last)
    skip_idle_deformation(model)
    paths = sorted(args.images.glob("*.png"))
    if args.limit:
        sets: dict[str, list[Path]] = {}
        for path in paths:
            sets.setdefault(path.name.rsplit("-", 1)[0], []).append(path)
        paths = [path for group in sets.values() for path in group[:args.limit]]
    images = [read_image(path) for path in paths]
    with ThreadPoolExecutor(args.threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        for q in (float(v) for v in args.q.split(",")):
            found = list(pool.map(lambda x: measure(model, x, q), images))
            by_set: dict[str, list[tuple[float, float]]] = {}
            for path, pair in zip(paths, found):
                by_set.setdefault(path.name.rsplit("-", 1)[0], []).append(pair)
            bpp, psnr = np.mean(found, 0)
            sets_text = {k: [round(float(v), 3) for v in np.mean(pairs, 0)] for k, pairs in by_set.items()}
            print(json.dumps({"q": q, "bpp": round(float(bpp), 4), "psnr": round(float(psnr), 3),
                              "images": len(found), "sets": sets_text}), flush=True)


if __name__ == "__main__":
    main()
