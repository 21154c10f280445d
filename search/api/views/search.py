"""Search by a picture."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from rest_framework.request import Request
from rest_framework.response import Response

from catalog.medicine import take_in
from catalog.models import Collection, Image
from search.api import examples
from search.api.answers import results_answer
from search.api.errors import ImageMissing, IndexMissing
from search.api.idempotency import idempotent
from search.api.permissions import collection_get
from search.api.schema import FORM, JSON, NO_COLLECTION, endpoint
from search.api.serializers.search import ResultsSerializer, SearchSerializer, SearchUploadSerializer
from search.api.uploads import PICTURE_REFUSALS, picture_read
from search.api.views.base import ApiView
from search.models import Scope, SearchIndex
from search.services import Example, NotCalibrated, NotEmbeddedYet, NothingToSearch, Results, search_by_examples

MAX_ID = 2**63 - 1


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
        description="Send one of `image` (multipart; repeated: several pictures), `url` and `image_id`, or none of "
        "them but `like` or `examples`. With `like` and `unlike`, ids of hits that a visitor ticked, it is a search "
        "by relevance feedback. Stored pictures that are searched by are left out of the hits. `frame` and `window` "
        "say how a DICOM file is to be seen.",
        body={FORM: SearchUploadSerializer, JSON: SearchSerializer},
        asks={JSON: examples.SEARCH, FORM: examples.SEARCH_FORM},
        answers={200: (ResultsSerializer, examples.RESULTS)},
        errors=[
            NO_COLLECTION,
            IndexMissing(name="main"),
            ImageMissing(id=4711),
            *PICTURE_REFUSALS,
            NothingToSearch(collection="Lamps"),
            NotCalibrated(index="lamps/main"),
            NotEmbeddedYet(collection="Lamps"),
        ],
        once=True,
    )
    def post(self, request: Request) -> Response:
        body: dict[str, Any] = _body().run_validation(request.data)
        # Asked before an answer is repeated: the key may have lost the collection since.
        return self._answer(request, collection_get(request, body["collection"]), body)

    @idempotent
    def _answer(self, request: Request, collection: Collection, body: dict[str, Any]) -> Response:
        return Response(results_answer(_search(collection, body), request))


@cache
def _body() -> SearchUploadSerializer:
    """One for all requests: it keeps nothing of what it checks, and making its fields takes longer than checking."""
    return SearchUploadSerializer()


def _search(collection: Collection, body: dict[str, Any]) -> Results:
    return search_by_examples(
        collection,
        _examples(collection, body),
        k=body["k"],
        offset=body["offset"],
        filters=SearchSerializer.filters(body),
        index=index_get(collection, body["index"]) if "index" in body else None,
        min_probability=body.get("min_probability"),
        expansion=body.get("expand"),
        source="api",
    )


def _examples(collection: Collection, body: dict[str, Any]) -> list[Example]:
    """What is searched by, the main picture first. Raises ImageMissing, and what fetching an address raises."""
    main: dict[str, Any] = {name: body[name] for name in ("image_id", "url") if name in body}
    view: dict[str, str] = {name: body[name] for name in ("frame", "window") if name in body}
    given: list[dict[str, Any]] = [{**main, "box": body.get("box"), "weight": 1.0, "view": view}] if main else []
    given += [{"image_id": pk, "weight": 1.0} for pk in body.get("like", ())]
    given += [{"image_id": pk, "weight": -1.0} for pk in body.get("unlike", ())]
    given += body.get("examples", ())
    images = images_get(collection, [one["image_id"] for one in given if "image_id" in one])
    uploads = [Example(data=_shown(file, "", view), box=body.get("box")) for file in body.get("image", ())]
    return uploads + [_example(one, images) for one in given]


def _example(given: dict[str, Any], images: dict[int, Image]) -> Example:
    how: dict[str, Any] = {"box": given.get("box"), "weight": given["weight"]}
    if "image_id" in given:
        return Example(image=images[given["image_id"]], **how)
    return Example(data=_shown(None, given["url"], given.get("view", {})), **how)


def _shown(file: UploadedFile[Any] | None, url: str, view: dict[str, str]) -> bytes:
    """A picture as it came; of a DICOM file the de-identified copy of one frame, which alone goes on from here."""
    return take_in(picture_read(file, url), **view).data


def images_get(collection: Collection, keys: Sequence[int]) -> dict[int, Image]:
    """By id, all in one query. Raises ImageMissing for the first that is not there."""
    wanted = [pk for pk in dict.fromkeys(keys) if pk <= MAX_ID]
    found = Image.objects.filter(collection=collection, pk__in=wanted).in_bulk() if wanted else {}
    for pk in keys:
        if pk not in found:
            raise ImageMissing(id=pk)
    return found


def index_get(collection: Collection, name: str) -> SearchIndex:
    """Raises IndexMissing."""
    indexes = SearchIndex.objects.select_related("collection", "feature_model", "active_build")
    index = indexes.filter(collection=collection, name=name).first()
    if index is None:
        raise IndexMissing(name=name)
    return index
