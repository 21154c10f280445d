"""manage.py fit_branch: a feature model that reads attributes off pictures, and ranks by them too."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from catalog.errors import LookalikeError
from catalog.jobs import JobState
from search.attributes import BranchOptions, branch_create
from search.branch_report import accuracies, left_out, rankings
from search.embedding import embed_pending
from search.management.named import collection_named, feature_model_named
from search.models import TrainingRun
from search.proposals import LEAST_CONFIDENCE
from search.trainings import training_run


class Command(BaseCommand):
    help = (
        "Learn a collection's categories and attributes from the embeddings of a feature model, and keep a new one "
        "whose descriptor holds what it reads. Embedding with it costs no network where the old model has embedded."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("collection", metavar="COLLECTION", help="slug or name: what to learn from")
        parser.add_argument("--base", required=True, metavar="MODEL", help="the feature model to add it to")
        parser.add_argument("--name", required=True, metavar="NEW", help="of the new feature model")
        parser.add_argument("--seed", type=int, default=0, help="decides which products are held out (default 0)")
        parser.add_argument(
            "--propose-from",
            type=float,
            default=LEAST_CONFIDENCE,
            metavar="P",
            help=f"least confidence of what is proposed for products that lack it (default {LEAST_CONFIDENCE})",
        )
        parser.add_argument("--embed", action="store_true", help="embed the collection with it at once")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            collection, base = collection_named(options["collection"]), feature_model_named(options["base"])
            wanted = BranchOptions.from_dict({"seed": options["seed"], "propose_from": options["propose_from"]})
            run = self._finished(training_run(branch_create(collection, base, options["name"], wanted).pk))
            self._tell(run)
            if options["embed"] and run.result is not None:
                count = embed_pending(collection, run.result)
                self.stdout.write(f"{count} pictures of {collection.slug} embedded with {run.result}.")
        except LookalikeError as error:
            raise CommandError(str(error)) from error

    def _finished(self, run: TrainingRun) -> TrainingRun:
        if run.state != JobState.DONE:
            raise CommandError(f"Run {run.pk} {run.get_state_display()}. {run.error}".strip())
        return run

    def _tell(self, run: TrainingRun) -> None:
        model, base, found = run.result, run.base, run.results
        assert model is not None
        assert base is not None
        counts = found["products"]
        self.stdout.write(
            f"{model.name}: {model.dim} dimensions of {base.name}'s {base.dim}, {model.projection}\n"
            f"products: {counts['fitted']} fitted on, {counts['tuned']} tuned on, {counts['measured']} measured on\n"
            f"weight {found['weight']:g}; {found['proposals']} proposals to be decided\n"
        )
        for table in (accuracies(found), rankings(found), left_out(found)):
            if table.rows:
                self.stdout.write(table.text())
