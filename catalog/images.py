"""The only decoder: bytes -> upright RGB pixels, the same way for gallery and query. No Django.

Bytes and pixels are bounded before anything is decoded, only named formats are opened, and what is
truncated or corrupt is refused, never padded.
"""

from __future__ import annotations

import hashlib
import io
import math
import re
import warnings
from dataclasses import dataclass

from PIL import Image, UnidentifiedImageError

from catalog.colours import to_srgb
from catalog.dicom.signature import HEAD, is_dicom
from catalog.errors import LookalikeError, gettext_noop

try:
    import pillow_heif
except ImportError:
    HEIF: tuple[str, ...] = ()
else:
    pillow_heif.register_heif_opener()
    HEIF = ("HEIF",)

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", *HEIF)
SUFFIXES = {
    "JPEG": ".jpg",
    "PNG": ".png",
    "WEBP": ".webp",
    "GIF": ".gif",
    "BMP": ".bmp",
    "TIFF": ".tif",
    "AVIF": ".avif",
    "HEIF": ".heic",
    "DICOM": ".dcm",
}
THUMBNAIL_SIDE = 320
ORIENTATION = 0x0112  # EXIF
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class PictureError(LookalikeError):
    code = "bad_picture"
    text = gettext_noop("The picture cannot be used.")


class EmptyPicture(PictureError):
    code = "empty_picture"
    text = gettext_noop("The file is empty.")
    cure = gettext_noop("Save the picture again and send that file.")


class UnsupportedFormat(PictureError):
    code = "unsupported_format"
    text = gettext_noop("This is not a picture in a format that can be read.")
    cure = gettext_noop("Send it as JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF or DICOM.")
    status = 415


class TextNotPicture(UnsupportedFormat):
    text = gettext_noop("This is a text file or a web page, whatever its name says, not a picture.")
    cure = gettext_noop("Send the picture itself.")


class PdfNotPicture(UnsupportedFormat):
    text = gettext_noop("This is a PDF, not a picture.")
    cure = gettext_noop("Export the page as JPEG or PNG, or take a screenshot of it, and send that.")


class SvgUnsupported(UnsupportedFormat):
    text = gettext_noop("This is an SVG, a drawing without pixels; it cannot be searched with.")
    cure = gettext_noop("Export it as PNG and send that.")


class HeicUnsupported(UnsupportedFormat):
    code = "heic_unsupported"
    text = gettext_noop("This is a HEIC picture; this site was installed without support for it.")
    cure = gettext_noop("Send it as JPEG, or have the extra 'heic' installed.")


class BrokenPicture(PictureError):
    code = "broken_picture"
    text = gettext_noop("The picture is truncated or corrupt.")
    cure = gettext_noop("Save or download it again and send that file.")


class PictureTooLarge(PictureError):
    code = "picture_too_large"
    status = 413


class TooManyBytes(PictureTooLarge):
    text = gettext_noop("The file is too large: more than %(max_bytes)d bytes.")
    cure = gettext_noop("Send a smaller copy, or raise IMAGE_MAX_BYTES.")


class TooManyPixels(PictureTooLarge):
    text = gettext_noop("The picture is too large: %(pixels)d pixels, more than %(max_pixels)d.")
    cure = gettext_noop("Send a smaller copy, or raise IMAGE_MAX_PIXELS.")


class BadBox(PictureError):
    code = "bad_box"
    text = gettext_noop("The box %(box)s holds nothing of the picture of %(width)d x %(height)d pixels.")
    cure = gettext_noop("Give x, y, width, height in pixels of the upright picture.")


@dataclass(frozen=True)
class Limits:
    max_bytes: int = 32 * 1024 * 1024
    max_pixels: int = 100_000_000  # of one frame
    max_frames: int = 2000  # of a DICOM file


DEFAULT_LIMITS = Limits()

# Pillow's own guess would refuse what our limit allows; our limit is checked on every picture besides.
Image.MAX_IMAGE_PIXELS = DEFAULT_LIMITS.max_pixels
warnings.filterwarnings("error", category=Image.DecompressionBombWarning)


@dataclass(frozen=True)
class Picture:
    """A decoded picture. ``width`` and ``height`` are the original's, upright; ``pixels`` may be smaller."""

    pixels: Image.Image  # RGB, upright, without metadata
    format: str
    width: int
    height: int
    sha256: str
    size: int  # bytes

    def crop(self, box: tuple[int, int, int, int]) -> Image.Image:
        """The part in ``box`` (x, y, width, height in upright original pixels), clipped. Raises BadBox."""
        x, y, w, h = box
        left, top, right, bottom = max(0, x), max(0, y), min(self.width, x + w), min(self.height, y + h)
        if right <= left or bottom <= top:
            raise BadBox(box=f"{x},{y},{w},{h}", width=self.width, height=self.height)
        across, down = self.pixels.width / self.width, self.pixels.height / self.height
        return self.pixels.crop(
            (
                math.floor(left * across),
                math.floor(top * down),
                math.ceil(right * across),
                math.ceil(bottom * down),
            )
        )


def decode(
    data: bytes, *, min_side: int | None = None, limits: Limits = DEFAULT_LIMITS, sha256: str | None = None
) -> Picture:
    """Decode the first frame of a picture; of DICOM as its first window shows it. Raises a PictureError.

    ``min_side``: a JPEG may be decoded at 1/2, 1/4 or 1/8 so long as its short side keeps that many pixels.
    ``sha256``: of ``data``, from a caller who has hashed it already.
    """
    if is_dicom(data[:HEAD]):
        return _dicom(data, limits, sha256)
    check_size(len(data), limits)
    with _open(data, limits) as im:
        width, height = im.size
        _check_pixels(width, height, limits)
        kind = "JPEG" if im.format == "MPO" else str(im.format)
        try:
            if min_side:
                im.draft(None, (min_side, min_side))
            im.load()
            orientation = _orientation(im)
            pixels = to_srgb(im)
        except Exception as error:
            # Hostile and half files make codecs raise nearly anything; each of them means the same here.
            raise BrokenPicture from error
    if kind == "TIFF":  # Pillow turns these itself, while loading
        width, height = pixels.size
    elif orientation in UPRIGHT:
        pixels = pixels.transpose(UPRIGHT[orientation])
        width, height = (height, width) if orientation >= 5 else (width, height)
    return Picture(pixels, kind, width, height, sha256 or hashlib.sha256(data).hexdigest(), len(data))


def _dicom(data: bytes, limits: Limits, sha256: str | None) -> Picture:
    """Apart, so that nobody pays for pydicom who has no DICOM."""
    from catalog.dicom.reading import dicom_open
    from catalog.dicom.rendering import render

    greys = render(dicom_open(data, limits), 1).pixels
    pixels = Image.fromarray(greys).convert("RGB")
    digest = sha256 or hashlib.sha256(data).hexdigest()
    return Picture(pixels, "DICOM", pixels.width, pixels.height, digest, len(data))


def thumbnail(pixels: Image.Image, side: int = THUMBNAIL_SIDE) -> bytes:
    """WebP of at most ``side`` x ``side`` pixels, never enlarged."""
    small = pixels.copy()
    small.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=2.0)
    buffer = io.BytesIO()
    small.save(buffer, "WEBP", quality=80, method=1)
    return buffer.getvalue()


def check_size(size: int, limits: Limits) -> None:
    """Refuse nothing at all and too much. Raises EmptyPicture, TooManyBytes."""
    if not size:
        raise EmptyPicture
    if size > limits.max_bytes:
        raise TooManyBytes(max_bytes=limits.max_bytes)


def _open(data: bytes, limits: Limits) -> Image.Image:
    """Read the header only."""
    if limits.max_pixels > (Image.MAX_IMAGE_PIXELS or 0):
        Image.MAX_IMAGE_PIXELS = limits.max_pixels
    try:
        return Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError as error:
        raise _unknown(data) from error
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        pixels = re.search(r"\((\d+) pixels\)", str(error))
        raise TooManyPixels(pixels=int(pixels[1]) if pixels else 0, max_pixels=limits.max_pixels) from error
    except Exception as error:  # as in decode()
        raise BrokenPicture from error


def _check_pixels(width: int, height: int, limits: Limits) -> None:
    if width < 1 or height < 1:
        raise BrokenPicture
    if width * height > limits.max_pixels:
        raise TooManyPixels(pixels=width * height, max_pixels=limits.max_pixels)


def _orientation(im: Image.Image) -> int:
    try:
        return int(im.getexif().get(ORIENTATION, 1))
    except Exception:  # corrupt EXIF exists, and says nothing about the pixels
        return 1


_MAGIC = re.compile(rb"\xff\xd8\xff|\x89PNG|GIF8|RIFF....WEBP|BM|II\*\x00|MM\x00\*|....ftypavi[fs]", re.DOTALL)
_HEIC = re.compile(rb"....ftyp(hei[cxms]|hev[cx]|mif1|msf1)", re.DOTALL)
_SVG = re.compile(rb"(\xef\xbb\xbf)?\s*<(\?xml|!--|!doctype svg|svg[\s>])", re.IGNORECASE)


def _unknown(data: bytes) -> PictureError:
    """Why Pillow knew no format: the most helpful error there is."""
    head = data[:512]
    if _HEIC.match(head):
        return BrokenPicture() if HEIF else HeicUnsupported()
    if b"%PDF-" in head:  # not always the very first bytes
        return PdfNotPicture()
    if _is_text(head):
        return SvgUnsupported() if _is_svg(data[:4096]) else TextNotPicture()
    return BrokenPicture() if _MAGIC.match(head) else UnsupportedFormat()


def _is_svg(head: bytes) -> bool:
    """A web page may hold drawings too."""
    return bool(_SVG.match(head)) and b"<svg" in head and b"<html" not in head.lower()


def _is_text(head: bytes) -> bool:
    try:
        text = head.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3:  # not merely cut inside a character
            return False
        text = head[: error.start].decode("utf-8-sig")
    return all(character.isprintable() or character in "\r\n\t\f" for character in text)
