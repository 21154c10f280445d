"""Celery tasks: three lines each, the work is in the services. All may run twice without harm."""

from __future__ import annotations

from celery import shared_task

from catalog.models import Collection
from search import builds, calibrations, embedding, maintenance, search_log, uploads
from search.models import FeatureModel

# Pictures a task embeds before it lets others in: a few seconds of work. Finding where to go on means passing
# over what is embedded, so many small steps would cost a large catalog more than the networks do.
EMBED_CHUNK = 1024


@shared_task(name="search.embed_pending")
def embed_pending(collection_id: int, feature_model_id: int) -> None:
    """Embed a thousand pictures; again while there are more; then see that there is a build."""
    collection = Collection.objects.filter(pk=collection_id).first()
    feature_model = FeatureModel.objects.filter(pk=feature_model_id).first()
    if collection is None or feature_model is None:  # deleted since
        return
    if embedding.embed_pending(collection, feature_model, limit=EMBED_CHUNK) >= EMBED_CHUNK:
        embed_pending.delay(collection_id, feature_model_id)
    else:
        _enqueue_builds(maintenance.first_builds(collection_id, feature_model_id))


@shared_task(name="search.build_run")
def build_run(build_id: int) -> None:
    build = builds.build_run(build_id)
    calibrations.recalibrate_after_build(build)


@shared_task(name="search.evaluation_run")
def evaluation_run(run_id: int) -> None:
    from search import evaluations

    evaluations.evaluation_run(run_id)


@shared_task(name="search.duplicates_scan")
def duplicates_scan(scan_id: int) -> None:
    from search.duplicates.scans import scan_run

    scan_run(scan_id)


@shared_task(name="search.training_run")
def training_run(run_id: int) -> None:
    """Whatever the kind; a long one makes way for new pictures. An index that came out is embedded and built."""
    from search import activations, trainings

    run, made_way = trainings.training_slice(run_id, maintenance.pictures_wait)
    if made_way:
        training_run.delay_on_commit(run_id)
    index = activations.index_of(run)
    if index is not None:
        embed_pending.delay_on_commit(index.collection_id, index.feature_model_id)


@shared_task(name="search.jobs_resume")
def jobs_resume() -> None:
    """Every minute: pick up what a killed worker or a lost message left."""
    _enqueue(maintenance.unfinished())


@shared_task(name="search.index_maintain")
def index_maintain(check: bool = False) -> None:
    """Schedule the rebuilds that are due; with ``check``, nightly, compare and repair first."""
    if check:
        _enqueue(maintenance.repair_all())
    _enqueue_builds(maintenance.due_builds())


@shared_task(name="search.reindex")
def reindex(index_id: int | None = None) -> None:
    """Rebuild one index, or all of them: for schedules made in the admin."""
    _enqueue_builds(maintenance.builds_for(index_id))


@shared_task(name="search.queries_purge")
def queries_purge() -> None:
    """Nightly: what visitors asked is not kept for ever."""
    uploads.queries_purge()
    search_log.log_purge()


def _enqueue(work: maintenance.Work) -> None:
    from catalog.tasks import import_run

    for job_id in work.imports:
        import_run.delay_on_commit(job_id)
    _enqueue_builds(work.builds)
    for run_id in work.evaluations:
        evaluation_run.delay_on_commit(run_id)
    for scan_id in work.scans:
        duplicates_scan.delay_on_commit(scan_id)
    for run_id in work.trainings:
        training_run.delay_on_commit(run_id)
    for collection_id, feature_model_id in work.embeddings:
        embed_pending.delay_on_commit(collection_id, feature_model_id)


def _enqueue_builds(build_ids: list[int]) -> None:
    for build_id in build_ids:
        build_run.delay_on_commit(build_id)
