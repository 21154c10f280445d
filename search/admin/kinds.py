"""The kinds of index to choose from, each with what it would be for a collection as large as it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
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
from search.indexes import auto_factory, build_index
from search.indexes.milvus_kinds import auto_kind, counterpart, kind_of
from search.indexes.presets import presets
from search.models import Engine, FeatureModel, SearchIndex

BY_SIZE, OWN = "", "own"
ENOUGH = 1000  # more pictures: what each of them adds, without what all of them share (cells, axes)


@dataclass(frozen=True)
class Kind:
    """``make`` tells FAISS's factory for so many pictures of so many dimensions; None where it is written by hand."""

    value: str
    title: str
    says: str
    make: Callable[[int, int], str] | None = None

    def factory(self, engine: str, count: int, dim: int) -> str:
        """Empty where it is written by hand. Raises BadFactory where Milvus has no such kind."""
        if self.make is None:
            return ""
        if engine != Engine.MILVUS:
            return self.make(count, dim)
        return auto_kind(count) if self.value == BY_SIZE else counterpart(self.make(count, dim), dim)


def kinds() -> dict[str, Kind]:
    """By size first, then the presets in their order, then a factory string of one's own."""
    by_size = gettext("Exact while that is quick, then a graph over 8-bit codes, then 1-bit codes in cells.")
    own = gettext("For those who know FAISS or Milvus: any of its factory strings or index types, written below.")
    found = [
        Kind(BY_SIZE, gettext("Chosen by the size of the collection"), by_size, lambda n, dim: auto_factory(n, dim)[0]),
        *(Kind(name, gettext(one.title), gettext(one.says), one.factory) for name, one in presets().items()),
        Kind(OWN, gettext("A factory string"), own),
    ]
    return {kind.value: kind for kind in found}


def picture_count(collection: Collection) -> int:
    return Image.objects.filter(collection=collection, role=ImageRole.GALLERY).count()


def try_out(engine: str, factory: str, dim: int, params: Mapping[str, Any]) -> None:
    """Raises BadFactory, or BadParameter for a search parameter the index would not have. Asks no server."""
    if engine == Engine.MILVUS:
        kind_of(factory, dim).check(params)
    else:
        build_index(factory, dim, **params)


def outlook(engine: str, factory: str, count: int, dim: int) -> str:
    """What an index would take: ``HNSW32,SQ8 · 1,640 B a picture · 16 MB in memory``. Raises BadFactory."""
    memory, more = (_memory(engine, factory, pictures, dim, count) for pictures in (count, count + ENOUGH))
    each = gettext("%s B a picture") % f"{(more - memory) / ENOUGH:,.0f}"
    where = gettext("%s on the server") if engine == Engine.MILVUS else gettext("%s in memory")
    return f"{factory} · {each} · {where % size(memory)}"


def _memory(engine: str, factory: str, pictures: int, dim: int, built_for: int) -> int:
    if engine != Engine.MILVUS:
        from search.indexes.footprint import estimated_bytes  # FAISS: not before a process has forked

        return estimated_bytes(factory, dim, pictures)
    kind = kind_of(factory, dim)
    return kind.code_bytes(pictures, dim, kind.build_params(max(1, built_for), dim))


def outlooks(
    collection: Collection | None, feature_model: FeatureModel | None, engine: str = Engine.FAISS, own: str = ""
) -> dict[str, str]:
    """What each kind would be, or why it cannot be, by its value; empty while it is not known for how much."""
    if collection is None or feature_model is None or not feature_model.dim:
        return {}
    count, dim = picture_count(collection), feature_model.dim
    return {value: _told(kind, engine, count, dim, own) for value, kind in kinds().items()}


def _told(kind: Kind, engine: str, count: int, dim: int, own: str) -> str:
    try:
        factory = kind.factory(engine, count, dim) or own
        return outlook(engine, factory, count, dim) if factory else ""
    except LookalikeError as error:
        return error_text(error)


def known_outlooks(index: SearchIndex) -> dict[str, str]:
    """``outlooks`` of a row, or of a form that has not got so far."""
    collection = index.collection if index.collection_id else None
    feature_model = index.feature_model if index.feature_model_id else None
    return outlooks(collection, feature_model, index.engine, index.factory)


class KindSelect(forms.Widget):
    """Radio buttons, each with what the kind costs and keeps."""

    outlooks: dict[str, str]

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        super().__init__(attrs)
        self.outlooks = {}

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        rows: Iterable[dict[str, Any]] = (
            {"kind": kind, "outlook": self.outlooks.get(kind.value, ""), "checked": kind.value == (value or BY_SIZE)}
            for kind in kinds().values()
        )
        return render_to_string(
            "admin/lookalike/index_kinds.html", {"name": name, "rows": rows, "url": admin_url(SearchIndex, "kinds")}
        )
