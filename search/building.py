"""Making the files of a build: read, train, add, measure, write."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
from django.conf import settings
from numpy.typing import NDArray

from catalog.errors import LookalikeError, gettext_noop
from search.build_rows import Rows
from search.build_stages import Progress, Stages
from search.engines import empty_index, factory_of, finish, release_unused, server_version
from search.indexes import Index, auto_factory, build_index, default_params, set_threads
from search.indexes.augmentation import ALPHA, EXACT_UP_TO, augmented
from search.indexes.recall import ann_recall
from search.indexes.saved import EMBEDDINGS, IDS, INDEX_FILES, ORIGINALS, Manifest, describe
from search.models import Engine, IndexBuild
from search.side import embeddings_of, newest_embedding, stream
from search.types import Descriptors, Ids

SEED = 20
QUERIES = 200  # held out of the training sample to measure ann_recall@10
# FAISS's k-means uses up to 256 points a centroid and warns below 39.
POINTS_PER_CELL, SAMPLE_AT_LEAST, SAMPLE_MAX_BYTES = 64, 50_000, 1024**3
PARTIAL = ".partial-"
MEASURED = ["factory", "fingerprint", "watermark", "count", "ann_recall", "size_bytes", "code_bytes", "timings"]
_NONE: Ids = np.empty(0, np.int64)


class EmptyBuild(LookalikeError):
    code = "empty_build"
    text = gettext_noop("The index %(index)s cannot be built: the collection has no embedded pictures.")
    cure = gettext_noop("Import pictures, and see that a worker embeds them.")
    status = 409


class BadEmbeddings(LookalikeError):
    code = "bad_embeddings"
    text = gettext_noop("The stored embeddings do not fit the feature model %(model)s: %(reason)s.")
    cure = gettext_noop("Embed the collection again.")
    status = 409


def build_files(build: IndexBuild, on_progress: Progress | None = None) -> None:
    """Write ``build.folder`` and fill in the row, unsaved state excepted. Raises LookalikeError.

    Everything is written into a folder beside it that is renamed when all is on the disk: a build that
    is interrupted leaves nothing under a name that could be served, and the next one sweeps it away.
    """
    root = build.folder.parent
    root.mkdir(parents=True, exist_ok=True)
    sweep(root)
    shutil.rmtree(build.folder, ignore_errors=True)  # of an earlier attempt that died before it was done
    folder = Path(mkdtemp(prefix=f"{PARTIAL}{build.pk}-", dir=root))
    try:
        _Build(build, folder, Stages(build, on_progress)).run()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def sweep(root: Path) -> None:
    """Delete what interrupted builds left. Only for whoever holds the index's build lock."""
    for leftover in root.glob(f"{PARTIAL}*"):
        shutil.rmtree(leftover, ignore_errors=True)


class _Build:
    def __init__(self, build: IndexBuild, folder: Path, stages: Stages) -> None:
        self.build, self.folder, self.stages = build, folder, stages
        self.feature_model = build.index.feature_model
        self.random = np.random.default_rng(SEED)
        self.augmentation: dict[str, Any] = {}

    def run(self) -> None:
        set_threads(settings.FAISS_THREADS or os.cpu_count() or 1)
        release_unused(self.build.index)
        rows = self._augmented(self._read())
        factory = factory_of(self.build, len(rows.ids), self.feature_model.dim)
        index, params = empty_index(self.build, factory, self.feature_model.dim)
        held_out = self.random.permutation(len(rows.ids))[: min(QUERIES, max(1, len(rows.ids) // 2))]
        with self.stages("training", 1):
            index.train(rows.vectors(self._sample(len(rows.ids), held_out, factory)))
        with self.stages("adding", len(rows.ids)) as report:
            for block, x in rows.chunks(report):
                index.add(rows.ids[block], x)
        if self.build.engine == Engine.MILVUS:
            with self.stages("indexing", len(rows.ids)) as report:
                finish(index, report)
        with self.stages("measuring", len(held_out)) as report:
            recall = ann_recall(index, rows.ids, rows.vectors, held_out, report)
        self._write(index, rows, factory, params, recall)

    def _read(self) -> Rows:
        wanted = embeddings_of(self.build.index)
        watermark = newest_embedding(self.build.index)
        wanted = wanted.filter(id__lte=watermark)
        total, ids, embedding_ids = wanted.count(), [], []
        if not total:
            raise EmptyBuild(index=self.build.index)
        with self.stages("reading", total) as report, (self.folder / ORIGINALS).open("wb") as file:
            done = 0
            for chunk_embeddings, chunk_ids, vectors in self._stream(wanted):
                vectors.astype("<f2").tofile(file)
                ids.append(chunk_ids)
                embedding_ids.append(chunk_embeddings)
                done += len(chunk_ids)
                report(done)
        if not done:  # deleted while they were counted
            raise EmptyBuild(index=self.build.index)
        return Rows(self._originals(done), np.concatenate(ids), np.concatenate(embedding_ids), watermark)

    def _originals(self, count: int) -> NDArray[np.float16]:
        shape = (count, self.feature_model.dim)
        originals: NDArray[np.float16] = np.memmap(self.folder / ORIGINALS, np.dtype("<f2"), "r", shape=shape)
        return originals

    def _augmented(self, rows: Rows) -> Rows:
        """The rows after database-side augmentation, written anew beside the old ones and put in their place."""
        count, k = len(rows.ids), self.build.index.dba_neighbours
        if not k or count < 2:
            return rows
        dim, beside = self.feature_model.dim, self.folder / "augmented"
        with self.stages("augmenting", 2 * count) as report, beside.open("wb") as file:
            index, done = self._neighbours(rows, report), count
            for x in augmented(index, rows.vectors, count, dim, k):
                x.astype("<f2").tofile(file)
                done += len(x)
                report(done)
        beside.replace(self.folder / ORIGINALS)
        self.augmentation = {"neighbours": k, "alpha": ALPHA}
        return replace(rows, originals=self._originals(count))

    def _neighbours(self, rows: Rows, report: Callable[[int], None]) -> Index:
        """An index of the rows under their numbers, for this once: exact while they are few."""
        count, dim = len(rows.ids), self.feature_model.dim
        factory = "SQfp16" if count <= EXACT_UP_TO else auto_factory(count, dim)[0]
        index = build_index(factory, dim, **default_params(factory))
        index.train(rows.vectors(self._sample(count, _NONE, factory)))
        for block, x in rows.chunks(report):
            index.add(np.arange(block.start, block.stop), x)
        return index

    def _stream(self, wanted: Any) -> Iterator[tuple[Ids, Ids, Descriptors]]:
        try:
            yield from stream(wanted, self.feature_model.dim)
        except ValueError as error:
            raise BadEmbeddings(model=self.feature_model, reason=error) from error

    def _sample(self, count: int, held_out: Ids, factory: str) -> Ids:
        """Rows to train on: drawn with a fixed seed, without the held-out queries where there are others."""
        cells = re.search(r"IVF(\d+)", factory)
        size = max(SAMPLE_AT_LEAST, POINTS_PER_CELL * int(cells[1]) if cells else 0)
        size = min(size, SAMPLE_MAX_BYTES // (4 * self.feature_model.dim))
        others = np.delete(np.arange(count, dtype=np.int32), held_out)
        if not len(others):
            others = np.arange(count, dtype=np.int32)
        return np.sort(self.random.choice(others, min(size, len(others)), replace=False))

    def _write(self, index: Index, rows: Rows, factory: str, params: dict[str, Any], recall: float) -> None:
        with self.stages("writing", 1):
            index.save(self.folder / INDEX_FILES[self.build.engine])
            rows.ids.astype("<i8").tofile(self.folder / IDS)
            rows.embedding_ids.astype("<i8").tofile(self.folder / EMBEDDINGS)
            manifest = Manifest(
                factory=factory,
                dim=self.feature_model.dim,
                count=len(rows.ids),
                fingerprint=self.feature_model.fingerprint,
                watermark=rows.watermark,
                search_params=params,
                versions=_versions(self.build.engine),
                files=describe(self.folder, self.build.engine),
                ann_recall=recall,
                engine=self.build.engine,
                augmentation=self.augmentation,
            )
            manifest.write(self.folder)
            publish(self.folder, self.build.folder)
        self._record(manifest, index)

    def _record(self, manifest: Manifest, index: Index) -> None:
        build = self.build
        build.factory, build.fingerprint = manifest.factory, manifest.fingerprint
        build.watermark, build.count, build.ann_recall = manifest.watermark, manifest.count, manifest.ann_recall
        build.size_bytes = sum(path.stat().st_size for path in build.folder.iterdir())
        build.timings, build.code_bytes = self.stages.seconds, index.code_bytes()
        build.save(update_fields=MEASURED)


def publish(folder: Path, final: Path) -> None:
    """Rename a finished folder, its contents on the disk before and the new name after."""
    for path in folder.iterdir():
        _fsync(path)
    _fsync(folder)
    folder.chmod(0o755)  # mkdtemp keeps it to its owner; the web process may be another user
    folder.rename(final)
    _fsync(final.parent)


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _versions(engine: str) -> dict[str, str]:
    found = {"lookalike": version("lookalike"), "numpy": np.__version__}
    if engine == Engine.MILVUS:
        return {**found, "pymilvus": version("pymilvus"), "milvus": server_version()}
    from search.indexes.faiss_module import faiss

    return {**found, "faiss": str(faiss.__version__)}
