"""A batch in several processes."""
import pytest
import torch
from closeness import gap

from cleric_training.train.shards import Shards


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
    assert gap(two["each"], one["each"]) < 1e-6 and gap(two["loss"], one["loss"]) < 1e-6
    assert all(gap(b, a) < 1e-6 for a, b in zip(alone, together))


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
    assert gap(model.weight.grad, torch.ones(1, 1, 1, 1)) < 1e-6
