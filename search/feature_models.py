"""New feature models: a row and the extractor that it names, both or neither."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from django.db import IntegrityError, transaction

from catalog.errors import LookalikeError, gettext_noop
from search.embedding import feature_model_prepare
from search.extraction.spec import ExtractorSpec
from search.models import FeatureModel


class NameTaken(LookalikeError):
    code = "name_taken"
    text = gettext_noop("There is a feature model %(name)s already.")
    cure = gettext_noop("Choose another name.")
    status = 409


def feature_model_create(name: str, spec: ExtractorSpec, **links: Any) -> FeatureModel:
    """``links``: what else the row holds, such as the model it was made from. Raises NameTaken, and what opening
    raises; no row is left then."""
    parts = {part.name: getattr(spec, part.name) for part in fields(ExtractorSpec)}
    try:
        with transaction.atomic():
            return feature_model_prepare(FeatureModel.objects.create(name=name, **parts, **links))
    except IntegrityError:
        raise NameTaken(name=name) from None
