"""Packed weights: the coder, what packs, and the grid."""
import json

import numpy as np
import pytest
import torch

from cleric_training.export import calibration_crops
from cleric_training.files import packing, rans
from cleric_training.files.grid import FINENESS, gridded, on_grid, rounded_to_grid, step_of
from cleric_training.files.modelfile import CHECKSUM, ModelFileError, read_model, with_checksum, write_model
from cleric_training.golden import randomise
from cleric_training.integer.tables import TOTAL
from cleric_training.network.config import PRESETS
from cleric_training.network.model import Cleric


def tables_of(*sizes: int) -> rans.Tables:
    """Tables of the values -n to n with random frequencies."""
    random = np.random.default_rng(1)
    made = {"values": [], "offset": [], "size": [], "min": []}
    for n in sizes:
        cuts = np.sort(random.choice(np.arange(1, TOTAL), 2 * n + 1, replace=False))
        made["offset"].append(len(made["values"]))
        made["size"].append(2 * n + 2)
        made["min"].append(-n)
        made["values"] += [0, *cuts.tolist(), TOTAL]
    return rans.Tables.of({f"t.{name}": np.array(v, np.int32) for name, v in made.items()}, "t")


@pytest.mark.parametrize("count", [0, 1, 7, 99, 100, 101, 1234])
def test_streams_give_their_symbols_back(count):
    random = np.random.default_rng(count)
    tables = tables_of(0, 3, 50, 700)
    indexes = random.integers(0, 4, count).astype(np.uint8)
    symbols = (random.standard_cauchy(count) * 30).clip(-2**15, 2**15 - 1).astype(np.int16)
    symbols[::11], symbols[5::13] = -2**15, 2**15 - 1
    streams = rans.encode(symbols, indexes, tables, 100)
    assert len(streams) == -(-count // 100)
    joined, lengths = np.frombuffer(b"".join(streams), np.uint8), np.array([len(s) for s in streams], np.int32)
    assert np.array_equal(rans.decode(joined, lengths, indexes, tables, 100), symbols)
    for _ in range(20 if count else 0):
        bad = joined.copy()
        bad[random.integers(len(bad))] ^= 1 << random.integers(8)
        try:
            assert not np.array_equal(rans.decode(bad, lengths, indexes, tables, 100), symbols)
        except rans.CorruptStream:
            pass


def test_streams_take_the_bits_of_their_tables():
    tables = tables_of(50)
    frequencies = np.diff(tables.values)
    symbols = np.random.default_rng(2).choice(np.arange(-50, 51), 20000, p=frequencies[:-1] / frequencies[:-1].sum())
    bits = -np.log2(frequencies[symbols + 50] / TOTAL).sum()
    (stream,) = rans.encode(symbols.astype(np.int16), np.zeros(20000, np.uint8), tables, 20000)
    assert bits / 8 < len(stream) < bits / 8 * 1.001 + 3


def test_damaged_tables_and_lengths_are_refused():
    with pytest.raises(rans.CorruptStream, match="a table from 0"):
        rans.Tables.of({f"t.{n}": np.array(v) for n, v in
                        (("values", [0, 5, 5, TOTAL]), ("offset", [0]), ("size", [3]), ("min", [0]))}, "t")
    tables, indexes = tables_of(3), np.zeros(10, np.uint8)
    (stream,) = rans.encode(np.zeros(10, np.int16), indexes, tables, 10)
    data = np.frombuffer(stream, np.uint8)
    for lengths in ([len(data) - 1], [len(data), 0], []):
        with pytest.raises(rans.CorruptStream):
            rans.decode(data, np.array(lengths, np.int32), indexes, tables, 10)
    with pytest.raises(rans.CorruptStream, match="a table for every"):
        rans.decode(data, np.array([len(data)]), indexes + 1, tables, 10)


def half(*rows: list) -> np.ndarray:
    return np.array(rows, np.float16)


TENSORS = {
    "weights": np.random.default_rng(1).normal(0, 20, (30, 40, 3, 3)).round().astype(np.int16),
    "heavy": (np.random.default_rng(2).standard_cauchy((30, 40)) * 3).clip(-2000, 2000).astype(np.int16),
    "extreme": np.array([[-32767, 32767], [0, 1]], np.int16),
    "zeros": np.zeros((9, 4, 5), np.int16),
    "constant": np.full((2, 7), 3, np.int16),
    "one": np.array([[1]], np.int16),
    "empty": np.zeros((0, 4), np.int16),
    "empty.too": np.zeros((4, 0, 3), np.float16),
    "vector": np.arange(-9, 9, dtype=np.int16),
    "scalar": np.array(5, np.int16),
    "wide": np.array([[70000, -70000]], np.int32),
    "float32": np.array([[0.1, 0.2]], np.float32),
    "grid": rounded_to_grid(np.random.default_rng(3).normal(0, 0.02, (20, 300)).astype(np.float32), 8.0).astype(np.float16),
    "tiny": half([2.0**-24, -3 * 2.0**-24], [0, 0], [1, 2.0**-10]),
    "largest": half([65504, -65504, 32], [1, 2, 3]),
    "any": np.random.default_rng(4).normal(0, 1, (8, 8)).astype(np.float16),
    "minus.zero": half([-0.0, 1]),
    "not.finite": half([np.inf, 1], [np.nan, -np.inf]),
}
UNPACKED = {"vector", "scalar", "wide", "float32", "any", "minus.zero", "not.finite", "empty", "empty.too", "extreme"}


def test_tensors_come_back_to_the_bit():
    stored, listed = packing.pack(TENSORS)
    packed = {name for name, _, _ in json.loads(listed)}
    assert packed == TENSORS.keys() - UNPACKED
    assert {name for name in stored if not name.startswith("packed.")} == UNPACKED
    found = packing.unpack(stored, listed)
    assert found.keys() == TENSORS.keys()
    for name, value in TENSORS.items():
        assert (found[name].dtype, found[name].shape, found[name].tobytes()) == (value.dtype, value.shape, value.tobytes()), name


def test_nothing_to_pack():
    stored, listed = packing.pack({"a": np.arange(3, dtype=np.int32)})
    assert listed == "[]" and packing.unpack(stored, listed).keys() == {"a"}


def test_packed_weights_take_about_their_entropy():
    """Normal weights whose size varies by row and by column, in float16 of eight bits and in integers."""
    random = np.random.default_rng(5)
    sizes = np.exp2(random.uniform(-2, 2, (256, 1))) * np.exp2(random.uniform(-1, 1, (1, 256)))
    weights = random.normal(0, 1, (256, 256, 9)) * sizes[..., None]
    whole = (weights * 8).round().astype(np.int16)
    stored, _ = packing.pack({"a": whole})
    entropy = (np.log2(sizes * 8) + 0.5 * np.log2(2 * np.pi * np.e)).clip(0.1).mean() * whole.size / 8
    taken = sum(value.nbytes for value in stored.values())
    assert 0.98 * entropy < taken < 1.04 * entropy


def test_no_value_takes_less_than_a_bit():
    stored, _ = packing.pack({"a": np.zeros((64, 64, 9), np.int16)})
    assert len(stored["packed.streams"]) >= 64 * 64 * 9 / 8


def test_a_file_is_sealed(tmp_path):
    path = tmp_path / "a.safetensors"
    tensors = {k: v for k, v in TENSORS.items() if v.ndim}
    digest = write_model(path, tensors, {"name": "a", "config": PRESETS["nano"].to_json()})
    config, found, metadata = read_model(path)
    assert config == PRESETS["nano"] and metadata["hash"] == digest and found.keys() == tensors.keys()
    raw = path.read_bytes()
    assert list(json.loads(raw[8:8 + int.from_bytes(raw[:8], "little")]))[-1] == CHECKSUM
    for at in (9, len(raw) // 2, len(raw) - 1):
        path.write_bytes(raw[:at] + bytes([raw[at] ^ 4]) + raw[at + 1:])
        with pytest.raises((ModelFileError, ValueError)):
            read_model(path)
    # A stream that is damaged, under a checksum that is right.
    at = len(raw) - 100
    path.write_bytes(with_checksum(raw[:at] + bytes([raw[at] ^ 4]) + raw[at + 1:]))
    with pytest.raises(ModelFileError):
        read_model(path)


def test_rounding_keeps_the_sums_of_kernels():
    weight = np.random.default_rng(7).normal(0, 1, (16, 24, 3, 3)).astype(np.float32)
    step = step_of(weight.reshape(16, -1), 3.0)[:, None, None, None]
    error = (rounded_to_grid(weight, 3.0) - weight) / step
    assert np.abs(error).max() < 1 and np.abs(error.sum((2, 3))).max() <= 0.5 + 1e-3
    assert np.sqrt((error**2).mean()) < 0.35  # of plain rounding 0.29
    points = weight[:, :, :1, :1]
    assert np.abs((rounded_to_grid(points, 3.0) - points) / step_of(points.reshape(16, -1), 3.0)[:, None, None, None]).max() <= 0.5


def test_a_larger_conv_has_the_coarser_grid():
    rows = np.random.default_rng(6).normal(0, 1, (64, 1024))
    assert np.array_equal(step_of(rows, 8.0), np.full(64, 2.0**-8))
    assert np.array_equal(step_of(rows.repeat(16, 1), 8.0), np.full(64, 2.0**-6))
    assert np.array_equal(step_of(rows * 4, 8.0), np.full(64, 2.0**-6))
    assert np.array_equal(step_of(rows * 0, 8.0), np.full(64, 2.0**-24))


def test_on_the_grid_convs_pack_and_give_the_same_means():
    model = Cleric(PRESETS["nano"])
    randomise(model, 3)
    images = calibration_crops(None, 3, 64)
    found = on_grid(model, images, dict.fromkeys(FINENESS, 5.0))
    convs = gridded(found)
    assert any(name.startswith("g_s.") for name in convs)
    for name, conv in convs.items():
        weight = conv.weight.detach().numpy().astype(np.float16)
        assert np.array_equal(weight.astype(np.float32), conv.weight.detach().numpy())
        assert packing.as_integers(weight) is not None, name
        plain = gridded(model)[name]
        assert not torch.equal(conv.weight, plain.weight) and not torch.equal(conv.bias, plain.bias)
    with torch.no_grad():
        y_hat = torch.round(model.g_a(images))
        wanted, exact = model.g_s(y_hat), found.g_s(y_hat)
        for name, conv in gridded(found).items():
            conv.bias.copy_(gridded(model)[name].bias)
        unfitted = found.g_s(y_hat)

    def drift(x_hat: torch.Tensor) -> float:
        return float((x_hat - wanted).mean((0, 2, 3)).abs().mean())

    assert drift(exact) < 0.5 * drift(unfitted)
