"""A picture and its product as the pages show them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.urls import reverse
from django.utils.formats import number_format
from django.utils.translation import gettext as _

from catalog.models import Image, Product
from search.services import Hit
from search.web.ranked import rule_name

# What browsers show of themselves; of other formats the thumbnail is shown.
BROWSERS_SHOW = frozenset({"JPEG", "PNG", "WEBP", "GIF", "BMP", "AVIF"})
SIGNS = {"USD": "$", "EUR": "€", "GBP": "£", "CNY": "¥", "JPY": "¥", "KRW": "₩", "INR": "₹"}
WHOLE = frozenset({"JPY", "KRW"})  # currencies without cents
THUMBNAIL_SIDE = 320


@dataclass(frozen=True)
class Card:
    """One hit, or one picture of a product, ready for a template."""

    image: Image
    title: str
    href: str
    more_href: str
    thumbnail: str
    width: int  # of the thumbnail
    height: int
    category: str = ""
    price: str = ""
    in_stock: bool | None = None  # None: not known
    percent: int | None = None  # how likely it is, if that is known, else its similarity
    likely: bool = False  # which of the two
    score: str = ""
    reasons: tuple[tuple[str, str], ...] = ()  # (name of the rule, what it did)
    why_href: str = ""  # of the page that shows what matched


def card(image: Image, slug: str, hit: Hit | None = None, question: str = "") -> Card:
    """``slug`` is its collection's, given so that a page of hits asks for no collection again.

    ``question``: what was asked, as it stands in the address of the results.
    """
    product = image.product
    width, height = fit(image.width, image.height, THUMBNAIL_SIDE)
    return Card(
        image=image,
        title=title(image),
        href=reverse("web:image", kwargs={"slug": slug, "image_id": image.pk}),
        more_href=f"{reverse('web:search', kwargs={'slug': slug})}?image={image.pk}",
        thumbnail=thumbnail_url(image),
        width=width,
        height=height,
        category=category(product.category) if product else "",
        price=price(product.price, product.currency) if product else "",
        in_stock=stocked(product),
        why_href=f"{reverse('web:why', kwargs={'slug': slug, 'image_id': image.pk})}?{question}" if question else "",
        **(_of_hit(hit) if hit else {}),
    )


def _of_hit(hit: Hit) -> dict[str, Any]:
    likely = hit.probability is not None
    return {
        "percent": percent(hit.score if hit.probability is None else hit.probability),
        "likely": likely,
        "score": number_format(round(hit.score, 3), 3),
        "reasons": tuple((rule_name(reason.rule), reason.text) for reason in hit.reasons),
    }


def cards(hits: Iterable[Hit], slug: str, question: str = "") -> list[Card]:
    return [card(hit.image, slug, hit, question) for hit in hits]


def title(image: Image) -> str:
    """The product's title, else the file's name made readable."""
    if image.product:
        return str(image.product)
    stem = PurePosixPath(urlsplit(image.source).path).stem
    return stem.replace("_", " ").replace("-", " ").strip() or _("Picture %(id)s") % {"id": image.pk}


def percent(score: float) -> int:
    """A probability or a cosine similarity as a whole number of hundred; what points away is nothing alike."""
    return round(100 * min(max(score, 0.0), 1.0))


def price(amount: Decimal | None, currency: str = "") -> str:
    """``$1,299.00``, ``¥1,299`` for a currency without cents, ``CHF 12.00`` for one without a sign."""
    if amount is None:
        return ""
    places = 0 if currency in WHOLE else 2
    number = f"{amount.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP):,}"
    if sign := SIGNS.get(currency):
        return f"{sign}{number}"
    return f"{currency}\N{NO-BREAK SPACE}{number}" if currency else number


def category(path: str) -> str:
    return path.replace("/", " › ")


def stocked(product: Product | None) -> bool | None:
    return None if product is None or product.stock is None else product.stock > 0


def thumbnail_url(image: Image) -> str:
    return f"{settings.MEDIA_URL}{image.thumbnail.name or image.file.name}"


def picture_url(image: Image) -> str:
    """The stored file if browsers show its format, else its thumbnail."""
    shown = image.format.upper() in BROWSERS_SHOW
    return f"{settings.MEDIA_URL}{image.file.name}" if shown else thumbnail_url(image)


def fit(width: int, height: int, side: int) -> tuple[int, int]:
    """Size within a square of ``side``, never enlarged; at least one pixel each way."""
    scale = min(1.0, side / max(width, height, 1))
    return max(1, round(width * scale)), max(1, round(height * scale))


def facts(product: Product) -> list[tuple[str, str]]:
    """What is known of a product, as (name, value) in the order they are read."""
    rows = [
        ("SKU", product.sku),
        (_("Brand"), product.brand),
        (_("Category"), category(product.category)),
        *((attribute_label(name), attribute_text(value)) for name, value in product.attributes.items()),
    ]
    return [(name, value) for name, value in rows if value]


def attribute_label(name: str) -> str:
    text = name.replace("_", " ").strip()
    return text[:1].upper() + text[1:]


def attribute_text(value: object) -> str:
    """A value of a product's attributes as text; lists become one line."""
    if isinstance(value, list):
        return ", ".join(map(attribute_text, value))
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    return "" if value is None else str(value)


def shop_url(product: Product) -> str:
    """The product's own page, if it is on the web: an import may hold any text."""
    return product.url if urlsplit(product.url).scheme in {"http", "https"} else ""
