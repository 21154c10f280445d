"""Celery tasks of the catalog: three lines each, the work is in the services."""

from __future__ import annotations

from celery import shared_task

from catalog import services


@shared_task(name="catalog.import_run")
def import_run(job_id: int) -> None:
    """Safe to be delivered twice: the job is claimed by one worker only."""
    services.import_run(job_id)


@shared_task(name="catalog.files_sweep")
def files_sweep() -> None:
    """Nightly: files that no row names."""
    services.files_sweep()
