"""``manage.py create_api_key NAME``: make a key for an app and print it, once."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from catalog.models import Collection
from search.api.throttling import Rate
from search.models import ApiKey, Scope


class Command(BaseCommand):
    help = "Makes an API key and prints it. It cannot be read again: only its hash is kept."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="what the key is for, such as the app's name")
        parser.add_argument("--scope", choices=Scope.values, default=Scope.READ)
        parser.add_argument(
            "--collection",
            action="append",
            default=[],
            metavar="SLUG",
            help="bind the key to it; may be repeated; all collections if left out",
        )
        parser.add_argument("--rate", default="", help="for example 600/min; the site's default if left out")

    def handle(self, *args: Any, **options: Any) -> None:
        collections = self._collections(set(options["collection"]))
        try:
            Rate.parse(options["rate"])
        except ValueError as error:
            raise CommandError(str(error)) from None
        key = ApiKey(
            name=options["name"], scope=options["scope"], rate=options["rate"], all_collections=not collections
        )
        secret = key.issue()
        with transaction.atomic():
            key.save()
            key.collections.set(collections)
        self.stderr.write(f"{key.name}: scope {key.scope}, {self._sees(collections)}. Keep it: it is shown once.")
        self.stdout.write(secret)

    def _collections(self, slugs: set[str]) -> list[Collection]:
        found = list(Collection.objects.filter(slug__in=slugs))
        if missing := slugs - {collection.slug for collection in found}:
            raise CommandError(f"There is no collection {', '.join(sorted(missing))}.")
        return found

    @staticmethod
    def _sees(collections: list[Collection]) -> str:
        return ", ".join(collection.slug for collection in collections) or "all collections"
