"""Products: listed, made, replaced by SKU, changed, deleted."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models import Prefetch, Q, QuerySet
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework.exceptions import ValidationError
from rest_framework.parsers import JSONParser
from rest_framework.request import Request
from rest_framework.response import Response

from catalog.models import Image, ImageRole, Product
from catalog.services import image_delete, product_upsert
from search.api import examples
from search.api.errors import ProductMissing, SkuTaken
from search.api.idempotency import idempotent
from search.api.schema import JSON, NO_COLLECTION, endpoint
from search.api.serializers.products import ProductFieldsSerializer, ProductSerializer
from search.api.views.base import CollectionView
from search.filters import BadFilter, Filters
from search.models import Scope

NO_PRODUCT = ProductMissing(sku="LAMP-12")
_FILTERS = [
    OpenApiParameter("search", OpenApiTypes.STR, description="Part of the SKU, the title or the brand."),
    OpenApiParameter("category", OpenApiTypes.STR, many=True, description="May be given several times."),
    OpenApiParameter("price_min", OpenApiTypes.DECIMAL, description="Inclusive."),
    OpenApiParameter("price_max", OpenApiTypes.DECIMAL, description="Inclusive."),
    OpenApiParameter("in_stock", OpenApiTypes.BOOL),
    OpenApiParameter(
        "attr",
        {"type": "object", "additionalProperties": {"type": "string"}},
        description="Attributes, written `attr.color=red`; each may be given several times.",
    ),
]


class ProductView(CollectionView):
    parser_classes = [JSONParser]
    serializer_class = ProductSerializer

    def get_queryset(self) -> QuerySet[Product]:
        gallery = Prefetch("images", Image.objects.filter(role=ImageRole.GALLERY).order_by("id"))
        return Product.objects.filter(collection=self.collection).prefetch_related(gallery)

    def product(self, sku: str) -> Product:
        product = self.get_queryset().filter(sku=sku).first()
        if product is None:
            raise ProductMissing(sku=sku)
        return product


class ProductsView(ProductView):
    @endpoint(
        "products_list",
        "List products",
        tag="products",
        parameters=_FILTERS,
        answers={200: (ProductSerializer(many=True), examples.PRODUCT)},
        errors=[NO_COLLECTION, BadFilter(name="price_min", value="cheap", expected="a number such as 12.50")],
    )
    def get(self, request: Request, slug: str) -> Response:
        filters = Filters.from_query(request.query_params)
        return self.page(narrowed(self.get_queryset(), filters, request.query_params.get("search", "").strip()))

    @endpoint(
        "products_create",
        "Create a product",
        tag="products",
        description="To create or replace without asking which, use PUT at the product's own address.",
        body=ProductSerializer,
        asks={JSON: examples.SEARCHED_PRODUCT},
        answers={201: (ProductSerializer, examples.PRODUCT)},
        scope=Scope.WRITE,
        errors=[NO_COLLECTION, SkuTaken(sku="LAMP-12")],
        once=True,
    )
    @idempotent
    def post(self, request: Request, slug: str) -> Response:
        fields = self.checked(ProductSerializer, request.data)
        sku = fields.pop("sku")
        with transaction.atomic():
            product, created = product_upsert(self.collection, sku, **fields)
            if not created:
                raise SkuTaken(sku=sku)  # and the change is rolled back
        return Response(self.get_serializer(product).data, status=201)


class ProductDetailView(ProductView):
    serializer_class = ProductSerializer

    @endpoint(
        "products_get",
        "A product and its pictures",
        tag="products",
        answers={200: (ProductSerializer, examples.PRODUCT)},
        errors=[NO_COLLECTION, NO_PRODUCT],
    )
    def get(self, request: Request, slug: str, sku: str) -> Response:
        return Response(self.get_serializer(self.product(sku)).data)

    @endpoint(
        "products_put",
        "Create or replace a product",
        tag="products",
        description="Idempotent. 201 if it is new, 200 if it was there. What is left out becomes empty.",
        body=ProductFieldsSerializer,
        asks={JSON: examples.PRODUCT_BODY},
        answers={200: (ProductSerializer, examples.PRODUCT), 201: (ProductSerializer, examples.PRODUCT)},
        scope=Scope.WRITE,
    )
    def put(self, request: Request, slug: str, sku: str) -> Response:
        # the whole serializer: it knows how long an SKU may be, and refuses a body that names another one
        fields = self.checked(ProductSerializer, _with_sku(request.data, sku))
        product, created = product_upsert(self.collection, fields.pop("sku"), **fields)
        return Response(self.get_serializer(self.product(product.sku)).data, status=201 if created else 200)

    @endpoint(
        "products_patch",
        "Change a product",
        tag="products",
        body=ProductFieldsSerializer(partial=True),
        asks={JSON: examples.PRODUCT_PATCH},
        answers={200: (ProductSerializer, examples.PRODUCT)},
        scope=Scope.WRITE,
        errors=[NO_COLLECTION, NO_PRODUCT],
    )
    def patch(self, request: Request, slug: str, sku: str) -> Response:
        product = self.product(sku)
        body = ProductFieldsSerializer(product, data=request.data, partial=True)
        body.is_valid(raise_exception=True)
        product_upsert(self.collection, sku, **body.validated_data)  # locks the row: two changes at once both stay
        return Response(self.get_serializer(self.product(sku)).data)

    @endpoint(
        "products_delete",
        "Delete a product and its pictures",
        tag="products",
        answers={204: (None, None)},
        scope=Scope.WRITE,
        errors=[NO_COLLECTION, NO_PRODUCT],
    )
    def delete(self, request: Request, slug: str, sku: str) -> Response:
        product = self.product(sku)
        with transaction.atomic():
            for image in Image.objects.filter(product=product).iterator():
                image_delete(image)
            product.delete()
        return Response(status=204)


def _with_sku(body: Any, sku: str) -> Any:
    """The body of a PUT with the SKU of its address, which it may repeat. Raises ValidationError."""
    if not isinstance(body, dict):
        return body
    if body.get("sku", sku) != sku:
        raise ValidationError({"sku": [_("It differs from the SKU in the address.")]})
    return {**body, "sku": sku}


def narrowed(products: QuerySet[Product], filters: Filters, search: str) -> QuerySet[Product]:
    """The products that pass the same filters a search takes, and contain ``search``."""
    if search:
        products = products.filter(Q(sku__icontains=search) | Q(title__icontains=search) | Q(brand__icontains=search))
    return filters.apply(products, product="")
