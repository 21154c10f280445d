"""Indexes: how a collection is searched."""

from __future__ import annotations

from django.db.models import QuerySet
from rest_framework.request import Request
from rest_framework.response import Response

from search.api import examples
from search.api.errors import IndexMissing
from search.api.idempotency import idempotent
from search.api.schema import NO_COLLECTION, endpoint
from search.api.serializers.jobs import BuildSerializer, IndexSerializer
from search.api.views.base import CollectionView
from search.api.views.search import index_get
from search.builds import NoOlderBuild, build_rollback
from search.models import Scope, SearchIndex

NO_INDEX = IndexMissing(name="main")


class IndexesView(CollectionView):
    serializer_class = IndexSerializer

    @endpoint(
        "indexes_list",
        "List the indexes of a collection",
        tag="indexes",
        answers={200: (IndexSerializer(many=True), examples.INDEX)},
    )
    def get(self, request: Request, slug: str) -> Response:
        rows: QuerySet[SearchIndex] = SearchIndex.objects.filter(collection=self.collection)
        return self.page(rows.select_related("feature_model"))


class IndexDetailView(CollectionView):
    serializer_class = IndexSerializer

    @endpoint(
        "indexes_get",
        "An index",
        tag="indexes",
        answers={200: (IndexSerializer, examples.INDEX)},
        errors=[NO_COLLECTION, NO_INDEX],
    )
    def get(self, request: Request, slug: str, name: str) -> Response:
        return Response(self.get_serializer(index_get(self.collection, name)).data)


class IndexRollbackView(CollectionView):
    write_scope = Scope.ADMIN
    serializer_class = BuildSerializer

    @endpoint(
        "indexes_rollback",
        "Go back to the build before the active one",
        tag="indexes",
        description="Answers with the build that is active now.",
        answers={200: (BuildSerializer, {**examples.BUILD, "state": "done", "percent": 100, "is_active": True})},
        scope=Scope.ADMIN,
        errors=[NO_COLLECTION, NO_INDEX, NoOlderBuild(index="lamps/main")],
        once=True,
    )
    @idempotent
    def post(self, request: Request, slug: str, name: str) -> Response:
        build = build_rollback(index_get(self.collection, name))
        build.refresh_from_db()
        return Response(self.get_serializer(build).data)
