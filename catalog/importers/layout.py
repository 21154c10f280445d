"""The guide's layout, imported whole: ``database/`` is the gallery, ``query/`` queries, ``ground_truth.csv`` labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial

from django.db import transaction

from catalog.ground_truth import bump, labels_import
from catalog.importers.errors import BadLine
from catalog.importers.folder import PicturesSource
from catalog.importers.rows import BadRow, Row, Source
from catalog.importers.table import TableSource, inspect, read_cells, read_header, require, to_record
from catalog.importers.trees import Tree, is_candidate
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
        return [name for name in self.tree.files() if name.startswith(self.prefix + folder) and is_candidate(name)]

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

    def finish(self, collection: Collection, pulse: Callable[[], None]) -> Iterator[BadRow]:
        """Benchmark, queries and labels. Yields the lines of ground_truth.csv that name what is not there."""
        benchmark, _ = Benchmark.objects.get_or_create(collection=collection, name=self.benchmark_name)
        queries = {name.removeprefix(QUERIES): pk for name, pk in self.ids.items() if name.startswith(QUERIES)}
        gallery = {name.removeprefix(DATABASE): pk for name, pk in self.ids.items() if name.startswith(DATABASE)}
        _queries_set(benchmark, {name[:300]: pk for name, pk in queries.items()})
        numbers: list[int] = []
        broken: list[BadRow] = []
        report = labels_import(benchmark, self._lines(numbers, broken, pulse), images=gallery)
        yield from broken
        for place, source, error in report.bad:
            yield BadRow(numbers[place], source, error)

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
                yield query.removeprefix(QUERIES), image.removeprefix(DATABASE), grade

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
