"""Trains a model: `python3 -m cleric_training.train --help`.

A run is a sequence of stages, each its own call with `--resume` (see README.md). All stages train
the same, full network; a stage may leave the lifting nets or the deformation out of the
computation, where they cost time and the others do not need them yet.
"""
from __future__ import annotations

import argparse
import json
import math
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable, Iterator, Optional

import numpy as np
import torch

from ..files import checkpoint
from ..files.lean import lean_state
from ..files.modelfile import load_weights, read_model
from ..files.parts import cut
from ..network.config import PRESETS, Config
from ..network.model import Cleric
from . import BEGAN
from .arguments import parse, switches
from .data import Images, decode_all
from .initialise import initialise
from .klt import start_linear
from .linearity import Linearity
from .objective import LAMBDA_MIDDLE, Border
from .on_device import NONE, OnDevice, float32_by_tensor_cores
from .optimise import Optimiser, group_of
from .shards import Shards
from .stage import PRECISIONS, Stage, computes_in

PATIENCE = 20  # steps without a finite gradient, in a row or of those between two looks, after which a run gives up
COMPILING = 1800  # seconds a run must have left for compiled ways to be tried: that takes minutes of many processors
WINDOW = 50  # steps by processes between two entries of the log


class Stopped(BaseException):
    """A signal came where no loop looks for one."""


class Trainer:
    """Model, optimiser, averages and random state of one run."""

    def __init__(self, args: argparse.Namespace, images: Images) -> None:
        self.precision = PRECISIONS[args.precision]
        if not computes_in(self.precision, args.device):
            raise SystemExit(f"Expected a machine that computes in {args.precision}: train with --precision float32")
        self.args, self.images = args, images
        # One thread a tensor or image instead of two threads an operator: oneDNN's barriers spin, and
        # where another process wants the core every conv would wait for the scheduler.
        self.pool = ThreadPoolExecutor(args.shards, initializer=torch.set_num_threads, initargs=(1,))
        self.path: Path = args.folder / f"{args.preset}.pt"
        self.shards: Optional[Shards] = None  # made at the first step, of the model as it is then
        self.on_device: Optional[OnDevice] = None  # made when the run starts
        self.device = torch.device(args.device)
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
        if state or self.args.init:
            config = Config.from_json(state["config"]) if state else read_model(self.args.init)[0]
        else:
            config = replace(PRESETS[self.args.preset], shortcuts=self.args.shortcuts, **{name: False for name in switches(self.args.without)})
        return replace(config, ends=config.ls and (config.ends or self.args.ends))

    def _set_up(self) -> None:
        self.model = self.model.to(self.device).to(memory_format=torch.channels_last)
        self.model.stage(not self.args.no_lift_nets, not self.args.no_deform)
        self.optimiser = Optimiser(self.model, self.args.lr, frozenset(filter(None, self.args.freeze.split(","))),
                                   {k: float(v) for k, v in (s.split("=") for s in filter(None, self.args.shares.split(",")))})
        self.stage = Stage(self.model, self.optimiser.frozen, self.precision, self.lmbda,
                           Border(self.args.border_weight, self.args.border_rings))
        for name, p in self.model.named_parameters():
            p.requires_grad_(self.optimiser.group[name] not in self.optimiser.frozen)  # gradients that nothing needs take a tenth of a step

    def _restore(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state.get("model", state["ema"]))
        self.optimiser.restore_average(state["ema"])
        self.counts.update(state["counts"])
        if "adam" not in state:  # a lean checkpoint
            if not self.args.restart_schedule:
                raise SystemExit(f"Expected --restart-schedule, as {self.path} has nothing of the optimiser")
            self.counts["stage_seconds"] = self.counts["stage_step"] = 0
            return
        torch.set_rng_state(state["torch_rng"])
        self.rng.bit_generator.state = state["numpy_rng"]
        if self.args.restart_schedule:
            self.counts["stage_seconds"] = self.counts["stage_step"] = 0
        else:
            self.optimiser.restore(state["adam"])

    def save(self) -> None:
        if self.on_device:
            self.on_device.flat.report()  # brings the optimiser's count up to date
        checkpoint.save(self.path, {
            "config": self.config.to_json(), "lambda": self.lmbda, "model": self.model.state_dict(), "ema": self.optimiser.average,
            "adam": self.optimiser.state(), "counts": self.counts, "torch_rng": torch.get_rng_state(),
            "numpy_rng": self.rng.bit_generator.state})

    def save_lean(self) -> None:
        """The checkpoint to carry away, in parts if asked."""
        path = self.path.with_suffix(".lean.pt")
        checkpoint.save(path, lean_state(self.config.to_json(), self.lmbda, self.counts, self.optimiser.average,
                                         self.model.state_dict() if self.args.lean_last else None))
        if self.args.parts:
            cut(path, self.args.parts, self.args.parts_folder)

    @property
    def progress(self) -> float:
        """How much of this stage's schedule is behind; 1 is its end."""
        if self.args.stage_steps:
            return self.counts["stage_step"] / self.args.stage_steps
        return self.counts["stage_seconds"] / self.args.budget

    @property
    def left(self) -> float:
        """Seconds that the stage will go on."""
        if self.args.stage_steps:
            return self.counts["stage_seconds"] * (1 / self.progress - 1) if self.progress else math.inf
        return self.args.budget - self.counts["stage_seconds"]

    @property
    def size(self) -> tuple[int, int]:
        """Crops of a step, and their side."""
        a = self.args
        ending = a.last_share > 0 and self.progress >= 1 - a.last_share
        return (a.last_batch, a.last_crop) if ending else (a.batch, a.crop)

    def _count_step(self, batch: int, crop: int) -> None:
        self.counts["step"] += 1
        self.counts["stage_step"] += 1
        self.counts["pixels"] += batch * crop**2

    def start_on_device(self, write: Callable[[dict[str, Any]], None]) -> OnDevice:
        """Moves the optimiser into flat memory, and finds how the device runs a step best."""
        a = self.args
        self.on_device = OnDevice(self.model, self.images, self.optimiser, self.stage, *self.size, self.precision)
        way = "uncompiled" if a.way == "auto" and self.left < COMPILING else a.way
        self.on_device.start(way, int(self.rng.integers(2**31)), write)
        return self.on_device

    def step_on_device(self, on_device: OnDevice) -> Optional[dict[str, Any]]:
        """Hands one step to the device; every so many it gives what the log shows of them, for which it waits."""
        on_device.step(self.counts["stage_step"], self.progress)
        self._count_step(on_device.batch, on_device.crop)
        if not on_device.due:
            return None
        window, found = on_device.window, on_device.look()
        skipped = found.pop("skipped")
        self.counts["skipped"] += skipped
        if skipped >= PATIENCE:
            raise ArithmeticError(f"Expected finite gradients but received {skipped} batches of {window} without")
        if (on_device.batch, on_device.crop) != self.size:
            found["size"] = self._resize(on_device)
        return found

    def _resize(self, on_device: OnDevice) -> str:
        """Goes on with the crops that are due; with those of before where the device can't, rather than not at all."""
        batch, crop = self.size
        try:
            on_device.resize(batch, crop)
        except Exception as error:  # whatever a driver throws, such as that there is no memory
            self.args.last_share = 0.0
            return f"no {batch} crops of {crop}: {type(error).__name__}: {error}"[:500]
        return f"{batch} crops of {crop}"

    def step(self) -> dict[str, Any]:
        """One step on a random batch; gives what the log shows."""
        a = self.args
        batch, crop = self.size
        x = self.images.batch(self.rng, batch, crop).contiguous(memory_format=torch.channels_last)
        q = torch.from_numpy(self.rng.uniform(0, max(0, self.config.levels - 1), batch)).float()
        if self.shards is None:
            self.shards = Shards(self.model, self.stage, a.shards)
        result = self.shards.run(x, q, [int(seed) for seed in self.rng.integers(2**31, size=a.shards)])
        norms = self.optimiser.step(int(self.counts["stage_step"]), self.progress, self.pool)
        self._count_step(batch, crop)
        self.idle = self.idle + 1 if norms is None else 0
        self.counts["skipped"] += norms is None
        if self.idle >= PATIENCE:
            raise ArithmeticError(f"Expected finite gradients but received {self.idle} batches in a row without")
        return {"loss": result["loss"].detach(), "bpp": result["bpp"].mean(), "mse": result["mse"].mean(),
                "psnr": -10 * torch.log10(result["mse"]).mean(), "norms": norms or {}}

    @contextmanager
    def _averaged(self) -> Iterator[None]:
        """Within, the model has the averaged weights, and a GPU computes in float32 itself, not in TensorFloat-32.

        Copied into the weights' memory, which a recorded step goes on to use.
        """
        kept = {k: v.clone() for k, v in self.model.state_dict().items()}
        self.model.load_state_dict(self.optimiser.average)
        short = float32_by_tensor_cores(NONE)
        try:
            yield
        finally:
            float32_by_tensor_cores(short)
            self.model.load_state_dict(kept)

    def not_linear(self) -> dict[str, float]:
        """The shares of y, by the averaged weights, that are not linear in the pixels; see linearity.py."""
        self.linearity = self.linearity or Linearity(self.images)
        with self._averaged():
            share = self.linearity.share(lambda x: self.model.g_a(x.to(self.device)).cpu(), self.pool)
        return {k: round(v, 5) for k, v in share.items()}

    @torch.no_grad()
    def validate(self) -> dict[str, Any]:
        """bpp, PSNR and lambda 255^2 MSE + bpp of the averaged weights on the held-out crops, true rounding, by q.

        Of the first q, the middle and the last.
        """
        last = max(0, self.config.levels - 1)
        x = self.images.validation()

        def measure(rate: float, one: torch.Tensor) -> tuple[float, float, float]:
            with torch.no_grad():
                one = one.to(self.device)
                result = self.model(one, torch.full((1,), rate, device=self.device), noisy=False)
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
        choosing = a.engine == "device"

        def on_signal(*_: object) -> None:
            stop.append(True)
            if choosing:
                raise Stopped

        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, on_signal)
        log = (a.folder / f"{a.preset}.log.jsonl").open("a")

        def write(entry: dict[str, Any]) -> None:
            log.write(json.dumps({"time": time.strftime("%H:%M:%S"), **entry}) + "\n")
            log.flush()
            if a.engine == "device":
                print(_line(entry), flush=True)

        def write_validation() -> None:
            write({"step": self.counts["step"], "validation": self.validate(), "not_linear": self.not_linear()})

        write({"start": {k: str(v) for k, v in vars(a).items()}, **self.counts})
        last = BEGAN if a.from_start else time.monotonic()
        if a.engine == "device":
            try:
                on_device = self.start_on_device(write)
            except Stopped:
                pass  # the weights are as they were
            choosing = False
        saved = validated = leaned = now = time.monotonic()
        if a.from_start:
            self._pass(now - last)
        last = window_start = now
        window: list[dict[str, Any]] = []
        done = 0
        while not stop and self.progress < 1 and (a.steps is None or done < a.steps):
            if a.engine == "device":
                found = self.step_on_device(on_device)
            else:
                found = None
                window.append(self.step())
            done += 1
            now = time.monotonic()
            self._pass(now - last)
            last = now
            if len(window) >= WINDOW:
                found = _means(window, WINDOW * math.prod(self.size) * self.size[1] / max(1e-9, now - window_start))
                window = []
            if found:
                write({**self.counts, **found, "left_s": round(self.left)})
            if not window:
                window_start = now
            if now - validated > a.validate_every:
                write_validation()
                validated = time.monotonic()
                last = last if a.from_start else validated
            if now - saved > a.save_every:
                self.save()
                saved = time.monotonic()
                last = last if a.from_start else saved
            if a.lean_every and now - leaned > a.lean_every:
                self.save_lean()
                leaned = time.monotonic()
        self.save()
        if a.lean_every:
            self.save_lean()
        if self.progress >= 1:
            write_validation()
        write({"stopped": self.counts})

    def _pass(self, seconds: float) -> None:
        self.counts["stage_seconds"] += seconds
        self.counts["seconds"] += seconds


def _means(window: list[dict[str, Any]], speed: float) -> dict[str, Any]:
    """What the log shows of steps by processes."""
    mean = {k: round(float(np.mean([float(w[k]) for w in window])), 5) for k in ("loss", "bpp", "mse", "psnr")}
    norms = {k: round(float(np.median([w["norms"].get(k, np.nan) for w in window])), 3) for k in window[-1]["norms"]}
    return {**mean, "norms": norms, "pixels_per_s": round(speed)}


def _line(entry: dict[str, Any]) -> str:
    """An entry of the log for who watches the run."""
    if "pixels_per_s" not in entry:
        return json.dumps(entry)
    share = f", {100 * entry['share_of_peak']:.1f} % of the device's bf16 peak" if "share_of_peak" in entry else ""
    return (f"step {entry['step']:.0f}: loss {entry['loss']:.4f}, {entry['bpp']:.3f} bpp, {entry['psnr']:.2f} dB, "
            f"{entry['pixels_per_s'] / 1e6:.2f} Mpx/s{share}, {entry['left_s']} s left")


def main() -> None:
    args = parse()
    if args.device == "cuda":
        torch.set_num_threads(os.cpu_count() or 1)  # for the linear start and what the validation measures there
    else:
        torch.set_num_threads(2 if args.precision == "float32" and args.shards == 1 else 1)
    torch.set_flush_denormal(True)  # denormals make the first steps ten times slower
    args.images, args.folder = args.images.expanduser(), args.folder.expanduser()
    args.folder.mkdir(parents=True, exist_ok=True)
    decode_all(args.images, args.folder / "data")
    arguments = {k: str(v) if isinstance(v, Path) else v for k, v in vars(args).items()}
    trainer = Trainer(args, Images(args.folder / "data", args.artefacts))
    print(json.dumps(arguments), flush=True)
    trainer.run()
