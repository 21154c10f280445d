"""Groups of duplicates, scans for them, and decisions."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from search.api.serializers.common import JobSerializer
from search.api.serializers.images import ImageSerializer
from search.models import DuplicateGroup, DuplicateMember

DECISIONS = ("keep", "dismiss", "merge", "reopen")


class DuplicateSerializer(serializers.ModelSerializer[DuplicateMember]):
    """A picture of a group."""

    image = ImageSerializer(read_only=True)
    score = serializers.FloatField(
        read_only=True, allow_null=True, help_text="Inner product with the group's first picture; null for that one."
    )
    hash_distance = serializers.IntegerField(
        read_only=True, allow_null=True, help_text="Bits of the perceptual hash that differ from the first picture's."
    )

    class Meta:
        model = DuplicateMember
        fields = ["image", "score", "hash_distance"]
        read_only_fields = fields


class DuplicateGroupSerializer(serializers.ModelSerializer[DuplicateGroup]):
    score = serializers.FloatField(read_only=True, allow_null=True, help_text="The lowest of the group.")
    pictures = DuplicateSerializer(source="members", many=True, read_only=True)

    class Meta:
        model = DuplicateGroup
        fields = ["id", "kind", "state", "score", "pictures", "created", "decided"]
        read_only_fields = fields


class DuplicateScanSerializer(JobSerializer):
    feature_model = serializers.CharField(source="feature_model.name", read_only=True)
    max_hash_distance = serializers.IntegerField(read_only=True)
    min_score = serializers.FloatField(read_only=True)
    found = serializers.IntegerField(read_only=True, help_text="New groups.")
    dismissed = serializers.IntegerField(read_only=True, help_text="Pairs that were decided on before.")


class DuplicateScanStartSerializer(serializers.Serializer[Any]):
    index = serializers.CharField(
        required=False, max_length=100, help_text="Whose feature model compares; the default index if left out."
    )
    max_hash_distance = serializers.IntegerField(
        required=False, min_value=0, max_value=64, help_text="Bits of 64; as calibrated if left out."
    )
    min_score = serializers.FloatField(
        required=False, min_value=-1, max_value=1, help_text="As calibrated for the feature model if left out."
    )


class DuplicateDecisionSerializer(serializers.Serializer[Any]):
    decision = serializers.ChoiceField(
        choices=DECISIONS,
        help_text="keep: duplicates that may stay. dismiss: not duplicates. Neither is found again. merge: keep one "
        "picture and delete the others for good. reopen: take back keep or dismiss.",
    )
    keep = serializers.IntegerField(required=False, help_text="For merge: the id of the picture that stays.")
    across_products = serializers.BooleanField(
        default=False, help_text="For merge: also where that leaves another product without a picture."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs["decision"] == "merge" and "keep" not in attrs:
            raise serializers.ValidationError({"keep": self.fields["keep"].error_messages["required"]})
        return attrs
