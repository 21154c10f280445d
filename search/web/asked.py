"""What a results address asks, read from it and written back to it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias
from urllib.parse import urlencode

from django.core.exceptions import ValidationError
from django.http import Http404, QueryDict
from django.urls import reverse

from catalog.models import Collection, Image, ImageRole
from catalog.viewing import is_dicom_file, view_bytes
from search.filters import BadFilter, Filters
from search.models import UploadedQuery
from search.services import Example
from search.web.forms import parse_box
from search.web.medical import AS_STORED, View, view_of
from search.web.more import added, ticked

PAGE_SIZE = 24
MAX_PAGE = 40  # beyond it nobody looks, and deep offsets cost

Box: TypeAlias = tuple[int, int, int, int]
Subject: TypeAlias = UploadedQuery | Image


@dataclass(frozen=True)
class Asked:
    """A picture (uploaded, or one of the catalog), a box of it, filters and a page.

    ``also``: further uploaded pictures; ``liked`` and ``unliked``: hits that were ticked. ``min_p``: the
    least probability of hits that are not folded away; None leaves it to the index. ``view``: the frame and window of
    a picture that came as DICOM.
    """

    collection: Collection
    subject: Subject
    box: Box | None = None
    filters: Filters = field(default_factory=Filters)
    page: int = 1
    also: tuple[UploadedQuery, ...] = ()
    liked: tuple[Image, ...] = ()
    unliked: tuple[Image, ...] = ()
    min_p: float | None = None
    view: View = AS_STORED

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

    @property
    def more(self) -> list[tuple[str, str]]:
        """The address parameters of the further examples, and of the view."""
        named = (("also", self.also), ("like", self.liked), ("unlike", self.unliked))
        return [*self.view.pairs, *((name, str(one.pk)) for name, ones in named for one in ones)]

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """All that is asked, but for the page."""
        pairs = [self.who]
        pairs += [("box", self.box_text)] if self.box else []
        pairs += [*self.more, *self.filters.to_query()]
        return pairs + ([("min_p", f"{self.min_p:g}")] if self.min_p is not None else [])

    @property
    def query(self) -> str:
        return urlencode(self.pairs, safe=",")

    def href(self, **changes: Any) -> str:
        """The address of the same question, changed; another filter, box or example starts at the first page."""
        asked = replace(self, **{"page": 1, **changes})
        page = f"&page={asked.page}" if asked.page > 1 else ""
        return f"{reverse('web:search', kwargs={'slug': self.collection.slug})}?{asked.query}{page}"

    def examples(self) -> Iterator[Example]:
        """What is searched by. A picture that is liked counts as much as the asking one."""
        if isinstance(self.subject, UploadedQuery):
            name = str(self.subject.file.name)
            if self.view and is_dicom_file(name):
                yield Example(data=view_bytes(name, self.view.frame, self.view.window), box=self.box)
            else:
                yield Example(query=self.subject, box=self.box)
        else:
            yield Example(image=self.subject, box=self.box)
        yield from (Example(query=one) for one in self.also)
        yield from (Example(image=one) for one in self.liked)
        yield from (Example(image=one, weight=-1.0) for one in self.unliked)


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


def example_of(collection: Collection, params: QueryDict) -> Asked:
    """The pictures of a question, without the rest of it; raises Http404 without a picture."""
    subject = subject_of(collection, params)
    liked, unliked = ticked(collection, params, subject)
    return Asked(collection, subject, also=added(collection, params, subject), liked=liked, unliked=unliked)


def asked_of(asked: Asked, params: QueryDict) -> Asked:
    """``asked`` with the rest of its question; raises MalformedBox, BadFilter or BadWindow."""
    box, filters = parse_box(params.get("box", "")), Filters.from_query(params)
    view, number = view_of(params), _page(params.get("page", ""))
    return replace(asked, box=box, filters=filters, page=number, min_p=_min_p(params), view=view)


def _min_p(params: QueryDict) -> float | None:
    text = params.get("min_p", "").strip()
    if not text:
        return None
    try:
        least = float(text)
    except ValueError:
        least = -1.0
    if not 0 <= least <= 1:  # false for NaN too
        raise BadFilter(name="min_p", value=repr(text[:40]), expected="a number from 0 to 1")
    return least


def _page(text: str) -> int:
    """A page number; anything else is the first page."""
    return min(max(int(text), 1), MAX_PAGE) if text.isascii() and text.isdigit() and len(text) < 6 else 1
