"""Tests import the package from its folder, and use one thread: the machine may be training."""
import os
import sys
from pathlib import Path

os.environ.setdefault("TRITON_INTERPRET", "1")  # before Triton reads it: its kernels run on a processor
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np  # noqa: E402
import pytest  # noqa: E402
import torch  # noqa: E402
from PIL import Image  # noqa: E402

from cleric_training.train.data import Images, decode_all  # noqa: E402

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def images(tmp_path_factory):
    """Six smooth images of random colours, as training reads them."""
    folder = tmp_path_factory.mktemp("images")
    random = np.random.default_rng(0)
    for n in range(6):
        coarse = random.integers(90, 250, (18, 20, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((320, 288), Image.BICUBIC).save(folder / f"set-{n:03d}.webp", lossless=True)
    decode_all(folder, folder / "data")
    return Images(folder / "data")
