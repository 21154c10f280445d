"""Search by a picture."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from rest_framework.request import Request
from rest_framework.response import Response

from catalog.models import Collection, Image
from search.api import examples
from search.api.errors import ImageMissing, IndexMissing
from search.api.idempotency import idempotent
from search.api.permissions import collection_get
from search.api.schema import FORM, JSON, NO_COLLECTION, endpoint
from search.api.serializers.search import ResultsSerializer, SearchSerializer, SearchUploadSerializer
from search.api.uploads import PICTURE_REFUSALS, picture_read
from search.api.views.base import ApiView
from search.models import Scope, SearchIndex
from search.services import NotEmbeddedYet, NothingToSearch, Results, search_by_image, search_by_picture


class SearchView(ApiView):
    write_scope = Scope.READ  # it is a POST for its body only
    serializer_class = ResultsSerializer

    @property
    def file_limit(self) -> int:
        return settings.IMAGE_MAX_BYTES

    @endpoint(
        "search",
        "Search by a picture",
        tag="search",
        description="Send exactly one of `image` (multipart), `url` and `image_id`.",
        body={FORM: SearchUploadSerializer, JSON: SearchSerializer},
        asks={JSON: examples.SEARCH, FORM: examples.SEARCH_FORM},
        answers={200: (ResultsSerializer, examples.RESULTS)},
        errors=[
            NO_COLLECTION,
            IndexMissing(name="main"),
            ImageMissing(id=4711),
            *PICTURE_REFUSALS,
            NothingToSearch(collection="Lamps"),
            NotEmbeddedYet(collection="Lamps"),
        ],
        once=True,
    )
    def post(self, request: Request) -> Response:
        body = self.checked(SearchUploadSerializer, request.data)
        # Asked before an answer is repeated: the key may have lost the collection since.
        return self._answer(request, collection_get(request, body["collection"]), body)

    @idempotent
    def _answer(self, request: Request, collection: Collection, body: dict[str, Any]) -> Response:
        return Response(self.get_serializer(_search(collection, body)).data)


def _search(collection: Collection, body: dict[str, Any]) -> Results:
    how: dict[str, Any] = {
        "k": body["k"],
        "offset": body["offset"],
        "filters": SearchSerializer.filters(body),
        "box": body.get("box"),
        "index": index_get(collection, body["index"]) if "index" in body else None,
        "source": "api",
    }
    if "image_id" in body:
        return search_by_image(collection, image_get(collection, body["image_id"]), **how)
    return search_by_picture(collection, picture_read(body.get("image"), body.get("url", "")), **how)


def image_get(collection: Collection, pk: int) -> Image:
    """Raises ImageMissing."""
    image = Image.objects.select_related("product").filter(collection=collection, pk=pk).first()
    if image is None:
        raise ImageMissing(id=pk)
    return image


def index_get(collection: Collection, name: str) -> SearchIndex:
    """Raises IndexMissing."""
    indexes = SearchIndex.objects.select_related("collection", "feature_model", "active_build")
    index = indexes.filter(collection=collection, name=name).first()
    if index is None:
        raise IndexMissing(name=name)
    return index
