"""The gauge of what is not linear in y, by analyses whose share is known."""
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from PIL import Image

from cleric_training.train.data import Images, decode_all
from cleric_training.train.linearity import Linearity, _gram, inner_latents, windows

CHANNELS = 12


@pytest.fixture(scope="module")
def linearity(tmp_path_factory):
    """Of images of noise, of which sums of many pixels are Gaussian; windows of 16 pixels keep it quick."""
    folder = tmp_path_factory.mktemp("noise")
    random = np.random.default_rng(0)
    for n in range(12):
        Image.fromarray(random.integers(0, 256, (300, 300, 3), dtype=np.uint8)).save(folder / f"set-{n:03d}.webp", lossless=True)
    decode_all(folder, folder / "data")
    return Linearity(Images(folder / "data"), crops=16, window=16)


@pytest.fixture
def block():
    """A linear analysis of 16x16 blocks, its latents of variance 1."""
    torch.manual_seed(0)
    conv = torch.nn.Conv2d(3, CHANNELS, 16, 16)
    with torch.no_grad():
        conv.weight /= conv.weight.flatten(1).norm(dim=1)[:, None, None, None] * (1 / 12) ** 0.5
        conv.bias -= 0.5 * conv.weight.flatten(1).sum(1)
    return conv


def share(linearity, analysis):
    with ThreadPoolExecutor(1) as pool:
        return linearity.share(analysis, pool)


def test_a_linear_analysis_has_no_share(linearity, block):
    assert all(0 <= v < 1e-6 for v in share(linearity, block).values())


def test_a_square_is_all_of_its_channels_share(linearity, block):
    """Of u and u^2 - 1, u Gaussian of variance 1, the latter has variance 2 and no correlation with any pixel."""
    def analysis(x):
        u = block(x)
        return torch.cat([u[:, :3], u[:, 3:].pow(2)], 1)

    found = share(linearity, analysis)
    assert found["median"] == pytest.approx(1, abs=0.15)
    assert found["all"] == pytest.approx(18 / 21, abs=0.1)


def test_a_small_branch_beside_a_linear_path_is_its_share(linearity, block):
    found = share(linearity, lambda x: block(x) + 0.1 * block(x).pow(2))
    assert found["all"] == pytest.approx(0.02 / 1.02, rel=0.25)
    assert found["median"] == pytest.approx(0.02 / 1.02, rel=0.25)


def test_windows_lie_round_the_blocks_of_their_latents():
    x = torch.arange(3 * 64 * 96).float().reshape(1, 3, 64, 96)
    rows = windows(x, 24)
    assert rows.shape == (2 * 4, 3 * 24 * 24)
    row, column = 2, 3  # of the blocks; the third of the second inner row
    expected = x[0, :, 16 * row - 4:16 * row + 20, 16 * column - 4:16 * column + 20].flatten()
    assert torch.equal(rows[1 * 4 + 2], expected)
    means = torch.nn.functional.avg_pool2d(x, 16)
    assert torch.equal(inner_latents(means), windows(x, 16).reshape(8, 3, 256).mean(2))
    assert windows(x, 48).shape == (8, 3 * 48 * 48)


def test_too_few_latents_to_fit_to_are_refused(tmp_path):
    Image.fromarray(np.zeros((256, 256, 3), np.uint8)).save(tmp_path / "a-000.webp", lossless=True)
    for n in range(1, 6):
        Image.fromarray(np.full((256, 256, 3), n, np.uint8)).save(tmp_path / f"a-{n:03d}.webp", lossless=True)
    decode_all(tmp_path, tmp_path / "data")
    with pytest.raises(ValueError, match="more than 1729 latents to fit 1728 pixels to but received 392"):
        Linearity(Images(tmp_path / "data"), crops=2)


def test_products_of_pixels_are_exact():
    rows = torch.randint(-128, 128, (1100, 40), generator=torch.Generator().manual_seed(0))
    rows[:, 0] = -128
    assert torch.equal(_gram(rows.float()), (rows.t() @ rows).double())
