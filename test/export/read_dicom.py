"""Reads a folder that `cleric export --format dicom` wrote by openslide-python and wsidicom, and compares both with the frames
themselves, decoded by Pillow. Prints JSON: largest differences by level, scale, associated images."""

import io
import json
import sys
from pathlib import Path

import numpy
import openslide
import pydicom
import wsidicom
from PIL import Image, ImageCms
from pydicom.encaps import generate_frames


def pixels_of(path):
    """The level as its frames have it: [height, width, 3] of uint8."""
    file = pydicom.dcmread(path)
    width, height = file.TotalPixelMatrixColumns, file.TotalPixelMatrixRows
    columns, rows = -(-width // file.Columns), -(-height // file.Rows)
    whole = numpy.zeros((rows * file.Rows, columns * file.Columns, 3), numpy.uint8)
    frames = generate_frames(file.PixelData, number_of_frames=int(file.NumberOfFrames))
    for i, frame in enumerate(frames):
        top, left = (i // columns) * file.Rows, (i % columns) * file.Columns
        whole[top : top + file.Rows, left : left + file.Columns] = Image.open(io.BytesIO(frame)).convert("RGB")
    return whole[:height, :width]


def difference(image, expected):
    return int(numpy.abs(numpy.asarray(image.convert("RGB")).astype(int) - expected).max())


folder = Path(sys.argv[1])
slide = openslide.OpenSlide(folder / "level-0.dcm")
series = wsidicom.WsiDicom.open(folder)
levels = []
for i, level in enumerate(series.pyramids[0]):
    expected = pixels_of(folder / f"level-{i}.dcm")
    size = (level.size.width, level.size.height)
    levels.append(
        {
            "size": size,
            "openslide": difference(slide.read_region((0, 0), i, slide.level_dimensions[i]), expected),
            "wsidicom": difference(series.read_region((0, 0), level.level, size), expected),
        }
    )
mpp = series.pyramids[0].base_level.mpp
print(
    json.dumps(
        {
            "levels": levels,
            "mpp": [float(slide.properties[f"openslide.mpp-{axis}"]) for axis in "xy"],
            "wsidicom_mpp": [round(mpp.width, 9), round(mpp.height, 9)],
            "power": int(slide.properties["openslide.objective-power"]),
            "associated": sorted(slide.associated_images),
            "label": series.read_label().size,
            "profile": ImageCms.getProfileDescription(slide.color_profile).strip(),
        }
    )
)
