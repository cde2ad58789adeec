"""The integer entropy model: ops against their definitions, the model against its float one, the overflow proof."""
import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from closeness import gap

from cleric_training.export import bits_by_layer, calibration, calibration_crops
from cleric_training.files.modelfile import load_model, load_weights, read_model, rounded, save_model
from cleric_training.files.safetensors import read
from cleric_training.golden import FIXTURES, randomise, test_image as image
from cleric_training.integer import arithmetic, exponents, oracle
from cleric_training.integer.calibrate import FloatOps, latents_of, run_float
from cleric_training.integer.dequantise import runs, unroll
from cleric_training.integer.oracle import encode
from cleric_training.integer.quantise import QuantiseError, check_accumulator, fit_tables, quantise
from cleric_training.integer.tables import dead_zones, gauss_tables, prior_tables, scale_table
from cleric_training.measure.code_length import CodeLength, coded_bits
from cleric_training.network.config import PRESETS
from cleric_training.network.model import Cleric
from cleric_training.network.prior import dead_zone_round


@pytest.fixture(scope="module")
def nano():
    torch.manual_seed(5)
    model = Cleric(PRESETS["nano"])
    randomise(model, 5)
    model = rounded(model)
    return model, quantise(model, calibration(model, calibration_crops(None, 8, 128)))


@pytest.fixture(scope="module")
def latents(nano):
    return latents_of(nano[0], torch.cat([image(90), image(91)]), torch.tensor([1.5, 6.0]))


def half_up(v, s):
    """Of Python's integers."""
    return (v + (1 << (s - 1) if s else 0)) >> s


def test_shifts_round_halves_up():
    v = np.array([-(2**30), -5, -3, -2, -1, 0, 1, 2, 3, 2**30])
    for s in (0, 1, 2, 29):
        assert arithmetic.rshift(v, s).tolist() == [half_up(int(x), s) for x in v]
    with pytest.raises(AssertionError):
        arithmetic.rshift(np.array([2**31 - 1]), 1)


def test_a_layer_norm_is_close_to_the_real_one():
    random = np.random.default_rng(1)
    for channels, scale, epsilon in ((64, 40, 0), (64, 30000, 0), (128, 2**21, 0), (64, 1.2, 64 * 1e-5 * 2**22)):
        x = np.round(random.normal(0.3, scale, (1, channels, 6, 7))).astype(np.int64)
        n = arithmetic.normalise(x, int(epsilon), arithmetic.rsqrt_table()) * 2.0**-14
        y = x - x.mean(1, keepdims=True)
        exact = y / np.sqrt((y**2).sum(1, keepdims=True) + epsilon / 1024)
        assert np.abs(n - exact).max() < 2e-3
    assert not arithmetic.normalise(np.zeros((1, 8, 1, 1), np.int64), 5, arithmetic.rsqrt_table()).any()


def test_a_layer_norm_by_hand():
    """One position in Python's own integers, along the words of the specification."""
    x, epsilon, rsqrt = [5, -7, 1000, 3, 0, -400, 77], 900, arithmetic.rsqrt_table().tolist()
    c, a = len(x), 1000
    e = a.bit_length() - 11
    coarse = [half_up(v, e) if e > 0 else v << -e for v in x]
    mean = (4 * (sum(coarse) + 2048 * c) + (c >> 1)) // c - 8192
    u = [4 * v - mean for v in coarse]
    k = 10 + 2 * e
    v = sum((w * w + 8) >> 4 for w in u) + (epsilon >> k if k >= 0 else epsilon << -k)
    t = next(t for t in range(-7, 9) if 2**14 <= (v >> 2 * t if t > 0 else v << -2 * t) < 2**16)
    w = v >> 2 * t if t > 0 else v << -2 * t
    g0 = rsqrt[(w >> 7) - 128]
    g = (g0 * ((3 << 14) - (w * ((g0 * g0) >> 16) >> 16))) >> 15
    expected = [half_up(value * g, t + 11) for value in u]
    assert arithmetic.normalise(np.array(x)[None, :, None, None], epsilon, np.array(rsqrt)).ravel().tolist() == expected


def test_attention_is_close_to_the_real_one():
    random = np.random.default_rng(2)
    q, k, v = (np.round(random.normal(0, 300, (1, 16, 6, 8))).astype(np.int64) for _ in range(3))
    for split in (False, True):
        found = arithmetic.linear_attention(q, k, v, 17, arithmetic.exp_table(2.0**-7), 2, split)
        real = FloatOps.linear_attention(_Plain(), "", *(torch.from_numpy(t / 128).float() for t in (q, k, v)), 2, split)
        assert np.abs(found / 2 / 128 - real.numpy()).max() < 0.02
    qkv = np.round(random.normal(0, 300, (1, 24, 6, 8))).astype(np.int64)
    bias = np.round(random.normal(0, 100, (81, 2))).astype(np.int16)
    found = arithmetic.window_attention(qkv, bias, 7, arithmetic.exp_table(2.0**-8), 2)
    plain = _Plain()
    plain.weights = {"n.bias": torch.from_numpy(bias / 256).float()}
    # Logits in 2^-8: products of two steps of 2^-7 over the root of 4 channels a head are 2^-15 = 2^-7 2^-8.
    real = FloatOps.window_attention(plain, "n.attention", torch.from_numpy(qkv / 128).float(), 2)
    assert np.abs(found / 128 - real.numpy()).max() < 0.05


class _Plain:
    """FloatOps without a model."""

    def see(self, *args):
        pass


def test_the_walk_is_the_network(nano, latents):
    model = nano[0]
    seen = {}
    with torch.no_grad():
        expected = model.mem(torch.from_numpy(latents.y), model.h_s(torch.round(torch.from_numpy(latents.z))), False,
                             seen.__setitem__)[0]
        ops = FloatOps(model)
        assert gap(run_float(ops, model, latents), expected) < 1e-5
    everywhere = [name for name in seen if name.startswith(("inter", "channel", "intra", "params_a", "y_hat"))]
    assert len(everywhere) > 8
    for name in everywhere:
        assert gap(ops.notes[name], seen[name]) < 1e-5, name


def test_integers_are_close_to_floats(nano, latents):
    model, quantised = nano
    found, seen, d = {}, {}, model.config.d
    coded = encode(model.config, quantised.tensors, latents.y, latents.z, found)
    with torch.no_grad():
        y_hat = model.entropy(torch.from_numpy(latents.y), False, seen.__setitem__)[0]
    # The first slice's parameters see no symbols, later ones symbols that may differ by a rounding.
    off = found["params_a.0"][:, d:] / 64 - seen["params_a.0"][:, d:].numpy()
    assert np.abs(off).mean() < 0.02 * float(seen["params_a.0"][:, d:].std())
    symbols = torch.cat([seen[f"r.{i}"] for i in range(model.config.slices)], 1).numpy()
    # Dead zones differ a little too, as a coding table stands for a range of scales.
    assert (coded.symbols == symbols).mean() > 0.96
    assert np.abs(coded.y_hat / 64 - latents.y).max() <= dead_zones(quantised.tensors).max() + 1 / 64 + 0.5
    assert np.abs(coded.y_hat / 64 - y_hat.numpy()).mean() < 0.07
    assert max(quantised.noise.values()) < 0.1


def test_every_value_stays_in_its_range(nano, latents):
    found = {}
    encode(nano[0].config, nano[1].tensors, latents.y * 50, latents.z * 20, found)  # far outside what it was made for
    for name, value in found.items():
        limit = 2048 if name.startswith(("mem.ch", "mem.in", "mem.lo", "h_s", "inter", "local", "hyper")) else 1 << 22
        assert np.abs(value).max() <= limit, name


def test_fewer_bits_are_worse(nano, latents):
    model = nano[0]
    at = calibration(model, calibration_crops(None, 8, 128))
    noise = [quantise(model, at, bits_by_layer(text)).noise["mem.ep_n.1.6"] for text in ("4", "9", "4,mem=9,h_s=9")]
    assert noise[0] > 3 * noise[1] and noise[2] == noise[1]


def test_bits_by_layer():
    bits = bits_by_layer("8,mem=10,mem.ep=11")
    assert [bits(name) for name in ("h_s.net.0", "mem.channel.1.0", "mem.ep_a.0.0")] == [8, 10, 11]


@pytest.mark.parametrize("weights, bias, shift, message", [
    (1100, 0, 8, "sums below 2\\^31"), (900, 2**30, 8, "sums below 2\\^31"), (900, 0, 0, "shifts"), (900, 0, 31, "shifts"),
    (2048, 0, 8, "12 bits")])
def test_the_overflow_proof_names_the_layer(weights, bias, shift, message):
    weight = np.full((2, 106, 3, 3), weights, np.int16)
    fine = (np.full_like(weight, 900), np.zeros(2, np.int32), np.full(2, 8, np.int32))
    check_accumulator("fine", *fine)
    with pytest.raises(QuantiseError, match=message) as caught:
        check_accumulator("mem.some.layer", weight, np.array([0, bias], np.int32), np.array([8, shift], np.int32))
    assert "mem.some.layer" in str(caught.value)


def test_a_proof_that_holds_is_true():
    """The worst inputs of a layer that just passes."""
    weight = np.array([[[[1800]]] * 582, [[[-1800]]] * 582], np.int16)
    room = 2**31 - 1 - 2048 * 1800 * 582 - 2**7
    bias, shift = np.array([-room, room], np.int32), np.array([8, 8], np.int32)
    check_accumulator("edge", weight, bias, shift)
    for x in (-2048, 2047):
        arithmetic.conv([np.full((1, 582, 1, 1), x)], weight, bias, shift)
    with pytest.raises(QuantiseError):
        check_accumulator("edge", weight, bias + np.array([-1, 0], np.int32), shift)


def test_a_model_beyond_the_limits_fails_by_name(nano, latents):
    model = Cleric(PRESETS["nano"]).eval()
    model.load_state_dict(nano[0].state_dict())
    with torch.no_grad():
        model.mem.local[0].bias[3, 1] = 200
    with pytest.raises(QuantiseError, match="mem.local.0.attention"):
        quantise(model, latents)


def test_a_nearly_silent_layer_has_an_integer_form(nano, latents):
    model = Cleric(PRESETS["nano"]).eval()
    model.load_state_dict(nano[0].state_dict())
    with torch.no_grad():
        for layer in (model.mem.local[1].proj, model.mem.local[1].mlp[2], model.mem.lrp_a[0][2], model.mem.lrp_n[1][4]):
            layer.weight *= 1e-5
            layer.bias *= 1e-3
    quantised = quantise(model, latents)
    assert 0 < quantised.tensors["mem.local.1.norm2.epsilon"][0] < 1 << 20
    encode(model.config, quantised.tensors, latents.y, latents.z)


def test_dequantised_weights_are_close(nano, latents, tmp_path):
    model, quantised = nano
    save_model(tmp_path / "n.safetensors", model, quantised, "n")
    again = load_model(tmp_path / "n.safetensors")
    started = Cleric(PRESETS["nano"])
    load_weights(started, tmp_path / "n.safetensors")
    for name, value in model.state_dict().items():
        found = again.state_dict()[name]
        assert torch.equal(found, started.state_dict()[name])
        if name.startswith(("h_s.", "mem.")) and name.endswith("weight"):
            assert F.cosine_similarity(found.flatten(), value.flatten(), 0) > 0.998, name
        elif not name.startswith(("h_s.", "mem.")):
            assert torch.equal(found, value), name
    with torch.no_grad():
        traces = []
        for one in (model, again):
            ops = FloatOps(one)
            run_float(ops, one, latents)
            traces.append(ops.notes["params_a.0"])
    assert (traces[0] - traces[1]).std() < 0.03 * traces[0].std()
    bias = model.state_dict()["mem.local.1.bias"]
    assert (again.state_dict()["mem.local.1.bias"] - bias).abs().max() <= 2.0**-9


def test_the_fixtures_are_the_oracles():
    config, tensors, _ = read_model(FIXTURES / "nano.safetensors")
    golden, metadata = read(FIXTURES / "nano-golden.safetensors")
    found = {}
    coded = encode(config, tensors, golden["y"][None], golden["z"][None], found)
    for name, value in found.items():
        assert np.array_equal(value[0], golden[name]), name
    assert {"z_hat", "hyper", "mem.local.1.qkv", "mem.intra.1.attention", "index.0", "y_hat.1"} <= found.keys()
    model = load_model(FIXTURES / "nano.safetensors")
    with torch.no_grad():
        inverse = model.gains(torch.tensor([float(metadata["q"])]))[1]
        x_hat = model.g_s(torch.from_numpy(coded.y_hat / 64).float() * inverse)
    assert gap(x_hat[0], torch.tensor(golden["x_hat"])) < 1e-5


def test_op_cases_are_the_oracles():
    tensors, metadata = read(FIXTURES / "integer-ops.safetensors")
    cases = {case["name"]: case for case in json.loads(metadata["cases"])}
    case = cases["integerConv 3x3 two inputs of 3"]
    x = torch.from_numpy(np.concatenate([tensors[name] for name in case["inputs"]["inputs"]])).double()
    part = {key: tensors[case["attributes"][key]].astype(np.int64) for key in ("weight", "bias", "shift", "table")}
    acc = F.conv2d(x[None], torch.from_numpy(part["weight"]).double(), torch.from_numpy(part["bias"]).double(), padding=1)
    scaled = np.floor(acc[0].numpy() / 2.0 ** part["shift"][:, None, None] + 0.5)
    expected = part["table"][np.clip(scaled, -2048, 2047).astype(int) + 2048]
    assert np.array_equal(tensors[case["outputs"]["output"]], expected)


def test_runs_unroll():
    e = np.array([3, 3, -1, 3, 0, 0])
    assert runs(e) == [[2, 3], [1, -1], [1, 3], [2, 0]] and unroll(runs(e)).tolist() == e.tolist()


def test_tables_round_to_nearest():
    table = exponents.table("gelu", -8, -9)
    x = np.array([-2048, -700, 0, 513, 2047])
    exact = F.gelu(torch.from_numpy(x / 256)).numpy() * 512
    assert np.abs(table[x + 2048] - np.clip(exact, -2048, 2047)).max() <= 0.5
    tanh = exponents.table("tanh", -8, exponents.MEAN)
    assert tanh.min() == -32 and tanh.max() == 32


def one_table(frequencies, least):
    """A model's tables of y, all 64 alike."""
    values = np.concatenate([[0], np.cumsum(frequencies)]).astype(np.int32)
    return {"cdf.y.values": values, "cdf.y.offset": np.zeros(64, np.int32), "cdf.y.min": np.full(64, least, np.int32),
            "cdf.y.size": np.full(64, len(frequencies), np.int32)}


@pytest.mark.parametrize("frequencies, least, bits", [
    ([4096, 32768, 4096, 24576], -1, 3), ([2, 65531, 2, 1], -1, np.log2(65531 / 2)), ([3, 65531, 1, 1], -1, np.log2(65531 / 2)),
    ([65535, 1], 0, np.log2(65535) + 2),  # both by the escape: a sign and one bit
    ([8192, 49152, 8192], -1, np.log2(49152 / (8192 + 2048) * 2)),  # +1 by the escape
    ([20000, 5536, 20000, 20000], -1, 0)])
def test_dead_zones_by_hand(frequencies, least, bits):
    assert sum(frequencies) == 65536
    assert dead_zones(one_table(frequencies, least)) == pytest.approx(np.full(64, 0.5 + bits / 28), abs=1e-7)


def test_dead_zones_of_the_gaussian_tables():
    zones = dead_zones(gauss_tables())
    assert zones.shape == (64,) and zones.min() == 0.5 and 1 < zones.max() <= 1.25
    assert (np.diff(zones) < 1e-4).all() and zones[40:].max() < 0.501
    # The float model's, whose probabilities are exact where the tables' are frequencies.
    v = torch.linspace(-3, 3, 6001)
    for i in range(0, 64, 7):
        scale = torch.full_like(v, float(scale_table()[i]))
        params = np.zeros((1, 2, 1, len(v)), np.int64)
        index = np.full((1, 1, 1, len(v)), i)
        found = sum(arithmetic.quantise(v.numpy()[None, None, None], params, index, zones, keep)
                    for keep in ("anchor", "nonAnchor"))
        assert (found.ravel() == dead_zone_round(v, scale).numpy()).mean() > 0.985, i


def test_latents_in_the_dead_zone_are_zero():
    zones, at = dead_zones(gauss_tables()), np.array([0, 20, 63])
    index, params = at[None, :, None, None], np.zeros((1, 6, 1, 1), np.int64)
    for size, symbols in ((0.505, [0, 0, 1]), (0.9, [0, 1, 1]), (1.05, [0, 1, 1]), (1.2, [1, 1, 1]), (7.51, [7, 8 - (zones[20] > 0.51), 8])):
        for sign in (1, -1):
            y = np.full((1, 3, 1, 1), sign * size, np.float32)
            assert arithmetic.quantise(y, params, index, zones, "nonAnchor").ravel().tolist() == [sign * r for r in symbols], size


def test_the_dead_zone_takes_fewer_bits(nano, latents, monkeypatch):
    model, quantised = nano
    tensors = {**quantised.tensors, **prior_tables(model.z_prior)}
    bits = []
    for zones in (dead_zones, lambda tensors: np.full(64, 0.5, np.float32)):
        monkeypatch.setattr(oracle, "dead_zones", zones)
        bits.append(coded_bits(tensors, encode(model.config, tensors, latents.y, latents.z)))
    assert bits[0] < 0.98 * bits[1]


def test_fitted_tables_take_fewer_bits(nano, latents):
    """Of other images than those they were fitted to."""
    model, quantised = nano
    gauss = {**quantised.tensors, **prior_tables(model.z_prior)}
    fitted = dict(gauss)
    fit_tables(model.config, fitted, calibration(model, calibration_crops(None, 8, 128)))
    bits = [coded_bits(tensors, encode(model.config, tensors, latents.y, latents.z)) for tensors in (fitted, gauss)]
    assert bits[0] < 0.99 * bits[1]


def test_code_length_counts_escapes():
    tensors = {"cdf.y.values": np.array([0, 32768, 49152, 65536], np.int32), "cdf.y.offset": np.zeros(1, np.int32),
               "cdf.y.size": np.array([3], np.int32), "cdf.y.min": np.array([-1], np.int32)}
    bits = CodeLength(tensors, "y")
    for symbol, expected in ((-1, 1), (0, 2), (1, 2 + 1 + 1), (2, 2 + 1 + 3), (-2, 2 + 2), (-5, 2 + 1 + 5)):
        assert bits(np.array([symbol]), np.array([0])) == pytest.approx(expected), symbol


def test_code_length_is_the_entropy():
    """Of symbols that follow their table's density."""
    tensors, scale = gauss_tables(), scale_table()[30]
    symbols = np.round(np.random.default_rng(0).normal(0, scale, 20000)).astype(int)
    entropy = 20000 * 0.5 * np.log2(2 * np.pi * np.e * float(scale) ** 2)
    assert CodeLength(tensors, "y")(symbols, np.full(20000, 30)) == pytest.approx(entropy, rel=0.02)
