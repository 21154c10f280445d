"""Settings that would only fail later are named at the start."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest

from search import checks
from tests.search.gallery import make_index


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("MILVUS_URI", "/var/milvus.db", {"search.E006"}),
        ("MILVUS_URI", "http://milvus:19530", set()),
        ("MILVUS_PREFIX", "our-shop", {"search.E008"}),
        ("MILVUS_PREFIX", "shop_2", set()),
    ],
)
def test_settings_of_milvus(settings: Any, name: str, value: str, expected: set[str]) -> None:
    setattr(settings, name, value)
    assert {message.id for message in checks.milvus_settings(None)} == expected


def test_pymilvus_is_missing(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.MILVUS_URI = "http://milvus:19530"
    monkeypatch.setattr(
        checks, "find_spec", lambda name: None if name == "pymilvus" else importlib.util.find_spec(name)
    )
    (message,) = checks.milvus_settings(None)
    assert (message.id, "pip install" in str(message.hint)) == ("search.E007", True)


def test_a_device_that_is_none(settings: Any) -> None:
    settings.FAISS_DEVICE = "tpu"
    assert [message.id for message in checks.extraction_settings(None)] == ["search.E005"]


@pytest.mark.django_db
def test_indexes_on_a_server_that_no_setting_names(settings: Any) -> None:
    index = make_index(1, engine="milvus")
    (message,) = checks.milvus_indexes(None, databases=["default"])
    assert str(index) in message.msg
    settings.MILVUS_URI = "http://milvus:19530"
    assert checks.milvus_indexes(None, databases=["default"]) == []
