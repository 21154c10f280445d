"""``manage.py import_ground_truth COLLECTION FILE_OR_FOLDER``: published labels onto a collection's pictures."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from catalog.errors import LookalikeError
from catalog.importers.truth_lists import AUTO, formats, read_truth
from catalog.models import Collection
from catalog.truth_import import TruthReport, some, truth_import


class Command(BaseCommand):
    help = (
        "Make a benchmark from a published ground truth: Oxford5k's or Paris6k's files, a list of Stanford Online "
        "Products or of Grocery Store, or a CSV with the columns query, image and grade. The pictures must be in "
        "the collection already; those that are not are counted and listed."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("collection", metavar="COLLECTION", help="slug or name")
        parser.add_argument("path", metavar="FILE_OR_FOLDER", type=Path)
        parser.add_argument("--format", choices=formats(), default=AUTO)
        parser.add_argument("--benchmark", metavar="NAME", help="default: the file's or folder's name")
        parser.add_argument("--json", action="store_true", help="print the outcome as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        wanted, path = options["collection"], options["path"]
        collection = Collection.objects.filter(slug=wanted).first() or Collection.objects.filter(name=wanted).first()
        if collection is None:
            there = ", ".join(Collection.objects.values_list("slug", flat=True)[:20]) or "none"
            raise CommandError(f"There is no collection '{wanted}'. There are: {there}.")
        try:
            truth = read_truth(path, options["format"])
            report = truth_import(collection, options["benchmark"] or path.resolve().stem, truth)
        except LookalikeError as error:
            raise CommandError(error.render()) from error
        as_json = options["json"]
        self.stdout.write(json.dumps(report.to_dict(), ensure_ascii=False) if as_json else "\n".join(_told(report)))


def _told(report: TruthReport) -> list[str]:
    lines = [
        f"benchmark  {report.benchmark}, label version {report.version} ({report.format})",
        f"queries    {report.queries}, {report.queries_added} new",
        f"labels     {report.labels}, {report.labels_added} new, {report.labels_changed} changed",
    ]
    if report.queries_missing:
        lines.append(f"Queries whose picture is not in the collection: {some(report.queries_missing)}")
    if report.pictures_missing:
        lines.append(
            f"Pictures that are named and not there: {report.pictures_missing}, in {report.labels_missing} lines: "
            f"{some(list(report.missing))}. Figures are not comparable with published ones while some are missing."
        )
    return lines
