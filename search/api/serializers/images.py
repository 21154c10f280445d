"""Pictures."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from catalog.models import Image, ImageRole


class PictureSerializer(serializers.ModelSerializer[Image]):
    """A picture as part of something else: a hit, a product."""

    url = serializers.FileField(source="file", read_only=True)
    thumbnail_url = serializers.FileField(source="thumbnail", read_only=True, allow_null=True)

    class Meta:
        model = Image
        fields = ["id", "url", "thumbnail_url", "width", "height"]
        read_only_fields = fields


class ImageSerializer(PictureSerializer):
    product = serializers.SlugRelatedField[Any](
        slug_field="sku", read_only=True, allow_null=True, help_text="SKU of the product it shows."
    )

    class Meta(PictureSerializer.Meta):
        fields = [*PictureSerializer.Meta.fields, "product", "role", "format", "size", "sha256", "source", "created"]
        read_only_fields = fields


def frame_field() -> serializers.CharField:
    return serializers.CharField(
        required=False,
        max_length=20,
        help_text="Of a DICOM file: first (if left out), middle, last or a number from 1.",
    )


def window_field() -> serializers.CharField:
    return serializers.CharField(
        required=False,
        max_length=40,
        help_text="Of a DICOM file: stored (if left out), stored:2, for CT one of lung, mediastinum, soft-tissue, "
        "abdomen, liver, brain and bone, or center/width such as 40/400.",
    )


class ImageLinkSerializer(serializers.Serializer[Any]):
    """A new picture, fetched from a public address."""

    url = serializers.URLField(required=False, max_length=1000, help_text="Public http or https address.")
    product = serializers.CharField(required=False, max_length=200, help_text="SKU of a product of the collection.")
    role = serializers.ChoiceField(choices=ImageRole.choices, default=ImageRole.GALLERY)
    source = serializers.CharField(  # type: ignore[assignment]  # Field.source is another thing
        required=False, max_length=1000, help_text="Where it came from: a note. Not kept of a DICOM file."
    )
    frame = frame_field()
    window = window_field()


class ImageUploadSerializer(ImageLinkSerializer):
    """A new picture: ``image`` (a file) or ``url``."""

    image = serializers.FileField(required=False, allow_empty_file=True, help_text="The picture file.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if ("image" in attrs) == ("url" in attrs):
            raise serializers.ValidationError(_("Send either image or url."))
        return attrs
