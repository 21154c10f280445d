"""One pass over the pictures of a collection that wait for their embedding."""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace

import numpy as np
from django.conf import settings
from django.core.files.storage import default_storage
from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef, QuerySet

from catalog.errors import LookalikeError
from catalog.images import Limits, decode
from catalog.locks import try_lock
from catalog.models import Collection, Image
from search.extraction.extractor import Extractor
from search.extraction.preprocess import Pixels
from search.models import Embedding, FeatureModel
from search.vectors import from_bytes, to_bytes

log = logging.getLogger(__name__)

Progress = Callable[[int, int], None]

# Two processes share a collection by blocks of so many picture ids: large beside a batch, small beside a catalog.
BLOCK = 1024
NOT_FINITE = "The network gave no finite descriptor for this picture."


@dataclass
class Prepared:
    """A picture on its way to the network: its pixels, or why there are none."""

    image_id: int
    pixels: Pixels | None = None
    error: str = ""


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
        with closing(_pool()) as pool:
            while limit is None or self.done < limit:
                block = self._next_block()
                if block is None:
                    break
                self._embed_block(block, None if limit is None else limit - self.done, pool.executor, on_progress)
        return self.done

    def _next_block(self) -> int | None:
        """The first block with waiting pictures that nobody else was seen at work on."""
        waiting = self.pending()
        for block in sorted(self._busy):
            waiting = waiting.exclude(pk__gte=block * BLOCK, pk__lt=(block + 1) * BLOCK)
        first = waiting.values_list("pk", flat=True).first()
        return None if first is None else first // BLOCK

    def _embed_block(
        self, block: int, limit: int | None, executor: ThreadPoolExecutor, on_progress: Progress | None
    ) -> None:
        # Whoever holds the lock asks again what is waiting after letting go of it, so a picture added
        # while another process finds the block taken is not forgotten.
        with try_lock(f"embed-{self.collection.pk}-{self.feature_model.pk}-{block}") as mine:
            if not mine:
                self._busy.add(block)
                return
            waiting = self.pending().filter(pk__gte=block * BLOCK, pk__lt=(block + 1) * BLOCK)
            files = list(waiting.values_list("pk", "file")[:limit])
            files = self._projected(files)
            for batch in _batches(self._prepared(files, executor), settings.EXTRACTION_BATCH):
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

    def _prepared(self, files: list[tuple[int, str]], executor: ThreadPoolExecutor) -> Iterator[Prepared]:
        """Decoded beside the network, in order, and never more than three batches ahead of it."""
        ahead: deque[Future[Prepared]] = deque()
        for image_id, name in files:
            ahead.append(executor.submit(self._prepare, image_id, name))
            if len(ahead) >= 3 * settings.EXTRACTION_BATCH:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()

    def _prepare(self, image_id: int, name: str) -> Prepared:
        """In a thread: no database here."""
        try:
            with default_storage.open(name) as file:
                data = file.read()
            picture = decode(data, min_side=self.extractor.min_side, limits=self.limits)
            return Prepared(image_id, self.extractor.prepare(picture.pixels))
        except LookalikeError as error:
            return Prepared(image_id, error=str(error))
        except FileNotFoundError:
            return Prepared(image_id, error="The file is missing.")
        except OSError:
            raise  # the disk, not the picture: the next run tries again
        except Exception as error:
            log.exception("Picture %s could not be prepared", image_id)
            return Prepared(image_id, error=f"{type(error).__name__}: {error}")

    def _store(self, batch: list[Prepared]) -> None:
        good = [item for item in batch if item.pixels is not None]
        rows = [self._row(item.image_id, error=item.error) for item in batch if item.pixels is None]
        if good:
            vectors = self.extractor.describe(np.stack([item.pixels for item in good if item.pixels is not None]))
            for item, vector, data in zip(good, vectors, to_bytes(vectors), strict=True):
                row = (
                    self._row(item.image_id, data)
                    if np.isfinite(vector).all()
                    else self._row(item.image_id, error=NOT_FINITE)
                )
                rows.append(row)
        _insert(rows)

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


def _batches(items: Iterator[Prepared], size: int) -> Iterator[list[Prepared]]:
    batch: list[Prepared] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


class _pool:
    """Decoding threads that, on an error or Ctrl-C, end without finishing what waits in the queue."""

    def __init__(self) -> None:
        threads = settings.EXTRACTION_THREADS or os.cpu_count() or 1
        self.executor = ThreadPoolExecutor(max_workers=min(8, max(2, threads)), thread_name_prefix="decode")

    def close(self) -> None:
        self.executor.shutdown(wait=True, cancel_futures=True)
