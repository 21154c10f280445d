"""Benchmarks and evaluation runs."""

from __future__ import annotations

from typing import Any

from django.db.models import Count, QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework.pagination import BasePagination
from rest_framework.parsers import JSONParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

from catalog.models import Benchmark
from search.api import examples
from search.api.errors import BenchmarkMissing, IndexMissing, JobFinished, JobMissing
from search.api.idempotency import idempotent
from search.api.pagination import NewestFirst, Pages
from search.api.permissions import acting_user
from search.api.schema import JSON, NO_COLLECTION, endpoint
from search.api.serializers.evaluations import (
    BenchmarkSerializer,
    CompareQuerySerializer,
    ComparisonSerializer,
    EvaluationSerializer,
    EvaluationStartSerializer,
    QueryResultSerializer,
)
from search.api.views.base import CollectionView, enqueue, job_cancel
from search.api.views.search import index_get
from search.builds import index_for
from search.comparisons import OtherLabels, compare_runs
from search.evaluations import evaluation_create
from search.models import EvaluationRun, QueryResult, Scope
from search.tasks import evaluation_run

NO_JOB = JobMissing(id=31)
COMPARISON = {
    "a": 31,
    "b": 32,
    "benchmark": "angles",
    "metric": "mAP",
    "queries": 58,
    "mean_a": 0.71,
    "mean_b": 0.74,
    "difference": 0.03,
    "interval": [0.011, 0.05],
    "p_value": 0.0021,
    "resamples": 10000,
    "better": 31,
    "worse": 9,
    "same": 18,
    "pins": {"factory": ["IVF512,Flat", "HNSW32,SQ8"]},
    "differences": [{"query": "LAMP-12/front", "difference": 0.25}],
}


class BenchmarksView(CollectionView):
    serializer_class = BenchmarkSerializer

    @endpoint(
        "benchmarks_list",
        "List benchmarks",
        tag="evaluations",
        answers={200: (BenchmarkSerializer(many=True), examples.BENCHMARK)},
    )
    def get(self, request: Request, slug: str) -> Response:
        rows = Benchmark.objects.filter(collection=self.collection)
        return self.page(rows.annotate(query_count=Count("queries")))


class EvaluationView(CollectionView):
    write_scope = Scope.ADMIN
    parser_classes = [JSONParser]
    serializer_class: type[BaseSerializer[Any]] = EvaluationSerializer
    pagination_class: type[BasePagination] = NewestFirst

    def get_queryset(self) -> QuerySet[EvaluationRun]:
        runs = EvaluationRun.objects.filter(benchmark__collection=self.collection)
        return runs.select_related("benchmark", "index")

    def run(self, pk: int) -> EvaluationRun:
        run = self.get_queryset().filter(pk=pk).first()
        if run is None:
            raise JobMissing(id=pk)
        return run


class EvaluationsView(EvaluationView):
    @endpoint(
        "evaluations_list",
        "List evaluation runs, newest first",
        tag="evaluations",
        answers={200: (EvaluationSerializer(many=True), examples.EVALUATION)},
    )
    def get(self, request: Request, slug: str) -> Response:
        return self.page(self.get_queryset())

    @endpoint(
        "evaluations_start",
        "Measure an index on a benchmark",
        tag="evaluations",
        description="Answers at once; follow the progress at the run's address.",
        body=EvaluationStartSerializer,
        asks={JSON: examples.EVALUATION_START},
        answers={202: (EvaluationSerializer, {**examples.EVALUATION, "state": "queued", "results": {}})},
        scope=Scope.ADMIN,
        errors=[NO_COLLECTION, BenchmarkMissing(name="angles"), IndexMissing(name="main")],
        once=True,
    )
    @idempotent
    def post(self, request: Request, slug: str) -> Response:
        body = self.checked(EvaluationStartSerializer, request.data)
        benchmark = Benchmark.objects.filter(collection=self.collection, name=body["benchmark"]).first()
        if benchmark is None:
            raise BenchmarkMissing(name=body["benchmark"])
        index = index_get(self.collection, body["index"]) if "index" in body else index_for(self.collection)
        run = evaluation_create(
            benchmark,
            index,
            metrics=body.get("metrics"),
            depth=body["depth"],
            with_rules=body["with_rules"],
            protocol=body["protocol"],
            user=acting_user(request),
        )
        enqueue(evaluation_run, run)
        return Response(self.get_serializer(run).data, status=202)


class EvaluationDetailView(EvaluationView):
    @endpoint(
        "evaluations_get",
        "An evaluation run and its results",
        tag="evaluations",
        answers={200: (EvaluationSerializer, examples.EVALUATION)},
        errors=[NO_COLLECTION, NO_JOB],
    )
    def get(self, request: Request, slug: str, pk: int) -> Response:
        return Response(self.get_serializer(self.run(pk)).data)


class EvaluationCompareView(EvaluationView):
    serializer_class = ComparisonSerializer

    @endpoint(
        "evaluations_compare",
        "Compare two evaluation runs of one benchmark",
        tag="evaluations",
        description="b less a, by query: mean difference, 95 % bootstrap interval and paired randomisation test.",
        parameters=[
            OpenApiParameter("a", OpenApiTypes.INT, required=True, description="Number of a run."),
            OpenApiParameter("b", OpenApiTypes.INT, required=True, description="Number of the other run."),
            OpenApiParameter("metric", OpenApiTypes.STR, description="Default: mAP, else the first both measured."),
        ],
        answers={200: (ComparisonSerializer, COMPARISON)},
        errors=[NO_COLLECTION, NO_JOB, OtherLabels(a=31, b=32, first=3, second=4)],
    )
    def get(self, request: Request, slug: str) -> Response:
        asked = self.checked(CompareQuerySerializer, request.query_params)
        found = compare_runs(self.run(asked["a"]), self.run(asked["b"]), asked["metric"])
        return Response(found.to_dict())


class EvaluationCancelView(EvaluationView):
    @endpoint(
        "evaluations_cancel",
        "Cancel an evaluation run",
        tag="evaluations",
        answers={200: (EvaluationSerializer, {**examples.EVALUATION, "state": "cancelled"})},
        scope=Scope.ADMIN,
        errors=[NO_COLLECTION, NO_JOB, JobFinished(state="done")],
        once=True,
    )
    @idempotent
    def post(self, request: Request, slug: str, pk: int) -> Response:
        run = self.run(pk)
        job_cancel(run)
        return Response(self.get_serializer(run).data)


class EvaluationQueriesView(EvaluationView):
    serializer_class = QueryResultSerializer
    pagination_class = Pages

    @endpoint(
        "evaluations_queries",
        "What each query scored",
        tag="evaluations",
        answers={200: (QueryResultSerializer(many=True), examples.QUERY_RESULT)},
        errors=[NO_COLLECTION, NO_JOB],
    )
    def get(self, request: Request, slug: str, pk: int) -> Response:
        return self.page(QueryResult.objects.filter(run=self.run(pk)).select_related("query"))
