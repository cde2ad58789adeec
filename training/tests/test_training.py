"""The trainer: images, the start, resuming, the schedule, the objective, and that a few steps learn."""
import json
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from closeness import gap

from cleric_training.files.checkpoint import model_of
from cleric_training.files.modelfile import load_model
from cleric_training.golden import FIXTURES
from cleric_training.network.blocks import DRBS, R2B
from cleric_training.network.config import PRESETS
from cleric_training.network.model import Cleric
from cleric_training.train import trainer as trainer_module
from cleric_training.train.data import mark, split
from cleric_training.train.klt import start_linear
from cleric_training.train.linearity import Linearity
from cleric_training.train.objective import RUNAWAY, Border, rate_distortion, rate_lambda, tamed
from cleric_training.train.optimise import Optimiser, groups_of
from cleric_training.train.trainer import Trainer, parse


@pytest.fixture(autouse=True)
def quick_start(monkeypatch):
    """The linear start of `nano` needs no more crops than these."""
    monkeypatch.setattr(trainer_module, "start_linear", partial(start_linear, crops=16))


def trainer(images, folder, *more):
    args = parse(["--preset", "nano", "--folder", str(folder), "--batch", "2", "--crop", "64", "--shards", "1",
                  "--precision", "float32", "--start", "random", *more])
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
        assert gap(middle, 0.3 * model.g_a(one) + 0.7 * model.g_a(other)) < 1e-5
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
    run.linearity = Linearity(images, crops=28, side=128, window=16)
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
        apart = torch.cat([(mine[k] - other[k]).flatten() for k in before])
        assert move.norm() > 0 and apart.norm() < 0.02 * move.norm()


def test_resume_keeps_weights_into_a_new_stage(images, tmp_path):
    first = trainer(images, tmp_path, "--no-lift-nets", "--no-deform")
    first.step()
    first.save()
    second = trainer(images, tmp_path, "--resume", "--restart-schedule")
    assert second.counts["stage_step"] == 0 and second.counts["step"] == 1
    x, q = torch.rand(1, 3, 64, 64), torch.tensor([1.0])
    with torch.no_grad():
        a, b = first.model(x, q, noisy=False).x_hat, second.model(x, q, noisy=False).x_hat
    assert gap(b, a) < 1e-5
    assert model_of(tmp_path / "nano.pt")[1]["pixels"] == 2 * 64 * 64


def test_a_run_starts_from_a_model_file(images, tmp_path):
    """Its entropy model, which the file holds in integers, included; and learns from there."""
    file = FIXTURES / "nano.safetensors"
    run = trainer(images, tmp_path, "--init", str(file))
    expected = load_model(file).state_dict()
    for state in (run.model.state_dict(), run.optimiser.average):
        assert all(torch.equal(value, expected[name]) for name, value in state.items())
    assert np.isfinite(float(run.step()["loss"])) and run.counts["skipped"] == 0


def test_a_model_gets_weights_at_the_ends_of_lifting(images, tmp_path):
    """From a file and from a checkpoint, which keeps them from then on."""
    (tmp_path / "plain").mkdir()
    plain = trainer(images, tmp_path / "plain", "--init", str(FIXTURES / "nano.safetensors"))
    run = trainer(images, tmp_path, "--init", str(FIXTURES / "nano.safetensors"), "--ends")
    assert not plain.config.ends and run.config.ends
    x, q = torch.rand(1, 3, 64, 64), torch.tensor([1.0])
    with torch.no_grad():
        assert not torch.equal(run.model(x, q, noisy=False).x_hat, plain.model(x, q, noisy=False).x_hat)
    for folder, one in ((tmp_path / "plain", plain), (tmp_path, run)):
        one.save()
        assert trainer(images, folder, "--resume", "--ends").config.ends
    assert trainer(images, tmp_path / "plain", "--ends").config.ends  # of a fresh run, too
    assert not trainer(images, tmp_path / "plain", "--ends", "--without", "ls").config.ends  # without lifting there are no ends
    assert trainer(images, tmp_path, "--resume").config.ends and not trainer(images, tmp_path / "plain", "--resume").config.ends


def test_training_lowers_the_loss(images, tmp_path):
    run = trainer(images, tmp_path, "--no-lift-nets", "--no-deform", "--lr", "1e-2", "--shares", "g_a=1,g_s=1,gain=1")
    x = images.validation(128)
    q = torch.linspace(0, 7, len(x))

    def loss():
        with torch.no_grad():
            return float(rate_distortion(x, run.model(x, q, noisy=False), rate_lambda(q, 8))["loss"])

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


def test_frozen_groups_stay_as_they_are(images, tmp_path):
    run = trainer(images, tmp_path, "--freeze", "lift,g_a")
    before = {k: v.detach().clone() for k, v in run.model.named_parameters()}
    run.step()
    run.step()
    for name, value in run.model.named_parameters():
        frozen = run.optimiser.group[name] in ("lift", "g_a", "branch")
        assert value.grad is None and (not frozen or torch.equal(value, before[name])), name
    assert any(not torch.equal(v, before[k]) for k, v in run.model.named_parameters() if run.optimiser.group[k] == "g_s")


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


def test_a_machine_without_bfloat16_is_told_to_use_float32(images, tmp_path, monkeypatch):
    monkeypatch.setattr(trainer_module, "computes_in", lambda precision, device: precision == torch.float32)
    trainer(images, tmp_path)
    with pytest.raises(SystemExit, match="train with --precision float32"):
        Trainer(parse(["--preset", "nano", "--folder", str(tmp_path)]), images)


@pytest.fixture
def one_rate(monkeypatch):
    """Preset nano without gains, as preset paper is."""
    assert PRESETS["paper"].levels == 0
    monkeypatch.setitem(PRESETS, "nano", replace(PRESETS["nano"], levels=0))


@pytest.mark.parametrize("stage", [["--start", "linear"], ["--freeze", "g_a,gain,entropy"],
                                   ["--freeze", "g_a,g_s,gain,lift,offset"]])
def test_a_model_of_one_rate_trains(images, tmp_path, one_rate, stage):
    run = trainer(images, tmp_path, "--lambda", "0.02", *stage)
    assert np.isfinite(float(run.step()["loss"])) and run.counts["skipped"] == 0
    assert set(run.validate()) == {"0"}
    run.save()
    again = trainer(images, tmp_path, "--resume", *stage)
    assert again.lmbda == 0.02 and np.isfinite(float(again.step()["loss"]))
    assert trainer(images, tmp_path, "--resume", "--lambda", "0.03").lmbda == 0.03


def test_a_model_of_one_rate_starts_as_one_of_all_at_its_lambda(images):
    x, made = images.validation(128), {}
    for levels in (8, 0):
        torch.manual_seed(0)
        model = made[levels] = Cleric(replace(PRESETS["nano"], levels=levels)).eval()
        start_linear(model, images, crops=12, lmbda=float(rate_lambda(torch.tensor(2.0), 8)))
    with torch.no_grad():
        gain, inverse = made[8].gains(torch.full((len(x),), 2.0))
        y = made[8].g_a(x) * gain
        assert gap(made[0].g_a(x), y) < 1e-4
        assert gap(made[0].g_s(y), made[8].g_s(y * inverse)) < 1e-4


def test_wrong_options_are_refused(images, tmp_path, capsys):
    with pytest.raises(SystemExit, match="Expected a model of one rate for --lambda but received one of 8 levels"):
        trainer(images, tmp_path, "--lambda", "0.02")
    for wrong in ("0", "-1"):
        with pytest.raises(SystemExit):
            parse([f"--shards={wrong}"])
        assert f"Expected a positive number for --shards but received {wrong}" in capsys.readouterr().err
    for wrong in ("0", "-1", "nan", "inf"):
        with pytest.raises(SystemExit):
            parse([f"--lambda={wrong}"])
        assert f"Expected a positive number for --lambda but received {wrong}" in capsys.readouterr().err


def test_a_run_gives_up_when_no_gradient_is_finite(images, tmp_path):
    run = trainer(images, tmp_path)
    with torch.no_grad():
        run.model.log_gain.fill_(float("nan"))
    with pytest.raises(ArithmeticError, match="20 batches in a row"):
        for _ in range(30):
            run.step()
    assert run.counts["skipped"] == 20
