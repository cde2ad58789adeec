"""Random patches of tissue for PyTorch, drawn from slides that cleric compressed.

    python3 examples/tissue_patches.py slide.cleric.tif [more...] --workers 4

Tissue is found on a thumbnail, once a slide: what is darker and more coloured than glass. Each worker of a DataLoader
has a decoding process of its own, and asks for the patches of a batch all at once.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import DataLoader, Dataset

import cleric

THUMBNAIL = 1024
# From 0 to 255: glass is at least BRIGHT in every channel, or its channels differ by less than GREY.
BRIGHT = 220
GREY = 12


def tissue_mask(thumbnail: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Which pixels of a thumbnail, uint8 [h, w, 3], show tissue: bool [h, w]."""
    darkest, brightest = thumbnail.min(axis=2).astype(np.int16), thumbnail.max(axis=2).astype(np.int16)
    mask: npt.NDArray[np.bool_] = (darkest < BRIGHT) & (brightest - darkest >= GREY)
    return mask


class TissuePatches(Dataset):  # type: ignore[type-arg]
    """``length`` patches of tissue, uint8 [3, size, size], drawn anew each epoch from all slides alike.

    Item ``i`` of epoch ``e`` is the same in every run and with any number of workers.

    :param paths: slides
    :param length: patches an epoch
    :param size: side of a patch, in pixels of the level
    :param level: of the slides' pyramids
    :param seed: of the places
    """

    def __init__(self, paths: Sequence[str], length: int, size: int = 256, level: int = 0, seed: int = 0) -> None:
        self.slides = [cleric.open_slide(path) for path in paths]
        self.length, self.size, self.level, self.seed = length, size, level, seed
        self.epoch = 0
        self.places = [self._tissue_of(slide) for slide in self.slides]

    def _tissue_of(self, slide: cleric.OpenSlide) -> npt.NDArray[np.float64]:
        """Level-0 places of the thumbnail's pixels with tissue, float64 [n, 2]; the last row is a pixel's sides."""
        thumbnail = np.asarray(slide.get_thumbnail((THUMBNAIL, THUMBNAIL)))
        rows, columns = np.nonzero(tissue_mask(thumbnail))
        if len(rows) == 0:
            raise ValueError(f"{slide} shows no tissue")
        pixel = np.array(slide.dimensions) / (thumbnail.shape[1], thumbnail.shape[0])
        return np.concatenate([np.stack([columns, rows], axis=1) * pixel, [pixel]])

    def __len__(self) -> int:
        return self.length

    def _draw(self, index: int) -> tuple[int, tuple[int, int]]:
        """Number of the slide, and the upper left corner of a patch that has tissue in its middle."""
        random = np.random.default_rng([self.seed, self.epoch, index])
        number = int(random.integers(len(self.slides)))
        *places, pixel = self.places[number][random.integers(len(self.places[number]) - 1)], self.places[number][-1]
        half = self.size * self.slides[number].level_downsamples[self.level] / 2
        x, y = places[0] + random.random(2) * pixel - half
        return number, (int(x), int(y))

    def __getitem__(self, index: int) -> torch.Tensor:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[torch.Tensor]:
        """The patches of a batch: PyTorch 2 asks for them by this, older versions one by one."""
        drawn = [self._draw(index) for index in indices]
        patches: list[torch.Tensor] = [torch.empty(0)] * len(drawn)
        for number, slide in enumerate(self.slides):
            mine = [at for at, (which, _) in enumerate(drawn) if which == number]
            if not mine:
                continue
            pixels = slide.read_regions([(drawn[at][1], self.level, (self.size, self.size)) for at in mine])
            for at, patch in zip(mine, torch.from_numpy(pixels).permute(0, 3, 1, 2)):
                patches[at] = patch
        return patches


def main() -> None:
    parser = argparse.ArgumentParser(description="Reads random patches of tissue, and says how many a second.")
    parser.add_argument("slides", nargs="+")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--level", type=int, default=0)
    parser.add_argument("--patches", type=int, default=256)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--workers", type=int, default=0)
    options = parser.parse_args()
    patches = TissuePatches(options.slides, options.patches, options.size, options.level)
    loader = DataLoader(patches, options.batch, num_workers=options.workers)
    began = time.perf_counter()
    count = sum(len(batch) for batch in loader)
    seconds = time.perf_counter() - began
    print(f"{count} patches of {options.size} x {options.size} in {seconds:.1f} s, {count / seconds:.1f} a second")


if __name__ == "__main__":
    main()
