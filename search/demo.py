"""What the demo needs before it can be shown: tables, an administrator, the sample shop and its index."""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
from collections.abc import Callable
from pathlib import Path

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command

from catalog.errors import LookalikeError, gettext_noop
from catalog.jobs import JobState
from catalog.models import Collection, ImportJob
from catalog.services import import_create, import_run
from search.builds import BuildAlreadyRunning, build_create, build_run, index_for
from search.calibrations import recalibrate_after_build
from search.embedding import embed_pending, extractor_for, feature_model_renew
from search.evaluations import evaluation_create
from search.extraction.errors import WeightsChanged
from search.models import EvaluationRun, SearchIndex

SLUG = "sample-shop"
SAMPLE = Path(settings.BASE_DIR) / "sample_catalog"
ADMIN = "admin"

Progress = Callable[[int, int], None]


class SampleBroken(LookalikeError):
    code = "sample_broken"
    text = gettext_noop("The sample catalog in %(path)s could not be imported: %(reason)s")
    cure = gettext_noop("Check the folder out again.")


def migrate() -> None:
    call_command("migrate", verbosity=0, interactive=False)


def administrator() -> str | None:
    """A password for the new account 'admin', or None when the site has an administrator already."""
    users = get_user_model()
    if users.objects.filter(is_superuser=True).exists():
        return None
    password = secrets.token_urlsafe(9)
    users.objects.create_superuser(ADMIN, password=password)
    return password


def sample_shop() -> Collection:
    """The public collection; made when it is not there."""
    description = "Things that never existed, modelled and photographed by program."
    return Collection.objects.get_or_create(
        slug=SLUG, defaults={"name": "Sample shop", "description": description, "is_public": True}
    )[0]


def is_imported(collection: Collection) -> bool:
    return ImportJob.objects.filter(collection=collection, state=JobState.DONE).exists()


def import_sample(collection: Collection, on_progress: Progress) -> None:
    """Raises SampleBroken. What an interrupted import brought in is kept."""
    job = import_run(import_create(collection, path=SAMPLE).pk, on_progress)
    if job.state != JobState.DONE or job.bad:
        raise SampleBroken(path=SAMPLE, reason=job.error or f"{job.bad} bad rows")


def embed(collection: Collection, on_progress: Progress) -> SearchIndex:
    """The shop's index, its pictures embedded; anew, where an upgrade changed the descriptor that needs no weights."""
    index = index_for(collection)
    try:
        extractor_for(index.feature_model)
    except WeightsChanged:
        if index.feature_model.weights:
            raise
        feature_model_renew(index.feature_model)
        index.refresh_from_db()
    embed_pending(collection, index.feature_model, on_progress=on_progress)
    return index


def build(index: SearchIndex) -> None:
    """The first build. One that was interrupted is left to the workers: search does not wait for it."""
    with contextlib.suppress(BuildAlreadyRunning):
        recalibrate_after_build(build_run(build_create(index).pk))


def first_evaluation(index: SearchIndex) -> None:
    """So that the admin has figures to show: run by a worker, which finds it within a minute at the latest."""
    from search.tasks import evaluation_run

    if EvaluationRun.objects.filter(index=index).exists():
        return
    benchmark = index.collection.benchmarks.first()
    if benchmark is not None:
        evaluation_run.delay_on_commit(evaluation_create(benchmark, index).pk)


def commands(host: str, port: int) -> dict[str, list[str]]:
    """The processes of the site by name: two workers, the clock and the web server."""
    celery = [sys.executable, "-m", "celery", "-A", "retrieval_site"]
    alone = ["--pool=solo", "--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel=INFO"]
    clock = ["--schedule", str(settings.DATA_DIR / "celerybeat"), "--pidfile=", "--loglevel=INFO"]
    web = ["--workers=1", "--threads=8", "--access-logfile=-", "--graceful-timeout=5", "--no-control-socket"]
    return {
        "web": [sys.executable, "-m", "gunicorn", "retrieval_site.wsgi", f"--bind={host}:{port}", *web],
        "worker-gpu": [*celery, "worker", "--queues=gpu", "--hostname=gpu@demo", *alone],
        "worker-cpu": [*celery, "worker", "--queues=cpu,default", "--hostname=cpu@demo", *alone],
        "beat": [*celery, "beat", *clock],
    }


def environment() -> dict[str, str]:
    """The demo's own, with the data folder named, so that all processes share it."""
    return {**os.environ, "DATA_DIR": str(settings.DATA_DIR), "PYTHONUNBUFFERED": "1"}
