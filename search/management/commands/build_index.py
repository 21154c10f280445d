"""``manage.py build_index COLLECTION``: build an index now, in this process."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from catalog.errors import LookalikeError
from catalog.jobs import JobState
from search.builds import build_create, build_run, index_make_default
from search.calibrations import recalibrate_after_build
from search.management.named import collection_named, feature_model_named, index_named
from search.models import IndexBuild, SearchIndex


class Command(BaseCommand):
    help = "Builds the index of a collection from its embeddings and serves it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("collection", help="slug or name of the collection")
        parser.add_argument("--index", help="name of the index; the collection's default otherwise")
        parser.add_argument(
            "--feature-model", help="make the index with this feature model if there is none; named like it by default"
        )
        parser.add_argument("--default", action="store_true", help="let it be the one the collection is searched with")
        parser.add_argument("--factory", help="FAISS factory string for this build, such as IVF512,SQ8")
        parser.add_argument("--no-activate", action="store_true", help="build only; serve what was served")

    def handle(self, *args: Any, **options: Any) -> None:
        index = _chosen(options["collection"], options["index"], options["feature_model"])
        try:
            build = build_create(index, activate=not options["no_activate"], factory=options["factory"])
        except LookalikeError as error:
            raise CommandError(str(error)) from error
        build = self._run(build)
        if build.state != JobState.DONE:
            raise CommandError(build.error or f"The build is {build.state}.")
        recalibrate_after_build(build)
        if options["default"]:
            index_make_default(index)
        self.stdout.write(_summary(build))

    def _run(self, build: IndexBuild) -> IndexBuild:
        shown = ""
        with tqdm(unit=" pictures", disable=None) as bar:

            def show(stage: str, done: int, total: int) -> None:
                nonlocal shown
                if stage != shown:
                    bar.reset(total)
                    bar.set_description(stage)
                    shown = stage
                bar.update(done - bar.n)

            return build_run(build.pk, show)


def _chosen(collection: str, name: str | None, feature_model: str | None) -> SearchIndex:
    """The index named; made, where a feature model is named too and the collection has no such index."""
    if feature_model is None:
        return index_named(collection, name)
    model = feature_model_named(feature_model)
    index, created = SearchIndex.objects.get_or_create(
        collection=collection_named(collection),
        name=name or model.name,
        defaults={"feature_model": model, "is_default": False},
    )
    if not created and index.feature_model_id != model.pk:
        raise CommandError(f"The index {index} has the feature model {index.feature_model}. Give it another --index.")
    return index


def _summary(build: IndexBuild) -> str:
    stages = ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in build.timings.items())
    served = "served now" if build.is_active else "not activated"
    return (
        f"{build}: {build.count} pictures, {build.factory}, ann_recall@10 {build.ann_recall:.4f}, "
        f"{build.size_bytes / 1e6:.1f} MB, {served}\n{stages}"
    )
