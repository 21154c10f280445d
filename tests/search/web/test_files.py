"""Stored pictures: who may see them, how long they may be kept, and that no path leads elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.test import Client

from catalog.models import ImportJob
from tests import factories

pytestmark = pytest.mark.django_db


def content(response: Any) -> bytes:
    return b"".join(response.streaming_content)


def test_a_public_picture_may_be_kept_for_a_day(client: Client) -> None:
    image = factories.ImageFactory.create()
    for name, kind in ((image.file.name, "image/jpeg"), (image.thumbnail.name, "image/webp")):
        answer = client.get(f"/media/{name}")
        assert content(answer) == default_storage.open(name).read()
        assert answer["Content-Type"] == kind
        assert {"public", "immutable", "max-age=86400"} <= set(answer["Cache-Control"].split(", "))
        assert answer["X-Content-Type-Options"] == "nosniff"
        assert "sandbox" in answer["Content-Security-Policy"]
        again = client.get(f"/media/{name}", headers={"if-none-match": answer["ETag"]})
        assert again.status_code == 304


def test_a_private_picture_is_served_to_members_alone(client: Client) -> None:
    secret = factories.CollectionFactory.create(is_public=False)
    image = factories.ImageFactory.create(collection=secret, product=None)
    address = f"/media/{image.file.name}"
    assert client.get(address).status_code == 404
    member = factories.UserFactory.create()
    client.force_login(member)
    assert client.get(address).status_code == 404
    secret.members.add(member)
    answer = client.get(address)
    assert answer.status_code == 200
    assert "private" in answer["Cache-Control"]


def test_an_api_key_reaches_the_pictures_of_its_collections_alone(client: Client) -> None:
    secret, other = factories.CollectionFactory.create_batch(2, is_public=False)
    image = factories.ImageFactory.create(collection=secret, product=None)
    address = f"/media/{image.file.name}"
    for bound_to, status in ((secret, 200), (other, 404)):
        key = factories.ApiKeyFactory.create()
        key.collections.add(bound_to)
        for header in ({"authorization": f"Bearer {key.clear}"}, {"x-api-key": key.clear}):
            assert client.get(address, headers=header).status_code == status
        key.is_active = False
        key.save()
        assert client.get(address, headers={"x-api-key": key.clear}).status_code == 404


def test_a_picture_shared_with_a_public_collection_is_public(client: Client) -> None:
    secret = factories.CollectionFactory.create(is_public=False)
    image = factories.ImageFactory.create(collection=secret, product=None, seed=7)
    factories.ImageFactory.create(collection=factories.CollectionFactory.create(), product=None, seed=7)
    assert client.get(f"/media/{image.file.name}").status_code == 200


def test_a_deleted_picture_is_gone(client: Client) -> None:
    image = factories.ImageFactory.create()
    address = f"/media/{image.file.name}"
    image.delete()
    assert client.get(address).status_code == 404


def test_no_path_leads_out_of_the_stored_pictures(client: Client, settings: Any) -> None:
    image = factories.ImageFactory.create()
    (Path(settings.MEDIA_ROOT) / "secret.txt").write_text("secret")
    (Path(settings.MEDIA_ROOT).parent / "outside.txt").write_text("outside")
    folder = str(Path(image.file.name).parent)
    for name in (
        "secret.txt",
        "../outside.txt",
        "images/../../outside.txt",
        "%2e%2e/outside.txt",
        "..%2foutside.txt",
        f"{folder}/../../secret.txt",
        f"{folder}/",
        "/etc/passwd",
        "images/%00.jpg",
        f"imports/../{image.file.name}",
    ):
        assert client.get(f"/media/{name}").status_code == 404, name


def test_uploads_of_visitors_are_not_reached_by_name(client: Client) -> None:
    uploaded = factories.UploadedQueryFactory.create()
    client.force_login(factories.StaffFactory.create())
    for name in (uploaded.file.name, uploaded.preview.name):
        assert client.get(f"/media/{name}").status_code == 404


def test_a_report_of_an_import_is_for_staff_and_only_to_download(client: Client) -> None:
    job = factories.ImportJobFactory.create()
    name = default_storage.save("imports/report.csv", ContentFile(b"row,error\n"))
    ImportJob.objects.filter(pk=job.pk).update(report=name)
    assert client.get(f"/media/{name}").status_code == 404
    client.force_login(factories.UserFactory.create(is_staff=True))  # staff without the right
    assert client.get(f"/media/{name}").status_code == 404
    client.force_login(factories.StaffFactory.create())
    answer = client.get(f"/media/{name}")
    assert content(answer) == b"row,error\n"
    assert answer["Content-Disposition"].startswith("attachment")
    assert client.get("/media/imports/other.csv").status_code == 404
