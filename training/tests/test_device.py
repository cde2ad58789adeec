"""Steps on the device, which here is the processor: the same as by processes; and what carries a run to a GPU and back."""
import copy
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from closeness import gap
from PIL import Image

from cleric_training.files import checkpoint
from cleric_training.files.lean import halved
from cleric_training.files.parts import PartsError, cut, join
from cleric_training.network.config import PRESETS
from cleric_training.network.model import Cleric
from cleric_training.pack import PackError, pack, verify
from cleric_training.train import crops as crops_module
from cleric_training.train import ways as ways_module
from cleric_training.train.crops import MARK, NUMBERS, PLACE, DeviceCrops
from cleric_training.train.data import MARKED, REDUCTIONS, SHARES, Images, decode_all, mark
from cleric_training.train.flat_optimiser import FlatOptimiser
from cleric_training.train.optimise import Optimiser
from cleric_training.train.trainer import Trainer, parse
from cleric_training.train.ways import Way

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sources")
    random = np.random.default_rng(0)
    for n in range(8):
        coarse = random.integers(90, 250, (20, 30, 3), dtype=np.uint8)
        size = (600, 520) if n % 2 else (320, 288)  # halved once, or not at all
        Image.fromarray(coarse).resize(size, Image.BICUBIC).save(folder / f"set-{n:03d}.webp", lossless=True)
    return folder


@pytest.fixture(scope="module")
def images(sources, tmp_path_factory):
    target = tmp_path_factory.mktemp("decoded")
    decode_all(sources, target)
    return Images(target)


def trainer(images, folder, *more):
    return Trainer(parse(["--preset", "nano", "--folder", str(folder), "--batch", "2", "--crop", "64", "--shards", "1", "--device", "cpu",
                          "--start", "random", *more]), images)


def on_device(images, folder, *more):
    run = trainer(images, folder, "--engine", "device", "--way", "plain", "--precision", "float32", *more)
    return run, run.start_on_device(lambda entry: None)


def test_a_step_on_the_device_is_a_step_by_processes(images, tmp_path, monkeypatch):
    by_processes = trainer(images, tmp_path, "--precision", "float32")
    run, device = on_device(images, tmp_path)
    before = device.flat.w.clone()
    start = {name: average.clone() for name, average in by_processes.optimiser.average.items()}
    draws = [(images.batch(np.random.default_rng(n), 2, 64), torch.tensor([0.5, 6.0]), 17 + n) for n in range(3)]
    for n, (x, q, seed) in enumerate(draws):
        # Where the trainer by processes draws its batch, and its noise's seed.
        monkeypatch.setattr(by_processes, "images", SimpleNamespace(batch=lambda *_, x=x: x))
        monkeypatch.setattr(by_processes, "rng", SimpleNamespace(uniform=lambda *_, q=q: q.numpy(), integers=lambda *_, seed=seed, **__: [seed]))
        by_processes.counts["stage_seconds"] = 100.0 * n
        expected = by_processes.step()
        device.step_of.draw = lambda x=x, q=q: (x.contiguous(memory_format=torch.channels_last), q)
        torch.manual_seed(seed)
        device.step(n, 100.0 * n / run.args.budget)
        assert float(device.step_of.sums[0]) == pytest.approx(float(expected["loss"]), rel=1e-4)
        device.step_of.sums.zero_()
    moved = torch.cat([(p.detach() - q.as_strided(p.shape, p.stride())).flatten()
                       for p, q in zip(run.model.parameters(), before.split(device.flat.parts))])
    apart = torch.cat([(p - q).detach().flatten() for p, q in zip(run.model.parameters(), by_processes.model.parameters())])
    # Adam magnifies roundings where a gradient is next to nothing: the moves are compared as a whole.
    assert moved.norm() > 0 and apart.norm() < 0.02 * moved.norm()
    averages, expected = run.optimiser.average, by_processes.optimiser.average
    apart = torch.cat([(averages[name] - average).flatten() for name, average in expected.items()])
    moved = torch.cat([(average - start[name]).flatten() for name, average in expected.items()])
    assert moved.norm() > 0 and apart.norm() < 0.02 * moved.norm()
    device.flat.report()
    assert run.optimiser.count == by_processes.optimiser.count == 3


def test_a_flat_update_is_an_update_and_skips_what_is_not_finite():
    torch.manual_seed(0)
    one = Cleric(PRESETS["nano"]).to(memory_format=torch.channels_last)
    other = copy.deepcopy(one)
    plain, taken = Optimiser(one, 1e-3), Optimiser(other, 1e-3)
    flat = FlatOptimiser(taken)
    with ThreadPoolExecutor(1) as pool:
        for step in range(4):
            for (name, p), q in zip(one.named_parameters(), other.parameters()):
                gradient = 0.1 * torch.randn_like(p)
                if step == 2 and name.endswith("log_gain"):
                    gradient[0, 0] = float("nan")
                p.grad = gradient
                q.grad.copy_(gradient)
            before = flat.w.clone()
            norms = plain.step(step, step / 10, pool)
            flat.progress.copy_(torch.tensor([step, step / 10]))
            flat.step()
            assert torch.equal(flat.w, before) == (norms is None) == (step == 2)
    assert float(flat.skipped) == 1
    flat.report()
    assert taken.count == plain.count == 3
    # Three steps may cancel: each is of about the rate, and moves the mean of gradients by a tenth of them.
    steps, gradients = 3e-3, 0.01
    for name, p in plain.parameters.items():
        assert gap(taken.parameters[name], p, beside=steps) < 1e-5
        for mine, its, beside in ((taken.m, plain.m, gradients), (taken.v, plain.v, 0), (taken.average, plain.average, steps)):
            assert gap(mine[name], its[name], beside) < 1e-5


def numbers(count, **fixed):
    """Random numbers of crops, some of which are given."""
    u = torch.rand(count, NUMBERS)
    for at, value in fixed.items():
        u[:, int(at[1:])] = value
    return u


def test_crops_are_pixels_of_the_planes_in_all_eight_symmetries(images):
    torch.manual_seed(1)
    crops = DeviceCrops(images, CPU)
    plane = next(p for group in images.train for p in group)
    whole = images.pixels(plane)
    u = numbers(64, n0=0.0, n1=0.4, n2=0.3)
    found = (crops.crops(u, torch.rand(2, 64, 16, 16), 64, 0.0) * 255).round().byte().permute(0, 2, 3, 1).numpy()
    top, left = int(np.float32(0.4) * (plane.height - 63)), int(np.float32(0.3) * (plane.width - 63))
    piece = whole[top:top + 64, left:left + 64]
    symmetries = [np.rot90(side, turn).tobytes() for side in (piece, piece[:, ::-1]) for turn in range(4)]
    assert {one.tobytes() for one in found} == set(symmetries) and len(set(symmetries)) == 8


def test_crops_reach_the_edges_of_a_plane_and_no_further(images):
    crops = DeviceCrops(images, CPU)
    plane = images.train[0][0]
    almost = 1 - 2**-24
    u = numbers(1, n0=0.0, n1=almost, n2=almost, n3=0.0, n4=0.9)
    found = (crops.crops(u, torch.rand(2, 1, 16, 16), 64, 0.0)[0] * 255).round().byte().permute(1, 2, 0).numpy()
    assert np.array_equal(found, images.pixels(plane)[-64:, -64:])
    with pytest.raises(ValueError, match="of at most 260 for crop but received 288"):
        crops.batch(1, 288)


def test_chances_of_planes_are_those_of_a_batch(images):
    crops = DeviceCrops(images, CPU)
    expected = []
    for group, share, chances in zip(images.train, SHARES, images.chances):
        expected += [share * chance for chance in chances]
    lost = sum(share for group, share in zip(images.train, SHARES) if not group)
    assert lost == SHARES[2]  # no image is large enough to be reduced by four
    first = len(images.train[0])
    expected[:first] = [value * (SHARES[0] + lost) / SHARES[0] for value in expected[:first]]
    steps = np.diff(crops.until.numpy(), prepend=0)
    assert np.allclose(steps, expected, atol=1e-6) and abs(sum(expected) - 1) < 1e-9
    assert REDUCTIONS[0] == 1


@pytest.mark.parametrize("kind", ["whole", "half", "box", "chequered"])
def test_a_mark_is_what_data_paints(kind):
    """`data.mark` asks a generator; this one answers with the device's numbers, in the order in which it asks."""
    torch.manual_seed(2)
    u, cells = torch.rand(6, MARK), torch.rand(6, 16, 16)
    u[:, 4] = {"whole": 0.1, "half": 0.45, "box": 0.7, "chequered": 0.9}[kind]
    u[0, 3], u[1, 3] = 0.1, 0.9  # a vivid colour, any colour
    where, colour = crops_module._mark(u, cells, 64)
    for n in range(len(u)):
        v = u[n].double().numpy()
        answers = iter([("integers", 1),
                        ("random", v[3]), ("integers", np.floor(v[0:3] * (2 if v[3] < 0.6 else 256)).astype(int)), ("random", v[4]),
                        *{"whole": [], "half": [("uniform", v[5] * 2 * np.pi), ("uniform", v[6] * 0.8 - 0.4)],
                          "box": [("uniform", v[7] * 0.8), ("uniform", v[8] * 0.8), ("uniform", 0.05 + 0.75 * v[9:11])],
                          "chequered": [("integers", 2 + int(v[11] * 4)), ("random", cells[n].numpy())]}[kind]])

        def answer(name, answers=answers):
            def ask(*args):
                asked, value = next(answers)
                assert asked == name
                if name == "random" and args:
                    grid = np.ones(args[0])
                    side = min(args[0][0], 16)
                    grid[:side, :side] = value[:side, :side]
                    return grid
                return value
            return ask

        painted = np.full((64, 64, 3), 7, np.uint8)
        mark(painted, SimpleNamespace(**{name: answer(name) for name in ("integers", "random", "uniform")}))
        mine = torch.where(where[n, ..., None], colour[n], torch.full((), 7.0)).byte().numpy()
        assert next(answers, None) is None
        assert (mine != painted).any(-1).mean() <= 1 / 64  # a line where float32 and float64 round apart
        assert (painted != 7).any()


def test_so_many_crops_are_marked_as_were(images):
    torch.manual_seed(3)
    crops, u = DeviceCrops(images, CPU), numbers(4000)
    marked = u[:, 5] < MARKED
    assert 0.5 * MARKED < float(marked.float().mean()) < 1.5 * MARKED
    u = u[:40]
    u[:20, 5], u[20:, 5] = 0.0, 1.0
    cells = torch.rand(2, 40, 16, 16)
    changed = (crops.crops(u, cells, 64, MARKED) != crops.crops(u, cells, 64, 0.0)).flatten(1).any(1)
    assert changed[:20].float().mean() > 0.7 and not changed[20:].any()
    assert PLACE + 2 * MARK == NUMBERS


def test_a_way_whose_step_differs_is_refused(images, tmp_path, monkeypatch):
    run, device = on_device(images, tmp_path)
    step, log, before = device.step_of, [], device.flat.w.clone()
    monkeypatch.setattr(ways_module, "TRIAL", 3)
    take = step.take

    def wrong(way):
        take(way)
        if way.sampler == "grid":
            objective = step.objective
            step.run = lambda: step._step(lambda x, q: {**objective(x, q), "loss": -objective(x, q)["loss"]})

    monkeypatch.setattr(step, "take", wrong)
    assert step.choose(log.append, 1, compiling=False) == Way.plain(CPU)
    assert [entry.get("failed") for entry in log if "tried" in entry] == [None, "it does not do what the plain way does"]
    assert torch.equal(device.flat.w, before) and not step.sums.any() and int(device.flat.count) == 0

    def broken(way):
        if way.sampler == "grid":
            raise RuntimeError("no such kernel")
        take(way)

    log.clear()
    monkeypatch.setattr(step, "take", broken)
    assert step.choose(log.append, 1, compiling=False) == Way.plain(CPU)
    assert [entry.get("failed") for entry in log if "tried" in entry] == [None, "RuntimeError: no such kernel"]
    log.clear()
    monkeypatch.setattr(step, "take", take)
    step.choose(log.append, 1, compiling=False)
    assert [entry.get("failed") for entry in log] == [None, None, None]  # both agree, and one is chosen


def test_others_are_tried_only_where_the_likely_way_fails(images, tmp_path, monkeypatch):
    step, log = on_device(images, tmp_path)[1].step_of, []
    monkeypatch.setattr(ways_module, "TRIAL", 2)
    for likely, tried in ((Way("grid", narrow=True), ["loops", "grid+narrow"]), (Way("triton", recorded=True), ["loops", "triton+recorded", "grid"])):
        log.clear()
        monkeypatch.setattr(step, "likely", lambda likely=likely: likely)
        step.choose(log.append, 1, compiling=False)
        assert [entry["tried"] for entry in log if "tried" in entry] == tried


def test_a_run_on_the_device_resumes_and_ends_without_finite_gradients(images, tmp_path, monkeypatch):
    few = 3
    monkeypatch.setattr("cleric_training.train.on_device.EVERY", few)
    monkeypatch.setattr("cleric_training.train.on_device.SECONDS", 1e9)
    monkeypatch.setattr("cleric_training.train.trainer.PATIENCE", few)
    run, device = on_device(images, tmp_path)
    for n in range(few):
        found = run.step_on_device(device)
        assert (found is None) == (n < few - 1)
    assert np.isfinite(found["loss"]) and found["pixels_per_s"] > 0 and "share_of_peak" not in found
    place = device.flat.w.data_ptr()
    with run._averaged():
        assert torch.equal(device.flat.w, device.flat.average)
    assert not torch.equal(device.flat.w, device.flat.average) and device.flat.w.data_ptr() == place
    run.save()
    other, its = on_device(images, tmp_path, "--resume")
    assert other.counts == run.counts and other.optimiser.count == float(its.flat.count) == few
    for mine, theirs in ((device.flat.w, its.flat.w), (device.flat.m, its.flat.m), (device.flat.v, its.flat.v), (device.flat.average, its.flat.average)):
        assert torch.equal(mine, theirs)
    with torch.no_grad():
        its.flat.w.fill_(float("nan"))
    with pytest.raises(ArithmeticError, match=f"received {few} batches of {few} without"):
        for _ in range(few):
            other.step_on_device(its)


def test_a_lean_checkpoint_has_the_weights_to_sixteen_bits(images, tmp_path):
    run = trainer(images, tmp_path, "--lean-every", "100", "--parts", "100000", "--parts-folder", str(tmp_path / "parts"))
    run.step()
    run.save()
    run.save_lean()
    joined = tmp_path / "joined" / "nano.pt"
    joined.parent.mkdir()
    join(tmp_path / "parts" / "nano.lean.pt.parts", joined)
    assert joined.read_bytes() == (tmp_path / "nano.lean.pt").read_bytes()
    assert max(path.stat().st_size for path in (tmp_path / "parts").iterdir()) <= 100000
    assert joined.stat().st_size < 0.2 * (tmp_path / "nano.pt").stat().st_size
    state = checkpoint.load(joined)
    assert state["counts"] == run.counts and state["config"] == run.config.to_json() and "model" not in state
    for name, value in run.optimiser.average.items():
        assert state["ema"][name].dtype == torch.float32
        assert float((state["ema"][name] - value).norm()) <= 2**-10 * float(value.norm())
    checkpoint.model_of(joined)
    with pytest.raises(ValueError, match="averaged ones only"):
        checkpoint.model_of(joined, last=True)
    with pytest.raises(SystemExit, match="Expected --restart-schedule"):
        trainer(images, joined.parent, "--resume")
    again = trainer(images, joined.parent, "--resume", "--restart-schedule")
    assert again.counts["step"] == 1 and again.counts["stage_step"] == 0
    again.step()


def test_what_sixteen_bits_would_spoil_stays_as_it_is():
    for kept in (torch.tensor([1e6, 1.0]), torch.tensor([1e-9, 2e-9]), torch.tensor([float("nan"), 1.0])):
        assert halved(kept).dtype == torch.float32 and torch.equal(halved(kept).isnan(), kept.isnan())
    assert halved(torch.tensor([0.1, -3.0])).dtype == torch.float16
    assert halved(torch.zeros(3)).dtype == torch.float16


def test_parts_join_to_the_same_bytes_and_name_what_is_missing(tmp_path):
    whole = tmp_path / "whole"
    whole.write_bytes(np.random.default_rng(0).bytes(2500))
    parts = cut(whole, 1000)
    assert [part.stat().st_size for part in parts[:-1]] == [1000, 1000, 500] and parts[-1].name == "whole.parts"
    join(parts[-1], tmp_path / "joined")
    assert (tmp_path / "joined").read_bytes() == whole.read_bytes()
    assert len(cut(whole, 2000)) == 3 and not (tmp_path / "whole.002").exists()
    changed = bytearray((tmp_path / "whole.001").read_bytes())
    changed[3] ^= 1
    (tmp_path / "whole.001").write_bytes(changed)
    with pytest.raises(PartsError, match="sha256"):
        join(tmp_path / "whole.parts", tmp_path / "joined")
    (tmp_path / "whole.001").unlink()
    with pytest.raises(PartsError, match="are not there: whole.001"):
        join(tmp_path / "whole.parts", tmp_path / "joined")
    with pytest.raises(ValueError, match="positive"):
        cut(whole, 0)


def test_packed_files_keep_to_their_sizes_and_hold_out_the_same(sources, images, tmp_path):
    largest = max(path.stat().st_size for path in sources.glob("*.webp"))
    size, total = 2 * largest + 20480, 4 * largest + 40960
    packed = pack(sources, tmp_path / "some", size, total, seed=3)
    assert len(packed) > 1 and all(path.stat().st_size <= size for path in packed)
    assert sum(path.stat().st_size for path in packed) <= total
    count = verify(tmp_path / "some")
    assert 1 < count < 8
    decode_all(tmp_path / "some", tmp_path / "decoded")
    some = Images(tmp_path / "decoded")
    assert {p.name for p in some.held} == {p.name for p in images.held} and some.held
    for plane in some.held + [p for group in some.train for p in group]:
        same = next(p for p in [*images.held, *(q for group in images.train for q in group)]
                    if (p.name, p.reduction) == (plane.name, plane.reduction))
        assert np.array_equal(some.pixels(plane), images.pixels(same))
    everything = pack(sources, tmp_path / "all", size)
    assert verify(tmp_path / "all") == 8 and {path.name for path in packed} <= {path.name for path in everything}
    with pytest.raises(PackError, match="for size"):
        pack(sources, tmp_path / "none", 10240)
    about = json.loads((tmp_path / "some" / "packed.json").read_text())
    assert set(about) == {path.name for path in packed}
    shutil.copy(packed[0], packed[1])
    with pytest.raises(PackError, match=f"sha256 .* for {packed[1].name}"):
        verify(tmp_path / "some")
    packed[1].unlink()
    with pytest.raises(PackError, match=f"Expected {packed[1].name}"):
        verify(tmp_path / "some")
