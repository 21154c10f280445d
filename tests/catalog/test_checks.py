"""System checks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from catalog.checks import limits_are_sane, media_is_writable
from tests.catalog.helpers import remote


def test_folder_that_will_be_made(settings: Any, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path / "a" / "b"
    assert media_is_writable(None) == []


def test_folder_that_cannot_be(settings: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    settings.MEDIA_ROOT = tmp_path / "file" / "media"
    (found,) = media_is_writable(None)
    assert found.id == "catalog.E001"
    assert "MEDIA_ROOT" in str(found.hint)


def test_storage_elsewhere_needs_no_folder(settings: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    settings.MEDIA_ROOT = tmp_path / "file"
    settings.STORAGES = remote(settings.STORAGES)
    assert media_is_writable(None) == []


def test_limits(settings: Any) -> None:
    assert limits_are_sane(None) == []
    settings.IMAGE_MAX_BYTES = 10
    settings.IMAGE_MAX_PIXELS = 10
    assert [found.id for found in limits_are_sane(None)] == ["catalog.W001", "catalog.W001"]
