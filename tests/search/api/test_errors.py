"""One error shape, whatever goes wrong."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import OperationalError, connection, transaction
from django.test import Client

from catalog.errors import LookalikeError
from catalog.models import Collection
from search.api.errors import exception_handler
from tests.factories import UserFactory, picture
from tests.search.api.conftest import Api, error_of, upload

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("path", ["/api/", "/api/v1/", "/api/v2/search/", "/api/v1/nothing/here/", "/api/v1/search"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_an_unknown_address_is_json_too(anonymous: Api, path: str, method: str) -> None:
    response = anonymous.call(method, path)
    assert response.status_code == 404
    assert error_of(response)["code"] == "not_found"
    assert path in error_of(response)["message"]


def test_bad_json(writer: Api, collection: Collection) -> None:
    response = writer.post("collections/lamps/products/", b'{"sku": ')
    assert response.status_code == 400
    assert error_of(response)["code"] == "parse_error"


def test_a_body_that_is_no_object(writer: Api, collection: Collection) -> None:
    for method, path in (("POST", "products/"), ("PUT", "products/A/"), ("POST", "images/")):
        response = writer.call(method, f"collections/lamps/{path}", [1, 2])
        assert response.status_code == 400, (method, path)
        assert error_of(response)["code"] == "invalid"


def test_wrong_method_names_the_right_ones(writer: Api, collection: Collection) -> None:
    response = writer.delete("collections/lamps/")
    assert response.status_code == 405
    assert error_of(response)["code"] == "method_not_allowed"
    assert "GET" in response["Allow"]


def test_wrong_media_type(writer: Api, collection: Collection) -> None:
    response = writer.client.post(
        "/api/v1/collections/lamps/products/", "sku=1", content_type="text/csv", headers=writer.headers
    )
    assert response.status_code == 415
    assert error_of(response)["code"] == "unsupported_media_type"


def test_whatever_accept_says_the_answer_is_json(anonymous: Api, collection: Collection) -> None:
    assert anonymous.get("collections/", Accept="text/html").json()["results"]


def test_fields_are_named(writer: Api, collection: Collection) -> None:
    response = writer.post("collections/lamps/products/", {"sku": "A", "price": "cheap", "stock": -1})
    assert response.status_code == 400
    error = error_of(response)
    assert error["code"] == "invalid"
    assert set(error["fields"]) == {"price", "stock"}


def test_too_large_is_refused_by_its_length(anonymous: Api, collection: Collection, settings: Any) -> None:
    settings.IMAGE_MAX_BYTES = 1000
    response = anonymous.post("search/", form={"collection": "lamps", "image": upload(b"x" * 200_000)})
    assert response.status_code == 413
    assert error_of(response)["code"] == "too_large"
    assert "1000" in error_of(response)["message"]


def test_too_large_is_refused_unread(collection: Collection, settings: Any) -> None:
    class Unreadable:
        def read(self, *args: object) -> bytes:
            raise AssertionError("the body was read")

        readline = read

    settings.IMAGE_MAX_BYTES = 1000
    response = Client().post(
        "/api/v1/search/",
        b"",
        content_type="multipart/form-data; boundary=x",
        **{"CONTENT_LENGTH": str(10**9), "wsgi.input": Unreadable()},
    )
    assert response.status_code == 413


def test_a_file_just_over_the_limit_is_refused(anonymous: Api, gallery: Collection, settings: Any) -> None:
    data = picture(1)
    settings.IMAGE_MAX_BYTES = len(data)
    assert anonymous.post("search/", form={"collection": "lamps", "image": upload(data)}).status_code == 200
    settings.IMAGE_MAX_BYTES = len(data) - 1
    response = anonymous.post("search/", form={"collection": "lamps", "image": upload(data)})
    assert (response.status_code, error_of(response)["code"]) == (413, "too_large")  # refused before it is read


def test_a_large_json_body_is_refused(writer: Api, collection: Collection, settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    response = writer.post("collections/lamps/products/", {"sku": "A", "title": "x" * 2000})
    assert response.status_code == 413
    assert error_of(response)["code"] == "too_large"


def test_a_form_with_too_much_text_is_refused(anonymous: Api, collection: Collection, settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 100
    response = anonymous.post("search/", form={"collection": "lamps", "url": "x" * 5000})
    assert response.status_code == 413
    assert error_of(response)["code"] == "too_large"


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"", 400),
        (b"just text", 400),
        (picture(1)[:600], 400),
        (b"\0" * 128 + b"DICM" + b"\0" * 64, 400),
    ],
    ids=["empty", "text", "truncated", "dicom"],
)
def test_broken_pictures(writer: Api, gallery: Collection, data: bytes, status: int) -> None:
    for path in ("search/", "collections/lamps/images/"):
        response = writer.post(path, form={"collection": "lamps", "image": upload(data)})
        assert 400 <= response.status_code < 500, (path, response.content)
        assert error_of(response)["code"] not in ("error", "internal_error", "invalid")


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1/a.jpg", "http://169.254.169.254/latest/", "http://[::1]/a.jpg", "http://10.0.0.1/"]
)
def test_private_urls_are_refused(writer: Api, gallery: Collection, url: str) -> None:
    for path in ("search/", "collections/lamps/images/"):
        response = writer.post(path, {"collection": "lamps", "url": url})
        assert 400 <= response.status_code < 500, (path, response.content)
        assert error_of(response)["code"] not in ("error", "internal_error", "invalid")


@pytest.mark.parametrize("url", ["file:///etc/passwd", "/etc/passwd", "gopher://example.com/"])
def test_what_is_no_web_address_is_refused(writer: Api, gallery: Collection, url: str) -> None:
    response = writer.post("search/", {"collection": "lamps", "url": url})
    assert response.status_code in (400, 422)


def test_the_unexpected_is_a_plain_500(reader: Api, collection: Collection, monkeypatch: Any, caplog: Any) -> None:
    def broken(*args: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr("search.api.views.collections.facets", broken)
    response = reader.client.get("/api/v1/collections/lamps/", headers=reader.headers)
    assert response.status_code == 500
    assert error_of(response)["code"] == "internal_error"
    assert "secret" not in response.content.decode()
    assert "secret detail" in caplog.text


def test_the_unexpected_reaches_error_trackers(reader: Api, collection: Collection, monkeypatch: Any) -> None:
    def broken(*args: object) -> None:
        raise RuntimeError("seen")

    monkeypatch.setattr("search.api.views.collections.facets", broken)
    with pytest.raises(RuntimeError, match="seen"):  # the test client listens to got_request_exception
        Client().get("/api/v1/collections/lamps/", headers=reader.headers)


def test_a_database_that_is_away_is_503(reader: Api, collection: Collection, monkeypatch: Any) -> None:
    def away(*args: object) -> None:
        raise OperationalError("could not connect to server at 10.1.2.3")

    monkeypatch.setattr("search.api.views.collections.facets", away)
    response = reader.client.get("/api/v1/collections/lamps/", headers=reader.headers)
    assert response.status_code == 503
    assert response["Retry-After"] == "1"
    assert "10.1.2.3" not in response.content.decode()


def test_an_error_rolls_back_where_requests_are_atomic(monkeypatch: Any) -> None:
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    with transaction.atomic():
        UserFactory()
        exception_handler(LookalikeError(), {})
        assert connection.get_rollback()
    assert not get_user_model().objects.exists()


def test_messages_follow_accept_language(writer: Api, collection: Collection) -> None:
    english = error_of(writer.delete("collections/"))["message"]
    response = writer.delete("collections/", Accept_Language="zh-CN,zh;q=0.9")
    assert response["Content-Language"] == "zh-hans"
    assert english.startswith("Method")
    assert "方法" in error_of(response)["message"]


def test_own_errors_are_translated_with_their_cure() -> None:
    from django.utils import translation

    class Odd(LookalikeError):
        code = "odd"
        text = "Enter a valid URL."  # Django's own words: translated whatever our catalog says
        cure = "This field is required."
        status = 418

    with translation.override("zh-hans"):
        response = exception_handler(Odd(), {})
        expected = f"{translation.gettext('Enter a valid URL.')} {translation.gettext('This field is required.')}"
    assert response.status_code == 418
    assert response.data == {"error": {"code": "odd", "message": expected}}
    assert "Enter" not in expected
