"""The pages that ask: choose a collection, show it pictures."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse, QueryDict
from django.shortcuts import redirect
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_http_methods, require_safe

from catalog.dicom.signature import HEAD, is_dicom, is_dicom_name
from catalog.errors import LookalikeError
from catalog.models import Collection
from search import services
from search.models import UploadedQuery
from search.web.asked import Asked, asked_of, example_of
from search.web.cards import card
from search.web.context import page, upload_limits, visible_collection
from search.web.forms import QueryForm, body_check
from search.web.refusals import say
from search.web.results import with_uploads
from search.web.samples import picture_count, samples

TRIES = 12  # pictures offered under the drop zone


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """One collection: straight to it. Several: a card each. None: what to do about it."""
    visible = list(services.collections_for(request.user))
    return redirect("web:collection", slug=visible[0].slug) if len(visible) == 1 else home_page(request)


def home_page(request: HttpRequest, **refused: Any) -> HttpResponse:
    """The page with all collections, and a drop zone that asks which of them to search."""
    visible = list(services.collections_for(request.user))
    shelves = [(one, samples(one, 4), picture_count(one)) for one in visible]
    shown = [(one, [card(image, one.slug) for image in pictures], count) for one, pictures, count in shelves]
    choices = [one for one, _, count in shelves if count]
    return _ask(request, "web/home.html", {"shelves": shown, "choices": choices}, **refused)


@require_safe
def collection(request: HttpRequest, slug: str) -> HttpResponse:
    return ask_page(request, visible_collection(request, slug))


def ask_page(request: HttpRequest, collection: Collection, **refused: Any) -> HttpResponse:
    """The page with the drop zone of one collection."""
    tries = [card(image, collection.slug) for image in samples(collection, TRIES)]
    context = {"collection": collection, "tries": tries, "count": picture_count(collection)}
    return _ask(request, "web/collection.html", context, **refused)


def _ask(
    request: HttpRequest, template: str, context: dict[str, Any], *, error: str = "", url: str = "", status: int = 200
) -> HttpResponse:
    """After a refusal it says why and keeps the address that was typed."""
    return page(request, template, {**context, "error": error, "url": url, **upload_limits()}, status)


@csrf_exempt  # its token is checked below, once it is known that the body is worth reading
@require_http_methods(["GET", "HEAD", "POST"])
def query(request: HttpRequest, slug: str = "") -> HttpResponse:
    """Take pictures and answer with the address of their results (303, or JSON for the page's own script).

    Without a slug the form names the collection.
    """
    collection = visible_collection(request, slug) if slug else None
    if request.method != "POST":  # reached by 'back' or by the language switch of a refused upload
        return redirect("web:collection", slug=slug) if slug else redirect("web:home")
    try:
        body_check(request)
    except LookalikeError as error:
        return _refused(request, collection, error)
    return _query(request, collection)


@csrf_protect
def _query(request: HttpRequest, collection: Collection | None) -> HttpResponse:
    place = collection or visible_collection(request, request.POST.get("collection", ""))
    name, uploads = "", []
    try:
        before = _before(request, place)
        for name, read in QueryForm(request.POST, request.FILES).pictures():
            data = read()
            name = "" if is_dicom(data[:HEAD]) else name
            uploads.append(services.query_upload(place, data))
    except LookalikeError as error:
        return _refused(request, collection, error, name, url=request.POST.get("url", ""))
    address = _address(place, before, uploads)
    return JsonResponse({"url": address}) if _wants_json(request) else HttpResponseRedirect(address, status=303)


def _before(request: HttpRequest, collection: Collection) -> Asked | None:
    """The question that the pictures are added to, if any."""
    if not (text := request.POST.get("asked")):
        return None
    params = QueryDict(text)
    return asked_of(example_of(collection, params), params)


def _address(collection: Collection, before: Asked | None, uploads: list[UploadedQuery]) -> str:
    if before is None:
        before, uploads = Asked(collection, uploads[0]), uploads[1:]
    return with_uploads(before, uploads).href()


def _refused(
    request: HttpRequest, collection: Collection | None, error: LookalikeError, name: str = "", url: str = ""
) -> HttpResponse:
    name = "" if is_dicom_name(name) else name
    said = f"{name}: {say(error)}" if name else say(error)
    if _wants_json(request):
        return JsonResponse({"error": {"code": error.code, "message": said}}, status=error.status)
    if collection is None:
        return home_page(request, error=said, url=url, status=error.status)
    return ask_page(request, collection, error=said, url=url, status=error.status)


def _wants_json(request: HttpRequest) -> bool:
    return request.get_preferred_type(["text/html", "application/json"]) == "application/json"
