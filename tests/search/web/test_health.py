"""/healthz says whether the site can work, and nothing about why not."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from celery import current_app
from django.db import connection
from django.test import Client

pytestmark = pytest.mark.django_db


def test_all_is_well(client: Client) -> None:
    answer = client.get("/healthz")
    assert answer.status_code == 200
    assert answer.json() == {"status": "ok", "checks": {"database": "ok", "cache": "ok", "broker": "ok"}}
    assert "no-store" in answer["Cache-Control"]


def test_a_broker_folder_that_is_gone_is_told(client: Client, tmp_path: Path, monkeypatch: Any) -> None:
    folder = tmp_path / "messages"
    monkeypatch.setitem(current_app.conf, "broker_transport_options", {"data_folder_out": str(folder)})
    assert client.get("/healthz").json()["checks"]["broker"] == "failed"
    folder.mkdir()
    assert client.get("/healthz").status_code == 200


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_broker_folder_that_cannot_be_written_is_told(client: Client, tmp_path: Path, monkeypatch: Any) -> None:
    tmp_path.chmod(0o500)
    monkeypatch.setitem(current_app.conf, "broker_transport_options", {"data_folder_out": str(tmp_path)})
    assert client.get("/healthz").status_code == 503


def test_a_cache_that_forgets_is_told(client: Client, settings: Any) -> None:
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}}
    answer = client.get("/healthz")
    assert answer.status_code == 503
    assert answer.json()["checks"] == {"database": "ok", "cache": "failed", "broker": "ok"}


def test_a_database_that_fails_is_told_without_its_words(client: Client, monkeypatch: Any) -> None:
    def refuse(*args: object) -> None:
        raise RuntimeError("password authentication failed for user lookalike")

    monkeypatch.setattr(connection, "cursor", refuse)
    answer = client.get("/healthz")
    assert answer.status_code == 503
    assert answer.json()["checks"]["database"] == "failed"
    assert "password" not in answer.content.decode()
