"""A search and its answer."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from search.api.serializers.common import (
    AttributeFilterField,
    BoxField,
    FilesField,
    IdsField,
    JsonInForm,
    TextsField,
)
from search.api.serializers.images import PictureSerializer, frame_field, window_field
from search.api.serializers.products import SearchedProductSerializer
from search.examples import HEAVIEST, MOST
from search.expansion import HIGHEST_ALPHA, METHODS, MOST_NEIGHBOURS, BadExpansion, Expansion
from search.filters import Filters
from search.request import DEEPEST

MOST_PICTURES = 8  # files, or addresses, of one search: each is fetched, decoded and described


class ExampleSerializer(serializers.Serializer[Any]):
    """A further picture: exactly one of ``image_id`` and ``url``."""

    image_id = serializers.IntegerField(required=False, min_value=1, help_text="Id of a picture of the collection.")
    url = serializers.URLField(required=False, max_length=1000, help_text="Public http or https address of a picture.")
    weight = serializers.FloatField(
        default=1.0, min_value=-HEAVIEST, max_value=HEAVIEST, help_text="Below 0: hits should be less like this one."
    )
    box = BoxField(required=False, allow_null=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if ("image_id" in attrs) == ("url" in attrs):
            raise serializers.ValidationError(_("Send either image_id or url."))
        if attrs["weight"] == 0:
            raise serializers.ValidationError({"weight": _("A weight of 0 says nothing.")})
        return attrs


@extend_schema_field(ExampleSerializer(many=True))
class ExamplesField(JsonInForm):
    default_error_messages = {"many": _("At most {most} examples."), "urls": _("At most {most} of them by address.")}

    def to_internal_value(self, data: Any) -> list[dict[str, Any]]:
        inner = ExampleSerializer(data=super().to_internal_value(data), many=True)
        if isinstance(inner.initial_data, list) and len(inner.initial_data) > MOST:
            self.fail("many", most=MOST)
        if not inner.is_valid():
            raise serializers.ValidationError(inner.errors)
        found = [dict(example) for example in inner.validated_data]
        if sum("url" in example for example in found) > MOST_PICTURES:
            self.fail("urls", most=MOST_PICTURES)
        return found


@extend_schema_field(
    {
        "type": "object",
        "properties": {
            "method": {"type": "string", "enum": list(METHODS)},
            "k": {"type": "integer", "minimum": 1, "maximum": MOST_NEIGHBOURS, "default": Expansion.k},
            "alpha": {"type": "number", "minimum": 0, "maximum": HIGHEST_ALPHA, "default": Expansion.alpha},
        },
        "description": "Search by the mean of the picture and its k best hits, instead of what the index is set to; "
        "the method none: do not. In a form: JSON text.",
    }
)
class ExpandField(JsonInForm):
    def to_internal_value(self, data: Any) -> Expansion:
        try:
            return Expansion.from_dict(super().to_internal_value(data))
        except BadExpansion as error:
            text, name = error.render(gettext), str(error.params["name"])
            raise serializers.ValidationError(text if name == "expansion" else {name: text}) from None


class SearchSerializer(serializers.Serializer[Any]):
    """By ``url``, ``image_id`` or examples; filters are alternatives within one and must all hold together."""

    collection = serializers.SlugField(max_length=60)
    url = serializers.URLField(required=False, max_length=1000, help_text="Public http or https address of a picture.")
    image_id = serializers.IntegerField(required=False, min_value=1, help_text="Id of a picture of the collection.")
    like = IdsField(required=False, max_length=MOST, help_text="Ids of pictures that hits should be like, too.")
    unlike = IdsField(required=False, max_length=MOST, help_text="Ids of pictures that hits should be less like.")
    examples = ExamplesField(required=False, help_text="Further pictures, each with a weight.")
    expand = ExpandField(required=False)
    min_probability = serializers.FloatField(
        required=False,
        allow_null=True,
        min_value=0,
        max_value=1,
        help_text="Drop hits that are less likely to be relevant than this.",
    )
    index = serializers.CharField(required=False, max_length=100, help_text="Name; the default index if left out.")
    k = serializers.IntegerField(default=20, min_value=1, max_value=DEEPEST, help_text="How many hits.")
    offset = serializers.IntegerField(default=0, min_value=0, max_value=DEEPEST, help_text="How many to skip.")
    box = BoxField(required=False, allow_null=True)
    frame = frame_field()
    window = window_field()
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
        named = [name for name in ("image", "url", "image_id") if name in attrs]
        further = [1.0 for _id in attrs.get("like", ())] + [one["weight"] for one in attrs.get("examples", ())]
        if len(named) > 1:
            raise serializers.ValidationError(_("Send only one of image, url and image_id."))
        if not named and not any(weight > 0 for weight in further):
            raise serializers.ValidationError(_("Send image, url, image_id, like, or examples with a weight above 0."))
        if attrs.get("box") is not None and (not named or len(attrs.get("image", ())) > 1):
            raise serializers.ValidationError({"box": _("A box needs exactly one image, url or image_id.")})
        if ("frame" in attrs or "window" in attrs) and not {"image", "url"} & attrs.keys():
            raise serializers.ValidationError(_("A frame or a window needs an image or a url."))
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
    """By ``image`` (a file, or several of them), ``url``, ``image_id`` or examples."""

    image = FilesField(required=False, max_length=MOST_PICTURES)


class ReasonSerializer(serializers.Serializer[Any]):
    rule = serializers.CharField(help_text="Name of the business rule.")
    text = serializers.CharField(help_text="What it did to the hit, for people.")


class RoundedField(serializers.FloatField):
    def to_representation(self, value: Any) -> Any:
        return round(float(value), 4)


class HitSerializer(serializers.Serializer[Any]):
    rank = serializers.IntegerField(help_text="From 1.")
    score = serializers.FloatField(help_text="Inner product of unit vectors: higher is better, 1 the same.")
    probability = serializers.FloatField(
        allow_null=True, help_text="That it is relevant, 0 to 1; null where scores are not calibrated."
    )
    image = PictureSerializer()
    product = SearchedProductSerializer(source="image.product", allow_null=True)
    reasons = ReasonSerializer(many=True, help_text="What business rules did to it.")


class TierSerializer(serializers.Serializer[Any]):
    """What a tier of the search did."""

    name = serializers.CharField(help_text="coarse, fine or rules.")
    ms = serializers.FloatField(help_text="Milliseconds.")
    out = serializers.IntegerField(help_text="How many it gave on.")
    moved = serializers.IntegerField(help_text="How many of those changed their place among them.")
    dropped = serializers.IntegerField(help_text="How many it left out.")

    def get_fields(self) -> dict[str, Any]:
        return {
            **super().get_fields(),
            "in": serializers.IntegerField(source="in_", help_text="How many it was given."),
        }


class LookSerializer(serializers.Serializer[Any]):
    """An attribute that the searching pictures clearly show, as the feature model's attribute branch reads them."""

    attribute = serializers.CharField(help_text="category, or the name of an attribute: what it can be filtered by.")
    value = serializers.CharField()
    confidence = RoundedField(help_text="Calibrated probability, 0 to 1.")


class ResultsSerializer(serializers.Serializer[Any]):
    """The answer of a search as the schema describes it; search.api.answers makes the same, quicker."""

    collection = serializers.CharField(source="index.collection.slug")
    index = serializers.CharField(source="index.name")
    build = serializers.IntegerField(source="build.pk", default=None, allow_null=True, help_text="null: exact search.")
    has_more = serializers.BooleanField(help_text="Whether hits follow after these.")
    cut_off = serializers.FloatField(
        allow_null=True, help_text="Hits less probable than this are better folded away; null: show all."
    )
    cached = serializers.BooleanField(help_text="Whether it was kept from an equal search before, rows read anew.")
    timings_ms = serializers.DictField(child=serializers.FloatField(), help_text="Milliseconds of each step.")
    tiers = TierSerializer(many=True)
    looks_like = LookSerializer(
        many=True, help_text="Empty where the index's feature model has no attribute branch, or nothing is clear."
    )
    hits = HitSerializer(many=True)
