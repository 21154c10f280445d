"""Whatever a file's pixels are, to 8-bit sRGB: the part of the decoder that knows colour. No Django."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

WHITE = (255, 255, 255)
MAX_PROFILE_BYTES = 4 * 1024 * 1024
BITS_PER_SAMPLE, PHOTOMETRIC = 258, 262  # TIFF tags

# What an ICC profile of this colour space can be applied to.
MODES_OF_SPACE = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK", "Lab ": "LAB"}


def to_srgb(im: Image.Image) -> Image.Image:
    """Loaded picture of any mode -> a new RGB picture, alpha composited on white, without metadata."""
    if im.mode.startswith("I;16") or im.mode in ("I", "F"):
        rgb = to_eight_bits(im).convert("RGB")
    elif im.has_transparency_data:
        rgb = on_white(im)
    else:
        rgb = through_profile(im if im.mode in ("RGB", "L", "CMYK", "LAB") else im.convert("RGB"), _profile(im))
    rgb.info.clear()
    return rgb


def on_white(im: Image.Image) -> Image.Image:
    rgba = im.convert("RGBA")
    canvas = Image.new("RGB", im.size, WHITE)
    canvas.paste(through_profile(rgba.convert("RGB"), _profile(im)), mask=rgba.getchannel("A"))
    return canvas


def to_eight_bits(im: Image.Image) -> Image.Image:
    """16-bit, 32-bit and float grey -> L, scaled and never clipped.

    16 bits map by 257 (65535 = 255 x 257), so that the same value is the same grey in every picture.
    Other ranges than 8 or 16 bits carry no stored maximum: the picture's own is used.
    """
    values = np.nan_to_num(np.asarray(im).astype(np.float64), posinf=0, neginf=0)
    low, high = _stored_range(im, values)
    scaled = (values - low) * (255.0 / (high - low))
    if _white_is_zero(im):
        scaled = 255 - scaled
    return Image.fromarray(np.clip(np.rint(scaled), 0, 255).astype(np.uint8))


def _stored_range(im: Image.Image, values: NDArray[np.float64]) -> tuple[float, float]:
    if im.mode.startswith("I;16"):
        bits = getattr(im, "tag_v2", {}).get(BITS_PER_SAMPLE, (16,))
        return 0.0, float(2 ** int(bits[0]) - 1)
    low, high = float(values.min()), float(values.max())
    scales = (1.0, 255.0, 65535.0) if im.mode == "F" else (65535.0,)
    for scale in scales:
        if low >= 0 and high <= scale:
            return 0.0, scale
    return low, high if high > low else low + 1.0


def _white_is_zero(im: Image.Image) -> bool:
    return getattr(im, "tag_v2", {}).get(PHOTOMETRIC) == 0


def through_profile(im: Image.Image, profile: bytes) -> Image.Image:
    """RGB, L, CMYK or LAB -> RGB, through the picture's own profile if it has one that fits.

    A four-channel JPEG arrives here with 255 = full ink, with and without Adobe's marker: Pillow inverts
    both, as browsers do, because the files in the wild without the marker are written inverted too.
    """
    if im.mode == "LAB":
        profile = profile or _lab_profile()
    transform = _transform(profile, im.mode) if profile else None
    if transform is not None:
        return transform(im)
    return im.convert("RGB")  # a copy where it is RGB already


def _profile(im: Image.Image) -> bytes:
    profile = im.info.get("icc_profile") or b""
    return profile if len(profile) <= MAX_PROFILE_BYTES else b""


@lru_cache(maxsize=1)
def _lab_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()


@lru_cache(maxsize=32)
def _transform(profile: bytes, mode: str) -> Callable[[Image.Image], Image.Image] | None:
    """How to apply a profile to pictures of a mode; None where it is sRGB, broken or of other colours."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        is_srgb = mode == "RGB" and "sRGB" in ImageCms.getProfileDescription(source)
        if is_srgb or MODES_OF_SPACE.get(source.profile.xcolor_space) != mode:
            return None
        transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None

    def apply(im: Image.Image) -> Image.Image:
        converted = ImageCms.applyTransform(im, transform)
        assert converted is not None
        return converted

    return apply
