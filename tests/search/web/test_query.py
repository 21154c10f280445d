"""Asking with a picture: by file, camera or address, with a script and without."""

from __future__ import annotations

import functools
import http.server
import io
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import PIL.Image
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.files.uploadhandler import FileUploadHandler
from django.test import Client
from django.urls import reverse

from catalog.models import Collection
from search.models import UploadedQuery
from tests import factories
from tests.search.web.conftest import Page

pytestmark = pytest.mark.django_db
HERE = "/c/tableware/query/"
JSON = {"accept": "application/json"}


def _wide() -> bytes:
    """Three million pixels in a few bytes."""
    made = io.BytesIO()
    PIL.Image.new("1", (3000, 1000)).save(made, "PNG")
    return made.getvalue()


@pytest.fixture
def web_server(tmp_path: Path) -> Iterator[str]:
    """A real server with one picture, at a private address."""
    folder = tmp_path / "www"
    folder.mkdir()
    (folder / "there.jpg").write_bytes(factories.picture(5))
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize("field", ["file", "photo"])
def test_an_upload_leads_to_an_address_of_results(
    client: Client, shop: Collection, upload: Callable[..., Any], field: str
) -> None:
    answer = client.post(HERE, {field: upload()})
    uploaded = UploadedQuery.objects.get()
    assert answer.status_code == 303
    assert answer["Location"] == f"/c/tableware/search/?query={uploaded.pk}"
    page = Page(client.get(answer["Location"]))
    assert len(page.titles()) == 24
    ((picture, _),) = [found for found in page.all("img") if found[0].get("src", "").startswith("/q/")]
    assert (picture["width"], picture["height"]) == ("96", "72")
    preview = client.get(picture["src"])
    assert (preview.status_code, preview["Content-Type"]) == (200, "image/jpeg")


def test_the_same_picture_of_the_catalog_is_found_first(
    client: Client, shop: Collection, upload: Callable[..., Any]
) -> None:
    answer = client.post(HERE, {"file": upload(factories.picture(8))}, follow=True)  # Thing 7's
    page = Page(answer)
    assert page.titles()[0] == "Thing 7"
    assert page.all("span", class_="score")[0][1].endswith("100%")


def test_the_pages_own_script_gets_the_address_as_json(
    client: Client, shop: Collection, upload: Callable[..., Any]
) -> None:
    answer = client.post(HERE, {"file": upload()}, headers=JSON)
    assert answer.status_code == 200
    assert answer.json() == {"url": f"/c/tableware/search/?query={UploadedQuery.objects.get().pk}"}


@pytest.mark.parametrize(
    ("data", "status", "said"),
    [
        (b"", 400, "empty"),
        (b"Dear Sir or Madam,\n", 415, "text file"),
        (factories.picture(1)[:900], 400, "truncated"),
        (b"\0" * 128 + b"DICM" + b"\0" * 64, 400, "DICOM"),
    ],
)
def test_what_is_no_picture_is_refused_with_its_cause(
    client: Client, shop: Collection, upload: Callable[..., Any], data: bytes, status: int, said: str
) -> None:
    answer = client.post(HERE, {"file": upload(data)})
    assert answer.status_code == status
    assert said in Page(answer).alert()
    as_json = client.post(HERE, {"file": upload(data)}, headers=JSON)
    assert as_json.status_code == status
    assert said in as_json.json()["error"]["message"]
    assert not UploadedQuery.objects.exists()


def test_too_many_bytes_are_refused(
    client: Client, shop: Collection, upload: Callable[..., Any], settings: Any
) -> None:
    settings.IMAGE_MAX_BYTES = 1000
    answer = client.post(HERE, {"file": upload()})
    assert answer.status_code == 413
    assert "more than 1000 bytes" in Page(answer).alert()


@pytest.mark.parametrize(
    ("limit", "value", "data", "said"),
    [
        ("IMAGE_MAX_BYTES", 3 * 1024 * 1024 // 2, b"x" * 1_600_000, "more than 1.5 MB. Send a smaller copy."),
        ("IMAGE_MAX_PIXELS", 1000, factories.picture(1), "more than 1000 pixels. Send a smaller copy."),
        ("IMAGE_MAX_PIXELS", 2_000_000, _wide(), "3 megapixels, more than 2 megapixels. Send a smaller copy."),
    ],
)
def test_limits_are_said_in_units_that_people_read(
    client: Client,
    shop: Collection,
    upload: Callable[..., Any],
    settings: Any,
    *,
    limit: str,
    value: int,
    data: bytes,
    said: str,
) -> None:
    setattr(settings, limit, value)
    alert = Page(client.post(HERE, {"file": upload(data)})).alert()
    assert said in alert
    assert "IMAGE_MAX" not in alert


@pytest.mark.parametrize("headers", [{}, JSON])
def test_a_body_that_is_too_large_is_refused_before_it_is_stored(
    client: Client, shop: Collection, settings: Any, headers: dict[str, str]
) -> None:
    settings.IMAGE_MAX_BYTES = 1000
    settings.FILE_UPLOAD_HANDLERS = ["tests.search.web.test_query.Nothing"]
    answer = client.post(HERE, {"file": SimpleUploadedFile("big.jpg", b"x" * 100_000)}, headers=headers)
    assert answer.status_code == 413
    assert "together: more than 2 KB" in answer.content.decode()


class Nothing(FileUploadHandler):
    """Fails the test when the body is parsed at all."""

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        raise AssertionError("a body that is too large was read into files")

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None: ...

    def file_complete(self, file_size: int) -> None: ...


def test_nothing_sent_is_said(client: Client, shop: Collection) -> None:
    answer = client.post(HERE, {"url": "  "})
    assert answer.status_code == 400
    assert "no picture" in Page(answer).alert()


def test_an_address_is_fetched(client: Client, shop: Collection, web_server: str, settings: Any) -> None:
    settings.FETCH_ALLOW_PRIVATE = True
    answer = client.post(HERE, {"url": f"{web_server}/there.jpg"}, follow=True)
    assert answer.redirect_chain[0][1] == 303
    assert Page(answer).titles()[0] == "Thing 4"


@pytest.mark.parametrize("path", ["/there.jpg", "/missing.jpg"])
def test_a_private_address_is_refused_and_stays_in_the_field(
    client: Client, shop: Collection, web_server: str, path: str
) -> None:
    answer = client.post(HERE, {"url": web_server + path})
    page = Page(answer)
    assert answer.status_code == 400
    assert "not a public web server" in page.alert()
    assert page.all("input", name="url", value=web_server + path)
    assert not UploadedQuery.objects.exists()


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "/etc/passwd", "ftp://example.com/a.jpg", "http://[::1", '"><b>']
)
def test_only_web_addresses_are_taken(client: Client, shop: Collection, url: str) -> None:
    answer = client.post(HERE, {"url": url})
    assert answer.status_code == 400
    assert "not the address of a picture" in Page(answer).alert()
    assert Page(answer).all("input", name="url", value=url)


def test_errors_speak_the_readers_language(client: Client, shop: Collection, upload: Callable[..., Any]) -> None:
    answer = client.post(HERE, {"file": upload(b"")}, headers={"accept-language": "zh-hans"})
    assert "文件" in Page(answer).alert()


def test_going_back_to_the_upload_leads_to_the_page(client: Client, shop: Collection) -> None:
    assert client.get(HERE)["Location"] == "/c/tableware/"


def test_a_strangers_upload_into_a_private_collection_is_not_taken(client: Client, upload: Callable[..., Any]) -> None:
    factories.CollectionFactory.create(slug="secret", is_public=False)
    assert client.post("/c/secret/query/", {"file": upload()}).status_code == 404
    assert not UploadedQuery.objects.exists()


def test_a_preview_is_private_to_those_who_may_see_the_collection(client: Client) -> None:
    secret = factories.CollectionFactory.create(is_public=False)
    address = reverse("web:preview", args=[factories.UploadedQueryFactory.create(collection=secret).pk])
    assert client.get(address).status_code == 404
    client.force_login(factories.StaffFactory.create())
    answer = client.get(address)
    assert answer.status_code == 200
    assert "private" in answer["Cache-Control"]
    assert client.get(reverse("web:preview", args=[uuid.uuid4()])).status_code == 404
