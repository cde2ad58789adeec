"""Slides, with the interface of OpenSlide's Python binding."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType, TracebackType
from typing import Any, Union

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms

from . import _process
from ._pixels import Region, batches, pair, part_inside, region_in, region_of
from .errors import ClericError, wrong_argument

PROPERTY_NAME_COMMENT = "openslide.comment"
PROPERTY_NAME_VENDOR = "openslide.vendor"
PROPERTY_NAME_QUICKHASH1 = "openslide.quickhash-1"
PROPERTY_NAME_BACKGROUND_COLOR = "openslide.background-color"
PROPERTY_NAME_OBJECTIVE_POWER = "openslide.objective-power"
PROPERTY_NAME_MPP_X = "openslide.mpp-x"
PROPERTY_NAME_MPP_Y = "openslide.mpp-y"
PROPERTY_NAME_BOUNDS_X = "openslide.bounds-x"
PROPERTY_NAME_BOUNDS_Y = "openslide.bounds-y"
PROPERTY_NAME_BOUNDS_WIDTH = "openslide.bounds-width"
PROPERTY_NAME_BOUNDS_HEIGHT = "openslide.bounds-height"

# What one request has at most; more regions are asked for in several, one after the other.
_BATCH_BYTES = 1 << 26
_BATCH_REGIONS = 4096

Pixels = npt.NDArray[np.uint8]
Path = Union[str, "os.PathLike[str]"]


class OpenSlide:
    """An archive of cleric, or any other slide that cleric reads, with the interface of ``openslide.OpenSlide``.

    Any thread may read. A process that was forked, and one that an OpenSlide was sent to (it can be pickled), open the
    slide anew when they first read.

    :param filename: path of a file; of an archive an http(s) address, too; or ``synthetic:WIDTHxHEIGHT``, a drawn slide
    :param device: where the network runs: "auto" (a GPU if there is one), "webgpu" or "cpu"
    :param adapter: a part of the name of the GPU
    :param model: name of a published model, or path of a model file
    :param icc: "keep": pixels as they are stored; "srgb": converted by the ICC profile; "none": without the profile
    :param cache_bytes: most bytes of decoded tiles to keep of this slide; default: all slides share 256 MiB
    :param page: of a file that holds several images: the one to take, from 0
    :param series: the image of an OME-TIFF, or pyramid of a TIFF, to take, from 0
    :raises SlideError, CorruptDataError, UnsupportedError: if it is no slide that can be read
    :raises FileNotFoundError: if there is no such file
    :raises ProcessError: if the decoding process can't be started

    >>> with cleric.OpenSlide("slide.cleric.tif") as slide:
    ...     patch = slide.read_region((9000, 7000), 0, (256, 256))
    """

    def __init__(
        self,
        filename: Path,
        *,
        device: str | None = None,
        adapter: str | None = None,
        model: str | None = None,
        icc: str | None = None,
        cache_bytes: int | None = None,
        page: int | None = None,
        series: int | None = None,
    ) -> None:
        self._filename = os.fspath(filename)
        self._path = _absolute(self._filename)
        if os.path.isabs(self._path):
            # Where nothing is, Python's own error says so.
            os.stat(self._path)
        options = {
            "device": device,
            "adapter": adapter,
            "model": _model_path(model),
            "icc": icc,
            "cacheBytes": cache_bytes,
            "page": page,
            "series": series,
        }
        self._options = {name: value for name, value in options.items() if value is not None}
        self._is_closed = False
        # Number of the slide in each decoding process that it is open in: the present one, a parent's before a fork.
        self._numbers: dict[_process.DecodingProcess, int] = {}
        self._profile: bytes | None = None
        self._facts = self._open(_process.current())
        levels = self._facts["levels"]
        self._level_dimensions = tuple((int(level["width"]), int(level["height"])) for level in levels)
        self._level_downsamples = tuple(float(level["downsample"]) for level in levels)
        self._properties = MappingProxyType(_properties_of(self._facts))
        self._associated = _AssociatedImages(self, self._facts["associatedImages"])

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._filename!r})"

    def __enter__(self) -> OpenSlide:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        # What failed to open has no numbers.
        if getattr(self, "_numbers", None):
            self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        self._must_be_open()
        return _reopen, (type(self), self._path, self._options)

    @classmethod
    def detect_format(cls, filename: Path) -> str | None:
        """The format of a file: "cleric" for an archive, the vendor's name for a slide; None if it can't be read."""
        path = _absolute(os.fspath(filename))
        found: str | None = _process.current().ask("detect", path=path).header["result"]["format"]
        return found

    def close(self) -> None:
        """Closes the slide; whatever is read of it at the moment fails with ERR_CLOSED."""
        self._is_closed = True
        while self._numbers:
            process, number = self._numbers.popitem()
            if process.is_usable:
                process.tell("close", slide=number)

    @property
    def level_count(self) -> int:
        return len(self._level_dimensions)

    @property
    def level_dimensions(self) -> tuple[tuple[int, int], ...]:
        """Width and height of each level, in its pixels."""
        return self._level_dimensions

    @property
    def level_downsamples(self) -> tuple[float, ...]:
        """Level-0 pixels a pixel of each level."""
        return self._level_downsamples

    @property
    def dimensions(self) -> tuple[int, int]:
        """Width and height of level 0, in pixels."""
        return self._level_dimensions[0]

    @property
    def properties(self) -> Mapping[str, str]:
        """What is known of the slide, by OpenSlide's names; ``openslide.level[...]`` are those of the archive."""
        return self._properties

    @property
    def associated_images(self) -> Mapping[str, Image.Image]:
        """The label, macro image and thumbnail that the file has, as RGBA; each is read when it is asked for."""
        return self._associated

    @property
    def color_profile(self) -> ImageCms.ImageCmsProfile | None:
        """The ICC profile of the pixels; None where there is none, or they were converted to sRGB."""
        profile = self._icc_bytes()
        return ImageCms.getOpenProfile(io.BytesIO(profile)) if profile else None

    def get_best_level_for_downsample(self, downsample: float) -> int:
        """The coarsest level that is no coarser than that."""
        finer = [level for level, each in enumerate(self._level_downsamples) if each <= downsample]
        return finer[-1] if finer else 0

    def read_region(self, location: tuple[int, int], level: int, size: tuple[int, int]) -> Image.Image:
        """A region as an RGBA image. What lies outside the slide is transparent, and has the background colour.

        :param location: x and y of its upper left corner, in level-0 pixels
        :param size: width and height, in pixels of the level
        :raises CorruptDataError: ERR_CORRUPT_TILE, naming the tile
        """
        region = region_of(location, level, size, self.level_count)
        image = Image.fromarray(self._read([region])[0]).convert("RGBA")
        inside = part_inside(region, self._level_dimensions[region.level], self._level_downsamples[region.level])
        if inside is not None:
            alpha = Image.new("L", image.size, 0)
            if inside[0] < inside[2] and inside[1] < inside[3]:
                alpha.paste(255, inside)
            image.putalpha(alpha)
        if self._facts["hasProfile"]:
            image.info["icc_profile"] = self._icc_bytes()
        return image

    def read_region_array(self, location: tuple[int, int], level: int, size: tuple[int, int]) -> Pixels:
        """A region as uint8 [height, width, 3] of RGB; what lies outside the slide has the background colour."""
        array: Pixels = self._read([region_of(location, level, size, self.level_count)])[0]
        return array

    def read_regions(self, regions: Sequence[tuple[tuple[int, int], int, tuple[int, int]]]) -> Pixels:
        """Regions of one size, all asked for at once, so that a GPU has many tiles to work on.

        :param regions: location, level and size of each, as ``read_region`` has them
        :returns: uint8 [N, height, width, 3] of RGB

        >>> patches = slide.read_regions([((x, y), 0, (256, 256)) for x, y in places])
        """
        checked = [region_in(each, self.level_count) for each in regions]
        if not checked:
            raise wrong_argument("at least one region", "regions", regions)
        width, height = checked[0].width, checked[0].height
        for region in checked:
            if (region.width, region.height) != (width, height):
                raise wrong_argument(f"regions of one size, {width} x {height}", "regions", region)
        return self._read(checked)

    def read_latents(
        self, location: tuple[int, int], level: int, size: tuple[int, int], missing: str = "analyse"
    ) -> npt.NDArray[np.float32]:
        """The latents y_hat of a region of an archive, a vector for every 16 x 16 pixels, without making pixels.

        The region, given as for ``read_region``, is grown to whole places of the level's grid of 16 x 16 pixels: the
        first is at the level's pixel ``16 * floor(location / downsample / 16)``. docs/latents.md says what they are.

        :param missing: what stands where the file has no latents (glass, tiles of a classic codec): "analyse", those
            that the network makes of the pixels, or "nan"
        :returns: float32 [M, rows, columns], M being 256 with model "s"
        :raises UnsupportedError: if it is no archive
        """
        region = region_of(location, level, size, self.level_count)
        process, number = self._handle()
        frame = process.ask("latents", slide=number, region=tuple(region), missing=missing)
        shape = tuple(int(frame.header["result"][name]) for name in ("channels", "height", "width"))
        values = np.frombuffer(frame.body, "<f4", int(np.prod(shape))).reshape(shape)
        return values.astype(np.float32, copy=False)

    def get_thumbnail(self, size: tuple[int, int]) -> Image.Image:
        """The whole slide as an RGB image that fits in a size; transparent places have the background colour."""
        width, height = pair(size, "size", 1, 1 << 20)
        downsample = max(self.dimensions[0] / width, self.dimensions[1] / height)
        level = self.get_best_level_for_downsample(downsample)
        image = Image.fromarray(self.read_region_array((0, 0), level, self._level_dimensions[level]))
        image.thumbnail((width, height), Image.LANCZOS)
        if self._facts["hasProfile"]:
            image.info["icc_profile"] = self._icc_bytes()
        return image

    def _read(self, regions: list[Region]) -> Pixels:
        width, height = regions[0].width, regions[0].height
        parts = []
        for batch in batches(regions, _BATCH_BYTES, _BATCH_REGIONS):
            process, number = self._handle()
            parts.append(process.pixels(number, [tuple(each) for each in batch], (len(batch), height, width, 3)))
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _associated_image(self, name: str) -> Image.Image:
        process, number = self._handle()
        frame = process.ask("associated", slide=number, name=name)
        size = (frame.header["result"]["width"], frame.header["result"]["height"])
        return Image.frombytes("RGB", size, bytes(frame.body)).convert("RGBA")

    def _icc_bytes(self) -> bytes:
        if self._profile is None:
            process, number = self._handle()
            self._profile = bytes(process.ask("profile", slide=number).body) if self._facts["hasProfile"] else b""
        return self._profile

    def _handle(self) -> tuple[_process.DecodingProcess, int]:
        """The decoding process and the number of the slide in it, opened there if it isn't."""
        self._must_be_open()
        process = _process.current()
        if process not in self._numbers:
            facts = self._open(process)
            if facts["levels"] != self._facts["levels"] or facts["bytes"] != self._facts["bytes"]:
                self.close()
                raise ClericError("ERR_FILE_CHANGED", f"{self._path} is another file than it was when it was opened")
        number = self._numbers.get(process)
        if number is None:
            # Another thread has closed it meanwhile.
            raise ClericError("ERR_CLOSED", f"{self._path} is closed")
        return process, number

    def _open(self, process: _process.DecodingProcess) -> dict[str, Any]:
        facts: dict[str, Any] = process.ask("open", path=self._path, options=self._options).header["result"]
        number = int(facts["slide"])
        # Two threads may open it at the same time: one of them has it closed again.
        if self._numbers.setdefault(process, number) != number:
            process.tell("close", slide=number)
        for other in [each for each in list(self._numbers) if not each.is_usable]:
            self._numbers.pop(other, None)
        return facts

    def _must_be_open(self) -> None:
        if self._is_closed:
            raise ClericError("ERR_CLOSED", f"{self._path} is closed")


def open_slide(filename: Path, **options: Any) -> OpenSlide:
    """Opens a slide; see :class:`OpenSlide`."""
    return OpenSlide(filename, **options)


class _AssociatedImages(Mapping[str, Image.Image]):
    def __init__(self, slide: OpenSlide, names: list[str]) -> None:
        self._slide = slide
        self._names = names

    def __repr__(self) -> str:
        return f"<associated images {', '.join(self._names) or 'none'}>"

    def __getitem__(self, name: str) -> Image.Image:
        if name not in self._names:
            raise KeyError(name)
        return self._slide._associated_image(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def _reopen(cls: type[OpenSlide], path: str, options: dict[str, Any]) -> OpenSlide:
    renamed = {"cacheBytes": "cache_bytes"}
    return cls(path, **{renamed.get(name, name): value for name, value in options.items()})


def _absolute(path: Any) -> str:
    """The path as the decoding process finds it, wherever this process goes."""
    if not isinstance(path, str) or path == "":
        raise wrong_argument("a path", "filename", path)
    if re.match(r"https?://|synthetic:", path):
        return path
    return os.path.abspath(path)


def _model_path(model: str | None) -> str | None:
    """A model file's path as the decoding process finds it; the name of a published model as it is."""
    return os.path.abspath(model) if model is not None and os.path.exists(model) else model


def _properties_of(facts: dict[str, Any]) -> dict[str, str]:
    """The slide's own, with the levels that the archive has in place of those that the slide had."""
    stale = re.compile(r"openslide\.(level\[|associated\.|level-count$)")
    properties = {name: value for name, value in facts["properties"].items() if not stale.match(name)}
    mpp, background = facts["mpp"], facts["background"]
    if mpp is not None:
        properties.setdefault(PROPERTY_NAME_MPP_X, repr(float(mpp["x"])))
        properties.setdefault(PROPERTY_NAME_MPP_Y, repr(float(mpp["y"])))
    if facts["objectivePower"] is not None:
        properties.setdefault(PROPERTY_NAME_OBJECTIVE_POWER, f"{facts['objectivePower']:g}")
    properties.setdefault(PROPERTY_NAME_VENDOR, "cleric" if facts["format"] == "archive" else facts["format"])
    properties[PROPERTY_NAME_BACKGROUND_COLOR] = "".join(f"{background[c]:02X}" for c in ("red", "green", "blue"))
    properties["openslide.level-count"] = str(len(facts["levels"]))
    for index, level in enumerate(facts["levels"]):
        for key, name in (
            ("width", "width"),
            ("height", "height"),
            ("downsample", "downsample"),
            ("tileWidth", "tile-width"),
            ("tileHeight", "tile-height"),
        ):
            if level[key] is not None:
                properties[f"openslide.level[{index}].{name}"] = str(level[key])
    if facts["model"] is not None:
        properties["cleric.model"] = facts["model"]["name"]
        properties["cleric.quality"] = str(facts["quality"])
    return dict(sorted(properties.items()))
