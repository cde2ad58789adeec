"""Model files and coding tables."""
from pathlib import Path

import numpy as np
import pytest
import torch

from cleric_training.export import calibration, calibration_crops
from cleric_training.files import safetensors
from cleric_training.files.modelfile import PLAIN_FORMAT, ModelFileError, load_model, load_weights, read_model, rounded, save_model
from cleric_training.golden import randomise
from cleric_training.integer.quantise import quantise as integers_of
from cleric_training.integer.tables import LEVELS, LIMIT, TOTAL, fitted_table, gauss_table, quantise, scale_table, size_counts
from cleric_training.network.config import PRESETS
from cleric_training.network.model import Cleric


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    torch.manual_seed(7)
    model = Cleric(PRESETS["nano"])
    randomise(model, 7)
    model = rounded(model)
    quantised = integers_of(model, calibration(model, calibration_crops(None, 4, 64)))
    path = tmp_path_factory.mktemp("model") / "nano.safetensors"
    return model, path, save_model(path, model, quantised, "cleric-nano", {"pixels": 1})


def test_a_file_reads_back(saved):
    model, path, digest = saved
    config, tensors, metadata = read_model(path)
    assert config == PRESETS["nano"] and metadata["hash"] == digest and metadata["format"] == "cleric-model/3"
    for name, value in model.state_dict().items():
        if name.startswith(("h_s.", "mem.")):
            assert tensors.get(name) is None or tensors[name].dtype in (np.int16, np.int32), name
        else:
            assert tensors[name].dtype == np.float16 and np.array_equal(tensors[name], value.numpy()), name
    assert tensors["mem.local.0.fusion.weight"].shape == (32, 16, 5, 5) and tensors["mem.local.0.proj.weight"].shape == (32, 32, 1, 1)
    assert tensors["scales.thresholds"][-1] == 1 << 30 and (np.diff(tensors["scales.thresholds"]) > 0).all()


def test_other_formats_are_refused(saved, tmp_path):
    tensors, metadata = safetensors.read(saved[1])
    safetensors.write(tmp_path / "old.safetensors", tensors, {**metadata, "format": "cleric-model/1"})
    with pytest.raises(ModelFileError, match="Expected format cleric-model/3 or cleric-model/2"):
        read_model(tmp_path / "old.safetensors")


def test_a_file_initialises_a_model(saved):
    _, path, _ = saved
    model = Cleric(PRESETS["nano"])
    load_weights(model, path)
    assert torch.equal(model.g_s.net[0].conv1.weight, load_model(path).g_s.net[0].conv1.weight)
    with pytest.raises(ModelFileError, match="Expected config"):
        load_weights(Cleric(PRESETS["s"]), path)


def test_data_section_is_aligned(saved):
    raw = saved[1].read_bytes()
    size = int.from_bytes(raw[:8], "little")
    assert (8 + size) % 8 == 0
    import json
    header = json.loads(raw[8:8 + size])
    ends = 0
    for name, entry in header.items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            assert begin == ends and begin % np.dtype(safetensors.DTYPES[entry["dtype"]]).itemsize == 0
            ends = end
    assert ends == len(raw) - 8 - size


def test_damage_is_found(saved, tmp_path):
    raw = bytearray(saved[1].read_bytes())
    raw[-10] ^= 1
    (tmp_path / "bad.safetensors").write_bytes(raw)
    with pytest.raises(ModelFileError, match="it is damaged"):
        read_model(tmp_path / "bad.safetensors")


def test_files_of_before_are_read(saved, tmp_path):
    """Format 2 has all tensors plainly and no checksum; its hash is over the same."""
    _, tensors, metadata = read_model(saved[1])
    old = tmp_path / "old.safetensors"
    safetensors.write(old, tensors, {**metadata, "format": PLAIN_FORMAT})
    _, found, said = read_model(old)
    assert said["hash"] == metadata["hash"] and found.keys() == tensors.keys()
    assert all(np.array_equal(found[name], tensors[name]) for name in tensors)
    raw = bytearray(old.read_bytes())
    raw[-10] ^= 1
    old.write_bytes(raw)
    with pytest.raises(ModelFileError, match="contents differ"):
        read_model(old)
    fixture = Path(__file__).parents[2] / "test" / "fixtures" / "tiny-no-drb.safetensors"
    assert read_model(fixture)[2]["format"] == PLAIN_FORMAT


def test_safetensors_refuses_other_types(tmp_path):
    with pytest.raises(TypeError, match="float64"):
        safetensors.write(tmp_path / "x.safetensors", {"a": np.zeros(3)}, {})


@pytest.mark.parametrize("kind, count", [("y", 64), ("z", 16)])
def test_tables_are_well_formed(saved, kind, count):
    _, tensors, _ = read_model(saved[1])
    values, offset = tensors[f"cdf.{kind}.values"], tensors[f"cdf.{kind}.offset"]
    size, least = tensors[f"cdf.{kind}.size"], tensors[f"cdf.{kind}.min"]
    assert len(offset) == len(size) == len(least) == count
    expected = 0
    for start, symbols in zip(offset, size):
        table = values[start:start + symbols + 1]
        assert start == expected and table[0] == 0 and table[-1] == TOTAL
        assert (np.diff(table) >= 1).all()
        expected = start + symbols + 1
    assert expected == len(values)
    assert (least + size - 2 >= least).all()  # room for a symbol besides the escape


def test_gauss_tables_follow_the_density():
    for sigma in (0.11, 1.0, 8.0, 256.0):
        least, table = gauss_table(sigma)
        mass = np.diff(table) / TOTAL
        symbols = np.arange(least, least + len(mass) - 1)
        assert least == -symbols[-1]
        assert abs((mass[:-1] * symbols).sum()) < 0.02 * sigma + 1e-9
        if sigma >= 1:
            assert abs(np.sqrt((mass[:-1] * symbols**2).sum()) / np.sqrt(sigma**2 + 1 / 12) - 1) < 0.06  # rare symbols get more than their due
    assert scale_table()[0] == pytest.approx(0.11) and scale_table()[-1] == pytest.approx(256, rel=1e-6)


def test_fitted_tables_follow_what_was_coded():
    """Laplacian latents under an estimated scale, with a dead zone: bits of other symbols than those it was fitted to."""
    random = np.random.default_rng(3)
    for sigma, zone, most in ((0.4, 0.7, 0.98), (3.0, 0.55, 0.98), (40.0, 0.5, 1.0)):
        v = random.laplace(0, sigma / np.sqrt(2), (2, 50000))
        symbols = (np.sign(v) * np.floor(np.maximum(0, np.abs(v) + 1 - zone))).astype(int)
        counts = size_counts(symbols[0], np.full(50000, 7))
        assert counts.shape == (LEVELS, LIMIT + 1) and counts.sum() == counts[7].sum() == 50000
        least, fitted = fitted_table(sigma, zone, counts[7])
        assert (least, len(fitted)) == (gauss_table(sigma)[0], len(gauss_table(sigma)[1]))
        at = np.clip(symbols[1] - least, 0, len(fitted) - 2)
        gauss, ours = (-np.log2(np.diff(table)[at] / TOTAL).sum() for table in (gauss_table(sigma)[1], fitted))
        share = np.bincount(at) / len(at)
        entropy = -(share[share > 0] * np.log2(share[share > 0])).sum() * len(at)
        assert ours < 1.005 * entropy and ours < most * gauss, sigma


def test_a_table_without_counts_is_nearly_gaussian():
    for sigma in (0.11, 1.0, 30.0):
        gauss, fitted = (np.diff(table) / TOTAL for table in (gauss_table(sigma)[1], fitted_table(sigma, 0.5, np.zeros(LIMIT + 1))[1]))
        assert np.abs(gauss - fitted).max() < 0.1
        assert (np.diff(fitted_table(sigma, 0.5, np.zeros(LIMIT + 1))[1]) >= 1).all()


def test_quantise_handles_many_rare_symbols():
    table = quantise(np.array([1.0] + [1e-12] * 3000 + [1e-9]))
    assert table[-1] == TOTAL and (np.diff(table) >= 1).all()
