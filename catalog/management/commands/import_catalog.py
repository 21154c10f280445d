"""``manage.py import_catalog PATH --collection NAME``: a folder, CSV, ZIP or list of URLs into a collection."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from catalog.collections import collection_get_or_create
from catalog.errors import LookalikeError
from catalog.jobs import JobState
from catalog.models import Benchmark, Collection, ImageRole, ImportJob, Relevance
from catalog.services import benchmark_from_classes, import_create, import_run

ALL_GOOD, NOTHING_DONE, SOME_BAD = 0, 1, 2


class Command(BaseCommand):
    help = (
        "Import a folder, a CSV, a ZIP or a .txt of URLs into a collection. Run it again to go on after an "
        "interruption. Exit status: 0 all good, 2 some rows were bad, 1 nothing was done."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("path", metavar="PATH")
        parser.add_argument("--collection", required=True, metavar="NAME", help="name or slug; made if missing")
        parser.add_argument("--public", action="store_true", help="anyone who reaches the site may search it")
        parser.add_argument("--role", choices=ImageRole.values, default=ImageRole.GALLERY)
        parser.add_argument(
            "--frames",
            default="first",
            help="of DICOM files: first (default), middle, last, all, 1,5,9 or every:10",
        )
        parser.add_argument(
            "--window", default="", help="of DICOM files: stored:2, lung, bone, brain, soft-tissue … or center/width"
        )
        parser.add_argument("--benchmark", metavar="NAME", help="also make a benchmark from the classes")
        parser.add_argument("--relevance", choices=[Relevance.CATEGORY, Relevance.PRODUCT], default=Relevance.CATEGORY)
        parser.add_argument("--json", action="store_true", help="print the outcome as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            collection = collection_get_or_create(options["collection"], is_public=options["public"] or None)
            job = self._import(collection, options)
            benchmark = self._benchmark(collection, job, options)
        except LookalikeError as error:
            raise CommandError(error.render(), returncode=NOTHING_DONE) from error
        self._print(job, benchmark, as_json=options["json"])
        sys.exit(_status(job))

    def _import(self, collection: Collection, options: dict[str, Any]) -> ImportJob:
        chosen = {name: options[name] for name in ("role", "frames", "window")}
        job = import_create(collection, path=options["path"], **chosen)
        with tqdm(unit="picture", disable=None, file=sys.stderr) as bar:  # None: only on a terminal

            def show(done: int, total: int) -> None:
                bar.total = total
                bar.update(done - bar.n)

            try:
                return import_run(job.pk, show)
            except KeyboardInterrupt:
                job.finish(JobState.CANCELLED)
                raise CommandError("Stopped. Run the same command again to go on.", returncode=130) from None

    def _benchmark(self, collection: Collection, job: ImportJob, options: dict[str, Any]) -> Benchmark | None:
        if not options["benchmark"] or job.state != JobState.DONE:
            return None
        return benchmark_from_classes(collection, options["benchmark"], options["relevance"], options["role"])

    def _print(self, job: ImportJob, benchmark: Benchmark | None, *, as_json: bool) -> None:
        outcome = {
            "collection": job.collection.slug,
            "job": job.pk,
            "state": job.state,
            "added": job.added,
            "known": job.known,
            "bad": job.bad,
            "report": _report_path(job),
            "benchmark": benchmark.name if benchmark else None,
            "seconds": round(job.seconds or 0, 2),
        }
        if as_json:
            self.stdout.write(json.dumps(outcome, ensure_ascii=False))
            return
        self.stdout.write(f"{job.collection.slug}: {job.added} added, {job.known} known, {job.bad} bad")
        if job.error:
            self.stderr.write(self.style.ERROR(job.error))
        if outcome["report"]:
            self.stdout.write(f"Bad rows: {outcome['report']}")
        if benchmark:
            self.stdout.write(f"Benchmark {benchmark.name}: {benchmark.queries.count()} queries")


def _report_path(job: ImportJob) -> str | None:
    if not job.report:
        return None
    try:
        return str(job.report.path)
    except NotImplementedError:  # storage elsewhere
        return str(job.report.url)


def _status(job: ImportJob) -> int:
    if job.state != JobState.DONE or not job.added + job.known:
        return NOTHING_DONE
    return SOME_BAD if job.bad else ALL_GOOD
