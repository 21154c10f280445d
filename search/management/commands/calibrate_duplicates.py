"""manage.py calibrate_duplicates: thresholds for duplicates from pictures of one's own."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from tqdm import tqdm

from catalog.errors import LookalikeError
from catalog.images import SUFFIXES
from search.duplicates.calibration import Pair, choose, choose_alone, figures, measure
from search.duplicates.distortions import DISTORTIONS
from search.duplicates.rule import Rule, default_score
from search.extraction.extractor import Extractor, build_extractor
from search.extraction.spec import ExtractorSpec

BASELINE = "color_gradient"


class Command(BaseCommand):
    help = (
        "Measure how well duplicates are told from look-alikes on pictures of your own, and choose thresholds. "
        "Nothing is stored: give what it prints to find_duplicates, or to the form that starts a scan."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--pictures", action="append", type=Path, required=True, metavar="DIR", help="may be given again"
        )
        parser.add_argument("--weights", action="append", default=[], metavar="FILE", help="an ONNX network, besides")
        parser.add_argument("--originals", type=int, default=100, help="pictures of each folder that are distorted")
        parser.add_argument("--pool", type=int, default=1000, help="pictures of each folder to find look-alikes in")
        parser.add_argument(
            "--false-positives", type=float, default=0.002, help="share of the look-alikes that may be taken wrongly"
        )
        parser.add_argument("--threads", type=int, default=0)
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            extractors = _extractors(options["weights"], options["threads"])
            pairs = {path.name: self._measured(path, options, extractors) for path in options["pictures"]}
        except (LookalikeError, OSError) as error:
            raise CommandError(str(error)) from error
        reports = [_report(name, pairs, options["false_positives"]) for name in extractors]
        self.stdout.write(json.dumps(reports, indent=2) if options["json"] else "\n".join(map(_table, reports)))

    def _measured(self, path: Path, options: dict[str, Any], extractors: dict[str, Extractor]) -> list[Pair]:
        files = sorted(file for file in path.rglob("*") if file.suffix.lower() in {".jpeg", *SUFFIXES.values()})
        if len(files) < 10:
            raise CommandError(f"{path} has {len(files)} pictures: too few to measure on.")
        step = max(1, len(files) // max(1, options["pool"]))
        files = files[::step][: options["pool"]]
        with tqdm(total=len(files), unit="picture", disable=not sys.stderr.isatty(), file=sys.stderr) as bar:

            def show(_folder: str, done: int, _total: int) -> None:
                bar.update(done - bar.n)

            return measure(files, options["originals"], extractors, show)


def _extractors(weights: list[str], threads: int) -> dict[str, Extractor]:
    specs = {BASELINE: ExtractorSpec(BASELINE)}
    specs |= {Path(path).stem: ExtractorSpec("onnx", weights=str(Path(path).resolve())) for path in weights}
    return {name: build_extractor(spec, threads=threads) for name, spec in specs.items()}


def _report(extractor: str, pairs: dict[str, list[Pair]], false_positives: float) -> dict[str, Any]:
    """A rule chosen on half of the pictures; what it, the built-in one and either measure alone do on the others."""
    every = [pair for listed in pairs.values() for pair in listed]
    chosen_on = [pair for pair in every if pair.half == 0]
    rule = choose(chosen_on, extractor, false_positives)
    by_hash, by_score = choose_alone(chosen_on, extractor, false_positives)
    held_out = [pair for pair in every if pair.half == 1]
    return {
        "extractor": extractor,
        "rule": asdict(rule),
        "all": asdict(figures(held_out, rule, extractor)),
        "built_in": asdict(figures(held_out, Rule(min_score=default_score(extractor)), extractor)),
        "hash_alone": {"threshold": by_hash.max_hash_distance, **asdict(figures(held_out, by_hash, extractor))},
        "score_alone": {"threshold": by_score.min_score, **asdict(figures(held_out, by_score, extractor))},
        "folders": {
            name: asdict(figures([pair for pair in listed if pair.half == 1], rule, extractor))
            for name, listed in pairs.items()
        },
        "kinds": {kind: figures(held_out, rule, extractor, kind).recall for kind in DISTORTIONS},
    }


def _table(report: dict[str, Any]) -> str:
    rule = report["rule"]
    lines = [
        f"{report['extractor']}: hash distance <= {rule['max_hash_distance']} or score >= {rule['min_score']:.2f}, "
        f"and agreement >= {rule['min_agreement']:.2f}",
        "",
        "| on held-out pictures | duplicates found | look-alikes taken | look-alikes looked at | pairs |",
        "| --- | --- | --- | --- | --- |",
    ]
    rows = {"all": report["all"], **report["folders"]}
    rows |= {
        "with the built-in thresholds": report["built_in"],
        f"hash distance <= {report['hash_alone']['threshold']} alone": report["hash_alone"],
        f"score >= {report['score_alone']['threshold']:.3f} alone": report["score_alone"],
    }
    lines += [
        f"| {name} | {row['recall']:.1%} | {row['false_positives']:.2%} | {row['proposed']:.1%} "
        f"| {row['positives']} + {row['negatives']} |"
        for name, row in rows.items()
    ]
    lines += ["", "| distortion | found |", "| --- | --- |"]
    lines += [f"| {kind} | {recall:.1%} |" for kind, recall in report["kinds"].items()]
    return "\n".join([*lines, ""])
