"""The nearest descriptors of pictures of a collection, through what serves its searches."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from django.conf import settings

from catalog.errors import LookalikeError, gettext_noop
from catalog.models import Collection
from search.indexes import ExactIndex, set_threads
from search.models import Embedding, FeatureModel, SearchIndex
from search.ranking.pipeline import Pipeline
from search.serving import Live
from search.side import embeddings_of, stream
from search.types import Descriptors, Ids
from search.vectors import from_bytes

NEAREST = 10
DEEPER = 4  # candidates of a compressed index that are scored with the original descriptors, for each one wanted
UNINDEXED_UP_TO = 100_000


class NoIndexForScan(LookalikeError):
    code = "no_index_for_scan"
    text = gettext_noop("%(collection)s is too large to be compared with %(feature_model)s without an index of it.")
    cure = gettext_noop("Make an index with this feature model and build it, or choose the feature model of an index.")
    status = 409


class DescriptorSearch:
    """The collection's index of the feature model as it is served: build and what came since. Else an exact one.

    ``left_out``: pictures that are never neighbours (copies of a file, of which one speaks for all).
    """

    def __init__(self, collection: Collection, feature_model: FeatureModel, left_out: Ids) -> None:
        self._feature_model, self._left_out = feature_model, left_out
        set_threads(settings.FAISS_THREADS or os.cpu_count() or 1)
        self._pipeline = self._served(collection) or self._exact(collection)

    def _served(self, collection: Collection) -> Pipeline | None:
        indexes = SearchIndex.objects.filter(collection=collection, feature_model=self._feature_model)
        index = indexes.order_by("-is_default", "id").first()
        return None if index is None else Live(index.pk).state().pipeline

    def _exact(self, collection: Collection) -> Pipeline:
        rows = embeddings_of(SearchIndex(collection=collection, feature_model=self._feature_model))
        if rows.count() > UNINDEXED_UP_TO:
            raise NoIndexForScan(collection=collection, feature_model=self._feature_model)
        exact = ExactIndex(self._feature_model.dim, np.float16)
        for _, ids, x in stream(rows, self._feature_model.dim):
            exact.add(ids, x)
        return Pipeline(side=exact)

    def nearest(self, image_ids: Ids, least: float) -> dict[int, list[tuple[int, float]]]:
        """For each picture that has a descriptor its nearest ones, as (picture, score), from ``least`` up."""
        ids, x = self._descriptors(image_ids)
        if not len(ids):
            return {}
        found = [self._hits(*part) for part in self._searched(x)]
        return {
            own: [(other, score) for other, score in sorted(hits.items(), key=_by_score)[: NEAREST + 1]
                  if score >= least and other != own]
            for own, hits in zip(ids.tolist(), map(_merged, zip(*found, strict=True)), strict=True)
        }  # fmt: skip

    def scores(self, own: int, others: list[int]) -> dict[int, float]:
        """Scores of a picture and others, by their stored descriptors; those that have none are left out."""
        ids, x = self._descriptors(np.array([own, *others], np.int64))
        rows = dict(zip(ids.tolist(), x, strict=True))
        if own not in rows:
            return {}
        return {other: float(rows[own] @ rows[other]) for other in others if other in rows}

    def _descriptors(self, image_ids: Ids) -> tuple[Ids, Descriptors]:
        rows = Embedding.objects.filter(
            image__in=image_ids.tolist(), feature_model=self._feature_model, vector__isnull=False
        )
        pairs = [
            (key, from_bytes(v, self._feature_model.dim)) for key, v in rows.values_list("image_id", "vector") if v
        ]
        x = np.stack([vector for _, vector in pairs]) if pairs else np.empty((0, self._feature_model.dim), np.float32)
        return np.array([key for key, _ in pairs], np.int64), x

    def _searched(self, x: Descriptors) -> list[tuple[Any, Any]]:
        """(ids, exact scores) of the side index and, re-scored with the original descriptors, of the build."""
        pipeline = self._pipeline
        scores, ids = pipeline.side.search(x, min(NEAREST + 1, max(1, len(pipeline.side))), excluded=self._left_out)
        parts = [(ids, scores)]
        if pipeline.index is not None and pipeline.originals is not None:
            not_these = np.union1d(pipeline.superseded, self._left_out)
            count = min(DEEPER * NEAREST, len(pipeline.index))
            _, ids = pipeline.index.search(x, count, excluded=not_these, **pipeline.search_params)
            exact = np.full(ids.shape, -np.inf, np.float32)
            for row, held in enumerate(ids >= 0):
                exact[row, held] = pipeline.originals.scores(x[row], ids[row, held])
            parts.append((ids, exact))
        return parts

    @staticmethod
    def _hits(ids: Any, scores: Any) -> list[dict[int, float]]:
        pairs = zip(ids.tolist(), scores.tolist(), strict=True)
        return [{key: score for key, score in zip(*pair, strict=True) if key >= 0} for pair in pairs]


def _merged(parts: tuple[dict[int, float], ...]) -> dict[int, float]:
    return {key: score for part in parts for key, score in part.items()}


def _by_score(hit: tuple[int, float]) -> tuple[float, int]:
    return -hit[1], hit[0]
