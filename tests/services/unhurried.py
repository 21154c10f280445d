"""The project's Celery application, but every batch of an import takes half a second longer."""

from __future__ import annotations

import time
from typing import Any

from celery.signals import worker_ready

from retrieval_site.celery import app

__all__ = ["app"]


def wait(**kwargs: Any) -> None:
    time.sleep(0.5)


@worker_ready.connect
def slow_down(**kwargs: Any) -> None:
    from catalog.signals import images_added

    images_added.connect(wait, dispatch_uid="tests.wait")
