"""What compression costs, on a collection's own labels."""

from __future__ import annotations

import json

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from catalog.models import Image
from catalog.services import benchmark_from_classes
from search.evaluations import evaluation_create, evaluation_run
from search.factory_comparison import FactoryComparison, MemoryOriginals, NothingToCompare, table
from search.indexes import BadFactory
from tests.factories import BenchmarkFactory
from tests.search.gallery import DIM, make_index

pytestmark = pytest.mark.django_db


@pytest.fixture
def index():
    return make_index(400, factory="Flat")


@pytest.fixture
def benchmark(index):
    return benchmark_from_classes(index.collection, "categories")


def test_without_compression_it_is_what_an_evaluation_finds(index, benchmark) -> None:
    (row,) = FactoryComparison(index, benchmark).rows(["Flat"])
    run = evaluation_run(evaluation_create(benchmark, index, metrics=["mAP", "mAP@10"]).pk)
    assert run.results == pytest.approx(row.alone)
    assert row.fine == pytest.approx(row.alone)
    assert row.bytes_per_picture == pytest.approx(4 * DIM + 8, abs=8)


def test_the_fine_tier_makes_up_for_coarse_codes(index, benchmark) -> None:
    flat, codes = FactoryComparison(index, benchmark, fine_depth=400).rows(["Flat", "PQ2x4"])
    assert codes.alone["mAP"] != pytest.approx(flat.alone["mAP"], abs=1e-3)
    assert codes.fine["mAP"] == pytest.approx(flat.alone["mAP"], abs=1e-9)
    assert codes.bytes_per_picture < 20
    rows = table([flat, codes])
    assert rows[1]["loss with fine"] == pytest.approx(0, abs=1e-4)


def test_a_few_queries_are_spread_evenly(index, benchmark) -> None:
    comparison = FactoryComparison(index, benchmark, limit=10)
    names = [query.name for query in comparison._queries]
    assert len(names) == 10
    assert len(set(names)) == 10


def test_originals_are_found_by_id() -> None:
    originals = MemoryOriginals(np.array([3, 5, 9]), np.eye(3, dtype=np.float32))
    assert originals.scores(np.array([0, 1, 2], np.float32), np.array([9, 5])).tolist() == [2, 1]


def test_nothing_is_said_to_be_nothing(index) -> None:
    with pytest.raises(NothingToCompare):
        FactoryComparison(index, BenchmarkFactory(collection=index.collection))
    Image.objects.filter(collection=index.collection).delete()
    with pytest.raises(NothingToCompare):
        FactoryComparison(index, BenchmarkFactory(collection=index.collection))


def test_a_factory_that_cannot_be_made_is_named(index, benchmark) -> None:
    with pytest.raises(BadFactory, match="PQ5000"):
        list(FactoryComparison(index, benchmark).rows(["PQ5000"]))


def test_the_command(index, benchmark, capsys) -> None:
    options = [f"--collection={index.collection.slug}", "--benchmark=categories", "--factory=Flat", "--factory=SQ8"]
    call_command("compare_factories", *options, "--queries=20", "--json")
    rows = json.loads(capsys.readouterr().out)
    assert [row["factory"] for row in rows] == ["Flat", "SQ8"]
    call_command("compare_factories", *options, "--queries=20")
    assert "| SQ8 |" in capsys.readouterr().out
    with pytest.raises(CommandError, match="no benchmark 'none'"):
        call_command("compare_factories", f"--collection={index.collection.slug}", "--benchmark=none")
