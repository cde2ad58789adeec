"""Training images: decoded once into a memory map outside the tree, cropped at random.

Every image is kept at its own scale and, while it stays large enough, halved and halved again by
2x2 means: the lower levels of a slide's pyramid.
"""
from __future__ import annotations

import io
import json
import os
import tarfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Iterator

import numpy as np
import torch
from PIL import Image

from .artefacts import spoil

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"  # beside the repository
HOME = Path.home() / ".cache" / "cleric-train"  # decoded images and checkpoints, outside the tree
SMALLEST = 256  # least side of a reduced image that is still kept
REDUCTIONS = (1, 2, 4)
SHARES = (0.78, 0.18, 0.04)  # of the crops, by reduction
MARKED = 0.03  # of the crops: partly or wholly one colour, see `mark`
HELD_OUT = 8  # every so many images of a set one is kept for validation, up to HELD_OUT_MAX
HELD_OUT_MAX = 10
HELD = "held"  # the folder, in a .tar file, of images that are held out


def mark(crop: np.ndarray, rng: np.random.Generator) -> None:
    """Paints a part of a crop [side, side, 3] uint8, or all of it, in one or two colours, many of them saturated.

    Slides have glass, pen marks, black borders and labels, the training images none: a network that
    has never seen them may answer with anything at all.
    """
    side = len(crop)
    y, x = np.mgrid[0:side, 0:side] / side
    for _ in range(int(rng.integers(1, 3))):
        colour = rng.integers(0, 2, 3) * 255 if rng.random() < 0.6 else rng.integers(0, 256, 3)
        kind = rng.random()
        if kind < 0.3:
            where = np.ones((side, side), bool)
        elif kind < 0.6:
            angle, edge = rng.uniform(0, 2 * np.pi), rng.uniform(-0.4, 0.4)
            where = (x - 0.5) * np.cos(angle) + (y - 0.5) * np.sin(angle) > edge
        elif kind < 0.8:
            top, left, height, width = rng.uniform(0, 0.8), rng.uniform(0, 0.8), *rng.uniform(0.05, 0.8, 2)
            where = (y >= top) & (y < top + height) & (x >= left) & (x < left + width)
        else:
            cell = int(2 ** rng.integers(2, 6))
            coarse = rng.random((side // cell + 1, side // cell + 1)) < 0.5
            where = coarse.repeat(cell, 0).repeat(cell, 1)[:side, :side]
        crop[where] = colour


@dataclass(frozen=True)
class Plane:
    """One image at one reduction: bytes [height, width, 3] from `offset` on."""

    name: str
    reduction: int
    height: int
    width: int
    offset: int
    held: bool = False  # out, by who packed the images (pack.py): a share of them would be split in another way


def _encoded(source: Path) -> Iterator[tuple[str, bool, bytes]]:
    """Name, whether it is held out, and bytes of every WebP in `source` and in its .tar files, by name."""
    found: list[tuple[str, bool, Path, int, int]] = [(path.stem, False, path, 0, path.stat().st_size) for path in source.glob("*.webp")]
    for path in source.glob("*.tar"):
        with tarfile.open(path) as packed:
            for member in packed:
                name = PurePosixPath(member.name)
                if member.isfile() and name.suffix == ".webp":
                    found.append((name.stem, name.parent.name == HELD, path, member.offset_data, member.size))
    for name, held, path, offset, size in sorted(found):
        with path.open("rb") as file:
            file.seek(offset)
            yield name, held, file.read(size)


def _decoded(encoded: tuple[str, bool, bytes]) -> tuple[str, bool, list[tuple[int, np.ndarray]]]:
    name, held, data = encoded
    image = Image.open(io.BytesIO(data)).convert("RGB")
    planes = []
    for reduction in REDUCTIONS:
        small = image if reduction == 1 else image.reduce(reduction)
        if min(small.size) < SMALLEST:
            break
        planes.append((reduction, np.asarray(small)))
    return name, held, planes


def decode_all(source: Path, target: Path) -> None:
    """Decodes every WebP of `source`, and of the .tar files in it, into target/images.u8 and target/index.json (once)."""
    if (target / "index.json").exists():
        return
    target.mkdir(parents=True, exist_ok=True)
    planes, offset = [], 0
    part = target / f"images.{os.getpid()}.part"
    threads = os.cpu_count() or 1
    images = _encoded(source)
    with part.open("wb") as out, ThreadPoolExecutor(threads) as pool:
        # A few at a time, or all of them would lie in memory.
        while some := list(islice(images, 2 * threads)):
            for name, held, found in pool.map(_decoded, some):
                for reduction, pixels in found:
                    out.write(pixels.tobytes())
                    planes.append(Plane(name, reduction, pixels.shape[0], pixels.shape[1], offset, held).__dict__)
                    offset += pixels.size
    if not planes:
        raise FileNotFoundError(f"no .webp images in {source}")
    part.rename(target / "images.u8")
    (target / "index.json").write_text(json.dumps(planes))


def split(names: list[str]) -> tuple[set[str], set[str]]:
    """Names -> (training, held out). Of each set (the name up to the dash) a few are held out."""
    held: list[str] = []
    seen: dict[str, int] = {}
    for name in sorted(set(names)):
        group = name.rsplit("-", 1)[0]
        seen[group] = seen.get(group, 0) + 1
        if seen[group] % HELD_OUT == 4 and seen[group] < 16:
            held.append(name)
    out = set(held[:HELD_OUT_MAX])
    return set(names) - out, out


class Images:
    """The decoded images; draws batches and holds the validation crops."""

    def __init__(self, folder: Path, spoiled: float = 0) -> None:
        """`spoiled`: the share of the crops of a batch that are changed by artefacts.spoil."""
        self.spoiled = spoiled
        planes = [Plane(**p) for p in json.loads((folder / "index.json").read_text())]
        self.bytes = np.memmap(folder / "images.u8", np.uint8, "r")
        held = {p.name for p in planes if p.held} or split([p.name for p in planes])[1]
        train = {p.name for p in planes} - held
        self.train = [[p for p in planes if p.name in train and p.reduction == r] for r in REDUCTIONS]
        self.held = [p for p in planes if p.name in held and p.reduction == 1]
        # A large image shows more than a small one, yet no source should drown the others.
        self.chances = []
        for group in self.train:
            weight = np.sqrt([p.height * p.width for p in group])
            self.chances.append(weight / weight.sum() if group else weight)

    def pixels(self, plane: Plane) -> np.ndarray:
        """[height, width, 3] uint8, a view of the memory map."""
        size = plane.height * plane.width * 3
        return self.bytes[plane.offset:plane.offset + size].reshape(plane.height, plane.width, 3)

    def batch(self, rng: np.random.Generator, count: int, crop: int, marked: float = MARKED) -> torch.Tensor:
        """`count` random crops, flipped and turned at random, a share of them `marked`: [count, 3, crop, crop] in [0, 1]."""
        out = np.empty((count, crop, crop, 3), np.uint8)
        for n in range(count):
            group = int(rng.choice(len(REDUCTIONS), p=SHARES))
            if not self.train[group]:
                group = 0
            plane = self.train[group][int(rng.choice(len(self.train[group]), p=self.chances[group]))]
            top = int(rng.integers(plane.height - crop + 1))
            left = int(rng.integers(plane.width - crop + 1))
            piece = self.pixels(plane)[top:top + crop, left:left + crop]
            piece = np.rot90(piece, int(rng.integers(4)))
            out[n] = piece[:, ::-1] if rng.integers(2) else piece
            if self.spoiled and rng.random() < self.spoiled:
                out[n] = spoil(out[n], rng)
            if rng.random() < marked:
                mark(out[n], rng)
        return torch.from_numpy(out).permute(0, 3, 1, 2).float().div_(255)

    def validation(self, side: int = 256) -> torch.Tensor:
        """Centre crops of the held-out images, [n, 3, side, side] in [0, 1]."""
        crops = []
        for plane in self.held:
            top, left = (plane.height - side) // 2, (plane.width - side) // 2
            crops.append(np.array(self.pixels(plane)[top:top + side, left:left + side]))
        return torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float().div_(255)


def drawn_image(seed: int, height: int, width: int) -> torch.Tensor:
    """A smooth field with edges and noise, [1, 3, height, width], multiples of 1 / 255."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    planes = []
    for _ in range(3):
        a, b, c = random.uniform(0.02, 0.3, 3)
        plane = 0.55 + 0.2 * np.sin(a * x + b * y) + 0.15 * ((x * c + y) % 23 < 7) + random.normal(0, 0.05, x.shape)
        planes.append(plane)
    image = np.round(np.clip(np.stack(planes), 0, 1) * 255) / 255
    return torch.from_numpy(image.astype(np.float32))[None]
