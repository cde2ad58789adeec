"""Golden vectors of every floating-point op of the network's graph, from PyTorch: test/fixtures/ops.safetensors.

    python3 -m cleric_training.op_cases ../test/fixtures/ops.safetensors

A case is one node. The metadata entry `cases` lists them as JSON: name, op, the node's plain attributes
(its parameters by the names of their tensors), its tensors by field, and how they cross to the host.
Sizes are odd and channel counts no multiples of 4 wherever an op takes them.
"""
from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Union

import numpy as np
import torch
import torch.nn.functional as F
from torchvision.ops import deform_conv2d

from .files.safetensors import write

CDF97 = (-1.586134342059924, -0.052980118572961, 0.882911075530934, 0.443506852043971)


def act(kind: str, x: torch.Tensor) -> torch.Tensor:
    return F.gelu(x) if kind == "gelu" else x


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
         activation: str = "none", shuffle: int = 1, residual: bool = False) -> None:
    inputs = [c.rand(i, h, w) for i in ins]
    total = sum(ins)
    weight = c.rand(out * shuffle**2, total, kernel, kernel, scale=(total * kernel**2) ** -0.5)
    bias = c.rand(out * shuffle**2)
    y = F.pixel_shuffle(act(activation, F.conv2d(torch.cat(inputs)[None], weight, bias, stride, kernel // 2))[0], shuffle)
    rest = c.rand(*y.shape) if residual else None
    c.add(name, "conv", {"inputs": inputs, "residual": rest}, {"output": y if rest is None else y + rest},
          {"weight": f"{name}/weight", "bias": f"{name}/bias", "kernel": kernel, "stride": stride, "padding": kernel // 2,
           "activation": activation, "shuffle": shuffle},
          {"weight": weight, "bias": bias})


def convs(c: Cases) -> None:
    conv(c, "conv 3x3", [5], 7, 11, 13, 3)
    conv(c, "conv 3x3 gelu residual", [8], 8, 17, 9, 3, activation="gelu", residual=True)
    conv(c, "conv 3x3 two inputs of 3", [3, 3], 6, 10, 21, 3, activation="gelu")
    conv(c, "conv 3x3 five inputs", [6, 5, 4, 3, 2], 6, 8, 7, 3, residual=True)
    conv(c, "conv 3x3 shuffle", [6], 5, 7, 5, 3, activation="gelu", shuffle=2, residual=True)
    conv(c, "conv 3x3 stride 2 odd", [5], 6, 13, 11, 3, stride=2, activation="gelu")
    conv(c, "conv 3x3 stride 2 even", [4], 4, 8, 18, 3, stride=2)
    conv(c, "conv 3x3 one texel", [3], 9, 1, 1, 3)
    conv(c, "conv 1x1", [10], 33, 5, 7, 1)
    conv(c, "conv 1x1 three inputs", [12, 5, 8], 18, 9, 6, 1, activation="gelu")
    conv(c, "conv 1x1 stride 2 odd", [7], 5, 9, 15, 1, stride=2)
    conv(c, "conv 1x1 stride 2 even", [4], 8, 10, 6, 1, stride=2, residual=True)
    # The activation over its whole range: identity weights, inputs from -12 to 12.
    x = torch.linspace(-12, 12, 4 * 8 * 12).reshape(4, 8, 12)
    name = "conv 1x1 gelu range"
    c.add(name, "conv", {"inputs": [x], "residual": None}, {"output": F.gelu(x)},
          {"weight": f"{name}/weight", "bias": f"{name}/bias", "kernel": 1, "stride": 1, "padding": 0,
           "activation": "gelu", "shuffle": 1},
          {"weight": torch.eye(4)[:, :, None, None], "bias": torch.zeros(4)})


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
    ties = torch.arange(-24, 24).reshape(3, 4, 4) / 4
    c.add("round with ties", "round", {"input": ties}, {"output": torch.round(ties)})
    c.add("slice", "slice", {"input": x}, {"output": x[4:5]}, {"first": 4})
    v = c.rand(11, 3, 5)
    c.add("slice unaligned", "slice", {"input": v}, {"output": v[3:9]}, {"first": 3})
    for parts in ((3, 6), (4, 8), (1, 2, 3, 4, 5, 6)):
        values = [c.rand(n, 5, 7) for n in parts]
        c.add(f"concat {parts}", "concat", {"inputs": values}, {"output": torch.cat(values)})


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
    for part in (convs, deform, gdn, lifting, elementwise, ports):
        part(cases)
    write(Path(sys.argv[1]), cases.tensors, {"cases": json.dumps(cases.cases, separators=(",", ":"))})


if __name__ == "__main__":
    main()
