"""Fields and shapes that several resources share."""

from __future__ import annotations

import json
import re
from typing import Any

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from catalog.jobs import JobState
from search.api.permissions import allows
from search.models import Scope

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class ErrorDetailSerializer(serializers.Serializer[Any]):
    code = serializers.CharField(help_text="For programs; never translated.")
    message = serializers.CharField(help_text="For people, in the language of Accept-Language.")
    fields = serializers.DictField(  # type: ignore[assignment]
        child=serializers.ListField(child=serializers.CharField()),
        required=False,
        help_text="What is wrong with which field of the request.",
    )


class ErrorSerializer(serializers.Serializer[Any]):
    """The one shape of every answer that is not a success."""

    error = ErrorDetailSerializer()


class TextsField(serializers.ListField):
    """Several texts; a single one may come without the list."""

    child = serializers.CharField(max_length=200)

    def to_internal_value(self, data: Any) -> list[Any]:
        return super().to_internal_value([data] if isinstance(data, str) else data)


class IdsField(serializers.ListField):
    """Several ids; a single one may come without the list."""

    child = serializers.IntegerField(min_value=1)

    def to_internal_value(self, data: Any) -> list[Any]:
        return super().to_internal_value(data if isinstance(data, list) else [data])


@extend_schema_field(
    {
        "oneOf": [
            {"type": "string", "format": "binary"},
            {"type": "array", "items": {"type": "string", "format": "binary"}, "minItems": 1},
        ],
        "description": "The picture file; repeated, several pictures that are searched by together.",
    }
)
class FilesField(serializers.ListField):
    """One file of a form, or several under the same name."""

    child = serializers.FileField(allow_empty_file=True)

    def to_internal_value(self, data: Any) -> list[Any]:
        try:
            return super().to_internal_value(data if isinstance(data, list) else [data])
        except serializers.ValidationError as error:
            if isinstance(error.detail, dict):  # by place: of one file, that is no help
                raise serializers.ValidationError([text for texts in error.detail.values() for text in texts]) from None
            raise


class JsonInForm(serializers.Field[Any, Any, Any, Any]):
    """Base of fields that are JSON in a JSON body and JSON text in a form."""

    default_error_messages = {"json": _("This is not valid JSON.")}

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, str):
            return data
        try:
            return json.loads(data)
        except ValueError:
            self.fail("json")

    def to_representation(self, value: Any) -> Any:
        return value


@extend_schema_field(
    {
        "type": "array",
        "items": {"type": "integer", "minimum": 0},
        "minItems": 4,
        "maxItems": 4,
        "description": "[x, y, width, height] in pixels of the upright original. In a form: x,y,width,height.",
    }
)
class BoxField(JsonInForm):
    default_error_messages = {"box": _("A box is four whole numbers: [x, y, width, height].")}

    def to_internal_value(self, data: Any) -> tuple[int, int, int, int]:
        if isinstance(data, str) and not data.lstrip().startswith("["):
            data = f"[{data}]"
        box = super().to_internal_value(data)
        whole = isinstance(box, list) and len(box) == 4 and all(type(side) is int for side in box)
        if not whole or min(box) < 0 or max(box) > 1_000_000:
            self.fail("box")
        return box[0], box[1], box[2], box[3]


@extend_schema_field(
    {
        "type": "object",
        "additionalProperties": {
            "oneOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
        },
        "description": "Values of one attribute are alternatives; all attributes must hold. In a form: JSON text.",
    }
)
class AttributeFilterField(JsonInForm):
    default_error_messages = {"attributes": _('Attributes are an object such as {{"color": ["red", "blue"]}}.')}

    def to_internal_value(self, data: Any) -> dict[str, tuple[str, ...]]:
        named = super().to_internal_value(data)
        if not isinstance(named, dict) or len(named) > 20:
            self.fail("attributes")
        if not is_storable(named):
            self.fail("attributes")
        return {name: self._values(values) for name, values in named.items()}

    def _values(self, values: Any) -> tuple[str, ...]:
        listed = values if isinstance(values, list) else [values]
        if not listed or len(listed) > 50 or not all(isinstance(value, str | int | float) for value in listed):
            self.fail("attributes")
        return tuple(_as_text(value) for value in listed)


def is_storable(value: Any) -> bool:
    """Whether Postgres takes every text in a JSON value: no NUL, and no half of a surrogate pair."""
    if isinstance(value, dict):
        return all(is_storable(part) for pair in value.items() for part in pair)
    if isinstance(value, list):
        return all(map(is_storable, value))
    return not (isinstance(value, str) and _UNSTORABLE.search(value))


def _as_text(value: str | int | float) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


class JobSerializer(serializers.Serializer[Any]):
    """Base of what a job shows: state and progress."""

    id = serializers.IntegerField(read_only=True)
    state = serializers.ChoiceField(choices=JobState.choices, read_only=True)
    done = serializers.IntegerField(read_only=True, help_text="Items finished, of total.")
    total = serializers.IntegerField(read_only=True)
    percent = serializers.IntegerField(read_only=True)
    stage = serializers.CharField(read_only=True)
    error = serializers.SerializerMethodField(help_text="Why it failed; told to scopes write and admin only.")
    cancel_requested = serializers.BooleanField(read_only=True)
    created = serializers.DateTimeField(read_only=True)
    started = serializers.DateTimeField(read_only=True, allow_null=True)
    finished = serializers.DateTimeField(read_only=True, allow_null=True)
    seconds = serializers.FloatField(read_only=True, allow_null=True, help_text="From start to finish, or till now.")

    def get_error(self, job: Any) -> str:
        return job.error if allows(self.context["request"], Scope.WRITE) else ""
