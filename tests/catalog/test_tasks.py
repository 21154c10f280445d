"""The tasks, through Celery."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from catalog import tasks
from catalog.models import Image
from catalog.services import import_create
from tests.catalog.helpers import write_tree
from tests.factories import CollectionFactory, ImageFactory, picture

pytestmark = pytest.mark.django_db


def test_import_run_is_enqueued_on_commit(
    tmp_path: Path, celery_eager: None, django_capture_on_commit_callbacks: Any
) -> None:
    job = import_create(CollectionFactory.create(), path=write_tree(tmp_path / "in", {"a.jpg": picture(1)}))
    with django_capture_on_commit_callbacks(execute=True):
        tasks.import_run.delay_on_commit(job.pk)
        assert not Image.objects.exists()
    job.refresh_from_db()
    assert (job.state, job.added) == ("done", 1)


def test_delivered_twice_is_done_once(tmp_path: Path, celery_eager: None) -> None:
    job = import_create(CollectionFactory.create(), path=write_tree(tmp_path / "in", {"a.jpg": picture(1)}))
    for _ in range(2):
        tasks.import_run.delay(job.pk)
    job.refresh_from_db()
    assert (job.state, job.added, job.known) == ("done", 1, 0)


def test_files_sweep(settings: Any, celery_eager: None) -> None:
    image = ImageFactory.create()
    path = Path(image.file.path)
    image.collection.delete()
    then = time.time() - 7200
    os.utime(path, (then, then))
    tasks.files_sweep.delay()
    assert not path.exists()


def test_names_are_what_settings_route_and_beat_schedules() -> None:
    assert tasks.import_run.name == "catalog.import_run"
    assert tasks.files_sweep.name == "catalog.files_sweep"
