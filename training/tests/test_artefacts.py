"""Crops changed as slides are: what each change does, and that none happens unasked."""
import numpy as np
import pytest
from PIL import Image

from cleric_training.train.artefacts import PAINTERS, border, dust, fluorescence, jpeg, label, pen, spoil, stain
from cleric_training.train.data import Images, decode_all


@pytest.fixture
def tissue():
    """A smooth field of pinks, [96, 96, 3]."""
    random = np.random.default_rng(0)
    coarse = random.integers((150, 90, 140), (250, 200, 240), (12, 12, 3)).astype(np.uint8)
    return np.array(Image.fromarray(coarse).resize((96, 96), Image.BICUBIC))


@pytest.mark.parametrize("painter", PAINTERS, ids=lambda painter: painter.__name__)
def test_every_change_gives_a_crop_again_and_is_the_seeds(painter, tissue):
    before = tissue.copy()
    for seed in range(20):
        out = painter(tissue, np.random.default_rng(seed))
        assert out.dtype == np.uint8 and out.shape == tissue.shape
        assert np.array_equal(out, painter(tissue, np.random.default_rng(seed)))
    assert np.array_equal(tissue, before)
    assert any((painter(tissue, np.random.default_rng(seed)) != tissue).any() for seed in range(20))


def many(painter, tissue):
    return np.stack([painter(tissue, np.random.default_rng(seed)) for seed in range(30)]).astype(int)


def test_labels_have_hard_edges_that_tissue_has_not(tissue):
    def edges(images):
        return (np.abs(np.diff(images.astype(int), axis=-2)).max(-1) > 100).mean()

    assert edges(tissue[None]) == 0 and edges(many(label, tissue)) > 0.03


def test_pen_and_dust_only_darken_and_leave_some_as_it_was(tissue):
    for painter in (pen, dust):
        found = many(painter, tissue) - tissue
        assert found.max() <= 1  # of rounding
        assert found.min() < -60
        assert 0.05 < (np.abs(found).max(-1) <= 1).mean() < 0.99


def test_a_border_is_one_colour_from_one_side(tissue):
    for out in many(border, tissue):
        changed = (out != tissue).any(2)
        assert changed.any() and len(np.unique(out[changed], axis=0)) == 1


def test_other_stains_keep_the_structure(tissue):
    for out in many(stain, tissue):
        grey, before = out.mean(2).ravel(), tissue.mean(2).ravel()
        assert np.corrcoef(grey, before)[0, 1] > 0.7


def test_fluorescence_shines_where_tissue_is_dense(tissue):
    dense = tissue.mean(2) < np.quantile(tissue.mean(2), 0.1)
    light = many(fluorescence, tissue)
    assert light[:, dense].mean() > 2 * light[:, ~dense].mean()
    assert np.median(light) < 100


def test_jpeg_changes_little(tissue):
    error = np.sqrt(((many(jpeg, tissue) - tissue) ** 2).mean((1, 2, 3)))
    assert 0 < error.min() and error.max() < 6


def test_shares_add_up_and_all_are_drawn(tissue, monkeypatch):
    assert sum(PAINTERS.values()) == pytest.approx(1)
    kinds = {spoil(tissue, np.random.default_rng(seed)).tobytes() for seed in range(40)}
    assert len(kinds) > 30


def test_batches_are_spoiled_only_when_asked(tmp_path):
    random = np.random.default_rng(0)
    for n in range(2):
        Image.fromarray(random.integers(0, 256, (256, 256, 3), dtype=np.uint8)).save(tmp_path / f"set-{n:03d}.webp", lossless=True)
    decode_all(tmp_path, tmp_path / "data")

    def batch(*spoiled):
        return Images(tmp_path / "data", *spoiled).batch(np.random.default_rng(4), 6, 64, marked=0)

    assert np.array_equal(batch(), batch(0))
    assert not np.array_equal(batch(), batch(1))
