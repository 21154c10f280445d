"""``manage.py calibrate COLLECTION``: fit what the scores of an index mean."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from catalog.errors import LookalikeError
from catalog.models import Benchmark
from search.calibration import LABELS, Calibration
from search.calibrations import calibrate
from search.management.named import index_named
from search.models import SearchIndex

SHOWN = (0.25, 0.5, 0.75, 0.9)


class Command(BaseCommand):
    help = "Fits the probability that a hit is relevant, given its score: on labels, or from the collection itself."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("collection", help="slug or name of the collection")
        parser.add_argument("--index", help="name of the index; the collection's default otherwise")
        parser.add_argument("--benchmark", help="whose labels to fit on; without one it is an estimate without labels")

    def handle(self, *args: Any, **options: Any) -> None:
        index = index_named(options["collection"], options["index"])
        benchmark = _benchmark(index, options["benchmark"]) if options["benchmark"] else None
        try:
            calibration = calibrate(index, benchmark)
        except LookalikeError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(_summary(index, calibration))


def _benchmark(index: SearchIndex, name: str) -> Benchmark:
    benchmarks = Benchmark.objects.filter(collection=index.collection_id)
    found = benchmarks.filter(name=name).first()
    if found is None:
        there = ", ".join(benchmarks.values_list("name", flat=True)[:20]) or "none"
        raise CommandError(f"{index.collection.slug} has no benchmark '{name}'. It has: {there}.")
    return found


def _summary(index: SearchIndex, calibration: Calibration) -> str:
    quality = calibration.quality
    if calibration.kind == LABELS:
        how = (
            f"fitted on {quality['hits']} hits of {quality['queries']} queries; held out: "
            f"ECE {quality['ece']:.3f}, Brier {quality['brier']:.3f} (without scores {quality['brier_without']:.3f})"
        )
    else:
        how = f"estimated without labels from {quality['pairs']} pairs"
    scores = [(share, calibration.score(share)) for share in SHOWN]
    rows = [f"  {share:4.0%} from score {score:.3f}" for share, score in scores if abs(score) <= 1]
    return "\n".join([f"{index}: {how}", *rows])
