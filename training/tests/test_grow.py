"""A trained model with a slice more."""
from dataclasses import replace

import pytest
import torch
from closeness import gap

from cleric_training.grow import grow, grown
from cleric_training.network.config import PRESETS
from cleric_training.network.model import Cleric
from cleric_training.train.initialise import initialise
from cleric_training.train.klt import start_linear


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
        assert gap(y[:, places], before) < 1e-4
        assert y[:, 64:128].std() > 0.001  # the new ones do say something
        assert (new.g_s(y) - old.g_s(before)).abs().mean() < 1e-4 * old.g_s(before).abs().max()
        for ours, theirs in zip(new.gains(q), old.gains(q)):
            assert torch.equal(ours[:, places], theirs)
        assert gap(new.h_a(y), old.h_a(before)) < 1e-4
        hyper = [*places, *(192 + n for n in places)]
        z = torch.round(3 * torch.randn(1, config.Z, 2, 2))
        assert gap(new.h_s(z)[:, hyper], old.h_s(z)) < 1e-5

        seen = {}
        given = torch.randn(1, 256, 8, 8)
        wide = torch.randn(1, 384, 8, 8)
        wide[:, hyper] = given
        latents = torch.randn(1, 192, 8, 8)
        for name, one, means, values in (("new", new, wide, latents), ("old", old, given, latents[:, places])):
            seen[name] = {}
            one.mem(values, means, False, seen[name].__setitem__)
    for name in ("params_a.0", "params_n.0", "y_hat.0"):
        assert gap(seen["new"][name], seen["old"][name]) < 1e-5, name


def test_growing_wants_an_even_number_of_slices():
    with pytest.raises(ValueError, match="even number of slices but received 3"):
        grown(replace(PRESETS["nano"], M=48, slices=3))
