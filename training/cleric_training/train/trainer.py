"""Trains a model: `python3 -m cleric_training.train --help`.

A run is a sequence of stages, each its own call with `--resume` (see README.md). All stages train
the same, full network; a stage may leave the lifting nets or the deformation out of the
computation, where they cost time and the others do not need them yet.
"""
from __future__ import annotations

import argparse
import json
import math
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Iterator, Optional

import numpy as np
import torch

from ..files import checkpoint
from ..files.modelfile import load_weights, read_model
from ..network.config import PRESETS, Config
from ..network.model import Cleric
from .data import DATA, HOME, Images, decode_all
from .initialise import initialise
from .klt import start_linear
from .linearity import Linearity
from .objective import LAMBDA_LOW, LAMBDA_MIDDLE, LAMBDA_RANGE, Border
from .optimise import Optimiser, group_of
from .shards import Shards
from .stage import Stage, has_bf16

PATIENCE = 20  # steps in a row without a finite gradient, after which a run gives up


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    p = argparse.ArgumentParser(prog="cleric_training.train", description=__doc__)
    p.add_argument("--preset", choices=sorted(PRESETS), default="s")
    p.add_argument("--without", default="", help="comma-separated modules to leave out: ls,drb,r2b (for ablations)")
    p.add_argument("--shortcuts", action="store_true", help="linear shortcuts in g_a (Config.shortcuts), where the linear start then lies")
    p.add_argument("--folder", type=Path, default=HOME, help="checkpoint, log and decoded images")
    p.add_argument("--images", type=Path, default=DATA / "train", help="folder of WebP images")
    p.add_argument("--resume", action="store_true", help="go on from FOLDER/PRESET.pt")
    p.add_argument("--init", type=Path, help="start from the weights of a model file")
    p.add_argument("--entropy-from", type=Path, help="start h_a, h_s, the prior and MEM++ from this checkpoint")
    p.add_argument("--restart-schedule", action="store_true", help="with --resume: a new stage, schedule and optimiser anew")
    p.add_argument("--budget", type=float, default=3600, help="seconds of training in this stage's schedule")
    p.add_argument("--steps", type=int, help="stop after so many steps of this call")
    p.add_argument("--stage-steps", type=int, help="steps in this stage's schedule, instead of --budget: equal however busy the machine is")
    p.add_argument("--lr", type=float, default=1e-3)
    p.add_argument("--lambda", dest="lmbda", type=float,
                   help="of a model of one rate: a squared error's weight against bits a pixel. The rates of the others go from "
                        f"{LAMBDA_LOW:g} to {LAMBDA_LOW * LAMBDA_RANGE:g}; default the checkpoint's, or {LAMBDA_MIDDLE:g}")
    p.add_argument("--batch", type=int, default=8)
    p.add_argument("--crop", type=int, default=128, help="a multiple of 64")
    p.add_argument("--artefacts", type=float, default=0.0, help="share of the crops that are changed as in slides, see artefacts.py")
    p.add_argument("--border-weight", type=float, default=1.0, help="of a crop's outermost pixels in the distortion, see objective.Border")
    p.add_argument("--border-rings", type=int, default=1, help="how many rings of pixels have that weight")
    p.add_argument("--no-lift-nets", action="store_true", help="plain CDF 9/7")
    p.add_argument("--no-deform", action="store_true", help="plain convs for DCNv2")
    p.add_argument("--start", choices=("linear", "random"), default="linear", help="of a new model, see klt.py")
    p.add_argument("--shares", default="", help="of the learning rate by group, such as g_a=1,g_s=1 (for a random start)")
    p.add_argument("--freeze", default="", help="comma-separated groups: lift,offset,g_a,g_s,entropy,gain")
    p.add_argument("--float32", action="store_true", help="no bf16 (slower; for the last stage)")
    p.add_argument("--shards", type=int, help="processes, each with a share of the batch; default 2, in float32 1 of two threads")
    p.add_argument("--save-every", type=float, default=240, help="seconds")
    p.add_argument("--validate-every", type=float, default=600, help="seconds")
    p.add_argument("--seed", type=int, default=1)
    args = p.parse_args(argv)
    if args.lmbda is not None and not 0 < args.lmbda < math.inf:
        p.error(f"Expected a positive number for --lambda but received {args.lmbda:g}")
    if args.shards is None:
        args.shards = 1 if args.float32 else 2  # two in float32 took 1.7 times the processor's time of one
    elif args.shards < 1:
        p.error(f"Expected a positive number for --shards but received {args.shards}")
    return args


def switches(text: str) -> list[str]:
    """The names in "ls,drb": switches of `Config`."""
    names = list(filter(None, text.split(",")))
    for name in names:
        if name not in ("ls", "drb", "r2b"):
            raise SystemExit(f"Expected ls, drb or r2b for --without but received {name}")
    return names


class Trainer:
    """Model, optimiser, averages and random state of one run."""

    def __init__(self, args: argparse.Namespace, images: Images) -> None:
        if not (args.float32 or has_bf16()):
            raise SystemExit("Expected a machine that computes in bfloat16: train with --float32")
        self.args, self.images = args, images
        # One thread a tensor or image instead of two threads an operator: oneDNN's barriers spin, and
        # where another process wants the core every conv would wait for the scheduler.
        self.pool = ThreadPoolExecutor(args.shards, initializer=torch.set_num_threads, initargs=(1,))
        self.path: Path = args.folder / f"{args.preset}.pt"
        self.shards: Optional[Shards] = None  # made at the first step, of the model as it is then
        self.linearity: Optional[Linearity] = None  # made at the first validation
        self.idle = 0  # steps in a row without an update
        torch.manual_seed(args.seed)
        self.rng = np.random.default_rng(args.seed)
        state = checkpoint.load(self.path) if args.resume else None
        self.config = self._config(state)
        if args.lmbda is not None and self.config.levels:
            raise SystemExit(f"Expected a model of one rate for --lambda but received one of {self.config.levels} levels")
        self.lmbda: float = args.lmbda or (state or {}).get("lambda", LAMBDA_MIDDLE)
        self.model = Cleric(self.config)
        initialise(self.model)
        if args.start == "linear" and not (args.resume or args.init):
            start_linear(self.model, images, lmbda=self.lmbda)
        self.counts: dict[str, float] = {"step": 0, "stage_step": 0, "pixels": 0, "stage_seconds": 0.0, "seconds": 0.0,
                                         "skipped": 0}
        self._set_up()
        if args.init:
            self.counts.update(load_weights(self.model, args.init))
            self.optimiser.restart_average()
        if args.entropy_from:
            average = checkpoint.load(args.entropy_from)["ema"]
            parts = {k: v for k, v in average.items() if group_of(k) == "entropy"}
            self.model.load_state_dict(parts, strict=False)
            self.optimiser.restart_average()
        if state:
            self._restore(state)

    def _config(self, state: Optional[dict[str, Any]]) -> Config:
        """The network's shape: of the checkpoint or model file that the run goes on from, else the preset's."""
        if state:
            return Config.from_json(state["config"])
        if self.args.init:
            return read_model(self.args.init)[0]
        return replace(PRESETS[self.args.preset], shortcuts=self.args.shortcuts, **{name: False for name in switches(self.args.without)})

    def _set_up(self) -> None:
        self.model = self.model.to(memory_format=torch.channels_last)
        self.model.stage(not self.args.no_lift_nets, not self.args.no_deform)
        self.optimiser = Optimiser(self.model, self.args.lr, frozenset(filter(None, self.args.freeze.split(","))),
                                   {k: float(v) for k, v in (s.split("=") for s in filter(None, self.args.shares.split(",")))})
        self.stage = Stage(self.model, self.optimiser.frozen, not self.args.float32, self.lmbda,
                           Border(self.args.border_weight, self.args.border_rings))
        for name, p in self.model.named_parameters():
            p.requires_grad_(self.optimiser.group[name] not in self.optimiser.frozen)  # gradients that nothing needs take a tenth of a step

    def _restore(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.optimiser.restore_average(state["ema"])
        self.counts.update(state["counts"])
        torch.set_rng_state(state["torch_rng"])
        self.rng.bit_generator.state = state["numpy_rng"]
        if self.args.restart_schedule:
            self.counts["stage_seconds"] = self.counts["stage_step"] = 0
        else:
            self.optimiser.restore(state["adam"])

    def save(self) -> None:
        checkpoint.save(self.path, {
            "config": self.config.to_json(), "lambda": self.lmbda, "model": self.model.state_dict(), "ema": self.optimiser.average,
            "adam": self.optimiser.state(), "counts": self.counts, "torch_rng": torch.get_rng_state(),
            "numpy_rng": self.rng.bit_generator.state})

    @property
    def progress(self) -> float:
        """How much of this stage's schedule is behind; 1 is its end."""
        if self.args.stage_steps:
            return self.counts["stage_step"] / self.args.stage_steps
        return self.counts["stage_seconds"] / self.args.budget

    def step(self) -> dict[str, Any]:
        """One step on a random batch; gives what the log shows."""
        a = self.args
        x = self.images.batch(self.rng, a.batch, a.crop).contiguous(memory_format=torch.channels_last)
        q = torch.from_numpy(self.rng.uniform(0, max(0, self.config.levels - 1), a.batch)).float()
        if self.shards is None:
            self.shards = Shards(self.model, self.stage, a.shards)
        result = self.shards.run(x, q, [int(seed) for seed in self.rng.integers(2**31, size=a.shards)])
        norms = self.optimiser.step(int(self.counts["stage_step"]), self.progress, self.pool)
        self.counts["step"] += 1
        self.counts["stage_step"] += 1
        self.counts["pixels"] += x.shape[0] * x.shape[2] * x.shape[3]
        self.idle = self.idle + 1 if norms is None else 0
        self.counts["skipped"] += norms is None
        if self.idle >= PATIENCE:
            raise ArithmeticError(f"Expected finite gradients but received {self.idle} batches in a row without")
        return {"loss": result["loss"].detach(), "bpp": result["bpp"].mean(), "mse": result["mse"].mean(),
                "psnr": -10 * torch.log10(result["mse"]).mean(), "norms": norms or {}}

    @contextmanager
    def _averaged(self) -> Iterator[None]:
        """Within, the model has the averaged weights."""
        kept = {k: v.clone() for k, v in self.model.state_dict().items()}
        self.model.load_state_dict(self.optimiser.average)
        try:
            yield
        finally:
            self.model.load_state_dict(kept)

    def not_linear(self) -> dict[str, float]:
        """The shares of y, by the averaged weights, that are not linear in the pixels; see linearity.py."""
        self.linearity = self.linearity or Linearity(self.images)
        with self._averaged():
            return {k: round(v, 5) for k, v in self.linearity.share(self.model.g_a, self.pool).items()}

    @torch.no_grad()
    def validate(self) -> dict[str, Any]:
        """bpp, PSNR and lambda 255^2 MSE + bpp of the averaged weights on the held-out crops, true rounding, by q.

        Of the first q, the middle and the last.
        """
        last = max(0, self.config.levels - 1)
        x = self.images.validation()

        def measure(rate: float, one: torch.Tensor) -> tuple[float, float, float]:
            with torch.no_grad():
                result = self.model(one, torch.full((1,), rate), noisy=False)
            mse = (result.x_hat.clamp(0, 1) - one).pow(2).mean()
            bpp = float(result.bits()) / (one.shape[2] * one.shape[3])
            weight = float(self.stage.lambdas(torch.tensor(rate)))
            return bpp, float(-10 * torch.log10(mse)), weight * 255**2 * float(mse) + bpp

        out: dict[str, Any] = {}
        with self._averaged():
            for rate in sorted({0.0, last / 2, float(last)}):
                found = np.array(list(self.pool.map(lambda one: measure(rate, one), x.split(1))))
                out[f"{rate:g}"] = [round(float(v), 4) for v in found.mean(0)]
        return out

    def run(self) -> None:
        """Trains until the stage's budget or `--steps` is used up, or a signal asks to stop."""
        a, stop = self.args, []
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, lambda *_: stop.append(True))
        log = (a.folder / f"{a.preset}.log.jsonl").open("a")

        def write(entry: dict[str, Any]) -> None:
            log.write(json.dumps({"time": time.strftime("%H:%M:%S"), **entry}) + "\n")
            log.flush()

        def write_validation() -> None:
            write({"step": self.counts["step"], "validation": self.validate(), "not_linear": self.not_linear()})

        write({"start": {k: str(v) for k, v in vars(a).items()}, **self.counts})
        saved = validated = last = time.monotonic()
        window_start = last
        window: list[dict[str, Any]] = []
        done = 0
        while not stop and self.progress < 1 and (a.steps is None or done < a.steps):
            window.append(self.step())
            done += 1
            now = time.monotonic()
            self.counts["stage_seconds"] += now - last
            self.counts["seconds"] += now - last
            last = now
            if len(window) >= 50:
                mean = {k: round(float(np.mean([float(w[k]) for w in window])), 5) for k in ("loss", "bpp", "mse", "psnr")}
                norms = {k: round(float(np.median([w["norms"].get(k, np.nan) for w in window])), 3) for k in window[-1]["norms"]}
                speed = 50 * a.batch * a.crop**2 / max(1e-9, now - window_start)
                write({**self.counts, **mean, "norms": norms, "pixels_per_s": round(speed)})
                window = []
            if not window:
                window_start = now
            if now - validated > a.validate_every:
                write_validation()
                validated = last = time.monotonic()
            if now - saved > a.save_every:
                self.save()
                saved = last = time.monotonic()
        self.save()
        if self.progress >= 1:
            write_validation()
        write({"stopped": self.counts})


def main() -> None:
    args = parse()
    torch.set_num_threads(2 if args.float32 and args.shards == 1 else 1)
    torch.set_flush_denormal(True)  # denormals make the first steps ten times slower
    args.images, args.folder = args.images.expanduser(), args.folder.expanduser()
    args.folder.mkdir(parents=True, exist_ok=True)
    decode_all(args.images, args.folder / "data")
    arguments = {k: str(v) if isinstance(v, Path) else v for k, v in vars(args).items()}
    trainer = Trainer(args, Images(args.folder / "data", args.artefacts))
    print(json.dumps(arguments), flush=True)
    trainer.run()
