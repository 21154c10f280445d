"""Which code measured: the version, and the commit where it runs from a checkout."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed

from django.conf import settings

DIGITS = 10


@cache
def version() -> str:
    """``0.1.0+1a2b3c4d5e``; without the commit where there is no checkout. Local changes do not show."""
    try:
        number = installed("lookalike")
    except PackageNotFoundError:  # run from a folder that was never installed
        number = "0"
    commit = _commit()
    return f"{number}+{commit[:DIGITS]}" if commit else number


def _commit() -> str:
    git = settings.BASE_DIR / ".git"
    try:
        head = (git / "HEAD").read_text().strip()
        name = head.removeprefix("ref: ")
        if name == head:
            return head
        if (git / name).is_file():
            return str((git / name).read_text().strip())
        packed = (git / "packed-refs").read_text().splitlines()
    except OSError:
        return ""
    return next((line.split()[0] for line in packed if line.endswith(f" {name}")), "")
