"""Pictures: listed, added once, deleted."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework.exceptions import ValidationError
from rest_framework.parsers import FormParser, JSONParser, MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from catalog.models import Image, ImageRole, Product
from catalog.services import image_add, image_delete
from search.api import examples
from search.api.errors import ImageMissing, ProductMissing
from search.api.idempotency import idempotent
from search.api.schema import FORM, JSON, NO_COLLECTION, endpoint
from search.api.serializers.images import ImageLinkSerializer, ImageSerializer, ImageUploadSerializer
from search.api.uploads import PICTURE_REFUSALS, picture_read
from search.api.views.base import CollectionView
from search.builds import index_for
from search.models import Scope

NO_IMAGE = ImageMissing(id=4711)
NO_PRODUCT = ProductMissing(sku="LAMP-12")
_FILTERS = [
    OpenApiParameter("product", OpenApiTypes.STR, description="SKU of the product they show."),
    OpenApiParameter("role", OpenApiTypes.STR, enum=ImageRole.values),
    OpenApiParameter("sha256", OpenApiTypes.STR, description="Of the file's bytes: is it here already?"),
]


class ImageView(CollectionView):
    serializer_class = ImageSerializer

    def get_queryset(self) -> QuerySet[Image]:
        return Image.objects.filter(collection=self.collection).select_related("product")

    def image(self, pk: int) -> Image:
        image = self.get_queryset().filter(pk=pk).first()
        if image is None:
            raise ImageMissing(id=pk)
        return image


class ImagesView(ImageView):
    parser_classes = [MultiPartParser, JSONParser, FormParser]

    @property
    def file_limit(self) -> int:
        return settings.IMAGE_MAX_BYTES

    @endpoint(
        "images_list",
        "List pictures",
        tag="images",
        parameters=_FILTERS,
        answers={200: (ImageSerializer(many=True), examples.IMAGE)},
    )
    def get(self, request: Request, slug: str) -> Response:
        return self.page(self.get_queryset().filter(**_asked(request)))

    @endpoint(
        "images_add",
        "Add a picture",
        tag="images",
        description=(
            "Idempotent: 201 with the new row, or 200 with the one that is there when the same picture of the same "
            "product is sent again. It is found as soon as it is embedded, normally within two seconds. Of a DICOM "
            "file a de-identified copy of one frame is stored; `sha256` is that of the copy."
        ),
        body={FORM: ImageUploadSerializer, JSON: ImageLinkSerializer},
        asks={
            JSON: {"url": "https://shop.example/lamp-12.jpg", "product": "LAMP-12"},
            FORM: {"image": "(the file)", "product": "LAMP-12"},
        },
        answers={201: (ImageSerializer, examples.IMAGE), 200: (ImageSerializer, examples.IMAGE)},
        scope=Scope.WRITE,
        errors=[NO_COLLECTION, NO_PRODUCT, *PICTURE_REFUSALS],
        once=True,
    )
    @idempotent
    def post(self, request: Request, slug: str) -> Response:
        body = self.checked(ImageUploadSerializer, request.data)
        product = self._product(body.get("product"))
        data = picture_read(body.get("image"), body.get("url", ""))
        index_for(self.collection)  # without an index nothing would embed the picture
        source = body.get("source") or body.get("url") or _file_name(body)
        view = {name: body.get(name, "") for name in ("frame", "window")}
        image, created = image_add(self.collection, data, product=product, role=body["role"], source=source, **view)
        return Response(self.get_serializer(image).data, status=201 if created else 200)

    def _product(self, sku: str | None) -> Product | None:
        if not sku:
            return None
        product = Product.objects.filter(collection=self.collection, sku=sku).first()
        if product is None:
            raise ProductMissing(sku=sku)
        return product


class ImageDetailView(ImageView):
    @endpoint(
        "images_get",
        "A picture",
        tag="images",
        answers={200: (ImageSerializer, examples.IMAGE)},
        errors=[NO_COLLECTION, NO_IMAGE],
    )
    def get(self, request: Request, slug: str, pk: int) -> Response:
        return Response(self.get_serializer(self.image(pk)).data)

    @endpoint(
        "images_delete",
        "Delete a picture",
        tag="images",
        description="It is never found again, from the next search on.",
        answers={204: (None, None)},
        scope=Scope.WRITE,
        errors=[NO_COLLECTION, NO_IMAGE],
    )
    def delete(self, request: Request, slug: str, pk: int) -> Response:
        image_delete(self.image(pk))
        return Response(status=204)


def _asked(request: Request) -> dict[str, str]:
    """The list's filters as look-ups. Raises ValidationError."""
    lookups = {"product": "product__sku", "role": "role", "sha256": "sha256"}
    asked = {lookup: request.query_params[name] for name, lookup in lookups.items() if name in request.query_params}
    if asked.get("role", ImageRole.GALLERY) not in ImageRole.values:
        raise ValidationError({"role": [_("One of %(choices)s.") % {"choices": ", ".join(ImageRole.values)}]})
    return asked


def _file_name(body: dict[str, Any]) -> str:
    upload = body.get("image")
    return str(upload.name or "").replace("\0", "")[:1000] if upload else ""
