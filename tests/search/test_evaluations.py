"""Evaluation runs end to end: real pictures, real embeddings, real FAISS; figures recomputed in plain loops."""

from __future__ import annotations

import csv
import json
from datetime import timedelta
from io import StringIO
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from catalog.errors import JobCancelled
from catalog.importers.truth_lists import read_truth
from catalog.jobs import JobState
from catalog.models import Benchmark, Image, ImageRole, Label, Product, Relevance
from catalog.truth_import import truth_import
from search import evaluation_run as work
from search.builds import build_create, build_run
from search.deep_ranking import deep_ranking
from search.embedding import embed_pending
from search.evaluation import UnknownMetric
from search.evaluation.evaluate import score
from search.evaluation.protocol import UnknownProtocol
from search.evaluations import (
    NoQueries,
    OtherCollection,
    csv_rows,
    evaluation_create,
    evaluation_report,
    evaluation_run,
)
from search.models import Embedding, EvaluationRun, QueryResult, SearchIndex
from tests.factories import (
    BenchmarkFactory,
    CollectionFactory,
    ImageFactory,
    LabelFactory,
    ProductFactory,
    QueryFactory,
    SearchIndexFactory,
    picture,
)
from tests.search.evaluation import oracle

pytestmark = pytest.mark.django_db
METRICS = ["mAP", "mAP@3", "mAP_trapezoid", "recall@3", "hit_rate@1", "precision@3", "ann_recall@3"]


@pytest.fixture
def index() -> SearchIndex:
    return SearchIndexFactory()


def products(index: SearchIndex, *sizes: int, category: str = "") -> list[list[Image]]:
    """A product a size, with as many pictures; the category is the product's own unless given."""
    made = []
    for number, size in enumerate(sizes):
        product = ProductFactory(collection=index.collection, category=category or f"c{number}")
        made.append([ImageFactory(product=product) for _ in range(size)])
    return made


def flat(groups: list[list[Image]]) -> list[Image]:
    return [image for group in groups for image in group]


def benchmark_of(index: SearchIndex, images: list[Image], relevance: str = Relevance.CATEGORY) -> Benchmark:
    benchmark = BenchmarkFactory(collection=index.collection, relevance=relevance)
    for image in images:
        QueryFactory(benchmark=benchmark, image=image, name=f"q{image.pk}")
    return benchmark


def run_of(benchmark: Benchmark, index: SearchIndex, **options: object) -> EvaluationRun:
    options.setdefault("metrics", METRICS)
    run = evaluation_run(evaluation_create(benchmark, index, **options).pk)
    assert run.state == JobState.DONE, run.error
    return run


def built(index: SearchIndex, factory: str = "Flat") -> None:
    embed_pending(index.collection, index.feature_model)
    build = build_run(build_create(index, factory=factory).pk)
    assert build.state == JobState.DONE, build.error
    index.refresh_from_db()


def vectors(index: SearchIndex) -> dict[int, np.ndarray]:
    rows = Embedding.objects.filter(feature_model=index.feature_model).values_list("image_id", "vector")
    return {image_id: np.frombuffer(vector, "<f2").astype(np.float64) for image_id, vector in rows}


def plain_ranking(index: SearchIndex, query: Image, ignored: set[int] = frozenset()) -> list[int]:
    x = vectors(index)
    gallery = Image.objects.filter(collection=index.collection, role=ImageRole.GALLERY).values_list("id", flat=True)
    ids = [i for i in gallery if i in x]
    same = {i for i in ids if Image.objects.get(pk=i).sha256 == query.sha256}
    return oracle.clean(ids, [float(x[query.pk] @ x[i]) for i in ids], ignored | same | {query.pk})


@pytest.mark.parametrize("factory", [None, "Flat", "HNSW16"])
@pytest.mark.parametrize("fine_depth", [2, 200])
def test_leave_one_out_by_category(index, factory, fine_depth):
    """The same figures whether all is searched exactly or through a build, however deep the fine tier goes."""
    index.fine_depth = fine_depth
    index.save()
    groups = products(index, 4, 3, 5, 1)
    if factory:
        built(index, factory)
    run = run_of(benchmark_of(index, flat(groups)), index)
    assert (run.queries_scored, run.queries_skipped) == (12, 1)  # the lone picture has nothing to find
    assert run.done == run.total == 13
    scores = {result.query.image_id: result for result in run.query_results.select_related("query")}
    precisions = []
    for group in groups[:3]:
        for image in group:
            ranking = plain_ranking(index, image)
            positives = {other.pk for other in group} - {image.pk}
            result = scores[image.pk]
            precisions.append(oracle.average_precision(ranking, positives))
            assert result.average_precision == pytest.approx(precisions[-1])
            assert result.scores["AP_trapezoid"] == pytest.approx(oracle.trapezoid(ranking, positives))
            assert result.scores["recall@3"] == pytest.approx(oracle.recall(ranking, positives, 3))
            assert result.scores["ann_recall@3"] == 1.0
            assert [entry[0] for entry in result.ranking] == ranking
            assert {entry[0] for entry in result.ranking if entry[2] == "easy"} == positives
    assert run.results["mAP"] == pytest.approx(np.mean(precisions))
    lone = scores[groups[3][0].pk]
    assert lone.average_precision is None
    assert lone.scores == {}


def test_the_run_says_what_it_measured(index):
    (group,) = products(index, 3)
    built(index)
    index.search_params = {}
    benchmark = benchmark_of(index, group)
    Benchmark.objects.filter(pk=benchmark.pk).update(version=7)
    run = run_of(benchmark, index, protocol="easy")
    index.feature_model.refresh_from_db()
    assert run.fingerprint == index.feature_model.fingerprint != ""
    assert run.build_id == index.active_build_id
    assert run.label_version == 7
    assert run.parameters["factory"] == "Flat"
    assert run.parameters["fine_depth"] == 200
    assert run.parameters["protocol"] == "easy"
    assert run.parameters["gallery"] == 3


def test_relevance_by_product_needs_no_labels(index):
    products_ = products(index, 3, 2, category="mugs")
    run = run_of(benchmark_of(index, flat(products_), Relevance.PRODUCT), index)
    assert not Label.objects.exists()
    result = run.query_results.get(query__image=products_[1][0])
    ranking = plain_ranking(index, products_[1][0])
    assert result.average_precision == pytest.approx(oracle.average_precision(ranking, {products_[1][1].pk}))


def test_pictures_without_a_category_are_not_relevant_to_each_other(index):
    lone = [ImageFactory(collection=index.collection, product=None) for _ in range(3)]
    groups = products(index, 2, 2)
    Product.objects.filter(pk=groups[0][0].product_id).update(category="")
    run = run_of(benchmark_of(index, lone + groups[0]), index)
    assert (run.queries_scored, run.queries_skipped) == (0, 5)
    assert run.results["mAP"] is None


def test_query_pictures_and_labels(index):
    """A picture of role query searches; junk leaves; an absent positive stays in R; a distractor is a miss."""
    collection = index.collection
    good, hard, junk, distractor, other = [ImageFactory(collection=collection, product=None) for _ in range(5)]
    benchmark = BenchmarkFactory(collection=collection)
    query = QueryFactory(benchmark=benchmark)
    for image, grade in ((good, "easy"), (hard, "hard"), (junk, "junk"), (distractor, "distractor")):
        LabelFactory(query=query, image=image, grade=grade)
    embed_pending(collection, index.feature_model)
    Embedding.objects.filter(image=hard).update(vector=None, error="broken")
    run = run_of(benchmark, index)
    result = run.query_results.get()
    found = [good.pk, distractor.pk, other.pk]
    ranking = oracle.clean(found, [vectors_dot(index, query.image_id, i) for i in found], set())
    assert [entry[0] for entry in result.ranking if entry[2] != "junk"] == ranking
    grades = {entry[0]: entry[2] for entry in result.ranking if entry[0] != junk.pk}
    assert grades == {good.pk: "easy", distractor.pk: "distractor", other.pk: "negative"}
    all_of_it = oracle.clean(
        [*found, junk.pk], [vectors_dot(index, query.image_id, i) for i in [*found, junk.pk]], set()
    )
    shown = all_of_it if all_of_it[-1] != junk.pk else all_of_it[:-1]  # junk behind the last place is of no interest
    assert [entry[0] for entry in result.ranking] == shown
    assert [row[1] for row in csv_rows(run)] == [str(Image.objects.get(pk=i)) for i in ranking]
    assert result.average_precision == pytest.approx(oracle.average_precision(ranking, {good.pk, hard.pk}))
    easy = run_of(benchmark, index, protocol="easy").query_results.get()
    assert easy.average_precision == pytest.approx(oracle.average_precision(ranking, {good.pk}))


def vectors_dot(index: SearchIndex, a: int, b: int) -> float:
    rows = Embedding.objects.filter(image__in=[a, b]).values_list("image_id", "vector")
    x = {image_id: np.frombuffer(vector, "<f2").astype(np.float64) for image_id, vector in rows}
    return float(x[a] @ x[b])


def test_exact_copies_of_the_query_are_left_out(index):
    """The query's bytes also stand in the gallery, in two products: neither is a hit nor a miss."""
    data = picture(77)
    (group,) = products(index, 2)
    for sku in ("copy-1", "copy-2"):
        ImageFactory(product=ProductFactory(collection=index.collection, sku=sku, category="c0"), data=data)
    query = ImageFactory(product=group[0].product, role=ImageRole.QUERY, data=data)
    result = run_of(benchmark_of(index, [query]), index).query_results.get()
    assert {entry[0] for entry in result.ranking} == {image.pk for image in group}
    assert result.scores["recall@3"] == 1.0
    assert result.average_precision == 1.0


def test_a_box_is_cut_before_it_is_described(index):
    gallery = products(index, 2, 2)
    whole = ImageFactory(product=gallery[0][0].product, role=ImageRole.QUERY, size_px=(200, 160))
    benchmark = benchmark_of(index, [whole])
    QueryFactory(benchmark=benchmark, image=whole, name="boxed", box=[20, 30, 60, 50])
    QueryFactory(benchmark=benchmark, image=whole, name="outside", box=[900, 900, 10, 10])
    run = run_of(benchmark, index)
    results = {result.query.name: result for result in run.query_results.select_related("query")}
    assert results["boxed"].ranking[0][1] != results[f"q{whole.pk}"].ranking[0][1]
    assert run.queries_scored == 3
    assert results["outside"].ranking == []  # finds nothing, and is not left out of the mean
    assert results["outside"].scores["AP"] == 0.0
    assert results["outside"].scores["ann_recall@3"] is None


def test_depth_cuts_the_ranking_after_the_query_left_it(index):
    groups = products(index, 5, 5)
    run = run_of(benchmark_of(index, groups[0]), index, depth=4)
    for result in run.query_results.select_related("query__image"):
        ranking = plain_ranking(index, result.query.image)[:4]
        positives = {image.pk for image in groups[0]} - {result.query.image_id}
        assert [entry[0] for entry in result.ranking] == ranking
        assert result.average_precision == pytest.approx(oracle.average_precision(ranking, positives))


def test_a_short_ranking_does_not_shorten_ann_recall(index):
    index.fine_depth = 1
    index.save()
    groups = products(index, 5, 5)
    built(index)
    run = run_of(benchmark_of(index, groups[0]), index, depth=1)
    assert run.results["ann_recall@3"] == 1.0
    assert {len(result.ranking) for result in run.query_results.all()} == {1}


def test_deleted_pictures_are_not_ranked(index):
    groups = products(index, 3, 2)
    built(index)
    gone = groups[1][0].pk
    groups[1][0].delete()
    run = run_of(benchmark_of(index, groups[0]), index)
    for result in run.query_results.all():
        assert gone not in {entry[0] for entry in result.ranking}
        assert len(result.ranking) == 3


def test_pictures_added_since_the_build_are_ranked_by_their_score(index):
    groups = products(index, 4, 4)
    built(index)
    groups += products(index, 3, category="c0")
    run = run_of(benchmark_of(index, groups[0]), index)
    for result in run.query_results.select_related("query__image"):
        assert [entry[0] for entry in result.ranking] == plain_ranking(index, result.query.image)


def test_an_index_that_misses_shows_in_ann_recall(index):
    """One cell of eight is looked at: what lies in the others does not come back, and stays in R."""
    index.search_params = {"nprobe": 1}
    index.save()
    product = ProductFactory(collection=index.collection, category="all")
    images = [ImageFactory(product=product, seed=n) for n in range(40)]
    built(index, "IVF8,Flat")
    run = run_of(benchmark_of(index, images[:20]), index, metrics=["mAP", "ann_recall@10", "recall@39"])
    assert run.results["ann_recall@10"] < 1
    assert run.results["recall@39"] < 1
    index.search_params = {"nprobe": 8}
    index.save()
    run = run_of(benchmark_of(index, images[:20]), index, metrics=["mAP", "ann_recall@10", "recall@39"])
    assert run.results == {"mAP": 1.0, "ann_recall@10": 1.0, "recall@39": 1.0}


def test_rules_collapse_products_before_scoring(index):
    index.rules = [{"rule": "one_per_product"}]
    index.save()
    groups = products(index, 3, 3, 2, category="mugs")
    query = ImageFactory(product=groups[0][0].product, role=ImageRole.QUERY)
    benchmark = benchmark_of(index, [query], Relevance.PRODUCT)
    result = run_of(benchmark, index, with_rules=True).query_results.get()
    first = {}
    for place, image_id in enumerate(plain_ranking(index, query)):
        first.setdefault(Image.objects.get(pk=image_id).product_id, (place, image_id))
    ranked = [image_id for _, image_id in sorted(first.values())]
    assert [entry[0] for entry in result.ranking] == ranked
    place = ranked.index(first[groups[0][0].product_id][1]) + 1
    assert result.average_precision == pytest.approx(1 / place)  # one product to find, R = 1
    assert len(run_of(benchmark, index).query_results.get().ranking) == 8


def test_what_is_embedded_needs_no_network(index, monkeypatch):
    groups = products(index, 3)
    benchmark = benchmark_of(index, groups[0])
    embed_pending(index.collection, index.feature_model)
    monkeypatch.setattr(work, "embed_pending", Mock(side_effect=AssertionError("nothing was waiting")))
    run_of(benchmark, index)


class Killed(BaseException):
    """Like SIGKILL: nothing of ours catches it."""


def killed_half_way(benchmark: Benchmark, index: SearchIndex, monkeypatch: pytest.MonkeyPatch) -> EvaluationRun:
    monkeypatch.setattr(work, "CHUNK", 2)
    run = evaluation_create(benchmark, index, metrics=METRICS)

    def kill(done: int, total: int) -> None:
        if done >= 4 and QueryResult.objects.filter(run=run).count() >= 4:
            raise Killed

    with pytest.raises(Killed):
        evaluation_run(run.pk, kill)
    run.refresh_from_db()
    assert run.state == JobState.RUNNING
    assert evaluation_run(run.pk).state == JobState.RUNNING  # nobody takes what may be alive
    EvaluationRun.objects.filter(pk=run.pk).update(heartbeat=timezone.now() - timedelta(minutes=2))
    return run


def test_a_killed_run_goes_on_where_it_stopped(index, monkeypatch):
    groups = products(index, 4, 4)
    benchmark = benchmark_of(index, flat(groups))
    whole = run_of(benchmark, index)
    run = killed_half_way(benchmark, index, monkeypatch)
    kept = list(run.query_results.values_list("id", flat=True))
    assert len(kept) == 4
    ranked: list[int] = []

    def counting(pipeline, x, k, fine):
        ranked.append(len(x))
        return deep_ranking(pipeline, x, k, fine)

    monkeypatch.setattr(work, "deep_ranking", counting)
    again = evaluation_run(run.pk)
    assert again.state == JobState.DONE
    assert sum(ranked) == 4  # the others were not ranked again
    assert list(again.query_results.values_list("id", flat=True)[:4]) == kept
    assert again.results == whole.results
    assert again.queries_scored == 8


def test_a_killed_run_starts_over_when_the_labels_changed(index, monkeypatch):
    groups = products(index, 4, 4)
    benchmark = benchmark_of(index, flat(groups))
    run = killed_half_way(benchmark, index, monkeypatch)
    kept = set(run.query_results.values_list("id", flat=True))
    Benchmark.objects.filter(pk=benchmark.pk).update(version=2)
    again = evaluation_run(run.pk)
    assert again.label_version == 2
    assert again.query_results.count() == 8
    assert not kept & set(again.query_results.values_list("id", flat=True))


def test_cancel(index, monkeypatch):
    (group,) = products(index, 4)
    run = evaluation_create(benchmark_of(index, group), index)

    def stop(done: int, total: int) -> None:
        raise JobCancelled

    assert evaluation_run(run.pk, stop).state == JobState.CANCELLED
    waiting = evaluation_create(run.benchmark, index)
    waiting.cancel()
    assert evaluation_run(waiting.pk).state == JobState.CANCELLED
    assert not waiting.query_results.exists()


def test_a_failure_is_told(index, monkeypatch):
    (group,) = products(index, 2)
    run = evaluation_create(benchmark_of(index, group), index)
    monkeypatch.setattr(work, "deep_ranking", Mock(side_effect=ZeroDivisionError))
    run = evaluation_run(run.pk)
    assert run.state == JobState.FAILED
    assert "ZeroDivisionError" in run.error


def test_what_cannot_be_evaluated_is_refused(index):
    (group,) = products(index, 2)
    benchmark = benchmark_of(index, group)
    with pytest.raises(OtherCollection):
        evaluation_create(benchmark, SearchIndexFactory())
    with pytest.raises(NoQueries):
        evaluation_create(BenchmarkFactory(collection=index.collection), index)
    with pytest.raises(UnknownMetric):
        evaluation_create(benchmark, index, metrics=["mAP", "top@5"])
    with pytest.raises(UnknownProtocol):
        evaluation_create(benchmark, index, protocol="strict")
    assert not EvaluationRun.objects.exists()


def test_wide_collections_are_read_in_blocks(index, monkeypatch):
    """More embeddings than a block, more queries than a group: the same exact first places."""
    monkeypatch.setattr(work, "GROUP", 7)
    monkeypatch.setattr("search.side.CHUNK", 5)
    compared: list[int] = []

    def counting(metrics, outcome):
        compared.append(len(outcome.exact))
        return score(metrics, outcome)

    monkeypatch.setattr(work, "score", counting)
    groups = products(index, 6, 6, 6)
    embed_pending(index.collection, index.feature_model)
    run = run_of(benchmark_of(index, flat(groups)), index)
    assert run.results["ann_recall@3"] == 1.0
    assert run.queries_scored == 18
    assert min(compared) >= 3  # three are left when the query itself is taken out


def command(*arguments: str) -> str:
    out = StringIO()
    call_command("evaluate", *arguments, stdout=out, stderr=StringIO())
    return out.getvalue()


@pytest.fixture
def named(index) -> Benchmark:
    groups = products(index, 3, 3)
    benchmark = benchmark_of(index, flat(groups))
    Benchmark.objects.filter(pk=benchmark.pk).update(name="by category")
    return benchmark


def test_command_prints_a_table(named, index):
    text = command("--benchmark", f"{named.collection.slug}/by category", "--index", f"{named.collection.slug}/main")
    run = EvaluationRun.objects.get()
    assert f"mAP            {run.results['mAP']:.4f}" in text
    assert "6 scored, 0 without positives skipped" in text
    assert "exact search" in text


def test_command_json_and_csv(named, tmp_path: Path):
    table = tmp_path / "ranks.csv"
    data = json.loads(
        command("--benchmark", "by category", "--metric", "mAP", "--metric", "recall@2", "--json", "--csv", str(table))
    )
    run = EvaluationRun.objects.get()
    curve, classes = data.pop("curve"), data.pop("classes")
    assert data == json.loads(json.dumps(evaluation_report(run)))
    assert len(curve) == 11
    assert {name: row["queries"] for name, row in classes.items()} == {"c0": 3, "c1": 3}
    assert sum(row["AP"] for row in classes.values()) / 2 == pytest.approx(data["metrics"]["mAP"])
    assert list(data["metrics"]) == ["mAP", "recall@2"]
    assert set(data["queries"]) == set(named.queries.values_list("name", flat=True))
    rows = list(csv.DictReader(table.open()))
    assert len(rows) == 6 * 5
    assert list(rows[0]) == ["query", "result", "rank", "score"]
    assert [int(row["rank"]) for row in rows[:5]] == [1, 2, 3, 4, 5]
    assert rows[0]["query"] == run.query_results.order_by("query_id").first().query.name
    assert len(list(csv_rows(run))) == 30


def test_command_says_what_is_wrong(named, index, tmp_path: Path):
    with pytest.raises(CommandError, match=r"no benchmark 'other'.*by category"):
        command("--benchmark", "other")
    with pytest.raises(CommandError, match=r"no metric 'top@1'.*recall@K"):
        command("--benchmark", "by category", "--metric", "top@1")
    with pytest.raises(CommandError, match="no index 'fast'"):
        command("--benchmark", "by category", "--index", "fast")
    with pytest.raises(CommandError, match="no evaluation run 99"):
        command("--run", "99")
    with pytest.raises(CommandError, match="cannot be written"):
        command("--benchmark", "by category", "--csv", str(tmp_path / "none" / "ranks.csv"))
    BenchmarkFactory(name="by category", collection=CollectionFactory())
    with pytest.raises(CommandError, match="several"):
        command("--benchmark", "by category")
    other = SearchIndexFactory(name="theirs")
    with pytest.raises(CommandError, match="different collections"):
        command("--benchmark", f"{named.collection.slug}/by category", "--index", str(other))


def test_command_goes_on_with_a_killed_run(index, monkeypatch):
    groups = products(index, 4, 4)
    run = killed_half_way(benchmark_of(index, flat(groups)), index, monkeypatch)
    assert "8 scored" in command("--run", str(run.pk))
    EvaluationRun.objects.filter(pk=run.pk).update(state=JobState.RUNNING, heartbeat=timezone.now())
    with pytest.raises(CommandError, match="another process"):
        command("--run", str(run.pk))


def test_descriptors_that_are_equal_are_ordered_by_id(index):
    """Six pictures with one descriptor: the figure does not depend on the search's mood."""
    collection, model = index.collection, index.feature_model
    groups = products(index, 3, 3)
    embed_pending(collection, model)
    model.refresh_from_db()
    vector = (np.ones(model.dim) / np.sqrt(model.dim)).astype("<f2").tobytes()
    Embedding.objects.filter(feature_model=model).update(vector=vector)
    built(index)
    run = run_of(benchmark_of(index, groups[1]), index)
    for result in run.query_results.all():
        ids = [entry[0] for entry in result.ranking]
        assert ids == sorted(ids)


def test_the_curve_of_a_query_is_of_its_whole_ranking(index):
    groups = products(index, 4, 5)
    run = run_of(benchmark_of(index, groups[0]), index)
    for result in run.query_results.select_related("query__image"):
        ranking = plain_ranking(index, result.query.image)
        positives = {image.pk for image in groups[0]} - {result.query.image_id}
        ranks = [rank for rank, i in enumerate(ranking, start=1) if i in positives]
        assert result.relevant == len(positives) == len(ranks)
        best = [max(found / rank for found, rank in enumerate(ranks, 1) if 10 * found >= n * 3) for n in range(11)]
        assert result.curve == pytest.approx(best, abs=1e-6)


def test_an_expansion_is_applied_and_pinned(index):
    """The query averaged with its best hit, itself not among them, by hand; the exact yardstick is of the same."""
    index.expansion = {"method": "average", "k": 1}
    index.save()
    groups = products(index, 4, 4)
    built(index)
    run = run_of(benchmark_of(index, groups[0]), index)
    assert run.parameters["expansion"] == {"method": "average", "k": 1, "alpha": 3.0}
    assert run.results["ann_recall@3"] == 1.0
    x, moved = vectors(index), 0
    for result in run.query_results.select_related("query__image"):
        query = result.query.image
        before = plain_ranking(index, query)
        wanted = x[query.pk] + x[before[0]]
        others = [i for i in x if i != query.pk]
        after = oracle.clean(others, [float(wanted @ x[i]) for i in others], set())
        assert [entry[0] for entry in result.ranking] == after
        moved += after != before
    assert moved


def test_pins_name_engine_preset_and_depths(index):
    (group,) = products(index, 3)
    built(index)
    run = run_of(benchmark_of(index, group), index)
    assert {name: run.parameters[name] for name in ("engine", "preset", "rules_depth", "expansion")} == {
        "engine": "faiss",
        "preset": "",
        "rules_depth": index.rules_depth,
        "expansion": {},
    }


def test_oxford5k_end_to_end(index, tmp_path: Path):
    """Drawn stand-ins under Oxford's names, ground truth from files: the trapezoid AP, with the query and without."""
    for number in range(9):
        source = f"oxbuild_images/all_souls_{number:06}.jpg"
        ImageFactory(collection=index.collection, product=None, source=source, size_px=(200, 160))
    lists = {"good": (1, 2), "ok": (3,), "junk": (4, 5)}
    (tmp_path / "all_souls_1_query.txt").write_text("oxc1_all_souls_000001 10.2 20.4 150.1 140.0\n")
    for suffix, numbers in lists.items():
        names = "\n".join(f"all_souls_{number:06}" for number in numbers)
        (tmp_path / f"all_souls_1_{suffix}.txt").write_text(names)
    report = truth_import(index.collection, "classic", read_truth(tmp_path))
    assert (report.queries, report.labels) == (1, 5)
    embed_pending(index.collection, index.feature_model)
    benchmark = Benchmark.objects.get(name="classic")
    ids = {image.source[-5]: image.pk for image in Image.objects.all()}
    junk = {ids[str(number)] for number in lists["junk"]}
    for protocol, own in (("medium", {ids["1"]}), ("oxford5k", set())):
        result = run_of(benchmark, index, protocol=protocol).query_results.get()
        ranking = [entry[0] for entry in result.ranking if entry[2] != "junk"]
        assert set(ranking) == set(ids.values()) - junk - own
        positives = {ids[n] for n in "123"} - own
        assert result.scores["AP_trapezoid"] == pytest.approx(oracle.trapezoid(ranking, positives))
        assert result.relevant == len(positives)


@pytest.mark.data
def test_the_real_oxford5k_files_on_stand_ins_for_one_landmark(index, shared: Path):
    """Drawn pictures under the names of Keble College's: its five queries run, the others are told to be missing."""
    truth = read_truth(shared / "data" / "oxford5k-gt")
    named = {query.picture for query in truth.queries if query.name.startswith("keble")}
    named |= {label.picture for label in truth.labels() if label.query.startswith("keble")}
    for name in sorted(named):
        ImageFactory(collection=index.collection, product=None, source=f"oxbuild/{name}.jpg", size_px=(1024, 768))
    report = truth_import(index.collection, "oxford5k", truth)
    there = [query for query in truth.queries if query.picture in named]
    assert (report.queries, len(report.queries_missing)) == (len(there), 55 - len(there))
    assert report.labels + report.labels_missing == 4335
    absent = {label.picture for label in truth.labels()} - named
    assert report.pictures_missing == len(absent)
    embed_pending(index.collection, index.feature_model)
    benchmark = Benchmark.objects.get(name="oxford5k")
    run = run_of(benchmark, index, protocol="oxford5k", metrics=["mAP_trapezoid", "mAP"])
    assert run.queries_scored == len(there)
    for result in run.query_results.select_related("query"):
        grades = {label.picture: label.grade for label in truth.labels() if label.query == result.query.name}
        names = {image.pk: Path(image.source).stem for image in Image.objects.all()}
        ranking = [names[entry[0]] for entry in result.ranking if entry[2] != "junk"]
        positives = {name for name, grade in grades.items() if grade in ("easy", "hard")}
        assert set(ranking) == named - {name for name, grade in grades.items() if grade == "junk"}
        assert result.scores["AP_trapezoid"] == pytest.approx(oracle.trapezoid(ranking, positives & named))
