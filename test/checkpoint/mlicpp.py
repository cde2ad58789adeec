"""Checkpoints of MLIC++'s layers with random weights, and what the network computes of them, for the tests.

`python3 mlicpp.py save FOLDER YEAR-WRAPPING...`: checkpoints with the names and shapes of MLIC++'s release of that year, small
where its code allows; wrapped as its training saves it ("training"), plain ("plain"), or of DataParallel ("parallel").
`python3 mlicpp.py run WEIGHTS...`: the latents and pixels of a fixed image by this project's network, as a list in JSON, from the
weights that `cleric convert-weights` hands to the exporter.
"""
import json
import sys
from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch

N, M, SLICES = 16, 64, 2  # hidden widths of the entropy model are fixed in MLIC++


def shapes(year: int) -> "OrderedDict[str, tuple[int, ...]]":
    """Names and shapes of all tensors of MLIC++'s state, in the order of its modules."""
    all: "OrderedDict[str, tuple[int, ...]]" = OrderedDict()
    d = M // SLICES

    def conv(name: str, i: int, o: int, k: int = 3) -> None:
        all[f"{name}.weight"] = (o, i, k, k)
        all[f"{name}.bias"] = (o,)

    def linear(name: str, i: int, o: int) -> None:
        all[f"{name}.weight"] = (o, i)
        all[f"{name}.bias"] = (o,)

    def depthwise(name: str, c: int) -> None:
        all[f"{name}.weight"] = (c, 1, 3, 3)
        all[f"{name}.bias"] = (c,)

    def gdn(name: str, c: int) -> None:
        all[f"{name}.beta"] = (c,)
        all[f"{name}.gamma"] = (c, c)
        for which in ("beta", "gamma"):
            all[f"{name}.{which}_reparam.pedestal"] = (1,)
            all[f"{name}.{which}_reparam.lower_bound.bound"] = (1,)

    def residual(name: str, i: int, o: int) -> None:
        conv(f"{name}.conv1", i, o)
        conv(f"{name}.conv2", o, o)
        if i != o:
            conv(f"{name}.skip", i, o, 1)

    all["entropy_bottleneck.quantiles"] = (N, 1, 3)
    widths = (1, 3, 3, 3, 3, 1)
    for k, (i, o) in enumerate(zip(widths[:-1], widths[1:])):
        # CompressAI named them otherwise in 2023.
        names = [f"_matrix{k}", f"_bias{k}", f"_factor{k}"] if year == 2023 else [f"matrices.{k}", f"biases.{k}", f"factors.{k}"]
        for name, shape in zip(names, ((N, o, i), (N, o, 1), (N, o, 1))):
            if k < 4 or "actor" not in name:
                all[f"entropy_bottleneck.{name}"] = shape
    for name, shape in (("_offset", (N,)), ("_quantized_cdf", (N, 40)), ("_cdf_length", (N,)), ("target", (3,)),
                        ("likelihood_lower_bound.bound", (1,))):
        all[f"entropy_bottleneck.{name}"] = shape
    for at in (0, 2, 4):
        block = f"g_a.analysis_transform.{at}"
        conv(f"{block}.conv1", N if at else 3, N)
        conv(f"{block}.conv2", N, N)
        gdn(f"{block}.gdn", N)
        conv(f"{block}.skip", N if at else 3, N, 1)
        residual(f"g_a.analysis_transform.{at + 1}", N, N)
    conv("g_a.analysis_transform.6", N, M)
    first = N if year == 2023 else M
    for at in (0, 2, 4, 6):
        residual(f"g_s.synthesis_transform.{at}", *((M, first) if at == 0 else (N, N)))
        if at < 6:
            block, i = f"g_s.synthesis_transform.{at + 1}", first if at == 0 else N
            conv(f"{block}.subpel_conv.0", i, 4 * N)
            conv(f"{block}.conv", N, N)
            gdn(f"{block}.igdn", N)
            conv(f"{block}.upsample.0", i, 4 * N)
    conv("g_s.synthesis_transform.7.0", N, 12)
    for at in range(5):
        conv(f"h_a.reduction.{2 * at}", N if at else M, N)
    for name, i, o in (("0", N, M), ("2.0", M, 4 * M), ("4", M, M * 3 // 2), ("6.0", M * 3 // 2, 6 * M), ("8", M * 3 // 2, 2 * M)):
        conv(f"h_s.increase.{name}", i, o)
    for name, shape in (("_offset", (64,)), ("_quantized_cdf", (64, 99)), ("_cdf_length", (64,)), ("scale_table", (64,)),
                        ("scale_bound", (1,)), ("likelihood_lower_bound.bound", (1,)), ("lower_bound_scale.bound", (1,))):
        all[f"gaussian_conditional.{name}"] = shape
    for i in range(SLICES):
        local = f"local_context.{i}"
        all[f"{local}.relative_position_table"] = (81, 2)
        all[f"{local}.relative_position_index"] = (25, 25)
        linear(f"{local}.qkv_proj", d, 3 * d)
        linear(f"{local}.proj", 2 * d, 2 * d)
        linear(f"{local}.mlp.fc1", 2 * d, 4 * d)
        linear(f"{local}.mlp.fc2", 4 * d, 2 * d)
        for name, c in (("norm1", d), ("norm2", 2 * d)):
            all[f"{local}.{name}.weight"] = all[f"{local}.{name}.bias"] = (c,)
        conv(f"{local}.fusion", d, 2 * d, 5)
    for i in range(1, SLICES):
        for at, (a, b) in enumerate(((d * i, 192), (192, 128), (128, 4 * d))):
            conv(f"channel_context.{i}.fushion.{2 * at}", a, b)
        for name, c, out, hidden, last in (("inter", d * i, 3 * d, 4 * d, 2 * d), ("intra", d, 2 * d, 4 * d, 2 * d)):
            block = f"global_{name}_context.{i}"
            for part in ("keys", "queries", "values"):
                conv(f"{block}.{part}.0", c, c, 1)
                depthwise(f"{block}.{part}.1", c)
            conv(f"{block}.reprojection", c, out, 5)
            conv(f"{block}.mlp.0", out, hidden, 1)
            depthwise(f"{block}.mlp.2", hidden)
            conv(f"{block}.mlp.4", hidden, last, 1)
            if name == "inter":
                conv(f"{block}.skip", out, last, 1)
    for name, more, first_more in (("anchor", 6 * d, 0), ("nonanchor", 10 * d, 2 * d)):
        for i in range(SLICES):
            widths = (2 * M + (more if i else first_more), 320, 256, 128, 2 * d)
            for at, (a, b) in enumerate(zip(widths[:-1], widths[1:])):
                conv(f"entropy_parameters_{name}.{i}.fusion.{2 * at}", a, b, 1)
    for name in ("anchor", "nonanchor"):
        for i in range(SLICES):
            a = M + d * (i + 1)
            taper = (a - (a - d) // 4, a - (a - d) // 2, a - (a - d) * 3 // 4)
            hidden = taper if year == 2023 else (224, 128)
            for at, (p, q) in enumerate(zip((a, *hidden), (*hidden, d))):
                conv(f"lrp_{name}.{i}.lrp_transform.{2 * at}", p, q)
    return all


def state(year: int) -> "OrderedDict[str, torch.Tensor]":
    """Weights of each tensor's own seed, which any version of numpy draws alike, large enough that latents are lively."""
    tensors: "OrderedDict[str, torch.Tensor]" = OrderedDict()
    for at, (name, shape) in enumerate(shapes(year).items()):
        noise = np.random.RandomState(at).standard_normal(shape)
        last = name.split(".")[-1]
        if last in ("_offset", "_quantized_cdf", "_cdf_length"):
            tensors[name] = torch.zeros(shape, dtype=torch.int32)
            continue
        if last == "relative_position_index":
            tensors[name] = torch.zeros(shape, dtype=torch.int64)
            continue
        if last == "beta":
            noise = 1 + 0.2 * noise
        elif last == "gamma":
            noise = 0.3 * np.eye(shape[0]) + 0.05 * noise
        elif last == "quantiles":
            noise = np.stack([-9 + 0 * noise[..., 0], 0.4 * noise[..., 1], 9 + 0 * noise[..., 2]], -1)
        elif name.startswith("entropy_bottleneck."):
            noise = 0.3 * noise - (0.9 if "matri" in name else 0)  # wide enough for these values of z
        elif "norm" in name and last == "weight":
            noise = 1 + 0.2 * noise
        elif last == "weight":
            # The inverse normalisation multiplies, so that weights of one would make pixels of millions.
            gain = 4 if name.startswith("g_a.analysis_transform.6") else 0.4 if name.startswith("g_s.") else 1.2
            noise = gain * noise / np.sqrt(np.prod(shape[1:]))
        else:
            noise = 0.1 * noise
        if name.startswith("entropy_parameters") and name.endswith("fusion.6.bias"):
            noise[: len(noise) // 2] += 6  # scales that aren't all the least one
        tensors[name] = torch.from_numpy(noise.astype("f4"))
    return tensors


def picture() -> torch.Tensor:
    """[1, 3, 64, 128] in 0..1."""
    y, x = np.mgrid[0:64, 0:128]
    channels = [0.5 + 0.3 * np.sin(x / (7 + c) + c) * np.cos(y / 5) + 0.15 * np.sin(x * y / 40 + c) for c in range(3)]
    return torch.from_numpy(np.stack(channels)[None].astype("f4"))


def save(folder: str, *kinds: str) -> None:
    for kind in kinds:
        year, wrapping = kind.split("-")
        tensors = state(int(year))
        if wrapping == "parallel":
            tensors = OrderedDict((f"module.{name}", value) for name, value in tensors.items())
        training = {"epoch": 3, "state_dict": tensors, "loss": torch.tensor(1.5), "optimizer": {"state": {}, "param_groups": []}}
        torch.save(tensors if wrapping == "plain" else training, Path(folder, f"{kind}.pt"))


def run(*weights: str) -> None:
    from cleric_training.files.checkpoint import model_of
    from cleric_training.network import mem

    # MLIC++ rounds to the nearest; dead zones are this project's encoder's.
    mem.dead_zone_round = lambda v, scale: v.round()
    results = []
    for path in weights:
        model, _ = model_of(Path(path))
        found = {}
        with torch.no_grad():
            out = model(picture(), noisy=False, trace=lambda name, value: found.update({name: value}))
        results.append({"z": found["z_hat"].flatten().tolist(), "y_hat": found["y_hat"].flatten().tolist(),
                        "x_hat": out.x_hat.flatten().tolist(), "bits": out.bits().tolist()})
    print(json.dumps(results))


if __name__ == "__main__":
    {"save": save, "run": run}[sys.argv[1]](*sys.argv[2:])
