"""Form parts of the admin: a picture that is checked by the decoder, a table of attributes."""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import UploadedFile
from django.utils.text import capfirst
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from catalog.admin.base import error_text
from catalog.errors import LookalikeError
from catalog.images import TooManyBytes, decode
from catalog.services import picture_limits

PICTURES = "image/*,.avif,.heic,.tif,.tiff,.bmp,.dcm"


class PictureField(forms.FileField):
    """A picture the site's own decoder accepts; cleans to its bytes. A broken one is a form error."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("label", capfirst(_("picture")))
        options.setdefault("widget", forms.FileInput(attrs={"accept": PICTURES, "class": "lk-picture-input"}))
        super().__init__(**options)

    def clean(self, data: Any, initial: Any = None) -> Any:
        upload = super().clean(data, initial)
        if not isinstance(upload, UploadedFile):
            return upload
        if (upload.size or 0) > settings.IMAGE_MAX_BYTES:
            raise ValidationError(error_text(TooManyBytes(max_bytes=settings.IMAGE_MAX_BYTES)))
        content = upload.read()
        try:
            decode(content, limits=picture_limits())
        except LookalikeError as error:
            raise ValidationError(error_text(error)) from error
        return PictureBytes(content, upload.name or "")


class PictureBytes(bytes):
    """The bytes of an uploaded picture and the name it came under."""

    name: str

    def __new__(cls, content: bytes, name: str) -> PictureBytes:
        picture = super().__new__(cls, content)
        picture.name = name
        return picture


class JSONTextField(forms.JSONField):
    """JSON in a few lines of text; a list has an entry a line, nothing is an empty field."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("widget", forms.Textarea(attrs={"rows": 4, "class": "lk-json vLargeTextField"}))
        super().__init__(required=False, **options)

    def prepare_value(self, value: Any) -> Any:
        if value is None or isinstance(value, str):
            return value
        if value and isinstance(value, list) and isinstance(value[0], dict):
            lines = ",\n".join(f"  {json.dumps(entry, ensure_ascii=False)}" for entry in value)
            return f"[\n{lines}\n]"
        return json.dumps(value, ensure_ascii=False)


class AttributesField(forms.JSONField):
    """Names and values. A table with JavaScript (``admin.js``), indented JSON without."""

    def __init__(self, **options: Any) -> None:
        words = {"name": _("name"), "value": _("value"), "add": _("add"), "remove": _("remove")}
        data = {f"data-{key}": word for key, word in {**words, "raw": _("edit as JSON")}.items()}
        attributes = {"rows": 6, "class": "lk-attributes vLargeTextField", **data}
        options.setdefault("widget", forms.Textarea(attrs=attributes))
        super().__init__(**options)

    def prepare_value(self, value: Any) -> Any:
        if isinstance(value, str) or value is None:
            return super().prepare_value(value)
        return json.dumps(value, indent=2, ensure_ascii=False)

    def clean(self, value: Any) -> Any:
        attributes = super().clean(value)
        if attributes in (None, ""):
            return {}
        if not isinstance(attributes, dict):
            raise ValidationError(gettext('Attributes are names and values, for example {"colour": "red"}.'))
        return attributes
