"""Whether the site works: for load balancers without a key, with counts of waiting work for keys."""

from __future__ import annotations

import platform
import secrets
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import cache as once
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import django
from django.conf import settings
from django.core.cache import cache
from django.db import connection
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from catalog.models import ImportJob
from search.api import examples
from search.api.authentication import ApiKeyAuthentication
from search.api.permissions import visible_collections
from search.api.schema import endpoint
from search.api.views.base import ApiView
from search.cache_counts import cache_counts
from search.models import ApiKey, EvaluationRun, IndexBuild, SearchIndex

Probe = dict[str, Any]


class ProbeSerializer(serializers.Serializer[Probe]):
    status = serializers.CharField(help_text="ok or failing.")
    engine = serializers.CharField()
    ms = serializers.FloatField(help_text="Milliseconds until it answered.")


class WorkSerializer(serializers.Serializer[Any]):
    """Jobs that wait or run, in the collections the key sees."""

    imports = serializers.IntegerField()
    builds = serializers.IntegerField()
    evaluations = serializers.IntegerField()


class CacheSerializer(serializers.Serializer[Any]):
    """How often the caches had what a search of an index asked for: see docs/caching.md."""

    collection = serializers.CharField()
    index = serializers.CharField()
    hits = serializers.IntegerField(help_text="Searches answered from the cache.")
    misses = serializers.IntegerField()
    descriptor_hits = serializers.IntegerField(help_text="Pictures that were sent and need not be described again.")
    descriptor_misses = serializers.IntegerField()
    since = serializers.DateField()


class HealthSerializer(serializers.Serializer[Any]):
    status = serializers.CharField(help_text="ok, or failing if any part is.")
    versions = serializers.DictField(child=serializers.CharField())
    database = ProbeSerializer()
    cache = ProbeSerializer()
    work = serializers.SerializerMethodField(help_text="null without a key.")
    query_cache = serializers.SerializerMethodField(help_text="null without a key.")

    @extend_schema_field(WorkSerializer(allow_null=True))
    def get_work(self, health: dict[str, Any]) -> dict[str, int] | None:
        work: dict[str, int] | None = health["work"]
        return work

    @extend_schema_field(CacheSerializer(many=True, allow_null=True))
    def get_query_cache(self, health: dict[str, Any]) -> list[dict[str, Any]] | None:
        counts: list[dict[str, Any]] | None = health["query_cache"]
        return counts


class HealthView(ApiView):
    authentication_classes = [ApiKeyAuthentication]  # no session: it would ask the database that may be down
    throttle_classes = []
    serializer_class = HealthSerializer

    @endpoint(
        "health",
        "Whether the site works",
        tag="health",
        description="Needs no key and is not limited. 503 with the same body when something fails.",
        answers={200: (HealthSerializer, examples.HEALTH), 503: (HealthSerializer, None)},
        errors=[],
    )
    def get(self, request: Request) -> Response:
        parts = {
            "database": _probe(connection.vendor, _ask_database),
            "cache": _probe(str(settings.CACHES["default"]["BACKEND"]).rsplit(".", 1)[-1], _ask_cache),
        }
        well = all(part["status"] == "ok" for part in parts.values())
        told = well and isinstance(request.auth, ApiKey)
        health: dict[str, Any] = {"status": "ok" if well else "failing", "versions": _versions(), **parts}
        health |= {"work": _waiting(request) if told else None, "query_cache": _counts(request) if told else None}
        return Response(self.get_serializer(health).data, status=200 if well else 503)


def _probe(engine: str, ask: Callable[[], None]) -> Probe:
    began = time.perf_counter()
    try:
        ask()
        status = "ok"
    except Exception:  # whatever a driver raises: the part does not work
        status = "failing"
    return {"status": status, "engine": engine, "ms": round((time.perf_counter() - began) * 1000, 2)}


def _ask_database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def _ask_cache() -> None:
    token = secrets.token_hex(4)
    cache.set("api-health", token, timeout=10)
    if cache.get("api-health") is None:
        raise LookupError("the cache forgets at once")
    if getattr(cache, "is_away", False):
        raise OSError("this process's memory stands in for Redis")


def _waiting(request: Request) -> dict[str, int]:
    seen = visible_collections(request)
    return {
        "imports": ImportJob.objects.unfinished().filter(collection__in=seen).count(),
        "builds": IndexBuild.objects.unfinished().filter(index__collection__in=seen).count(),
        "evaluations": EvaluationRun.objects.unfinished().filter(index__collection__in=seen).count(),
    }


def _counts(request: Request) -> list[dict[str, Any]]:
    seen = visible_collections(request)
    indexes = SearchIndex.objects.filter(collection__in=seen).order_by("collection__slug", "name")
    rows = list(indexes.values_list("pk", "collection__slug", "name"))
    counted = cache_counts([pk for pk, _, _ in rows])
    return [
        {"collection": slug, "index": name, **asdict(counted[pk])} | {"since": counted[pk].since.isoformat()}
        for pk, slug, name in rows
        if pk in counted
    ]


@once
def _versions() -> dict[str, str]:
    packages = {"lookalike": "lookalike", "faiss": "faiss-cpu"}
    found = {"python": platform.python_version(), "django": django.get_version()}
    for name, package in packages.items():
        try:
            found[name] = version(package)
        except PackageNotFoundError:
            found[name] = "unknown"
    return found
