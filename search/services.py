"""The small public face of searching, for pages and API alike."""

from __future__ import annotations

from collections.abc import Sequence

from django.db.models import Q, QuerySet

from catalog.models import Collection, Image
from search.examples import BadExamples, Box, Example
from search.expansion import BadExpansion, Expansion
from search.filters import Filters
from search.hits import Hit, Moved, Results
from search.models import SearchIndex, UploadedQuery
from search.request import BadPage, NotCalibrated, NotEmbeddedYet, NothingToSearch, SearchRequest
from search.uploads import queries_purge, query_upload

__all__ = [
    "BadExamples",
    "BadExpansion",
    "BadPage",
    "Box",
    "Example",
    "Expansion",
    "Hit",
    "Moved",
    "NotCalibrated",
    "NotEmbeddedYet",
    "NothingToSearch",
    "Results",
    "collections_for",
    "queries_purge",
    "query_upload",
    "search_by_examples",
    "search_by_image",
    "search_by_picture",
    "search_by_query",
]

NO_FILTERS = Filters()


def collections_for(user: object) -> QuerySet[Collection]:
    """Collections a user may search: public ones, those they are a member of, and all for staff."""
    collections = Collection.objects.all()
    if getattr(user, "is_active", False) and getattr(user, "is_staff", False):
        return collections
    if not getattr(user, "is_authenticated", False) or not getattr(user, "is_active", False):
        return collections.filter(is_public=True)
    return collections.filter(Q(is_public=True) | Q(members=user)).distinct()


def search_by_examples(
    collection: Collection,
    examples: Sequence[Example],
    *,
    k: int = 20,
    offset: int = 0,
    filters: Filters = NO_FILTERS,
    source: str = "api",
    index: SearchIndex | None = None,
    min_probability: float | None = None,
    expansion: Expansion | None = None,
    exclude_examples: bool = True,
) -> Results:
    """Look-alikes of several pictures at once; those with a weight below zero say what hits should be unlike.

    Stored pictures among the examples are left out of the hits unless ``exclude_examples`` is false. Hits that are
    less likely than ``min_probability`` are dropped, and none follows after them. ``expansion`` goes before the
    index's own; ``Expansion.none()`` switches that off.

    Raises PictureError, NothingToSearch, BadPage, BadExamples, NotCalibrated, ExtractionError.
    """
    request = SearchRequest(collection, index, k, offset, filters, source, min_probability, expansion)
    return request.run(examples, exclude_examples)


def search_by_picture(
    collection: Collection,
    data: bytes,
    *,
    k: int = 20,
    offset: int = 0,
    filters: Filters = NO_FILTERS,
    box: Box | None = None,
    source: str = "api",
    index: SearchIndex | None = None,
    min_probability: float | None = None,
) -> Results:
    """Look-alikes of a picture's bytes. See search_by_examples."""
    request = SearchRequest(collection, index, k, offset, filters, source, min_probability)
    return request.run([Example(data=data, box=box)])


def search_by_image(
    collection: Collection,
    image: Image,
    *,
    k: int = 20,
    offset: int = 0,
    filters: Filters = NO_FILTERS,
    box: Box | None = None,
    source: str = "api",
    index: SearchIndex | None = None,
    min_probability: float | None = None,
    exclude_self: bool = True,
) -> Results:
    """Look-alikes of a stored picture, itself left out unless ``exclude_self`` is false. See search_by_examples."""
    request = SearchRequest(collection, index, k, offset, filters, source, min_probability)
    return request.run([Example(image=image, box=box)], exclude_self)


def search_by_query(
    collection: Collection,
    query: UploadedQuery,
    *,
    k: int = 20,
    offset: int = 0,
    filters: Filters = NO_FILTERS,
    box: Box | None = None,
    source: str = "api",
    index: SearchIndex | None = None,
    min_probability: float | None = None,
) -> Results:
    """Look-alikes of an uploaded picture. Its descriptor is kept a while, so that paging costs no network."""
    request = SearchRequest(collection, index, k, offset, filters, source, min_probability)
    return request.run([Example(query=query, box=box)])
