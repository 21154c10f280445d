"""Collections."""

from __future__ import annotations

from django.db.models import Count, IntegerField, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from rest_framework.request import Request
from rest_framework.response import Response

from catalog.facets import facets
from catalog.models import Collection, Image, ImageRole, Product
from search.api import examples
from search.api.permissions import visible_collections
from search.api.schema import endpoint
from search.api.serializers.collections import CollectionDetailSerializer, CollectionSerializer
from search.api.views.base import ApiView, CollectionView


class CollectionsView(ApiView):
    serializer_class = CollectionSerializer

    @endpoint(
        "collections_list",
        "List collections",
        tag="collections",
        answers={200: (CollectionSerializer(many=True), examples.COLLECTION)},
        errors=[],
    )
    def get(self, request: Request) -> Response:
        return self.page(_counted(visible_collections(request)))


class CollectionDetailView(CollectionView):
    serializer_class = CollectionDetailSerializer

    @endpoint(
        "collections_get",
        "A collection and its facets",
        tag="collections",
        description="The facets are what a search can be narrowed to; they are at most a minute old.",
        answers={200: (CollectionDetailSerializer, examples.COLLECTION_DETAIL)},
    )
    def get(self, request: Request, slug: str) -> Response:
        collection = _counted(Collection.objects.filter(pk=self.collection.pk)).get()
        collection.facets = facets(collection)  # type: ignore[attr-defined]  # read by the serializer
        return Response(self.get_serializer(collection).data)


def _counted(collections: QuerySet[Collection]) -> QuerySet[Collection]:
    """With ``product_count`` and ``image_count``: sub-queries, since joining both would multiply them."""
    products = Product.objects.filter(collection=OuterRef("pk"))
    images = Image.objects.filter(collection=OuterRef("pk"), role=ImageRole.GALLERY)
    return collections.annotate(product_count=_count(products), image_count=_count(images))


def _count(rows: QuerySet[Product] | QuerySet[Image]) -> Coalesce:
    counts = rows.order_by().values("collection").annotate(rows=Count("pk")).values("rows")
    return Coalesce(Subquery(counts), 0, output_field=IntegerField())
