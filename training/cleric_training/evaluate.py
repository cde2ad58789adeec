"""Rate and distortion on whole images: `python3 -m cleric_training.evaluate --model FILE`.

A checkpoint is measured in floating point, its bits estimated from the likelihoods; a model file as a codec runs
it, its entropy model in integers and the bits those of its tables. `--cost` makes the integer model of a checkpoint
and prints what it costs: more bits at equal PSNR, in per cent. PSNR is over RGB, after rounding to 8 bits; bpp and
PSNR are each the mean over the images.
"""
from __future__ import annotations

import argparse
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Callable, Mapping

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from .export import add_quantisation, latents_for
from .files.checkpoint import model_of
from .files.modelfile import load_model, read_model, rounded
from .integer.oracle import encode
from .integer.quantise import quantise
from .integer.tables import prior_tables
from .measure.code_length import coded_bits
from .network.dcn import DeformConv
from .network.model import Cleric
from .train.data import DATA

BLOCK = 64
RATES, COST_RATES = "0,1,2,3,4,5,6,7", "0,2.5,5,7"

Measure = Callable[[torch.Tensor, float], tuple[float, float]]


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


def padded(x: torch.Tensor) -> torch.Tensor:
    """To sides that are multiples of 64, by repeating the edge."""
    return F.pad(x, (0, -x.shape[3] % BLOCK, 0, -x.shape[2] % BLOCK), mode="replicate")


def scored(x: torch.Tensor, x_hat: torch.Tensor, bits: float) -> tuple[float, float]:
    """(bpp, PSNR in dB) of an image."""
    h, w = x.shape[2:]
    shown = (x_hat[..., :h, :w].clamp(0, 1) * 255).round() / 255
    mse = float((shown - x).pow(2).mean())
    return bits / (h * w), float(-10 * np.log10(max(mse, 1e-12)))


@torch.no_grad()
def measure_float(model: Cleric, x: torch.Tensor, q: float) -> tuple[float, float]:
    """(bpp, PSNR in dB) of one image at rate q."""
    out = model(padded(x), torch.tensor([q]), noisy=False)
    return scored(x, out.x_hat, float(out.bits()))


@torch.no_grad()
def measure_integer(model: Cleric, tensors: Mapping[str, np.ndarray], x: torch.Tensor, q: float) -> tuple[float, float]:
    """Likewise with the integer entropy model and the tables of a model file."""
    gain, inverse = model.gains(torch.tensor([q]))
    y = model.g_a(padded(x)) * gain
    coded = encode(model.config, tensors, y.numpy(), model.h_a(y).numpy())
    x_hat = model.g_s(torch.from_numpy(coded.y_hat / 64).float() * inverse)
    return scored(x, x_hat, coded_bits(tensors, coded))


def chosen(folder: Path, limit: int | None) -> list[Path]:
    """PNG images of a folder, at most `limit` of every set."""
    sets: dict[str, list[Path]] = {}
    for path in sorted(folder.glob("*.png")):
        sets.setdefault(path.name.rsplit("-", 1)[0], []).append(path)
    return [path for group in sets.values() for path in group[:limit]]


def report(measure: Measure, q: float, paths: list[Path], images: list[torch.Tensor], pool: ThreadPoolExecutor) -> np.ndarray:
    """Prints the mean over all images and those of the sets; gives the former, [bpp, PSNR]."""
    found = list(pool.map(lambda x: measure(x, q), images))
    by_set: dict[str, list[tuple[float, float]]] = {}
    for path, pair in zip(paths, found):
        by_set.setdefault(path.name.rsplit("-", 1)[0], []).append(pair)
    bpp, psnr = mean = np.mean(found, 0)
    sets_text = {k: [round(float(v), 3) for v in np.mean(pairs, 0)] for k, pairs in by_set.items()}
    print(json.dumps({"q": q, "bpp": round(float(bpp), 4), "psnr": round(float(psnr), 3), "images": len(found),
                      "sets": sets_text}), flush=True)
    return mean


def cost_at_equal_psnr(plain: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """How many more bits, in per cent, `whole` takes than `plain`, both [rates, (bpp, PSNR)], rates rising.

    The little by which PSNR differs is turned into bits by the slope of `plain` there.
    """
    slope = np.gradient(np.log(plain[:, 0]), plain[:, 1]) if len(plain) > 1 else np.zeros(1)
    return 100 * (whole[:, 0] / plain[:, 0] * np.exp(slope * (plain[:, 1] - whole[:, 1])) - 1)


def main() -> None:
    p = argparse.ArgumentParser(prog="cleric_training.evaluate", description=__doc__)
    source = p.add_mutually_exclusive_group(required=True)
    source.add_argument("--model", type=Path, help="a model file")
    source.add_argument("--checkpoint", type=Path, help="a checkpoint; its averaged weights are measured")
    source.add_argument("--cost", type=Path, metavar="CHECKPOINT", help="what its integer model costs")
    p.add_argument("--images", type=Path, default=DATA / "eval", help="folder of PNG images to measure on")
    p.add_argument("--q", help=f"comma-separated rates; default all, of --cost {COST_RATES}")
    p.add_argument("--limit", type=int, help="only the first so many images of every set")
    p.add_argument("--threads", type=int, default=2, help="images at a time")
    add_quantisation(p, "--calibration")
    args = p.parse_args()
    torch.set_num_threads(1)
    tensors: Mapping[str, np.ndarray] = {}
    if args.model:
        model, tensors = load_model(args.model), read_model(args.model)[1]
    else:
        model = model_of(args.checkpoint or args.cost)[0]
    if args.cost:
        model = rounded(model)
        # With the Gaussian tables, so that the integers alone differ.
        tensors = {**quantise(model, latents_for(model, args), args.weight_bits).tensors, **prior_tables(model.z_prior)}
    model = model.to(memory_format=torch.channels_last)
    skip_idle_deformation(model)
    measures: list[Measure] = []
    if not args.model:
        measures.append(lambda x, q: measure_float(model, x, q))
    if tensors:
        measures.append(lambda x, q: measure_integer(model, tensors, x, q))
    paths = chosen(args.images, args.limit)
    images = [read_image(path) for path in paths]
    usual = (COST_RATES if args.cost else RATES) if model.config.levels else "0"  # a model of one rate has but that
    rates = [float(v) for v in (args.q or usual).split(",")]
    with ThreadPoolExecutor(args.threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        found = np.array([[report(measure, q, paths, images, pool) for q in rates] for measure in measures])
    if args.cost:
        for q, cost in zip(rates, cost_at_equal_psnr(*found)):
            print(f"q = {q:g}: {cost:+.2f} %")


if __name__ == "__main__":
    main()
