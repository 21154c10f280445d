"""The project's Celery application, but Redis hands a lost task out again after seconds."""

from __future__ import annotations

import os

from retrieval_site.celery import app
from tests.services import tasks

app.conf.broker_transport_options = {"visibility_timeout": int(os.environ["TEST_VISIBILITY_TIMEOUT_S"])}
app.conf.beat_schedule = {}

__all__ = ["app", "tasks"]
