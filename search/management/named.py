"""What commands name: found by slug or name, else a CommandError with the choices."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError
from django.db.models import QuerySet

from catalog.models import Benchmark, Collection
from search.builds import index_for
from search.models import FeatureModel, SearchIndex

SHOWN = 20


def collection_named(wanted: str) -> Collection:
    """By slug, else by name."""
    found = Collection.objects.filter(slug=wanted).first() or Collection.objects.filter(name=wanted).first()
    if found is None:
        raise CommandError(f"There is no collection '{wanted}'. There are: {_some(Collection.objects.all(), 'slug')}.")
    return found


def feature_model_named(wanted: str) -> FeatureModel:
    found = FeatureModel.objects.filter(name=wanted).first()
    if found is None:
        there = _some(FeatureModel.objects.all(), "name")
        raise CommandError(f"There is no feature model '{wanted}'. There are: {there}.")
    return found


def index_named(collection: str, name: str | None) -> SearchIndex:
    """The collection's index of that name; its default one without a name."""
    found = collection_named(collection)
    if name is None:
        return index_for(found)
    indexes = SearchIndex.objects.filter(collection=found).select_related("feature_model", "active_build")
    index = indexes.filter(name=name).first()
    if index is None:
        raise CommandError(f"{found.slug} has no index '{name}'. It has: {_some(indexes, 'name')}.")
    return index


def benchmark_named(collection: Collection, name: str) -> Benchmark:
    benchmarks = Benchmark.objects.filter(collection=collection)
    found = benchmarks.filter(name=name).first()
    if found is None:
        raise CommandError(f"{collection.slug} has no benchmark '{name}'. It has: {_some(benchmarks, 'name')}.")
    return found


def _some(rows: QuerySet[Any], field: str) -> str:
    return ", ".join(rows.values_list(field, flat=True)[:SHOWN]) or "none"
