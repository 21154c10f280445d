"""How prices, titles and sizes are written."""

from __future__ import annotations

import re
from contextlib import nullcontext
from decimal import Decimal

import pytest
from django.utils import translation
from hypothesis import given
from hypothesis import strategies as st

from catalog.models import Image, Product
from search.web.cards import attribute_label, fit, percent, price, stocked, title
from search.web.forms import MalformedBox, parse_box


@pytest.mark.parametrize(
    ("amount", "currency", "shown"),
    [
        (None, "USD", ""),
        (Decimal("0"), "USD", "$0.00"),
        (Decimal("1299"), "USD", "$1,299.00"),
        (Decimal("1299.5"), "JPY", "¥1,300"),
        (Decimal("12.5"), "CHF", "CHF\N{NO-BREAK SPACE}12.50"),
        (Decimal("12.5"), "", "12.50"),
    ],
)
def test_price(amount: Decimal | None, currency: str, shown: str) -> None:
    assert price(amount, currency) == shown


def test_price_reads_the_same_in_chinese() -> None:
    with translation.override("zh-hans"):
        assert price(Decimal("12999.5"), "CNY") == "¥12,999.50"


@pytest.mark.parametrize(("score", "shown"), [(1.0000001, 100), (0.934, 93), (0.0, 0), (-0.4, 0)])
def test_percent(score: float, shown: int) -> None:
    assert percent(score) == shown


@given(st.integers(1, 60_000), st.integers(1, 60_000))
def test_fit_keeps_within_the_square_and_the_proportions(width: int, height: int) -> None:
    w, h = fit(width, height, 320)
    assert 1 <= w <= min(320, width)
    assert 1 <= h <= min(320, height)
    assert abs(w * height - h * width) <= max(width, height)  # within one pixel


@pytest.mark.parametrize(
    ("source", "shown"),
    [("a/b/red_mug-2.jpg", "red mug 2"), ("https://x.example/p/cat.png?w=3", "cat"), ("", "Picture 7")],
)
def test_title_of_a_picture_without_a_product(source: str, shown: str) -> None:
    assert title(Image(pk=7, source=source)) == shown


def test_stock_not_known_is_not_out_of_stock() -> None:
    assert stocked(None) is None
    assert stocked(Product(stock=None)) is None
    assert stocked(Product(stock=0)) is False
    assert stocked(Product(stock=1)) is True


def test_attribute_label() -> None:
    assert attribute_label("frame_colour") == "Frame colour"


@given(
    st.tuples(
        st.integers(0, 9_999_999), st.integers(0, 9_999_999), st.integers(1, 9_999_999), st.integers(1, 9_999_999)
    )
)
def test_a_box_is_read_as_it_is_written(box: tuple[int, int, int, int]) -> None:
    assert parse_box(",".join(map(str, box))) == box


@given(st.text(alphabet="0123456789,.-+ e٣", max_size=12) | st.just("0,0,1,1"))
def test_any_other_text_is_a_named_refusal(text: str) -> None:
    refused = not re.fullmatch(r"|(\d{1,7},){2}0*[1-9]\d*,0*[1-9]\d*", text, re.ASCII)
    with pytest.raises(MalformedBox) if refused else nullcontext():
        parse_box(text)
