"""PCA and whitening learned from the embeddings of collections: a new feature model beside the old one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from django.conf import settings

from catalog.errors import LookalikeError, gettext_noop
from catalog.models import Collection, ImageRole
from search.extraction.projection import AnyProjection, fit
from search.feature_models import NameTaken, feature_model_create
from search.models import Embedding, FeatureModel
from search.types import Descriptors
from search.vectors import from_bytes

SAMPLE = 50_000
BLOCK = 500  # keys in one question: SQLite takes no more than a thousand values
SEED = 20


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
    file = projection_save(projection, "whiten" if whiten else "pca")
    spec = replace(base.spec, projection=file, projection_sha256=projection.identity)
    return feature_model_create(name, spec, projected_from=base)


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
    return vectors_of(keys.tolist(), base.dim)


def vectors_of(keys: Sequence[int], dim: int) -> Descriptors:
    """The stored descriptors (n, dim) of these Embedding rows, whose keys rise."""
    x = np.empty((len(keys), dim), np.float32)
    for start in range(0, len(keys), BLOCK):
        block = Embedding.objects.filter(id__in=keys[start : start + BLOCK]).order_by("id")
        for place, vector in enumerate(block.values_list("vector", flat=True), start):
            x[place] = from_bytes(vector or b"", dim)
    return x


def projection_save(projection: AnyProjection, kind: str) -> str:
    """A file in the weights folder, named by its numbers; the same ones are written once. Returns its name."""
    folder = Path(settings.WEIGHTS_ROOT)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{kind}{projection.dim}-{projection.identity[:16]}.npz"
    if not path.exists():
        new = path.with_suffix(".new")
        projection.save(new)
        new.replace(path)
    return path.name
