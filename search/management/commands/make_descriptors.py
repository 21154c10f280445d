"""manage.py make_descriptors: as many real descriptors as a benchmark wants, from crops of a folder's pictures."""

from __future__ import annotations

import random
import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from tqdm import tqdm

from catalog.errors import LookalikeError
from search.benchmarking import crops
from search.extraction.extractor import build_extractor
from search.extraction.spec import ExtractorSpec

SUFFIXES = {".jpg", ".jpeg", ".png"}


class Command(BaseCommand):
    help = (
        "Write real descriptors for manage.py benchmark ann: random crops and flips of a folder's pictures, each "
        "through the network. One picture of fifty is held out and gives the queries. Ctrl-C is safe: run it again to "
        "go on."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", type=Path, help="where to write; about 2 KB a descriptor of 1024 dimensions")
        parser.add_argument("--pictures", type=Path, required=True, metavar="DIR")
        parser.add_argument("--weights", type=Path, required=True, metavar="ONNX")
        parser.add_argument("--count", type=int, default=1_000_000)
        parser.add_argument("--side", type=int, default=160, help="pixels of a crop's side (default 160)")

    def handle(self, *args: Any, **options: Any) -> None:
        pictures = sorted(path for path in options["pictures"].rglob("*") if path.suffix.lower() in SUFFIXES)
        if len(pictures) < 2:
            raise CommandError(f"There are no pictures in {options['pictures']}.")
        random.Random(0).shuffle(pictures)  # noqa: S311  (no secret)
        side = options["side"]
        shape = {"resize": side, "crop": side}
        spec = ExtractorSpec("onnx", weights=str(options["weights"].resolve()), preprocessing=shape)
        try:
            extractor = build_extractor(spec, threads=settings.EXTRACTION_THREADS)
            plan = crops.plan_of(len(pictures), options["count"], extractor)
            self._make(pictures, plan, extractor, options)
        except (LookalikeError, ValueError) as error:
            raise CommandError(str(error)) from error

    def _make(self, pictures: list[Path], plan: crops.Plan, extractor: Any, options: dict[str, Any]) -> None:
        with tqdm(total=len(pictures), unit="picture", disable=not sys.stderr.isatty(), file=sys.stderr) as bar:

            def show(done: int) -> None:
                bar.update(done - bar.n)

            try:
                crops.make(pictures, plan, extractor, options["side"], options["folder"], show)
            except KeyboardInterrupt:
                raise CommandError("Stopped. Run it again to go on.", returncode=130) from None
        self.stdout.write(f"{(plan.pictures - plan.held_out) * plan.crops} descriptors of {plan.dim} dimensions.")
