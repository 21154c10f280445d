"""manage.py embed: the embeddings of a collection, here and now, without a worker."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from tqdm import tqdm

from catalog.errors import LookalikeError
from catalog.models import Collection
from search.builds import index_for
from search.embedding import embed_pending, feature_model_renew
from search.management.named import collection_named, feature_model_named
from search.models import Embedding, FeatureModel


class Command(BaseCommand):
    help = "Embed the pictures of a collection that have no embedding yet. Ctrl-C is safe: run it again to go on."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--collection", required=True, metavar="NAME", help="name or slug")
        parser.add_argument("--feature-model", metavar="NAME", help="default: the one of the collection's own index")
        parser.add_argument(
            "--renew",
            action="store_true",
            help="drop the feature model's embeddings, of all collections, and take it as it is now: after an upgrade "
            "or an exchange of its weights",
        )
        parser.add_argument("--limit", type=int, metavar="N", help="stop after so many pictures")

    def handle(self, *args: Any, **options: Any) -> None:
        collection = collection_named(options["collection"])
        try:
            model = _feature_model(options["feature_model"], collection)
            if options["renew"]:
                self.stdout.write(f"{model.name}: {feature_model_renew(model)} embeddings dropped.")
            done = self._embed(collection, model, options["limit"])
        except LookalikeError as error:
            raise CommandError(str(error)) from error
        bad = Embedding.objects.filter(feature_model=model, image__collection=collection, vector=None).count()
        self.stdout.write(f"{collection.slug}: {done} pictures embedded with {model.name}.")
        if bad:
            self.stderr.write(f"{bad} pictures could not be embedded; the embeddings in the admin say why.")

    def _embed(self, collection: Collection, model: FeatureModel, limit: int | None) -> int:
        # Without a terminal: no bar at all, not one line a batch in a log.
        with tqdm(unit="picture", disable=not sys.stderr.isatty(), file=sys.stderr) as bar:

            def show(done: int, total: int) -> None:
                bar.total = total if limit is None else min(total, limit)
                bar.update(done - bar.n)

            try:
                return embed_pending(collection, model, limit=limit, on_progress=show)
            except KeyboardInterrupt:
                raise CommandError("Stopped. Run it again to go on.", returncode=130) from None


def _feature_model(wanted: str | None, collection: Collection) -> FeatureModel:
    return index_for(collection).feature_model if wanted is None else feature_model_named(wanted)
