"""Locks between processes, on whichever database the run has."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from catalog import locks
from catalog.locks import try_lock

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, settings: Any) -> None:
    settings.DATA_DIR = tmp_path


def seen_by_another(name: str) -> bool:
    seen: list[bool] = []

    def look() -> None:
        with try_lock(name) as free:
            seen.append(free)
        connection.close()

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    return seen[0]


def test_one_holder_at_a_time_and_other_names_are_free() -> None:
    with try_lock("a") as first:
        assert first
        assert not seen_by_another("a")
        assert seen_by_another("b")
        with try_lock("a") as again:
            assert not again
        assert not seen_by_another("a")  # the refused one let go of nothing
    assert seen_by_another("a")


def test_another_process_is_kept_out_too(monkeypatch: pytest.MonkeyPatch) -> None:
    with try_lock("a"):
        monkeypatch.setattr(locks, "_held", set())  # what another process knows of ours
        assert not seen_by_another("a")
        monkeypatch.undo()
    assert seen_by_another("a")


def test_an_error_inside_lets_go() -> None:
    with pytest.raises(ZeroDivisionError), try_lock("a"):
        raise ZeroDivisionError
    assert seen_by_another("a")
