"""Steps in half precision on a device: weights cast at once, scaled gradients; and crops that grow towards the end."""
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from closeness import gap
from PIL import Image

from cleric_training.network.attention import unfold_views
from cleric_training.network.config import PRESETS
from cleric_training.network.model import Cleric
from cleric_training.train.crops import DeviceCrops
from cleric_training.train.data import Images, decode_all, drawn_image
from cleric_training.train.flat_optimiser import FIRST_SCALE, MOST_SCALE, CALM_STEPS, FlatOptimiser
from cleric_training.train.narrow import NarrowWeights
from cleric_training.train.objective import Border
from cleric_training.train.optimise import Optimiser
from cleric_training.train.stage import Stage, computes_in
from cleric_training.train.trainer import Trainer, parse

HALVES = [pytest.param(precision, marks=pytest.mark.skipif(not computes_in(precision), reason=f"no {precision}"))
          for precision in (torch.bfloat16, torch.float16)]
FROZEN = frozenset({"lift"})


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder, target = tmp_path_factory.mktemp("sources"), tmp_path_factory.mktemp("decoded")
    random = np.random.default_rng(0)
    for n in range(8):
        side = 320 if n % 2 else 256
        Image.fromarray(random.integers(90, 250, (20, 20, 3), dtype=np.uint8)).resize((side, side)).save(folder / f"set-{n:03d}.webp", lossless=True)
    decode_all(folder, target)
    return Images(target)


@pytest.mark.parametrize("precision", HALVES)
def test_weights_cast_at_once_have_the_gradients_of_those_cast_one_by_one(precision):
    torch.manual_seed(0)
    model = Cleric(PRESETS["nano"]).to(memory_format=torch.channels_last)
    for name, p in model.named_parameters():
        p.requires_grad_(".lift." not in name)
    stage = Stage(model, FROZEN, precision, 0.04, Border())
    flat = FlatOptimiser(Optimiser(model, 1e-3, FROZEN), scaled=True)
    x, q = torch.cat([drawn_image(seed, 64, 64) for seed in (1, 2)]).contiguous(memory_format=torch.channels_last), torch.tensor([1.0, 6.0])
    torch.manual_seed(1)
    loss = stage(x, q)["loss"]
    flat.zero_grad()
    (loss * flat.scale).backward()
    expected = flat.g.clone()
    narrow = NarrowWeights(model, stage, flat, precision)
    flat.g.fill_(float("nan"))  # all of it is written
    torch.manual_seed(1)
    mine = narrow(x, q)["loss"]
    narrow.backward(mine * flat.scale)
    assert float(mine) == pytest.approx(float(loss), rel=1e-3)
    assert float((flat.g - expected).norm() / expected.norm()) < 0.05
    # The next call has the weights of then.
    with torch.no_grad():
        flat.w.mul_(0.5)
        found = []
        for objective in (narrow, stage):
            torch.manual_seed(1)
            found.append(float(objective(x, q)["loss"]))
    assert found[0] == pytest.approx(found[1], rel=1e-3) and abs(found[0] / float(loss) - 1) > 0.01


def test_the_scale_halves_where_gradients_overflow_and_doubles_after_calm():
    model = Cleric(PRESETS["nano"])
    flat = FlatOptimiser(Optimiser(model, 1e-3), scaled=True)
    assert float(flat.scale) == FIRST_SCALE
    plain = FlatOptimiser(Optimiser(Cleric(PRESETS["nano"]), 1e-3))
    plain.w.copy_(flat.w)
    gradient = torch.randn_like(flat.g)
    for one in (flat, plain):
        one.g.copy_(gradient * one.scale)
        one.progress.copy_(torch.tensor([200.0, 0.0]))
        one.step()
    assert gap(flat.w, plain.w) < 1e-6 and gap(flat.norms, plain.norms) < 1e-5  # a scaled step is a step
    before = flat.w.clone()
    flat.g[5] = float("inf")
    flat.step()
    assert float(flat.scale) == FIRST_SCALE / 2 and torch.equal(flat.w, before) and float(flat.skipped) == 1
    flat.calm.fill_(CALM_STEPS - 1)
    flat.g.copy_(gradient)
    flat.step()
    assert float(flat.scale) == FIRST_SCALE and float(flat.calm) == 0
    flat.scale.fill_(MOST_SCALE)
    flat.calm.fill_(CALM_STEPS - 1)
    flat.step()
    assert float(flat.scale) == MOST_SCALE
    assert float(plain.scale) == 1


def test_windows_by_views_are_those_of_unfold():
    x = torch.randn(2, 3, 11, 15, requires_grad=True)
    weight = torch.randn(2, 75, 4 * 6)
    found = []
    for unfold in (F.unfold, unfold_views):
        windows = unfold(x, 5, stride=2)
        (gradient,) = torch.autograd.grad((windows * weight).sum(), x)
        found.append((windows, gradient))
    assert torch.equal(found[0][0], found[1][0]) and gap(found[1][1], found[0][1]) < 1e-6


def test_large_crops_come_from_the_planes_that_hold_them(images):
    crops = DeviceCrops(images, torch.device("cpu"))
    some = crops.holding(320)
    assert crops.least < 320 == some.least and 0 < len(some.table) < len(crops.table)
    assert {plane.name for plane in some.planes} == {plane.name for plane in crops.planes if min(plane.height, plane.width) >= 320}
    assert some.bytes is crops.bytes and some.batch(2, 320).shape == (2, 3, 320, 320)
    with pytest.raises(ValueError, match="Expected at most 320 for crop but received 352"):
        crops.holding(352)


def trainer(images, folder, *more):
    return Trainer(parse(["--preset", "nano", "--folder", str(folder), "--batch", "8", "--crop", "64", "--device", "cpu", "--engine", "device",
                          "--way", "plain", "--precision", "float32", "--start", "random", "--stage-steps", "4", "--last-share", "0.5", *more]), images)


def test_crops_grow_towards_the_end(images, tmp_path, monkeypatch):
    monkeypatch.setattr("cleric_training.train.on_device.EVERY", 1)
    run = trainer(images, tmp_path, "--last-crop", "128")
    device = run.start_on_device(lambda entry: None)
    sizes, found = [], []
    for _ in range(4):
        sizes.append((device.batch, device.crop))
        found.append(run.step_on_device(device))
    assert sizes == [(8, 64), (8, 64), (2, 128), (2, 128)]
    assert [entry.get("size") for entry in found] == [None, "2 crops of 128", None, None]
    assert run.counts["pixels"] == 4 * 8 * 64**2


def test_a_device_without_room_for_larger_crops_goes_on_with_the_small_ones(images, tmp_path, monkeypatch):
    monkeypatch.setattr("cleric_training.train.on_device.EVERY", 1)
    run = trainer(images, tmp_path, "--last-crop", "4096", "--last-batch", "1")
    device = run.start_on_device(lambda entry: None)
    found = [run.step_on_device(device) for _ in range(4)]
    assert (device.batch, device.crop) == (8, 64)
    assert [entry.get("size", "")[:37] for entry in found] == ["", "no 1 crops of 4096: ValueError: Expec", "", ""]


def test_half_precision_needs_the_device_engine():
    with pytest.raises(SystemExit):
        parse(["--device", "cpu", "--precision", "float16"])
    assert parse(["--device", "cpu"]).precision == "bfloat16"
