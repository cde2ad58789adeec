"""The trainer: resuming, the C loops, the schedule, and that a few steps learn."""
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from cleric_training.files.checkpoint import model_of
from cleric_training.files.modelfile import load_model
from cleric_training.golden import FIXTURES
from cleric_training.grow import grow, grown
from cleric_training.loops import fast
from cleric_training.network.blocks import DRBS, R2B
from cleric_training.network.config import PRESETS
from cleric_training.network.lifting import LiftNet
from cleric_training.network.model import Cleric
from cleric_training.train.data import Images, decode_all, mark, split
from cleric_training.train.initialise import initialise
from cleric_training.train.klt import start_linear
from cleric_training.train.linearity import Linearity
from cleric_training.train.objective import RUNAWAY, Border, rate_distortion, rate_lambda, tamed
from cleric_training.train.optimise import Optimiser, groups_of
from cleric_training.train.shards import Shards
from cleric_training.train.trainer import Trainer, parse


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    random = np.random.default_rng(0)
    for n in range(6):
        coarse = random.integers(90, 250, (18, 20, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((320, 288), Image.BICUBIC).save(folder / f"set-{n:03d}.webp", lossless=True)
    decode_all(folder, folder / "data")
    return Images(folder / "data")


def trainer(images, folder, *more):
    args = parse(["--preset", "nano", "--folder", str(folder), "--batch", "2", "--crop", "64", "--shards", "1",
                  "--float32", "--start", "random", *more])
    return Trainer(args, images)


def test_images_hold_some_out_and_crop_in_range(images):
    train, held = split([f"a-{n:03d}" for n in range(40)] + ["b-001"])
    assert len(train) + len(held) == 41 and 0 < len(held) < 10 and not train & held
    batch = images.batch(np.random.default_rng(1), 5, 64)
    assert batch.shape == (5, 3, 64, 64) and 0 <= batch.min() and batch.max() <= 1
    assert {p.name for p in images.held}.isdisjoint(p.name for group in images.train for p in group)


@pytest.mark.parametrize("more", [(), ("--without", "ls"), ("--without", "drb"), ("--shortcuts",), ("--shortcuts", "--without", "ls")])
def test_the_linear_start_reconstructs(images, tmp_path, more):
    x = images.validation(128)
    psnr, spread = {}, {}
    for start in ("linear", "random"):
        model = trainer(images, tmp_path, "--start", start, *more).model.eval()
        with torch.no_grad():
            y = model.g_a(x)
            psnr[start] = float(-10 * torch.log10((model.g_s(y) - x).pow(2).mean()))
            spread[start] = float(y.std())
    assert psnr["linear"] > 24 and psnr["linear"] > psnr["random"] + 6
    assert spread["linear"] > 1


def test_shortcuts_hold_the_linear_start_and_leave_the_bodies_free_to_learn(images, tmp_path):
    """g_a is affine at first, and yet the last convs of all bodies have a gradient, and inside GELU isn't linear."""
    model = trainer(images, tmp_path, "--start", "linear", "--shortcuts").model
    one, other = images.batch(np.random.default_rng(1), 2, 64).split(1)
    with torch.no_grad():
        middle = model.g_a(0.3 * one + 0.7 * other)
        assert torch.allclose(middle, 0.3 * model.g_a(one) + 0.7 * model.g_a(other), atol=1e-3)
        assert middle.std() > 1
    (model.g_a(one) - model.g_a(other).detach()).pow(2).sum().backward()
    bodies = [m for m in model.g_a.modules() if isinstance(m, (DRBS, R2B))]
    assert len(bodies) == 10
    for body in bodies:
        assert not body.conv2.weight.any() and body.conv2.weight.grad.any()
        assert body.conv1.bias.abs().max() < 3
    assert all(group == "branch" for name, group in groups_of(model).items() if ".conv1." in name and name.startswith("g_a.low.1.")
               and ".offset." not in name)


def test_the_schedule_can_count_steps(images, tmp_path):
    run = trainer(images, tmp_path, "--stage-steps", "4", "--budget", "1e-9")
    assert run.progress == 0
    run.step()
    assert run.progress == 0.25
    run.counts["stage_step"] = 3
    run.validate = run.not_linear = lambda: "measured"
    run.run()
    entries = [json.loads(line) for line in (tmp_path / "nano.log.jsonl").read_text().splitlines()]
    assert entries[-1]["stopped"]["stage_step"] == 4
    assert entries[-2] == {**entries[-2], "step": 2, "validation": "measured", "not_linear": "measured"}


def test_the_gauge_measures_the_average(images, tmp_path):
    """Which here still is the linear start, whatever the weights have become."""
    run = trainer(images, tmp_path, "--start", "linear", "--shortcuts")
    run.linearity = Linearity(images, crops=16, window=16)
    before = {k: v.detach().clone() for k, v in run.model.named_parameters()}
    with torch.no_grad():
        for name, p in run.model.named_parameters():
            if ".conv2." in name and name.startswith("g_a."):
                p.add_(0.1 * torch.randn_like(p))
    changed = run.linearity.share(run.model.g_a, run.pool)
    average = run.not_linear()
    assert average["median"] < 0.01 * changed["median"]
    assert any(not torch.equal(p, before[k]) for k, p in run.model.named_parameters())


def test_resume_takes_the_same_next_step(images, tmp_path):
    first = trainer(images, tmp_path)
    for _ in range(2):
        first.step()
    first.save()
    before = {k: v.clone() for k, v in first.model.state_dict().items()}
    expected = first.step()
    second = trainer(images, tmp_path, "--resume")
    found = second.step()
    assert second.counts["step"] == 3
    assert float(found["loss"]) == float(expected["loss"])
    # Equal up to the rounding of the backward pass, whose sums depend on the alignment of memory
    # (and which Adam magnifies where a gradient is next to nothing): compare the moves as a whole.
    for mine, other in ((first.model.state_dict(), second.model.state_dict()),
                        (first.optimiser.average, second.optimiser.average)):
        move = torch.cat([(mine[k] - before[k]).flatten() for k in before])
        gap = torch.cat([(mine[k] - other[k]).flatten() for k in before])
        assert move.norm() > 0 and gap.norm() < 0.02 * move.norm()


def test_resume_keeps_weights_into_a_new_stage(images, tmp_path):
    first = trainer(images, tmp_path, "--no-lift-nets", "--no-deform")
    first.step()
    first.save()
    second = trainer(images, tmp_path, "--resume", "--restart-schedule")
    assert second.counts["stage_step"] == 0 and second.counts["step"] == 1
    x, q = torch.rand(1, 3, 64, 64), torch.tensor([1.0])
    with torch.no_grad():
        a, b = first.model(x, q, noisy=False).x_hat, second.model(x, q, noisy=False).x_hat
    assert (a - b).abs().max() < 1e-4
    assert model_of(tmp_path / "nano.pt")[1]["pixels"] == 2 * 64 * 64


def test_a_run_starts_from_a_model_file(images, tmp_path):
    """Its entropy model, which the file holds in integers, included; and learns from there."""
    file = FIXTURES / "nano.safetensors"
    run = trainer(images, tmp_path, "--init", str(file))
    expected = load_model(file).state_dict()
    for state in (run.model.state_dict(), run.optimiser.average):
        assert all(torch.equal(value, expected[name]) for name, value in state.items())
    assert np.isfinite(float(run.step()["loss"])) and run.counts["skipped"] == 0


def test_training_lowers_the_loss(images, tmp_path):
    run = trainer(images, tmp_path, "--no-lift-nets", "--no-deform", "--lr", "1e-2", "--shares", "g_a=1,g_s=1,gain=1")
    x = images.validation(128)
    q = torch.linspace(0, 7, len(x))

    def loss():
        with torch.no_grad():
            return float(rate_distortion(x, run.model(x, q, noisy=False), q, 8)["loss"])

    before = loss()
    for _ in range(60):
        run.step()
    assert loss() < 0.7 * before


def test_run_logs_and_stops(images, tmp_path):
    run = trainer(images, tmp_path, "--steps", "51", "--no-lift-nets", "--no-deform", "--freeze", "g_a,gain,entropy")
    run.run()
    entries = [json.loads(line) for line in (tmp_path / "nano.log.jsonl").read_text().splitlines()]
    assert entries[1]["step"] == 50 and entries[1]["psnr"] > 0
    assert entries[-1]["stopped"]["step"] == 51


def test_a_step_that_is_not_finite_is_skipped(images, tmp_path):
    run = trainer(images, tmp_path)
    before = {k: v.clone() for k, v in run.model.state_dict().items()}
    original = run.images.batch
    run.images.batch = lambda *a: original(*a) * float("nan")
    try:
        run.step()
    finally:
        run.images.batch = original
    assert run.counts["skipped"] == 1
    assert all(torch.equal(v, before[k]) for k, v in run.model.state_dict().items())


def test_validation_uses_the_average(images, tmp_path):
    run = trainer(images, tmp_path)
    before = {k: v.clone() for k, v in run.model.state_dict().items()}
    found = run.validate()
    assert set(found) == {"0", "3.5", "7"} and all(bpp > 0 and cost > bpp for bpp, _, cost in found.values())
    assert all(torch.equal(v, before[k]) for k, v in run.model.state_dict().items())


def test_lambda_spans_a_factor_of_100():
    low, high = rate_lambda(torch.tensor([0.0, 7.0]), 8)
    assert float(low) == pytest.approx(0.004) and float(high) == pytest.approx(0.4)


def test_every_parameter_has_its_group():
    model = Cleric(PRESETS["nano"])
    groups = groups_of(model)
    assert groups.keys() == {name for name, _ in model.named_parameters()}
    assert set(groups.values()) == {"lift", "offset", "g_a", "branch", "g_s", "entropy", "gain"}
    rates = [Optimiser(model, 1e-3).rate(1000, p) for p in (0.0, 0.5, 1.0)]
    assert rates[0] == pytest.approx(1e-3) and rates[0] > rates[1] > rates[2] > 0


@pytest.mark.skipif(fast.LIBRARY is None, reason="no C compiler")
def test_gelu_in_c_is_gelu():
    x = (torch.randn(2, 5, 7, 9) * 3).bfloat16().contiguous(memory_format=torch.channels_last).requires_grad_()
    grad = torch.randn(2, 5, 7, 9).bfloat16()
    y = fast.gelu(x)
    y.backward(grad)
    exact = x.detach().float().requires_grad_()
    expected = F.gelu(exact)
    expected.backward(grad.float())
    assert torch.allclose(y.float(), expected, rtol=2**-7, atol=1e-3)
    assert torch.allclose(x.grad.float(), exact.grad, rtol=2**-7, atol=1e-2)


@pytest.mark.skipif(fast.LIBRARY is None, reason="no C compiler")
def test_adam_in_c_is_adam(monkeypatch):
    torch.manual_seed(0)
    start = [torch.randn(50, 3), torch.randn(50, 3), torch.randn(50, 3), torch.rand(50, 3), torch.randn(50, 3)]
    numbers = dict(clip=0.5, rate=0.01, root=1.7, beta1=0.9, beta2=0.99, eps=1e-9, decay=0.9)
    in_c = [t.clone() for t in start]
    fast.adam(*in_c, **numbers)
    plain = [t.clone() for t in start]
    monkeypatch.setattr(fast, "LIBRARY", None)
    fast.adam(*plain, **numbers)
    for n in (0, 2, 3, 4):
        assert torch.allclose(in_c[n], plain[n], rtol=1e-5, atol=1e-6)
    assert not torch.equal(in_c[0], start[0])


STEP = dict(clip=1.0, rate=1.0, correct1=10.0, correct2=100.0, beta1=0.9, beta2=0.99, eps=1e-9, damping=1e-4, decay=0.9)


def balanced_step(gradient, squares):
    """The step that a fresh optimiser takes where the gradient is `gradient` and its mean square `squares`."""
    w, average = torch.zeros_like(gradient), torch.zeros_like(gradient)
    m, v = torch.zeros_like(gradient), 0.01 * (squares - gradient**2).clamp_min(0) / 0.99
    fast.balanced(w, gradient, m, v, average, **STEP)
    return -w


@pytest.mark.parametrize("in_c", [True, False])
def test_balanced_steps_have_adams_length_and_spare_the_sharp_weights(monkeypatch, in_c):
    if in_c and fast.LIBRARY is None:
        pytest.skip("no C compiler")
    monkeypatch.setattr(fast, "LIBRARY", fast.LIBRARY if in_c else None)
    m, v = torch.tensor([[1.0, 1.0]]), torch.tensor([[1.0, 100.0]])
    step, adam = balanced_step(m, v), m / v.sqrt()
    assert torch.allclose(step.norm(), adam.norm(), rtol=1e-6)
    # A hundred times the curvature: a tenth of the step for Adam, about a hundredth here.
    assert adam[0, 0] / adam[0, 1] == 10
    assert 95 < step[0, 0] / step[0, 1] < 100
    assert not balanced_step(torch.zeros(2, 2), torch.zeros(2, 2)).any()


@pytest.mark.skipif(fast.LIBRARY is None, reason="no C compiler")
def test_balanced_in_c_is_balanced_in_any_layout(monkeypatch):
    torch.manual_seed(0)
    last = torch.channels_last
    start = [torch.rand(6, 5, 3, 3).to(memory_format=last) for _ in range(5)]
    start[1] = start[1].contiguous()  # a gradient may come in another layout
    in_c, plain = ([t.clone() for t in start] for _ in range(2))
    fast.balanced(*in_c, **STEP)
    monkeypatch.setattr(fast, "LIBRARY", None)
    fast.balanced(*plain, **STEP)
    for n in (0, 2, 3, 4):
        assert torch.allclose(in_c[n], plain[n], rtol=1e-4, atol=1e-6)


@pytest.mark.skipif(fast.LIBRARY is None, reason="no C compiler")
@pytest.mark.parametrize("hidden, shape", [(4, (2, 1, 10, 16)), (8, (3, 1, 6, 48)), (32, (1, 1, 5, 16))])
def test_lifting_nets_in_c_are_lifting_nets(monkeypatch, hidden, shape):
    torch.manual_seed(0)
    net = LiftNet(hidden)
    torch.nn.init.normal_(net.conv3.weight)
    x, grad = torch.randn(shape, requires_grad=True), torch.randn(shape)

    def results():
        x.grad = None
        net.zero_grad()
        y = net(x)
        y.backward(grad)
        return [y.detach(), x.grad.clone(), *(p.grad.clone() for p in net.parameters())]

    assert fast.lifts(x, hidden)
    in_c = results()
    monkeypatch.setattr(fast, "LIBRARY", None)
    for ours, theirs in zip(in_c, results()):
        assert torch.allclose(ours, theirs, rtol=1e-3, atol=1e-4 * float(theirs.abs().max()))


@pytest.mark.skipif(fast.LIBRARY is None, reason="no C compiler")
def test_frozen_lifting_nets_pass_the_gradient_on():
    torch.manual_seed(0)
    net = LiftNet(8)
    torch.nn.init.normal_(net.conv3.weight)
    x, found = torch.randn(2, 1, 6, 32, requires_grad=True), []
    for learns in (True, False):
        x.grad = None
        net.requires_grad_(learns)(x).square().sum().backward()
        found.append(x.grad.clone())
    assert torch.equal(*found)


def test_frozen_groups_stay_as_they_are(images, tmp_path):
    run = trainer(images, tmp_path, "--freeze", "lift,g_a")
    before = {k: v.detach().clone() for k, v in run.model.named_parameters()}
    run.step()
    run.step()
    for name, value in run.model.named_parameters():
        frozen = run.optimiser.group[name] in ("lift", "g_a", "branch")
        assert value.grad is None and (not frozen or torch.equal(value, before[name])), name
    assert any(not torch.equal(v, before[k]) for k, v in run.model.named_parameters() if run.optimiser.group[k] == "g_s")


def test_shards_add_up_to_the_whole_batch():
    torch.manual_seed(0)
    model = torch.nn.Conv2d(3, 2, 3)
    unused = torch.nn.Parameter(torch.zeros(3))
    model.register_parameter("unused", unused)
    x, q = torch.rand(4, 3, 8, 8), torch.arange(4.0)

    def objective(one, rate):
        each = (model(one).flatten(1).mean(1) - rate).pow(2)
        return {"loss": each.mean(), "each": each}

    found = []
    for count in (1, 2):
        model.zero_grad(set_to_none=True)
        shards = Shards(model, objective, count)
        result = shards.run(x, q, [1, 2])
        found.append((result, [p.grad for p in (model.weight, model.bias)]))
        assert unused.grad is None
    (one, alone), (two, together) = found
    assert torch.allclose(one["each"], two["each"]) and torch.allclose(one["loss"], two["loss"])
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(alone, together))


def test_a_failure_in_another_shard_fails_the_step_and_leaves_the_next_one_whole():
    model = torch.nn.Conv2d(1, 1, 1)

    def objective(one, rate):
        if rate.sum() > 5:
            raise ValueError("too much")
        return {"loss": model(one).mean()}

    shards = Shards(model, objective, 2)
    with pytest.raises(ValueError, match="too much"):
        shards.run(torch.ones(2, 1, 1, 1), torch.tensor([1.0, 9.0]), [1, 2])
    model.zero_grad(set_to_none=True)
    shards.run(torch.ones(2, 1, 1, 1), torch.zeros(2), [1, 2])
    assert torch.allclose(model.weight.grad, torch.ones(1, 1, 1, 1))


def test_marks_paint_a_crop_in_part_or_whole():
    rng = np.random.default_rng(3)
    shares = []
    for _ in range(60):
        crop = np.full((64, 64, 3), 101, np.uint8)
        mark(crop, rng)
        shares.append(float((crop != 101).any(2).mean()))
    assert max(shares) == 1 and 0.1 < np.mean(shares) < 0.9
    assert sum(0.05 < share < 0.95 for share in shares) > 10


def test_a_runaway_sample_weighs_little():
    mse = torch.tensor([0.001, RUNAWAY, 1e6], requires_grad=True)
    tamed(mse).sum().backward()
    assert torch.allclose(tamed(mse)[:2], mse[:2]) and tamed(mse)[2] < 0.25
    assert torch.allclose(mse.grad, torch.tensor([1.0, 1.0, RUNAWAY / 1e6]))


def test_the_outermost_rings_weigh_more():
    error = torch.rand(2, 3, 16, 32)
    assert torch.equal(Border().mean(error), error.flatten(1).mean(1))
    border = Border(weight=3.0, rings=2)
    assert torch.allclose(border.mean(torch.full((1, 3, 16, 32), 0.25)), torch.tensor([0.25]))
    ring = torch.ones(16, 32, dtype=torch.bool)
    ring[2:-2, 2:-2] = False
    expected = (3 * error[:, :, ring].sum((1, 2)) + error[:, :, ~ring].sum((1, 2))) / (3 * (3 * ring.sum() + (~ring).sum()))
    assert torch.allclose(border.mean(error), expected)


def test_a_border_weight_moves_the_loss_and_not_what_is_logged(images, tmp_path):
    found = [trainer(images, tmp_path, "--border-weight", str(weight)).step() for weight in (1, 1, 8)]
    assert float(found[0]["loss"]) == float(found[1]["loss"]) != float(found[2]["loss"])
    assert float(found[0]["mse"]) == float(found[2]["mse"])


def test_a_run_gives_up_when_no_gradient_is_finite(images, tmp_path):
    run = trainer(images, tmp_path)
    with torch.no_grad():
        run.model.log_gain.fill_(float("nan"))
    with pytest.raises(ArithmeticError, match="20 batches in a row"):
        for _ in range(30):
            run.step()
    assert run.counts["skipped"] == 20


def test_growing_keeps_what_the_network_knew(images):
    torch.manual_seed(0)
    config = replace(PRESETS["nano"], deep=32, M=128, slices=2)
    old = Cleric(config)
    initialise(old)
    start_linear(old, images, crops=12)
    for p in old.parameters():  # away from zeros that would hide a channel in the wrong place
        p.data.add_(0.01 * torch.randn_like(p))
    new = grow(old.eval(), images, steps=0, crops=12).eval()
    assert (new.config.M, new.config.slices, new.config.d) == (192, 3, config.d)
    places = [*range(64), *range(128, 192)]
    x, q = images.validation(128), torch.tensor([3.0, 5.5])
    with torch.no_grad():
        y, before = new.g_a(x[:1]), old.g_a(x[:1])
        assert torch.allclose(y[:, places], before, atol=1e-5)
        assert y[:, 64:128].std() > 0.001  # the new ones do say something
        assert (new.g_s(y) - old.g_s(before)).abs().mean() < 1e-4
        for ours, theirs in zip(new.gains(q), old.gains(q)):
            assert torch.equal(ours[:, places], theirs)
        assert torch.allclose(new.h_a(y), old.h_a(before), atol=1e-5)
        hyper = [*places, *(192 + n for n in places)]
        z = torch.round(3 * torch.randn(1, config.Z, 2, 2))
        assert torch.allclose(new.h_s(z)[:, hyper], old.h_s(z), atol=1e-5)

        seen = {}
        given = torch.randn(1, 256, 8, 8)
        wide = torch.randn(1, 384, 8, 8)
        wide[:, hyper] = given
        latents = torch.randn(1, 192, 8, 8)
        for name, one, means, values in (("new", new, wide, latents), ("old", old, given, latents[:, places])):
            seen[name] = {}
            one.mem(values, means, False, seen[name].__setitem__)
    for name in ("params_a.0", "params_n.0", "y_hat.0"):
        assert torch.allclose(seen["new"][name], seen["old"][name], atol=1e-4), name


def test_growing_wants_an_even_number_of_slices():
    with pytest.raises(ValueError, match="even number of slices but received 3"):
        grown(replace(PRESETS["nano"], M=48, slices=3))
