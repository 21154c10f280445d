"""Pictures. A file never changes; adding and deleting go through the catalog's services."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from catalog.admin.base import NOTHING, ModelForm, SiteAdmin, object_link, thumbnail
from catalog.admin.filters import collection_filter
from catalog.admin.forms import PictureField
from catalog.models import Image, ImageRole
from catalog.services import image_add, image_delete


class ImageForm(ModelForm):
    """Adds a picture: the service decodes it, makes the thumbnail and tells who embeds."""

    upload = PictureField()

    class Meta:
        model = Image
        fields = ("collection", "product", "role", "source")

    field_order = ("upload", "collection", "product", "role", "source")
    created = True

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        product, collection = cleaned.get("product"), cleaned.get("collection")
        if product and collection and product.collection_id != collection.pk:
            self.add_error("product", gettext("This product is in another collection."))
        return cleaned

    def save(self, commit: bool = True) -> Image:
        given = self.cleaned_data
        image, self.created = image_add(
            given["collection"],
            given["upload"],
            product=given.get("product"),
            role=ImageRole(given["role"]),
            source=given.get("source") or given["upload"].name,
        )
        return image

    def save_m2m(self) -> None:
        """A picture has none."""


@admin.register(Image)
class ImageAdmin(SiteAdmin):
    list_display: Any = ("preview", "name", "collection", "product_shown", "role", "pixels", "bytes_shown", "when")
    list_display_links = ("name",)
    list_filter = (collection_filter(), "role", "format")
    list_select_related = ("collection", "product")
    search_fields = ("source", "product__sku", "product__title", "sha256__startswith")
    search_help_text = _("Source, SKU, title, or the beginning of the SHA-256")
    autocomplete_fields = ("collection", "product")
    add_form = ImageForm
    facts: tuple[str, ...] = (
        "large_preview",
        "collection",
        "product_shown",
        "role",
        "pixels",
        "bytes_shown",
        "format",
        "sha256",
        "source",
        "original",
        "created",
    )

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        if obj is None:
            kwargs["form"] = self.add_form
        return super().get_form(request, obj, change, **kwargs)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.facts if obj else self.add_form.field_order

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.facts if obj else ()

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Another picture is another row."""
        return False

    def save_model(self, request: HttpRequest, obj: Image, form: Any, change: bool) -> None:
        """Already stored by the form's service call."""
        if not form.created:
            self.message_user(request, gettext("This picture was already there: nothing was added."), messages.WARNING)

    def delete_model(self, request: HttpRequest, obj: Image) -> None:
        image_delete(obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        for image in queryset:
            image_delete(image)

    @admin.display(description=_("picture"))
    def preview(self, image: Image) -> SafeString:
        return thumbnail(image)

    @admin.display(description=_("picture"))
    def large_preview(self, image: Image) -> SafeString:
        return thumbnail(image, large=True, href=image.file.url)

    @admin.display(description=_("name"), ordering="source")
    def name(self, image: Image) -> str:
        return str(image)

    @admin.display(description=_("product"), ordering="product__sku")
    def product_shown(self, image: Image) -> SafeString:
        return object_link(image.product)

    @admin.display(description=_("pixels"), ordering="width")
    def pixels(self, image: Image) -> str:
        return f"{image.width} × {image.height}"

    @admin.display(description=_("size"), ordering="size")
    def bytes_shown(self, image: Image) -> str:
        return filesizeformat(image.size)

    @admin.display(description=_("file"))
    def original(self, image: Image) -> str:
        return image.file.name or NOTHING
