"""A search and its answer."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from search.api.serializers.common import AttributeFilterField, BoxField, TextsField
from search.api.serializers.images import PictureSerializer
from search.api.serializers.products import SearchedProductSerializer
from search.filters import Filters
from search.request import DEEPEST


class SearchSerializer(serializers.Serializer[Any]):
    """By ``url`` or ``image_id``; the filters are alternatives within one and must all hold together."""

    collection = serializers.SlugField(max_length=60)
    url = serializers.URLField(required=False, max_length=1000, help_text="Public http or https address of a picture.")
    image_id = serializers.IntegerField(required=False, min_value=1, help_text="Id of a picture of the collection.")
    index = serializers.CharField(required=False, max_length=100, help_text="Name; the default index if left out.")
    k = serializers.IntegerField(default=20, min_value=1, max_value=DEEPEST, help_text="How many hits.")
    offset = serializers.IntegerField(default=0, min_value=0, max_value=DEEPEST, help_text="How many to skip.")
    box = BoxField(required=False, allow_null=True)
    category = TextsField(required=False, max_length=50)
    price_min = serializers.DecimalField(
        required=False, allow_null=True, max_digits=12, decimal_places=2, min_value=0, help_text="Inclusive."
    )
    price_max = serializers.DecimalField(
        required=False, allow_null=True, max_digits=12, decimal_places=2, min_value=0, help_text="Inclusive."
    )
    in_stock = serializers.BooleanField(default=False)
    attributes = AttributeFilterField(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if sum(name in attrs for name in ("image", "url", "image_id")) != 1:
            raise serializers.ValidationError(_("Send exactly one of image, url and image_id."))
        low, high = attrs.get("price_min"), attrs.get("price_max")
        if low is not None and high is not None and low > high:
            raise serializers.ValidationError({"price_min": _("It is above price_max.")})
        return attrs

    @staticmethod
    def filters(data: dict[str, Any]) -> Filters:
        return Filters(
            categories=tuple(data.get("category", ())),
            price_min=data.get("price_min"),
            price_max=data.get("price_max"),
            in_stock=data["in_stock"],
            attributes=data.get("attributes", {}),
        )


class SearchUploadSerializer(SearchSerializer):
    """By ``image`` (a file), ``url`` or ``image_id``."""

    image = serializers.FileField(required=False, allow_empty_file=True, help_text="The picture file.")


class HitSerializer(serializers.Serializer[Any]):
    rank = serializers.IntegerField(help_text="From 1.")
    score = serializers.FloatField(help_text="Inner product of unit vectors: higher is better, 1 the same.")
    image = PictureSerializer()
    product = SearchedProductSerializer(source="image.product", allow_null=True)
    reasons = serializers.ListField(child=serializers.CharField(), help_text="What business rules said about it.")


class ResultsSerializer(serializers.Serializer[Any]):
    collection = serializers.CharField(source="index.collection.slug")
    index = serializers.CharField(source="index.name")
    build = serializers.IntegerField(source="build.pk", default=None, allow_null=True, help_text="null: exact search.")
    has_more = serializers.BooleanField(help_text="Whether hits follow after these.")
    timings_ms = serializers.DictField(child=serializers.FloatField(), help_text="Milliseconds of each step.")
    hits = HitSerializer(many=True)
