"""``manage.py tune_index COLLECTION``: find the factory and search parameters that suit a collection."""

from __future__ import annotations

import json
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from catalog.errors import LookalikeError
from search.indexes.frontier import svg
from search.indexes.trials import Point
from search.management.named import index_named
from search.models import SearchIndex
from search.tuning import QUERIES, Tuning, tune, tuning_store


class Command(BaseCommand):
    help = (
        "Tries kinds of index and search parameters on a collection's own descriptors, with held-out queries, prints "
        "the frontier of latency, memory and recall, and sets the index to the fastest that reaches the target."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("collection", help="slug or name of the collection")
        parser.add_argument("--index", help="name of the index; the collection's default otherwise")
        parser.add_argument("--target", type=_share, default=0.95, help="least ann_recall@10 after the fine tier")
        parser.add_argument("--max-bytes", type=float, help="most bytes a picture in memory")
        parser.add_argument("--factories", nargs="+", default=[], metavar="FACTORY", help="try these alone")
        parser.add_argument("--queries", type=int, default=QUERIES, help="pictures held out to search with")
        parser.add_argument("--plot", type=Path, metavar="FILE.svg", help="draw recall over latency")
        parser.add_argument("--json", action="store_true", help="print everything that was tried as JSON")
        how = parser.add_mutually_exclusive_group()
        how.add_argument("--no-apply", action="store_true", help="keep what was tried; leave the index's settings")
        how.add_argument("--dry-run", action="store_true", help="store nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        plot: Path | None = options["plot"]
        if plot is not None and plot.suffix.lower() != ".svg":
            raise CommandError(f"{plot}: the picture is an SVG. Name a file that ends in .svg.")
        if options["queries"] < 2:
            raise CommandError("--queries must be 2 or more: one half chooses, the other measures.")
        index = index_named(options["collection"], options["index"])
        tuning = self._tune(index, options)
        if plot is not None:
            self._draw(plot, tuning, str(index))
        if not options["dry_run"]:
            tuning_store(index, tuning, apply=not options["no_apply"])
        if options["json"]:
            self.stdout.write(json.dumps(tuning.to_dict(), indent=2))
            return
        applied = not options["dry_run"] and not options["no_apply"]
        self.stdout.write("\n".join([table(_best(tuning)), "", *_said(index, tuning, applied=applied)]))

    def _tune(self, index: SearchIndex, options: dict[str, Any]) -> Tuning:
        shown = ""
        with tqdm(unit="", disable=None) as bar:

            def show(stage: str, done: int, total: int) -> None:
                nonlocal shown
                if stage != shown:
                    bar.reset(total)
                    bar.set_description(stage)
                    shown = stage
                bar.update(done - bar.n)

            wanted = {name: options[name] for name in ("target", "max_bytes", "factories", "queries")}
            try:
                return tune(index, **wanted, report=show)
            except LookalikeError as error:
                raise CommandError(str(error)) from error
            except KeyboardInterrupt:
                raise CommandError("Stopped. Nothing was stored.", returncode=130) from None

    def _draw(self, path: Path, tuning: Tuning, name: str) -> None:
        try:
            path.write_text(svg(tuning.points, tuning.target, f"{name}, {tuning.count} pictures"), encoding="utf-8")
        except OSError as error:
            raise CommandError(f"{path} cannot be written: {error.strerror}.") from error


def _share(text: str) -> float:
    value = float(text)
    if not 0 < value <= 1:
        raise ArgumentTypeError("a share from 0 to 1, such as 0.95")
    return value


def _best(tuning: Tuning) -> list[Point]:
    """The frontier, and the choice."""
    return [point for point in tuning.points if point.frontier or point.chosen]


def table(points: Sequence[Point]) -> str:
    """One line a point; the choice is marked."""
    heads = ["", "factory", "search parameters", "fine", "ann_recall@10", "ms", "p99 ms", "bytes"]
    rows = [
        [
            "*" if point.chosen else "",
            point.factory,
            " ".join(f"{name}={value}" for name, value in point.search_params.items()),
            str(point.fine_depth),
            f"{point.recall:.4f}",
            f"{point.ms:.3f}",
            f"{point.p99_ms:.3f}",
            f"{point.bytes:.1f}",
        ]
        for point in points
    ]
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in (heads, *rows)]
    return "\n".join(line.rstrip() for line in lines)


def _said(index: SearchIndex, tuning: Tuning, *, applied: bool) -> list[str]:
    chosen, asked = tuning.chosen, f"ann_recall@10 of {tuning.target:g}"
    if tuning.max_bytes is not None:
        asked += f" within {tuning.max_bytes:g} bytes a picture"
    if chosen is None:
        return [f"None of what was tried surely reaches {asked}: the settings of {index} stay as they are."]
    words = [f"Chosen: {chosen.factory}, {chosen.ms:.3f} ms, {chosen.bytes:.0f} bytes a picture. Asked: {asked}."]
    if chosen.recall < tuning.target:
        words.append(f"The half of the queries that measures saw {chosen.recall:.4f}, a little less than asked.")
    if applied:
        words.append(
            f"{index} has these settings now. Build it: manage.py build_index {index.collection.slug} "
            f"--index {index.name}"
        )
    return words
