"""Celery tasks: three lines each, the work is in the services."""

from __future__ import annotations

from celery import shared_task


@shared_task(name="search.embed_pending")
def embed_pending(collection_id: int, feature_model_id: int) -> None:
    raise NotImplementedError
