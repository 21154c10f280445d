"""Addresses of the API, to be included at ``/api/``."""

from __future__ import annotations

from typing import Any

from django.urls import include, path, re_path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

from search.api.views import builds, collections, duplicates, evaluations, images, imports, indexes, products
from search.api.views.base import Unknown
from search.api.views.explain import ExplainView, HeatMapView
from search.api.views.health import HealthView
from search.api.views.search import SearchView

app_name = "api"

_collection = [
    path("", collections.CollectionDetailView.as_view(), name="collection"),
    path("products/", products.ProductsView.as_view(), name="products"),
    path("products/<path:sku>/", products.ProductDetailView.as_view(), name="product"),
    path("images/", images.ImagesView.as_view(), name="images"),
    path("images/<int:pk>/", images.ImageDetailView.as_view(), name="image"),
    path("imports/", imports.ImportsView.as_view(), name="imports"),
    path("imports/<int:pk>/", imports.ImportDetailView.as_view(), name="import"),
    path("imports/<int:pk>/cancel/", imports.ImportCancelView.as_view(), name="import-cancel"),
    path("imports/<int:pk>/report/", imports.ImportReportView.as_view(), name="import-report"),
    path("indexes/", indexes.IndexesView.as_view(), name="indexes"),
    path("indexes/<path:name>/rollback/", indexes.IndexRollbackView.as_view(), name="index-rollback"),
    path("indexes/<path:name>/", indexes.IndexDetailView.as_view(), name="index"),
    path("builds/", builds.BuildsView.as_view(), name="builds"),
    path("builds/<int:pk>/", builds.BuildDetailView.as_view(), name="build"),
    path("builds/<int:pk>/activate/", builds.BuildActivateView.as_view(), name="build-activate"),
    path("builds/<int:pk>/cancel/", builds.BuildCancelView.as_view(), name="build-cancel"),
    path("duplicates/", duplicates.DuplicatesView.as_view(), name="duplicates"),
    path("duplicates/scan/", duplicates.DuplicateScansView.as_view(), name="duplicate-scans"),
    path("duplicates/scan/<int:pk>/", duplicates.DuplicateScanDetailView.as_view(), name="duplicate-scan"),
    path("duplicates/scan/<int:pk>/cancel/", duplicates.DuplicateScanCancelView.as_view(), name="duplicate-cancel"),
    path("duplicates/<int:pk>/", duplicates.DuplicateDetailView.as_view(), name="duplicate"),
    path("benchmarks/", evaluations.BenchmarksView.as_view(), name="benchmarks"),
    path("evaluations/", evaluations.EvaluationsView.as_view(), name="evaluations"),
    path("evaluations/compare/", evaluations.EvaluationCompareView.as_view(), name="evaluations-compare"),
    path("evaluations/<int:pk>/", evaluations.EvaluationDetailView.as_view(), name="evaluation"),
    path("evaluations/<int:pk>/cancel/", evaluations.EvaluationCancelView.as_view(), name="evaluation-cancel"),
    path("evaluations/<int:pk>/queries/", evaluations.EvaluationQueriesView.as_view(), name="evaluation-queries"),
]
_documents: dict[str, Any] = {"authentication_classes": [], "permission_classes": []}
_v1 = [
    path("search/", SearchView.as_view(), name="search"),
    path("explain/", ExplainView.as_view(), name="explain"),
    path("explain/heat-map/", HeatMapView.as_view(), name="explain-heat-map"),
    path("collections/", collections.CollectionsView.as_view(), name="collections"),
    path("collections/<slug:slug>/", include(_collection)),
    path("health/", HealthView.as_view(), name="health"),
    path("schema/", SpectacularAPIView.as_view(**_documents), name="schema"),
    path("docs/", SpectacularSwaggerView.as_view(url_name="api:schema", **_documents), name="docs"),
]
urlpatterns = [
    path("v1/", include(_v1)),
    re_path(r"^.*$", Unknown.as_view()),
]
