"""What all endpoints share: who asks, what they may, how much, and the collection in the address."""

from __future__ import annotations

import logging
from typing import Any, ClassVar

from django.http import HttpResponseBase
from kombu.exceptions import OperationalError as BrokerDown
from rest_framework.authentication import SessionAuthentication
from rest_framework.exceptions import ParseError
from rest_framework.generics import GenericAPIView
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response

from catalog.jobs import Job
from catalog.models import Collection
from search.api.authentication import ApiKeyAuthentication
from search.api.errors import AddressUnknown, JobFinished
from search.api.pagination import Pages
from search.api.permissions import HasScope, collection_get
from search.api.throttling import RateThrottle, Usage
from search.api.uploads import body_check
from search.models import Scope

logger = logging.getLogger(__name__)


class ApiView(GenericAPIView[Any]):
    """Base of every endpoint. Reading needs ``read_scope``, all else ``write_scope``."""

    authentication_classes = [ApiKeyAuthentication, SessionAuthentication]
    permission_classes = [HasScope]
    throttle_classes = [RateThrottle]
    pagination_class: type[BasePagination] = Pages
    metadata_class = None
    read_scope: ClassVar[Scope] = Scope.READ
    write_scope: ClassVar[Scope] = Scope.WRITE

    @property
    def file_limit(self) -> int:
        """Bytes of the largest file this address takes; 0: none."""
        return 0

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        _address_check(request)
        body_check(request, self.file_limit)  # before that: looking for a session's CSRF token reads the body
        super().initial(request, *args, **kwargs)

    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:
        return super().perform_content_negotiation(request, force=True)  # always JSON, whatever Accept says

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        usage = getattr(request, "rate_usage", None)
        if isinstance(usage, Usage) and isinstance(response, HttpResponseBase):
            for name, value in usage.headers().items():
                response[name] = value
        return super().finalize_response(request, response, *args, **kwargs)

    def page(self, rows: Any) -> Response:
        """One page of ``rows`` through the view's serializer."""
        found = self.paginate_queryset(rows)
        return self.get_paginated_response(self.get_serializer(found, many=True).data)

    def checked(self, serializer: type[Any], data: Any) -> dict[str, Any]:
        """A body, checked and converted. Raises ValidationError."""
        body = serializer(data=data, context=self.get_serializer_context())
        body.is_valid(raise_exception=True)
        return dict(body.validated_data)


def _address_check(request: Request) -> None:
    """Postgres takes no NUL in a text, wherever it is looked up. Raises ParseError."""
    values = [value for _name, listed in request.query_params.lists() for value in listed]
    if any("\0" in text for text in (request.path_info, *request.query_params, *values)):
        raise ParseError


class CollectionView(ApiView):
    """Base of what lies under ``/collections/{slug}/``: ``self.collection`` is one the request may see."""

    collection: Collection

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        self.collection = collection_get(request, kwargs["slug"])


class Unknown(ApiView):
    """Whatever no other address matched: refused in the API's own shape instead of a page."""

    schema = None
    write_scope = Scope.READ  # nothing here is not a secret

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        raise AddressUnknown(path=request.path)


def enqueue(task: Any, job: Job) -> None:
    """Start the work. With the broker down the row stays queued, and jobs_resume finds it."""
    try:
        task.delay_on_commit(job.pk)
    except BrokerDown as error:
        logger.error("%s %s waits for the broker: %s", type(job).__name__, job.pk, error)


def job_cancel(job: Job) -> None:
    """Ask a job to stop. Raises JobFinished."""
    if job.is_finished:
        raise JobFinished(state=job.state)
    job.cancel()
