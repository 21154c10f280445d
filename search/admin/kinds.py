"""The kinds of index to choose from, each with what it would be for a collection as large as it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from django import forms
from django.template.loader import render_to_string
from django.utils.safestring import SafeString
from django.utils.translation import gettext

from catalog.admin.base import admin_url, error_text
from catalog.admin.wording import size
from catalog.errors import LookalikeError
from catalog.models import Collection, Image, ImageRole
from search.indexes import auto_factory
from search.indexes.footprint import estimated_bytes
from search.models import FeatureModel, SearchIndex

try:
    from search.indexes.presets import presets  # type: ignore[import-not-found, unused-ignore]
except ModuleNotFoundError:  # being written

    def presets() -> dict[str, Any]:
        return {}


BY_SIZE, OWN = "", "own"


@dataclass(frozen=True)
class Kind:
    """``factory`` tells it for so many pictures of so many dimensions; None where it is written by hand."""

    value: str
    title: str
    says: str
    factory: Callable[[int, int], str] | None = None


def kinds() -> list[Kind]:
    """By size first, then the presets in their order, then a factory string of one's own."""
    by_size = gettext("Exact while that is quick, then a graph over 8-bit codes, then inverted lists.")
    own = gettext("For those who know FAISS: any of its factory strings, written below.")
    return [
        Kind(BY_SIZE, gettext("Chosen by the size of the collection"), by_size, lambda n, dim: auto_factory(n, dim)[0]),
        *(Kind(name, gettext(one.title), gettext(one.says), one.factory) for name, one in presets().items()),
        Kind(OWN, gettext("A factory string"), own),
    ]


@dataclass(frozen=True)
class Outlook:
    """What a kind would be for one collection: its factory and what that takes, or why it cannot be."""

    factory: str = ""
    bytes_each: float = 0.0
    memory: int = 0
    problem: str = ""

    def __str__(self) -> str:
        if self.problem:
            return self.problem
        if not self.factory:
            return ""
        each = gettext("%s B a picture") % f"{self.bytes_each:,.0f}"
        return f"{self.factory} · {each} · {gettext('%s in memory') % size(self.memory)}"


def outlook(factory: str, count: int, dim: int) -> Outlook:
    """``count`` pictures of ``dim`` dimensions; nothing is trained for it."""
    try:
        memory = estimated_bytes(factory, dim, max(1, count))
    except LookalikeError as error:
        return Outlook(problem=error_text(error))
    return Outlook(factory, memory / max(1, count), memory)


def outlooks(collection: Collection | None, feature_model: FeatureModel | None, own: str = "") -> dict[str, str]:
    """What each kind would be, by its value; empty while it is not known for how much."""
    if collection is None or feature_model is None or not feature_model.dim:
        return {}
    count = Image.objects.filter(collection=collection, role=ImageRole.GALLERY).count()
    dim = feature_model.dim
    found = {kind.value: kind.factory(count, dim) if kind.factory else own for kind in kinds()}
    return {value: str(outlook(factory, count, dim)) if factory else "" for value, factory in found.items()}


def known_outlooks(index: SearchIndex) -> dict[str, str]:
    """``outlooks`` of a row, or of a form that has not got so far."""
    collection = index.collection if index.collection_id else None
    return outlooks(collection, index.feature_model if index.feature_model_id else None, index.factory)


class KindSelect(forms.Widget):
    """Radio buttons, each with what the kind costs and keeps."""

    outlooks: dict[str, str]

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        super().__init__(attrs)
        self.outlooks = {}

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        rows: Iterable[dict[str, Any]] = (
            {"kind": kind, "outlook": self.outlooks.get(kind.value, ""), "checked": kind.value == (value or BY_SIZE)}
            for kind in kinds()
        )
        return render_to_string(
            "admin/lookalike/index_kinds.html", {"name": name, "rows": rows, "url": admin_url(SearchIndex, "kinds")}
        )
