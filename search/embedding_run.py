"""One pass over the pictures of a collection that wait for their embedding."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field, replace

import numpy as np
from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef, QuerySet

from catalog.images import Limits
from catalog.locks import try_lock
from catalog.models import Collection, Image
from search.extraction.extractor import Extractor
from search.models import Embedding, FeatureModel
from search.picture_stream import Described, PictureStream
from search.vectors import from_bytes, to_bytes

Progress = Callable[[int, int], None]

# Two processes share a collection by blocks of so many picture ids: large beside a batch, small beside a catalog.
BLOCK = 1024


@dataclass
class EmbeddingRun:
    collection: Collection
    feature_model: FeatureModel
    extractor: Extractor
    limits: Limits
    done: int = 0
    total: int = 0
    _busy: set[int] = field(default_factory=set)

    def pending(self) -> QuerySet[Image]:
        stored = Embedding.objects.filter(image=OuterRef("pk"), feature_model=self.feature_model)
        return Image.objects.filter(~Exists(stored), collection=self.collection).order_by("pk")

    def work(self, limit: int | None, on_progress: Progress | None) -> int:
        self.total = self.pending().count() if on_progress else 0  # reads the whole collection
        with closing(PictureStream(self.extractor, self.limits)) as stream:
            while limit is None or self.done < limit:
                block = self._next_block()
                if block is None:
                    break
                self._embed_block(block, None if limit is None else limit - self.done, stream, on_progress)
        return self.done

    def _next_block(self) -> int | None:
        """The first block with waiting pictures that nobody else was seen at work on."""
        waiting = self.pending()
        for block in sorted(self._busy):
            waiting = waiting.exclude(pk__gte=block * BLOCK, pk__lt=(block + 1) * BLOCK)
        first = waiting.values_list("pk", flat=True).first()
        return None if first is None else first // BLOCK

    def _embed_block(self, block: int, limit: int | None, stream: PictureStream, on_progress: Progress | None) -> None:
        # Whoever holds the lock asks again what is waiting after letting go of it, so a picture added
        # while another process finds the block taken is not forgotten.
        with try_lock(f"embed-{self.collection.pk}-{self.feature_model.pk}-{block}") as mine:
            if not mine:
                self._busy.add(block)
                return
            waiting = self.pending().filter(pk__gte=block * BLOCK, pk__lt=(block + 1) * BLOCK)
            files = list(waiting.values_list("pk", "file")[:limit])
            files = self._projected(files)
            for batch in stream.described(files):
                self._store(batch)
                self.done += len(batch)
                self.total = max(self.total, self.done)
                if on_progress:
                    on_progress(self.done, self.total)

    def _projected(self, files: list[tuple[int, str]]) -> list[tuple[int, str]]:
        """Embed what needs no network, for the model without the projection embedded it; the files that are left."""
        base = self.feature_model.projected_from
        if base is None or replace(self.feature_model.spec, projection="", projection_sha256="") != base.spec:
            return files
        keys = [key for key, _ in files]
        stored = Embedding.objects.filter(feature_model=base, image__in=keys, vector__isnull=False)
        rows = [(key, vector) for key, vector in stored.values_list("image_id", "vector") if vector is not None]
        if not rows:
            return files
        x = self.extractor.project(np.stack([from_bytes(vector, base.dim) for _, vector in rows]))
        _insert([self._row(key, data) for (key, _), data in zip(rows, to_bytes(x), strict=True)])
        self.done += len(rows)
        projected = {key for key, _ in rows}
        return [(key, name) for key, name in files if key not in projected]

    def _store(self, batch: list[Described]) -> None:
        _insert([self._row(item.image_id, item.vector, item.error) for item in batch])

    def _row(self, image_id: int, vector: bytes | None = None, error: str = "") -> Embedding:
        return Embedding(image_id=image_id, feature_model=self.feature_model, vector=vector, error=error)


def _insert(rows: list[Embedding], tries: int = 3) -> None:
    """Insert what is still wanted: a picture may have been deleted or embedded meanwhile."""
    rows.sort(key=lambda row: row.image_id)
    for left in reversed(range(tries)):
        try:
            with transaction.atomic():
                alive = set(Image.objects.filter(pk__in=[row.image_id for row in rows]).values_list("pk", flat=True))
                Embedding.objects.bulk_create([row for row in rows if row.image_id in alive], ignore_conflicts=True)
            return
        except IntegrityError:  # deleted between the question and the insert
            if not left:
                raise
