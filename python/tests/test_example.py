"""The example for PyTorch: patches of tissue, the same with and without workers."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

from conftest import ON_CPU, ROOT, needed_module


def test_patches_of_tissue(archive: str, monkeypatch: pytest.MonkeyPatch) -> None:
    torch: Any = needed_module("torch")
    monkeypatch.syspath_prepend(str(ROOT / "python" / "examples"))
    monkeypatch.delitem(sys.modules, "tissue_patches", raising=False)
    import tissue_patches

    import cleric

    monkeypatch.setattr(cleric, "open_slide", lambda path: cleric.OpenSlide(path, **ON_CPU))
    # What the untrained network makes of a slide has other colours than tissue: its mask is tested below.
    monkeypatch.setattr(tissue_patches, "tissue_mask", lambda thumbnail: np.indices(thumbnail.shape[:2])[1] > 300)
    patches = tissue_patches.TissuePatches([archive, archive], 12, 64)
    alone = [patches[index] for index in range(12)]
    assert all(patch.shape == (3, 64, 64) and patch.dtype == torch.uint8 for patch in alone)
    assert len({patch.numpy().tobytes() for patch in alone}) > 1
    for index in range(12):
        number, (x, y) = patches._draw(index)
        assert number in (0, 1)
        assert 300 * 700 / 1024 <= x + 32 <= 700
        assert -32 <= y <= 500
    loader = torch.utils.data.DataLoader(patches, 4, num_workers=2)
    read = torch.cat(list(loader))
    assert torch.equal(read, torch.stack(alone))


def test_tissue_is_darker_and_more_coloured_than_glass() -> None:
    needed_module("torch")
    sys.path.insert(0, str(ROOT / "python" / "examples"))
    import tissue_patches

    glass, stroma, pen, nucleus = [244, 243, 245], [230, 170, 200], [20, 20, 22], [110, 70, 140]
    picture = np.array([[glass, stroma], [pen, nucleus]], np.uint8)
    assert tissue_patches.tissue_mask(picture).tolist() == [[False, True], [False, True]]
