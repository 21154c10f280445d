"""Products with their pictures."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin.widgets import AdminURLFieldWidget
from django.core.files.storage import default_storage
from django.db.models import Case, CharField, Count, OuterRef, QuerySet, Subquery, TextField, URLField, When
from django.db.models.functions import Cast, Coalesce
from django.forms import BaseInlineFormSet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from catalog.admin.base import ModelForm, SiteAdmin, TabularInline, list_link, thumbnail
from catalog.admin.filters import CategoryFilter, StockFilter, collection_filter
from catalog.admin.forms import AttributesField, PictureField
from catalog.models import Image, Product
from catalog.services import image_add, image_delete


class PictureForm(ModelForm):
    """One more picture of the product; stored by the service, never by a raw save."""

    upload = PictureField(label=capfirst(_("new picture")), required=False)

    class Meta:
        model = Image
        fields: tuple[str, ...] = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk and "upload" in self.fields:  # a stored picture is not replaced: it is deleted, or stays
            self.fields["upload"].disabled = True
            self.fields["upload"].widget.attrs["hidden"] = True

    def save(self, commit: bool = True) -> Any:
        product, content = self.instance.product, self.cleaned_data.get("upload")
        if not content:
            return self.instance  # a row that only shows a picture
        image, self.created = image_add(product.collection, content, product=product, source=content.name)
        return image

    def save_m2m(self) -> None:
        """A picture has none."""


class PictureFormSet(BaseInlineFormSet):  # type: ignore[type-arg]
    """Deletes through the service, so that files go too."""

    def delete_existing(self, obj: Image, commit: bool = True) -> None:
        if commit:
            image_delete(obj)


class PictureInline(TabularInline):
    model = Image
    form, formset = PictureForm, PictureFormSet
    fields = ("preview", "upload", "facts")
    readonly_fields = ("preview", "facts")
    extra = 1
    show_change_link = True
    verbose_name_plural = _("pictures")

    @admin.display(description=_("picture"))
    def preview(self, image: Image) -> SafeString | str:
        return thumbnail(image, large=True) if image.pk else ""

    @admin.display(description=_("facts"))
    def facts(self, image: Image) -> SafeString | str:
        if not image.pk:
            return ""
        text = "{} · {} × {} · {}"
        return format_html(text, image.format, image.width, image.height, image.get_role_display())

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        # Only adding and deleting; needed true for Django to offer either beside shown rows.
        return bool(super().has_change_permission(request))


class ProductForm(ModelForm):
    attributes = AttributesField(label=capfirst(_("attributes")), required=False)


@admin.register(Product)
class ProductAdmin(SiteAdmin):
    form = ProductForm
    fixed = ("collection",)  # its pictures would stay behind
    list_display = ("picture", "sku", "title_shown", "collection", "category", "price_shown", "stock", "picture_count")
    list_display_links = ("sku",)
    list_filter = (collection_filter(), StockFilter, CategoryFilter)
    list_select_related = ("collection",)
    search_fields = ("sku", "title", "brand", "category", "attributes_text")
    search_help_text = _("SKU, title, brand, category or attribute")
    autocomplete_fields = ("collection",)
    formfield_overrides: ClassVar[Any] = {URLField: {"widget": AdminURLFieldWidget, "assume_scheme": "https"}}
    inlines = (PictureInline,)
    readonly_fields = ("created", "updated")
    fieldsets = (
        (None, {"fields": ("collection", "sku", "title", "category", "brand", "url")}),
        (_("Price and stock"), {"fields": (("price", "currency"), "stock")}),
        (_("Attributes"), {"fields": ("attributes",)}),
        (_("Dates"), {"fields": (("created", "updated"),), "classes": ("collapse",)}),
    )

    def get_queryset(self, request: HttpRequest) -> Any:
        mine = Image.objects.filter(product=OuterRef("pk"))
        shown = Case(When(thumbnail="", then="file"), default="thumbnail", output_field=CharField())
        counted = mine.order_by().values("product").annotate(n=Count("*")).values("n")
        return (
            super()
            .get_queryset(request)
            .annotate(
                attributes_text=Cast("attributes", TextField()),
                first_picture=Subquery(mine.order_by("id").values_list(shown)[:1]),
                picture_total=Coalesce(Subquery(counted), 0),
            )
        )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        found, duplicates = super().get_search_results(request, queryset, search_term)
        escaped = json.dumps(search_term)[1:-1]
        if escaped != search_term:  # SQLite keeps JSON as it was written: "\\u7ea2" for a Chinese character
            found |= queryset.filter(attributes_text__icontains=escaped)
        return found, duplicates

    @admin.display(description=_("picture"))
    def picture(self, product: Any) -> SafeString:
        if not product.first_picture:
            return format_html('<span class="lk-thumb lk-none" title="{}"></span>', gettext("no picture"))
        address = default_storage.url(product.first_picture)
        return format_html('<span class="lk-thumb"><img src="{}" alt="" loading="lazy"></span>', address)

    @admin.display(description=_("title"), ordering="title")
    def title_shown(self, product: Product) -> str:
        return product.title

    @admin.display(description=_("price"), ordering="price")
    def price_shown(self, product: Product) -> str | None:
        return None if product.price is None else f"{product.price} {product.currency}".strip()

    @admin.display(description=_("pictures"), ordering="picture_total")
    def picture_count(self, product: Any) -> SafeString:
        return list_link(Image, product.picture_total, product__id__exact=product.pk)

    def tools(self, request: HttpRequest, row: Any) -> Iterable[tuple[str, str]]:
        return [(gettext("Open"), row.url)] if row.url else []

    def delete_model(self, request: HttpRequest, obj: Product) -> None:
        for image in obj.images.all():
            image_delete(image)
        super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        for image in Image.objects.filter(product__in=queryset).iterator():
            image_delete(image)
        super().delete_queryset(request, queryset)
