"""Pictures in folders: one product a picture, sub-folders as categories."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import PurePosixPath
from typing import Any

from catalog.importers.rows import BadRow, Row, Source, text_of
from catalog.importers.trees import Tree
from catalog.importers.values import LENGTHS


class PicturesSource(Source):
    """``names`` of ``tree``, each a picture. ``base`` is cut off before SKU and category are made.

    ``role`` "query" pictures get no product: they are not in the catalog.
    """

    def __init__(self, tree: Tree, names: Sequence[str], base: str = "", role: str | None = None) -> None:
        self.tree, self.names, self.base, self.role = tree, names, base, role
        self.total = len(names) + len(tree.refused)

    def __iter__(self) -> Iterator[Row | BadRow]:
        yield from self.tree.refused
        yield from self.rows(1)

    def rows(self, first: int) -> Iterator[Row]:
        for number, name in enumerate(self.names, first):
            inside = text_of(name.removeprefix(self.base))
            yield Row(
                number,
                text_of(name),
                partial(self.tree.read, name),
                sku="" if self.role else sku_of(inside),
                defaults={} if self.role else defaults_of(inside),
                role=self.role,
                size=self.tree.size(name),
            )

    def close(self) -> None:
        self.tree.close()


def sku_of(name: str) -> str:
    """The relative path without suffix; of a path too long, its end behind a hash of the whole."""
    sku = str(PurePosixPath(name).with_suffix(""))
    room = LENGTHS["sku"]
    if len(sku) <= room:
        return sku
    return hashlib.sha256(sku.encode()).hexdigest()[:12] + "…" + sku[-(room - 13) :]


def defaults_of(name: str) -> dict[str, Any]:
    path = PurePosixPath(name)
    category = "" if str(path.parent) == "." else str(path.parent)
    return {"title": readable(path.stem)[: LENGTHS["title"]], "category": category[-LENGTHS["category"] :]}


def readable(stem: str) -> str:
    """``red_mug-02`` -> ``red mug 02``."""
    return re.sub(r"[\s_\-]+", " ", stem).strip() or stem
