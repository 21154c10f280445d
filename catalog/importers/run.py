"""The loop of every import: batch after batch, decoding in threads while the last batch is written.

It starts from the beginning each time: what an earlier run brought in is recognised by its bytes, so a
killed import is resumed by running it again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, nullcontext, suppress
from os import cpu_count
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TypeVar

from django.db import DataError, IntegrityError, OperationalError, transaction
from django.db.models import F

from catalog.dicom.signature import is_dicom_name
from catalog.errors import JobCancelled, LookalikeError
from catalog.files import files_remove
from catalog.importers.batch import (
    Item,
    fail,
    find_known,
    find_known_frames,
    find_known_remote,
    read,
    store,
    write,
)
from catalog.importers.errors import unnamed
from catalog.importers.report import Report
from catalog.importers.rows import BadRow, Row, Source
from catalog.importers.sources import open_source
from catalog.jobs import JobState
from catalog.locks import try_lock
from catalog.medicine import HIDDEN, picture_limits
from catalog.models import ImportJob

BATCH_ROWS = 64
BATCH_BYTES = 64 * 1024 * 1024  # of files held in memory, twice
THREADS = max(4, min(8, cpu_count() or 1))  # also hides the latency of disks and of other people's servers
PULSE_S = 1.0
ATTEMPTS = 3
OnProgress = Callable[[int, int], None]  # done, total

Batch = list[Row | BadRow]
T = TypeVar("T")


def import_run(job_id: int, on_progress: OnProgress | None = None) -> ImportJob:
    """Work an import through; a second caller of the same job returns at once. Sets the job's state."""
    job: ImportJob = ImportJob.objects.select_related("collection").get(pk=job_id)
    with try_lock(f"import-{job.pk}") as mine:  # dies with its process; opening a large source can be silent for long
        if mine and job.claim():
            _run(job, on_progress)
    return job


def _run(job: ImportJob, on_progress: OnProgress | None) -> None:
    report = Report()
    try:
        with _source(job) as source:
            _Run(job, source, report, on_progress).work()
    except JobCancelled as error:
        _finish(job, report, JobState.CANCELLED, error.render())
    except LookalikeError as error:
        _finish(job, report, JobState.FAILED, error.render())
    except Exception as error:
        _finish(job, report, JobState.FAILED, f"{type(error).__name__}: {error}")
        raise
    else:
        _finish(job, report, JobState.DONE, "")
    finally:
        report.close()


def _finish(job: ImportJob, report: Report, state: JobState, error: str) -> None:
    report.save(job)
    job.finish(state, error)


@contextmanager
def _source(job: ImportJob) -> Iterator[Source]:
    name = "" if job.path else Path(str(job.upload.name)).name
    place = nullcontext(Path(job.path)) if job.path else local_copy(job)
    with place as path, open_source(path, name=name, is_upload=not job.path) as source:
        yield source


@contextmanager
def local_copy(job: ImportJob) -> Iterator[Path]:
    """The upload as a file of this machine: itself, or a copy where the storage is elsewhere."""
    path: Path | None = None
    with suppress(NotImplementedError):
        path = Path(job.upload.path)
    if path:
        yield path
        return
    with NamedTemporaryFile() as copy, job.upload.open("rb") as upload:
        for chunk in upload.chunks():
            copy.write(chunk)
        copy.flush()
        yield Path(copy.name)


class _Run:
    """The state of one pass over a source."""

    def __init__(self, job: ImportJob, source: Source, report: Report, on_progress: OnProgress | None) -> None:
        self.job, self.source, self.report = job, source, report
        self.on_progress = on_progress
        self.limits = picture_limits()
        self.done = self.known = self.extra = 0  # extra: pictures beyond one a row
        self.added_before = job.added  # by a run of this job that was killed; met again, they count as known

    def work(self) -> None:
        self._tell("pictures")
        with ThreadPoolExecutor(THREADS) as pool:
            try:
                self._pictures(pool)
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        self._tell("ground truth")
        for bad in self.source.finish(self.job.collection, self._tell):
            self._bad(bad.number, bad.source, bad.error)
        self._count()

    def _pictures(self, pool: ThreadPoolExecutor) -> None:
        """Batch n+1 is read and decoded in the pool while this thread writes batch n."""
        waiting: list[tuple[Item, Future[Item] | None]] = []
        for batch in batches(self.source):
            for part in parts(self._read(pool, batch)):
                started = self._start(pool, part)
                self._write(waiting)
                waiting = started
        self._write(waiting)

    def _read(self, pool: ThreadPoolExecutor, batch: Batch) -> list[Item]:
        """The items of a batch, read: one a row, and of a DICOM file one a frame."""
        items = []
        for row in batch:
            if isinstance(row, Row):
                items.append(Item(row, row.role or self.job.role))
            else:
                self._refuse(row)
                self.done += 1
        find_known_remote(self.job.collection, items)
        futures = [
            None if item.image_id else pool.submit(read, item, self.limits, self.job.frames, self.job.window)
            for item in items
        ]
        found: list[Item] = []
        for item, future in zip(items, futures, strict=True):
            if future is None:
                found.append(item)
            else:
                read_items = self._wait(future)
                found += read_items
        self.extra += len(found) - len(items)
        return found

    def _start(self, pool: ThreadPoolExecutor, items: list[Item]) -> list[tuple[Item, Future[Item] | None]]:
        find_known(self.job.collection, [item for item in items if item.sha256])
        find_known_frames(self.job.collection, items)
        new = (item.image_id is None and item.error is None for item in items)
        return [
            (item, pool.submit(store, item, self.limits) if is_new else None)
            for item, is_new in zip(items, list(new), strict=True)
        ]

    def _write(self, started: list[tuple[Item, Future[Item] | None]]) -> None:
        for _, future in started:
            if future:
                self._wait(future)
        items = [item for item, _ in started]
        good = [item for item in items if item.error is None]
        try:
            self._write_rows(good)
        except (DataError, IntegrityError, ValueError, OverflowError):
            # One row the database refuses, or another import of the same pictures: find it row by row.
            for item in good:
                self._write_one(item)
        except BaseException:
            files_remove(name for item in good if item.stored for name in (item.stored.file, item.stored.thumbnail))
            raise
        self._settle(items)

    def _write_rows(self, items: list[Item]) -> None:
        """Once more where another import was at the same rows: it has committed them, or given way."""
        for attempts_left in reversed(range(ATTEMPTS)):
            try:
                self._transact(items)
                return
            except (IntegrityError, OperationalError):
                if not attempts_left:
                    raise

    def _transact(self, items: list[Item]) -> None:
        """The rows and the count of them in one transaction, so that the count survives a kill."""
        for item in items:  # nothing of an attempt that was rolled back counts
            item.created, item.image_id = False, None if item.stored else item.image_id
        if not items:
            return
        with transaction.atomic():
            added = len(write(self.job.collection, items))
            ImportJob.objects.filter(pk=self.job.pk).update(added=F("added") + added)
        self.job.added += added

    def _write_one(self, item: Item) -> None:
        try:
            self._write_rows([item])
        except (DataError, IntegrityError, ValueError, OverflowError) as error:
            fail(item, error)
            if item.stored:
                files_remove([item.stored.file, item.stored.thumbnail])

    def _settle(self, items: list[Item]) -> None:
        for item in items:
            given = item.given or item.row
            if item.is_hidden:
                self.source.hide(given)
            if item.error:
                self._bad(item.row.number, item.shown, item.error)
                continue
            assert item.image_id is not None
            self.source.seen(given, item.image_id)
            self.known += not item.created
            item.data = b""  # the frames of one file wait for each other
        self.done += len(items)
        self._count()
        self._tell()

    def _refuse(self, row: BadRow) -> None:
        """A row that its source refused."""
        if is_dicom_name(row.source):
            self._bad(row.number, HIDDEN, unnamed(row.error, HIDDEN))
        else:
            self._bad(row.number, row.source, row.error)

    def _bad(self, number: int, source: str, error: LookalikeError) -> None:
        self.report.add(number, source, error)

    def _count(self) -> None:
        self.job.known = max(0, self.known - self.added_before)
        self.job.bad = self.report.count
        self.job.save(update_fields=["known", "bad"])

    def _wait(self, future: Future[T]) -> T:
        """For a result, with a sign of life every second: slow servers must not make the job look dead."""
        while not wait([future], timeout=PULSE_S).done:
            self._tell()
        return future.result()

    def _tell(self, stage: str | None = None) -> None:
        total = max(self.source.total + self.extra, self.done)
        self.job.progress(self.done, total, stage)
        if self.on_progress:
            self.on_progress(self.done, total)


def batches(source: Source) -> Iterator[Batch]:
    """Rows in lists of at most BATCH_ROWS and about BATCH_BYTES of files."""
    batch: Batch = []
    size = 0
    for row in source:
        batch.append(row)
        size += row.size if isinstance(row, Row) else 0
        if len(batch) >= BATCH_ROWS or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def parts(items: list[Item]) -> Iterator[list[Item]]:
    """Items in lists of at most BATCH_ROWS and about BATCH_BYTES: the frames of one file can be many."""
    part: list[Item] = []
    size = 0
    for item in items:
        part.append(item)
        size += item.frame.size if item.frame else 0
        if len(part) >= BATCH_ROWS or size >= BATCH_BYTES:
            yield part
            part, size = [], 0
    if part:
        yield part
