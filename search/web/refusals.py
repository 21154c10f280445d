"""An error in a visitor's words: units people read, names of the form's fields, cures a visitor can apply."""

from __future__ import annotations

from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext

from catalog.errors import LookalikeError, gettext_noop
from catalog.fetch import FetchTooLarge
from catalog.images import HeicUnsupported, TooManyBytes, TooManyPixels
from search.filters import BadFilter

SMALLER = gettext_noop("Send a smaller copy.")
FETCHED_TOO_LARGE = gettext_noop("The file at this address is too large: more than %(max_bytes)s.")
# The core's own words also address who runs the site and programs; these are for who visits it.
WORDS: dict[type[LookalikeError], tuple[str, str]] = {
    TooManyBytes: (gettext_noop("The file is too large: more than %(max_bytes)s."), SMALLER),
    FetchTooLarge: (
        gettext_noop("The file at this address is too large: more than %(max_bytes)s."),
        FetchTooLarge.cure,
    ),
    TooManyPixels: (gettext_noop("The picture is too large: %(pixels)s, more than %(max_pixels)s."), SMALLER),
    HeicUnsupported: (HeicUnsupported.text, gettext_noop("Send it as JPEG.")),
    BadFilter: (gettext_noop("“%(name)s” cannot be %(value)s."), BadFilter.cure),
}
# What the core puts into its templates, untranslated, because programs read it too.
PHRASES = {
    "a number such as 12.50": gettext_noop("a number such as 12.50"),
    "a number up to price_max": gettext_noop("a number no higher than “Price to”"),
    "1 or 0": gettext_noop("1 or 0"),
    "a number from 0 to 1": gettext_noop("a number from 0 to 1"),
}
NAMES = {
    "price_min": gettext_noop("Price from"),
    "price_max": gettext_noop("Price to"),
    "in_stock": gettext_noop("In stock only"),
    "category": gettext_noop("Category"),
    "min_p": gettext_noop("How likely"),
}


def say(error: LookalikeError) -> str:
    """Cause and cure in the language of this request."""
    params = {name: _shown(name, value) for name, value in error.params.items()}
    texts = WORDS.get(type(error), (error.text, error.cure))
    parts = [gettext(part) % params for part in texts if part]
    return ("" if parts[0].endswith("。") else " ").join(parts)  # a full-width stop brings its own space


def _shown(name: str, value: object) -> object:
    if name == "max_bytes":
        return filesizeformat(str(value)).replace("\N{NO-BREAK SPACE}", " ").replace(".0 ", " ")  # 32 MB
    if name in {"pixels", "max_pixels"}:
        return _megapixels(int(str(value)))
    known = {"name": NAMES, "expected": PHRASES}.get(name, {})
    return gettext(known[str(value)]) if str(value) in known else value


def _megapixels(count: int) -> str:
    """``900 megapixels``; a small limit of somebody's own to the pixel."""
    if count < 1_000_000:
        return gettext("%d pixels") % count
    return gettext("%d megapixels") % round(count / 1_000_000)
