"""Why a hit was found: heat maps of both pictures."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from rest_framework.request import Request
from rest_framework.response import Response

from catalog.medicine import take_in
from catalog.models import Collection
from search.api import examples
from search.api.errors import ImageMissing, IndexMissing
from search.api.permissions import collection_get
from search.api.schema import FORM, JSON, NO_COLLECTION, endpoint
from search.api.serializers.explain import (
    ExplainSerializer,
    ExplainUploadSerializer,
    ExplanationSerializer,
    HeatMapSerializer,
    HeatMapUploadSerializer,
)
from search.api.uploads import PICTURE_REFUSALS, picture_read
from search.api.views.base import ApiView
from search.api.views.search import images_get, index_get
from search.explain import hit_explain
from search.extraction.explain import Explanation, Method, NoPlaces
from search.models import Scope
from search.overlays import overlay
from search.services import Example
from search.serving import default_index

ERRORS = [
    NO_COLLECTION,
    IndexMissing(name="main"),
    ImageMissing(id=4711),
    *PICTURE_REFUSALS,
    NoPlaces(name="color_gradient"),
]


class ExplainBase(ApiView):
    write_scope = Scope.READ  # it is a POST for its body only
    serializer_class = ExplanationSerializer

    @property
    def file_limit(self) -> int:
        return settings.IMAGE_MAX_BYTES


class ExplainView(ExplainBase):
    @endpoint(
        "explain",
        "Why a hit was found",
        tag="search",
        description="Takes the score of one picture with one hit apart into what each place of either adds to it. "
        "Send one of `image` (multipart), `url` and `image_id`. Of a search with several pictures, ask for each.",
        body={FORM: ExplainUploadSerializer, JSON: ExplainSerializer},
        asks={JSON: examples.EXPLAIN, FORM: examples.EXPLAIN_FORM},
        answers={200: (ExplanationSerializer, examples.EXPLANATION)},
        errors=ERRORS,
    )
    def post(self, request: Request) -> Response:
        body = self.checked(ExplainUploadSerializer, request.data)
        found = _explained(collection_get(request, body["collection"]), body)
        return Response(ExplanationSerializer(found).data)


class HeatMapView(ExplainBase):
    @endpoint(
        "explain_heat_map",
        "A heat map to be laid over a picture",
        tag="search",
        description="The same as a PNG with transparency, in the shape of the upright picture: dark blue is an even "
        "share or less, yellow the most, a line runs around half of it, and what the network did not see is hatched.",
        body={FORM: HeatMapUploadSerializer, JSON: HeatMapSerializer},
        asks={JSON: examples.HEAT_MAP, FORM: examples.HEAT_MAP_FORM},
        answers={(200, "image/png"): (OpenApiTypes.BINARY, None)},
        errors=ERRORS,
    )
    def post(self, request: Request) -> HttpResponse:
        body = self.checked(HeatMapUploadSerializer, request.data)
        found = _explained(collection_get(request, body["collection"]), body)
        heat = found.query if body["picture"] == "query" else found.hit
        return HttpResponse(overlay(heat, body["side"]), content_type="image/png")


def _explained(collection: Collection, body: dict[str, Any]) -> Explanation:
    """Raises ImageMissing, IndexMissing, and what reading and explaining raise."""
    index = index_get(collection, body["index"]) if "index" in body else default_index(collection)
    wanted = [body["hit"], *([body["image_id"]] if "image_id" in body else [])]
    images = images_get(collection, wanted)
    if "image_id" in body:
        example = Example(image=images[body["image_id"]], box=body.get("box"))
    else:
        view = {name: body[name] for name in ("frame", "window") if name in body}
        data = take_in(picture_read(body.get("image"), body.get("url", "")), **view).data
        example = Example(data=data, box=body.get("box"))
    return hit_explain(index, example, images[body["hit"]], Method(body["method"]))
