"""What a results address asks, read from it and written back to it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias
from urllib.parse import urlencode

from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, QueryDict
from django.urls import reverse

from catalog.models import Collection, Image, ImageRole
from search.filters import Filters
from search.models import UploadedQuery
from search.web.forms import parse_box

PAGE_SIZE = 24
MAX_PAGE = 40  # beyond it nobody looks, and deep offsets cost

Box: TypeAlias = tuple[int, int, int, int]
Subject: TypeAlias = UploadedQuery | Image


@dataclass(frozen=True)
class Asked:
    """A picture (uploaded, or one of the catalog), a box of it, filters and a page."""

    collection: Collection
    subject: Subject
    box: Box | None = None
    filters: Filters = field(default_factory=Filters)
    page: int = 1

    @property
    def is_upload(self) -> bool:
        return isinstance(self.subject, UploadedQuery)

    @property
    def offset(self) -> int:
        return (self.page - 1) * PAGE_SIZE

    @property
    def who(self) -> tuple[str, str]:
        """The address parameter that names the picture."""
        return ("query" if self.is_upload else "image", str(self.subject.pk))

    @property
    def box_text(self) -> str:
        return ",".join(map(str, self.box)) if self.box else ""

    def href(self, **changes: Any) -> str:
        """The address of the same question, changed; another filter or box starts at the first page."""
        asked = replace(self, **{"page": 1, **changes})
        pairs = [asked.who]
        pairs += [("box", asked.box_text)] if asked.box else []
        pairs += asked.filters.to_query()
        pairs += [("page", str(asked.page))] if asked.page > 1 else []
        address = reverse("web:search", kwargs={"slug": self.collection.slug})
        return f"{address}?{urlencode(pairs, safe=',')}"


def subject_of(collection: Collection, params: QueryDict) -> Subject:
    """The picture that an address names, of this collection; raises Http404."""
    try:
        if key := params.get("query"):
            return UploadedQuery.objects.get(collection=collection, pk=key)
        return Image.objects.select_related("product").get(
            collection=collection, role=ImageRole.GALLERY, pk=int(params.get("image", ""))
        )
    except (UploadedQuery.DoesNotExist, Image.DoesNotExist, ValidationError, ValueError, OverflowError):
        raise Http404 from None


def asked_of(collection: Collection, request: HttpRequest) -> Asked:
    """Read the whole question; raises Http404 without a picture, BadBox or BadFilter for the rest."""
    params = request.GET
    asked = Asked(collection, subject_of(collection, params))
    box, filters = parse_box(params.get("box", "")), Filters.from_query(params)
    return replace(asked, box=box, filters=filters, page=_page(params.get("page", "")))


def _page(text: str) -> int:
    """A page number; anything else is the first page."""
    return min(max(int(text), 1), MAX_PAGE) if text.isascii() and text.isdigit() and len(text) < 6 else 1
