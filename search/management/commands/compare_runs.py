"""manage.py compare_runs A B: is one evaluation run better than the other, and could it be chance."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from catalog.errors import LookalikeError
from search.comparisons import RunComparison, compare_runs
from search.evaluation.comparison import RESAMPLES
from search.models import EvaluationRun

SHOWN = 10


class Command(BaseCommand):
    help = "Compare two evaluation runs of one benchmark, query by query: B less A."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("a", type=int, metavar="A", help="number of a run")
        parser.add_argument("b", type=int, metavar="B")
        parser.add_argument("--metric", default="", help="default: mAP, else the first that both measured")
        parser.add_argument("--json", action="store_true", help="print every query's difference as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            found = compare_runs(_run(options["a"]), _run(options["b"]), options["metric"])
        except LookalikeError as error:
            raise CommandError(error.render()) from error
        if options["json"]:
            self.stdout.write(json.dumps(found.to_dict(), indent=2, ensure_ascii=False))
        else:
            self.stdout.write("\n".join(_told(found)))


def _run(number: int) -> EvaluationRun:
    related = ("benchmark__collection", "index__collection", "index__feature_model")
    run: EvaluationRun | None = EvaluationRun.objects.select_related(*related).filter(pk=number).first()
    if run is None:
        raise CommandError(f"There is no evaluation run {number}.")
    return run


def _told(found: RunComparison) -> list[str]:
    figures = found.figures
    if figures.difference is None:
        return [f"No query was scored by both on {found.metric.name}."]
    lines = [
        f"benchmark    {found.a.benchmark}, label version {found.a.label_version}",
        f"A            run {found.a.pk} on {found.a.index}: {found.metric.name} {figures.first:.4f}",
        f"B            run {found.b.pk} on {found.b.index}: {found.metric.name} {figures.second:.4f}",
        f"B less A     {figures.difference:+.4f}, 95 % of bootstrap samples {figures.low:+.4f} to {figures.high:+.4f}",
        f"p            {figures.p_value:.4f} (paired randomisation test, {RESAMPLES} throws, two-sided)",
        f"queries      {figures.better} better, {figures.worse} worse, {figures.same} the same",
    ]
    lines += [f"differs      {name}: {first} | {second}" for name, first, second in found.pins]
    if found.changes:
        lines += ["", "Changed most:"]
        lines += [
            f"  {c.difference:+.4f}  {c.first:.4f} to {c.second:.4f}  {c.query.name}" for c in found.changes[:SHOWN]
        ]
    return lines
