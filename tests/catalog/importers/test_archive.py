"""ZIP archives: what is refused, and that the rest is read."""

from __future__ import annotations

import shutil
import stat
import struct
import subprocess
import zipfile
from pathlib import Path

import pytest

from catalog.images import TooManyBytes
from catalog.importers.archive import ZipTree
from catalog.importers.errors import ArchiveBomb, BadArchive, MissingFile, NothingToImport, UnreadableFile
from catalog.importers.rows import Row
from catalog.importers.sources import source_of_tree
from tests.catalog.helpers import write_zip

MAX_BYTES, MAX_TOTAL = 1_000_000, 100_000_000


def open_zip(path: Path, max_bytes: int = MAX_BYTES, max_total: int = MAX_TOTAL) -> ZipTree:
    return ZipTree(path, max_bytes, max_total)


def refused(tree: ZipTree) -> dict[str, str]:
    return {row.source: row.error.code for row in tree.refused}


def test_names_sorted_and_litter_left_out(tmp_path: Path) -> None:
    names = ["b/2.jpg", "a.jpg", "__MACOSX/._a.jpg", ".DS_Store", "b/Thumbs.db", "b/.hidden.jpg"]
    tree = open_zip(write_zip(tmp_path / "x.zip", dict.fromkeys(names, b"data")))
    assert tree.files() == ["a.jpg", "b/2.jpg"]
    assert tree.read("b/2.jpg") == b"data"
    assert tree.has("a.jpg")
    assert not tree.has("c.jpg")
    with pytest.raises(MissingFile):
        tree.read("c.jpg")


@pytest.mark.parametrize(
    "name",
    ["../evil.jpg", "a/../../evil.jpg", "/etc/evil.jpg", "C:\\evil.jpg", "..\\evil.jpg", "//host/share/evil.jpg"],
)
def test_path_traversal_is_one_bad_row(tmp_path: Path, name: str) -> None:
    tree = open_zip(write_zip(tmp_path / "x.zip", {name: b"evil", "good.jpg": b"good"}))
    assert set(refused(tree).values()) == {"unsafe_path"}
    assert tree.files() == ["good.jpg"]
    rows = list(source_of_tree(tree))
    assert len(rows) == 2
    assert [row.source for row in rows if isinstance(row, Row)] == ["good.jpg"]


def test_symbolic_link(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        link = zipfile.ZipInfo("link.jpg")
        link.create_system = 3
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("good.jpg", b"good")
    tree = open_zip(path)
    assert refused(tree) == {"link.jpg": "link"}
    assert tree.files() == ["good.jpg"]


def test_encrypted(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "x.zip", {"secret.jpg": b"secret", "good.jpg": b"good"})
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\x01\x02")  # the first entry of the directory
    data[at + 8] |= 1
    path.write_bytes(data)
    tree = open_zip(path)
    assert refused(tree) == {"secret.jpg": "encrypted"}
    assert tree.read("good.jpg") == b"good"


def test_empty(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "x.zip", {})
    with pytest.raises(NothingToImport, match=r"no pictures in x\.zip"):
        open_zip(path)


@pytest.mark.parametrize("files", [{"folder/": b""}, {"readme.txt": b"hello"}, {".DS_Store": b"x"}])
def test_nothing_in_it(tmp_path: Path, files: dict[str, bytes]) -> None:
    path = write_zip(tmp_path / "x.zip", files)
    with pytest.raises(NothingToImport):
        source_of_tree(open_zip(path))


@pytest.mark.parametrize("data", [b"", b"PK", b"not a zip at all" * 100])
def test_no_archive(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.zip"
    path.write_bytes(data)
    with pytest.raises(BadArchive, match="not a ZIP archive"):
        open_zip(path)


def test_cut_archive(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "x.zip", {"a.jpg": bytes(5000)}, compression=zipfile.ZIP_STORED)
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(BadArchive):
        open_zip(path)


class TestBombs:
    def test_total(self, tmp_path: Path) -> None:
        path = write_zip(tmp_path / "x.zip", {f"{n}.bmp": bytes(1000) for n in range(11)})
        assert len(open_zip(path, max_total=11_000).files()) == 11
        with pytest.raises(ArchiveBomb, match="11000 bytes"):
            open_zip(path, max_total=10_999)

    def test_ratio(self, tmp_path: Path) -> None:
        path = write_zip(tmp_path / "x.zip", {"a.bmp": bytes(70_000_000)})
        assert path.stat().st_size < 100_000
        with pytest.raises(ArchiveBomb):
            open_zip(path)

    def test_entry_larger_than_a_picture_may_be(self, tmp_path: Path) -> None:
        tree = open_zip(write_zip(tmp_path / "x.zip", {"a.bmp": bytes(2000)}), max_bytes=1999)
        with pytest.raises(TooManyBytes):
            tree.read("a.bmp")

    def test_entry_that_lies_about_its_size(self, tmp_path: Path) -> None:
        """Claims 10 bytes, unpacks to a million: no more than the claim is ever handed out."""
        path = write_zip(tmp_path / "x.zip", {"a.bmp": bytes(1_000_000)})
        data = path.read_bytes().replace(struct.pack("<I", 1_000_000), struct.pack("<I", 10))
        path.write_bytes(data)
        with pytest.raises(UnreadableFile):
            open_zip(path).read("a.bmp")


def test_damaged_entry_is_one_bad_row(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "x.zip", {"a.jpg": b"a" * 5000, "b.jpg": b"b" * 5000}, compression=zipfile.ZIP_STORED)
    path.write_bytes(path.read_bytes().replace(b"a" * 100, b"x" * 100, 1))
    tree = open_zip(path)
    with pytest.raises(UnreadableFile, match=r"a\.jpg"):
        tree.read("a.jpg")
    assert tree.read("b.jpg") == b"b" * 5000


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
def test_chinese_names_without_the_flag(tmp_path: Path, encoding: str) -> None:
    """As packed by macOS (UTF-8) and by Windows in Chinese (GB18030), neither with the UTF-8 flag set."""
    raw = "杯子/红.jpg".encode(encoding)
    stand_in = b"x" * (len(raw) - 4) + b".jpg"
    path = write_zip(tmp_path / "x.zip", {stand_in.decode(): b"data"})
    path.write_bytes(path.read_bytes().replace(stand_in, raw))
    tree = open_zip(path)
    assert tree.files() == ["杯子/红.jpg"]
    assert tree.read("杯子/红.jpg") == b"data"


def test_written_by_another_program(tmp_path: Path) -> None:
    if not shutil.which("zip"):
        pytest.skip("no zip command")
    (tmp_path / "a.jpg").write_bytes(b"data")
    subprocess.run(["zip", "-q", "x.zip", "a.jpg"], cwd=tmp_path, check=True)
    assert open_zip(tmp_path / "x.zip").read("a.jpg") == b"data"
