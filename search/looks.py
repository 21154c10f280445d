"""What a query looks like: the attributes that the index's feature model reads from its pictures."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from django.conf import settings

from search.extraction.attributes import AttributeBranch, Prediction
from search.extraction.errors import ExtractionError
from search.extraction.projection import load_projection
from search.extraction.weights import locate
from search.models import FeatureModel
from search.types import Descriptors

logger = logging.getLogger(__name__)

OPEN_BRANCHES = 8  # files kept in memory: a megabyte or less each


def branch_of(feature_model: FeatureModel) -> AttributeBranch | None:
    """The attribute heads of a feature model; None where it has none. Raises ExtractionError subclasses."""
    if not feature_model.projection:
        return None
    return _opened(feature_model.projection, feature_model.projection_sha256, Path(settings.WEIGHTS_ROOT))


@lru_cache(maxsize=OPEN_BRANCHES)
def _opened(name: str, sha256: str, folder: Path) -> AttributeBranch | None:
    found = load_projection(locate(name, "", folder)[0], sha256)
    return found if isinstance(found, AttributeBranch) else None


def looks_like(feature_model: FeatureModel, x: Descriptors, weights: Sequence[float] = ()) -> tuple[Prediction, ...]:
    """What is clear of descriptors (n, dim) of this model, all of one thing; ``weights`` of examples, below 0: not it.

    An unreadable file costs these words, never the search.
    """
    try:
        branch = branch_of(feature_model)
    except ExtractionError as error:
        logger.error("the attribute heads of %s are left out: %s", feature_model, error)
        return ()
    shares = np.asarray(weights or [1.0] * len(x))
    if branch is None or not (shares > 0).any():
        return ()
    predictions = branch.predict(branch.looks(x[shares > 0]), shares[shares > 0].tolist())
    return tuple(prediction for prediction in predictions if prediction.is_clear)
