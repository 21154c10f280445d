"""What the core says, in the words and units of people."""

from __future__ import annotations

from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext

from catalog.errors import LookalikeError, gettext_noop
from catalog.fetch import FetchTooLarge
from catalog.images import TooManyBytes
from catalog.importers.errors import ArchiveBomb, UploadTooLarge

FILE_TOO_LARGE = gettext_noop("The file is too large: more than %(max_bytes)s.")
# What is counted in bytes for programs is told in MB to people.
SIZED: dict[type[LookalikeError], str] = {
    TooManyBytes: FILE_TOO_LARGE,
    UploadTooLarge: FILE_TOO_LARGE,
    FetchTooLarge: gettext_noop("The file at this address is too large: more than %(max_bytes)s."),
    ArchiveBomb: gettext_noop("The archive %(name)s would unpack to %(unpacked)s, more than may be."),
}


def size(count: float | None) -> str:
    """``32 MB``, ``1.5 GB``; a dash where it is not known."""
    if count is None:
        return "–"
    return filesizeformat(count).replace("\N{NO-BREAK SPACE}", " ").replace(".0 ", " ")


def error_text(error: LookalikeError) -> str:
    """Cause and cure in the reader's language."""
    text = SIZED.get(type(error))
    if text is None:
        return error.render(gettext)
    counted = {"max_bytes", "unpacked"} & set(error.params)
    sizes = {name: size(int(str(error.params[name]))) for name in counted}
    params: dict[str, object] = {**error.params, **sizes}
    return " ".join(gettext(part) % params for part in (text, error.cure) if part)
