"""A worker killed in the middle of a job: another one goes on, whatever the broker made of the message."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from tests.factories import picture
from tests.services.conftest import Site, wait_for

PICTURES = 600  # ten batches
START = """
from catalog.models import Collection
from catalog.services import import_create
from catalog.tasks import import_run
job = import_create(Collection.objects.create(name="C", slug="c"), path={path!r})
import_run.delay(job.pk)
"""
A_MINUTE_LATER = """
from datetime import timedelta
from django.utils import timezone
from catalog.models import ImportJob
from search.tasks import jobs_resume
ImportJob.objects.update(heartbeat=timezone.now() - timedelta(minutes=2))
jobs_resume.delay()
"""


def one(site: Site, query: str) -> tuple[object, ...]:
    """The first row of a query, or nothing while a writer holds the database."""
    base = Path(site.environment["DATA_DIR"]) / "db.sqlite3"
    with sqlite3.connect(f"file:{base}?mode=ro", uri=True, timeout=10) as connection:
        return tuple(connection.execute(query).fetchone() or ())


def test_an_import_goes_on_in_another_worker(site: Site) -> None:
    folder = site.folder / "pictures"
    folder.mkdir()
    for seed in range(PICTURES):
        (folder / f"{seed:04}.jpg").write_bytes(picture(seed, (48, 36)))
    site.manage("migrate", "--verbosity=0")
    first = site.worker(app="tests.services.unhurried")
    site.python(START.format(path=str(folder)))

    wait_for(lambda: one(site, "select count(*) from catalog_image") > (0,), 60, "the import begins")
    site.kill(first)
    before = one(site, "select count(*) from catalog_image")
    assert one(site, "select state from catalog_importjob") == ("running",)
    assert before < (PICTURES,)

    site.python(A_MINUTE_LATER)  # what beat does every minute
    site.worker(app="retrieval_site")
    wait_for(lambda: one(site, "select state from catalog_importjob") == ("done",), 120, "the import ends")
    assert one(site, "select count(*), count(distinct sha256) from catalog_image") == (PICTURES, PICTURES)
    assert one(site, "select added, bad from catalog_importjob") == (PICTURES, 0)
