"""How long PyTorch takes for a tile: `python3 -m cleric_training.latency --model FILE --tile 512 --threads 2`.

float32, one image, the network alone: encoding is g_a, h_a, h_s and the entropy model, decoding h_s, the entropy model
and g_s. Prints one JSON object a line, first what runs. With --runs, each direction that many times after a warm-up; without,
one run for every line "encode" or "decode" on stdin, so that `cleric bench speed` can take turns with it.
"""
from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Callable, Iterator

# As PyTorch computes it, not with the loops of the training; read when they are imported.
os.environ.setdefault("CLERIC_TRAINING_PLAIN", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # idle threads don't take the others' turns

import torch

from .files.modelfile import load_model
from .network.model import Cleric

LEVEL = 4.0  # of the gains; the work is the same at all


def directions(model: Cleric, tile: int) -> dict[str, Callable[[], object]]:
    """The two calls on a smooth image of tile x tile, a multiple of 64."""
    line = torch.linspace(0, 40, tile)
    x = 0.6 + 0.2 * torch.sin(line[:, None] + torch.arange(3.0)[:, None, None]) * torch.cos(line)
    gain, inverse = model.gains(torch.tensor([LEVEL]))
    y = model.g_a(x[None]) * gain
    hyper_latent = torch.round(model.h_a(y))

    def encode() -> object:
        latent = model.g_a(x[None]) * gain
        return model.mem(latent, model.h_s(torch.round(model.h_a(latent))), noisy=False)

    def decode() -> object:
        y_hat, _ = model.mem(y, model.h_s(hyper_latent), noisy=False)
        return model.g_s(y_hat * inverse)

    return {"encode": encode, "decode": decode}


def requests(runs: int) -> Iterator[str]:
    """What to run: `runs` times both, or what stdin says."""
    if runs:
        for _ in range(runs + 1):
            yield from ("encode", "decode")
    else:
        yield from (line.strip() for line in sys.stdin)


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--tile", type=int, default=512, help="side of the image, a multiple of 64")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--runs", type=int, default=0)
    args = parser.parse_args()
    if args.tile < 64 or args.tile % 64:
        parser.error(f"Expected a multiple of 64 for --tile but received {args.tile}")
    torch.set_num_threads(args.threads)
    calls = directions(load_model(args.model), args.tile)
    print(json.dumps({"name": f"PyTorch {torch.__version__}", "threads": torch.get_num_threads()}), flush=True)
    for n, request in enumerate(requests(args.runs)):
        if request not in calls:
            parser.error(f"Expected encode or decode but received {request!r}")
        start = time.perf_counter()
        calls[request]()
        seconds = time.perf_counter() - start
        if not args.runs or n >= len(calls):  # the first of each warms up
            print(json.dumps({"direction": request, "seconds": seconds}), flush=True)


if __name__ == "__main__":
    main()
