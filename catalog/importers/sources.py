"""What a path or an upload is: find the right source."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from django.conf import settings

from catalog.importers.archive import ZipTree
from catalog.importers.errors import ImportRefused, NothingToImport, PathMissing, SeveralTables
from catalog.importers.folder import PicturesSource
from catalog.importers.layout import PRODUCTS, LayoutSource, is_layout
from catalog.importers.rows import Source
from catalog.importers.table import REQUIRED, TableSource, inspect, read_header
from catalog.importers.trees import FolderTree, Tree, is_candidate, is_nameless_dicom
from catalog.importers.urls import UrlSource

TABLES = (".csv", ".tsv")
SUFFIXES = (*TABLES, ".zip", ".txt")


def open_source(path: Path, *, name: str = "", is_upload: bool = False) -> Source:
    """The rows of a folder, CSV, ZIP or list of URLs. Raises an ImportRefused.

    A table that was uploaded alone may name only URLs: what lies beside it belongs to others.
    """
    name = name or path.name
    suffix = Path(name).suffix.lower()
    if path.is_dir() and not is_upload:
        return source_of_tree(FolderTree(path, settings.IMAGE_MAX_BYTES))
    if not path.is_file():
        raise PathMissing(path=name if is_upload else path)
    if suffix == ".zip":
        return source_of_tree(ZipTree(path, settings.IMAGE_MAX_BYTES, settings.ARCHIVE_MAX_BYTES, name))
    if suffix in TABLES:
        tree = None if is_upload else FolderTree(path.parent, settings.IMAGE_MAX_BYTES, walk=False)
        return TableSource(lambda: path.open("rb"), name, tree)
    if suffix == ".txt":
        return UrlSource(path, name)
    raise ImportRefused


def source_of_tree(tree: Tree) -> Source:
    try:
        return _source_of_tree(tree)
    except BaseException:
        tree.close()
        raise


def _source_of_tree(tree: Tree) -> Source:
    names = set(tree.files())
    for prefix in _prefixes(names):
        if is_layout(names, prefix):
            return LayoutSource(tree, prefix)
        if table := _table(tree, names, prefix):
            return TableSource(partial(tree.open, table), table, tree, prefix)
    pictures = [name for name in tree.files() if is_candidate(name) or is_nameless_dicom(tree, name)]
    if not pictures and not tree.refused:
        raise NothingToImport(name=tree.name)
    return PicturesSource(tree, pictures)


def _prefixes(names: set[str]) -> list[str]:
    """The top, and the one folder everything lies in, if there is such a one (an archive of a folder)."""
    tops = {name.split("/", 1)[0] for name in names}
    return ["", f"{tops.pop()}/"] if len(tops) == 1 and not any("/" not in name for name in names) else [""]


def _table(tree: Tree, names: set[str], prefix: str) -> str | None:
    """The table of products at the top: one with a column sku or image. Others are sidecars of the pictures."""
    here = (name for name in sorted(names) if name.startswith(prefix) and "/" not in name[len(prefix) :])
    tables = [name for name in here if name.lower().endswith(TABLES) and _is_meant(tree, name)]
    if len(tables) > 1 and prefix + PRODUCTS in tables:
        return prefix + PRODUCTS
    if len(tables) > 1:
        raise SeveralTables(names=", ".join(tables))
    return tables[0] if tables else None


def _is_meant(tree: Tree, name: str) -> bool:
    try:
        opener = partial(tree.open, name)
        columns = read_header(opener, inspect(opener, name)[0], name)[1]
    except ImportRefused:
        return False
    return any(column in columns for column in REQUIRED)
