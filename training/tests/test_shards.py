"""A batch in several processes."""
import numpy as np
import pytest
import torch
from closeness import gap

from cleric_training.train.shards import Shards
from cleric_training.train.stage import computes_in
from cleric_training.train.trainer import Trainer, parse


class Distance:
    """An objective of its own for every sample, which some refuse; other processes can be given it."""

    def __init__(self, model):
        self.model = model

    def __call__(self, one, rate):
        if rate.max() > 50:
            raise ValueError("too much")
        each = (self.model(one).flatten(1).mean(1) - rate).pow(2)
        return {"loss": each.mean(), "each": each}


@pytest.fixture(scope="module")
def shards():
    """Two processes, the second made after autograd has run in the first."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Conv2d(4, 2, 3)).to(memory_format=torch.channels_last)
    model.register_parameter("unused", torch.nn.Parameter(torch.zeros(3)))
    model[0].bias.requires_grad_(False)
    Distance(model)(torch.rand(4, 3, 8, 8), torch.zeros(4))["loss"].backward()
    made = Shards(model, Distance(model), 2)
    yield model, made
    made.close()
    assert [worker.exitcode for worker in made.workers] == [0]


@pytest.mark.parametrize("batch", [4, 3, 1])
def test_shards_add_up_to_the_whole_batch(shards, batch):
    model, two = shards
    x, q = torch.rand(batch, 3, 8, 8), torch.arange(float(batch))
    found = []
    for processes in (Shards(model, two.objective, 1), two):
        model.zero_grad(set_to_none=True)
        result = processes.run(x, q, [1, 2])
        assert model.unused.grad is None and model[0].bias.grad is None
        found.append([result["loss"], result["each"], model[0].weight.grad, model[1].weight.grad, model[1].bias.grad])
    for alone, together in zip(*found):
        assert gap(together, alone) < 1e-6


def test_shards_see_what_the_first_process_has_learnt(shards):
    model, two = shards
    x, q = torch.rand(2, 3, 8, 8), torch.zeros(2)
    before = two.run(x, q, [1, 2])["each"]
    with torch.no_grad():
        model[1].bias.add_(1)
    after = two.run(x, q, [1, 2])["each"]
    assert gap(after, Distance(model)(x, q)["each"].detach()) < 1e-6 and gap(after, before) > 0.1


def test_a_failure_in_another_shard_fails_the_step_and_leaves_the_next_one_whole(shards):
    model, two = shards
    x = torch.ones(2, 3, 8, 8)
    with pytest.raises(ValueError, match="too much"):
        two.run(x, torch.tensor([1.0, 99.0]), [1, 2])
    with pytest.raises(ValueError, match="too much"):
        two.run(x, torch.tensor([99.0, 1.0]), [1, 2])
    model.zero_grad(set_to_none=True)
    expected = Distance(model)(x, torch.zeros(2))["loss"]
    assert gap(two.run(x, torch.zeros(2), [1, 2])["loss"], expected.detach()) < 1e-6


def test_a_shard_that_dies_says_so():
    model = torch.nn.Conv2d(1, 1, 1)
    two = Shards(model, Distance(model), 2)
    two.workers[0].kill()
    with pytest.raises(RuntimeError, match="Expected an answer from process [0-9]+ but it ended with -9"):
        two.run(torch.ones(2, 1, 1, 1), torch.zeros(2), [1, 2])


@pytest.mark.parametrize("float32", [True, pytest.param(False, marks=pytest.mark.skipif(not computes_in(torch.bfloat16), reason="no bfloat16"))])
def test_a_run_trains_in_two_processes(images, tmp_path, float32):
    run = Trainer(parse(["--preset", "nano", "--folder", str(tmp_path), "--batch", "2", "--crop", "64", "--start", "random",
                         "--shards", "2", *(["--precision", "float32"] if float32 else [])]), images)
    before = {k: v.detach().clone() for k, v in run.model.named_parameters()}
    assert np.isfinite(float(run.step()["loss"])) and run.counts["skipped"] == 0
    run.shards.close()
    assert all(not torch.equal(v, before[k]) for k, v in run.model.named_parameters() if k.startswith("g_s.net.0"))
