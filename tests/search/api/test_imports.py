"""Imports by upload: from the file to the rows."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from kombu.exceptions import OperationalError

from catalog.models import Collection, Image, ImportJob, Product
from search.models import Embedding
from tests.factories import ImportJobFactory, StaffFactory, picture
from tests.search.api.conftest import Api, error_of

pytestmark = pytest.mark.django_db

IMPORTS = "collections/lamps/imports/"


def archive(bad: bool = False) -> SimpleUploadedFile:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for number in range(3):
            file.writestr(f"desk/lamp-{number}.jpg", picture(number + 1))
        if bad:
            file.writestr("desk/bad.jpg", b"no picture")
    return SimpleUploadedFile("lamps.zip", buffer.getvalue(), "application/zip")


def test_a_zip_becomes_rows(
    writer: Api, collection: Collection, celery_eager: None, django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        started = writer.post(IMPORTS, form={"file": archive(bad=True)})
    assert started.status_code == 202
    assert (started.json()["state"], started.json()["source"]) == ("queued", "lamps.zip")
    job = writer.get(f"{IMPORTS}{started.json()['id']}/").json()
    assert (job["state"], job["added"], job["bad"], job["percent"]) == ("done", 3, 1, 100)
    assert Product.objects.filter(category="desk").count() >= 3
    assert Image.objects.count() == 3
    assert Embedding.objects.filter(vector__isnull=False).count() == 3
    report = writer.client.get(job["report_url"], headers=writer.headers)
    assert b"bad.jpg" in b"".join(report.streaming_content)
    assert writer.get(IMPORTS).json()["results"] == [job]


def test_the_same_zip_again_adds_nothing(
    writer: Api, collection: Collection, celery_eager: None, django_capture_on_commit_callbacks: Any
) -> None:
    for _ in range(2):
        with django_capture_on_commit_callbacks(execute=True):
            writer.post(IMPORTS, form={"file": archive()})
    last = writer.get(IMPORTS).json()["results"][0]
    assert (last["added"], last["known"]) == (0, 3)
    assert Image.objects.count() == 3


@pytest.mark.parametrize(("name", "data"), [("empty.zip", b""), ("photo.jpg", picture(1)), ("fake.zip", b"text")])
def test_what_is_no_catalog_is_refused(writer: Api, collection: Collection, name: str, data: bytes) -> None:
    response = writer.post(IMPORTS, form={"file": SimpleUploadedFile(name, data)})
    assert response.status_code in (400, 413, 415), response.content
    assert not ImportJob.objects.exists()


def test_without_a_file(writer: Api, collection: Collection) -> None:
    assert set(error_of(writer.post(IMPORTS, form={}))["fields"]) == {"file"}


def test_too_large(writer: Api, collection: Collection, settings: Any) -> None:
    settings.ARCHIVE_MAX_BYTES = 100
    response = writer.post(IMPORTS, form={"file": archive()})
    assert (response.status_code, error_of(response)["code"]) == (413, "too_large")
    assert "100" in error_of(response)["message"]


def test_with_the_broker_down_the_job_waits(writer: Api, collection: Collection, monkeypatch: Any, caplog: Any) -> None:
    from catalog.tasks import import_run

    def down(*args: Any, **kwargs: Any) -> None:
        raise OperationalError("no broker")

    monkeypatch.setattr(import_run, "delay_on_commit", down)
    response = writer.post(IMPORTS, form={"file": archive()})
    assert response.status_code == 202
    assert ImportJob.objects.get().state == "queued"
    assert "no broker" in caplog.text


def test_cancel(writer: Api, collection: Collection) -> None:
    job = ImportJobFactory(collection=collection)
    response = writer.post(f"{IMPORTS}{job.pk}/cancel/")
    assert (response.status_code, response.json()["state"]) == (200, "cancelled")
    again = writer.post(f"{IMPORTS}{job.pk}/cancel/")
    assert (again.status_code, error_of(again)["code"]) == (409, "job_finished")


def test_a_running_one_is_asked_to_stop(writer: Api, collection: Collection) -> None:
    job = ImportJobFactory(collection=collection, state="running")
    body = writer.post(f"{IMPORTS}{job.pk}/cancel/").json()
    assert (body["state"], body["cancel_requested"]) == ("running", True)


def test_no_report_is_404(writer: Api, collection: Collection) -> None:
    job = ImportJobFactory(collection=collection)
    assert writer.get(f"{IMPORTS}{job.pk}/report/").status_code == 404


def test_a_job_carries_the_name_of_who_made_the_key(collection: Collection, make_key: Any) -> None:
    maker = StaffFactory()
    Api(make_key("write", created_by=maker)).post(IMPORTS, form={"file": archive()})
    assert ImportJob.objects.get().created_by == maker
