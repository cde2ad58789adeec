"""Reads TIFFs without any code of cleric's, for random-tiff.test.ts.

Each line on stdin is the path of a TIFF. For each a line of JSON goes to stdout: {"reader": NAME, "images": [{"width",
"height", "file"}]}, where FILE has the image's pixels as 8-bit RGB, upright, transparency on white; or {"error": WHY}.
Images are those of the main chain, each followed by its SubIFDs.

Readers, in this order: tifffile (with imagecodecs, where that is installed, for JPEG, WebP and LZW), whose samples are
turned into colours here, by TIFF 6; Pillow; tiff2rgba of libtiff. The next one is asked if one can't read a file.
"""
import json
import logging
import os
import subprocess
import sys
import zlib

import numpy as np
from PIL import Image

try:
    import tifffile

    try:
        import imagecodecs
    except ImportError:
        imagecodecs = None
    # What it complains about it also raises, or reads by the specification.
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
except ImportError:
    tifffile = imagecodecs = None

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, CMYK, YCBCR = 0, 1, 2, 3, 5, 6
JPEG = 7


class Unreadable(Exception):
    pass


def upright(pixels, orientation):
    """Rows and columns as they are shown; orientation is the tag's value, 1 to 8 (TIFF 6, page 36)."""
    if orientation >= 5:
        pixels = np.swapaxes(pixels, 0, 1)
    rows_reversed = {3: True, 4: True, 7: True, 8: True}.get(orientation, False)
    columns_reversed = {2: True, 3: True, 6: True, 7: True}.get(orientation, False)
    if rows_reversed:
        pixels = pixels[::-1]
    if columns_reversed:
        pixels = pixels[:, ::-1]
    return pixels


def colours(samples, photometric, bits, colour_map, is_rgb, reference, luma):
    """Samples (rows, columns, channels) as numbers from 0 to 255, three channels."""
    scale = 2**bits - 1
    values = samples.astype(np.float64)
    if photometric == PALETTE:
        return (colour_map[:, samples[..., 0].astype(np.intp)] >> 8).transpose(1, 2, 0).astype(np.float64)
    if photometric in (WHITE_IS_ZERO, BLACK_IS_ZERO):
        grey = values[..., :1] * (255 / scale)
        if photometric == WHITE_IS_ZERO:
            grey = 255 - grey
        return np.repeat(grey, 3, axis=2)
    if photometric == CMYK:
        ink = values[..., :4] / scale
        return 255 * (1 - ink[..., :3]) * (1 - ink[..., 3:])
    if photometric == YCBCR and not is_rgb:
        black, white = reference[::2], reference[1::2]
        ranges = np.array([255, 127, 127])
        y, cb, cr = np.moveaxis((values[..., :3] - black) * ranges / (white - black), 2, 0)
        of_red, of_green, of_blue = luma
        red, blue = y + cr * (2 - 2 * of_red), y + cb * (2 - 2 * of_blue)
        green = (y - of_red * red - of_blue * blue) / of_green
        return np.clip(np.stack([red, green, blue], axis=2), 0, 255)
    return values[..., :3] * (255 / scale)


def on_white(pixels, samples, first_extra, extras, bits):
    """The pixels with their alpha, the first extra sample that is one, on white."""
    for i, kind in enumerate(extras):
        if kind in (1, 2):
            alpha = samples[..., first_extra + i : first_extra + i + 1].astype(np.float64) / (2**bits - 1)
            return np.clip((pixels if kind == 1 else pixels * alpha) + 255 * (1 - alpha), 0, 255)
    return pixels


def is_big(path):
    with open(path, "rb") as file:
        return 43 in file.read(4)[2:]


def fractions(page, code, default):
    values = np.asarray(page.tags[code].value if code in page.tags else default, np.float64)
    return values[::2] / values[1::2]


def decoded(page, data, compression):
    """The values of a strip or tile: of a JPEG of one channel, or the bytes that were compressed."""
    if compression == JPEG:
        return imagecodecs.jpeg8_decode(data, tables=page.jpegtables)
    if compression == 5:
        return np.frombuffer(imagecodecs.lzw_decode(data), np.uint8)
    if compression == 32773:
        return np.frombuffer(imagecodecs.packbits_decode(data), np.uint8)
    return np.frombuffer(data if compression == 1 else zlib.decompress(data), np.uint8)


def by_parts(page, file):
    """What tifffile doesn't decode itself: planes of JPEG, and YCbCr whose chroma is subsampled. Rows, columns, channels."""
    compression = int(page.compression)
    across, down = page.tags[530].value if 530 in page.tags else (1, 1)
    tiled = page.is_tiled
    width = page.tilewidth if tiled else page.imagewidth
    height = page.tilelength if tiled else min(page.rowsperstrip, page.imagelength)
    columns, rows = -(-page.imagewidth // width), -(-page.imagelength // height)
    out = np.zeros((rows * height + down, columns * width + across, 3), np.uint8)
    for number, (offset, count) in enumerate(zip(page.dataoffsets, page.databytecounts)):
        file.seek(offset)
        channel, place = divmod(number, columns * rows)
        top, left = place // columns * height, place % columns * width
        high = height if tiled else min(height, page.imagelength - top)
        values = decoded(page, file.read(count), compression)
        if page.planarconfig == 2:
            out[top : top + high, left : left + width, channel] = values.reshape(high, width)
            continue
        down_units, across_units = -(-high // down), -(-width // across)
        units = values.reshape(down_units, across_units, across * down + 2)
        luma = units[..., :-2].reshape(down_units, across_units, down, across).transpose(0, 2, 1, 3)
        part = np.empty((down_units * down, across_units * across, 3), np.uint8)
        part[..., 0] = luma.reshape(part.shape[:2])
        for chroma in (1, 2):
            part[..., chroma] = units[..., chroma - 3].repeat(down, 0).repeat(across, 1)
        out[top : top + part.shape[0], left : left + part.shape[1]] = part
    return out[: page.imagelength, : page.imagewidth]


def by_tifffile(path):
    if tifffile is None:
        raise Unreadable("no tifffile")
    images = []
    with tifffile.TiffFile(path) as tiff:
        pages = []
        for page in tiff.pages:
            pages.append(page)
            pages.extend(page.pages or [])
        for page in pages:
            page = page.aspage()
            bits, photometric = page.bitspersample, int(page.photometric)
            if bits > 8 or page.sampleformat not in (1, None):
                raise Unreadable(f"{bits} bits of format {page.sampleformat}")
            compression, planes = int(page.compression), page.planarconfig == 2
            if imagecodecs and page.samplesperpixel == 3 and (
                (compression == JPEG and planes)
                or (photometric == YCBCR and compression != JPEG and page.tags[530].value != (1, 1))
            ):
                samples = by_parts(page, tiff.filehandle)
            else:
                samples = page.asarray(squeeze=False)
                samples = np.moveaxis(samples[:, 0, :, :, 0], 0, 2) if planes else samples[0, 0]
            map_tag = page.tags.get(320)
            colour_map = None if map_tag is None else np.asarray(map_tag.value).reshape(3, -1)
            # Decoders of JPEG give RGB.
            is_rgb = int(page.compression) == JPEG and page.planarconfig == 1
            reference = fractions(page, 532, [0, 1, 255, 1, 128, 1, 255, 1, 128, 1, 255, 1])
            luma = fractions(page, 529, [299, 1000, 587, 1000, 114, 1000])
            pixels = colours(samples, photometric, bits, colour_map, is_rgb, reference, luma)
            first_extra = {RGB: 3, YCBCR: 3, CMYK: 4}.get(photometric, 1)
            extras = page.tags.get(338)
            kinds = [] if extras is None else np.atleast_1d(np.asarray(extras.value)).astype(int).tolist()
            pixels = on_white(pixels, samples, first_extra, kinds, bits)
            orientation = page.tags.get(274)
            images.append(upright(np.rint(pixels).astype(np.uint8), 1 if orientation is None else int(orientation.value)))
    return images


def by_pillow(path):
    images = []
    with Image.open(path) as opened:
        if 330 in opened.tag_v2 or is_big(path):
            raise Unreadable("SubIFDs, or a BigTIFF, of which Pillow doesn't tell them")
        for number in range(getattr(opened, "n_frames", 1)):
            opened.seek(number)
            tags = opened.tag_v2
            if max(np.atleast_1d(tags.get(258, 1))) > 8 or max(np.atleast_1d(tags.get(339, 1))) > 1:
                raise Unreadable("more than 8 bits")
            extras = list(np.atleast_1d(tags.get(338, ())))
            # Such tiles and planes it mixes up.
            if tags.get(262) == YCBCR and (tags.get(259) != JPEG or tags.get(284) == 2):
                raise Unreadable("YCbCr without JPEG, or in planes")
            if extras and tags.get(284) == 2:
                raise Unreadable("extra samples in planes")
            if extras not in ([], [2]):
                raise Unreadable("extra samples")
            frame = opened.convert("RGBA") if extras else opened.convert("RGB")
            pixels = np.asarray(frame).astype(np.float64)
            if extras:
                alpha = pixels[..., 3:] / 255
                pixels = pixels[..., :3] * alpha + 255 * (1 - alpha)
            # Pillow has turned it by its orientation.
            images.append(np.rint(pixels).astype(np.uint8))
    return images


def by_tiff2rgba(path):
    with Image.open(path) as opened:
        tags = opened.tag_v2
        if max(np.atleast_1d(tags.get(258, 1))) > 8:
            raise Unreadable("more than 8 bits")
        if int(tags.get(274, 1)) != 1 or 330 in tags or is_big(path) or getattr(opened, "n_frames", 1) > 1 or 338 in tags:
            raise Unreadable("more than tiff2rgba shows")
    out = f"{path}.rgba"
    try:
        subprocess.run(["tiff2rgba", "-c", "none", path, out], check=True, capture_output=True)
        with Image.open(out) as opened:
            return [np.asarray(opened)[..., :3]]
    except subprocess.CalledProcessError as error:
        raise Unreadable(error.stderr.decode(errors="replace").strip()) from error
    finally:
        if os.path.exists(out):
            os.remove(out)


READERS = {"tifffile": by_tifffile, "Pillow": by_pillow, "tiff2rgba": by_tiff2rgba}


def read(path):
    reasons = []
    for name, reader in READERS.items():
        try:
            images = reader(path)
        except Exception as error:  # noqa: BLE001 - whatever a reader fails with, the next one is asked
            reasons.append(f"{name}: {type(error).__name__}: {error}")
            continue
        described = []
        for number, pixels in enumerate(images):
            file = f"{path}.{number}.rgb"
            np.ascontiguousarray(pixels).tofile(file)
            described.append({"width": pixels.shape[1], "height": pixels.shape[0], "file": file})
        return {"reader": name, "images": described}
    return {"error": "; ".join(reasons)}


for line in sys.stdin:
    print(json.dumps(read(line.strip())), flush=True)
