"""What happens to a picture on its way into a catalog twice: the positives of the calibration. No Django."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFont

Distortion = Callable[[Image.Image, np.random.Generator], bytes]


def _saved(pixels: Image.Image, format: str = "JPEG", quality: int = 85) -> bytes:
    buffer = io.BytesIO()
    pixels.save(buffer, format, **({} if format == "PNG" else {"quality": quality}))
    return buffer.getvalue()


def recompressed(quality: int) -> Distortion:
    return lambda pixels, _rng: _saved(pixels, quality=quality)


def resized(factor: float) -> Distortion:
    def distort(pixels: Image.Image, rng: np.random.Generator) -> bytes:
        size = max(1, round(pixels.width * factor)), max(1, round(pixels.height * factor))
        return _saved(pixels.resize(size, Image.Resampling.BICUBIC))

    return distort


def cropped(share: float) -> Distortion:
    """``share`` of the width and of the height are cut off, on whichever sides."""

    def distort(pixels: Image.Image, rng: np.random.Generator) -> bytes:
        width, height = round(pixels.width * (1 - share)), round(pixels.height * (1 - share))
        x, y = int(rng.integers(0, pixels.width - width + 1)), int(rng.integers(0, pixels.height - height + 1))
        return _saved(pixels.crop((x, y, x + width, y + height)))

    return distort


def brightness(pixels: Image.Image, rng: np.random.Generator) -> bytes:
    return _saved(ImageEnhance.Brightness(pixels).enhance(float(rng.choice([0.75, 1.25]))))


def contrast(pixels: Image.Image, rng: np.random.Generator) -> bytes:
    return _saved(ImageEnhance.Contrast(pixels).enhance(float(rng.choice([0.75, 1.3]))))


def overlaid(pixels: Image.Image, rng: np.random.Generator) -> bytes:
    """A word across a corner, as sellers do it."""
    drawn = pixels.copy()
    size = max(10, min(pixels.size) // 8)
    x, y = int(rng.integers(0, pixels.width // 2 + 1)), int(rng.integers(0, max(1, pixels.height - 2 * size)))
    pen = ImageDraw.Draw(drawn)
    pen.rectangle((x, y, x + 4 * size, y + round(1.5 * size)), fill=(200, 30, 30))
    pen.text((x + size // 4, y), "SALE 20%", fill=(255, 255, 255), font=ImageFont.load_default(size))
    return _saved(drawn)


def framed(pixels: Image.Image, rng: np.random.Generator) -> bytes:
    """A border of one colour, a tenth of the side wide."""
    edge = round(0.1 * max(pixels.size))
    colour = (255, 255, 255) if rng.random() < 0.5 else (0, 0, 0)
    frame = Image.new("RGB", (pixels.width + 2 * edge, pixels.height + 2 * edge), colour)
    frame.paste(pixels, (edge, edge))
    return _saved(frame)


def as_png(pixels: Image.Image, rng: np.random.Generator) -> bytes:
    return _saved(pixels, "PNG")


def as_webp(pixels: Image.Image, rng: np.random.Generator) -> bytes:
    return _saved(pixels, "WEBP", 75)


DISTORTIONS: Mapping[str, Distortion] = {
    "JPEG quality 95": recompressed(95),
    "JPEG quality 60": recompressed(60),
    "JPEG quality 30": recompressed(30),
    "half the size": resized(0.5),
    "twice the size": resized(2.0),
    "cropped 5 %": cropped(0.05),
    "cropped 10 %": cropped(0.10),
    "cropped 15 %": cropped(0.15),
    "brightness": brightness,
    "contrast": contrast,
    "text overlaid": overlaid,
    "border added": framed,
    "PNG": as_png,
    "WebP": as_webp,
}
