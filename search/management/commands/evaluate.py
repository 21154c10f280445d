"""manage.py evaluate: measure an index on a benchmark."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import Model, QuerySet
from tqdm import tqdm

from catalog.errors import LookalikeError
from catalog.jobs import JobState
from catalog.models import Benchmark
from search.evaluation import PROTOCOLS, known_metrics
from search.evaluation.report import text_table, write_csv
from search.evaluations import csv_rows, evaluation_create, evaluation_report, evaluation_run
from search.exporting import export_trec
from search.models import EvaluationRun, SearchIndex
from search.run_reports import RunReport, report_html

Named = TypeVar("Named", bound=Model)


class Command(BaseCommand):
    help = "Measure how well an index ranks: recall, precision, mAP and more, every query kept."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--benchmark", metavar="[COLLECTION/]NAME")
        parser.add_argument("--index", metavar="[COLLECTION/]NAME", help="default: the default of the collection")
        parser.add_argument(
            "--metric",
            action="append",
            dest="metrics",
            metavar="NAME",
            help=f"may be given again; known: {', '.join(known_metrics())}",
        )
        parser.add_argument("--depth", type=int, default=0, help="length of the rankings; 0: the whole gallery")
        parser.add_argument("--protocol", choices=list(PROTOCOLS), default="medium", help="which grades are positive")
        parser.add_argument("--rules", action="store_true", help="apply the index's business rules")
        parser.add_argument("--json", action="store_true", help="print the run with every query's scores as JSON")
        parser.add_argument(
            "--csv", type=Path, metavar="FILE", help="write query,result,rank,score of the first 100 places"
        )
        parser.add_argument(
            "--html",
            type=Path,
            metavar="FILE",
            help="write a report: curve, classes, the worst queries",
        )
        parser.add_argument(
            "--export",
            type=Path,
            metavar="FOLDER",
            help="write TREC files: run.txt and qrels.txt",
        )
        parser.add_argument("--run", type=int, metavar="NUMBER", help="go on with a run whose process was killed")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            run = self._work(self._resumed(options["run"]) if options["run"] else self._created(options))
        except LookalikeError as error:
            raise CommandError(str(error)) from error
        self._write(run, options)
        self.stdout.write(_json(run) if options["json"] else _table(run))

    def _created(self, options: dict[str, Any]) -> EvaluationRun:
        if not options["benchmark"]:
            raise CommandError("Say which benchmark: --benchmark [COLLECTION/]NAME.")
        if options["depth"] < 0:
            raise CommandError("--depth must be 0 or more.")
        benchmark = _named(Benchmark.objects.select_related("collection"), options["benchmark"], "benchmark")
        indexes = SearchIndex.objects.select_related("collection", "feature_model", "active_build")
        return evaluation_create(
            benchmark,
            _index(indexes, benchmark, options["index"]),
            metrics=options["metrics"],
            depth=options["depth"],
            with_rules=options["rules"],
            protocol=options["protocol"],
        )

    def _resumed(self, number: int) -> EvaluationRun:
        run: EvaluationRun | None = EvaluationRun.objects.filter(pk=number).first()
        if run is None:
            raise CommandError(f"There is no evaluation run {number}.")
        return run

    def _work(self, run: EvaluationRun) -> EvaluationRun:
        # Without a terminal: no bar at all, not one line a picture in a log.
        with tqdm(total=run.total, unit="query", disable=not sys.stderr.isatty(), file=sys.stderr) as bar:

            def show(done: int, total: int) -> None:
                bar.total, bar.n = total, done
                bar.refresh()

            try:
                run = evaluation_run(run.pk, show)
            except KeyboardInterrupt:
                run.refresh_from_db()
                run.finish(JobState.CANCELLED)
                raise CommandError("Stopped.", returncode=130) from None
        if not run.is_finished:
            raise CommandError(
                f"Run {run.pk} is in the hands of another process, or its process died less than a minute ago."
            )
        if run.state != JobState.DONE:
            raise CommandError(f"Run {run.pk} {run.get_state_display()}. {run.error}".strip())
        return run

    def _write(self, run: EvaluationRun, options: dict[str, Any]) -> None:
        """What was asked for: a table, a report, TREC files."""
        writers: dict[str, Callable[[EvaluationRun, Path], str]] = {"csv": _csv, "html": _html, "export": _trec}
        for name, write in writers.items():
            path = options[name]
            if path is None:
                continue
            try:
                self.stderr.write(write(run, path))
            except LookalikeError as error:
                raise CommandError(error.render()) from error
            except OSError as error:
                raise CommandError(f"{path} cannot be written: {error.strerror}.") from error


def _json(run: EvaluationRun) -> str:
    report = RunReport(run)
    whole = {**evaluation_report(run), "curve": report.curve, "classes": report.class_scores()}
    return json.dumps(whole, indent=2, ensure_ascii=False)


def _csv(run: EvaluationRun, path: Path) -> str:
    with path.open("w", encoding="utf-8", newline="") as file:
        count = write_csv(file, csv_rows(run))
    return f"{count} rows written to {path}"


def _html(run: EvaluationRun, path: Path) -> str:
    path.write_text(report_html(run), encoding="utf-8")
    return f"Report written to {path}"


def _trec(run: EvaluationRun, path: Path) -> str:
    path.mkdir(parents=True, exist_ok=True)
    return f"{export_trec(run, path)} queries written to {path}"


def _index(indexes: QuerySet[SearchIndex], benchmark: Benchmark, wanted: str | None) -> SearchIndex:
    """In the benchmark's collection, unless another is named: that is refused later, with its reason."""
    of_collection = indexes.filter(collection=benchmark.collection_id)
    if wanted is None:
        found = of_collection.order_by("-is_default", "id").first()
        if found is None:
            raise CommandError(f"The collection {benchmark.collection.slug} has no index: build one first.")
        return found
    return of_collection.filter(name=wanted).first() or _named(indexes, wanted, "index")


def _named(rows: QuerySet[Named], wanted: str, what: str) -> Named:
    """The one row called ``wanted``, alone or behind the slug of its collection."""
    slug, slash, name = wanted.partition("/")
    found = list(rows.filter(name=wanted)) or (list(rows.filter(collection__slug=slug, name=name)) if slash else [])
    if len(found) == 1:
        return found[0]
    if found:
        raise CommandError(f"There are several: {', '.join(map(str, found))}. Say which, with its collection.")
    there = ", ".join(map(str, rows[:20])) or "none"
    raise CommandError(f"There is no {what} '{wanted}'. There are: {there}.")


def _table(run: EvaluationRun) -> str:
    searched = f"build {run.build_id}, {run.parameters['factory']}" if run.build_id else "no build, exact search"
    lines = [
        f"run             {run.pk}",
        f"benchmark       {run.benchmark}, label version {run.label_version}, protocol {run.parameters['protocol']}",
        f"index           {run.index} ({searched})",
        f"features        {run.index.feature_model} {run.fingerprint[:12]}",
        f"gallery         {run.parameters['gallery']} pictures",
        f"ranked          {f'the first {run.depth}' if run.depth else 'all of it'}",
        f"queries         {run.queries_scored} scored, {run.queries_skipped} without positives skipped",
        f"time            {run.seconds or 0:.1f} s",
        "",
        text_table(run.results),
    ]
    return "\n".join(lines)
