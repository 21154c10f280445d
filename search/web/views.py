"""The pages that answer: what looks like a picture, and one picture of the catalog; logging in and out."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import views as auth_views
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from catalog.errors import LookalikeError
from catalog.models import Collection, Image, ImageRole
from search import services
from search.web.asked import asked_of, example_of
from search.web.cards import Card, card, cards, facts, picture_url, price, shop_url, stocked
from search.web.context import foot, page, upload_limits, visible_collection
from search.web.medical import AS_STORED, View, chooser, subject_url, view_of
from search.web.refusals import say
from search.web.results import run, search_context

ALIKE = 12  # look-alikes under one picture
LOOKED_THROUGH = 5 * ALIKE  # to find as many of different products


@require_safe
def search(request: HttpRequest, slug: str) -> HttpResponse:
    """The look-alikes of a picture. What cannot be read or searched is said in place of the grid."""
    asked = example_of(visible_collection(request, slug), request.GET)
    results, error, status = None, "", 200
    try:
        asked = asked_of(asked, request.GET)
        results = run(asked)
    except LookalikeError as refusal:
        error, status = say(refusal), refusal.status
    context = {**search_context(request, asked, results, error), **upload_limits()}
    return page(request, "web/search.html", context, status)


@require_safe
def image(request: HttpRequest, slug: str, image_id: int) -> HttpResponse:
    """One picture of the catalog, large, with its product, its other pictures and its look-alikes."""
    collection = visible_collection(request, slug)
    shown = _gallery_image(collection, image_id)
    product = shown.product
    others = list(product.images.filter(role=ImageRole.GALLERY).exclude(pk=shown.pk)[:24]) if product else []
    alike, error = _alike(shown, len(others))
    view = _view(request)
    context = {
        "collection": collection,
        "image": shown,
        "card": card(shown, slug),
        "picture": subject_url(shown, view) or picture_url(shown),
        "chooser": chooser(shown, view),
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


def _view(request: HttpRequest) -> View:
    """A window that cannot be read is the stored one: the page is about the picture."""
    try:
        return view_of(request.GET)
    except LookalikeError:
        return AS_STORED


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
    return cards(best[:ALIKE], image.collection.slug, f"image={image.pk}"), ""


class Login(auth_views.LoginView):
    """For members of private collections, staff or not."""

    template_name = "web/login.html"
    redirect_authenticated_user = True

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(**kwargs, **foot())


class Logout(auth_views.LogoutView):
    next_page = "/"
