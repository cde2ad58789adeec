from dataclasses import replace

import pytest
import torch

from cleric_training.files.settle import centre, mean_error, round_to_bf16
from cleric_training.network.config import PRESETS
from cleric_training.network.model import Cleric
from cleric_training.train.data import drawn_image
from cleric_training.train.initialise import initialise


def model(ls):
    torch.manual_seed(3)
    made = Cleric(replace(PRESETS["nano"], ls=ls))
    initialise(made)
    return made.eval()


@pytest.mark.parametrize("ls", [True, False])
def test_bf16_convs_are_rounded_and_nothing_else(ls):
    before, after = model(ls), model(ls)
    round_to_bf16(after)
    changed = set()
    for name, p in after.named_parameters():
        old = before.get_parameter(name)
        if not torch.equal(p, old):
            assert torch.equal(p, old.to(torch.bfloat16).float()), name
            changed.add(name)
    assert any(name.endswith("conv1.weight") and name.startswith("g_a") for name in changed)
    assert any(name.startswith("g_s") for name in changed)
    lasts = ("g_a.low.5.", "g_a.high.5.", "g_s.net.6.") if ls else ("g_a.net.6.", "g_s.net.7.")
    kept = [name for name in changed if name.startswith(("h_", "mem", "z_prior", "log_", *lasts)) or ".lift." in name or "gdn" in name]
    assert kept == []


@pytest.mark.parametrize("ls", [True, False])
def test_centre_takes_the_mean_error_away(ls):
    made = model(ls)
    images = torch.cat([drawn_image(seed, 64, 64) for seed in range(3)])
    with torch.no_grad():
        made.g_s.net[-1].bias.add_(0.02 * torch.arange(12))
        start = mean_error(made, images).abs().max()
        centre(made, images)
        assert start > 0.01
        assert mean_error(made, images).abs().max() < 1e-4
