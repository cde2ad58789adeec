"""What slides hold besides clean tissue: labels, pen, dust, borders, other stains, fluorescence, and traces of JPEG.

The training images are fields of tissue. What a network has never seen it codes badly: printed text at quality 100 came
back with 21 dB where JPEG of that size has 49. `spoil` changes a crop as a scanner, a pen or an archive might have.
"""
from __future__ import annotations

import io
from typing import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

Painter = Callable[[np.ndarray, np.random.Generator], np.ndarray]

JPEG_QUALITIES = (70, 95)
GLYPHS = "ABCDEFGHJKLMNPRSTUVWXYZ0123456789-/."


def _density(crop: np.ndarray) -> np.ndarray:
    """Optical density of uint8 pixels, 0 for white."""
    return -np.log((crop.astype(np.float32) + 1) / 256)


def _bytes(values: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _from_density(density: np.ndarray) -> np.ndarray:
    return _bytes(256 * np.exp(-density) - 1)


def label(crop: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Printed lines of text, and at times a bar code, on paper over a part of the crop or all of it."""
    side = len(crop)
    paper, ink = rng.integers(215, 256, 3), rng.integers(0, 70, 3)
    width, height = (int(v) for v in rng.integers(side // 3, side + 1, 2))
    sheet = Image.new("RGB", (width, height), tuple(int(v) for v in paper))
    draw, font, top = ImageDraw.Draw(sheet), ImageFont.load_default(), 2
    while top < height:
        scale = int(rng.integers(1, 4))
        if rng.random() < 0.15:
            for left in range(2, width, 4 * scale):
                draw.rectangle((left, top, left + int(rng.integers(scale, 3 * scale)), top + 10 * scale), tuple(int(v) for v in ink))
        else:
            text = "".join(rng.choice(list(GLYPHS + "    "), 60))
            line = Image.new("L", (8 * len(text), 12))
            ImageDraw.Draw(line).text((0, 0), text, fill=255, font=font)
            # Nearest neighbours print as sharp as a label; a scanner's optics are a little softer.
            line = line.resize((line.width * scale, line.height * scale), Image.NEAREST if rng.random() < 0.5 else Image.BICUBIC)
            sheet.paste(tuple(int(v) for v in ink), (3, top), line)
        top += 13 * scale
    out = crop.copy()
    y, x = int(rng.integers(side - height + 1)), int(rng.integers(side - width + 1))
    out[y:y + height, x:x + width] = np.asarray(sheet)
    return out


def pen(crop: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Strokes of a marker: a dye over the tissue, which shows through."""
    side = len(crop)
    mask = Image.new("L", (side, side))
    draw = ImageDraw.Draw(mask)
    for _ in range(int(rng.integers(1, 4))):
        points = [tuple(int(v) for v in rng.integers(-side // 4, side + side // 4, 2)) for _ in range(int(rng.integers(2, 5)))]
        draw.line(points, fill=255, width=int(rng.integers(4, max(5, side // 3))), joint="curve")
    cover = np.asarray(mask.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.3, 4)))), np.float32)[..., None] / 255
    colours = np.array([[0.1, 0.1, 0.1], [0.05, 0.15, 0.6], [0.05, 0.45, 0.15], [0.75, 0.05, 0.1]])
    dye = _density(255 * np.clip(colours[int(rng.integers(len(colours)))] + rng.normal(0, 0.04, 3), 0, 1))
    return _from_density(_density(crop) + cover * dye * rng.uniform(0.4, 1.2))


def dust(crop: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Specks and fibres, dark, sharp or out of focus."""
    side = len(crop)
    mask = Image.new("L", (side, side))
    draw = ImageDraw.Draw(mask)
    for _ in range(int(rng.integers(3, 25))):
        x, y = (float(v) for v in rng.uniform(0, side, 2))
        if rng.random() < 0.2:
            draw.line([(x, y), (x + float(rng.normal(0, side / 6)), y + float(rng.normal(0, side / 6)))], fill=255, width=int(rng.integers(1, 4)))
        else:
            a, b = (float(v) for v in rng.uniform(1, side / 20 + 1, 2))
            draw.ellipse((x - a, y - b, x + a, y + b), fill=int(rng.integers(120, 256)))
    cover = np.asarray(mask.filter(ImageFilter.GaussianBlur(float(rng.uniform(0, 3)))), np.float32)[..., None] / 255
    return _from_density(_density(crop) + cover * rng.uniform(0.5, 3))


def border(crop: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The end of what was scanned: beyond a straight or ragged edge all is black, white or the colour of glass."""
    side = len(crop)
    colour = np.array([(0, 0, 0), (255, 255, 255), (240, 240, 243)][int(rng.integers(3))], np.uint8)
    edge = np.full(side, int(rng.integers(1, side)))
    if rng.random() < 0.3:
        edge = np.clip(edge + np.cumsum(rng.integers(-1, 2, side)), 0, side)
    beyond = np.rot90(np.arange(side)[None] < edge[:, None], int(rng.integers(4)))
    return np.where(beyond[..., None], colour, crop)


def stain(crop: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Another laboratory's stains, or other ones: densities mixed between the colours, stronger or weaker."""
    mix = np.eye(3) + rng.normal(0, 0.12, (3, 3))
    if rng.random() < 0.25:
        mix = mix[rng.permutation(3)]
    return _from_density((_density(crop) @ mix.T.astype(np.float32)).clip(0) * rng.uniform(0.7, 1.4))


def fluorescence(crop: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What was dense shines in one or two colours on black."""
    density = _density(crop)
    light = np.zeros(crop.shape, np.float32)
    for channel in rng.choice(3, int(rng.integers(1, 3)), replace=False):
        colour = np.clip(np.eye(3)[int(rng.integers(3))] + rng.uniform(0, 0.3, 3), 0, 1)
        light += np.clip(density[..., channel:channel + 1] - rng.uniform(0, 0.4), 0, None) * colour.astype(np.float32)
    return _bytes(light * 255 / max(1e-3, float(np.quantile(light, 0.99))))


def jpeg(crop: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Once compressed, as most slides are: JPEG of quality 70 to 95, with 4:4:4 or 4:2:0."""
    file = io.BytesIO()
    quality = int(rng.integers(JPEG_QUALITIES[0], JPEG_QUALITIES[1] + 1))
    Image.fromarray(crop).save(file, "JPEG", quality=quality, subsampling=int(rng.choice([0, 2])))
    return np.array(Image.open(file).convert("RGB"))


# Shares of the crops that are changed. JPEG first, as it is nearly everywhere.
PAINTERS: dict[Painter, float] = {jpeg: 0.4, stain: 0.15, label: 0.15, pen: 0.1, dust: 0.08, border: 0.07, fluorescence: 0.05}


def spoil(crop: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A crop [side, side, 3] uint8 with one of the changes, chosen by their shares; gives a new array."""
    painter = list(PAINTERS)[int(rng.choice(len(PAINTERS), p=list(PAINTERS.values())))]
    return painter(np.ascontiguousarray(crop), rng)
