"""Tables: separators, encodings, pictures of a row, bad rows."""

from __future__ import annotations

import io
from functools import partial
from pathlib import Path

import pytest

from catalog.importers.errors import BadTable, MissingColumns
from catalog.importers.rows import BadRow, Row
from catalog.importers.table import TableSource, split_images
from catalog.importers.trees import FolderTree
from tests.catalog.helpers import write_tree


def rows_of(data: bytes | str, folder: Path | None = None) -> list[Row | BadRow]:
    raw = data.encode() if isinstance(data, str) else data
    tree = FolderTree(folder, 1000, walk=False) if folder else None
    return list(TableSource(partial(io.BytesIO, raw), "shop.csv", tree))


def good(rows: list[Row | BadRow]) -> list[Row]:
    assert all(isinstance(row, Row) for row in rows), rows
    return [row for row in rows if isinstance(row, Row)]


def bad(row: Row | BadRow) -> BadRow:
    assert isinstance(row, BadRow)
    return row


class TestReading:
    @pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
    def test_separators(self, separator: str) -> None:
        lines = [["sku", "image", "title"], ["A1", "https://x.example/1.jpg", '"a, b; c"']]
        row = good(rows_of("\n".join(separator.join(line) for line in lines)))[0]
        assert (row.sku, row.source, row.fields["title"]) == ("A1", "https://x.example/1.jpg", "a, b; c")

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "gbk", "utf-16"])
    def test_encodings(self, encoding: str) -> None:
        text = "sku,image,title,颜色\r\nA1,https://x.example/1.jpg,红色的杯子,红\r\n"
        row = good(rows_of(text.encode(encoding)))[0]
        assert row.fields == {"title": "红色的杯子", "attributes": {"颜色": "红"}}

    def test_gb18030_that_begins_like_utf8(self) -> None:
        """The first block is ASCII; what tells the encoding comes two megabytes later."""
        filler = "A,https://x.example/1.jpg,plain\n" * 70_000
        data = ("sku,image,title\n" + filler + "B,https://x.example/2.jpg,杯子\n").encode("gbk")
        assert good(rows_of(data))[-1].fields["title"] == "杯子"

    def test_column_names_in_any_case_and_order(self) -> None:
        row = good(rows_of("Price, IMAGE ,Sku,Colour,attr.Size\n3,https://x.example/1.jpg,A1,red,XL\n"))[0]
        assert row.sku == "A1"
        assert row.fields["attributes"] == {"Colour": "red", "Size": "XL"}

    def test_id_is_the_sku_of_a_table_of_pictures_without_one(self) -> None:
        row = good(rows_of("ID,image\n7,https://x.example/1.jpg\n"))[0]
        assert (row.sku, dict(row.fields)) == ("7", {})
        row = good(rows_of("id,sku,image\n7,A,https://x.example/1.jpg\n"))[0]
        assert (row.sku, row.fields) == ("A", {"attributes": {"id": "7"}})

    def test_line_numbers_blank_lines_and_quoted_line_breaks(self) -> None:
        text = 'sku,image,title\n\nA,https://x.example/1.jpg,"two\nlines"\n,,\nB,https://x.example/2.jpg,x\n'
        assert [(row.number, row.sku) for row in good(rows_of(text))] == [(4, "A"), (6, "B")]

    def test_total(self) -> None:
        for end in ("", "\n"):
            data = f"sku,image\nA,https://x.example/1.jpg\nB,https://x.example/2.jpg{end}".encode()
            assert TableSource(partial(io.BytesIO, data), "x.csv").total == 2

    @pytest.mark.parametrize("data", [b"", b"\n\n", b"sku,image\n\xff\xff\xff"])
    def test_no_table(self, data: bytes) -> None:
        with pytest.raises(BadTable):
            rows_of(data)

    @pytest.mark.parametrize(("header", "lacking"), [("sku,title", "image"), ("id,name", "sku, image")])
    def test_columns_that_must_be_there(self, header: str, lacking: str) -> None:
        with pytest.raises(MissingColumns, match=f"lacks the columns {lacking}"):
            rows_of(f"{header}\n1,2\n")


class TestPictures:
    def test_several_in_a_cell_and_in_several_rows(self, tmp_path: Path) -> None:
        write_tree(tmp_path, {"a.jpg": b"a", "b/c.jpg": b"c", "d.jpg": b"d"})
        text = "sku,image,title\nA,a.jpg ; b/c.jpg;,Mug\nA,./d.jpg,\n"
        found = good(rows_of(text, tmp_path))
        assert [(row.sku, row.source, row.read(), row.number) for row in found] == [
            ("A", "a.jpg", b"a", 2),
            ("A", "b/c.jpg", b"c", 2),
            ("A", "d.jpg", b"d", 3),
        ]
        assert "title" not in found[2].fields

    @pytest.mark.parametrize(
        ("cell", "expected"),
        [
            ("a.jpg;b.jpg", ["a.jpg", "b.jpg"]),
            ("https://x/a.jpg;https://x/b.jpg", ["https://x/a.jpg", "https://x/b.jpg"]),
            ("https://x/a;v=1/b.jpg; https://x/c.jpg", ["https://x/a;v=1/b.jpg", "https://x/c.jpg"]),
        ],
    )
    def test_split(self, cell: str, expected: list[str]) -> None:
        assert split_images(cell) == expected

    def test_backslashes_of_windows(self, tmp_path: Path) -> None:
        write_tree(tmp_path, {"b/c.jpg": b"c"})
        assert good(rows_of("sku,image\nA,b\\c.jpg\n", tmp_path))[0].source == "b/c.jpg"

    def test_role(self) -> None:
        text = "sku,image,role\nA,https://x.example/1.jpg,Query\nB,https://x.example/2.jpg,\n"
        assert [row.role for row in good(rows_of(text))] == ["query", None]

    def test_picture_without_product(self) -> None:
        assert good(rows_of("sku,image\n,https://x.example/1.jpg\n"))[0].sku == ""


class TestBadRows:
    @pytest.mark.parametrize(
        ("line", "code", "words"),
        [
            ("A,,Mug", "no_image", "names no picture"),
            ("A,;,Mug", "no_image", "names no picture"),
            (",https://x.example/1.jpg,Mug", "bad_value", "sku"),
            ("A,../secret.jpg,Mug", "unsafe_path", "leads out"),
            ("A,b/../../secret.jpg,Mug", "unsafe_path", "leads out"),
            ("A,/etc/passwd,Mug", "unsafe_path", "leads out"),
            ("A,C:\\secret.jpg,Mug", "unsafe_path", "leads out"),
            ("A,\\\\server\\share\\x.jpg,Mug", "unsafe_path", "leads out"),
            ("A,missing.jpg,Mug", "missing_file", "no file missing.jpg"),
            ("A,b,Mug", "missing_file", "no file b"),
            ("A,file:///etc/passwd,Mug", "missing_file", "no file"),
            ("A,a.jpg,Mug,more", "bad_row", "more cells"),
            ("A,https://x.example/" + "x" * 1000 + ",Mug", "bad_value", "1000 characters"),
        ],
    )
    def test_named_and_the_others_go_on(self, tmp_path: Path, line: str, code: str, words: str) -> None:
        write_tree(tmp_path, {"in/a.jpg": b"a", "in/b/c.jpg": b"c", "secret.jpg": b"s"})
        found = rows_of(f"sku,image,title\n{line}\nZ,a.jpg,last\n", tmp_path / "in")
        refused = bad(found[0])
        assert (refused.number, refused.error.code) == (2, code)
        assert words in str(refused.error)
        assert good(found[1:])[0].sku == "Z"

    def test_one_bad_picture_of_two(self, tmp_path: Path) -> None:
        write_tree(tmp_path, {"a.jpg": b"a"})
        found = rows_of("sku,image\nA,a.jpg;nope.jpg\n", tmp_path)
        assert good(found[:1])[0].source == "a.jpg"
        assert bad(found[1]).source == "nope.jpg"

    def test_an_uploaded_table_reads_no_files(self) -> None:
        assert bad(rows_of("sku,image\nA,a.jpg\n")[0]).error.code == "missing_file"

    def test_a_cell_beyond_reason(self) -> None:
        text = "sku,image,title\nA,https://x.example/1.jpg," + "x" * 200_000 + "\nB,https://x.example/2.jpg,x\n"
        found = rows_of(text)
        assert bad(found[0]).number == 2
        assert good(found[-1:])[0].sku == "B"
