"""The small public face of searching, for pages and API alike."""

from __future__ import annotations

import numpy as np
from django.db.models import Q, QuerySet

from catalog.models import Collection, Image
from search.filters import Filters
from search.models import SearchIndex, UploadedQuery
from search.request import BadPage, Box, Hit, NotEmbeddedYet, NothingToSearch, Results, SearchRequest
from search.uploads import queries_purge, query_upload

__all__ = [
    "BadPage",
    "Box",
    "Hit",
    "NotEmbeddedYet",
    "NothingToSearch",
    "Results",
    "collections_for",
    "queries_purge",
    "query_upload",
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
) -> Results:
    """Look-alikes of a picture's bytes. Raises PictureError, NothingToSearch, BadPage, ExtractionError."""
    request = SearchRequest(collection, index, k, offset, filters, source)
    return request.run(lambda: request.from_bytes(data, box))


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
    exclude_self: bool = True,
) -> Results:
    """Look-alikes of a stored picture, itself left out unless ``exclude_self`` is false."""
    request = SearchRequest(collection, index, k, offset, filters, source)
    excluded = np.array([image.pk] if exclude_self else [], np.int64)
    return request.run(lambda: request.from_image(image, box), excluded)


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
) -> Results:
    """Look-alikes of an uploaded picture. Its descriptor is kept a while, so that paging costs no network."""
    request = SearchRequest(collection, index, k, offset, filters, source)
    return request.run(lambda: request.from_upload(query, box))
