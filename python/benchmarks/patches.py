"""Random patches a second: an archive read by this package beside what ``cleric export`` makes of it read by OpenSlide.

    python3 benchmarks/patches.py slide.cleric.tif exported.tif --seconds 5 [--no-cache]

Needs openslide-python, and PyTorch for the workers of a DataLoader.
"""

from __future__ import annotations

import argparse
import itertools
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable

import numpy as np
import openslide
import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

import cleric

Place = tuple[int, int]


class Archive:
    """By this package."""

    name = "cleric"

    def __init__(self, path: str, size: int, is_cached: bool) -> None:
        self.slide = cleric.OpenSlide(path, cache_bytes=None if is_cached else 0)
        self.size = (size, size)

    def one(self, place: Place) -> Any:
        return self.slide.read_region(place, 0, self.size)

    def batch(self, places: list[Place]) -> Any:
        return self.slide.read_regions([(place, 0, self.size) for place in places])


class Exported:
    """By openslide-python, which has no batches."""

    name = "openslide"

    def __init__(self, path: str, size: int, is_cached: bool) -> None:
        self.path, self.size, self.is_cached = path, (size, size), is_cached
        self.open()

    def open(self) -> None:
        self.slide = openslide.OpenSlide(self.path)
        if not self.is_cached:
            self.slide.set_cache(openslide.OpenSlideCache(0))

    def one(self, place: Place) -> Any:
        return self.slide.read_region(place, 0, self.size)

    def batch(self, places: list[Place]) -> Any:
        return np.stack([np.asarray(self.one(place))[..., :3] for place in places])


def places_of(reader: Archive | Exported, seed: int) -> Iterator[Place]:
    random = np.random.default_rng(seed)
    width, height = reader.slide.dimensions
    while True:
        yield int(random.integers(width - reader.size[0])), int(random.integers(height - reader.size[1]))


class Patches(IterableDataset):  # type: ignore[type-arg]
    """Batches without end."""

    def __init__(self, reader: Archive | Exported, batch: int) -> None:
        self.reader, self.batch = reader, batch

    def __iter__(self) -> Iterator[torch.Tensor]:
        info: Any = get_worker_info()  # type: ignore[no-untyped-call]
        # Files that a parent opened have one position for all of its children.
        if isinstance(self.reader, Exported):
            self.reader.open()
        places = places_of(self.reader, 100 + (info.id if info else 0))
        while True:
            yield torch.from_numpy(self.reader.batch(list(itertools.islice(places, self.batch))))


def rate(step: Callable[[], int], seconds: float) -> float:
    """Patches a second of what does some at each call."""
    count, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        count += step()
    return count / (time.perf_counter() - began)


def one_by_one(reader: Archive | Exported, seconds: float, batch: int) -> float:
    places = places_of(reader, 1)
    return rate(lambda: bool(reader.one(next(places))), seconds)


def in_batches(reader: Archive | Exported, seconds: float, batch: int) -> float:
    places = places_of(reader, 2)
    return rate(lambda: len(reader.batch(list(itertools.islice(places, batch)))), seconds)


def in_threads(reader: Archive | Exported, seconds: float, batch: int) -> float:
    places, lock = places_of(reader, 3), threading.Lock()

    def read() -> None:
        with lock:
            place = next(places)
        reader.one(place)

    with ThreadPoolExecutor(4) as threads:
        return rate(lambda: len(list(threads.map(lambda _: read(), range(batch)))), seconds)


def in_workers(reader: Archive | Exported, seconds: float, batch: int) -> float:
    loader = iter(DataLoader(Patches(reader, batch), None, num_workers=4, multiprocessing_context="fork"))
    # Until each has started, and the batches that lie ready are taken.
    for _ in range(8):
        next(loader)
    return rate(lambda: len(next(loader)), seconds)


MODES = {"one by one": one_by_one, "batches": in_batches, "4 threads": in_threads, "4 workers": in_workers}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive")
    parser.add_argument("exported")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--no-cache", action="store_true", help="tiles are decoded for every patch")
    parser.add_argument("--modes", nargs="*", default=list(MODES), choices=list(MODES))
    options = parser.parse_args()
    arguments = (options.size, not options.no_cache)
    readers: tuple[Archive | Exported, ...] = (
        Archive(options.archive, *arguments),
        Exported(options.exported, *arguments),
    )
    for reader in readers:
        reader.one((0, 0))
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors, patches a second")
    for mode in options.modes:
        rates = [MODES[mode](reader, options.seconds, options.batch) for reader in readers]
        print(f"{mode:12}", *(f"{reader.name} {each:8.1f}" for reader, each in zip(readers, rates)), flush=True)


if __name__ == "__main__":
    main()
