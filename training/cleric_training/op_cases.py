"""Golden vectors of every op of the network's graph, from PyTorch: test/fixtures/ops.safetensors.

    python3 -m cleric_training.op_cases ../test/fixtures/ops.safetensors

A case is one node. The metadata entry `cases` lists them as JSON: name, op, the node's plain attributes
(its parameters by the names of their tensors), its tensors by field, and how they cross to the host.
Sizes are odd and channel counts no multiples of 4 wherever an op takes them.
"""
from __future__ import annotations

import itertools
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Union

import numpy as np
import torch
import torch.nn.functional as F
from torchvision.ops import deform_conv2d

from cleric_training.safetensors import write

CDF97 = (-1.586134342059924, -0.052980118572961, 0.882911075530934, 0.443506852043971)


def anchors(h: int, w: int) -> torch.Tensor:
    """Bool [h, w]: row + column is odd."""
    return (torch.arange(h)[:, None] + torch.arange(w)[None]) % 2 == 1


def half(keep: str | None, h: int, w: int) -> torch.Tensor:
    """Bool [h, w]: what `keep` keeps."""
    if keep is None:
        return torch.ones(h, w, dtype=torch.bool)
    return anchors(h, w) if keep == "anchor" else ~anchors(h, w)


def act(kind: str, x: torch.Tensor) -> torch.Tensor:
    return {"none": lambda v: v, "gelu": F.gelu, "tanh": torch.tanh}[kind](x)


Value = Union[torch.Tensor, np.ndarray]


def stored(value: Value) -> np.ndarray:
    """As the file holds it: tensors in float32, int64 arrays in int32, other arrays as they are."""
    if isinstance(value, torch.Tensor):
        return value.detach().float().numpy().copy()
    return value.astype(np.int32) if value.dtype == np.int64 else value


@dataclass
class Cases:
    """Collects cases and their tensors; random values come from one seeded generator."""
    tensors: dict[str, np.ndarray] = field(default_factory=dict)
    cases: list[dict[str, object]] = field(default_factory=list)
    generator: torch.Generator = field(default_factory=lambda: torch.Generator().manual_seed(20240611))

    def rand(self, *shape: int, scale: float = 1.0) -> torch.Tensor:
        return scale * torch.randn(*shape, generator=self.generator)

    def add(self, name: str, op: str, inputs: dict[str, object], outputs: dict[str, Value],
            attributes: dict[str, object] | None = None, parameters: dict[str, Value] | None = None,
            formats: dict[str, str] | None = None) -> None:
        """Tensors are [C, H, W]; `inputs` may hold lists; parameters are named NAME/KEY."""
        def keep(key: str, value: Value) -> str:
            self.tensors[f"{name}/{key}"] = stored(value)
            return f"{name}/{key}"

        fields: dict[str, object] = {}
        for key, value in inputs.items():
            if isinstance(value, list):
                fields[key] = [keep(f"{key}.{i}", v) for i, v in enumerate(value)]
            else:
                fields[key] = None if value is None else keep(key, value)
        for key, value in (parameters or {}).items():
            keep(key, value)
        self.cases.append({
            "name": name, "op": op, "inputs": fields, "attributes": attributes or {},
            "outputs": {key: keep(key, value) for key, value in outputs.items()}, "formats": formats or {},
        })


def conv(c: Cases, name: str, ins: list[int], out: int, h: int, w: int, kernel: int, stride: int = 1,
         activation: str = "none", shuffle: int = 1, scale: float = 1.0, residual: bool = False,
         keep: str | None = None, padding: int | None = None) -> None:
    pad = kernel // 2 if padding is None else padding
    inputs = [c.rand(i, h, w) for i in ins]
    total = sum(ins)
    weight = c.rand(out * shuffle**2, total, kernel, kernel, scale=(total * kernel**2) ** -0.5)
    bias = c.rand(out * shuffle**2)
    y = scale * act(activation, F.conv2d(torch.cat(inputs)[None], weight, bias, stride, pad))[0]
    y = y * half(keep, *y.shape[1:])
    y = F.pixel_shuffle(y, shuffle)
    rest = c.rand(*y.shape) if residual else None
    c.add(name, "conv", {"inputs": inputs, "residual": rest}, {"output": y if rest is None else y + rest},
          {"weight": f"{name}/weight", "bias": f"{name}/bias", "kernel": kernel, "stride": stride, "padding": pad,
           "activation": activation, "shuffle": shuffle, "scale": scale, "keep": keep},
          {"weight": weight, "bias": bias})


def convs(c: Cases) -> None:
    conv(c, "conv 3x3", [5], 7, 11, 13, 3)
    conv(c, "conv 3x3 gelu residual", [8], 8, 17, 9, 3, activation="gelu", residual=True)
    conv(c, "conv 3x3 two inputs of 3", [3, 3], 6, 10, 21, 3, activation="gelu")
    conv(c, "conv 3x3 five inputs tanh keep", [6, 5, 4, 3, 2], 6, 8, 7, 3, activation="tanh", scale=0.5,
         residual=True, keep="nonAnchor")
    conv(c, "conv 3x3 keep anchor", [4], 5, 6, 9, 3, activation="gelu", keep="anchor")
    conv(c, "conv 3x3 shuffle", [6], 5, 7, 5, 3, activation="gelu", shuffle=2, residual=True)
    conv(c, "conv 3x3 stride 2 odd", [5], 6, 13, 11, 3, stride=2, activation="gelu")
    conv(c, "conv 3x3 stride 2 even", [4], 4, 8, 18, 3, stride=2)
    conv(c, "conv 3x3 one texel", [3], 9, 1, 1, 3)
    conv(c, "conv 1x1", [10], 33, 5, 7, 1)
    conv(c, "conv 1x1 three inputs", [12, 5, 8], 18, 9, 6, 1, activation="gelu", keep="nonAnchor")
    conv(c, "conv 1x1 stride 2 odd", [7], 5, 9, 15, 1, stride=2)
    conv(c, "conv 1x1 stride 2 even", [4], 8, 10, 6, 1, stride=2, residual=True)
    conv(c, "conv 5x5", [6], 9, 9, 11, 5, activation="gelu")
    conv(c, "conv 5x5 stride 5", [8], 6, 15, 25, 5, stride=5, padding=0)
    # Activations over their whole range: identity weights, inputs from -12 to 12.
    x = torch.linspace(-12, 12, 4 * 8 * 12).reshape(4, 8, 12)
    for kind in ("gelu", "tanh"):
        name = f"conv 1x1 {kind} range"
        c.add(name, "conv", {"inputs": [x], "residual": None}, {"output": act(kind, x)},
              {"weight": f"{name}/weight", "bias": f"{name}/bias", "kernel": 1, "stride": 1, "padding": 0,
               "activation": kind, "shuffle": 1, "scale": 1.0, "keep": None},
              {"weight": torch.eye(4)[:, :, None, None], "bias": torch.zeros(4)})


def depthwise(c: Cases) -> None:
    for kind, channels, h, w in (("none", 5, 7, 9), ("gelu", 8, 1, 3)):
        name = f"depthwise {kind}"
        x, weight, bias = c.rand(channels, h, w), c.rand(channels, 1, 3, 3), c.rand(channels)
        y = act(kind, F.conv2d(x[None], weight, bias, 1, 1, groups=channels))[0]
        c.add(name, "depthwise", {"input": x}, {"output": y},
              {"weight": f"{name}/weight", "bias": f"{name}/bias", "activation": kind},
              {"weight": weight, "bias": bias})


def deform(c: Cases) -> None:
    settings = [
        # name, channels, height, width, stride, shuffle, activation, spread of the offsets
        ("small offsets", 5, 9, 11, 1, 1, "none", 0.5),
        ("far outside", 6, 7, 9, 1, 1, "gelu", 6.0),
        ("stride 2 odd", 7, 11, 13, 2, 1, "gelu", 1.5),
        ("stride 2 even", 4, 8, 10, 2, 1, "none", 1.5),
        ("shuffle", 6, 6, 5, 1, 2, "gelu", 2.0),
        ("whole numbers", 3, 5, 6, 1, 1, "none", 2.0),
    ]
    for label, channels, h, w, stride, shuffle, kind, spread in settings:
        name = f"deform {label}"
        out = 5 * shuffle**2
        oh, ow = -(-h // stride), -(-w // stride)
        x = c.rand(channels, h, w)
        om = torch.cat([c.rand(18, oh, ow, scale=spread), c.rand(9, oh, ow, scale=2)])
        if label == "whole numbers":
            om[:18] = om[:18].round()
        weight, bias = c.rand(out, channels, 3, 3, scale=(channels * 9) ** -0.5), c.rand(out)
        pairs = torch.stack([om[None, :9], om[None, 9:18]], 2).flatten(1, 2)
        y = deform_conv2d(x[None], pairs, weight, bias, stride, 1, mask=torch.sigmoid(om[None, 18:]))
        c.add(name, "deform", {"input": x, "offsets": om}, {"output": F.pixel_shuffle(act(kind, y), shuffle)[0]},
              {"weight": f"{name}/weight", "bias": f"{name}/bias", "stride": stride, "activation": kind,
               "shuffle": shuffle},
              {"weight": weight, "bias": bias})


def gdn(c: Cases) -> None:
    for inverse, residual, n in ((False, False, 6), (False, True, 8), (True, False, 5), (True, True, 7)):
        name = f"{'igdn' if inverse else 'gdn'}{' residual' if residual else ''}"
        x, beta, gamma = c.rand(n, 7, 9), 0.5 + c.rand(n).abs(), c.rand(n, n, scale=0.4)
        norm = F.conv2d(x[None] ** 2, gamma[:, :, None, None] ** 2, beta**2)[0]
        y = x * (torch.sqrt(norm) if inverse else torch.rsqrt(norm))
        rest = c.rand(n, 7, 9) if residual else None
        c.add(name, "gdn", {"input": x, "residual": rest}, {"output": y if rest is None else y + rest},
              {"beta": f"{name}/beta", "gamma": f"{name}/gamma", "inverse": inverse},
              {"beta": beta, "gamma": gamma})


def lifting(c: Cases) -> None:
    for axis in ("rows", "columns"):
        x = c.rand(3, 10, 14)
        even, odd = (x[:, 0::2], x[:, 1::2]) if axis == "rows" else (x[..., 0::2], x[..., 1::2])
        c.add(f"liftSplit {axis}", "liftSplit", {"input": x}, {"even": even, "odd": odd}, {"axis": axis})
        c.add(f"liftMerge {axis}", "liftMerge", {"even": even, "odd": odd}, {"output": x}, {"axis": axis})
    steps = [("rows", 0, "next", 1, 8), ("columns", 1, "previous", 1, 8), ("rows", 3, "previous", -1, 5),
             ("columns", 2, "next", -1, 16)]
    for axis, k, neighbour, sign, width in steps:
        name = f"liftStep {axis} {neighbour} {'+' if sign > 0 else '-'} c={width}"
        source, target = c.rand(3, 9, 11), c.rand(3, 9, 11)
        turn = (lambda v: v) if axis == "rows" else (lambda v: v.transpose(-1, -2))
        v = turn(source)
        near = torch.cat([v[:, 1:], v[:, -1:]], 1) if neighbour == "next" else torch.cat([v[:, :1], v[:, :-1]], 1)
        f = CDF97[k] * (v + near)
        p = {"net.conv1.weight": c.rand(width, 1, 3, 3, scale=0.3), "net.conv1.bias": c.rand(width, scale=0.1),
             "net.conv2.weight": c.rand(width, width, 3, 3, scale=0.2), "net.conv2.bias": c.rand(width, scale=0.1),
             "net.conv3.weight": c.rand(1, width, 1, 1, scale=0.3), "net.conv3.bias": c.rand(1, scale=0.1)}
        y = f[:, None]
        for i in (1, 2, 3):
            y = F.conv2d(y, p[f"net.conv{i}.weight"], p[f"net.conv{i}.bias"], padding=1 if i < 3 else 0)
            y = torch.tanh(y) if i < 3 else y
        c.add(name, "liftStep", {"source": source, "target": target},
              {"output": target + sign * turn(f + y[:, 0])},
              {"axis": axis, "factor": CDF97[k], "neighbour": neighbour, "sign": sign, "net": f"{name}/net"}, p)


def elementwise(c: Cases) -> None:
    x, other = c.rand(5, 7, 9), c.rand(5, 7, 9)
    c.add("scale", "scale", {"input": x}, {"output": 1.230174104914001 * x}, {"factor": 1.230174104914001})
    factors = 1 + c.rand(5, 1, 1).abs()
    c.add("gain", "gain", {"input": x, "factors": factors}, {"output": x * factors})
    for label, shape in (("even", (3, 6, 10)), ("odd", (6, 7, 9))):
        v = c.rand(*shape)
        c.add(f"pool {label}", "pool", {"input": v}, {"output": F.avg_pool2d(v[None], 2)[0]})
    c.add("add", "add", {"input": x, "addend": other}, {"output": x + other})
    for keep in ("anchor", "nonAnchor"):
        c.add(f"mask {keep}", "mask", {"input": x}, {"output": x * half(keep, 7, 9)}, {"keep": keep})
    ties = torch.arange(-24, 24).reshape(3, 4, 4) / 4
    c.add("round with ties", "round", {"input": ties}, {"output": torch.round(ties)})
    for channels in (12, 7):
        name = f"layerNorm {channels}"
        v, weight, bias = 3 * c.rand(channels, 5, 7) + 1, c.rand(channels), c.rand(channels)
        y = F.layer_norm(v.permute(1, 2, 0), (channels,), weight, bias).permute(2, 0, 1)
        c.add(name, "layerNorm", {"input": v}, {"output": y},
              {"weight": f"{name}/weight", "bias": f"{name}/bias"}, {"weight": weight, "bias": bias})
    c.add("slice", "slice", {"input": x}, {"output": x[4:5]}, {"first": 4})
    v = c.rand(11, 3, 5)
    c.add("slice unaligned", "slice", {"input": v}, {"output": v[3:9]}, {"first": 3})
    for parts in ((3, 6), (4, 8), (1, 2, 3, 4, 5, 6)):
        values = [c.rand(n, 5, 7) for n in parts]
        c.add(f"concat {parts}", "concat", {"inputs": values}, {"output": torch.cat(values)})


def attention(c: Cases) -> None:
    for h, w, d, heads in ((5, 7, 8, 2), (2, 3, 16, 2)):
        name = f"windowAttention {h}x{w}"
        qkv, bias = c.rand(3 * d, h, w), c.rand(81, heads)
        hd, m = d // heads, F.pad(anchors(h, w).float(), (2, 2, 2, 2))
        padded = F.pad(qkv, (2, 2, 2, 2))
        place = list(itertools.product(range(5), range(5)))
        rel = torch.tensor([[(qr - kr + 4) * 9 + qc - kc + 4 for kr, kc in place] for qr, qc in place])
        out = torch.zeros(d, 5 * h, 5 * w)
        for y, x in itertools.product(range(h), range(w)):
            if (y + x) % 2 == 1:
                continue  # nobody needs windows round anchors; this backend's are zero
            win = padded[:, y:y + 5, x:x + 5].reshape(3, heads, hd, 25)
            both = m[y:y + 5, x:x + 5].reshape(25)
            logits = torch.einsum("hcq,hck->hqk", win[0], win[1]) * hd**-0.5 + bias[rel].permute(2, 0, 1)
            weights = torch.softmax(logits + (both[:, None] * both[None] - 1) * 100, -1)
            block = torch.einsum("hqk,hck->hcq", weights, win[2]).reshape(d, 5, 5)
            out[:, 5 * y:5 * y + 5, 5 * x:5 * x + 5] = block
        c.add(name, "windowAttention", {"qkv": qkv}, {"output": out},
              {"bias": f"{name}/bias", "heads": heads}, {"bias": bias})
    for split, channels, heads, h, w in ((False, 16, 2, 5, 7), (True, 8, 2, 6, 9), (False, 24, 3, 1, 3)):
        name = f"linearAttention{' split' if split else ''} {channels}"
        q, k, v = c.rand(channels, h, w, scale=2), c.rand(channels, h, w, scale=2), c.rand(channels, h, w)
        a = half("anchor" if split else None, h, w).flatten()
        b = half("nonAnchor" if split else None, h, w).flatten()
        parts = lambda t, m: t.flatten(1)[:, m].reshape(heads, channels // heads, -1)
        context = torch.einsum("hip,hjp->hij", parts(k, a).softmax(2), parts(v, a))
        out = torch.zeros(channels, h * w)
        out[:, b] = torch.einsum("hij,hip->hjp", context, parts(q, b).softmax(1)).reshape(channels, -1)
        c.add(name, "linearAttention", {"query": q, "key": k, "value": v}, {"output": out.reshape(channels, h, w)},
              {"heads": heads, "split": split})


def entropy(c: Cases) -> None:
    table = torch.linspace(np.log(0.11), np.log(256), 64).exp()
    for keep, d in (("anchor", 5), ("nonAnchor", 8)):
        h, w = 6, 7
        kept = half(keep, h, w)
        params = torch.cat([torch.exp(c.rand(d, h, w, scale=4)), c.rand(d, h, w, scale=3)])
        params[0, 0, :4] = torch.tensor([-1.0, 1e9, 0.0, table[20].item()])
        index = torch.zeros(d, h, w)
        for scale in table[:-1]:
            index += (params[:d] > scale).float()
        name = f"scaleIndex {keep}"
        c.add(name, "scaleIndex", {"params": params}, {"output": index * kept},
              {"table": f"{name}/table", "keep": keep}, {"table": table}, {"output": "int16"})
        first, latent = 3, c.rand(d + 6, h, w, scale=5)
        latent[3, 0, :2] = torch.tensor([1e6, -1e6])
        mean = params[d:]
        r = (torch.round(latent[first:first + d] - mean) * kept).clamp(-32767, 32767)
        c.add(f"quantise {keep}", "quantise", {"latent": latent, "params": params}, {"output": r},
              {"first": first, "keep": keep}, formats={"output": "int16"})
        base = c.rand(d, h, w)
        for label, rest in (("", None), (" base", base)):
            y = torch.where(kept, r + mean, torch.zeros_like(r) if rest is None else rest)
            c.add(f"dequantise {keep}{label}", "dequantise", {"symbols": r, "params": params, "base": rest},
                  {"output": y}, {"keep": keep}, formats={"symbols": "int16"})


def ports(c: Cases) -> None:
    """Formats of ports, through a node that changes nothing much."""
    x = torch.randint(0, 256, (3, 5, 7), generator=c.generator).float()
    c.add("port rgb8", "scale", {"input": x / 255}, {"output": ((x / 255) * 1.6180339887).clamp(0, 1)}, {"factor": 1.6180339887},
          formats={"input": "rgb8", "output": "rgb8"})
    s = torch.randint(-32767, 32768, (3, 3, 5), generator=c.generator).float()
    c.add("port int16", "scale", {"input": s}, {"output": -s}, {"factor": -1},
          formats={"input": "int16", "output": "int16"})


def main() -> None:
    torch.set_num_threads(1)
    cases = Cases()
    for part in (convs, depthwise, deform, gdn, lifting, elementwise, attention, entropy, ports):
        part(cases)
    write(Path(sys.argv[1]), cases.tensors, {"cases": json.dumps(cases.cases, separators=(",", ":"))})


if __name__ == "__main__":
    main()
