"""Training runs: started, done by whoever the kind names, gone on with after a kill, cancelled."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from catalog.errors import JobCancelled, LookalikeError, gettext_noop
from catalog.jobs import JobState
from catalog.locks import try_lock
from catalog.models import Collection
from search.feature_models import NameTaken
from search.models import FeatureModel, TrainingRun
from search.models.training import TrainingKind

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

log = logging.getLogger(__name__)

Watch = Callable[[TrainingRun], None]
SLICE_S = 60.0

# Kind -> the module whose ``run(run)`` does it, imported when one is done: torch stays out of whoever only starts.
# ``run`` gets a run that is claimed and locked; it reports by ``run.progress``, sets ``run.results`` and
# ``run.result``, and raises to fail. Finishing is done here.
WORK = {
    TrainingKind.FINETUNE: "search.finetunings",
    TrainingKind.DISTILL: "search.distillations",
    TrainingKind.BRANCH: "search.attributes",
    TrainingKind.QUANTISE: "search.quantisations",
}


class TrainingUnderWay(LookalikeError):
    code = "training_under_way"
    text = gettext_noop("A training that makes %(name)s is under way already.")
    cure = gettext_noop("Wait for it, cancel it, or choose another name.")
    status = 409


class MadeWay(LookalikeError):
    """Raised into a training that stops for a while so that something else is done. Nobody is shown it."""

    code = "made_way"
    text = gettext_noop("The training makes way for pictures that wait to be embedded.")


class NotResumable(LookalikeError):
    code = "not_resumable"
    text = gettext_noop("The training %(run)s cannot be gone on with: it is %(state)s.")
    cure = gettext_noop("Start another one.")
    status = 409


def training_lock(run: TrainingRun) -> str:
    """Held by whoever works on a run."""
    return f"training-{run.pk}"


def training_create(
    kind: TrainingKind | str,
    name: str,
    *,
    collection: Collection | None = None,
    base: FeatureModel | None = None,
    options: dict[str, Any] | None = None,
    user: AbstractBaseUser | None = None,
) -> TrainingRun:
    """A queued run; the caller enqueues ``search.tasks.training_run``. Raises NameTaken, TrainingUnderWay."""
    if FeatureModel.objects.filter(name=name).exists():
        raise NameTaken(name=name)
    try:
        with transaction.atomic():
            return TrainingRun.objects.create(
                kind=kind,
                name=name,
                collection=collection,
                base=base,
                options=options or {},
                created_by_id=user.pk if user is not None else None,
            )
    except IntegrityError:
        raise TrainingUnderWay(name=name) from None


def training_run(run_id: int, watch: Watch | None = None) -> TrainingRun:
    """Do a queued run, or go on with one whose process died. How it ended is told by the row: nothing is raised.

    ``watch`` is given the run after each report of its progress.
    """
    run: TrainingRun = TrainingRun.objects.select_related("collection", "base").get(pk=run_id)
    begun = run.started if run.done else None
    with try_lock(training_lock(run)) as mine:  # dies with its process, unlike the row's state
        if mine and run.claim():
            if begun is not None:  # it goes on
                run.started = begun
                run.save(update_fields=["started"])
            if watch is not None:
                _watched(run, watch)
            _run(run)
    return run


def training_slice(run_id: int, is_wanted: Callable[[], bool], seconds: float = SLICE_S) -> tuple[TrainingRun, bool]:
    """``training_run`` in a worker that others wait for; whether it made way and wants to go on.

    Every ``seconds`` of a fine-tuning ``is_wanted`` is asked whether the worker is. Then the run is put back in its
    queue with a checkpoint, behind what waits, and goes on to the same result.
    """
    asked, made_way = time.monotonic(), False

    def watch(run: TrainingRun) -> None:
        nonlocal asked, made_way
        if run.kind != TrainingKind.FINETUNE or run.stage != "training" or time.monotonic() - asked < seconds:
            return
        asked = time.monotonic()
        if is_wanted():
            made_way = True
            raise MadeWay

    return training_run(run_id, watch), made_way


def _watched(run: TrainingRun, watch: Watch) -> None:
    """Whoever does the work reports to the run alone; here somebody listens in, whatever the kind."""
    report = run.progress

    def progress(done: int, total: int | None = None, stage: str | None = None) -> None:
        report(done, total, stage)
        watch(run)

    run.progress = progress  # type: ignore[method-assign]


def _run(run: TrainingRun) -> None:
    try:
        work: Callable[[TrainingRun], object] = import_module(WORK[TrainingKind(run.kind)]).run
        work(run)
    except JobCancelled:
        run.finish(JobState.CANCELLED)
    except MadeWay:
        run.state, run.heartbeat = JobState.QUEUED, timezone.now()
        run.save(update_fields=["state", "heartbeat"])
    except LookalikeError as error:
        run.finish(JobState.FAILED, str(error))
    except Exception as error:
        log.exception("training run %s failed", run.pk)
        run.finish(JobState.FAILED, f"{type(error).__name__}: {error}")
    else:
        if not run.is_finished:
            run.finish()
        shutil.rmtree(run.folder, ignore_errors=True)  # checkpoints are of no more use


def training_resume(run: TrainingRun) -> None:
    """Queue a cancelled or failed run again; it goes on from its last checkpoint. Raises NotResumable, NameTaken,
    TrainingUnderWay."""
    if run.state not in (JobState.CANCELLED, JobState.FAILED):
        raise NotResumable(run=run, state=run.get_state_display())
    if FeatureModel.objects.filter(name=run.name).exists():
        raise NameTaken(name=run.name)
    run.state, run.cancel_requested, run.finished = JobState.QUEUED, False, None
    run.started, run.error, run.heartbeat = None, "", timezone.now()
    try:
        with transaction.atomic():
            run.save(update_fields=["state", "cancel_requested", "started", "finished", "error", "heartbeat"])
    except IntegrityError:
        raise TrainingUnderWay(name=run.name) from None


def folders_sweep() -> int:
    """Delete the folders of runs that exist no more. Returns how many."""
    known = {str(pk) for pk in TrainingRun.objects.values_list("pk", flat=True)}
    folders = [path for path in Path(settings.TRAINING_ROOT).glob("[0-9]*") if path.name not in known]
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
    return len(folders)
