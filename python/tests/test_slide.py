"""The interface of OpenSlide, beside OpenSlide itself on the same pixels."""

from __future__ import annotations

import importlib
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cleric
from conftest import ON_CPU, needed_module

PLACES = [
    ((0, 0), 0, (64, 48)),
    ((333, 217), 0, (200, 200)),
    ((600, 450), 0, (64, 48)),
    ((-20, -30), 0, (64, 48)),
    ((650, 480), 0, (200, 100)),
    ((5000, 5000), 0, (10, 10)),
    ((64, 128), 1, (50, 70)),
    ((-8, 400), 1, (300, 40)),
]


def pair(archive: str, exported: str) -> Any:
    openslide = needed_module("openslide")
    return cleric.OpenSlide(archive, **ON_CPU), openslide.OpenSlide(exported)


def test_facts_are_those_of_openslide(archive: str, exported: str) -> None:
    ours, theirs = pair(archive, exported)
    assert ours.level_count == theirs.level_count > 1
    assert ours.dimensions == theirs.dimensions == (700, 500)
    assert ours.level_dimensions == theirs.level_dimensions
    assert ours.level_downsamples == pytest.approx(theirs.level_downsamples, rel=0.01)
    for name in ("openslide.mpp-x", "openslide.mpp-y"):
        assert float(ours.properties[name]) == pytest.approx(float(theirs.properties[name]), rel=1e-4)
    for name in ("openslide.level-count", "openslide.level[1].width", "openslide.level[1].height"):
        assert ours.properties[name] == theirs.properties[name]
    for downsample in (0.5, 1, 1.9, 3.9, 4.5, 1000):
        assert ours.get_best_level_for_downsample(downsample) == theirs.get_best_level_for_downsample(downsample)


@pytest.mark.parametrize("place", PLACES)
def test_regions_are_those_of_openslide(archive: str, exported: str, place: Any) -> None:
    ours, theirs = pair(archive, exported)
    mine, expected = ours.read_region(*place), theirs.read_region(*place)
    assert (mine.mode, mine.size) == ("RGBA", expected.size)
    mine, expected = np.asarray(mine), np.asarray(expected)
    assert np.array_equal(mine[..., 3], expected[..., 3])
    # Where nothing is, OpenSlide has black, this package the background, both transparent.
    inside = expected[..., 3] > 0
    assert np.array_equal(mine[inside], expected[inside])
    assert np.array_equal(ours.read_region_array(*place), mine[..., :3])


def test_deep_zoom_works_unchanged(archive: str, exported: str) -> None:
    needed_module("openslide")
    generator = importlib.import_module("openslide.deepzoom").DeepZoomGenerator
    ours, theirs = (generator(each, 100, 1, limit_bounds=True) for each in pair(archive, exported))
    assert ours.level_tiles == theirs.level_tiles
    assert ours.get_dzi("jpeg") == theirs.get_dzi("jpeg")
    for level in range(ours.level_count):
        for address in {(0, 0), tuple(each - 1 for each in ours.level_tiles[level])}:
            mine, expected = ours.get_tile(level, address), theirs.get_tile(level, address)
            assert mine.mode == expected.mode == "RGB"
            assert np.array_equal(np.asarray(mine), np.asarray(expected)), (level, address)


def test_thumbnail(archive: str, exported: str) -> None:
    ours, theirs = pair(archive, exported)
    for size in ((200, 200), (64, 400)):
        mine, expected = ours.get_thumbnail(size), theirs.get_thumbnail(size)
        assert (mine.mode, mine.size) == ("RGB", expected.size)
        assert np.abs(np.asarray(mine, float) - np.asarray(expected, float)).max() <= 1


def test_batches_are_the_regions_one_by_one(slide: cleric.OpenSlide, monkeypatch: pytest.MonkeyPatch) -> None:
    regions = [((x, y), 0, (40, 30)) for x in range(-20, 700, 90) for y in range(0, 500, 120)]
    expected = np.stack([slide.read_region_array(*region) for region in regions])
    batch = slide.read_regions(regions)
    assert batch.dtype == np.uint8
    assert batch.shape == (len(regions), 30, 40, 3)
    assert batch.flags.writeable
    assert np.array_equal(batch, expected)
    # More than one request holds.
    monkeypatch.setattr("cleric.slide._BATCH_REGIONS", 7)
    assert np.array_equal(slide.read_regions(regions), expected)
    monkeypatch.setattr("cleric.slide._BATCH_BYTES", 3 * 40 * 30 * 3)
    assert np.array_equal(slide.read_regions(regions), expected)


def test_latents(slide: cleric.OpenSlide, exported: str) -> None:
    whole = slide.read_latents((0, 0), 0, (700, 500))
    assert whole.dtype == np.float32
    assert whole.shape[1:] == (32, 44), "places of 16 x 16 pixels"
    assert np.isfinite(whole).all() and whole.std() > 0
    part = slide.read_latents((130, 33), 0, (100, 20))
    assert np.array_equal(part, whole[:, 2:4, 8:15])
    assert part.flags.writeable
    known = slide.read_latents((0, 0), 0, (700, 500), missing="nan")
    stored = ~np.isnan(known)
    assert stored.any()
    assert np.array_equal(known[stored], whole[stored])
    with pytest.raises(cleric.ArgumentError, match="missing"):
        slide.read_latents((0, 0), 0, (16, 16), missing="zero")
    with cleric.OpenSlide(exported) as no_archive, pytest.raises(cleric.UnsupportedError, match="is no archive"):
        no_archive.read_latents((0, 0), 0, (16, 16))


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (((0, 0), 9, (1, 1)), "level"),
        (((0, 0), -1, (1, 1)), "level"),
        (((0, 0), 0.0, (1, 1)), "level"),
        (((0.5, 0), 0, (1, 1)), "location"),
        ((0, 0, (1, 1)), "location"),
        (((0, 0, 0), 0, (1, 1)), "location"),
        (((1 << 41, 0), 0, (1, 1)), "location"),
        (((0, 0), 0, (0, 1)), "size"),
        (((0, 0), 0, (1, -1)), "size"),
        (((0, 0), 0, (1 << 20, 1 << 20)), "size"),
        (((0, 0), 0, "large"), "size"),
    ],
)
def test_wrong_arguments_are_named(slide: cleric.OpenSlide, arguments: Any, name: str) -> None:
    with pytest.raises(cleric.ArgumentError, match=rf"^Expected .* for {name} but received .* of type ") as caught:
        slide.read_region(*arguments)
    assert caught.value.code == "ERR_INVALID_ARGUMENT"
    assert isinstance(caught.value, ValueError)


def test_integers_of_numpy_are_integers(slide: cleric.OpenSlide) -> None:
    place = (np.array([3, 4]), np.int64(0), np.array([5, 6], np.uint16))
    assert np.array_equal(slide.read_region_array(*place), slide.read_region_array((3, 4), 0, (5, 6)))  # type: ignore[arg-type]


def test_batches_that_cannot_be(slide: cleric.OpenSlide) -> None:
    with pytest.raises(cleric.ArgumentError, match="at least one region"):
        slide.read_regions([])
    with pytest.raises(cleric.ArgumentError, match="regions of one size, 5 x 5"):
        slide.read_regions([((0, 0), 0, (5, 5)), ((0, 0), 0, (5, 6))])


def test_properties(slide: cleric.OpenSlide) -> None:
    assert slide.properties["openslide.objective-power"] == "20"
    assert slide.properties["openslide.level[0].tile-width"] == "128"
    assert slide.properties["cleric.quality"] == "60"
    assert "openslide.level[3].width" not in slide.properties
    assert len(slide.properties["openslide.background-color"]) == 6
    assert slide.color_profile is None


def test_associated_images(slide: cleric.OpenSlide) -> None:
    assert set(slide.associated_images) == {"label", "macro"}
    assert len(slide.associated_images) == 2
    label = slide.associated_images["label"]
    assert (label.mode, label.size) == ("RGBA", (240, 200))
    with pytest.raises(KeyError):
        slide.associated_images["none"]


def test_closed(archive: str) -> None:
    with cleric.open_slide(archive, **ON_CPU) as slide:
        assert slide.read_region_array((0, 0), 0, (4, 4)).shape == (4, 4, 3)
    slide.close()
    with pytest.raises(cleric.ClericError) as caught:
        slide.read_region((0, 0), 0, (4, 4))
    assert caught.value.code == "ERR_CLOSED"
    with pytest.raises(cleric.ClericError, match="is closed"):
        slide.associated_images["label"]
    assert slide.dimensions == (700, 500)


def test_pickled_it_is_opened_anew(slide: cleric.OpenSlide) -> None:
    again: cleric.OpenSlide = pickle.loads(pickle.dumps(slide))
    assert np.array_equal(again.read_region_array((9, 9), 0, (50, 50)), slide.read_region_array((9, 9), 0, (50, 50)))


def test_what_is_no_slide(folder: Path, archive: str) -> None:
    with pytest.raises(FileNotFoundError):
        cleric.OpenSlide(folder / "none.tif")
    text = folder / "text.tif"
    text.write_text("no slide")
    with pytest.raises(cleric.SlideError) as caught:
        cleric.OpenSlide(text)
    assert caught.value.code == "ERR_UNSUPPORTED_SLIDE"
    with pytest.raises(cleric.ArgumentError, match="filename"):
        cleric.OpenSlide(b"bytes")  # type: ignore[arg-type]
    with pytest.raises(cleric.ArgumentError, match="device"):
        cleric.OpenSlide(archive, device="abacus")
    assert cleric.OpenSlide.detect_format(archive) == "cleric"
    assert cleric.OpenSlide.detect_format(text) is None
    assert cleric.OpenSlide.detect_format(folder / "none.tif") is None


def test_a_damaged_tile_fails_by_name_and_the_others_are_read(folder: Path, archive: str) -> None:
    data = bytearray(Path(archive).read_bytes())
    # The head comes first, then the tiles.
    damaged = folder / "damaged.cleric.tif"
    for at in range(len(data) // 4, len(data), len(data) // 16):
        data[at] ^= 0xFF
    damaged.write_bytes(data)
    with cleric.OpenSlide(damaged, **ON_CPU) as slide:
        codes: set[str | None] = set()
        for x in range(0, 700, 128):
            for y in range(0, 500, 128):
                try:
                    slide.read_region((x, y), 0, (10, 10))
                    codes.add(None)
                except cleric.CorruptDataError as error:
                    assert f"column {x // 128}, row {y // 128}" in str(error)
                    codes.add(error.code)
        assert codes == {None, "ERR_CORRUPT_TILE"}


def test_errors_travel_between_processes() -> None:
    error = pickle.loads(pickle.dumps(cleric.CorruptDataError("ERR_CORRUPT_TILE", "tile 3")))
    assert (type(error), error.code, str(error)) == (cleric.CorruptDataError, "ERR_CORRUPT_TILE", "tile 3")
