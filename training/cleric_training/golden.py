"""Test fixtures: a tiny model with random weights, and every intermediate value of one image.

`python3 -m cleric_training.golden` writes nano.safetensors and nano-golden.safetensors (and with
`--variants` one pair of a network of preset m's proportions and of a smaller one for each switch) into test/fixtures. The transforms run in float32 from
the float16 weights of the model file, the entropy model in integers (oracle.py).
"""
from __future__ import annotations

import argparse
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from .export import calibration
from .files import safetensors
from .files.modelfile import rounded, save_model
from .integer.arithmetic import anchors, tie_margin
from .integer.oracle import encode
from .integer.quantise import quantise
from .integer.tables import dead_zones
from .network.config import PRESETS, Config
from .network.model import Cleric
from .train.data import drawn_image

FIXTURES = Path(__file__).resolve().parents[2] / "test" / "fixtures"
TIE = 4e-4  # no rounded value may lie closer than this to a tie, or float noise would flip symbols
TINY = Config(preset="tiny", N=8, M=16, Z=8, slices=2, lift=2, chan=(8, 8), ep=(16, 12, 12), lrp=(8, 8), levels=8)
# As uneven as preset m: five slices, no two hidden widths of a net alike, and no multiples of 16.
TINY_M = Config(preset="tiny-m", N=12, deep=20, M=40, Z=12, slices=5, lift=2, chan=(20, 12), ep=(36, 28, 20), lrp=(20, 12), levels=8)
HEIGHT, WIDTH, Q = 64, 128, 3.25
GAINS = {"g_a": 0.85, "g_s": 0.55, "h_a": 1.9, "h_s": 1.3, "mem": 1.3}  # of random convs, for values of order one


@torch.no_grad()
def randomise(model: Cleric, seed: int) -> None:
    """Random weights under which every path matters and activations stay of order one."""
    random = torch.Generator().manual_seed(seed)

    def normal(p: torch.Tensor, std: float) -> None:
        p.copy_(torch.randn(p.shape, generator=random) * std)

    for name, p in model.named_parameters():
        fan = math.prod(p.shape[1:])
        if name.startswith(("z_prior", "log_")):
            continue
        if name.endswith("gdn.gamma"):
            p.copy_((0.05 * torch.rand(p.shape, generator=random) + 0.1 * torch.eye(len(p))).sqrt())
        elif name.endswith("gdn.beta"):
            p.copy_(0.8 + 0.4 * torch.rand(p.shape, generator=random))
        elif ".norm" in name:
            normal(p, 0.2)
            if name.endswith("weight"):
                p.add_(1)
        elif name.startswith("mem.local") and name.count(".") == 3 and name.endswith("bias"):
            normal(p, 0.5)  # relative position bias
        elif name.endswith("bias"):
            normal(p, 0.6 if ".offset." in name else 0.2)
        elif ".nets." in name:
            normal(p, (0.6 if p.shape[0] == 1 else 1.5) / math.sqrt(fan))
        elif ".offset." in name:
            normal(p, 0.9 / math.sqrt(fan))
        else:
            normal(p, GAINS.get(name[:3], 1.0) / math.sqrt(fan))
    for net in (*model.mem.ep_a, *model.mem.ep_n):
        net[-1].bias[:model.config.d] += 1.5  # scales above their bound
    for name, p in model.z_prior.named_parameters():
        if name[0] in "ab":
            normal(p, 0.3)
        else:
            p.add_(0.3 * torch.randn(p.shape, generator=random))
    if model.config.levels:
        model.log_gain.add_(0.3 * torch.randn(model.log_gain.shape, generator=random))
        model.log_inv.add_(0.3 * torch.randn(model.log_inv.shape, generator=random))


def test_image(seed: int) -> torch.Tensor:
    """[1, 3, HEIGHT, WIDTH]."""
    return drawn_image(seed, HEIGHT, WIDTH)


@torch.no_grad()
def trace(model: Cleric, tensors: dict[str, np.ndarray], x: torch.Tensor) -> dict[str, np.ndarray]:
    """All intermediate values by the names of the golden file, batch dimension dropped: float32, or int64 of integers."""
    floats: dict[str, torch.Tensor] = {"x": x}
    if model.config.ls:
        floats["lift.low"], floats["lift.high"] = model.g_a.lift(x)
    gain, inverse = model.gains(torch.tensor([Q]))
    floats["y"] = model.g_a(x) * gain
    floats["z"] = model.h_a(floats["y"])
    integers: dict[str, np.ndarray] = {}
    coded = encode(model.config, tensors, floats["y"].numpy(), floats["z"].numpy(), integers)
    floats["x_hat"] = model.g_s(torch.from_numpy(coded.y_hat / 64).float() * inverse)
    return {**{k: v[0].numpy() for k, v in floats.items()}, **{k: v[0] for k, v in integers.items()}}


def distance_to_tie(config: Config, tensors: dict[str, np.ndarray], values: dict[str, np.ndarray]) -> float:
    """How close any rounded value comes to a tie."""
    d, zones = config.d, dead_zones(tensors)
    margins = [0.5 - np.abs(values["z"] - np.round(values["z"]))]
    for i in range(config.slices):
        ys = values["y"][d * i:d * (i + 1)]
        means = np.where(anchors(*ys.shape[1:]), values[f"params_a.{i}"][d:], values[f"params_n.{i}"][d:])
        margins.append(tie_margin(ys - means / 64, zones[values[f"index.{i}"]]))
    return min(float(m.min()) for m in margins)


def stored(value: np.ndarray) -> np.ndarray:
    """As the file holds it."""
    return np.ascontiguousarray(value, np.float32 if value.dtype.kind == "f" else np.int32)


def make(config: Config, stem: str, folder: Path, keep: tuple[str, ...] | None = None) -> dict[str, np.ndarray]:
    """Writes STEM.safetensors and STEM-golden.safetensors; gives the traced values."""
    for seed in range(1, 200):
        torch.manual_seed(seed)
        model = Cleric(config)
        randomise(model, seed)
        model = rounded(model)
        quantised = quantise(model, calibration(model, torch.cat([test_image(1000 + n) for n in range(config.levels)])))
        values = trace(model, quantised.tensors, test_image(seed))
        if distance_to_tie(config, quantised.tensors, values) > TIE:
            break
    else:
        raise RuntimeError("no seed keeps clear of ties")
    save_model(folder / f"{stem}.safetensors", model, quantised, f"cleric-{stem}")
    kept = {k: stored(v) for k, v in values.items() if keep is None or k in keep}
    metadata = {"format": "cleric-golden/2", "q": f"{Q:g}", "seed": str(seed), "config": config.to_json()}
    safetensors.write(folder / f"{stem}-golden.safetensors", kept, metadata)
    return values


def main() -> None:
    p = argparse.ArgumentParser(prog="cleric_training.golden", description=__doc__)
    p.add_argument("--out", type=Path, default=FIXTURES)
    p.add_argument("--variants", action="store_true", help="also tiny-m, tiny-no-ls, tiny-no-drb, tiny-no-r2b, tiny-ends (y and x_hat only)")
    args = p.parse_args()
    torch.set_num_threads(1)
    values = make(PRESETS["nano"], "nano", args.out)
    for name, value in values.items():
        print(f"{name:24} {str(value.shape):16} mean {value.mean():10.3f} std {value.std():10.3f} max {np.abs(value).max():10.3f}")
    if args.variants:
        make(TINY_M, "tiny-m", args.out, ("x", "y", "x_hat"))
        for switch in ("ls", "drb", "r2b"):
            make(replace(TINY, **{switch: False}), f"tiny-no-{switch}", args.out, ("x", "y", "x_hat"))
        make(replace(TINY, ends=True), "tiny-ends", args.out, ("x", "y", "x_hat"))


if __name__ == "__main__":
    main()
