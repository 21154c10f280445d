"""manage.py compare_models: which feature model finds best in this collection, on its own labels."""

from __future__ import annotations

import json
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from tqdm import tqdm

from catalog.errors import LookalikeError
from catalog.models import Collection
from search.management.named import benchmark_named, collection_named, feature_model_named
from search.management.tables import markdown
from search.model_comparison import Row, compare
from search.models import FeatureModel


class Command(BaseCommand):
    help = (
        "Embed a collection with several feature models and rank a benchmark's queries with each, exactly. What is "
        "embedded already is not embedded again; no index is made and nothing of the serving one is changed."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--collection", required=True, metavar="NAME", help="name or slug")
        parser.add_argument("--benchmark", required=True, metavar="NAME")
        parser.add_argument("--model", action="append", metavar="NAME", help="again for more; default: all there are")
        parser.add_argument("--queries", type=int, default=0, help="so many, evenly spread; 0: all")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        collection: Collection = collection_named(options["collection"])
        benchmark = benchmark_named(collection, options["benchmark"])
        models = [
            feature_model_named(name)
            for name in options["model"] or FeatureModel.objects.values_list("name", flat=True)
        ]
        rows = []
        try:
            with tqdm(unit="picture", disable=not sys.stderr.isatty(), file=sys.stderr) as bar:

                def show(model: FeatureModel, done: int, total: int) -> None:
                    bar.set_description(model.name)
                    bar.total = total
                    bar.n = done
                    bar.refresh()

                for row in compare(benchmark, models, limit=options["queries"], on_progress=show):
                    rows.append(_plain(row))
        except LookalikeError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(json.dumps(rows, indent=2) if options["json"] else markdown(rows))


def _plain(row: Row) -> dict[str, object]:
    figures = {name: None if value is None else round(value, 4) for name, value in row.metrics.items()}
    return {"model": row.model.name, "dim": row.model.dim, **figures}
