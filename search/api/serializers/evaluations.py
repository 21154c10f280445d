"""Benchmarks, evaluation runs and what each query scored."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from catalog.models import Benchmark
from search.api.serializers.common import JobSerializer
from search.evaluation import MEDIUM, PROTOCOLS
from search.models import QueryResult


class BenchmarkSerializer(serializers.ModelSerializer[Benchmark]):
    queries = serializers.IntegerField(source="query_count", read_only=True)

    class Meta:
        model = Benchmark
        fields = ["name", "relevance", "version", "queries", "created"]
        read_only_fields = fields


class EvaluationSerializer(JobSerializer):
    benchmark = serializers.CharField(source="benchmark.name", read_only=True)
    index = serializers.CharField(source="index.name", read_only=True)
    build = serializers.IntegerField(source="build_id", read_only=True, allow_null=True)
    metrics = serializers.ListField(child=serializers.CharField(), read_only=True)
    depth = serializers.IntegerField(read_only=True, help_text="Length of the rankings; 0: the whole gallery.")
    with_rules = serializers.BooleanField(read_only=True)
    parameters = serializers.DictField(read_only=True, help_text="Protocol and search parameters it was pinned to.")
    fingerprint = serializers.CharField(read_only=True)
    label_version = serializers.IntegerField(read_only=True)
    results = serializers.DictField(read_only=True, help_text="Metric to value; empty until it is done.")
    queries_scored = serializers.IntegerField(read_only=True)
    queries_skipped = serializers.IntegerField(read_only=True, help_text="Queries without positives.")


class EvaluationStartSerializer(serializers.Serializer[Any]):
    benchmark = serializers.CharField(max_length=100)
    index = serializers.CharField(required=False, max_length=100, help_text="Name; the default index if left out.")
    metrics = serializers.ListField(
        child=serializers.CharField(max_length=40),
        required=False,
        max_length=50,
        help_text="Such as mAP, mAP@10, recall@10, hit_rate@1, precision@10, ann_recall@10.",
    )
    depth = serializers.IntegerField(default=0, min_value=0, max_value=1_000_000)
    with_rules = serializers.BooleanField(default=False, help_text="Measure after the business rules, not before.")
    protocol = serializers.ChoiceField(
        choices=sorted(PROTOCOLS), default=MEDIUM.name, help_text="Which grades count as relevant."
    )


class RankedSerializer(serializers.Serializer[Any]):
    image = serializers.IntegerField(help_text="Id of the picture.")
    score = serializers.FloatField()
    grade = serializers.CharField(allow_null=True, allow_blank=True)


class QueryResultSerializer(serializers.ModelSerializer[QueryResult]):
    query = serializers.CharField(source="query.name", read_only=True)
    image = serializers.IntegerField(source="query.image_id", read_only=True, help_text="Id of the query's picture.")
    scores = serializers.DictField(read_only=True)
    ranking = serializers.SerializerMethodField(help_text="The head of the ranking; junk among it has no rank.")

    class Meta:
        model = QueryResult
        fields = ["id", "query", "image", "average_precision", "scores", "ranking"]
        read_only_fields = fields

    @extend_schema_field(RankedSerializer(many=True))
    def get_ranking(self, result: QueryResult) -> list[dict[str, Any]]:
        return [dict(zip(("image", "score", "grade"), row, strict=True)) for row in result.ranking]


class CompareQuerySerializer(serializers.Serializer[Any]):
    a = serializers.IntegerField(min_value=1, max_value=2**63 - 1)
    b = serializers.IntegerField(min_value=1, max_value=2**63 - 1)
    metric = serializers.CharField(default="", max_length=40)


class QueryDifferenceSerializer(serializers.Serializer[Any]):
    query = serializers.CharField()
    difference = serializers.FloatField()


class ComparisonSerializer(serializers.Serializer[Any]):
    """Means and differences are null where no query was scored by both."""

    a = serializers.IntegerField()
    b = serializers.IntegerField()
    benchmark = serializers.CharField()
    metric = serializers.CharField()
    queries = serializers.IntegerField(help_text="Scored by both.")
    mean_a = serializers.FloatField(allow_null=True)
    mean_b = serializers.FloatField(allow_null=True)
    difference = serializers.FloatField(allow_null=True, help_text="b less a.")
    interval = serializers.ListField(
        child=serializers.FloatField(), allow_null=True, help_text="95 % percentile bootstrap of the mean difference."
    )
    p_value = serializers.FloatField(allow_null=True, help_text="Paired randomisation test, two-sided.")
    resamples = serializers.IntegerField()
    better = serializers.IntegerField(help_text="Queries that score higher in b.")
    worse = serializers.IntegerField()
    same = serializers.IntegerField()
    pins = serializers.DictField(help_text="What differs between the runs: name to the values of a and b.")
    differences = QueryDifferenceSerializer(many=True)
