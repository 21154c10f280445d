"""``manage.py check_index [COLLECTION]``: do rows, embeddings and builds agree? The exit status tells."""

from __future__ import annotations

from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from search.consistency import consistency_of
from search.maintenance import repair
from search.management.named import index_named
from search.models import SearchIndex
from search.tasks import build_run


class Command(BaseCommand):
    help = "Compares pictures, embeddings and the active build of one index, or of all. Exit status 1: they differ."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("collection", nargs="?", help="slug or name of a collection; all indexes otherwise")
        parser.add_argument("--index", help="name of the index; the collection's default otherwise")
        parser.add_argument("--repair", action="store_true", help="mend what can be mended; a worker does the rest")

    def handle(self, *args: Any, **options: Any) -> None:
        unsound = [index for index in self._indexes(options) if not self._check(index, options["repair"])]
        if unsound:
            raise CommandError(f"Not sound: {', '.join(map(str, unsound))}.", returncode=1)

    def _indexes(self, options: dict[str, Any]) -> list[SearchIndex]:
        if options["collection"]:
            return [index_named(options["collection"], options["index"])]
        return list(SearchIndex.objects.select_related("collection", "feature_model", "active_build"))

    def _check(self, index: SearchIndex, mend: bool) -> bool:
        found = consistency_of(index)
        counts = ", ".join(f"{name} {value}" for name, value in asdict(found).items() if value != "")
        self.stdout.write(f"{index}: {'sound' if found.is_sound else 'NOT SOUND'}: {counts}")
        if mend and not found.is_sound:
            for build_id in repair(index):
                build_run.delay(build_id)
        return found.is_sound
