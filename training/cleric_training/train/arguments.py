"""The trainer's command line."""
from __future__ import annotations

import argparse
import math
from pathlib import Path

import torch

from ..network.config import PRESETS
from .data import DATA, HOME
from .objective import LAMBDA_LOW, LAMBDA_MIDDLE, LAMBDA_RANGE
from .ways import Way

ABOUT = """Trains a model. A run is a sequence of stages, each its own call with `--resume` (see README.md)."""


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    p = argparse.ArgumentParser(prog="cleric_training.train", description=ABOUT)
    p.add_argument("--preset", choices=sorted(PRESETS), default="s")
    p.add_argument("--without", default="", help="comma-separated modules to leave out: ls,drb,r2b (for ablations)")
    p.add_argument("--ends", action="store_true", help="weights of their own at the ends of lifting (Config.ends), as presets s and m have them; also for a model that is gone on with")
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
    p.add_argument("--last-share", type=float, default=0.0, help="of the schedule, at its end, that has --last-crop and --last-batch")
    p.add_argument("--last-crop", type=int, help="a multiple of 64; default --crop")
    p.add_argument("--last-batch", type=int, help="default such that a step has as many pixels")
    p.add_argument("--artefacts", type=float, default=0.0, help="share of the crops that are changed as in slides, see artefacts.py")
    p.add_argument("--border-weight", type=float, default=1.0, help="of a crop's outermost pixels in the distortion, see objective.Border")
    p.add_argument("--border-rings", type=int, default=1, help="how many rings of pixels have that weight")
    p.add_argument("--no-lift-nets", action="store_true", help="plain CDF 9/7")
    p.add_argument("--no-deform", action="store_true", help="plain convs for DCNv2")
    p.add_argument("--start", choices=("linear", "random"), default="linear", help="of a new model, see klt.py")
    p.add_argument("--shares", default="", help="of the learning rate by group, such as g_a=1,g_s=1 (for a random start)")
    p.add_argument("--freeze", default="", help="comma-separated groups: lift,offset,g_a,g_s,entropy,gain")
    p.add_argument("--precision", choices=("auto", "float16", "bfloat16", "float32"), default="auto",
                   help="of convs and products: default float16 for cuda, whose roundings are an eighth of bfloat16's, and bfloat16 for a processor")
    p.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="default: cuda where there is one")
    p.add_argument("--engine", choices=("auto", "processes", "device"), default="auto",
                   help="who makes the steps: processes of this machine's processor, or all on the device without a word to the host; "
                        "default: device for cuda")
    p.add_argument("--way", default="auto",
                   help="of the device's steps: the fastest of those tried, of those but the compiled ones (so is auto in a short run), "
                        "the plain one, untried, or one by the name that the log gives it, such as triton+narrow+recorded, untried")
    p.add_argument("--from-start", action="store_true", help="--budget counts from the program's start: decoding, choosing a way and all")
    p.add_argument("--lean-every", type=float, help="seconds: write a checkpoint to carry away, FOLDER/PRESET.lean.pt, and one at the end")
    p.add_argument("--lean-last", action="store_true", help="with the last weights beside the averaged ones")
    p.add_argument("--parts", type=int, metavar="BYTES", help="cut the lean checkpoint into parts of at most so many, see cleric_training.join")
    p.add_argument("--parts-folder", type=Path, help="where the parts go; default FOLDER")
    p.add_argument("--shards", type=int, help="processes, each with a share of the batch; default 2, in float32 1 of two threads")
    p.add_argument("--save-every", type=float, default=240, help="seconds")
    p.add_argument("--validate-every", type=float, default=600, help="seconds")
    p.add_argument("--seed", type=int, default=1)
    args = p.parse_args(argv)
    if args.lmbda is not None and not 0 < args.lmbda < math.inf:
        p.error(f"Expected a positive number for --lambda but received {args.lmbda:g}")
    if not 0 <= args.last_share <= 1:
        p.error(f"Expected a number from 0 to 1 for --last-share but received {args.last_share:g}")
    args.last_crop = args.last_crop or args.crop
    args.last_batch = args.last_batch or max(1, args.batch * args.crop**2 // args.last_crop**2)
    if args.way not in ("auto", "uncompiled", "plain"):
        try:
            Way.named(args.way)
        except ValueError as error:
            p.error(str(error))
    for name in ("lean_every", "parts"):
        if getattr(args, name) is not None and not getattr(args, name) > 0:
            p.error(f"Expected a positive number for --{name.replace('_', '-')} but received {getattr(args, name)}")
    if args.device == "auto":
        args.device = "cuda" if torch.cuda.is_available() else "cpu"
    elif args.device == "cuda" and not torch.cuda.is_available():
        p.error("Expected a CUDA device for --device cuda but PyTorch finds none")
    if args.precision == "auto":
        args.precision = "float16" if args.device == "cuda" else "bfloat16"
    if args.shards is None:
        args.shards = 1 if args.precision == "float32" else 2  # two in float32 took 1.7 times the processor's time of one
    elif args.shards < 1:
        p.error(f"Expected a positive number for --shards but received {args.shards}")
    if args.engine == "auto":
        args.engine = "device" if args.device == "cuda" else "processes"
    elif args.engine == "processes" and args.device == "cuda":
        p.error("Expected --engine device for --device cuda but received processes")
    if args.engine == "processes" and args.precision == "float16":
        p.error("Expected --engine device for --precision float16, whose gradients need a scale, but received processes")
    if args.engine == "device" and args.artefacts:
        p.error("Expected no --artefacts where the device draws the crops, which has none of them")
    if args.parts and not args.lean_every:
        p.error("Expected --lean-every with --parts")
    return args


def switches(text: str) -> list[str]:
    """The names in "ls,drb": switches of `Config`."""
    names = list(filter(None, text.split(",")))
    for name in names:
        if name not in ("ls", "drb", "r2b"):
            raise SystemExit(f"Expected ls, drb or r2b for --without but received {name}")
    return names
