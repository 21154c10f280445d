"""manage.py finetune: a feature model that has learnt a collection's own labels."""

from __future__ import annotations

import sys
from dataclasses import fields
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from tqdm import tqdm

from catalog.errors import LookalikeError
from catalog.jobs import JobState
from search.activations import index_of, training_activate
from search.builds import build_create, build_run
from search.embedding import embed_pending
from search.finetunings import finetune_create
from search.management.named import collection_named, feature_model_named
from search.models import SearchIndex, TrainingRun
from search.models.training import TrainingKind
from search.training.options import HOLD_OUTS, LOSSES, MINERS, PRECISIONS, FinetuneOptions
from search.trainings import training_resume, training_run

HELP = {
    "labels": "what is alike: product, category, attribute:NAME or benchmark:NAME",
    "side": "of the pictures trained on, pixels; 0: the network's own. 160 instead of 224 is twice as quick",
    "epochs": "how often each picture is seen",
    "steps": "batches, instead of epochs",
    "classes": "classes in a batch",
    "per_class": "pictures of each class in a batch",
    "rate": "learning rate of the last stage",
    "first_rate": "of the first stage, as a share of --rate; those between are between",
    "head_rate": "of the class vectors of arcface and cross_entropy, times --rate",
    "weight_decay": "of AdamW",
    "warm_up": "share of the steps in which the rate rises",
    "margin": "triplet and contrastive: a distance; arcface: degrees. Default: what suits the loss",
    "scale": "arcface and cross_entropy: cosines are multiplied with it",
    "miner": "triplets to learn from: semihard, hard (one a picture) or all",
    "augment": "strength of crops, flips, colour jitter and erasing, 0 to 1",
    "freeze": "share of the first stages that stay as they are",
    "precision": "auto: bfloat16 or float16 on a GPU, bfloat16 on a CPU with AMX, else float32",
    "hold_out": "share of the labelled pictures that only measures",
    "hold_out_by": "classes: whole classes, never seen; pictures: some of each class; auto: classes for many products",
    "evaluate_every": "steps; 0: once an epoch",
    "checkpoint_every": "steps; 0: once an epoch",
    "patience": "measurings without a better mAP until it stops; 0: never",
    "with_queries": "train on query pictures and on the queries of benchmarks too: do not measure on them then",
    "seed": "same seed, same training",
}
NEVER_BETTER = "No feature model was made: on the held-out pictures none was better than the network it began with."
NEVER_BETTER_STATUS = 3
CHOICES = {"loss": LOSSES, "miner": MINERS, "precision": PRECISIONS, "hold_out_by": HOLD_OUTS}


class Command(BaseCommand):
    help = (
        "Fine-tune a feature model's network on a collection's own labels. Makes a new feature model and an index "
        "beside the serving one. Ctrl-C is safe: --resume NUMBER goes on. Exit status 3: it never beat the network "
        "it began with."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("collection", nargs="?", metavar="COLLECTION", help="slug or name")
        parser.add_argument("--base", metavar="FEATURE_MODEL", help="whose network to begin with")
        parser.add_argument("--name", metavar="NEW", help="of the feature model that comes out")
        parser.add_argument("--activate", action="store_true", help="embed, build, and search with it from then on")
        parser.add_argument("--resume", type=int, metavar="NUMBER", help="go on with a run that was stopped")
        for field in fields(FinetuneOptions):
            self._option(parser, field.name, field.default)
        parser.add_argument(
            "--train-norm",
            dest="freeze_norm",
            action="store_false",
            default=True,
            help="let batch-norm statistics follow the collection: for large ones",
        )

    @staticmethod
    def _option(parser: CommandParser, name: str, default: Any) -> None:
        flag = f"--{name.replace('_', '-')}"
        if name == "with_queries":
            parser.add_argument(flag, action="store_true", help=HELP[name])
        elif name != "freeze_norm":
            kind = float if default is None else type(default)
            said = "" if default is None else f"; default {default}"
            parser.add_argument(
                flag, type=kind, default=default, choices=CHOICES.get(name), help=HELP.get(name, "") + said
            )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            run = self._resumed(options["resume"]) if options["resume"] else self._created(options)
            run = self._work(run)
            self.stdout.write(told(run))
            if run.result is None:
                raise CommandError(NEVER_BETTER, returncode=NEVER_BETTER_STATUS)
            self._index(run, activate=options["activate"])
        except LookalikeError as error:
            raise CommandError(str(error)) from error

    def _created(self, options: dict[str, Any]) -> TrainingRun:
        for name in ("collection", "base", "name"):
            if not options[name]:
                raise CommandError(f"Say which {name}: finetune COLLECTION --base FEATURE_MODEL --name NEW.")
        chosen = FinetuneOptions.from_dict({field.name: options[field.name] for field in fields(FinetuneOptions)})
        collection, base = collection_named(options["collection"]), feature_model_named(options["base"])
        return finetune_create(collection, base, options["name"], chosen)

    def _resumed(self, number: int) -> TrainingRun:
        run: TrainingRun | None = TrainingRun.objects.filter(pk=number, kind=TrainingKind.FINETUNE).first()
        if run is None:
            raise CommandError(f"There is no fine-tuning {number}.")
        if run.state in (JobState.CANCELLED, JobState.FAILED):
            training_resume(run)
        return run

    def _work(self, run: TrainingRun) -> TrainingRun:
        self.stderr.write(f"Training run {run.pk}.")
        try:
            with Bar() as bar:
                run = training_run(run.pk, bar.show)
        except KeyboardInterrupt:
            run.refresh_from_db()
            run.finish(JobState.CANCELLED)
            raise CommandError(f"Stopped. Go on with: finetune --resume {run.pk}", returncode=130) from None
        if not run.is_finished:
            raise CommandError(
                f"Run {run.pk} is in the hands of another process, or its process died less than a minute ago."
            )
        if run.state != JobState.DONE:
            raise CommandError(f"Run {run.pk} {run.get_state_display()}. {run.error}".strip())
        return run

    def _index(self, run: TrainingRun, *, activate: bool) -> None:
        index = index_of(run)
        if index is None:
            return
        if not activate:
            self.stdout.write(
                f"Index {index} was made beside the serving one. Workers embed it; or run manage.py embed --collection "
                f"{index.collection.slug} --feature-model {index.feature_model.name} and manage.py build_index "
                f"{index.collection.slug} --index {index.name}."
            )
            return
        self._embed(index)
        training_activate(run)
        self.stdout.write(f"{index.collection.slug} is searched with {index.feature_model.name} now.")

    def _embed(self, index: SearchIndex) -> None:
        with Bar() as bar:
            embed_pending(index.collection, index.feature_model, on_progress=bar.count)
        build = build_run(build_create(index).pk)
        if build.state != JobState.DONE:
            raise CommandError(build.error or f"The build is {build.state}.")


class Bar:
    """Stage, steps, and the newest loss and mAP. Without a terminal: no bar at all, not one line a step in a log."""

    def __init__(self) -> None:
        self._bar = tqdm(unit="step", disable=not sys.stderr.isatty(), file=sys.stderr)
        self._stage = ""

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def show(self, run: TrainingRun) -> None:
        if run.stage != self._stage:
            self._stage = run.stage
            self._bar.reset(run.total)
            self._bar.set_description(run.stage, refresh=False)
        self._bar.total = run.total
        self._bar.set_postfix_str(newest(run), refresh=False)
        self._bar.update(run.done - self._bar.n)

    def count(self, done: int, total: int) -> None:
        self._bar.total = total
        self._bar.update(done - self._bar.n)


def newest(run: TrainingRun) -> str:
    """ "loss 0.123, mAP 0.456 (frozen 0.400)", what is there of it."""
    parts = []
    for name in ("loss", "mAP"):
        values = [row[name] for row in run.curve if row.get(name) is not None]
        parts += [f"{name} {values[-1]:.3f}"] if values else []
    first = next((row["mAP"] for row in run.curve if row.get("mAP") is not None), None)
    return ", ".join(parts) + (f" (frozen {first:.3f})" if first is not None else "")


def told(run: TrainingRun) -> str:
    """What it was trained on and what came of it, in lines."""
    found = run.results
    trained, held = found["trained_on"], found["held_out"]
    left = ", ".join(f"{count} {why}" for why, count in found["left_out"].items() if count) or "nothing"
    seen = "classes never trained on" if held["unseen_classes"] else "other pictures of the classes trained on"
    lines = [
        f"run             {run.pk}",
        f"trained on      {trained['pictures']} pictures of {trained['classes']} classes ({trained['labels']}), "
        f"sha256 {trained['sha256'][:16]}",
        f"held out        {held['pictures']} pictures of {held['classes']} classes: {seen}",
        f"left out        {left}",
        f"steps           {found['steps']}{', stopped early' if found['stopped_early'] else ''}, "
        f"{found['side']} pixels, {found['arithmetic']}",
        f"frozen mAP      {found['frozen_mAP']:.4f}",
        f"best mAP        {found['best_mAP']:.4f} at step {found['best_step']}",
        f"time            {run.seconds or 0:.0f} s",
    ]
    if run.result is not None:
        lines.append(f"feature model   {run.result.name}, {run.result.dim} dimensions")
    return "\n".join(lines)
