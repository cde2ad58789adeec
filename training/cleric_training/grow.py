"""Gives a trained model one slice of latents more: `python3 -m cleric_training.grow --checkpoint OLD.pt --out NEW.pt`.

Half of the new channels are the low branch's last, half the high branch's first, so that they are a slice of their own
in the middle of y, and every other slice keeps its nets. All of the old network computes what it did (but for the
attention of the slice behind the new one, whose predecessor is another now). The new latents begin as klt.py's next
components of a block, as far as the trained features show them, and reach the pixels through weights found by a short
descent; their entropy nets begin as those of the slice that they push back.
"""
from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Callable

import numpy as np
import torch
import torch.nn.functional as F

from .files import checkpoint
from .files.checkpoint import model_of
from .files.modelfile import load_weights, read_model
from .network.config import Config
from .network.model import Cleric
from .train.data import HOME, Images
from .train.initialise import initialise
from .train.klt import start_linear

CROPS = 160
RATE = 0.02  # of the descent in the synthesis' new weights
IDLE = ("conv2.weight", "conv2.bias")  # of the R2B of all latents: new channels pass it unchanged


def grown(config: Config) -> Config:
    """The configuration with a slice more."""
    if not config.ls or not config.levels:
        raise ValueError("Expected a model with lifting and of every rate")
    if config.slices % 2:
        raise ValueError(f"Expected an even number of slices but received {config.slices}")
    return replace(config, M=config.M + config.d, slices=config.slices + 1)


class Maps:
    """Where each channel of the old network lies in the new one."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.latents = self.prev(config.slices)

    def slice(self, i: int) -> int:
        return i if i < self.config.slices // 2 else i + 1

    def prev(self, count: int) -> list[int]:
        """Of the channels of the first `count` slices."""
        d = self.config.d
        return [d * self.slice(i) + c for i in range(count) for c in range(d)]

    def hyper(self) -> list[int]:
        """Of the hyper scales and the hyper means."""
        return self.latents + [self.config.M + self.config.d + c for c in self.latents]

    def inputs(self, name: str, i: int, width: int) -> list[int]:
        """Of the input channels of the conv `name` of slice i's nets, `width` in number, old to new."""
        c = self.config
        kind = name.split(".")[1]
        first = name.split(".")[3:] == ["0", "weight"]
        if kind in ("channel",) and first or kind == "inter" and (".qkv." in name or ".reproj." in name):
            return self.prev(i) if width == c.d * i else list(range(width))
        if kind in ("ep_a", "ep_n") and first:
            before = width - 2 * c.M
            return list(range(before)) + [before + n for n in self.hyper()]
        if kind in ("lrp_a", "lrp_n") and first:
            wide = c.M + c.d
            prev = [wide + n for n in self.prev(i)]
            new_prev = c.d * self.slice(i)
            return self.latents + prev + [wide + new_prev + n for n in range(c.d)]
        return list(range(width))


def _places(maps: Maps, name: str, shape: torch.Size) -> tuple[str, list[list[int]]]:
    """New name of a parameter, and for each of its first two dimensions where the old indices lie."""
    c = maps.config
    rows, columns = (list(range(n)) for n in (*shape, 1)[:2])
    part = name.split(".")
    if part[0] == "mem":
        i = int(part[2])
        columns = maps.inputs(name, i, len(columns)) if len(shape) > 1 else columns
        if part[1] == "inter" and part[3] == "qkv":
            rows = maps.prev(i)
        part[2] = str(maps.slice(i))
        return ".".join(part), [rows, columns]
    if name.startswith("log_"):
        return name, [rows, maps.latents]
    if name.startswith("g_a.high.5."):
        rows = [n + c.d // 2 for n in rows]
    if name.startswith("g_s.net.0."):
        rows = maps.latents
        columns = maps.latents if len(shape) > 1 else columns
    if name.startswith("g_s.net.1.") and len(columns) == c.M or name == "h_a.net.0.weight":
        columns = maps.latents
    if name.startswith("h_s.net.10."):
        rows = maps.hyper()
    return name, [rows, columns]


def _put(new: torch.Tensor, old: torch.Tensor, places: list[list[int]]) -> None:
    """Writes `old` at its places in `new`; what the new inputs give to the old outputs is zero."""
    rows, columns = places
    if old.dim() == 1:
        new[rows] = old
        return
    block = torch.zeros_like(new[rows])
    block[:, columns] = old
    new[rows] = block


def _transplant(old: dict[str, torch.Tensor], new: dict[str, torch.Tensor], maps: Maps) -> None:
    """Copies every parameter of the old network into the new one's, in place."""
    middle = maps.config.slices // 2
    for name, value in old.items():
        place, where = _places(maps, name, value.shape)
        _put(new[place], value, where)
        part = name.split(".")
        if part[0] == "mem" and int(part[2]) == middle:
            # The new slice sees as many channels before it as this one did.
            part[2] = str(middle)
            twin = ".".join(part)
            same = [list(range(n)) for n in (*value.shape, 1)[:2]]
            if part[1] in ("ep_a", "ep_n", "lrp_a", "lrp_n"):
                same = [same[0], maps.inputs(name, middle, value.shape[1]) if value.dim() > 1 else []]
                if part[1].startswith("lrp") and value.dim() > 1 and part[3] == "0":
                    wide = maps.config.M + maps.config.d
                    same[1] = maps.latents + list(range(wide, wide + maps.config.d * (middle + 1)))
            _put(new[twin], value, same)


def _blocks(x: torch.Tensor, side: int) -> torch.Tensor:
    """[n, C, h, w] -> [C * side^2, blocks]."""
    return F.pixel_unshuffle(x, side).transpose(0, 1).flatten(1).double()


def _regress(source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """The least-squares map [t, s] from rows of source [s, n] to rows of target [t, n]."""
    gram = source @ source.t()
    gram += 1e-5 * gram.diagonal().mean() * torch.eye(len(gram))
    return torch.linalg.solve(gram, source @ target.t()).t()


def _batched(f: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    return torch.cat([f(part) for part in x.split(8)])


@torch.no_grad()
def _new_rows(model: Cleric, linear: Cleric, x: torch.Tensor) -> None:
    """Lets g_a give the linear start's components for the new latents."""
    half = model.config.d // 2
    low, high = model.g_a.lift(x)
    mean = F.avg_pool2d(x, 2)
    wanted = _batched(linear.g_a, x).chunk(2, 1)
    for net, subbands, target, rows in ((model.g_a.low, low, wanted[0], slice(-half, None)),
                                        (model.g_a.high, high, wanted[1], slice(0, half))):
        features = _batched(net[:-1], torch.cat([subbands, mean], 1))
        source = torch.cat([_blocks(features, 2), torch.ones(1, features[:, 0, ::2, ::2].numel(), dtype=torch.float64)])
        goal = target[:, -half:].transpose(0, 1).flatten(1).double()
        found = _regress(source, goal)
        print("new components explained:", round(float(1 - (found @ source - goal).pow(2).sum() / goal.pow(2).sum()), 4))
        weight = torch.zeros_like(net[-1].weight[rows])
        weight[:, :, 1:, 1:] = found[:, :-1].reshape(half, -1, 2, 2).float()
        net[-1].weight[rows] = weight
        net[-1].bias[rows] = found[:, -1].float()


def _new_columns(model: Cleric, images: Images, steps: int) -> None:
    """Lets g_s add what the new latents tell about the pixels still missing: by descent, as nothing there is linear."""
    c = model.config
    new = slice((c.M - c.d) // 2, (c.M + c.d) // 2)
    weight = model.g_s.net[1].skip.weight
    columns = torch.zeros_like(weight[:, new])
    m, v = torch.zeros_like(columns), torch.zeros_like(columns)
    rng = np.random.default_rng(6)
    for step in range(steps):
        x = images.batch(rng, 8, 128, marked=0).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            with torch.no_grad():
                y = model.g_a(x)
            error = (model.g_s(y) - x).pow(2).mean()
        (slope,) = torch.autograd.grad(error, weight)
        with torch.no_grad():
            m.lerp_(slope[:, new], 0.1)
            v.lerp_(slope[:, new].pow(2), 0.02)
            rate = RATE * (1 - step / steps)
            columns -= rate * (m / (1 - 0.9 ** (step + 1))) / ((v / (1 - 0.98 ** (step + 1))).sqrt() + 1e-12)
            weight[:, new] = columns
        if step % 50 == 49:
            print("step", step + 1, "PSNR", round(float(-10 * torch.log10(error)), 2), flush=True)


@torch.no_grad()
def grow(old: Cleric, images: Images, steps: int = 400, crops: int = CROPS) -> Cleric:
    """A model with a slice more than `old`."""
    config = grown(old.config)
    model, linear = Cleric(config), Cleric(config)
    for one in (model, linear):
        initialise(one)
    start_linear(linear, images, min(crops, 96))
    maps = Maps(old.config)
    state = model.state_dict()
    new = [n for n in range(config.M) if n not in set(maps.latents)]
    for name in IDLE:
        state[f"g_s.net.0.{name}"].zero_()
    _transplant(old.state_dict(), state, maps)
    for name in ("log_gain", "log_inv"):
        state[name][:, new] = old.state_dict()[name].mean(1, keepdim=True)
    model.load_state_dict(state)
    model.to(memory_format=torch.channels_last)
    x = images.batch(np.random.default_rng(5), crops, 128, marked=0)
    _new_rows(model, linear, x)
    with torch.enable_grad():
        _new_columns(model, images, steps)
    return model


def main() -> None:
    p = argparse.ArgumentParser(prog="cleric_training.grow", description=__doc__)
    p.add_argument("--checkpoint", type=Path, required=True, help="or a model file")
    p.add_argument("--out", type=Path, required=True)
    p.add_argument("--folder", type=Path, default=HOME, help="with the decoded images")
    args = p.parse_args()
    if args.checkpoint.suffix == ".safetensors":
        old = Cleric(read_model(args.checkpoint)[0])
        counts = {"stage_step": 0, "stage_seconds": 0.0, "skipped": 0, **load_weights(old, args.checkpoint)}
    else:
        old, counts = model_of(args.checkpoint)
    torch.set_flush_denormal(True)
    images = Images(args.folder / "data")
    model = grow(old, images)
    weights = model.state_dict()
    checkpoint.save(args.out, {"config": model.config.to_json(), "counts": counts, "model": weights,
                               "ema": {k: v.clone() for k, v in model.named_parameters()}, "adam": None,
                               "torch_rng": torch.get_rng_state(), "numpy_rng": np.random.default_rng(1).bit_generator.state})
    x = images.validation()
    with torch.no_grad():
        for name, one in (("before", old.eval()), ("after", model.eval())):
            error = torch.cat([one.g_s(one.g_a(part)) for part in x.split(1)]) - x
            print(name, "unquantised PSNR:", round(float((-10 * torch.log10(error.pow(2).flatten(1).mean(1))).mean()), 2))


if __name__ == "__main__":
    main()
