"""manage.py distill: teach a small network what one or several large ones see, from pictures without labels."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from tqdm import tqdm

from catalog.errors import LookalikeError

if TYPE_CHECKING:
    from search.training.distill import Row


class Command(BaseCommand):
    help = (
        "Teach the small network of this project (search/training/student.py), from random initialisation, what one or "
        "several ONNX networks see. Writes NAME.safetensors, NAME.onnx and NAME.json into the folder. Ctrl-C is safe: "
        "run it again to go on; one recipe, one seed and the same pictures give the same network."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", type=Path, help="where the checkpoint and the result lie")
        parser.add_argument("--name", default="student", help="of the files written (default: student)")
        parser.add_argument(
            "--teacher",
            action="append",
            required=True,
            metavar="ONNX|NAME",
            help="a file, or a torchvision network with its own weights, such as resnet50; again for more",
        )
        parser.add_argument("--pictures", type=Path, action="append", required=True, metavar="DIR")
        parser.add_argument(
            "--measure",
            type=Path,
            metavar="DIR",
            help="a folder of class folders: a share of its classes is held out, and the mAP on them is shown",
        )
        parser.add_argument("--held-out", type=float, default=0.2, metavar="SHARE", help="of these classes (0.2)")
        parser.add_argument("--seed", type=int, default=0)
        parser.add_argument("--threads", type=int, default=0, help="0: all cores")
        parser.add_argument("--scale", type=float, default=1.0, help="share of the recipe's steps: 0.01 for a trial")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            from search.training import distillation
        except ImportError as error:
            raise CommandError(f"{error}. Install the extra 'torch'.") from error
        job = distillation.Distillation(
            folder=options["folder"],
            name=options["name"],
            teachers=tuple(options["teacher"]),
            pictures=tuple(options["pictures"]),
            measure=options["measure"],
            held_out=options["held_out"],
            seed=options["seed"],
            threads=options["threads"],
            scale=options["scale"],
        )
        try:
            path = self._run(job)
        except LookalikeError as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            raise CommandError("Stopped. Run the same command again to go on.", returncode=130) from None
        self.stdout.write(f"Written: {path}")

    def _run(self, job: Any) -> Path:
        with tqdm(unit="step", disable=not sys.stderr.isatty(), file=sys.stderr) as bar:

            def report(step: int, steps: int, row: Row | None) -> None:
                bar.total = steps
                bar.update(step - bar.n)
                if row:
                    bar.clear()
                    self.stdout.write("  ".join(f"{name} {_short(value)}" for name, value in row.items()))
                    self.stdout.flush()

            path: Path = job.run(report, log=self.stdout.write)
            return path


def _short(value: float | int | str) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)
