"""Properties of the parts: reconstruction, carry-over, causality, gains."""
import pytest
import torch
from closeness import gap
from torchvision.ops import deform_conv2d

from cleric_training.golden import randomise
from cleric_training.loops import fast
from cleric_training.network.attention import LocalContext, anchor_mask
from cleric_training.network.blocks import DRBS
from cleric_training.network.config import PRESETS
from cleric_training.network.dcn import DeformConv, default_sampler
from cleric_training.network.lifting import Lifting
from cleric_training.network.model import Cleric
from cleric_training.network.prior import Factorized, dead_zone_round
from cleric_training.train.stage import computes_in


@pytest.fixture(scope="module")
def nano():
    torch.manual_seed(3)
    model = Cleric(PRESETS["nano"]).eval()
    randomise(model, 3)
    return model


@pytest.mark.parametrize("ends", [False, True])
def test_lifting_reconstructs(ends):
    torch.manual_seed(0)
    lift = Lifting(8, ends)
    for p in lift.parameters():
        torch.nn.init.normal_(p, std=0.3)
    x = torch.rand(2, 3, 32, 48)
    with torch.no_grad():
        low, high = lift(x)
        assert low.shape == (2, 3, 16, 24) and high.shape == (2, 9, 16, 24)
        assert gap(lift.inverse(low, high), x) < 1e-5 * max(1, float(low.abs().max()), float(high.abs().max()))
        lift.nets_on = False
        assert (lift(x)[0] - low).abs().max() > 1e-3  # the nets did something above


def ends_of_noise(ends: bool) -> tuple[float, float, float]:
    """How much stronger than inside, in dB, noise in both subbands comes back in the first row, the last, and the worst of the others."""
    lift = Lifting(4, ends)
    lift.nets_on = False
    units = torch.eye(32)[:, None, :, None]  # one sample of a subband at a time: what it comes back as, squared, is noise's share
    powers = [lift._merge(low, high).square().sum((0, 1, 3)) for low, high in ((units, 0 * units), (0 * units, units))]
    strength = 10 * torch.log10(sum(p / p[16:48].mean() for p in powers) / 2)
    return float(strength[0]), float(strength[-1]), float(strength[1:-1].max())


def test_balanced_ends_spread_the_noise_and_keep_constants():
    assert ends_of_noise(False) == pytest.approx((0.75, 1.70, 0.40), abs=0.01)
    assert ends_of_noise(True) == pytest.approx((0.01, 0.32, 0.39), abs=0.01)
    lift = Lifting(4, True)
    low, high = lift(torch.full((1, 3, 32, 16), 0.7))
    assert gap(low, torch.full_like(low, float(low[0, 0, 3, 3]))) < 1e-6 and float(high.abs().max()) < 1e-6


def test_the_dead_zone_widens_as_the_scale_shrinks():
    sigma = torch.tensor([0.11, 0.3, 1.0, 256.0])
    v = torch.linspace(0, 1.4, 1401)
    first = torch.stack([v[dead_zone_round(v, s.expand_as(v)) == 1][0] for s in sigma])
    # By hand for 0.3: P(0) = erf(0.5 / 0.3 / sqrt 2) = 0.9044, P(1) = 0.0478, 0.5 + log2(0.9044 / 0.0478) / 28 = 0.6515
    assert torch.allclose(first, torch.tensor([1.0714, 0.6515, 0.5238, 0.5]), atol=2e-3)
    far = torch.tensor([-7.4, 7.4, -7.6, 7.6])
    assert torch.equal(dead_zone_round(far, torch.full((4,), 256.0)), torch.round(far))
    assert torch.equal(dead_zone_round(-v, sigma[1].expand_as(v)), -dead_zone_round(v, sigma[1].expand_as(v)))


@pytest.mark.parametrize("ends", [False, True])
def test_lifting_starts_without_its_nets(ends):
    lift = Lifting(4, ends)
    x = torch.rand(1, 3, 16, 16)
    with torch.no_grad():
        with_nets = lift(x)
        lift.nets_on = False
        plain = lift(x)
    assert torch.equal(with_nets[0], plain[0]) and torch.equal(with_nets[1], plain[1])


@pytest.mark.parametrize("stride", [1, 2])
def test_plain_conv_carries_over_to_dcn(stride):
    torch.manual_seed(1)
    layer = DeformConv(5, 7, stride)
    x = torch.rand(2, 5, 12, 16)
    with torch.no_grad():
        deformed = layer(x)
        layer.deform = False
        assert gap(layer(x), deformed) < 1e-5


def test_dcn_reads_offsets_row_major_dy_first():
    torch.manual_seed(2)
    layer = DeformConv(2, 3)
    shift = torch.randn(18)
    with torch.no_grad():
        layer.offset.bias[:18] = shift
        x = torch.rand(1, 2, 8, 8)
        pairs = torch.stack([shift[:9], shift[9:]], 1).flatten()
        expected = deform_conv2d(x, pairs[None, :, None, None].expand(1, 18, 8, 8).contiguous(), layer.weight, layer.bias,
                                 padding=1, mask=torch.full((1, 9, 8, 8), 0.5))
        assert gap(layer(x), expected) < 1e-5


def deforming(stride: int) -> DeformConv:
    torch.manual_seed(8)
    layer = DeformConv(4, 6, stride)
    torch.nn.init.normal_(layer.offset.weight, std=0.3)
    torch.nn.init.normal_(layer.offset.bias)
    return layer


@pytest.mark.skipif(fast.LIBRARY is None, reason="no C compiler")
@pytest.mark.parametrize("stride", [1, 2])
def test_dcn_is_the_same_by_every_sampler(stride):
    """Gradients too, but for torchvision's: those of 0.14 are wrong on a processor."""
    layer, x = deforming(stride), torch.randn(2, 4, 10, 12, requires_grad=True)
    found = {}
    for sampler in ("loops", "torchvision", "grid"):  # "triton" has tests of its own
        layer.sampler = sampler
        out = layer(x)
        found[sampler] = [out.detach()]
        if sampler != "torchvision":
            found[sampler] += torch.autograd.grad((out * torch.linspace(-1, 1, out.numel()).reshape(out.shape)).sum(),
                                                  [x, *layer.parameters()])
    assert gap(found["torchvision"][0], found["loops"][0]) < 1e-5
    assert len(found["grid"]) == len(found["loops"]) == 6
    for by_grid, in_c in zip(found["grid"], found["loops"]):
        assert gap(by_grid, in_c) < 1e-5


def test_dcn_needs_no_compiler(monkeypatch):
    layer, x = deforming(1), torch.randn(1, 4, 10, 12, requires_grad=True)
    monkeypatch.setattr(fast, "LIBRARY", None)
    layer(x).sum().backward()
    assert default_sampler(x.device) == "grid" and x.grad.any()


@pytest.mark.skipif(fast.LIBRARY is None, reason="no C compiler")
@pytest.mark.skipif(not computes_in(torch.bfloat16), reason="no bfloat16")
@pytest.mark.parametrize("stride", [1, 2])
def test_dcn_in_bf16_is_dcn(stride):
    layer, x = deforming(stride), torch.randn(2, 4, 10, 12)
    with torch.no_grad():
        in_bf16 = layer._loops(x.bfloat16().contiguous(memory_format=torch.channels_last), layer.offset(x), fast.deform_columns)
        assert gap(in_bf16.float(), layer(x)) < 2**-6


@pytest.mark.skipif(fast.LIBRARY is None, reason="no C compiler")
@pytest.mark.parametrize("stride", [1, 2])
def test_dcn_gradients_are_the_slopes(stride):
    """Against differences along random directions; a sample that crosses a pixel's edge makes a kink."""
    layer, x = deforming(stride), torch.randn(2, 4, 10, 12, requires_grad=True)
    direction = torch.randn(layer(x).shape)
    (layer(x) * direction).sum().backward()
    for p in (x, *layer.parameters()):
        way, step = torch.randn_like(p), 1e-3 if p is x or p.shape[0] == 6 else 1e-4
        with torch.no_grad():
            p.add_(step * way)
            above = float((layer(x).double() * direction).sum())
            p.sub_(2 * step * way)
            below = float((layer(x).double() * direction).sum())
            p.add_(step * way)
        slope, expected = (above - below) / (2 * step), float((p.grad * way).sum())
        assert abs(slope - expected) < 0.05 * float(p.grad.norm()) + 0.05


def test_stage_without_nets_and_deformation_is_the_full_network():
    torch.manual_seed(4)
    model = Cleric(PRESETS["nano"]).eval()
    x, q = torch.rand(1, 3, 64, 64), torch.tensor([2.5])
    with torch.no_grad():
        full = model(x, q, noisy=False).x_hat
        model.stage(lift_nets=False, deform=False)
        assert gap(model(x, q, noisy=False).x_hat, full) < 1e-4


def local_by_definition(net: LocalContext, x: torch.Tensor) -> torch.Tensor:
    """The local context as docs/network.md words it, one window at a time."""
    _, d, h, w = x.shape
    k, r, hd = net.win, net.win // 2, d // net.heads
    qkv = net.qkv(net.norm1(x[0].permute(1, 2, 0)))
    anchors = anchor_mask(h, w)
    out = torch.zeros(1, 2 * d, h, w)
    for row in range(h):
        for column in range(w):
            if anchors[row, column]:
                continue
            window, is_anchor = torch.zeros(k * k, 3 * d), torch.zeros(k * k)
            for n in range(k * k):
                y, z = row + n // k - r, column + n % k - r
                if 0 <= y < h and 0 <= z < w:
                    window[n], is_anchor[n] = qkv[y, z], anchors[y, z]
            heads = []
            for head in range(net.heads):
                q, key, v = (window[:, part * d + head * hd:part * d + (head + 1) * hd] for part in range(3))
                logits = q @ key.t() * hd**-0.5
                for a in range(k * k):
                    for b in range(k * k):
                        rel = (a // k - b // k + k - 1) * (2 * k - 1) + a % k - b % k + k - 1
                        logits[a, b] += net.bias[rel, head] - (0 if is_anchor[a] and is_anchor[b] else 100)
                heads.append(logits.softmax(-1) @ v)
            y = torch.cat(heads, 1).t().reshape(1, d, k, k)
            y = net.proj(net.fusion(y).flatten())
            out[0, :, row, column] = y + net.mlp(net.norm2(y))
    return out


def test_local_context_matches_its_definition():
    torch.manual_seed(5)
    net = LocalContext(8)
    torch.nn.init.normal_(net.bias)
    x = torch.randn(1, 8, 4, 6) * anchor_mask(4, 6)
    with torch.no_grad():
        assert gap(net(x), local_by_definition(net, x)) < 1e-5


def test_anchors_do_not_depend_on_later_values(nano):
    """What the decoder knows when it decodes an anchor must not change with what comes later."""
    torch.manual_seed(6)
    y, hyper = torch.randn(1, 32, 4, 8) * 3, torch.randn(1, 64, 4, 8)
    changed = y.clone()
    changed[:, 16:] += 5 * ~anchor_mask(4, 8)
    traces = []
    for latent in (y, changed):
        seen = {}
        with torch.no_grad():
            nano.mem(latent, hyper, False, seen.__setitem__)
        traces.append(seen)
    for name in ("y_hat.0", "params_a.1", "y_hat_a.1", "params_n.1"):
        assert torch.equal(traces[0][name], traces[1][name]), name
    assert not torch.equal(traces[0]["y_hat.1"], traces[1]["y_hat.1"])


def test_the_middle_of_a_density_has_its_mass():
    prior = Factorized(1)
    with torch.no_grad():
        for layer in range(prior.layers):
            getattr(prior, f"b{layer}").zero_()  # symmetric about zero
        masses = prior.likelihood(torch.arange(-200.0, 201)[None, None, None])
    assert abs(float(masses.sum()) - 1) < 1e-4 and int(masses.argmax()) == 200


def test_gains_interpolate_their_logs(nano):
    low, middle, high = (nano.gains(torch.tensor([q]))[0] for q in (2.0, 2.5, 3.0))
    assert torch.allclose(middle, (low * high).sqrt(), rtol=1e-5)
    gain, inverse = nano.gains(torch.tensor([7.0]))
    expected = torch.exp2(nano.log_inv[7])
    assert torch.allclose((gain * inverse).flatten(), expected, rtol=1e-5)


def test_higher_rates_cost_more_bits(nano):
    x = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        bits = [float(nano(x, torch.tensor([q]), noisy=False).bits()) for q in (0.0, 3.5, 7.0)]
    assert bits[0] < bits[1] < bits[2]


@pytest.mark.parametrize("channels", [3, 16])
def test_the_skip_of_a_drbs_is_a_conv_of_stride_2(channels):
    torch.manual_seed(1)
    block = DRBS(channels, 16, drb=False)
    block.conv2.weight.data.zero_()
    block.conv2.bias.data.zero_()
    x = torch.randn(2, channels, 10, 14)
    expected = torch.nn.functional.conv2d(x, block.skip.weight, block.skip.bias, stride=2)
    assert gap(block(x), expected) < 1e-5
