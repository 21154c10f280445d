"""System checks of the catalog: what would only show when the first picture comes in."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.core.files.storage import FileSystemStorage, default_storage

LEAST_BYTES, LEAST_PIXELS = 64 * 1024, 320 * 320


@register(Tags.files)
def media_is_writable(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Pictures go to MEDIA_ROOT; a folder that is not there yet is made when the first one comes."""
    if not isinstance(default_storage, FileSystemStorage):
        return []
    root = Path(settings.MEDIA_ROOT)
    nearest = next(folder for folder in (root.absolute(), *root.absolute().parents) if folder.exists())
    if nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK):
        return []
    return [
        Error(
            f"Pictures cannot be stored: {nearest} is not a folder this user may write to.",
            hint="Set MEDIA_ROOT or DATA_DIR to one, or change its owner.",
            id="catalog.E001",
        )
    ]


@register(Tags.files)
def limits_are_sane(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    pairs = [
        ("IMAGE_MAX_BYTES", settings.IMAGE_MAX_BYTES, LEAST_BYTES),
        ("IMAGE_MAX_PIXELS", settings.IMAGE_MAX_PIXELS, LEAST_PIXELS),
    ]
    return [
        Warning(f"{name}={value} refuses nearly every picture.", hint=f"Set at least {least}.", id="catalog.W001")
        for name, value, least in pairs
        if value < least
    ]
