"""Whether rows, embeddings and the active build of an index agree, and mending what does not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from django.db.models import Exists, OuterRef, QuerySet
from django.db.models.functions import Length

from catalog.models import Image
from search.indexes import BrokenIndex
from search.indexes.saved import Manifest, SavedBuild, verify
from search.models import Embedding, SearchIndex
from search.side import OVERLAP, embeddings_of
from search.types import Ids


@dataclass(frozen=True)
class Consistency:
    """What a check found. Counts of pictures, but ``broken``: why the active build cannot be served."""

    embedded: int = 0
    failed: int = 0  # could not be embedded; the reason is in the row
    pending: int = 0  # have no embedding
    unfit: int = 0  # have an embedding of the wrong length
    in_build: int = 0
    added: int = 0  # since the build: found through the side index
    gone: int = 0  # in the build, but deleted or hidden since: masked
    lost: int = 0  # embedded before the build and not in it: not found till the next one
    broken: str = ""

    @property
    def is_sound(self) -> bool:
        """Everything that can be found is found. What was added or deleted since the build is no fault."""
        return not (self.pending or self.unfit or self.lost or self.broken)


def pending_images(index: SearchIndex) -> QuerySet[Image]:
    """Pictures of the collection, queries too, that the index's feature model has not seen."""
    stored = Embedding.objects.filter(image=OuterRef("pk"), feature_model_id=index.feature_model_id)
    return Image.objects.filter(~Exists(stored), collection_id=index.collection_id).order_by()


def consistency_of(index: SearchIndex) -> Consistency:
    """Compare everything, hashes of the build's files included. Reads ids and lengths, not descriptors."""
    ids = _embedding_ids(index)
    failed = Embedding.objects.filter(
        feature_model_id=index.feature_model_id, image__collection_id=index.collection_id, vector__isnull=True
    )
    in_build, watermark, broken = _build_ids(index)
    served = in_build is not None
    known: Ids = in_build if in_build is not None else np.empty(0, np.int64)
    outside = np.setdiff1d(ids, known, assume_unique=True)
    return Consistency(
        embedded=len(ids),
        failed=failed.count(),
        pending=pending_images(index).count(),
        unfit=len(unfit_ids(index)),
        in_build=len(known),
        added=int(np.count_nonzero(outside > watermark - OVERLAP)) if served else len(outside),
        gone=len(np.setdiff1d(known, ids, assume_unique=True)),
        lost=int(np.count_nonzero(outside <= watermark - OVERLAP)) if served else 0,
        broken=broken,
    )


def unfit_ids(index: SearchIndex) -> list[int]:
    """Embedding rows that are not as long as the feature model's descriptors."""
    bytes_each = 2 * index.feature_model.dim
    if not bytes_each:
        return []
    rows = embeddings_of(index).annotate(length=Length("vector")).exclude(length=bytes_each)
    return list(rows.order_by("id").values_list("id", flat=True))


def _embedding_ids(index: SearchIndex) -> Ids:
    ids = embeddings_of(index).order_by("id").values_list("id", flat=True)
    return np.fromiter(ids, np.int64)


def _build_ids(index: SearchIndex) -> tuple[Ids | None, int, str]:
    """Embedding ids and watermark of the active build, and what is wrong with it."""
    build = index.active_build
    if build is None:
        return None, 0, ""
    try:
        verify(build.folder, Manifest.read(build.folder), hashes=True)
        saved = SavedBuild.open(build.folder)
        if saved.manifest.fingerprint != index.feature_model.fingerprint:
            raise BrokenIndex(path=build.folder, reason="it was made from other descriptors (fingerprint)")
    except BrokenIndex as error:
        return None, 0, str(error)
    return saved.embedding_ids, saved.manifest.watermark, ""
