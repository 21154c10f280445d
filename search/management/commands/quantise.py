"""manage.py quantise: a feature model's network in 8 bits, calibrated on a collection, its loss measured."""

from __future__ import annotations

import getpass
from dataclasses import fields
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from catalog.errors import LookalikeError
from catalog.jobs import JobState
from search.activations import index_of
from search.management.named import collection_named, feature_model_named
from search.models import FeatureModel, TrainingRun
from search.models.quantisation import MAP, check_may_serve
from search.quantisations import KEEP, METHODS, QuantiseOptions, loss_accept, measure, quantise_create
from search.trainings import training_run

HELP = {
    "method": "how ranges are read off the pictures; auto tries minmax and percentile",
    "keep": "layers that stay in float; auto leaves out what clearly helps",
    "labels": "what is alike, for mAP: product, category, attribute:NAME, benchmark:NAME; auto: the first there is; "
    "'': none, neighbours alone",
    "calibrate": "pictures that ranges are read off",
    "judge": "pictures that candidates are compared on",
    "measure": "other pictures, that the loss is measured on",
    "seed": "same seed, same pictures",
}
CHOICES = {"method": METHODS, "keep": KEEP}


class Command(BaseCommand):
    help = (
        "Make a feature model in 8 bits of one in float, calibrated on a collection's own pictures, and measure what "
        "it lost. It serves nobody before that is known and small enough, or accepted."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("collection", nargs="?", metavar="COLLECTION", help="slug or name")
        parser.add_argument("--base", metavar="FEATURE_MODEL", help="whose network to quantise")
        parser.add_argument("--name", metavar="NEW", help="of the feature model that comes out")
        parser.add_argument("--measure-again", metavar="FEATURE_MODEL", help="measure a model in 8 bits again")
        parser.add_argument("--accept", metavar="FEATURE_MODEL", help="accept a loss that is larger than allowed")
        for field in fields(QuantiseOptions):
            kind = type(field.default)
            said = f"{HELP[field.name]}; default {field.default}"
            parser.add_argument(
                f"--{field.name}", type=kind, default=field.default, choices=CHOICES.get(field.name), help=said
            )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            if options["accept"]:
                model = feature_model_named(options["accept"])
                loss_accept(model, getpass.getuser())
                self.stdout.write(told(model))
                return
            chosen = QuantiseOptions(**{field.name: options[field.name] for field in fields(QuantiseOptions)})
            if not options["collection"]:
                raise CommandError("Say which collection: quantise COLLECTION --base FEATURE_MODEL --name NEW.")
            collection = collection_named(options["collection"])
            if options["measure_again"]:
                model = feature_model_named(options["measure_again"])
                measure(model, collection, chosen)
                self.stdout.write(told(model))
                return
            for name in ("base", "name"):
                if not options[name]:
                    raise CommandError(f"Say which {name}: quantise COLLECTION --base FEATURE_MODEL --name NEW.")
            run = quantise_create(collection, feature_model_named(options["base"]), options["name"], chosen)
            self._work(run)
        except LookalikeError as error:
            raise CommandError(str(error)) from error

    def _work(self, run: TrainingRun) -> None:
        said = ""

        def watch(run: TrainingRun) -> None:
            nonlocal said
            now = f"{run.stage} {run.done}/{run.total}" if run.total else run.stage
            if now != said:
                self.stderr.write(now)
            said = now

        try:
            run = training_run(run.pk, watch)
        except KeyboardInterrupt:
            run.refresh_from_db()
            run.finish(JobState.CANCELLED)
            raise CommandError("Stopped.", returncode=130) from None
        if run.state != JobState.DONE or run.result is None:
            raise CommandError(f"Run {run.pk} {run.get_state_display()}. {run.error}".strip())
        self.stdout.write(told(run.result))
        index = index_of(run)
        if index is not None:
            self.stdout.write(
                f"Index {index} was made beside the serving one. Workers embed it; or run manage.py embed --collection "
                f"{index.collection.slug} --feature-model {index.feature_model.name}."
            )


def told(model: FeatureModel) -> str:
    """What 8 bits cost, in lines."""
    found = model.quantisation
    size, calibration = found.get("bytes", {}), found.get("calibration", {})
    lines = [f"feature model   {model.name}, {model.dim} dimensions, 8 bits of {model.quantised_from or '-'}"]
    if found.get("loss_of") == MAP:
        low, high = found.get("loss_interval", (found["loss"], found["loss"]))
        lines += [
            f"mAP             {found['mAP_float']:.4f} in float, {found['mAP']:.4f} in 8 bits: "
            f"loss {found['loss']:.4f} (95 % of resamples: {low:.4f} to {high:.4f})",
            f"by              {found['labels']}, {found['queries']} queries among {found['pictures']} pictures",
        ]
    lines += [
        f"neighbours      {found['neighbours@10']:.1%} of the first ten are the same",
        f"cosine          {found['cosine_mean']:.4f} at the mean, {found['cosine_min']:.4f} at least",
    ]
    if found.get("overlap"):
        lines.append("careful         too few pictures: some were calibrated on and measured on")
    if calibration:
        kept = calibration["kept_in_float"]
        lines.append(
            f"calibrated on   {calibration['pictures']} pictures of {calibration['collection']}, "
            f"{calibration['method']}, in float: {kept if kept != 'none' else 'no layer'}"
        )
    if size:
        lines.append(f"size            {size['float'] / 2**20:.1f} MiB, now {size['eight_bits'] / 2**20:.1f} MiB")
    try:
        check_may_serve(model)
    except LookalikeError as error:
        lines.append(f"may serve       no: {error}")
    else:
        lines.append("may serve       yes")
    return "\n".join(lines)
