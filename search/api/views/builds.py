"""Builds of an index: started, followed, activated, cancelled."""

from __future__ import annotations

from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework.parsers import JSONParser
from rest_framework.request import Request
from rest_framework.response import Response

from search.api import examples
from search.api.errors import IndexMissing, JobFinished, JobMissing
from search.api.idempotency import idempotent
from search.api.pagination import NewestFirst
from search.api.permissions import acting_user
from search.api.schema import JSON, NO_COLLECTION, endpoint
from search.api.serializers.jobs import BuildSerializer, BuildStartSerializer
from search.api.views.base import CollectionView, enqueue, job_cancel
from search.api.views.search import index_get
from search.builds import BuildAlreadyRunning, BuildNotReady, build_activate, build_create, index_for
from search.models import IndexBuild, Scope
from search.tasks import build_run

NO_JOB = JobMissing(id=31)
_DONE = {**examples.BUILD, "state": "done", "percent": 100, "finished": examples.JOB["created"]}


class BuildView(CollectionView):
    write_scope = Scope.ADMIN
    parser_classes = [JSONParser]
    serializer_class = BuildSerializer
    pagination_class = NewestFirst

    def get_queryset(self) -> QuerySet[IndexBuild]:
        return IndexBuild.objects.filter(index__collection=self.collection).select_related("index")

    def build(self, pk: int) -> IndexBuild:
        build = self.get_queryset().filter(pk=pk).first()
        if build is None:
            raise JobMissing(id=pk)
        return build


class BuildsView(BuildView):
    @endpoint(
        "builds_list",
        "List builds, newest first",
        tag="builds",
        parameters=[OpenApiParameter("index", OpenApiTypes.STR, description="Name of an index: its builds only.")],
        answers={200: (BuildSerializer(many=True), _DONE)},
    )
    def get(self, request: Request, slug: str) -> Response:
        name = request.query_params.get("index")
        return self.page(self.get_queryset().filter(**({"index__name": name} if name else {})))

    @endpoint(
        "builds_start",
        "Start a build",
        tag="builds",
        description="Answers at once; follow the progress at the build's address.",
        body=BuildStartSerializer,
        asks={JSON: examples.BUILD_START},
        answers={202: (BuildSerializer, examples.BUILD)},
        scope=Scope.ADMIN,
        errors=[NO_COLLECTION, IndexMissing(name="main"), BuildAlreadyRunning(index="lamps/main")],
        once=True,
    )
    @idempotent
    def post(self, request: Request, slug: str) -> Response:
        body = self.checked(BuildStartSerializer, request.data)
        index = index_get(self.collection, body["index"]) if "index" in body else index_for(self.collection)
        build = build_create(index, user=acting_user(request), activate=body["activate"], factory=body.get("factory"))
        enqueue(build_run, build)
        return Response(self.get_serializer(build).data, status=202)


class BuildDetailView(BuildView):
    @endpoint(
        "builds_get",
        "A build and its progress",
        tag="builds",
        answers={200: (BuildSerializer, _DONE)},
        errors=[NO_COLLECTION, NO_JOB],
    )
    def get(self, request: Request, slug: str, pk: int) -> Response:
        return Response(self.get_serializer(self.build(pk)).data)


class BuildActivateView(BuildView):
    @endpoint(
        "builds_activate",
        "Serve this build",
        tag="builds",
        answers={200: (BuildSerializer, {**_DONE, "is_active": True})},
        scope=Scope.ADMIN,
        errors=[NO_COLLECTION, NO_JOB, BuildNotReady(build="lamps/main #31", reason="it is running")],
        once=True,
    )
    @idempotent
    def post(self, request: Request, slug: str, pk: int) -> Response:
        build = self.build(pk)
        build_activate(build)
        return Response(self.get_serializer(self.build(pk)).data)


class BuildCancelView(BuildView):
    @endpoint(
        "builds_cancel",
        "Cancel a build",
        tag="builds",
        answers={200: (BuildSerializer, {**examples.BUILD, "state": "cancelled"})},
        scope=Scope.ADMIN,
        errors=[NO_COLLECTION, NO_JOB, JobFinished(state="done")],
        once=True,
    )
    @idempotent
    def post(self, request: Request, slug: str, pk: int) -> Response:
        build = self.build(pk)
        job_cancel(build)
        return Response(self.get_serializer(build).data)
