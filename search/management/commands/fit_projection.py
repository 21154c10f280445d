"""manage.py fit_projection: PCA or whitening learned from a collection, as a new feature model."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from catalog.errors import LookalikeError
from search.management.named import collection_named, feature_model_named
from search.projections import SAMPLE, projection_fit


class Command(BaseCommand):
    help = (
        "Learn PCA (fewer dimensions) or whitening from a collection's embeddings and keep it as a new feature model. "
        "Embedding with it costs no network where the old model has embedded already."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="of the new feature model")
        parser.add_argument("--feature-model", required=True, metavar="NAME", help="the one to project")
        parser.add_argument(
            "--collection", required=True, action="append", metavar="NAME", help="to learn from; again for more"
        )
        parser.add_argument("--dim", type=int, required=True, help="dimensions to keep, such as 512")
        parser.add_argument("--whiten", action="store_true", help="also give every dimension the same variance")
        parser.add_argument("--sample", type=int, default=SAMPLE, help=f"descriptors to learn from (default {SAMPLE})")

    def handle(self, *args: Any, **options: Any) -> None:
        base = feature_model_named(options["feature_model"])
        collections = [collection_named(name) for name in options["collection"]]
        size, whiten = options["sample"], options["whiten"]
        try:
            model = projection_fit(base, collections, options["name"], options["dim"], whiten=whiten, sample=size)
        except LookalikeError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{model.name}: {model.dim} dimensions of {base.name}'s {base.dim}, {model.projection}")
