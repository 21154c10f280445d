"""From stored values to greys: rescale and tables, windows in every form, what stands for a window that is missing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from catalog.dicom.errors import BadFrame, BadFrames, BadWindow, WindowNotFor
from catalog.dicom.frames import frame_chosen, frames_chosen
from catalog.dicom.reading import dicom_open
from catalog.dicom.rendering import Rendered, render, stored_vois
from catalog.dicom.windows import AS_STORED, PRESETS, Window, derived, window_choice, windowed
from catalog.images import Limits
from tests.catalog.dicom_files import item, items, made, ramp

HU = {"RescaleSlope": 1, "RescaleIntercept": -1024}


def shown(data: bytes, frame: int = 1, window: str = "") -> Rendered:
    return render(dicom_open(data, Limits()), frame, window_choice(window))


def greys(values: list[float], center: float, width: float, function: str = "LINEAR") -> list[int]:
    return [round(255 * share) for share in windowed(np.array(values, float), Window(center, width, function))]


def words(*values: int) -> bytes:
    return np.array(values, "<u2").tobytes()


class TestFormulas:
    """By hand, from PS3.3 C.11.2."""

    def test_linear(self) -> None:
        # c = 100, w = 11: black up to 94.5, white above 104.5, (x - 99.5) / 10 + 0.5 between them
        assert greys([90, 94.5, 95, 99.5, 104.4, 104.6, 200], 100, 11) == [0, 0, 13, 128, 252, 255, 255]

    def test_linear_of_width_one_is_a_step(self) -> None:
        assert greys([99, 99.5, 99.6, 100], 100, 1) == [0, 0, 255, 255]

    def test_linear_exact(self) -> None:
        assert greys([95, 100, 102.5, 105], 100, 10, "LINEAR_EXACT") == [0, 128, 191, 255]
        assert greys([99.9, 100, 100.05], 100, 0.1, "LINEAR_EXACT") == [0, 128, 255]  # may be narrower than one

    def test_sigmoid(self) -> None:
        expected = [round(255 / (1 + np.exp(-4 * (x - 100) / 20))) for x in (0, 90, 100, 110, 1e9)]
        assert greys([0, 90, 100, 110, 1e9], 100, 20, "SIGMOID") == expected
        assert expected[2] == 128

    @pytest.mark.parametrize(("center", "width"), [(40, 0), (40, -1), (40, 0.5), (np.nan, 1), (np.inf, 1), (0, np.inf)])
    def test_no_window(self, center: float, width: float) -> None:
        with pytest.raises(BadWindow):
            Window(center, width)


class TestOrder:
    def test_rescale_comes_before_the_window(self) -> None:
        values = np.array([[0, 1024, 1064, 1224, 4000]], "<u2")
        found = shown(made(values, WindowCenter=40, WindowWidth=400, **HU))
        assert found.pixels.tolist() == [greys([-1024, 0, 40, 200, 2976], 40, 400)]

    def test_monochrome1_is_turned_over_at_last(self) -> None:
        values = ramp()
        light = shown(made(values, WindowCenter=0, WindowWidth=500)).pixels
        dark = shown(made(values, WindowCenter=0, WindowWidth=500, PhotometricInterpretation="MONOCHROME1")).pixels
        assert (dark == 255 - light).all()

    def test_modality_table(self) -> None:
        """Ends are continued; the window is in the units of its entries."""
        table = item(LUTDescriptor=[4, 10, 16], LUTData=words(0, 100, 200, 1000), ModalityLUTType="HU")
        values = np.array([[0, 10, 11, 12, 13, 99]], "<u2")
        found = shown(made(values, ModalityLUTSequence=items(table), WindowCenter=500, WindowWidth=1000))
        assert found.pixels.tolist() == [greys([0, 0, 100, 200, 1000, 1000], 500, 1000)]

    def test_voi_table_goes_before_the_window(self) -> None:
        table = item(LUTDescriptor=[3, -2, 8], LUTData=words(0, 51, 255))  # the first is of -2
        values = np.array([[-9, -2, -1, 0, 7]], "<i2")
        data = made(values, VOILUTSequence=items(table), WindowCenter=0, WindowWidth=10)
        assert shown(data).is_table
        assert shown(data).pixels.tolist() == [[0, 0, 51, 255, 255]]
        assert shown(data, window="stored:2").pixels.tolist() == [greys([-9, -2, -1, 0, 7], 0, 10)]

    def test_eight_bits_are_spread_by_the_window_not_by_the_picture(self) -> None:
        """Two slices of a series stay comparable: the same value is the same grey in both."""
        tags: dict[str, Any] = {"WindowCenter": 40, "WindowWidth": 400, **HU}
        one = shown(made(np.array([[1000, 1100]], "<u2"), **tags)).pixels
        other = shown(made(np.array([[1000, 3000]], "<u2"), **tags)).pixels
        assert one[0, 0] == other[0, 0]
        assert one.max() < 255

    def test_signed_and_unused_bits(self) -> None:
        """Twelve bits of sixteen, shifted up by two, with an overlay's plane in the highest."""
        values = np.array([-2048, -1, 0, 5, 2047])
        raw = ((values & 0xFFF) << 2 | 0x8000 | 0x1).astype("<u2").reshape(1, 5)
        data = made(
            raw, BitsStored=12, HighBit=13, PixelRepresentation=1, WindowCenter=0, WindowWidth=4096, Modality="MR"
        )
        assert shown(data).pixels.tolist() == [greys(values.tolist(), 0, 4096)]

    def test_colour_takes_no_window(self) -> None:
        values = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
        data = made(values, WindowCenter=1, WindowWidth=2)
        assert (shown(data).pixels == values).all()
        assert shown(data).window is None
        with pytest.raises(WindowNotFor):
            shown(data, window="40/400")

    def test_palette(self) -> None:
        tables = {
            f"{colour}PaletteColorLookupTableData": np.array(entries, "<u2").tobytes()
            for colour, entries in (("Red", [0, 65535, 256]), ("Green", [0, 0, 512]), ("Blue", [65535, 0, 768]))
        }
        described = {f"{colour}PaletteColorLookupTableDescriptor": [3, 0, 16] for colour in ("Red", "Green", "Blue")}
        data = made(
            np.array([[0, 1, 2, 9]], np.uint8), PhotometricInterpretation="PALETTE COLOR", **tables, **described
        )
        assert shown(data).pixels.tolist() == [[[0, 0, 255], [255, 0, 0], [1, 2, 3], [1, 2, 3]]]


class TestForms:
    """What files hold in WindowCenter and WindowWidth."""

    def test_several(self) -> None:
        data = made(
            ramp(), WindowCenter=[40, -600], WindowWidth=[400, 1500], WindowCenterWidthExplanation=["ABD", "Lung"]
        )
        found = stored_vois(dicom_open(data, Limits()), 1)
        assert [(one.center, one.width, one.name) for one in found if isinstance(one, Window)] == [
            (40, 400, "Abd"),
            (-600, 1500, "Lung"),
        ]
        assert shown(data).window == found[0]
        assert shown(data, window="stored:2").window == found[1]
        with pytest.raises(WindowNotFor):
            shown(data, window="stored:3")

    @pytest.mark.parametrize(
        "tags",
        [
            {"WindowCenter": None, "WindowWidth": None},
            {"WindowCenter": "", "WindowWidth": ""},
            {"WindowCenter": 40},
            {"WindowWidth": 400},
            {"WindowCenter": 40, "WindowWidth": 0},
            {"WindowCenter": 40, "WindowWidth": -5},
        ],
    )
    def test_half_and_senseless_ones_count_as_none(self, tags: dict[str, Any]) -> None:
        found = shown(made(ramp(), Modality="MR", **tags))
        assert found.window is not None
        assert found.window.how == "derived"
        assert (found.pixels.min(), found.pixels.max()) == (0, 255)

    def test_more_centers_than_widths(self) -> None:
        found = stored_vois(dicom_open(made(ramp(), WindowCenter=[1, 2, 3], WindowWidth=[10, 20]), Limits()), 1)
        assert len(found) == 2

    def test_width_one_is_legal(self) -> None:
        found = shown(made(ramp(), WindowCenter=100, WindowWidth=1))
        assert set(np.unique(found.pixels)) == {0, 255}
        assert found.window is not None
        assert found.window.how == "stored"

    def test_an_explanation_is_kept_in_known_words_alone(self) -> None:
        said = ["WINDOW1", "Soft Tissue", "Featherstone", "lung 4815162342"]
        data = made(ramp(), WindowCenter=[1, 2, 3, 4], WindowWidth=[9] * 4, WindowCenterWidthExplanation=said)
        found = stored_vois(dicom_open(data, Limits()), 1)
        assert [one.name for one in found if isinstance(one, Window)] == ["Window1", "Soft tissue", "", ""]


class TestFunctionalGroups:
    def enhanced(self) -> bytes:
        """Two frames: a rescale they share, a window of the second's own, one for the file."""
        values = np.stack([ramp("<u2", 0, 4), ramp("<u2", 0, 4)])
        shared = item(PixelValueTransformationSequence=items(item(RescaleSlope=2, RescaleIntercept=-500)))
        own = item(FrameVOILUTSequence=items(item(WindowCenter=0, WindowWidth=100, VOILUTFunction="LINEAR_EXACT")))
        return made(
            values,
            SharedFunctionalGroupsSequence=items(shared),
            PerFrameFunctionalGroupsSequence=items(item(), own),
            WindowCenter=100,
            WindowWidth=1000,
        )

    def test_each_frame_by_its_nearest(self) -> None:
        data, values = self.enhanced(), 2.0 * ramp("<u2", 0, 4) - 500
        first, second = shown(data, 1), shown(data, 2)
        assert str(first.window) == "100/1000"
        assert np.abs(first.pixels - 255 * windowed(values, Window(100, 1000))).max() <= 0.5
        assert str(second.window) == "0/100"
        assert np.abs(second.pixels - 255 * windowed(values, Window(0, 100, "LINEAR_EXACT"))).max() <= 0.5

    def test_frames_are_counted_from_one(self) -> None:
        for frame in (0, 3):
            with pytest.raises(BadFrame):
                shown(self.enhanced(), frame)


class TestDerived:
    """A file without a window gets one by rule, the same each time, and says so."""

    def test_ct_by_convention(self) -> None:
        found = shown(made(ramp("<u2", 0, 8), **HU))
        assert found.window == Window(50, 400, how="derived")

    def test_eight_bits_as_they_are(self) -> None:
        values = np.arange(100, 116, dtype=np.uint8).reshape(4, 4)
        assert (shown(made(values, Modality="US")).pixels == values).all()

    def test_one_for_all_frames_of_a_file(self) -> None:
        values = np.stack([np.full((4, 4), 500 * frame, "<u2") for frame in range(3)])
        found = [shown(made(values, Modality="MR"), frame) for frame in (1, 2, 3)]
        assert len({one.window for one in found}) == 1
        assert [int(one.pixels[0, 0]) for one in found] == [0, 128, 255]

    def test_by_what_the_series_says(self) -> None:
        data = made(ramp("<u2", 0, 1), Modality="MR", SmallestPixelValueInSeries=0, LargestPixelValueInSeries=1020)
        assert shown(data).pixels.max() == 64

    def test_padding_does_not_count(self) -> None:
        values = np.array([[-2000, 0, 100, 200]], "<i2")
        found = shown(made(values, Modality="MR", PixelPaddingValue=-2000))
        assert found.pixels.tolist() == [[0, 0, 128, 255]]

    def test_a_picture_of_one_value(self) -> None:
        assert len(np.unique(shown(made(np.full((4, 4), 7, "<u2"), Modality="MR")).pixels)) == 1

    def test_floats(self) -> None:
        ds_values = np.array([[0.0, 0.25, np.nan, 1.0]], "<f4")
        from tests.catalog.dicom_files import dataset, written

        ds = dataset(np.zeros((1, 4), "<u2"), Modality="OT")
        del ds.PixelData
        ds.add_new("FloatPixelData", "OF", ds_values.tobytes())
        ds.BitsAllocated = 32
        assert shown(written(ds)).pixels.tolist() == [[0, 64, 0, 255]]

    def test_nothing_to_spread(self) -> None:
        assert derived(5, 5).width == 1
        assert derived(float("nan"), 1).how == "derived"


class TestChoices:
    @pytest.mark.parametrize("name", list(PRESETS))
    def test_presets_are_for_ct(self, name: str) -> None:
        assert shown(made(ramp(), **HU), window=name).window == PRESETS[name]
        with pytest.raises(WindowNotFor):
            shown(made(ramp(), Modality="MR"), window=name)

    def test_own(self) -> None:
        assert shown(made(ramp(), Modality="MR"), window=" -12.5 / 30 ").window == Window(-12.5, 30, how="own")

    @pytest.mark.parametrize("text", ["", "stored", "stored:1", "Stored"])
    def test_as_stored(self, text: str) -> None:
        assert window_choice(text) == AS_STORED

    @pytest.mark.parametrize("text", ["Soft tissue", "SOFT_TISSUE", "soft-tissue"])
    def test_names_are_read_generously(self, text: str) -> None:
        assert window_choice(text).other == PRESETS["soft-tissue"]

    @pytest.mark.parametrize("text", ["lungs", "stored:0", "40", "40/", "40/0", "40/0.5", "a/b", "1e5/3", "9" * 99])
    def test_nonsense(self, text: str) -> None:
        with pytest.raises(BadWindow):
            window_choice(text)

    def test_the_text_of_a_choice_is_read_again(self) -> None:
        for text in ("", "stored:2", "lung", "40/400", "-0.5/1.5"):
            assert window_choice(window_choice(text).text) == window_choice(text)

    def test_frames(self) -> None:
        assert frames_chosen("", 7) == frames_chosen("first", 7) == [1]
        assert frames_chosen("middle", 7) == [4]
        assert frames_chosen("Last ", 7) == [7]
        assert frames_chosen("every:3", 7) == frames_chosen("every 3", 7) == [1, 4, 7]
        assert frames_chosen("5, 2,5", 7) == [2, 5]
        assert frames_chosen("all", 3) == [1, 2, 3]
        assert frame_chosen("middle", 2) == 1

    @pytest.mark.parametrize("text", ["none", "0", "-1", "1-3", "every:0", "1," * 200])
    def test_frames_that_cannot_be_read(self, text: str) -> None:
        with pytest.raises(BadFrames):
            frames_chosen(text, 7)

    def test_frames_that_are_not_there(self) -> None:
        with pytest.raises(BadFrame):
            frames_chosen("3,8", 7)
        with pytest.raises(BadFrames):
            frame_chosen("all", 7)
