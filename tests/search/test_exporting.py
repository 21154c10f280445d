"""TREC files of a run, read back by ranx."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from urllib.parse import unquote

import pytest
from django.core.management import CommandError, call_command

from catalog.models import Benchmark, Label
from search.evaluation import parse_metric
from search.evaluations import evaluation_create, evaluation_run
from search.exporting import TruthChanged, export_trec
from search.models import EvaluationRun
from tests.factories import ImageFactory, LabelFactory, QueryFactory
from tests.search.admin_site import Site, make_site

pytestmark = pytest.mark.django_db
METRICS = ["mAP@10", "recall@10", "recall@3", "precision@3", "hit_rate@1"]


@pytest.fixture
def site() -> Site:
    return make_site(products=6, pictures=3)


def run_of(site: Site, benchmark: Benchmark, **options: object) -> EvaluationRun:
    return evaluation_run(evaluation_create(benchmark, site.index, metrics=METRICS, **options).pk)


def read_back(run: EvaluationRun, folder: Path) -> dict[str, dict[str, float]]:
    """Each query's scores as ranx computes them from the files; ranx divides AP@K by R, we by min(K, R)."""
    import ranx

    qrels = ranx.Qrels.from_file(str(folder / "qrels.txt"), kind="trec")
    ran = ranx.Run.from_file(str(folder / "run.txt"), kind="trec")
    names = {"map@10": "AP@10", **{name: name for name in METRICS if not name.startswith("mAP")}}
    ranx.evaluate(qrels, ran, list(names), make_comparable=True)
    relevant = {result.query.name: result.relevant for result in run.query_results.select_related("query")}
    scores: dict[str, dict[str, float]] = {}
    for name, ours in names.items():
        for key, value in ran.scores[name].items():
            factor = relevant[unquote(key)] / min(10, relevant[unquote(key)]) if name == "map@10" else 1
            scores.setdefault(unquote(key), {})[ours] = value * factor
    return scores


def assert_same(run: EvaluationRun, folder: Path) -> None:
    assert export_trec(run, folder) == run.queries_scored
    theirs = read_back(run, folder)
    results = run.query_results.exclude(scores={}).select_related("query")
    assert len(theirs) == len(results) > 0
    for result in results:
        for name in METRICS:
            per_query = parse_metric(name).per_query
            assert abs(theirs[result.query.name][per_query] - result.scores[per_query]) <= 1e-9, (result, name)


def lines(file: Path) -> Iterator[list[str]]:
    for line in file.read_text().splitlines():
        yield line.split(" ")


def test_classes(site: Site, tmp_path: Path) -> None:
    run = run_of(site, site.benchmark)
    assert_same(run, tmp_path)
    assert {len(cells) for cells in lines(tmp_path / "run.txt")} == {6}
    assert {cells[5] for cells in lines(tmp_path / "run.txt")} == {f"run-{run.pk}"}
    documents = list(csv.DictReader((tmp_path / "documents.tsv").open(), delimiter="\t"))
    assert {row["document"] for row in documents} == {
        str(image.pk) for image in site.collection.images.exclude(role="query")
    }


def test_labels_with_junk_and_names_with_spaces(site: Site, tmp_path: Path) -> None:
    query = QueryFactory(benchmark=site.labels, name="two words/é")
    images = [ImageFactory(product=site.products[n]) for n in range(4)]
    for image, grade in zip(images, ("easy", "hard", "junk", "distractor"), strict=True):
        LabelFactory(query=query, image=image, grade=grade)
    run = run_of(site, site.labels)
    assert_same(run, tmp_path)
    qrels = {cells[2]: cells[3] for cells in lines(tmp_path / "qrels.txt") if unquote(cells[0]) == "two words/é"}
    assert [qrels[str(image.pk)] for image in images] == ["2", "1", "-1", "0"]
    assert str(images[2].pk) not in {c[2] for c in lines(tmp_path / "run.txt") if unquote(c[0]) == "two words/é"}


def test_products(site: Site, tmp_path: Path) -> None:
    site.index.rules = [{"rule": "one_per_product"}]
    site.index.save()
    run = run_of(site, site.benchmark, with_rules=True)
    assert_same(run, tmp_path)
    assert all(cells[2].startswith("p") for cells in lines(tmp_path / "run.txt"))


def test_another_protocol(site: Site, tmp_path: Path) -> None:
    query = site.labels.queries.get()
    hard = ImageFactory(product=site.products[3])
    LabelFactory(query=query, image=hard, grade="hard")
    run = run_of(site, site.labels, protocol="hard")
    assert_same(run, tmp_path)
    easy = query.labels.get(grade="easy").image_id
    assert {cells[2]: cells[3] for cells in lines(tmp_path / "qrels.txt")}[str(easy)] == "-1"


def test_a_truth_that_changed_is_refused(site: Site, tmp_path: Path) -> None:
    run = run_of(site, site.benchmark)
    site.products[0].images.first().delete()
    with pytest.raises(TruthChanged, match="Run the evaluation again"):
        export_trec(run, tmp_path)
    labels = run_of(site, site.labels)
    Benchmark.objects.filter(pk=site.labels.pk).update(version=9)
    labels.benchmark.refresh_from_db()
    with pytest.raises(TruthChanged):
        export_trec(labels, tmp_path)
    assert Label.objects.exists()


def test_command(site: Site, tmp_path: Path) -> None:
    call_command(
        "evaluate", "--benchmark", "categories", "--export", str(tmp_path / "out"), stdout=StringIO(), stderr=StringIO()
    )
    assert {file.name for file in (tmp_path / "out").iterdir()} == {"run.txt", "qrels.txt", "documents.tsv"}
    (tmp_path / "file").write_text("")
    with pytest.raises(CommandError, match="cannot be written"):
        call_command("evaluate", "--benchmark", "categories", "--export", str(tmp_path / "file"), stdout=StringIO())
