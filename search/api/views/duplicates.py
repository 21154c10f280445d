"""Duplicates: start a scan, look at what it found, decide."""

from __future__ import annotations

from typing import Any

from django.db.models import Count, Q
from drf_spectacular.utils import OpenApiParameter
from rest_framework.parsers import JSONParser
from rest_framework.request import Request
from rest_framework.response import Response

from catalog.errors import LookalikeError, NotFound, gettext_noop
from search.api.duplicate_examples import DECISION, GROUP, SCAN, SCAN_START
from search.api.errors import IndexMissing, JobFinished, JobMissing
from search.api.idempotency import idempotent
from search.api.permissions import acting_user
from search.api.schema import JSON, NO_COLLECTION, endpoint
from search.api.serializers.duplicates import (
    DuplicateDecisionSerializer,
    DuplicateGroupSerializer,
    DuplicateScanSerializer,
    DuplicateScanStartSerializer,
)
from search.api.views.base import CollectionView, enqueue, job_cancel
from search.api.views.search import index_get
from search.duplicates.decisions import (
    AlreadyDecided,
    NotInGroup,
    SeveralProducts,
    group_dismiss,
    group_keep,
    group_merge,
    group_reopen,
)
from search.duplicates.scans import ScanRunning, scan_create
from search.models import DuplicateGroup, DuplicateScan, Scope
from search.models.duplicates import DuplicateKind, DuplicateState
from search.tasks import duplicates_scan


class GroupMissing(NotFound):
    code = "group_not_found"
    text = gettext_noop("There is no group of duplicates %(id)s in this collection.")


class BadGroupFilter(LookalikeError):
    code = "bad_filter"
    text = gettext_noop("%(value)s is none of %(choices)s.")


NO_GROUP = GroupMissing(id=31)
NO_SCAN = JobMissing(id=31)
STATES = [choice.value for choice in DuplicateState]
KINDS = [choice.value for choice in DuplicateKind]


class DuplicateView(CollectionView):
    """Reading too needs the scope write: what is in a catalog twice is its keeper's business."""

    read_scope = Scope.WRITE
    write_scope = Scope.WRITE
    parser_classes = [JSONParser]
    serializer_class: Any = DuplicateGroupSerializer

    def groups(self) -> Any:
        """Open groups whose pictures were deleted are gone."""
        rows = DuplicateGroup.objects.filter(collection=self.collection).annotate(size=Count("members"))
        rows = rows.filter(~Q(state=DuplicateState.OPEN) | Q(size__gte=2))
        return rows.prefetch_related("members__image__product").order_by("id")

    def group(self, pk: int) -> DuplicateGroup:
        group: DuplicateGroup | None = self.groups().filter(pk=pk).first()
        if group is None:
            raise GroupMissing(id=pk)
        return group

    def scan(self, pk: int) -> DuplicateScan:
        scans = DuplicateScan.objects.filter(collection=self.collection).select_related("feature_model")
        scan: DuplicateScan | None = scans.filter(pk=pk).first()
        if scan is None:
            raise JobMissing(id=pk)
        return scan


class DuplicatesView(DuplicateView):
    @endpoint(
        "duplicates_list",
        "List groups of duplicates",
        tag="duplicates",
        answers={200: (DuplicateGroupSerializer(many=True), GROUP)},
        scope=Scope.WRITE,
        parameters=[
            OpenApiParameter("state", enum=STATES, default="open", description="What was decided; open: nothing yet."),
            OpenApiParameter("kind", enum=KINDS, description="exact: the same file; near: saved, scaled or cut."),
        ],
        errors=[NO_COLLECTION, BadGroupFilter(value="x", choices="exact, near")],
    )
    def get(self, request: Request, slug: str) -> Response:
        state, kind = request.query_params.get("state", "open"), request.query_params.get("kind")
        for value, choices in ((state, STATES), (kind, [*KINDS, None])):
            if value not in choices:
                raise BadGroupFilter(value=value, choices=", ".join(filter(None, choices)))
        rows = self.groups().filter(state=state)
        return self.page(rows.filter(kind=kind) if kind else rows)


class DuplicateDetailView(DuplicateView):
    @endpoint(
        "duplicates_get",
        "A group of duplicates",
        tag="duplicates",
        answers={200: (DuplicateGroupSerializer, GROUP)},
        scope=Scope.WRITE,
        errors=[NO_COLLECTION, NO_GROUP],
    )
    def get(self, request: Request, slug: str, pk: int) -> Response:
        return Response(self.get_serializer(self.group(pk)).data)

    @endpoint(
        "duplicates_decide",
        "Decide on a group of duplicates",
        tag="duplicates",
        description="Merging deletes pictures for good; what hung on them goes over to the one that stays.",
        body=DuplicateDecisionSerializer,
        asks={JSON: DECISION},
        answers={200: (DuplicateGroupSerializer, {**GROUP, "state": "merged", "pictures": GROUP["pictures"][:1]})},
        scope=Scope.WRITE,
        errors=[
            NO_COLLECTION,
            NO_GROUP,
            AlreadyDecided(state="merged"),
            NotInGroup(image=4711),
            SeveralProducts(products="LAMP-12"),
        ],
        once=True,
    )
    @idempotent
    def post(self, request: Request, slug: str, pk: int) -> Response:
        group = self.group(pk)
        body = self.checked(DuplicateDecisionSerializer, request.data)
        user = acting_user(request)
        if body["decision"] == "merge":
            group_merge(group, body["keep"], user, across_products=body["across_products"])
        elif body["decision"] == "reopen":
            group_reopen(group)
        else:
            {"keep": group_keep, "dismiss": group_dismiss}[body["decision"]](group, user)
        return Response(self.get_serializer(self.group(pk)).data)


class DuplicateScansView(DuplicateView):
    serializer_class = DuplicateScanSerializer

    @endpoint(
        "duplicates_scan",
        "Look for duplicates",
        tag="duplicates",
        description="Answers at once; follow the progress at the scan's address. One scan at a time.",
        body=DuplicateScanStartSerializer,
        asks={JSON: SCAN_START},
        answers={202: (DuplicateScanSerializer, {**SCAN, "state": "queued"})},
        scope=Scope.WRITE,
        errors=[NO_COLLECTION, IndexMissing(name="main"), ScanRunning(collection="Lamps")],
        once=True,
    )
    @idempotent
    def post(self, request: Request, slug: str) -> Response:
        body = self.checked(DuplicateScanStartSerializer, request.data)
        name = body.pop("index", None)
        model = index_get(self.collection, name).feature_model if name is not None else None
        scan = scan_create(self.collection, feature_model=model, user=acting_user(request), **body)
        enqueue(duplicates_scan, scan)
        return Response(self.get_serializer(scan).data, status=202)


class DuplicateScanDetailView(DuplicateView):
    serializer_class = DuplicateScanSerializer

    @endpoint(
        "duplicates_scan_get",
        "A scan for duplicates",
        tag="duplicates",
        answers={200: (DuplicateScanSerializer, SCAN)},
        scope=Scope.WRITE,
        errors=[NO_COLLECTION, NO_SCAN],
    )
    def get(self, request: Request, slug: str, pk: int) -> Response:
        return Response(self.get_serializer(self.scan(pk)).data)


class DuplicateScanCancelView(DuplicateView):
    serializer_class = DuplicateScanSerializer

    @endpoint(
        "duplicates_scan_cancel",
        "Cancel a scan for duplicates",
        tag="duplicates",
        answers={200: (DuplicateScanSerializer, {**SCAN, "state": "cancelled"})},
        scope=Scope.WRITE,
        errors=[NO_COLLECTION, NO_SCAN, JobFinished(state="done")],
        once=True,
    )
    @idempotent
    def post(self, request: Request, slug: str, pk: int) -> Response:
        scan = self.scan(pk)
        job_cancel(scan)
        return Response(self.get_serializer(scan).data)
