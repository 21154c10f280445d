"""What every admin of the site shares: links, pictures, buttons on an object's page, confirmation."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.utils import unquote
from django.contrib.auth import get_permission_codename
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.timezone import localtime
from django.utils.translation import gettext_lazy as _

from catalog.admin.wording import error_text as error_text
from catalog.errors import LookalikeError
from catalog.models import Image

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Any]
    TabularInline = admin.TabularInline[Any, Any]
    ModelForm = forms.ModelForm[Any]
else:
    ModelAdmin, TabularInline, ModelForm = admin.ModelAdmin, admin.TabularInline, forms.ModelForm


RETURN_TO_OBJECT = "_return"  # posted by the buttons of an object's page: where to go after the action
NOTHING = "–"


def admin_url(model: type[Model] | Model, page: str, *args: object, **query: Any) -> str:
    """Address of an admin page of a model: ``admin_url(Product, "changelist", collection=3)``."""
    meta = model._meta
    url = reverse(f"admin:{meta.app_label}_{meta.model_name}_{page}", args=args)
    return f"{url}?{urlencode(query)}" if query else url


def object_link(row: Model | None, text: object = None) -> SafeString:
    """A link to a row's own page; a dash for none."""
    if row is None:
        return SafeString(NOTHING)
    return format_html('<a href="{}">{}</a>', admin_url(row, "change", row.pk), row if text is None else text)


def list_link(model: type[Model], text: object, **query: Any) -> SafeString:
    """A link to a filtered list of rows."""
    return format_html('<a href="{}">{}</a>', admin_url(model, "changelist", **query), text)


def thumbnail_url(image: Image) -> str:
    return (image.thumbnail or image.file).url


def thumbnail(image: Image | None, *, large: bool = False, href: str | None = None) -> SafeString:
    """A picture's thumbnail linked to its page (or to ``href``)."""
    if image is None:
        return SafeString(NOTHING)
    return format_html(
        '<a class="lk-thumb{}" href="{}"><img src="{}" alt="{}" loading="lazy"></a>',
        " lk-thumb-large" if large else "",
        href or admin_url(Image, "change", image.pk),
        thumbnail_url(image),
        str(image),
    )


def table(rows: Iterable[tuple[object, object]]) -> SafeString:
    """Two columns: what, how much."""
    body = format_html_join("", "<tr><th scope=row>{}</th><td>{}</td></tr>", rows)
    return format_html('<table class="lk-figures">{}</table>', body) if body else SafeString(NOTHING)


def may(request: HttpRequest, verb: str, model: type[Model]) -> bool:
    """Whether the user holds the model permission ``verb`` (add, change, delete, view)."""
    name = get_permission_codename(verb, model._meta)
    return bool(request.user.has_perm(f"{model._meta.app_label}.{name}"))


class SiteAdmin(ModelAdmin):
    """An admin whose actions are also buttons on the object's page.

    ``object_actions`` names the actions in the order of the buttons; ``hidden_actions(request, row)`` those that
    make no sense for a row as it is.
    """

    object_actions: Any = ()
    fixed: ClassVar[Any] = ()  # fields that stay as they were when the row was made
    list_display: Any = ("__str__",)
    list_filter: ClassVar[Any] = ()
    list_select_related: ClassVar[Any] = False
    actions: Any = ()
    readonly_fields: ClassVar[Any] = ()
    fieldsets: ClassVar[Any] = None
    change_form_template = "admin/lookalike/change_form.html"
    list_per_page = 50

    @admin.display(description=_("created"), ordering="created")
    def when(self, row: Any) -> str:
        """Short enough for a list of many columns."""
        return date_format(localtime(row.created), "Y-m-d H:i")

    def hidden_actions(self, request: HttpRequest, row: Any) -> Iterable[str]:
        return ()

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form: Any = super().get_form(request, obj, change, **kwargs)
        for name in self.fixed if obj else ():
            if name in form.base_fields:  # disabled, not read-only: what is unique with it is still checked
                form.base_fields[name].disabled = True
        return form

    def tools(self, request: HttpRequest, row: Any) -> Iterable[tuple[object, str]]:
        """Links beside the buttons: (text, address)."""
        return ()

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        row = self.get_object(request, unquote(object_id)) if request.method == "GET" else None
        extra: dict[str, Any] = {}
        if row and self.has_view_or_change_permission(request, row):
            extra = {"object_buttons": self._buttons(request, row), "tool_links": list(self.tools(request, row))}
        return super().change_view(request, object_id, form_url, {**extra, **(extra_context or {})})

    def _buttons(self, request: HttpRequest, row: Any) -> list[dict[str, object]]:
        allowed: dict[str, Any] = self.get_actions(request)
        hidden = set(self.hidden_actions(request, row))
        names = [name for name in self.object_actions if name in allowed and name not in hidden]
        return [{"name": name, "label": allowed[name][2]} for name in names]

    def response_action(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:  # type: ignore[override]
        """Back to the object's page where the action was pressed there."""
        response = super().response_action(request, queryset)
        row = request.POST.get(RETURN_TO_OBJECT)
        if row and isinstance(response, HttpResponseRedirect) and response.url == request.get_full_path():
            return redirect(admin_url(self.model, "change", row))
        return response

    def confirm(
        self, request: HttpRequest, queryset: QuerySet[Any], question: str, consequences: str = ""
    ) -> TemplateResponse | None:
        """The page that asks first; None once the user has said yes."""
        if request.POST.get("confirmed"):
            return None
        name = request.POST.get("action", "")
        labels: dict[str, Any] = self.get_actions(request)
        context = {
            **self.admin_site.each_context(request),
            "title": labels[name][2],
            "opts": self.opts,
            "queryset": queryset,
            "question": question,
            "consequences": consequences,
            "action": name,
            "action_checkbox_name": ACTION_CHECKBOX_NAME,
            "return_to": request.POST.get(RETURN_TO_OBJECT, ""),
            "media": self.media,
        }
        return TemplateResponse(request, "admin/lookalike/confirm_action.html", context)

    def refuse(self, request: HttpRequest, error: LookalikeError) -> None:
        self.message_user(request, error_text(error), messages.ERROR)


class ReadOnlyAdmin(SiteAdmin):
    """Rows made by the site: looked at, perhaps deleted, never edited."""

    def has_add_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False
