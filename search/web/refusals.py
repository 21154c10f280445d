"""An error in the reader's words: also what fills its template, where that is a phrase or a field's name."""

from __future__ import annotations

from django.utils.translation import gettext

from catalog.errors import LookalikeError, gettext_noop

# What the core puts into its templates, untranslated, because programs read it too.
PHRASES = frozenset(
    {gettext_noop("a number such as 12.50"), gettext_noop("a number up to price_max"), gettext_noop("1 or 0")}
)
NAMES = {
    "price_min": gettext_noop("Price from"),
    "price_max": gettext_noop("Price to"),
    "in_stock": gettext_noop("In stock only"),
    "category": gettext_noop("Category"),
}


def say(error: LookalikeError) -> str:
    """Cause and cure in the language of this request."""
    params = dict(error.params)
    if params.get("name") in NAMES:
        params["name"] = gettext(NAMES[str(params["name"])])
    if params.get("expected") in PHRASES:
        params["expected"] = gettext(str(params["expected"]))
    parts = [gettext(part) % params for part in (error.text, error.cure) if part]
    return ("" if parts[0].endswith("。") else " ").join(parts)  # a full-width stop brings its own space
