"""What a path is taken for, and the names pictures in folders get."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from catalog.importers.errors import (
    BadTable,
    ImportRefused,
    MissingColumns,
    NothingToImport,
    PathMissing,
    SeveralTables,
)
from catalog.importers.folder import PicturesSource, sku_of
from catalog.importers.layout import LayoutSource
from catalog.importers.rows import Row
from catalog.importers.sources import open_source
from catalog.importers.table import TableSource
from catalog.importers.urls import UrlSource
from tests.catalog.helpers import layout_files, write_tree, write_zip


def rows_of(path: Path, **options: bool) -> list[Row]:
    with open_source(path, **options) as source:
        return [row for row in source if isinstance(row, Row)]


class TestFolder:
    def test_sku_title_category(self, tmp_path: Path) -> None:
        write_tree(tmp_path, {"mugs/red/big_mug-01.jpg": b"1", "top.png": b"2"})
        found = {row.sku: dict(row.defaults) for row in rows_of(tmp_path)}
        assert found == {
            "mugs/red/big_mug-01": {"title": "big mug 01", "category": "mugs/red"},
            "top": {"title": "top", "category": ""},
        }

    def test_sidecars_and_litter_are_no_pictures_but_anything_else_is_tried(self, tmp_path: Path) -> None:
        names = [
            "a.jpg",
            "b.mp4",
            "c.dcm",
            "readme.md",
            "labels.csv",
            "LICENSE",
            ".hidden.jpg",
            ".git/x.jpg",
            "Thumbs.db",
        ]
        write_tree(tmp_path, dict.fromkeys(names, b"x"))
        assert [row.source for row in rows_of(tmp_path)] == ["a.jpg", "b.mp4", "c.dcm"]

    def test_long_paths_have_distinct_skus_that_fit(self) -> None:
        skus = {sku_of(f"{'folder/' * 40}{n}.jpg") for n in range(3)}
        assert len(skus) == 3
        assert all(len(sku) == 200 for sku in skus)
        assert sku_of("x" * 200 + ".jpg") == "x" * 200

    def test_names_that_are_no_utf8(self, tmp_path: Path) -> None:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.jpg")).write_bytes(b"x")
        row = rows_of(tmp_path)[0]
        assert row.read() == b"x"
        assert row.sku == "caf\ufffd"

    def test_reads_no_more_than_one_byte_above_the_limit(self, tmp_path: Path, settings: object) -> None:
        settings.IMAGE_MAX_BYTES = 10  # type: ignore[attr-defined]
        write_tree(tmp_path, {"a.jpg": bytes(1000)})
        assert len(rows_of(tmp_path)[0].read()) == 11

    def test_empty(self, tmp_path: Path) -> None:
        with pytest.raises(NothingToImport):
            open_source(tmp_path)


class TestKinds:
    def test_folder_with_foreign_tables_is_a_folder(self, tmp_path: Path) -> None:
        write_tree(tmp_path, {"classes.csv": "class,id\n1,2\n", "a/1.jpg": b"1"})
        assert isinstance(open_source(tmp_path), PicturesSource)

    @pytest.mark.parametrize("pack", [False, True])
    @pytest.mark.parametrize("prefix", ["", "shop/"])
    def test_table_at_the_top(self, tmp_path: Path, prefix: str, pack: bool) -> None:
        files = {f"{prefix}list.csv": "sku,image\nA,img/1.jpg\n", f"{prefix}img/1.jpg": b"1"}
        path = write_zip(tmp_path / "x.zip", files) if pack else write_tree(tmp_path / "in", files)
        with open_source(path, is_upload=pack) as source:
            assert isinstance(source, TableSource)
            assert [(row.sku, row.read()) for row in source if isinstance(row, Row)] == [("A", b"1")]

    def test_table_that_lacks_a_column_is_not_silently_left_out(self, tmp_path: Path) -> None:
        write_tree(tmp_path, {"list.csv": "sku,picture\nA,1.jpg\n", "1.jpg": b"1"})
        with pytest.raises(MissingColumns, match="image"):
            open_source(tmp_path)

    def test_several_tables(self, tmp_path: Path) -> None:
        write_tree(tmp_path, {"a.csv": "sku,image\n", "b.csv": "sku,image\n"})
        with pytest.raises(SeveralTables, match=r"a\.csv, b\.csv"):
            open_source(tmp_path)
        write_tree(tmp_path, {"products.csv": "sku,image\nA,https://x.example/1.jpg\n"})
        assert [row.sku for row in rows_of(tmp_path)] == ["A"]

    @pytest.mark.parametrize("prefix", ["", "guide/"])
    def test_layout(self, tmp_path: Path, prefix: str) -> None:
        files = {prefix + name: data for name, data in layout_files().items()}
        with open_source(write_zip(tmp_path / "x.zip", files)) as source:
            assert isinstance(source, LayoutSource)
            assert source.benchmark_name == (prefix.rstrip("/") or "ground truth")
            assert source.total == 5

    def test_layout_without_its_columns(self, tmp_path: Path) -> None:
        write_tree(tmp_path, {**layout_files(), "ground_truth.csv": "query,image\n"})
        with pytest.raises(BadTable, match="grade"):
            open_source(tmp_path)

    def test_urls(self, tmp_path: Path) -> None:
        path = tmp_path / "list.txt"
        path.write_text("# mine\nhttps://x.example/red_mug.jpg?v=2\n\nnot a url\n")
        with open_source(path) as source:
            assert isinstance(source, UrlSource)
            first, second = list(source)
        assert isinstance(first, Row)
        assert (first.number, first.sku, first.defaults) == (
            2,
            "https://x.example/red_mug.jpg?v=2",
            {"title": "red mug"},
        )
        assert (second.number, second.error.code) == (4, "bad_url")  # type: ignore[union-attr]

    @pytest.mark.parametrize("text", ["", "# nothing\n"])
    def test_no_urls(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "list.txt").write_text(text)
        with pytest.raises(NothingToImport):
            open_source(tmp_path / "list.txt")

    def test_other_files(self, tmp_path: Path) -> None:
        (tmp_path / "x.rar").write_bytes(b"x")
        with pytest.raises(ImportRefused, match="folder, a CSV, a ZIP"):
            open_source(tmp_path / "x.rar")
        with pytest.raises(PathMissing):
            open_source(tmp_path / "missing.zip")

    def test_an_uploaded_table_cannot_name_its_neighbours(self, tmp_path: Path) -> None:
        write_tree(tmp_path, {"shop.csv": "sku,image\nA,1.jpg\n", "1.jpg": b"1"})
        assert [row.read() for row in rows_of(tmp_path / "shop.csv")] == [b"1"]
        assert rows_of(tmp_path / "shop.csv", is_upload=True) == []
