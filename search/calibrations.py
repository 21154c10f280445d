"""Calibrations of indexes: sampled, fitted, stored in their rows, and read back."""

from __future__ import annotations

import logging

from search.calibration import Calibration
from search.models import SearchIndex

logger = logging.getLogger(__name__)


def calibration_of(index: SearchIndex) -> Calibration | None:
    """The stored calibration; None where there is none, or where it is of other descriptors than today's."""
    stored = index.calibration
    if not stored or stored.get("fingerprint") != index.feature_model.fingerprint:
        return None
    try:
        return Calibration.from_dict(stored)
    except (KeyError, TypeError, ValueError) as error:
        logger.error("the calibration of index %s is left out: %r", index, error)
        return None
