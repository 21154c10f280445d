"""The pages behind an index's form: what each kind would be, pictures to try rules on, the trial itself."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import Max, Min
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import URLPattern, path
from django.utils.translation import gettext
from django.views.decorators.http import require_POST

from catalog.admin.base import SiteAdmin, admin_url, thumbnail_url
from catalog.errors import LookalikeError, NotFound
from catalog.models import Collection, Image, ImageRole
from search.admin.kinds import outlooks
from search.admin.rule_fields import rule_error_text
from search.admin.rule_trials import Trial, trial
from search.admin.tuning import use_point
from search.models import Engine, FeatureModel, SearchIndex

SAMPLES = 10


class IndexViews(SiteAdmin):
    def get_urls(self) -> list[URLPattern]:
        pages: dict[str, tuple[str, Callable[..., HttpResponse]]] = {
            "kinds": ("kinds/", self.kinds_view),
            "samples": ("<int:pk>/samples/", self.samples_view),
            "preview": ("<int:pk>/preview/", require_POST(self.preview_view)),
            "use_point": ("<int:pk>/use-point/", require_POST(self.use_point_view)),
        }
        own = [
            path(route, self.admin_site.admin_view(view), name=f"search_searchindex_{name}")
            for name, (route, view) in pages.items()
        ]
        return [*own, *super().get_urls()]

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """Knows whether the user may change it, for what is shown of it."""
        row = super().get_object(request, object_id, from_field)
        if row is not None:
            row.may_change = self.has_change_permission(request, row)
        return row

    def kinds_view(self, request: HttpRequest) -> JsonResponse:
        """``?collection=1&feature_model=2&engine=faiss&factory=…``: what each kind of index would be, by its value."""
        if not (self.has_add_permission(request) or self.has_change_permission(request)):
            raise PermissionDenied
        collection = Collection.objects.filter(pk=_number(request.GET.get("collection"))).first()
        feature_model = FeatureModel.objects.filter(pk=_number(request.GET.get("feature_model"))).first()
        engine, factory = request.GET.get("engine", Engine.FAISS), request.GET.get("factory", "").strip()
        return JsonResponse(outlooks(collection, feature_model, engine, factory))

    def samples_view(self, request: HttpRequest, pk: int) -> JsonResponse:
        """A few pictures of the index's collection, others each time."""
        images = some_pictures(self._index(request, pk).collection)
        shown = [{"id": image.pk, "url": thumbnail_url(image), "name": _name(image)} for image in images]
        return JsonResponse({"images": shown})

    def preview_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The hits of a picture without and with the posted rules, which need not be saved; HTML for the form."""
        index = self._index(request, pk)
        try:
            shown: dict[str, Any] = {"trial": self._trial(index, request.POST)}
        except LookalikeError as error:
            shown = {"error": rule_error_text(error)}
        status = 400 if "error" in shown else 200
        return render(request, "admin/lookalike/rules_preview.html", shown, status=status)

    def use_point_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Posted: ``made``, when the tuning was, and ``point``, the number of one of its points."""
        index = self._index(request, pk)
        try:
            use_point(index, request.POST.get("made", ""), _number(request.POST.get("point")))
        except LookalikeError as error:
            self.refuse(request, error)
        else:
            self.log_change(request, index, gettext("Took a point of the tuning: %s.") % index.factory)
            built = index.active_build is not None and index.active_build.factory == index.factory
            rest = gettext("Build the index for this change to take effect.")
            said = gettext("%s is set.") % index.factory
            self.message_user(request, said if built else f"{said} {rest}", messages.SUCCESS)
        return redirect(admin_url(index, "change", index.pk))

    def _index(self, request: HttpRequest, pk: int) -> SearchIndex:
        index = self.get_object(request, unquote(str(pk)))
        if index is None:
            raise Http404
        if not self.has_change_permission(request, index):
            raise PermissionDenied
        return index  # type: ignore[no-any-return]

    def _trial(self, index: SearchIndex, posted: Any) -> Trial:
        """Raises BadRule, NotFound and what a search raises."""
        gallery = Image.objects.filter(collection=index.collection, role=ImageRole.GALLERY)
        image = gallery.select_related("product").filter(pk=_number(posted.get("image"))).first()
        if image is None:
            raise NotFound(what=f"picture {str(posted.get('image', ''))[:20]} of this collection")
        try:
            rules = json.loads(posted.get("rules") or "[]")
        except json.JSONDecodeError:
            rules = None  # refused by the rules' own check
        return trial(index, rules, image)


def some_pictures(collection: Collection, count: int = SAMPLES) -> list[Image]:
    """Up to ``count`` gallery pictures from random places between the lowest id and the highest."""
    gallery = Image.objects.filter(collection=collection, role=ImageRole.GALLERY).select_related("product")
    ends = gallery.aggregate(low=Min("id"), high=Max("id"))
    if ends["low"] is None:
        return []
    starts = [random.randint(ends["low"], ends["high"]) for _ in range(count)]  # noqa: S311
    found = [gallery.filter(pk__gte=start).order_by("pk").first() for start in starts]
    return list({image.pk: image for image in found if image is not None}.values())


def _name(image: Image) -> str:
    return f"{image.product or image} · {image.pk}"


def _number(text: object) -> int:
    """A number from a request; -1, which no row has, for anything else."""
    return int(text) if isinstance(text, str) and text.isdecimal() and len(text) < 19 else -1
