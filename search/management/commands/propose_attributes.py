"""manage.py propose_attributes: values for products that lack them, to be decided in the admin."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from catalog.errors import LookalikeError
from search.builds import index_for
from search.management.named import collection_named, feature_model_named
from search.proposals import LEAST_CONFIDENCE, proposals_make


class Command(BaseCommand):
    help = "Propose categories and attributes for products that lack them, read off their stored embeddings."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("collection", metavar="COLLECTION", help="slug or name")
        parser.add_argument("--feature-model", metavar="NAME", help="one made by fit_branch; default: the index's own")
        parser.add_argument(
            "--least",
            type=float,
            default=LEAST_CONFIDENCE,
            metavar="P",
            help=f"confidence (default {LEAST_CONFIDENCE})",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        collection, named = collection_named(options["collection"]), options["feature_model"]
        if not 0 <= options["least"] <= 1:
            raise CommandError("A confidence is from 0 to 1.")
        model = feature_model_named(named) if named else index_for(collection).feature_model
        try:
            count = proposals_make(collection, model, options["least"])
        except LookalikeError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{collection.slug}: {count} proposals to be decided.")
