"""The decoder: every format and pitfall of the field notes, the same pixels however they are stored."""

from __future__ import annotations

import contextlib
import hashlib
import io
import struct
import tracemalloc
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from catalog import images
from catalog.images import Limits, decode, thumbnail
from tests.catalog.helpers import QUADRANTS, bomb, encode, exif, png, png_chunk, quadrants, without_segment
from tests.factories import draw, picture

FORMATS = ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"]
LOSSLESS = ["PNG", "BMP", "TIFF"]


def array(image: Image.Image) -> np.ndarray:
    assert image.mode == "RGB"
    return np.asarray(image).astype(int)


def corners(image: Image.Image) -> list[tuple[int, ...]]:
    """The colours in the middle of the four quadrants, rounded to 0 or 255."""
    w, h = image.size
    spots = [(w // 4, h // 4), (3 * w // 4, h // 4), (w // 4, 3 * h // 4), (3 * w // 4, 3 * h // 4)]
    return [tuple(255 if value > 127 else 0 for value in image.getpixel(spot)) for spot in spots]


class TestFormats:
    @pytest.mark.parametrize("format", FORMATS)
    def test_every_format(self, format: str) -> None:
        source = draw(3, (90, 60))
        data = encode(source, format)
        found = decode(data)
        assert (found.format, found.width, found.height, found.size) == (format, 90, 60, len(data))
        assert found.pixels.size == (90, 60)
        assert np.abs(array(found.pixels) - array(source)).mean() < (0.01 if format in LOSSLESS else 12)

    def test_heic(self) -> None:
        pytest.importorskip("pillow_heif")
        found = decode(encode(draw(3, (90, 60)), "HEIF"))
        assert (found.format, found.width, found.height) == ("HEIF", 90, 60)

    def test_hash_is_of_the_bytes(self) -> None:
        data = picture(1)
        assert decode(data).sha256 == hashlib.sha256(data).hexdigest()
        assert decode(data, sha256="given").sha256 == "given"

    def test_formats_that_are_not_named_stay_closed(self) -> None:
        for format in ("ICO", "PPM", "TGA", "PCX"):
            with pytest.raises(images.UnsupportedFormat):
                decode(encode(draw(0, (32, 32)), format))

    def test_nothing_of_the_file_but_pixels_is_kept(self) -> None:
        found = decode(encode(draw(), "JPEG", exif=exif(1), comment=b"secret"))
        assert found.pixels.info == {}
        assert not found.pixels.getexif()


class TestReducedScale:
    def test_jpeg_is_decoded_smaller_but_not_below_the_short_side(self) -> None:
        found = decode(picture(1, (1600, 1200)), min_side=150)
        assert found.pixels.size == (200, 150)
        assert (found.width, found.height) == (1600, 1200)

    @pytest.mark.parametrize("min_side", [1, 60, 61, 100, 119, 120, 121, 400, 2000])
    def test_never_below(self, min_side: int) -> None:
        found = decode(picture(1, (480, 960)), min_side=min_side)
        assert min(found.pixels.size) >= min(min_side, 480)

    def test_upright_size_is_the_originals(self) -> None:
        found = decode(encode(draw(1, (800, 400)), "JPEG", exif=exif(6)), min_side=100)
        assert (found.width, found.height) == (400, 800)
        assert found.pixels.size == (100, 200)

    def test_other_formats_come_whole(self) -> None:
        assert decode(encode(draw(1, (800, 400)), "PNG"), min_side=100).pixels.size == (800, 400)


class TestOrientation:
    @pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_upright(self, orientation: int, format: str) -> None:
        upright = quadrants()
        inverse = {5: 5, 6: 8, 7: 7, 8: 6}.get(orientation, orientation)
        stored = upright if orientation == 1 else upright.transpose(images.UPRIGHT[inverse])
        options = {"tiffinfo": {0x0112: orientation}} if format == "TIFF" else {"exif": exif(orientation)}
        found = decode(encode(stored, format, **options))
        assert (found.width, found.height) == found.pixels.size == (60, 40)
        assert corners(found.pixels) == list(QUADRANTS)

    @pytest.mark.parametrize(
        "broken",
        [
            b"Exif\0\0" + b"garbage",
            b"Exif\0\0II*\0\xff\xff\xff\x7f",
            b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\x01" * 40,
            exif(6)[:20],
        ],
    )
    def test_corrupt_exif_is_passed_over(self, broken: bytes) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = decode(encode(quadrants(), "JPEG", exif=broken))
        assert corners(found.pixels) == list(QUADRANTS)

    @pytest.mark.parametrize("orientation", [0, 9, 255])
    def test_orientations_that_do_not_exist(self, orientation: int) -> None:
        assert corners(decode(encode(quadrants(), "JPEG", exif=exif(orientation))).pixels) == list(QUADRANTS)


class TestColour:
    def test_cmyk_with_and_without_adobes_marker(self) -> None:
        data = encode(quadrants().convert("CMYK"), "JPEG", quality=95)
        bare = without_segment(data, 0xEE)
        assert b"Adobe" in data
        assert b"Adobe" not in bare
        for stored in (data, bare):
            assert corners(decode(stored).pixels) == list(QUADRANTS)

    def test_cmyk_white_is_white(self) -> None:
        white = Image.new("CMYK", (20, 20), (0, 0, 0, 0))
        assert array(decode(encode(white, "JPEG")).pixels).min() >= 250
        assert array(decode(encode(white, "TIFF")).pixels).min() >= 250

    def test_profile_of_the_picture_is_followed(self) -> None:
        """A profile with its red and blue primaries swapped must swap red and blue."""
        profile = _swapped_profile()
        found = decode(encode(Image.new("RGB", (8, 8), (255, 0, 0)), "PNG", icc_profile=profile))
        red, green, blue = found.pixels.getpixel((4, 4))
        assert blue > 230
        assert red < 40
        assert green < 40

    def test_profile_is_followed_under_alpha_too(self) -> None:
        half = Image.new("RGBA", (8, 8), (255, 0, 0, 255))
        red, _, blue = decode(encode(half, "PNG", icc_profile=_swapped_profile())).pixels.getpixel((4, 4))
        assert blue > 230
        assert red < 40

    @pytest.mark.parametrize("profile", [b"garbage", ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()])
    def test_broken_or_foreign_profile_is_passed_over(self, profile: bytes) -> None:
        assert corners(decode(encode(quadrants(), "PNG", icc_profile=profile)).pixels) == list(QUADRANTS)

    def test_srgb_profile_changes_nothing(self) -> None:
        srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
        source = draw(5)
        assert np.array_equal(array(decode(encode(source, "PNG", icc_profile=srgb)).pixels), array(source))

    def test_lab(self) -> None:
        to_lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
        lab = ImageCms.applyTransform(quadrants(), to_lab)
        assert lab is not None
        assert corners(decode(encode(lab, "TIFF")).pixels) == list(QUADRANTS)

    @pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "CMYK"])
    def test_every_mode_becomes_rgb(self, mode: str) -> None:
        source = quadrants().convert("L").convert("RGB") if mode in "1LA" else quadrants()
        found = decode(encode(source.convert(mode), "TIFF" if mode == "CMYK" else "PNG"))
        expected = source.convert("1").convert("RGB") if mode == "1" else source
        assert np.abs(array(found.pixels) - array(expected)).mean() < 8

    def test_alpha_on_white(self) -> None:
        clear = Image.new("RGBA", (10, 10), (0, 0, 0, 0))
        half = Image.new("RGBA", (10, 10), (0, 0, 0, 128))
        assert decode(encode(clear, "PNG")).pixels.getpixel((0, 0)) == (255, 255, 255)
        assert decode(encode(clear, "WEBP", lossless=True)).pixels.getpixel((0, 0)) == (255, 255, 255)
        assert abs(decode(encode(half, "PNG")).pixels.getpixel((0, 0))[0] - 127) <= 1

    def test_transparent_palette_and_transparent_colour(self) -> None:
        palette = Image.new("P", (10, 10), 1)
        palette.putpalette([0, 0, 0, 200, 0, 0])
        assert decode(encode(palette, "PNG", transparency=1)).pixels.getpixel((5, 5)) == (255, 255, 255)
        assert decode(encode(palette, "GIF", transparency=1)).pixels.getpixel((5, 5)) == (255, 255, 255)
        keyed = encode(Image.new("RGB", (10, 10), (1, 2, 3)), "PNG", transparency=(1, 2, 3))
        assert decode(keyed).pixels.getpixel((5, 5)) == (255, 255, 255)


class TestDeepPixels:
    @pytest.mark.parametrize("value", [0, 257, 128 * 257, 65535])
    @pytest.mark.parametrize("format", ["PNG", "TIFF"])
    def test_sixteen_bits_are_scaled_not_clipped(self, value: int, format: str) -> None:
        deep = Image.fromarray(np.full((8, 8), value, np.uint16))
        assert decode(encode(deep, format)).pixels.getpixel((0, 0)) == (value // 257,) * 3

    def test_same_value_same_grey_in_every_picture(self) -> None:
        dark, bright = np.zeros((8, 8), np.uint16), np.zeros((8, 8), np.uint16)
        dark[:], bright[:] = 10_000, 10_000
        bright[0] = 65_535
        greys = [decode(encode(Image.fromarray(x), "PNG")).pixels.getpixel((4, 4)) for x in (dark, bright)]
        assert greys[0] == greys[1]

    def test_big_endian_and_sixteen_bit_colour(self) -> None:
        row = b"\0" + b"".join(value.to_bytes(2, "big") for value in (65535, 32896, 0)) * 4
        assert decode(png(4, 4, row * 4, depth=16)).pixels.getpixel((1, 1)) == (255, 128, 0)

    @pytest.mark.parametrize(
        ("values", "expected"),
        [
            (np.array([[0.0, 0.5, 1.0]], np.float32), [0, 128, 255]),
            (np.array([[0.0, 100.0, 255.0]], np.float32), [0, 100, 255]),
            (np.array([[0.0, 32768.0, 65535.0]], np.float32), [0, 128, 255]),
            (np.array([[-1000.0, 0.0, 1000.0]], np.float32), [0, 128, 255]),
            (np.array([[0.0, np.nan, 1.0]], np.float32), [0, 0, 255]),
            (np.array([[0, 32768, 65535]], np.int32), [0, 128, 255]),
            (np.array([[-5, -5, -5]], np.int32), [0, 0, 0]),
        ],
    )
    def test_integers_and_floats(self, values: np.ndarray, expected: list[int]) -> None:
        found = decode(encode(Image.fromarray(values), "TIFF"))
        assert [found.pixels.getpixel((x, 0))[0] for x in range(3)] == expected

    def test_twelve_bits_reach_white(self) -> None:
        found = decode(_twelve_bit_tiff())
        assert [found.pixels.getpixel((x, 0))[0] for x in range(2)] == [255, 0]

    def test_white_is_zero(self) -> None:
        deep = Image.fromarray(np.array([[0, 65535]], np.uint16))
        found = decode(encode(deep, "TIFF", tiffinfo={262: 0}))
        with Image.open(io.BytesIO(encode(deep, "TIFF", tiffinfo={262: 0}))) as stored:
            if stored.tag_v2[262] != 0:
                pytest.skip("this Pillow does not write WhiteIsZero")
        assert [found.pixels.getpixel((x, 0))[0] for x in range(2)] == [255, 0]


class TestFrames:
    @pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "TIFF", "AVIF"])
    def test_first_frame(self, format: str) -> None:
        first, second = quadrants(), Image.new("RGB", (60, 40), (0, 0, 0))
        data = encode(first, format, save_all=True, append_images=[second])
        assert corners(decode(data).pixels) == list(QUADRANTS)

    def test_jpeg_with_a_second_picture_is_a_jpeg(self) -> None:
        data = encode(quadrants(), "MPO", save_all=True, append_images=[Image.new("RGB", (60, 40))])
        found = decode(data)
        assert found.format == "JPEG"
        assert corners(found.pixels) == list(QUADRANTS)


class TestRefusals:
    def test_empty(self) -> None:
        with pytest.raises(images.EmptyPicture):
            decode(b"")

    @pytest.mark.parametrize("format", [*FORMATS, "progressive"])
    @pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
    def test_truncated(self, format: str, share: float) -> None:
        options = {"format": "JPEG", "progressive": True} if format == "progressive" else {"format": format}
        data = encode(draw(4, (200, 150)), **options)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with pytest.raises(images.BrokenPicture):
                decode(data[: int(len(data) * share)])

    def test_truncated_at_reduced_scale(self) -> None:
        data = picture(4, (1600, 1200))
        with pytest.raises(images.BrokenPicture):
            decode(data[: len(data) // 2], min_side=100)

    def test_flipped_bytes_never_raise_anything_else(self) -> None:
        rng = np.random.default_rng(0)
        for format in FORMATS:
            data = encode(draw(1, (40, 30)), format)
            for _ in range(60):
                broken = bytearray(data)
                for at in rng.integers(0, len(data), 4):
                    broken[at] = rng.integers(0, 256)
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    with contextlib.suppress(images.PictureError):
                        assert decode(bytes(broken), limits=Limits(max_pixels=1_000_000)).pixels.mode == "RGB"

    @pytest.mark.parametrize(
        "data",
        [b"hello, I am a text", "名前は猫".encode(), b"<!doctype html><html>not found</html>", b"GIF for you", b"BMW"],
    )
    def test_text_named_jpg(self, data: bytes) -> None:
        with pytest.raises(images.TextNotPicture) as caught:
            decode(data)
        assert "text file or a web page" in str(caught.value)
        assert "Send the picture itself" in str(caught.value)
        assert caught.value.code == "unsupported_format"

    @pytest.mark.parametrize(
        "data", [b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n", b"%PDF-1.4\nall of it text\n", b"\r\n%PDF-1.3\n"]
    )
    def test_a_pdf_has_its_own_message(self, data: bytes) -> None:
        with pytest.raises(images.PdfNotPicture, match="This is a PDF, not a picture"):
            decode(data)

    @pytest.mark.parametrize(
        "data",
        [
            b'<svg xmlns="http://www.w3.org/2000/svg"/>',
            b'\xef\xbb\xbf<?xml version="1.0"?>\n<!-- drawn -->\n<svg width="1"></svg>',
            b'<?xml version="1.0"?><!DOCTYPE svg PUBLIC "a" "b" [<!ENTITY c "d">]>\n<svg></svg>',
        ],
    )
    def test_an_svg_has_its_own_message(self, data: bytes) -> None:
        with pytest.raises(images.SvgUnsupported, match="Export it as PNG"):
            decode(data)

    @pytest.mark.parametrize("data", [b'<?xml version="1.0"?><html><svg></svg></html>', b'<?xml version="1.0"?><a/>'])
    def test_a_page_with_a_drawing_is_a_text_file(self, data: bytes) -> None:
        with pytest.raises(images.TextNotPicture):
            decode(data)

    @pytest.mark.parametrize("data", [b"\x00\x01\x02\x03" * 40, b"\x7fELF\x02\x01\x01" + bytes(60)])
    def test_other_bytes(self, data: bytes) -> None:
        with pytest.raises(images.UnsupportedFormat, match="Send it as JPEG"):
            decode(data)

    def test_dicom_is_decoded_by_its_bytes(self) -> None:
        from pydicom.data import get_testdata_file

        path = get_testdata_file("CT_small.dcm")
        assert isinstance(path, str)
        data = Path(path).read_bytes()
        bare = data[132:]  # without preamble, as old machines write them
        tiff = b"II*\0" + data[4:]  # the preamble may hold the header of another format
        found = [decode(stored) for stored in (data, bare, tiff)]
        assert {(one.format, one.width, one.height) for one in found} == {("DICOM", 128, 128)}
        assert len({one.pixels.tobytes() for one in found}) == 1

    def test_bomb_is_refused_before_it_is_decoded(self) -> None:
        data = bomb()
        assert len(data) < 2000
        tracemalloc.start()
        with pytest.raises(images.TooManyPixels) as caught:
            decode(data)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 5_000_000
        assert "1200000000 pixels" in str(caught.value)
        assert (caught.value.code, caught.value.status) == ("picture_too_large", 413)

    def test_bomb_between_pillows_warning_and_its_error(self) -> None:
        """More than our limit, less than twice Pillow's: only a warning, which must count as an error."""
        with pytest.raises(images.TooManyPixels):
            decode(png(12_000, 10_000, bytes(1000)))

    def test_pixel_limit_is_the_callers(self) -> None:
        data = picture(1, (100, 50))
        assert decode(data, limits=Limits(max_pixels=5000)).width == 100
        with pytest.raises(images.TooManyPixels):
            decode(data, limits=Limits(max_pixels=4999))

    def test_a_raised_limit_is_followed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
        assert decode(picture(1, (100, 50)), limits=Limits(max_pixels=6000)).width == 100

    def test_pixel_limit_holds_at_reduced_scale(self) -> None:
        with pytest.raises(images.TooManyPixels):
            decode(picture(1, (1600, 1200)), min_side=10, limits=Limits(max_pixels=1_000_000))

    def test_byte_limit(self) -> None:
        data = picture(1)
        assert decode(data, limits=Limits(max_bytes=len(data)))
        with pytest.raises(images.TooManyBytes):
            decode(data, limits=Limits(max_bytes=len(data) - 1))

    def test_compressed_comment_bomb(self) -> None:
        comment = png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(80_000_000)))
        with pytest.raises(images.BrokenPicture):
            decode(png(1, 1, b"\0\0\0\0", extra=comment))


class TestCrop:
    def test_in_upright_original_pixels(self) -> None:
        found = decode(encode(quadrants(), "PNG"))
        crop = found.crop((30, 20, 30, 20))
        assert crop.size == (30, 20)
        assert crop.getpixel((10, 10)) == QUADRANTS[3]

    def test_on_reduced_pixels(self) -> None:
        found = decode(encode(quadrants(1600, 1200), "JPEG"), min_side=150)
        crop = found.crop((800, 600, 800, 600))
        assert crop.size == (100, 75)
        assert corners(crop) == [QUADRANTS[3]] * 4

    def test_clipped(self) -> None:
        assert decode(encode(quadrants(), "PNG")).crop((-10, -10, 30, 1000)).size == (20, 40)

    def test_of_one_pixel_on_reduced_pixels(self) -> None:
        crop = decode(picture(1, (1600, 1200)), min_side=150).crop((1599, 1199, 1, 1))
        assert crop.size == (1, 1)

    @pytest.mark.parametrize("box", [(60, 0, 5, 5), (0, 40, 5, 5), (0, 0, 0, 5), (10, 10, -5, 5), (-9, 0, 9, 9)])
    def test_empty(self, box: tuple[int, int, int, int]) -> None:
        with pytest.raises(images.BadBox):
            decode(encode(quadrants(), "PNG")).crop(box)


class TestThumbnail:
    @pytest.mark.parametrize(
        ("size", "expected"), [((800, 400), (320, 160)), ((90, 60), (90, 60)), ((2000, 3), (320, 1))]
    )
    def test_size(self, size: tuple[int, int], expected: tuple[int, int]) -> None:
        data = thumbnail(draw(1, size))
        with Image.open(io.BytesIO(data)) as small:
            assert (small.format, small.size) == ("WEBP", expected)

    def test_leaves_the_picture_alone(self) -> None:
        source = draw(1, (800, 400))
        thumbnail(source)
        assert source.size == (800, 400)


def _swapped_profile() -> bytes:
    """sRGB with the tags of the red and the blue primary exchanged."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    for old, new in ((b"rXYZ", b"tmp1"), (b"bXYZ", b"rXYZ"), (b"tmp1", b"bXYZ")):
        at = profile.index(old, 128)
        profile[at : at + 4] = new
    return (
        bytes(profile)
        .replace("sRGB".encode("utf-16-be"), "swap".encode("utf-16-be"))
        .replace(b"sRGB built", b"swap built")
    )


def _twelve_bit_tiff() -> bytes:
    """Two pixels, 4095 and 0, twelve bits each, little endian."""
    entries = [
        (256, 3, 1, 2),
        (257, 3, 1, 1),
        (258, 3, 1, 12),
        (259, 3, 1, 1),
        (262, 3, 1, 1),
        (273, 4, 1, 8),
        (277, 3, 1, 1),
        (278, 3, 1, 1),
        (279, 4, 1, 3),
    ]
    ifd = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries) + bytes(4)
    return b"II*\0" + struct.pack("<I", 12) + b"\xff\xf0\x00\0" + ifd
