"""Products."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError as InvalidUrl
from django.core.validators import URLValidator
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from catalog.models import Product
from search.api.serializers.common import is_storable
from search.api.serializers.images import PictureSerializer

MAX_ATTRIBUTES = 100
MAX_STOCK = 2**31 - 1  # what Postgres takes; said here so that SQLite refuses the same

_PLAIN = [{"type": "string"}, {"type": "number"}, {"type": "boolean"}]
_ATTRIBUTES_SCHEMA = {
    "type": "object",
    "additionalProperties": {"oneOf": [*_PLAIN, {"type": "array", "items": {"oneOf": _PLAIN}}]},
    "description": "Whatever else there is to filter by: names to texts, numbers, yes and no, or lists of them.",
}


@extend_schema_field(_ATTRIBUTES_SCHEMA)
class AttributesField(serializers.JSONField):
    """A flat object: what is nested deeper could neither be filtered by nor shown as a facet."""

    default_error_messages = {
        "object": _('Attributes are an object of texts, numbers or booleans, such as {{"color": "red"}}.'),
        "many": _("At most {most} attributes."),
        "text": _("Attributes hold characters that cannot be stored."),
    }

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        value = super().to_internal_value(data)
        if not isinstance(value, dict) or not all(_is_flat(item) for item in value.values()):
            self.fail("object")
        if len(value) > MAX_ATTRIBUTES:
            self.fail("many", most=MAX_ATTRIBUTES)
        if not is_storable(value):
            self.fail("text")
        return value


def _is_flat(item: Any) -> bool:
    return all(isinstance(part, str | int | float) for part in (item if isinstance(item, list) else [item]))


@extend_schema_field({"type": "string", "maxLength": 1000, "default": "", "description": "A web address, or empty."})
class OptionalUrlField(serializers.CharField):
    """Of its own because the schema's usual "uri or empty" lets an empty text match twice."""

    def to_internal_value(self, data: Any) -> str:
        value = super().to_internal_value(data)
        try:
            URLValidator(["http", "https"])(value)
        except InvalidUrl as error:
            raise serializers.ValidationError(error.messages) from None
        return value


class ProductSerializer(serializers.ModelSerializer[Product]):
    """``PATCH`` changes what is sent; ``PUT`` replaces all of it, so that what is left out becomes empty."""

    url = OptionalUrlField(default="", allow_blank=True, max_length=1000)
    attributes = AttributesField(required=False, default=dict)
    images = PictureSerializer(many=True, read_only=True)

    class Meta:
        model = Product
        fields = [
            "sku",
            "title",
            "category",
            "brand",
            "price",
            "currency",
            "stock",
            "url",
            "attributes",
            "images",
            "created",
            "updated",
        ]
        read_only_fields = ["images", "created", "updated"]
        extra_kwargs = {
            "title": {"default": ""},
            "category": {"default": ""},
            "brand": {"default": ""},
            "price": {"default": None, "min_value": 0},
            "currency": {"default": "", "help_text": "Three letters, such as EUR."},
            "stock": {"default": None, "max_value": MAX_STOCK},
        }


class ProductFieldsSerializer(ProductSerializer):
    """The body of PUT and PATCH: the SKU stands in the address."""

    class Meta(ProductSerializer.Meta):
        fields = [name for name in ProductSerializer.Meta.fields if name != "sku"]


class SearchedProductSerializer(serializers.ModelSerializer[Product]):
    """A product as part of a hit."""

    url = OptionalUrlField(read_only=True)

    class Meta:
        model = Product
        fields = ["sku", "title", "category", "brand", "price", "currency", "stock", "url", "attributes"]
        read_only_fields = fields
        extra_kwargs = {"attributes": {"help_text": _ATTRIBUTES_SCHEMA["description"]}}
