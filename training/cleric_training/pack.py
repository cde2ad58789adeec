"""Packs a random share of the training images: `python3 -m cleric_training.pack --images DIR --out DIR --size BYTES`.

The WebP files go as they are into plain .tar files, which `--images` of the trainer reads, and packed.json says what should
be there. The images that training on all of DIR holds out are among them, and are held out again.
"""
from __future__ import annotations

import argparse
import hashlib
import io
import json
import random
import tarfile
from pathlib import Path

from .train.data import DATA, HELD, split

BLOCK = 512  # bytes of a tar's header, and a file fills so many or a multiple of it
RECORD = 10240  # a tar's size is a multiple of this
END = 2 * BLOCK
ABOUT = "packed.json"


class PackError(ValueError):
    """Images that don't fit, or packed files that are not what was packed."""


def _taken(size: int) -> int:
    """Bytes that a file of `size` takes in a tar."""
    return BLOCK + -(-size // BLOCK) * BLOCK


def pack(images: Path, out: Path, size: int, total: int | None = None, seed: int = 1) -> list[Path]:
    """Writes train-000.tar, train-001.tar ..., each of at most `size` bytes, together at most `total`, and packed.json."""
    paths = {path.stem: path for path in sorted(images.glob("*.webp"))}
    if not paths:
        raise PackError(f"Expected .webp images in {images} but received none")
    train, held = split(list(paths))
    order = sorted(train)
    random.Random(seed).shuffle(order)
    limit = size // RECORD * RECORD - END  # of the contents of one file
    groups: list[list[str]] = []
    room, whole = 0, 0
    for name in [*sorted(held), *order]:  # those held out first, so that all of them are there
        taken = _taken(paths[name].stat().st_size)
        if taken > limit:
            raise PackError(f"Expected at least {-(-(taken + END) // RECORD) * RECORD} for size, which {name} needs, but received {size}")
        opens = taken > room
        # What it adds: a new file has an end and fills its last record.
        if total is not None and whole + taken + (END + RECORD if opens else 0) > total:
            continue
        if opens:
            groups.append([])
            room = limit
            whole += END + RECORD
        groups[-1].append(name)
        room -= taken
        whole += taken
    if not any(name in train for group in groups for name in group):
        raise PackError(f"Expected room for images to train on for bytes but received {total}")
    out.mkdir(parents=True, exist_ok=True)
    written, about = [], {}
    for number, group in enumerate(groups):
        path = out / f"train-{number:03}.tar"
        with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as packed:
            for name in group:
                data = paths[name].read_bytes()
                member = tarfile.TarInfo(f"{HELD if name in held else 'train'}/{name}.webp")
                member.size = len(data)
                packed.addfile(member, io.BytesIO(data))
        written.append(path)
        about[path.name] = {"bytes": path.stat().st_size, "sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "images": len(group)}
    (out / ABOUT).write_text(json.dumps(about, indent=1))
    return written


def verify(folder: Path) -> int:
    """The number of images in packed files, all of which are there and whole; else a PackError that says which are not."""
    if not (folder / ABOUT).exists():
        raise PackError(f"Expected {ABOUT} in {folder}, as `pack` writes it, but it isn't there")
    about = json.loads((folder / ABOUT).read_text())
    for name, said in about.items():
        if not (folder / name).exists():
            raise PackError(f"Expected {name} in {folder} but it isn't there")
        if hashlib.sha256((folder / name).read_bytes()).hexdigest() != said["sha256"]:
            raise PackError(f"Expected sha256 {said['sha256']} for {name} but its contents differ")
    return sum(said["images"] for said in about.values())


def main() -> None:
    p = argparse.ArgumentParser(prog="cleric_training.pack", description=__doc__)
    p.add_argument("--images", type=Path, default=DATA / "train", help="folder of WebP images")
    p.add_argument("--out", type=Path, required=True)
    p.add_argument("--size", type=int, required=True, help="most bytes of a file")
    p.add_argument("--bytes", type=int, help="most bytes of all files; default: all images")
    p.add_argument("--seed", type=int, default=1)
    args = p.parse_args()
    try:
        for path in pack(args.images, args.out, args.size, args.bytes, args.seed):
            print(path, path.stat().st_size)
    except PackError as error:
        raise SystemExit(str(error)) from error
    print(f"{verify(args.out)} images")


if __name__ == "__main__":
    main()
