"""What every page has: the collections to switch between, and a policy on what it may load."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render

from catalog.models import Collection
from search import services
from search.web.forms import MOST_PICTURES, TooManyPictures, too_large
from search.web.refusals import say

# Nothing from elsewhere; pictures may also be a file that is just being sent. Style attributes hold a box.
CONTENT_SECURITY_POLICY = (
    "default-src 'self'; img-src 'self' blob: data:; style-src 'self' 'unsafe-inline'; object-src 'none'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
MENU_LENGTH = 30


def visible_collection(request: HttpRequest, slug: str) -> Collection:
    """The collection, if this visitor may see it; to anyone else it does not exist."""
    collection: Collection = get_object_or_404(services.collections_for(request.user), slug=slug)
    return collection


def foot() -> dict[str, int]:
    """What the foot of every page says."""
    return {"retention_days": settings.QUERY_RETENTION_DAYS}


def upload_limits() -> dict[str, Any]:
    """What the page's script refuses without sending it."""
    many = TooManyPictures(most=MOST_PICTURES)
    return {
        "max_bytes": settings.IMAGE_MAX_BYTES,
        "too_large": say(too_large()),
        "max_pictures": MOST_PICTURES,
        "too_many": say(many),
    }


def page(
    request: HttpRequest, template: str, context: Mapping[str, Any] | None = None, status: int = 200
) -> HttpResponse:
    """Render a page of the site with what its frame needs."""
    menu = list(services.collections_for(request.user)[: MENU_LENGTH + 1])
    listed = {"menu": menu[:MENU_LENGTH], "menu_goes_on": len(menu) > MENU_LENGTH}
    response = render(request, template, {**listed, **foot(), **(context or {})}, status=status)
    response["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    response["Cache-Control"] = "private, no-cache"  # 'back' shows the page; a reload asks again
    return response
