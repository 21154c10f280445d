"""Inner products of a few float16 rows, without making them float32 first.

NumPy converts a row in three times the time of everything else; FAISS multiplies as it reads, with the
processor's own instruction. At 200 rows of 512: 70 us instead of 140.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from search.types import Descriptors, Scores


def half_precision_scores(query: Descriptors, rows: NDArray[np.float16]) -> Scores:
    """(n,) inner products of ``query`` (dim,) with ``rows`` (n, dim), in single precision."""
    from search.indexes.faiss_module import faiss

    count, dim = rows.shape
    scores = np.empty(count, np.float32)
    if not count:
        return scores
    # An index of these rows alone, made anew (3 us): one that threads share could not be filled by two.
    index = faiss.IndexScalarQuantizer(dim, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
    index.add_sa_codes(np.ascontiguousarray(rows).view(np.uint8))
    found, places = index.search(np.ascontiguousarray(query[None], np.float32), count)
    scores[places[0]] = found[0]
    return scores
