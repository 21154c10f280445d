"""A CSV of products: columns sku and image, title, category, brand, price, currency, stock, url, role; any other
column, ``attr.NAME`` or the JSON in ``attributes`` is an attribute. Separator and encoding are found out."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import BinaryIO, TextIO

from catalog.errors import LookalikeError
from catalog.importers.errors import (
    BadLine,
    BadRowError,
    BadTable,
    BadValue,
    MissingColumns,
    MissingFile,
    NoImage,
    TooManyCells,
)
from catalog.importers.rows import REMOTE_SIZE, BadRow, Row, Source, text_of
from catalog.importers.trees import Tree, safe_name
from catalog.importers.urls import MAX_URL, is_url, read_url
from catalog.importers.values import ATTRIBUTE, OTHER, PARSERS, product_fields, role

REQUIRED = ("sku", "image")
SEPARATORS = ",;\t|"
BLOCK = 1024 * 1024
Opener = Callable[[], BinaryIO]


class TableSource(Source):
    """``tree`` holds the pictures that are named by relative path, under ``base``; None: only URLs can be named.

    Raises BadTable, MissingColumns.
    """

    def __init__(self, open_table: Opener, name: str, tree: Tree | None = None, base: str = "") -> None:
        self.name, self.tree, self.base = name, tree, base
        self.open_table = open_table
        self.encoding, lines = inspect(open_table, name)
        self.separator, self.columns = read_header(open_table, self.encoding, name)
        require(self.columns, REQUIRED, name)
        self.total = max(0, lines - 1) + (len(tree.refused) if tree else 0)

    def __iter__(self) -> Iterator[Row | BadRow]:
        if self.tree:
            yield from self.tree.refused
        yield from self.rows()

    def rows(self) -> Iterator[Row | BadRow]:
        for number, cells in read_cells(self.open_table, self.encoding, self.separator):
            if isinstance(cells, LookalikeError):
                yield BadRow(number, self.name, cells)
            elif any(cells):
                yield from self._row(number, cells)

    def _row(self, number: int, cells: list[str]) -> Iterator[Row | BadRow]:
        image = ""
        try:
            record = to_record(self.columns, cells)
            image = record.get("image", "")
            fields = product_fields(record)
            sku = fields.pop("sku", "")
            given_role = role("role", record["role"]) if record.get("role") else None
            if fields and not sku:
                raise BadValue(column="sku", value="''", expected="filled, for the row describes a product")
            pictures = split_images(image)
        except BadRowError as error:
            yield BadRow(number, image or self.name, error)
            return
        for picture in pictures:
            try:
                source, read, size = self._picture(picture)
            except BadRowError as error:
                yield BadRow(number, picture, error)
                continue
            yield Row(number, source, read, sku, fields, {}, given_role, size, is_url(picture))

    def _picture(self, picture: str) -> tuple[str, Callable[[], bytes], int]:
        """(source, how to read it, bytes expected) of a cell's relative path or URL."""
        if is_url(picture):
            if len(picture) > MAX_URL:
                raise BadValue(column="image", value=picture[:80], expected=f"at most {MAX_URL} characters")
            return picture, partial(read_url, picture), REMOTE_SIZE
        name = self.base + safe_name(picture)
        if self.tree is None or not self.tree.has(name):
            raise MissingFile(path=picture)
        return text_of(name), partial(self.tree.read, name), self.tree.size(name)

    def close(self) -> None:
        if self.tree:
            self.tree.close()


def inspect(open_table: Opener, name: str) -> tuple[str, int]:
    """(encoding, lines): UTF-8 with or without a mark, UTF-16 with one, else GB18030. Raises BadTable."""
    with open_table() as file:
        mark = file.read(2)
    utf16 = mark in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    for encoding in ("utf-16",) if utf16 else ("utf-8-sig", "gb18030"):
        try:
            return encoding, _count_lines(open_table, encoding)
        except UnicodeDecodeError:
            continue
    raise BadTable(name=name)


def _count_lines(open_table: Opener, encoding: str) -> int:
    decoder = codecs.getincrementaldecoder(encoding)()
    lines, last = 0, "\n"
    with open_table() as file:
        while block := file.read(BLOCK):
            text = decoder.decode(block)
            lines += text.count("\n")
            last = text[-1:] or last
        decoder.decode(b"", final=True)
    return lines + (last != "\n")


def read_header(open_table: Opener, encoding: str, name: str) -> tuple[str, list[str]]:
    """(separator, columns as to_record() wants them). Raises BadTable."""
    with open_table() as file, _text(file, encoding) as text:
        line = text.readline(BLOCK)
    if not line.strip():
        raise BadTable(name=name)
    bare = re.sub(r'"[^"]*"', "", line)
    separator = max(SEPARATORS, key=bare.count)
    try:
        header = next(csv.reader([line], delimiter=separator))
    except csv.Error as error:
        raise BadTable(name=name) from error
    return separator, _with_sku([_column(cell) for cell in header])


def _with_sku(columns: list[str]) -> list[str]:
    """A table of pictures that calls the SKU id, as many do, is understood."""
    if "sku" in columns or "image" not in columns:
        return columns
    return ["sku" if column.lower() == "id" else column for column in columns]


def _column(cell: str) -> str:
    """Names the project knows in lower case, attributes as they are written."""
    cell = cell.strip()
    lower = {"images": "image"}.get(cell.lower(), cell.lower())
    if lower in PARSERS or lower in OTHER or lower in ("query", "grade"):
        return lower
    return ATTRIBUTE + cell[len(ATTRIBUTE) :] if lower.startswith(ATTRIBUTE) else cell


def require(columns: list[str], required: tuple[str, ...], name: str) -> None:
    missing = [column for column in required if column not in columns]
    if missing:
        raise MissingColumns(name=name, columns=", ".join(missing))


def read_cells(open_table: Opener, encoding: str, separator: str) -> Iterator[tuple[int, list[str] | BadLine]]:
    """(line number, stripped cells) of every line below the header; a line that is no CSV as its error."""
    with open_table() as file, _text(file, encoding) as text:
        reader = csv.reader(text, delimiter=separator)
        next(reader, None)
        while True:
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error:
                yield reader.line_num, BadLine()
                continue
            yield reader.line_num, [cell.strip() for cell in cells]


def _text(file: BinaryIO, encoding: str) -> TextIO:
    return io.TextIOWrapper(file, encoding, newline="")


def to_record(columns: list[str], cells: list[str]) -> dict[str, str]:
    if any(cells[len(columns) :]):
        raise TooManyCells
    return {column: cell for column, cell in zip(columns, cells, strict=False) if column}


def split_images(cell: str) -> list[str]:
    """The pictures of a cell, separated by ';'; in a URL a ';' separates only before another URL."""
    pattern = r";\s*(?=https?://)" if is_url(cell) else ";"
    pictures = [part.strip() for part in re.split(pattern, cell)]
    if not any(pictures):
        raise NoImage
    return [part for part in pictures if part]
