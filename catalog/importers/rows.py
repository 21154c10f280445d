"""What a source of an import yields, and what it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from catalog.errors import LookalikeError
from catalog.models import Collection

REMOTE_SIZE = 1024 * 1024  # what a picture at a URL is taken to weigh before it is fetched


@dataclass(frozen=True)
class Row:
    """One picture to import.

    ``fields`` of the product are stated by the source and overwrite; ``defaults`` are guessed (from a
    file's name) and serve a new product only. ``role`` None: the import's. A remote row whose source is
    known already is not fetched again.
    """

    number: int
    source: str
    read: Callable[[], bytes]
    sku: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    role: str | None = None
    size: int = 0
    is_remote: bool = False


@dataclass(frozen=True)
class BadRow:
    number: int
    source: str
    error: LookalikeError


class Source:
    """An iterator of rows; a bad row is yielded, never raised."""

    total: int = 0  # rows, as far as known before they are read

    def __iter__(self) -> Iterator[Row | BadRow]:
        raise NotImplementedError

    def seen(self, row: Row, image_id: int) -> None:
        """The row is in the catalog as this picture."""

    def hide(self, row: Row) -> None:
        """The row is a DICOM file, taken or refused: its name may be a patient's and is kept nowhere."""

    def finish(self, collection: Collection, pulse: Callable[[], None]) -> Iterator[BadRow]:
        """What is left to do when every row has been worked through; ``pulse`` is called now and then."""
        return iter(())

    def close(self) -> None:
        """Let go of files."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def text_of(name: str) -> str:
    """A file's name as text every database takes: bytes that are no UTF-8 and NUL replaced."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace").replace("\0", "\ufffd")
