"""The entropy model's graph from z_hat to y_hat, once for every arithmetic: `Ops` says what a value is.

Three kinds of ops walk it: the oracle's integers (oracle.py), floating point that keeps samples of every
layer (calibrate.py), and both at once while weights are chosen (quantise.py). mem.py is the same network for
training; a test compares the two.
"""
from __future__ import annotations

from typing import Callable, Generic, Optional, Protocol, Sequence, TypeVar

from ..network.config import Config

CHANNELS_PER_HEAD = 32  # of the inter-slice attention
HEADS = 2  # of the local and the intra-slice attention
HYPER = (("0", 1), ("2", 2), ("5", 1), ("7", 2), ("10", 1))  # convs of h_s.net and their pixel shuffles

T = TypeVar("T")


class Ops(Protocol[T]):
    """Arithmetic on values of type T. `name` is a layer's, as in the state_dict; `keep` is a checkerboard half.

    `matters` says at which half a result will be looked at (None: everywhere); elsewhere it may be anything.
    """

    def conv(self, name: str, inputs: Sequence[T], *, activation: Optional[str] = None, stride: int = 1,
             padding: Optional[int] = None, shuffle: int = 1, wide: bool = False, residual: Optional[T] = None,
             keep: Optional[str] = None, matters: Optional[str] = None) -> T: ...

    def depthwise(self, name: str, x: T, activation: Optional[str] = None) -> T: ...

    def requantise(self, name: str, x: T) -> T: ...

    def layer_norm(self, name: str, x: T, matters: Optional[str] = None) -> T: ...

    def window_attention(self, name: str, qkv: T, heads: int) -> T: ...

    def linear_attention(self, name: str, query: T, key: T, value: T, heads: int, split: bool) -> T: ...

    def mask(self, x: T, keep: str) -> T: ...

    def slice(self, x: T, first: int, count: int) -> T: ...

    def dequantise(self, symbols: T, params: T, keep: str, base: Optional[T]) -> T: ...

    def concat(self, parts: Sequence[T]) -> T: ...

    def note(self, name: str, x: T) -> None: ...


class Walk(Generic[T]):
    """One pass through the entropy model. The order of calls is the order of coding."""

    def __init__(self, ops: Ops[T], config: Config, z_hat: T) -> None:
        self.ops, self.config = ops, config
        ops.note("z_hat", z_hat)
        x = ops.requantise("h_s.input", z_hat)
        for number, shuffle in HYPER:
            activation = None if number == HYPER[-1][0] else "gelu"
            x = ops.conv(f"h_s.net.{number}", [x], activation=activation, shuffle=shuffle)
        ops.note("hyper", x)
        self.hyper, self.means = x, ops.slice(x, config.M, config.M)
        self.done: list[T] = []  # requantised y_hat of the slices so far
        self.whole: list[T] = []  # the same in 1/64
        self.contexts: list[T] = []

    def anchor_params(self) -> T:
        i = len(self.done)
        if i:
            self.contexts = [self._inter(i), self._channel(i)]
        return self._params("a", self.contexts, "anchor")

    def non_anchor_params(self, anchors: T) -> T:
        """`anchors`: from `decode_half`."""
        i = len(self.done)
        near = [self._local(i, anchors)] + ([self._intra(i, anchors)] if i else [])
        return self._params("n", near + self.contexts, "nonAnchor")

    def decode_half(self, symbols: T, params: T, keep: str, base: Optional[T]) -> T:
        """y_hat in 1/64 of one half (and of the other, if it is the `base`), residual prediction included."""
        i, letter = len(self.done), "a" if keep == "anchor" else "n"
        coarse = self.ops.dequantise(symbols, params, keep, base)
        inputs = [self.means, *self.done, self.ops.requantise(f"mem.y_hat.{i}", coarse)]
        count = len(self.config.lrp) + 1
        x = self._chain(f"mem.lrp_{letter}.{i}", inputs, count - 1)
        y_hat = self.ops.conv(f"mem.lrp_{letter}.{i}.{2 * count - 2}", x, activation="tanh", wide=True,
                              residual=coarse, keep=keep, matters=keep)
        self.ops.note(f"y_hat_a.{i}" if keep == "anchor" else f"y_hat.{i}", y_hat)
        return y_hat

    def end_slice(self, y_hat: T) -> None:
        self.whole.append(y_hat)
        if len(self.whole) < self.config.slices:  # no layer reads the last one
            self.done.append(self.ops.requantise(f"mem.y_hat.{len(self.done)}", y_hat))

    def latent(self) -> T:
        return self.ops.concat(self.whole)

    def _chain(self, name: str, inputs: Sequence[T], count: int, matters: Optional[str] = None) -> list[T]:
        """`count` convs with GELU after each."""
        x = list(inputs)
        for n in range(count):
            x = [self.ops.conv(f"{name}.{2 * n}", x, activation="gelu", matters=matters)]
        return x

    def _params(self, letter: str, contexts: Sequence[T], half: str) -> T:
        i, count = len(self.done), len(self.config.ep)
        x = self._chain(f"mem.ep_{letter}.{i}", [*contexts, self.hyper], count, half)
        params = self.ops.conv(f"mem.ep_{letter}.{i}.{2 * count}", x, wide=True, matters=half)
        self.ops.note(f"params_{letter}.{i}", params)
        return params

    def _channel(self, i: int) -> T:
        count = len(self.config.chan)
        x = self._chain(f"mem.channel.{i}", self.done, count)
        x = self.ops.conv(f"mem.channel.{i}.{2 * count}", x)
        self.ops.note(f"channel.{i}", x)
        return x

    def _project(self, name: str, inputs: Sequence[T]) -> T:
        return self.ops.depthwise(f"{name}.1", self.ops.conv(f"{name}.0", inputs))

    def _inter(self, i: int) -> T:
        name = f"mem.inter.{i}"
        q, k, v = (self._project(f"{name}.qkv.{part}", self.done) for part in "qkv")
        heads = max(1, self.config.d * i // CHANNELS_PER_HEAD)
        x = self.ops.conv(f"{name}.reproj", [self.ops.linear_attention(f"{name}.attention", q, k, v, heads, False)])
        x = self._gated(name, x, self.ops.conv(f"{name}.skip", [x]))
        self.ops.note(f"inter.{i}", x)
        return x

    def _intra(self, i: int, anchors: T) -> T:
        name, ops, previous = f"mem.intra.{i}", self.ops, self.done[-1]
        q = self._project(f"{name}.qkv.q", [ops.mask(previous, "nonAnchor")])
        k = self._project(f"{name}.qkv.k", [ops.mask(previous, "anchor")])
        v = self._project(f"{name}.qkv.v", [ops.requantise(f"mem.y_hat.{i}", anchors)])
        x = ops.conv(f"{name}.reproj", [ops.linear_attention(f"{name}.attention", q, k, v, HEADS, True)])
        x = self._gated(name, x, x)
        ops.note(f"intra.{i}", x)
        return x

    def _gated(self, name: str, x: T, skip: T) -> T:
        hidden = self.ops.conv(f"{name}.mlp.0", [x], activation="gelu")
        hidden = self.ops.depthwise(f"{name}.mlp.2", hidden, "gelu")
        return self.ops.conv(f"{name}.mlp.4", [hidden], residual=skip)

    def _local(self, i: int, anchors: T) -> T:
        name, ops, half = f"mem.local.{i}", self.ops, "nonAnchor"
        qkv = ops.conv(f"{name}.qkv", [ops.layer_norm(f"{name}.norm1", anchors)])
        windows = ops.window_attention(f"{name}.attention", qkv, HEADS)
        x = ops.conv(f"{name}.fusion", [windows], stride=5, padding=0, matters=half)
        x = ops.conv(f"{name}.proj", [x], matters=half)
        hidden = ops.conv(f"{name}.mlp.0", [ops.layer_norm(f"{name}.norm2", x, half)], activation="gelu", matters=half)
        x = ops.conv(f"{name}.mlp.2", [hidden], residual=x, matters=half)
        ops.note(f"local.{i}", x)
        return x


def walk(ops: Ops[T], config: Config, z_hat: T, code: Callable[[int, str, T], T]) -> T:
    """y_hat in 1/64. `code(slice, half, params)` gives the symbols of a half, coding or decoding them."""
    net = Walk(ops, config, z_hat)
    for i in range(config.slices):
        params = net.anchor_params()
        anchors = net.decode_half(code(i, "anchor", params), params, "anchor", None)
        params = net.non_anchor_params(anchors)
        net.end_slice(net.decode_half(code(i, "nonAnchor", params), params, "nonAnchor", anchors))
    return net.latent()
