"""The pages: choose a collection, ask with a picture, see what looks like it, look at one."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth import views as auth_views
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import redirect
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_http_methods, require_safe

from catalog.errors import LookalikeError
from catalog.models import Collection, Image, ImageRole
from search import services
from search.web.asked import Asked, asked_of, subject_of
from search.web.cards import Card, card, cards, facts, picture_url, price, shop_url, stocked
from search.web.context import foot, page, visible_collection
from search.web.forms import QueryForm, body_check, too_large
from search.web.refusals import say
from search.web.results import run, search_context
from search.web.samples import picture_count, samples

TRIES = 12  # pictures offered under the drop zone
ALIKE = 12  # look-alikes under one picture
LOOKED_THROUGH = 5 * ALIKE  # to find as many of different products


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """One collection: straight to it. Several: a card each. None: what to do about it."""
    visible = list(services.collections_for(request.user))
    if len(visible) == 1:
        return redirect("web:collection", slug=visible[0].slug)
    shelves = [(one, samples(one, 4), picture_count(one)) for one in visible]
    shown = [(one, [card(image, one.slug) for image in pictures], count) for one, pictures, count in shelves]
    return page(request, "web/home.html", {"shelves": shown})


@require_safe
def collection(request: HttpRequest, slug: str) -> HttpResponse:
    return ask_page(request, visible_collection(request, slug))


def ask_page(
    request: HttpRequest, collection: Collection, *, error: str = "", url: str = "", status: int = 200
) -> HttpResponse:
    """The page with the drop zone; after a refusal it says why and keeps the address that was typed."""
    tries = [card(image, collection.slug) for image in samples(collection, TRIES)]
    context = {
        "collection": collection,
        "tries": tries,
        "count": picture_count(collection),
        "error": error,
        "url": url,
        **upload_limits(),
    }
    return page(request, "web/collection.html", context, status)


def upload_limits() -> dict[str, Any]:
    """What the page's script refuses without sending it."""
    return {"max_bytes": settings.IMAGE_MAX_BYTES, "too_large": say(too_large())}


@csrf_exempt  # its token is checked below, once it is known that the body is worth reading
@require_http_methods(["GET", "HEAD", "POST"])
def query(request: HttpRequest, slug: str) -> HttpResponse:
    """Take a picture and answer with the address of its results (303, or JSON for the page's own script)."""
    collection = visible_collection(request, slug)
    if request.method != "POST":  # reached by 'back' or by the language switch of a refused upload
        return redirect("web:collection", slug=slug)
    try:
        body_check(request)
    except LookalikeError as error:
        return _refused(request, collection, error)
    return _query(request, collection)


@csrf_protect
def _query(request: HttpRequest, collection: Collection) -> HttpResponse:
    form = QueryForm(request.POST, request.FILES)
    try:
        asked = Asked(collection, services.query_upload(collection, form.data_bytes()))
    except LookalikeError as error:
        return _refused(request, collection, error, url=request.POST.get("url", ""))
    if _wants_json(request):
        return JsonResponse({"url": asked.href()})
    return HttpResponseRedirect(asked.href(), status=303)


def _refused(request: HttpRequest, collection: Collection, error: LookalikeError, url: str = "") -> HttpResponse:
    said = say(error)
    if _wants_json(request):
        return JsonResponse({"error": {"code": error.code, "message": said}}, status=error.status)
    return ask_page(request, collection, error=said, url=url, status=error.status)


def _wants_json(request: HttpRequest) -> bool:
    return request.get_preferred_type(["text/html", "application/json"]) == "application/json"


@require_safe
def search(request: HttpRequest, slug: str) -> HttpResponse:
    """The look-alikes of a picture. What cannot be read or searched is said in place of the grid."""
    collection = visible_collection(request, slug)
    asked = Asked(collection, subject_of(collection, request.GET))
    results, error, status = None, "", 200
    try:
        asked = asked_of(collection, request)
        results = run(asked)
    except LookalikeError as refusal:
        error, status = say(refusal), refusal.status
    context = {**search_context(asked, request.GET, results, error), **upload_limits()}
    return page(request, "web/search.html", context, status)


@require_safe
def image(request: HttpRequest, slug: str, image_id: int) -> HttpResponse:
    """One picture of the catalog, large, with its product, its other pictures and its look-alikes."""
    collection = visible_collection(request, slug)
    shown = _gallery_image(collection, image_id)
    product = shown.product
    others = list(product.images.filter(role=ImageRole.GALLERY).exclude(pk=shown.pk)[:24]) if product else []
    alike, error = _alike(shown, len(others))
    context = {
        "collection": collection,
        "image": shown,
        "card": card(shown, slug),
        "picture": picture_url(shown),
        "product": product,
        "price": price(product.price, product.currency) if product else "",
        "in_stock": stocked(product),
        "shop_url": shop_url(product) if product else "",
        "facts": facts(product) if product else [],
        "others": [card(other, slug) for other in others],
        "alike": alike,
        "error": error,
        **upload_limits(),
    }
    return page(request, "web/image.html", context)


def _gallery_image(collection: Collection, image_id: int) -> Image:
    try:
        return Image.objects.select_related("product", "collection").get(
            collection=collection, role=ImageRole.GALLERY, pk=image_id
        )
    except (Image.DoesNotExist, OverflowError):
        raise Http404 from None


def _alike(image: Image, others: int) -> tuple[list[Card], str]:
    """The best picture of each other product; the product's own pictures are shown apart."""
    try:
        results = services.search_by_image(image.collection, image, k=LOOKED_THROUGH + others, source="web")
    except LookalikeError as error:
        return [], say(error)
    seen, best = {image.product_id} - {None}, []
    for hit in results.hits:
        if hit.image.product_id not in seen:
            best.append(hit)
            seen |= {hit.image.product_id} - {None}
    return cards(best[:ALIKE], image.collection.slug), ""


class Login(auth_views.LoginView):
    """For members of private collections, staff or not."""

    template_name = "web/login.html"
    redirect_authenticated_user = True

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(**kwargs, **foot())


class Logout(auth_views.LogoutView):
    next_page = "/"
