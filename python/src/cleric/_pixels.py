"""Regions as they are asked for, and where of one the slide has no pixels."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any, NamedTuple

from .errors import wrong_argument

# As JavaScript's numbers hold them with some room; the process checks what is sensible.
_FARTHEST = 1 << 40
_MOST_PIXELS = 1 << 28


class Region(NamedTuple):
    """x and y in level-0 pixels, width and height in pixels of the level."""

    x: int
    y: int
    level: int
    width: int
    height: int


def region_of(location: Any, level: Any, size: Any, level_count: int) -> Region:
    """A region from what a caller gives.

    :raises ArgumentError: naming the argument
    """
    x, y = pair(location, "location", -_FARTHEST, _FARTHEST)
    width, height = pair(size, "size", 1, _MOST_PIXELS)
    if width * height > _MOST_PIXELS:
        raise wrong_argument(f"at most {_MOST_PIXELS} pixels", "size", size)
    return Region(x, y, integer(level, "level", 0, level_count - 1), width, height)


def region_in(request: Any, level_count: int) -> Region:
    """A region from a list's (location, level, size).

    :raises ArgumentError: naming what isn't as it should be
    """
    try:
        location, level, size = request
    except (TypeError, ValueError):
        raise wrong_argument("(location, level, size)", "a region", request) from None
    return region_of(location, level, size, level_count)


def integer(value: Any, name: str, least: int, most: int) -> int:
    what = f"an integer from {least} to {most}"
    try:
        number = operator.index(value)
    except TypeError:
        raise wrong_argument(what, name, value) from None
    if not least <= number <= most:
        raise wrong_argument(what, name, value)
    return number


def pair(value: Any, name: str, least: int, most: int) -> tuple[int, int]:
    try:
        first, second = value
    except (TypeError, ValueError):
        raise wrong_argument("two integers", name, value) from None
    return integer(first, name, least, most), integer(second, name, least, most)


def part_inside(region: Region, size: tuple[int, int], downsample: float) -> tuple[int, int, int, int] | None:
    """Where the slide has pixels: left, top, right and bottom within the region; None if that is everywhere."""
    left, top = (math.floor(place / downsample + 0.5) for place in (region.x, region.y))
    box = (
        min(max(-left, 0), region.width),
        min(max(-top, 0), region.height),
        min(max(size[0] - left, 0), region.width),
        min(max(size[1] - top, 0), region.height),
    )
    return None if box == (0, 0, region.width, region.height) else box


def batches(regions: Sequence[Region], most_bytes: int, most_regions: int) -> list[list[Region]]:
    """Regions of one size, in lists that take no more memory than that, but for a single one that is larger."""
    each = 3 * regions[0].width * regions[0].height
    step = max(1, min(most_regions, most_bytes // each))
    return [list(regions[start : start + step]) for start in range(0, len(regions), step)]
