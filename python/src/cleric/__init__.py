"""Whole-slide images that cleric compressed, read with OpenSlide's interface.

>>> import cleric
>>> slide = cleric.open_slide("slide.cleric.tif")
>>> patch = slide.read_region((9000, 7000), 0, (256, 256))  # a PIL image, RGBA
>>> patches = slide.read_regions([((x, 7000), 0, (256, 256)) for x in range(0, 8192, 256)])  # uint8 [32, 256, 256, 3]
"""

from ._process import configure, shutdown
from .errors import (
    AbortedError,
    ArgumentError,
    ClericError,
    CorruptDataError,
    DeviceError,
    ProcessError,
    SlideError,
    UnsupportedError,
)
from .slide import (
    PROPERTY_NAME_BACKGROUND_COLOR,
    PROPERTY_NAME_BOUNDS_HEIGHT,
    PROPERTY_NAME_BOUNDS_WIDTH,
    PROPERTY_NAME_BOUNDS_X,
    PROPERTY_NAME_BOUNDS_Y,
    PROPERTY_NAME_COMMENT,
    PROPERTY_NAME_MPP_X,
    PROPERTY_NAME_MPP_Y,
    PROPERTY_NAME_OBJECTIVE_POWER,
    PROPERTY_NAME_QUICKHASH1,
    PROPERTY_NAME_VENDOR,
    OpenSlide,
    open_slide,
)

__version__ = "0.1.0"

__all__ = [
    "PROPERTY_NAME_BACKGROUND_COLOR",
    "PROPERTY_NAME_BOUNDS_HEIGHT",
    "PROPERTY_NAME_BOUNDS_WIDTH",
    "PROPERTY_NAME_BOUNDS_X",
    "PROPERTY_NAME_BOUNDS_Y",
    "PROPERTY_NAME_COMMENT",
    "PROPERTY_NAME_MPP_X",
    "PROPERTY_NAME_MPP_Y",
    "PROPERTY_NAME_OBJECTIVE_POWER",
    "PROPERTY_NAME_QUICKHASH1",
    "PROPERTY_NAME_VENDOR",
    "AbortedError",
    "ArgumentError",
    "ClericError",
    "CorruptDataError",
    "DeviceError",
    "OpenSlide",
    "ProcessError",
    "SlideError",
    "UnsupportedError",
    "configure",
    "open_slide",
    "shutdown",
]
