"""manage.py benchmark: how fast this machine extracts and searches."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from search.benchmarking import names
from search.machine_runtime import chosen_path
from search.management.named import feature_model_named

NEEDS_MORE = ("ann", "build", "scale")  # descriptors that do not come with the site
UNLIMITED = "1000000/min"


class Command(BaseCommand):
    help = "Measure extraction and searching in a throw-away database; the site's own data is not touched."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "benchmarks", nargs="*", metavar="BENCHMARK", help=f"{', '.join(names())}; default: all but ann"
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
        parser.add_argument("--pictures", type=Path, metavar="DIR", help="JPEG files; default: the sample catalog")
        parser.add_argument("--weights", type=Path, action="append", default=[], metavar="ONNX", help="again for more")
        parser.add_argument("--limit", type=int, default=200, help="pictures per round (default 200)")
        parser.add_argument("--rounds", type=int, default=5, help="rounds, all sides in each (default 5)")
        parser.add_argument("--gallery", type=int, default=10_000, help="pictures searched (default 10000)")
        parser.add_argument("--descriptors", type=Path, metavar="DIR", help="what make_descriptors wrote")
        parser.add_argument("--peers", metavar="PYTHON", default="", help="an interpreter with hnswlib, usearch, scann")
        parser.add_argument("--factory", action="append", default=[], help="for ann: instead of the usual ones")
        parser.add_argument("--target", type=float, default=0.95, help="for ann: ann_recall@10 (default 0.95)")
        parser.add_argument("--model", action="append", default=[], help="a feature model of this site; again for more")
        parser.add_argument("--eight-bits", action="store_true", help="measure each network in 8 bits too")
        parser.add_argument("--runtimes", action="store_true", help="the same as the benchmark 'runtimes'")
        parser.add_argument(
            "--choose", action="store_true", help="runtimes: keep the fastest that is as good as this machine's default"
        )
        parser.add_argument("--queries", type=int, default=1000, help="searches timed (default 1000)")

    def handle(self, *args: Any, **options: Any) -> None:
        job = self._job(options)
        with _ended_by_sigterm(), tempfile.TemporaryDirectory(prefix="lookalike-benchmark-") as folder:
            # A child, because settings decide at its start where the database and the files are.
            try:
                child = subprocess.run(  # noqa: S603  (our own module)
                    [sys.executable, "-m", "search.benchmarking", json.dumps(job)],
                    env={**os.environ, **_throw_away(Path(folder))},
                    cwd=settings.BASE_DIR,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            except KeyboardInterrupt:
                raise CommandError("Stopped.", returncode=130) from None
        if child.returncode:
            raise CommandError(f"The benchmark ended with status {child.returncode}; see above.")
        self.stdout.write(child.stdout.rstrip())

    def _job(self, options: dict[str, Any]) -> dict[str, Any]:
        chosen = [*options["benchmarks"], *(["runtimes"] if options["runtimes"] else [])]
        chosen = list(dict.fromkeys(chosen)) or [name for name in names() if name not in NEEDS_MORE]
        if unknown := set(chosen) - set(names()):
            raise CommandError(f"There is no benchmark {', '.join(sorted(unknown))}. There are: {', '.join(names())}.")
        for number in ("limit", "rounds", "gallery", "queries"):
            if options[number] < 1:
                raise CommandError(f"--{number} must be 1 or more.")
        folder = (options["pictures"] or settings.BASE_DIR / "sample_catalog").resolve()
        pictures = sorted(str(path) for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
        if not pictures:
            raise CommandError(f"There are no JPEG files in {folder}. Give a folder with --pictures.")
        if options["choose"] and "runtimes" not in chosen:
            raise CommandError("--choose belongs to the benchmark 'runtimes'.")
        if missing := [str(path) for path in options["weights"] if not path.is_file()]:
            raise CommandError(f"There is no file {missing[0]}.")
        return {
            "benchmarks": chosen,
            "json": options["json"],
            "pictures": pictures[:: max(1, len(pictures) // options["limit"])][: options["limit"]],
            "weights": [str(path.resolve()) for path in options["weights"]],
            "descriptors": str(options["descriptors"].resolve()) if options["descriptors"] else "",
            "peers": options["peers"],
            "factories": options["factory"],
            "target": options["target"],
            "models": [_model(name) for name in options["model"]],
            "eight_bits": options["eight_bits"],
            "choose_into": str(chosen_path()) if options["choose"] else "",
            **{number: options[number] for number in ("rounds", "gallery", "queries")},
        }


def _model(name: str) -> dict[str, Any]:
    """A feature model of the site as the child, who has a database of its own, can open it."""
    model = feature_model_named(name)
    spec = asdict(model.spec)
    return {"name": name, "spec": {**spec, "projection": ""}, "weights_dir": str(settings.WEIGHTS_ROOT)}


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """SIGTERM raises, so that the child is stopped and the folder removed."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _throw_away(folder: Path) -> dict[str, str]:
    """The embedded configuration in ``folder``; what concerns speed stays as the caller's environment says."""
    return {
        "DJANGO_SETTINGS_MODULE": "retrieval_site.settings",
        "DATA_DIR": str(folder),
        "DATABASE_URL": "",
        "REDIS_URL": "",
        "MEDIA_ROOT": str(folder / "media"),
        "INDEX_ROOT": str(folder / "indexes"),
        "WEIGHTS_ROOT": str(folder / "weights"),
        "API_RATE_ANONYMOUS": UNLIMITED,
        "API_RATE_KEY": UNLIMITED,
        "ALLOWED_HOSTS": "testserver",
        "HTTPS": "0",
        "DEBUG": "0",
        "LOG_LEVEL": "ERROR",
    }
