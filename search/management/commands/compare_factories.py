"""manage.py compare_factories: what each kind of compression would cost this collection, on its own labels."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from catalog.errors import LookalikeError
from search.factory_comparison import USUAL, FactoryComparison, table
from search.management.named import benchmark_named, index_named
from search.management.tables import markdown


class Command(BaseCommand):
    help = (
        "Rank a benchmark's queries with every kind of compression, by the codes alone and with the fine tier, and "
        "print the mAP of each. Nothing of the index is changed."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--collection", required=True, metavar="NAME", help="name or slug")
        parser.add_argument("--benchmark", required=True, metavar="NAME")
        parser.add_argument("--index", metavar="NAME", help="default: the default of the collection")
        parser.add_argument("--factory", action="append", metavar="FACTORY", help=f"again for more; {', '.join(USUAL)}")
        parser.add_argument("--fine-depth", type=int, default=2000, help="places that are re-scored (default 2000)")
        parser.add_argument("--queries", type=int, default=0, help="so many, evenly spread; 0: all")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        index = index_named(options["collection"], options["index"])
        benchmark = benchmark_named(index.collection, options["benchmark"])
        rows = []
        try:
            comparison = FactoryComparison(index, benchmark, options["fine_depth"], options["queries"])
            for row in comparison.rows(options["factory"] or USUAL):
                rows.append(row)
                self.stderr.write(f"{row.factory}: {row.alone['mAP']} alone, {row.fine['mAP']} with the fine tier")
        except LookalikeError as error:
            raise CommandError(str(error)) from error
        found = table(rows)
        self.stdout.write(json.dumps(found, indent=2) if options["json"] else markdown(found))
