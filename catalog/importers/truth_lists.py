"""Ground truth as the field's data sets publish it: Oxford5k's files, class lists, and tables of labels.

Read whole before anything is written: a list that breaks off half-way changes nothing. Every error names the file
and, where it is one, the line.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from catalog.errors import LookalikeError, gettext_noop
from catalog.importers.archive import ZipTree
from catalog.importers.errors import PathMissing
from catalog.importers.trees import FolderTree, Tree
from catalog.models import Grade

MOST_BYTES = 256 * 1024 * 1024  # of one list; Stanford Online Products' longest has 4 MB
AUTO = "auto"
Box = tuple[int, int, int, int]


class BadTruth(LookalikeError):
    code = "bad_ground_truth"
    text = gettext_noop("%(place)s: %(reason)s.")
    cure = gettext_noop("Nothing was imported: correct the file and import it again.")


class UnknownTruthFormat(LookalikeError):
    code = "unknown_ground_truth"
    text = gettext_noop("%(name)s is no ground truth in a format that is known.")
    cure = gettext_noop("Known: %(known)s. Say which with the format, if it is one of them.")


@dataclass(frozen=True)
class TruthQuery:
    """A query: ``picture`` as the files call it, ``box`` (x, y, width, height) in pixels."""

    name: str
    picture: str
    box: Box | None = None


@dataclass(frozen=True)
class TruthLabel:
    query: str
    picture: str
    grade: Grade


@dataclass(frozen=True)
class ClassList:
    """Pictures by class: each asks for the others of its class. Labels would be as many as the squares of classes."""

    classes: dict[str, list[str]]

    def labels(self) -> Iterator[TruthLabel]:
        for pictures in self.classes.values():
            for query in pictures:
                yield from (TruthLabel(query, other, Grade.EASY) for other in pictures if other != query)

    def __len__(self) -> int:
        return sum(len(pictures) * (len(pictures) - 1) for pictures in self.classes.values())


@dataclass
class TruthList:
    """What the files say. Labels of ``classes`` are made on the way, not held."""

    format: str
    queries: list[TruthQuery] = field(default_factory=list)
    rows: list[TruthLabel] = field(default_factory=list)
    classes: ClassList | None = None

    def labels(self) -> Iterator[TruthLabel]:
        yield from self.rows
        if self.classes:
            yield from self.classes.labels()

    def __len__(self) -> int:
        return len(self.rows) + (len(self.classes) if self.classes else 0)


def read_truth(path: Path, format: str = AUTO, name: str = "") -> TruthList:
    """A file, folder or ZIP. ``name``: what an upload is called. Raises BadTruth, UnknownTruthFormat, ImportRefused."""
    tree, only = _opened(path, name or path.name)
    try:
        if format == AUTO:
            format = _recognised(tree, only, name or path.name)
        return _FORMATS[format](tree, only)
    finally:
        tree.close()


def formats() -> list[str]:
    return [AUTO, *_FORMATS]


def _opened(path: Path, name: str) -> tuple[Tree, list[str]]:
    """The tree, and the files of it that are meant: all of a folder, the one that was named."""
    if path.is_dir():
        tree = FolderTree(path, MOST_BYTES)
        return tree, tree.files()
    if not path.is_file():
        raise PathMissing(path=path)
    if name.lower().endswith(".zip"):
        archive = ZipTree(path, MOST_BYTES, MOST_BYTES, name)
        return archive, archive.files()
    return FolderTree(path.parent, MOST_BYTES, walk=False), [path.name]


def _recognised(tree: Tree, names: list[str], name: str) -> str:
    if any(one.endswith(QUERY) for one in names):
        return "oxford5k"
    for one in _lists(names):
        first = next(iter(_lines(tree, one)), (1, ""))[1].lower()
        if first.split() == SOP_COLUMNS:
            return "sop"
        if _GROCERY.fullmatch(first):
            return "grocery"
        if {"query", "image", "grade"} <= {cell.strip().lower() for cell in re.split(r"[,;\t|]", first)}:
            return "csv"
    raise UnknownTruthFormat(name=name, known=", ".join(_FORMATS))


def _lists(names: list[str]) -> list[str]:
    """The files that may be lists; of a folder of pictures the ground truth alone."""
    texts = [name for name in names if name.lower().endswith((".csv", ".tsv", ".txt"))] or names[:1]
    return sorted(texts, key=lambda name: (PurePosixPath(name).name != "ground_truth.csv", name))


def _lines(tree: Tree, name: str) -> Iterator[tuple[int, str]]:
    """Number and text of the lines that are not empty."""
    data = tree.read(name)
    if len(data) > MOST_BYTES:
        raise BadTruth(place=name, reason=f"it has more than {MOST_BYTES} bytes")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadTruth(place=name, reason=f"it is not UTF-8 (byte {error.start})") from error
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            yield number, line.strip()


# Oxford5k and Paris6k: J. Philbin et al., "Object retrieval with large vocabularies and fast spatial matching", 2007.
QUERY, PREFIX = "_query.txt", "oxc1_"
_GRADES = {"good": Grade.EASY, "ok": Grade.HARD, "junk": Grade.JUNK}


def _oxford(tree: Tree, names: list[str]) -> TruthList:
    found = TruthList("oxford5k")
    for name in sorted(one for one in names if one.endswith(QUERY)):
        stem = name.removesuffix(QUERY)
        query = _oxford_query(tree, name, PurePosixPath(stem).name)
        found.queries.append(query)
        for suffix, grade in _GRADES.items():
            labels = f"{stem}_{suffix}.txt"
            if labels not in names:
                raise BadTruth(place=labels, reason=f"the file is missing beside {name}")
            found.rows += [TruthLabel(query.name, picture, grade) for _, picture in _lines(tree, labels)]
    if not found.queries:
        raise BadTruth(place=tree.name, reason=f"there is no file that ends with {QUERY}")
    return found


def _oxford_query(tree: Tree, file: str, name: str) -> TruthQuery:
    lines = list(_lines(tree, file))
    if len(lines) != 1:
        raise BadTruth(place=file, reason=f"it has {len(lines)} lines, not one")
    number, line = lines[0]
    picture, *numbers = line.split()
    try:
        left, top, right, bottom = map(float, numbers)
    except ValueError:
        raise BadTruth(place=f"{file}:{number}", reason="expected a picture and x1 y1 x2 y2") from None
    if not (0 <= left < right < 1e6 and 0 <= top < bottom < 1e6):
        raise BadTruth(place=f"{file}:{number}", reason=f"the box {' '.join(numbers)} is empty or upside down")
    x, y = round(left), round(top)
    return TruthQuery(name, picture.removeprefix(PREFIX), (x, y, max(1, round(right) - x), max(1, round(bottom) - y)))


# Stanford Online Products: H. Song et al., "Deep metric learning via lifted structured feature embedding", 2016.
SOP_COLUMNS = ["image_id", "class_id", "super_class_id", "path"]


def _sop(tree: Tree, names: list[str]) -> TruthList:
    def of_line(line: str) -> tuple[str, str] | None:
        cells = line.split(maxsplit=3)
        numbers = len(cells) == 4 and all(cell.isdigit() for cell in cells[:3])
        return (cells[1], cells[3]) if numbers else None

    return _classes(tree, names, "sop", of_line, "four columns: " + " ".join(SOP_COLUMNS), header=True)


# Grocery Store: M. Klasson et al., "A hierarchical grocery store image dataset", 2019.
_GROCERY = re.compile(r"(?P<path>[^,]+),\s*(?P<fine>\d+),\s*\d+")


def _grocery(tree: Tree, names: list[str]) -> TruthList:
    def of_line(line: str) -> tuple[str, str] | None:
        match = _GROCERY.fullmatch(line)
        return (match["fine"], match["path"].strip()) if match else None

    return _classes(tree, names, "grocery", of_line, "path, fine class, coarse class", header=False)


def _classes(
    tree: Tree,
    names: list[str],
    format: str,
    of_line: Callable[[str], tuple[str, str] | None],
    expected: str,
    *,
    header: bool,
) -> TruthList:
    """Class and path of each line; a path in two classes is refused."""
    if len(names := _lists(names)) != 1:
        raise BadTruth(place=tree.name, reason="there are several lists: name one, such as the one of the test split")
    classes: dict[str, list[str]] = {}
    class_of: dict[str, str] = {}
    for number, line in _lines(tree, names[0]):
        if header and line.lower().split() == SOP_COLUMNS:
            continue
        given = of_line(line)
        if given is None:
            raise BadTruth(place=f"{names[0]}:{number}", reason=f"expected {expected}")
        if given[1] in class_of:
            raise BadTruth(place=f"{names[0]}:{number}", reason=f"{given[1]} comes for the second time")
        class_of[given[1]] = given[0]
        classes.setdefault(given[0], []).append(given[1])
    if not classes:
        raise BadTruth(place=names[0], reason="it names no picture")
    pictures = [TruthQuery(path, path) for path in class_of]
    return TruthList(format, pictures, classes=ClassList(classes))


def _table(tree: Tree, names: list[str]) -> TruthList:
    """The columns query, image and grade, as in the layout query/ database/ ground_truth.csv."""
    from catalog.ground_truth import grade_of

    name = (_lists(names) or [""])[0]
    text = "\n".join(line for _, line in _lines(tree, name))
    numbers = [number for number, _ in _lines(tree, name)]
    first = text.split("\n", 1)[0]
    separator = max(",;\t|", key=first.count)
    rows = csv.reader(io.StringIO(text), delimiter=separator)
    columns = [cell.strip().lower() for cell in next(rows, [])]
    if not {"query", "image", "grade"} <= set(columns):
        raise BadTruth(place=f"{name}:1", reason="the first line must name the columns query, image and grade")
    found, queries = TruthList("csv"), dict[str, TruthQuery]()
    for cells in rows:
        record = dict(zip(columns, (cell.strip() for cell in cells), strict=False))
        place = f"{name}:{numbers[min(rows.line_num, len(numbers)) - 1]}"
        query, picture = record.get("query", "").removeprefix("query/"), record.get("image", "")
        grade = grade_of(record.get("grade", ""))
        if not query or not picture:
            raise BadTruth(place=place, reason="a query and an image are needed")
        if grade is None:
            known = ", ".join(Grade.values)
            raise BadTruth(place=place, reason=f"{record.get('grade', '')!r} is no grade (known: {known})")
        queries.setdefault(query, TruthQuery(query, query))
        found.rows.append(TruthLabel(query, picture.removeprefix("database/"), grade))
    found.queries = list(queries.values())
    return found


_FORMATS: dict[str, Callable[[Tree, list[str]], TruthList]] = {
    "oxford5k": _oxford,
    "sop": _sop,
    "grocery": _grocery,
    "csv": _table,
}
