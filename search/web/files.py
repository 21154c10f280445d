"""Stored pictures, served to those who may see them.

A stored picture's name is its content, so it never changes; what may be seen is asked of the database
each time, by the content hash in the name.
"""

from __future__ import annotations

import mimetypes
import uuid
from pathlib import PurePosixPath

from django.core.files.storage import default_storage
from django.db.models import Q, QuerySet
from django.http import FileResponse, Http404, HttpRequest, HttpResponseNotModified
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.utils.cache import patch_cache_control
from django.views.decorators.http import require_safe

from catalog.models import Collection, Image, ImportJob
from search import services
from search.api.authentication import active_key, presented_key
from search.models import UploadedQuery

DAY_S = 24 * 3600


@require_safe
def media(request: HttpRequest, name: str) -> HttpResponseBase:
    """A picture, its thumbnail, or (for staff) the file of an import."""
    if "\x00" in name:  # Postgres refuses to be asked for it
        raise Http404
    if name.startswith("imports/"):
        return _import_file(request, name)
    return _picture(request, name)


@require_safe
def preview(request: HttpRequest, query_id: uuid.UUID) -> HttpResponseBase:
    """A visitor's own picture, small; kept private and briefly, as the row is."""
    uploaded = get_object_or_404(
        UploadedQuery, pk=query_id, collection__in=services.collections_for(request.user).values("pk")
    )
    return _send(request, uploaded.preview.name or "", etag=f"{uploaded.sha256}-preview", public=False, max_age=DAY_S)


def _picture(request: HttpRequest, name: str) -> HttpResponseBase:
    """Only a name that a visible picture's row holds is opened, so no path can lead elsewhere."""
    digest = PurePosixPath(name).stem
    rows = Image.objects.filter(Q(file=name) | Q(thumbnail=name), sha256=digest)
    is_public = rows.filter(collection__is_public=True).exists()
    if not is_public and not rows.filter(collection__in=visible(request).values("pk")).exists():
        raise Http404
    etag = f"{digest}-{PurePosixPath(name).parts[0]}"
    # A day, though the content never changes: a cache must not show for long what was deleted or made private.
    return _send(request, name, etag=etag, public=is_public, max_age=DAY_S)


def visible(request: HttpRequest) -> QuerySet[Collection]:
    """Collections of the API key that the request carries, for apps; else those of the visitor."""
    presented = presented_key(request)
    key = active_key(presented) if presented else None
    return key.visible_collections() if key else services.collections_for(request.user)


def _import_file(request: HttpRequest, name: str) -> HttpResponseBase:
    known = ImportJob.objects.filter(Q(upload=name) | Q(report=name)).exists()
    if not (known and request.user.is_staff and request.user.has_perm("catalog.view_importjob")):
        raise Http404
    response = _send(request, name, etag="", public=False, max_age=0)
    response["Content-Disposition"] = f'attachment; filename="{PurePosixPath(name).name}"'
    return response


def _send(request: HttpRequest, name: str, *, etag: str, public: bool, max_age: int) -> HttpResponseBase:
    quoted = f'"{etag}"'
    known = bool(etag) and request.headers.get("If-None-Match") == quoted
    response: HttpResponseBase = HttpResponseNotModified() if known else _open(name)
    if etag:
        response["ETag"] = quoted
    patch_cache_control(response, **{"public" if public else "private": True}, max_age=max_age, immutable=bool(etag))
    # A picture opened on its own is shown as a picture and runs nothing.
    response["Content-Security-Policy"] = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
    return response


def _open(name: str) -> FileResponse:
    try:
        file = default_storage.open(name, "rb")
    except FileNotFoundError:
        raise Http404 from None
    return FileResponse(file, content_type=mimetypes.guess_type(name)[0] or "application/octet-stream")
