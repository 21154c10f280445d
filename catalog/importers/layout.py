"""The guide's layout, imported whole: ``database/`` is the gallery, ``query/`` queries, ``ground_truth.csv`` labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial

from django.db import transaction

from catalog.dicom.signature import is_dicom_name
from catalog.errors import LookalikeError
from catalog.ground_truth import bump, labels_import
from catalog.importers.errors import BadLine
from catalog.importers.folder import PicturesSource
from catalog.importers.rows import BadRow, Row, Source
from catalog.importers.table import TableSource, inspect, read_cells, read_header, require, to_record
from catalog.importers.trees import Tree, is_candidate, is_nameless_dicom
from catalog.medicine import HIDDEN, site_identity
from catalog.models import Benchmark, Collection, ImageRole, Query

GROUND_TRUTH, DATABASE, QUERIES, PRODUCTS = "ground_truth.csv", "database/", "query/", "products.csv"
DEFAULT_NAME = "ground truth"
COLUMNS = ("query", "image", "grade")


def is_layout(names: set[str], prefix: str) -> bool:
    return prefix + GROUND_TRUTH in names and any(name.startswith(prefix + DATABASE) for name in names)


class LayoutSource(Source):
    """``prefix``: the folder inside the tree that holds the layout, "" or "name/". Raises BadTable."""

    def __init__(self, tree: Tree, prefix: str = "") -> None:
        self.tree, self.prefix = tree, prefix
        self.benchmark_name = (prefix.rstrip("/") or tree.folder or DEFAULT_NAME)[-100:]
        self.ids: dict[str, int] = {}  # picture's name in the import -> row
        self.hidden: dict[str, str] = {}  # the same of DICOM files -> what their queries are called instead
        self.open_truth = partial(tree.open, prefix + GROUND_TRUTH)
        self.encoding = inspect(self.open_truth, GROUND_TRUTH)[0]
        self.separator, self.columns = read_header(self.open_truth, self.encoding, GROUND_TRUTH)
        require(self.columns, COLUMNS, GROUND_TRUTH)
        self.table = self._table()
        self.queries = self._pictures(QUERIES)
        self.total = len(self.queries) + len(self._pictures(DATABASE)) + len(tree.refused)

    def _table(self) -> TableSource | None:
        for name in (self.prefix + PRODUCTS, self.prefix + DATABASE + PRODUCTS):
            if self.tree.has(name):
                return TableSource(partial(self.tree.open, name), PRODUCTS, self.tree, self.prefix + DATABASE)
        return None

    def _pictures(self, folder: str) -> list[str]:
        inside = (name for name in self.tree.files() if name.startswith(self.prefix + folder))
        return [name for name in inside if is_candidate(name) or is_nameless_dicom(self.tree, name)]

    def __iter__(self) -> Iterator[Row | BadRow]:
        yield from self.tree.refused
        named = set()
        for row in self.table.rows() if self.table else ():
            named.add(row.source)
            yield row
        rest = [name for name in self._pictures(DATABASE) if name not in named]
        yield from PicturesSource(self.tree, rest, self.prefix + DATABASE).rows(1)
        yield from PicturesSource(self.tree, self.queries, self.prefix + QUERIES, ImageRole.QUERY).rows(1)

    def seen(self, row: Row, image_id: int) -> None:
        self.ids[row.source.removeprefix(self.prefix)] = image_id

    def hide(self, row: Row) -> None:
        name = row.source.removeprefix(self.prefix)
        self.hidden.setdefault(name, f"dicom-{site_identity().key('name', name)[:16]}")

    def _query_name(self, name: str) -> str:
        """What the query of a file of the folder of queries is called."""
        return self.hidden.get(QUERIES + name, name)[:300]

    def finish(self, collection: Collection, pulse: Callable[[], None]) -> Iterator[BadRow]:
        """Benchmark, queries and labels. Yields the lines of ground_truth.csv that name what is not there."""
        benchmark, _ = Benchmark.objects.get_or_create(collection=collection, name=self.benchmark_name)
        queries = {name.removeprefix(QUERIES): pk for name, pk in self.ids.items() if name.startswith(QUERIES)}
        gallery = {name.removeprefix(DATABASE): pk for name, pk in self.ids.items() if name.startswith(DATABASE)}
        _queries_set(benchmark, {self._query_name(name): pk for name, pk in queries.items()})
        numbers: list[int] = []
        broken: list[BadRow] = []
        report = labels_import(benchmark, self._lines(numbers, broken, pulse), images=gallery)
        yield from broken
        for place, source, error in report.bad:
            yield BadRow(numbers[place], *self._said(source, error))

    def _said(self, source: str, error: LookalikeError) -> tuple[str, LookalikeError]:
        """A label's picture and error without the name of a DICOM file."""
        if DATABASE + source not in self.hidden and not is_dicom_name(source):
            return source, error
        return HIDDEN, type(error)(**dict.fromkeys(error.params, HIDDEN))

    def _lines(
        self, numbers: list[int], broken: list[BadRow], pulse: Callable[[], None]
    ) -> Iterator[tuple[str, str, str]]:
        for number, cells in read_cells(self.open_truth, self.encoding, self.separator):
            pulse()
            if isinstance(cells, BadLine):
                broken.append(BadRow(number, GROUND_TRUTH, cells))
            elif any(cells):
                record = to_record(self.columns, cells[: len(self.columns)])
                numbers.append(number)
                query, image, grade = (record.get(column, "") for column in COLUMNS)
                yield self._query_name(query.removeprefix(QUERIES)), image.removeprefix(DATABASE), grade

    def close(self) -> None:
        self.tree.close()


def _queries_set(benchmark: Benchmark, pictures: Mapping[str, int]) -> None:
    """Queries by name, each with its picture: also where the file of that name is another one by now."""
    there = {query.name: query for query in benchmark.queries.all()}
    exchanged = [there[name] for name, pk in pictures.items() if name in there and there[name].image_id != pk]
    for query in exchanged:
        query.image_id = pictures[query.name]
    new = [Query(benchmark=benchmark, name=name, image_id=pk) for name, pk in pictures.items() if name not in there]
    with transaction.atomic():
        Query.objects.bulk_update(exchanged, ["image"], batch_size=1000)
        Query.objects.bulk_create(new, batch_size=1000, ignore_conflicts=True)
        if exchanged:
            bump(benchmark)
