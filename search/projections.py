"""PCA and whitening learned from the embeddings of collections: a new feature model beside the old one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np
from django.conf import settings
from django.db import IntegrityError, transaction

from catalog.errors import LookalikeError, gettext_noop
from catalog.models import Collection, ImageRole
from search.embedding import feature_model_prepare
from search.extraction.projection import Projection, fit
from search.extraction.spec import ExtractorSpec
from search.models import Embedding, FeatureModel
from search.types import Descriptors
from search.vectors import from_bytes

SAMPLE = 50_000
SEED = 20


class NameTaken(LookalikeError):
    code = "name_taken"
    text = gettext_noop("There is a feature model %(name)s already.")
    cure = gettext_noop("Choose another name.")
    status = 409


class NothingToFitOn(LookalikeError):
    code = "nothing_to_fit_on"
    text = gettext_noop("%(model)s has embedded no gallery picture of %(collections)s.")
    cure = gettext_noop("Embed the collection with it first.")
    status = 409


class ProjectedAlready(LookalikeError):
    code = "projected_already"
    text = gettext_noop("The feature model %(model)s has a projection already.")
    cure = gettext_noop("Fit on the model that it was projected from.")


def projection_fit(
    base: FeatureModel,
    collections: Sequence[Collection],
    name: str,
    dim: int,
    *,
    whiten: bool = False,
    sample: int = SAMPLE,
) -> FeatureModel:
    """A feature model that is ``base`` with the first ``dim`` principal axes of the collections' gallery.

    Up to ``sample`` descriptors are drawn with a fixed seed. Do not measure on what it was fitted on. Raises NameTaken,
    NothingToFitOn, ProjectedAlready, BadConfiguration.
    """
    if base.projection:
        raise ProjectedAlready(model=base)
    if FeatureModel.objects.filter(name=name).exists():
        raise NameTaken(name=name)
    projection = fit(_sample(base, collections, sample), dim, whiten=whiten)
    file = _saved(projection)
    parts = {part.name: getattr(base.spec, part.name) for part in fields(ExtractorSpec)}
    parts |= {"projection": file, "projection_sha256": projection.identity}
    try:
        with transaction.atomic():
            return feature_model_prepare(FeatureModel.objects.create(name=name, projected_from=base, **parts))
    except IntegrityError:
        raise NameTaken(name=name) from None


def _sample(base: FeatureModel, collections: Sequence[Collection], size: int) -> Descriptors:
    rows = Embedding.objects.filter(
        feature_model=base,
        vector__isnull=False,
        image__collection__in=collections,
        image__role=ImageRole.GALLERY,
    )
    keys = np.fromiter(rows.order_by("id").values_list("id", flat=True), np.int64)
    if not len(keys):
        raise NothingToFitOn(model=base, collections=", ".join(collection.name for collection in collections))
    keys = np.sort(np.random.default_rng(SEED).permutation(keys)[:size])
    x = np.empty((len(keys), base.dim), np.float32)
    for start in range(0, len(keys), 500):  # SQLite takes so many values in one question
        block = Embedding.objects.filter(id__in=keys[start : start + 500].tolist()).order_by("id")
        for place, vector in enumerate(block.values_list("vector", flat=True), start):
            x[place] = from_bytes(vector or b"", base.dim)
    return x


def _saved(projection: Projection) -> str:
    """Named by its numbers, in the weights folder; the same ones are written once."""
    folder = Path(settings.WEIGHTS_ROOT)
    folder.mkdir(parents=True, exist_ok=True)
    kind = "whiten" if projection.whiten else "pca"
    path = folder / f"{kind}{projection.dim}-{projection.identity[:16]}.npz"
    if not path.exists():
        new = path.with_suffix(".new")
        projection.save(new)
        new.replace(path)
    return path.name
