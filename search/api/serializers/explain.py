"""Why two pictures look alike: a question and its answer."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from search.api.serializers.common import BoxField
from search.api.serializers.images import frame_field, window_field
from search.extraction.explain import Explanation, Method
from search.extraction.heat import Heat

SIDE = 512
SIDES = 64, 2048  # pixels of a heat map's long side


class ExplainSerializer(serializers.Serializer[Any]):
    """A picture by ``url`` or ``image_id``, and a ``hit`` of a search with it."""

    collection = serializers.SlugField(max_length=60)
    hit = serializers.IntegerField(min_value=1, help_text="Id of a picture of the collection.")
    url = serializers.URLField(required=False, max_length=1000, help_text="Public http or https address of a picture.")
    image_id = serializers.IntegerField(required=False, min_value=1, help_text="Id of a picture of the collection.")
    box = BoxField(required=False, allow_null=True)
    frame = frame_field()
    window = window_field()
    index = serializers.CharField(required=False, max_length=100, help_text="Name; the default index if left out.")
    method = serializers.ChoiceField(
        choices=[method.value for method in Method],
        default=Method.AUTO.value,
        help_text="maps: from feature maps. occlusion: by covering parts. auto: maps where there are any.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if sum(name in attrs for name in ("image", "url", "image_id")) != 1:
            raise serializers.ValidationError(_("Send one of image, url and image_id."))
        if ("frame" in attrs or "window" in attrs) and "image_id" in attrs:
            raise serializers.ValidationError(_("A frame or a window needs an image or a url."))
        return attrs


class ExplainUploadSerializer(ExplainSerializer):
    """A picture by ``image`` (a file), ``url`` or ``image_id``, and a ``hit`` of a search with it."""

    image = serializers.FileField(required=False, allow_empty_file=True)


class HeatMapSerializer(ExplainSerializer):
    picture = serializers.ChoiceField(
        choices=["query", "hit"], default="hit", help_text="Whose heat map: that of the asking picture or of the hit."
    )
    side = serializers.IntegerField(
        default=SIDE, min_value=SIDES[0], max_value=SIDES[1], help_text="Its long side, pixels."
    )


class HeatMapUploadSerializer(HeatMapSerializer):
    image = serializers.FileField(required=False, allow_empty_file=True)


class HeatSerializer(serializers.Serializer[Any]):
    """One of the two pictures."""

    width = serializers.IntegerField(help_text="Of the upright original, pixels.")
    height = serializers.IntegerField(help_text="Of the upright original, pixels.")
    box = serializers.SerializerMethodField(
        help_text="What the network saw, over which the grid lies: left, top, right, bottom in pixels of the original."
    )
    values = serializers.SerializerMethodField(help_text="What each place adds to the score, row by row.")
    where = serializers.CharField(
        allow_blank=True, help_text="The part that holds most of what stands out, such as upper_left; empty: none does."
    )

    @extend_schema_field({"type": "array", "items": {"type": "number"}, "minItems": 4, "maxItems": 4})
    def get_box(self, heat: Heat) -> list[float]:
        return [round(side, 2) for side in heat.box]

    @extend_schema_field({"type": "array", "items": {"type": "array", "items": {"type": "number"}}})
    def get_values(self, heat: Heat) -> list[list[float]]:
        return [[round(value, 7) for value in row] for row in heat.values.tolist()]


class ExplanationSerializer(serializers.Serializer[Any]):
    """With the method maps each picture's values sum to the score less ``attributes``."""

    method = serializers.CharField(help_text="maps or occlusion.")
    score = serializers.FloatField(help_text="Inner product of the two descriptors.")
    attributes = serializers.FloatField(help_text="What of it comes from predicted attributes, which have no place.")
    centring = serializers.SerializerMethodField(
        help_text="What a projection's centre adds, for query and hit: spread evenly over the values."
    )
    query = HeatSerializer()
    hit = HeatSerializer()

    @extend_schema_field({"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2})
    def get_centring(self, found: Explanation) -> list[float]:
        return list(found.centring)
