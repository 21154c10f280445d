"""A ground truth uploaded in the admin."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from catalog.models import Benchmark, Collection, Label
from tests import factories

pytestmark = pytest.mark.django_db
ADDRESS = "/admin/catalog/benchmark/import/"
TABLE = b"query,image,grade\nq.jpg,a.jpg,easy\nq.jpg,lost.jpg,hard\ngone.jpg,a.jpg,easy\n"


@pytest.fixture
def collection() -> Collection:
    made = factories.CollectionFactory()
    for source in ("q.jpg", "a.jpg"):
        factories.ImageFactory(collection=made, product=None, source=source)
    return made


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(factories.StaffFactory())
    return client


def body(collection: Collection, data: bytes, file: str = "labels.csv", **more: Any) -> dict[str, Any]:
    return {"collection": collection.pk, "file": SimpleUploadedFile(file, data), "format": "auto", "name": "", **more}


def test_a_table(collection: Collection, staff: Client) -> None:
    page = staff.post(ADDRESS, body(collection, TABLE), follow=True)
    benchmark = Benchmark.objects.get()
    assert (benchmark.name, benchmark.queries.count()) == ("labels", 1)
    assert page.redirect_chain[-1][0] == reverse("admin:catalog_benchmark_change", args=[benchmark.pk])
    html = page.content.decode()
    assert "1 queries and 1 labels are new" in html
    assert "lost.jpg" in html
    assert "gone.jpg" in html


def test_a_zip_of_oxford(collection: Collection, staff: Client) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("gt/keble_1_query.txt", "oxc1_q 1 2 30 40")
        for name in ("good", "ok", "junk"):
            archive.writestr(f"gt/keble_1_{name}.txt", "a\n" if name == "ok" else "")
    staff.post(ADDRESS, body(collection, buffer.getvalue(), "gt.zip", name="oxford"))
    assert Benchmark.objects.get().name == "oxford"
    assert Label.objects.get().grade == "hard"


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"query,image,grade\nq.jpg,a.jpg,superb\n", "labels.csv:2: &#x27;superb&#x27; is no grade"),
        (b"nothing", "labels.csv is no ground truth"),
        (b"query,image,grade\nx,y,easy\n", "Import the pictures first"),
    ],
)
def test_what_is_wrong_is_a_form_error(collection: Collection, staff: Client, data: bytes, says: str) -> None:
    page = staff.post(ADDRESS, body(collection, data))
    assert page.status_code == 200
    assert says in page.content.decode()
    assert not Benchmark.objects.exists()


def test_only_for_those_who_may(collection: Collection, client: Client) -> None:
    client.force_login(factories.UserFactory(is_staff=True))
    assert client.get(ADDRESS).status_code == 403
    client.force_login(factories.StaffFactory())
    assert client.get(ADDRESS).status_code == 200
    assert ADDRESS in client.get(reverse("admin:catalog_benchmark_changelist")).content.decode()
