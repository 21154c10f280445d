"""Collections and their facets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from catalog.facets import Facets
from catalog.models import Collection


class CollectionSerializer(serializers.ModelSerializer[Collection]):
    products = serializers.IntegerField(source="product_count", read_only=True)
    images = serializers.IntegerField(source="image_count", read_only=True, help_text="Pictures of the gallery.")

    class Meta:
        model = Collection
        fields = ["slug", "name", "description", "is_public", "products", "images", "created"]
        read_only_fields = fields


@dataclass(frozen=True)
class Counted:
    value: str
    count: int


class CountedSerializer(serializers.Serializer[Counted]):
    value = serializers.CharField()
    count = serializers.IntegerField()


class PriceRangeSerializer(serializers.Serializer[Any]):
    min = serializers.DecimalField(max_digits=12, decimal_places=2)
    max = serializers.DecimalField(max_digits=12, decimal_places=2)


class FacetsSerializer(serializers.Serializer[Facets]):
    """What a search can be narrowed to."""

    categories = serializers.SerializerMethodField()
    attributes = serializers.SerializerMethodField()
    price = serializers.SerializerMethodField(help_text="null where no product has a price.")
    has_stock = serializers.BooleanField(help_text="Whether the stock of any product is known.")

    @extend_schema_field(CountedSerializer(many=True))
    def get_categories(self, facets: Facets) -> list[dict[str, Any]]:
        return _counted(facets.categories)

    @extend_schema_field(serializers.DictField(child=CountedSerializer(many=True)))
    def get_attributes(self, facets: Facets) -> dict[str, list[dict[str, Any]]]:
        return {name: _counted(values) for name, values in facets.attributes.items()}

    @extend_schema_field(PriceRangeSerializer(allow_null=True))
    def get_price(self, facets: Facets) -> dict[str, str] | None:
        return {"min": f"{facets.price[0]:.2f}", "max": f"{facets.price[1]:.2f}"} if facets.price else None


class CollectionDetailSerializer(CollectionSerializer):
    facets = FacetsSerializer(read_only=True)

    class Meta(CollectionSerializer.Meta):
        fields = [*CollectionSerializer.Meta.fields, "facets"]
        read_only_fields = fields


def _counted(pairs: list[tuple[str, int]]) -> list[dict[str, Any]]:
    return [{"value": value, "count": count} for value, count in pairs]
