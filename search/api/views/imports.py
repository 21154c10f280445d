"""Imports: a CSV or a ZIP becomes a job."""

from __future__ import annotations

from django.conf import settings
from django.db.models import QuerySet
from django.http import FileResponse
from drf_spectacular.types import OpenApiTypes
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from catalog.models import ImportJob
from catalog.services import import_create
from catalog.tasks import import_run
from search.api import examples
from search.api.errors import JobFinished, JobMissing, UploadTooLarge
from search.api.idempotency import idempotent
from search.api.pagination import NewestFirst
from search.api.permissions import acting_user
from search.api.schema import FORM, NO_COLLECTION, endpoint
from search.api.serializers.jobs import ImportSerializer, ImportUploadSerializer
from search.api.views.base import CollectionView, enqueue, job_cancel
from search.builds import index_for
from search.models import Scope

NO_JOB = JobMissing(id=31)


class ImportView(CollectionView):
    read_scope = Scope.WRITE  # rows and reports tell file names and addresses of the one who imports
    serializer_class = ImportSerializer
    pagination_class = NewestFirst

    def get_queryset(self) -> QuerySet[ImportJob]:
        return ImportJob.objects.filter(collection=self.collection).select_related("collection")

    def job(self, pk: int) -> ImportJob:
        job = self.get_queryset().filter(pk=pk).first()
        if job is None:
            raise JobMissing(id=pk)
        return job


class ImportsView(ImportView):
    parser_classes = [MultiPartParser]

    @property
    def file_limit(self) -> int:
        return settings.ARCHIVE_MAX_BYTES

    @endpoint(
        "imports_list",
        "List imports, newest first",
        tag="imports",
        answers={200: (ImportSerializer(many=True), examples.IMPORT)},
        scope=Scope.WRITE,
    )
    def get(self, request: Request, slug: str) -> Response:
        return self.page(self.get_queryset())

    @endpoint(
        "imports_start",
        "Import a CSV, a ZIP or a list of addresses",
        tag="imports",
        description="Answers at once; follow the progress at the job's address.",
        body={FORM: ImportUploadSerializer},
        asks={FORM: {"file": "(the file)"}},
        answers={202: (ImportSerializer, examples.IMPORT)},
        scope=Scope.WRITE,
        once=True,
    )
    @idempotent
    def post(self, request: Request, slug: str) -> Response:
        body = self.checked(ImportUploadSerializer, request.data)
        upload = body["file"]
        if upload.size > settings.ARCHIVE_MAX_BYTES:
            raise UploadTooLarge(size=upload.size, limit=settings.ARCHIVE_MAX_BYTES)
        index_for(self.collection)  # without an index nothing would embed the pictures
        job = import_create(self.collection, upload=upload, user=acting_user(request), role=body["role"])
        enqueue(import_run, job)
        return Response(self.get_serializer(job).data, status=202)


class ImportDetailView(ImportView):
    @endpoint(
        "imports_get",
        "An import's progress",
        tag="imports",
        answers={200: (ImportSerializer, examples.IMPORT)},
        scope=Scope.WRITE,
        errors=[NO_COLLECTION, NO_JOB],
    )
    def get(self, request: Request, slug: str, pk: int) -> Response:
        return Response(self.get_serializer(self.job(pk)).data)


class ImportCancelView(ImportView):
    @endpoint(
        "imports_cancel",
        "Cancel an import",
        tag="imports",
        description="What was imported stays; starting it again goes on without duplicates.",
        answers={200: (ImportSerializer, examples.IMPORT)},
        scope=Scope.WRITE,
        errors=[NO_COLLECTION, NO_JOB, JobFinished(state="done")],
        once=True,
    )
    @idempotent
    def post(self, request: Request, slug: str, pk: int) -> Response:
        job = self.job(pk)
        job_cancel(job)
        return Response(self.get_serializer(job).data)


class ImportReportView(ImportView):
    @endpoint(
        "imports_report",
        "The report of an import's bad rows",
        tag="imports",
        answers={(200, "text/csv"): (OpenApiTypes.BINARY, None)},
        scope=Scope.WRITE,
        errors=[NO_COLLECTION, NO_JOB],
    )
    def get(self, request: Request, slug: str, pk: int) -> FileResponse:
        job = self.job(pk)
        if not job.report:
            raise JobMissing(id=pk)
        return FileResponse(job.report.open("rb"), as_attachment=True, content_type="text/csv; charset=utf-8")
