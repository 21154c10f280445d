"""manage.py find_duplicates: scan a collection for duplicates, here and now, without a worker."""

from __future__ import annotations

import json
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from tqdm import tqdm

from catalog.errors import LookalikeError
from catalog.jobs import JobState
from search.duplicates.rule import MAX_HASH_DISTANCE
from search.duplicates.scans import scan_create, scan_run
from search.management.named import collection_named, feature_model_named
from search.models import DuplicateGroup, DuplicateScan
from search.models.duplicates import DuplicateState


class Command(BaseCommand):
    help = (
        "Look for pictures that are in a collection more than once: the same file, or the same picture saved, scaled, "
        "cut or written on. What is found is decided on in the admin, or with the API."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("collection", help="name or slug")
        parser.add_argument("--feature-model", metavar="NAME", help="default: that of the collection's own index")
        parser.add_argument(
            "--max-hash-distance", type=int, metavar="BITS", help=f"of 64; default: {MAX_HASH_DISTANCE}"
        )
        parser.add_argument("--min-score", type=float, metavar="SCORE", help="default: as calibrated")
        parser.add_argument("--json", action="store_true", help="print the groups to be decided as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        collection = collection_named(options["collection"])
        name = options["feature_model"]
        try:
            scan = scan_create(
                collection,
                feature_model=feature_model_named(name) if name else None,
                max_hash_distance=options["max_hash_distance"],
                min_score=options["min_score"],
            )
        except LookalikeError as error:
            raise CommandError(str(error)) from error
        scan = self._work(scan)
        groups = DuplicateGroup.objects.filter(collection=collection, state=DuplicateState.OPEN)
        if options["json"]:
            self.stdout.write(json.dumps(_as_json(scan, groups), indent=2))
        else:
            self.stdout.write(
                f"{collection.slug}: {scan.found} new groups of duplicates, {groups.count()} to be decided; "
                f"{scan.dismissed} pairs were decided before."
            )

    def _work(self, scan: DuplicateScan) -> DuplicateScan:
        # Without a terminal: no bar at all, not one line a chunk in a log.
        with tqdm(unit="picture", disable=not sys.stderr.isatty(), file=sys.stderr) as bar:

            def show(stage: str, done: int, total: int) -> None:
                bar.set_description(stage)
                bar.total, bar.n = total, done
                bar.refresh()

            try:
                scan = scan_run(scan.pk, show)
            except KeyboardInterrupt:
                scan.refresh_from_db()
                scan.finish(JobState.CANCELLED)
                raise CommandError("Stopped. What was found is kept.", returncode=130) from None
        if scan.state != JobState.DONE:
            raise CommandError(f"Scan {scan.pk} {scan.get_state_display()}. {scan.error}".strip())
        return scan


def _as_json(scan: DuplicateScan, groups: Any) -> dict[str, Any]:
    return {
        "scan": scan.pk,
        "found": scan.found,
        "dismissed": scan.dismissed,
        "feature_model": scan.feature_model.name,
        "max_hash_distance": scan.max_hash_distance,
        "min_score": scan.min_score,
        "groups": [
            {"id": group.pk, "kind": group.kind, "score": group.score, "pictures": _pictures(group)}
            for group in groups.order_by("id").prefetch_related("members__image__product")
        ],
    }


def _pictures(group: DuplicateGroup) -> list[dict[str, Any]]:
    return [
        {
            "image": member.image_id,
            "product": member.image.product.sku if member.image.product else None,
            "source": member.image.source,
            "width": member.image.width,
            "height": member.image.height,
            "bytes": member.image.size,
            "score": member.score,
            "hash_distance": member.hash_distance,
        }
        for member in group.members.all()
    ]
