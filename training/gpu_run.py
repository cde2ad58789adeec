#!/usr/bin/env python3
"""A training run on a bare GPU machine, whole: check, train, checkpoints and a model file in parts that can be carried away.

    python3 training/gpu_run.py --packed FOLDER --init models/cleric-s.safetensors --seconds 480 --out "$OUT"

Needs this repository, PyTorch with torchvision, NumPy, Pillow, and the files that `cleric_training.pack` wrote; no network. It counts
from its own start: the first seconds go into a check that ends the run at once, and says why, where something is off, and
training ends such that all is written after `--seconds`. Whenever the machine is taken away, the last checkpoint, at most
`--lean-every` seconds old, lies in `--out`; a SIGTERM ends the run with one. What it leaves there:

    PRESET.lean.pt.000 ... PRESET.lean.pt.parts      python3 -m cleric_training.join PRESET.lean.pt.parts --out FILE
    MODEL.safetensors.000 ... MODEL.safetensors.parts     likewise; not where that would be more than --most
    PRESET.log.jsonl                                 the trainer's log, with the validation of the end

Options behind `--` go to the trainer (python3 -m cleric_training.train --help).
"""
from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

STARTED = time.monotonic()
PACKAGE = Path(__file__).resolve().parent
sys.path.insert(0, str(PACKAGE))
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(PACKAGE), os.environ.get("PYTHONPATH")]))
ROOM = 8 << 30  # bytes of disk for decoded images and checkpoints
DECODED = 40  # times its size that a packed image takes when it's decoded, with its reductions
KEPT = 25.0  # seconds of --seconds for the last checkpoint and the validation


def say(text: str) -> None:
    print(f"[{time.monotonic() - STARTED:6.1f} s] {text}", flush=True)


def refuse(text: str) -> None:
    say(f"stopped: {text}")
    raise SystemExit(2)


def parse() -> argparse.Namespace:
    p = argparse.ArgumentParser(prog="gpu_run", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--packed", type=Path, required=True, help="folder of what cleric_training.pack wrote")
    p.add_argument("--out", type=Path, required=True, help="folder of what is to be carried away")
    p.add_argument("--seconds", type=float, required=True, help="of all, from this program's start")
    p.add_argument("--preset", default="s")
    source = p.add_mutually_exclusive_group()
    source.add_argument("--init", type=Path, help="start from the weights of this model file")
    source.add_argument("--checkpoint", type=Path, help="start from this checkpoint, or NAME.parts of one in parts")
    p.add_argument("--folder", type=Path, default=Path.home() / ".cache" / "cleric-train", help="decoded images, checkpoints, log")
    p.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="cpu: to rehearse")
    p.add_argument("--lean-every", type=float, default=120.0, help="seconds between two checkpoints in --out")
    p.add_argument("--parts", type=int, default=15 << 20, help="most bytes of a part")
    p.add_argument("--most", type=int, default=60 << 20, help="most bytes in --out")
    p.add_argument("--export-seconds", type=float, default=0.0, help="of --seconds, for the model file; 0: none")
    argv = sys.argv[1:]
    cut = argv.index("--") if "--" in argv else len(argv)
    args = p.parse_args(argv[:cut])
    args.more = argv[cut + 1:]
    return args


def check(args: argparse.Namespace) -> None:
    """Ends the program where a run would not come to its end."""
    say(f"Python {sys.version.split()[0]}, {os.cpu_count()} processors")
    if sys.version_info < (3, 9):
        refuse(f"Expected Python 3.9 or newer but this is {sys.version.split()[0]}")
    for folder in (args.folder, args.out):
        folder.mkdir(parents=True, exist_ok=True)
    packed = sum(path.stat().st_size for path in args.packed.glob("*.tar"))
    free, needed = shutil.disk_usage(args.folder).free, ROOM // (1 if args.device == "cuda" else 8) + DECODED * packed
    if free < needed:
        refuse(f"Expected {needed >> 20} MiB of disk for {args.folder} but {free >> 20} are free")
    for path in filter(None, (args.init, args.checkpoint)):
        if not path.exists():
            refuse(f"Expected a file {path} to start from but it isn't there")
    try:
        import numpy
        import PIL
        import torch
        import torchvision
    except ImportError as error:
        refuse(f"Expected PyTorch, torchvision, NumPy and Pillow but {error}")
    say(f"PyTorch {torch.__version__}, torchvision {torchvision.__version__}, NumPy {numpy.__version__}, Pillow {PIL.__version__}")
    from PIL import features

    if not features.check("webp"):
        refuse("Expected a Pillow that reads WebP")
    if args.device == "cuda":
        if not torch.cuda.is_available():
            refuse("Expected a CUDA device but PyTorch finds none")
        if not torch.cuda.is_bf16_supported():
            refuse(f"Expected a device that computes in bfloat16 but {torch.cuda.get_device_name()} doesn't")
        say(f"{torch.cuda.get_device_name()}, {torch.cuda.get_device_properties(0).total_memory >> 30} GiB, CUDA {torch.version.cuda}")
    from cleric_training.pack import PackError, verify

    try:
        say(f"{verify(args.packed)} packed images are whole")
    except PackError as error:
        refuse(str(error))
    try:
        first_step(torch.device(args.device))
    except Exception as error:  # whatever it is, a run would meet it too
        refuse(f"Expected a first step of nano but {type(error).__name__}: {error}")


def first_step(device: object) -> None:
    """Steps of `nano` on the device, finite, of what the run is made of: by PyTorch's kernels, and on a GPU by ours."""
    import torch

    from cleric_training.loops import gpu
    from cleric_training.network.config import PRESETS
    from cleric_training.network.model import Cleric
    from cleric_training.train.data import drawn_image
    from cleric_training.train.flat_optimiser import FlatOptimiser
    from cleric_training.train.initialise import initialise
    from cleric_training.train.objective import Border
    from cleric_training.train.optimise import Optimiser
    from cleric_training.train.stage import Stage
    from cleric_training.train.ways import LOSS_APART, DeviceStep, Way

    model = Cleric(PRESETS["nano"])
    initialise(model)
    model = model.to(device).to(memory_format=torch.channels_last)
    x = drawn_image(0, 128, 128).to(device).contiguous(memory_format=torch.channels_last)
    optimiser = Optimiser(model, 1e-3, frozenset({"lift"}))
    for name, p in model.named_parameters():
        p.requires_grad_(optimiser.group[name] != "lift")
    precision = torch.float16 if x.is_cuda else torch.bfloat16
    flat = FlatOptimiser(optimiser, scaled=x.is_cuda)
    before, first = flat.w.clone(), 0.0
    stage = Stage(model, optimiser.frozen, precision, 0.04, Border())
    step = DeviceStep(model, stage, flat, lambda: (x, torch.full((1,), 3.5, device=x.device)), precision)
    for sampler in (Way.plain(x.device).sampler, *(["triton"] if x.is_cuda and gpu.AVAILABLE else [])):
        step.use(Way(sampler, narrow=True))
        with torch.no_grad():
            flat.w.copy_(before)
        torch.manual_seed(0)
        step.run()
        loss = float(step.sums[0])
        step.sums.zero_()
        say(f"a step of nano on {device} by {sampler}: loss {loss:.3f}")
        if float(flat.skipped) or not torch.isfinite(flat.w).all() or torch.equal(flat.w, before):
            raise ArithmeticError(f"its loss is {loss} and its gradients are {flat.report()}")
        if first and abs(loss / first - 1) > LOSS_APART:
            raise ArithmeticError(f"by {sampler} its loss is {loss}, by PyTorch {first}")
        first = loss


def main() -> None:
    args = parse()
    check(args)
    from cleric_training.files.checkpoint import load
    from cleric_training.files.parts import cut, join

    begin: list[str] = []
    checkpoint = args.folder / f"{args.preset}.pt"
    if args.init:
        begin = ["--init", str(args.init)]
    elif args.checkpoint:
        if args.checkpoint.suffix == ".parts":
            join(args.checkpoint, checkpoint)
        elif args.checkpoint.resolve() != checkpoint.resolve():
            shutil.copy(args.checkpoint, checkpoint)
        begin = ["--resume", "--restart-schedule"]
    before = time.monotonic() - STARTED
    budget = args.seconds - before - KEPT - args.export_seconds
    if budget <= 0:
        refuse(f"Expected more than {before + KEPT + args.export_seconds:.0f} seconds for --seconds but received {args.seconds:g}")
    command = [sys.executable, "-m", "cleric_training.train", "--preset", args.preset, "--folder", str(args.folder), "--images", str(args.packed),
               "--device", args.device, "--engine", "device", "--budget", f"{budget:.1f}", "--from-start", "--save-every", "1e9", "--validate-every", "1e9",
               "--lean-every", f"{args.lean_every:g}", "--parts", str(args.parts), "--parts-folder", str(args.out), *begin, *args.more]
    say(" ".join(command[1:]))
    trainer = subprocess.Popen(command)
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: trainer.send_signal(signal.SIGTERM))
    status = trainer.wait()
    log = args.folder / f"{args.preset}.log.jsonl"
    if log.exists():
        shutil.copy(log, args.out / log.name)
    if status:  # what it wrote before lies in --out
        refuse(f"the trainer ended with {status}, see above")
    lean = checkpoint.with_suffix(".lean.pt")
    counts = load(lean)["counts"]
    say(f"trained: {json.dumps({k: round(v) for k, v in counts.items()})}")
    if args.export_seconds:
        export(args, lean, cut)
    for path in sorted(args.out.iterdir()):
        say(f"{path.stat().st_size:10} {path.name}")


def export(args: argparse.Namespace, lean: Path, cut: object) -> None:
    """The model file, if there is time and room for it; the checkpoint is there in any case."""
    model = args.folder / f"cleric-{args.preset}.safetensors"
    started = time.monotonic()
    try:
        subprocess.run([sys.executable, "-m", "cleric_training.export", "--checkpoint", str(lean), "--out", str(model), "--images", str(args.packed),
                        "--decoded", str(args.folder / "data")], check=True, timeout=args.export_seconds)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        say(f"no model file: {error}")
        return
    size = model.stat().st_size + sum(path.stat().st_size for path in args.out.iterdir())
    if size > args.most:
        say(f"no model file in {args.out}: with it there would be {size} bytes; export the checkpoint elsewhere")
        return
    cut(model, args.parts, args.out)
    say(f"exported in {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
