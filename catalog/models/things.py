"""What we have: collections, products and pictures."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class Collection(models.Model):
    """A searchable set of pictures with its own access and its own index."""

    name = models.CharField(_("name"), max_length=100)
    slug = models.SlugField(_("slug"), max_length=60, unique=True)
    description = models.TextField(_("description"), blank=True)
    is_public = models.BooleanField(
        _("public"), default=False, help_text=_("Anyone who reaches the site may search it.")
    )
    members = models.ManyToManyField(
        settings.AUTH_USER_MODEL,
        blank=True,
        related_name="collections",
        verbose_name=_("members"),
        help_text=_("Who may search it while it is not public. Staff always may."),
    )
    created = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        ordering = ["name"]
        verbose_name, verbose_name_plural = _("collection"), _("collections")

    def __str__(self) -> str:
        return self.name


class Product(models.Model):
    """One thing in the catalog, with as many pictures as there are."""

    collection = models.ForeignKey(Collection, models.CASCADE, related_name="products", verbose_name=_("collection"))
    sku = models.CharField("SKU", max_length=200)
    title = models.CharField(_("title"), max_length=300, blank=True)
    category = models.CharField(_("category"), max_length=200, blank=True)
    brand = models.CharField(_("brand"), max_length=100, blank=True)
    price = models.DecimalField(
        _("price"), max_digits=12, decimal_places=2, null=True, blank=True, validators=[MinValueValidator(0)]
    )
    currency = models.CharField(_("currency"), max_length=3, blank=True)
    stock = models.PositiveIntegerField(_("stock"), null=True, blank=True, help_text=_("Empty: not known."))
    url = models.URLField(_("url"), max_length=1000, blank=True)
    attributes = models.JSONField(_("attributes"), default=dict, blank=True)
    created = models.DateTimeField(_("created"), auto_now_add=True)
    updated = models.DateTimeField(_("updated"), auto_now=True)

    class Meta:
        ordering = ["id"]
        verbose_name, verbose_name_plural = _("product"), _("products")
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["collection", "sku"], name="product_sku_once"),
            models.CheckConstraint(condition=Q(price__isnull=True) | Q(price__gte=0), name="product_price_positive"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["collection", "category"]),
            models.Index(fields=["collection", "price"]),
            models.Index(fields=["collection", "updated"], name="product_updated"),
        ]

    def __str__(self) -> str:
        return self.title or self.sku


class ImageRole(models.TextChoices):
    GALLERY = "gallery", _("gallery")
    QUERY = "query", _("query")


class Image(models.Model):
    """A stored picture. The file never changes: another picture is another row."""

    Role = ImageRole
    collection = models.ForeignKey(Collection, models.CASCADE, related_name="images", verbose_name=_("collection"))
    product = models.ForeignKey(
        Product, models.CASCADE, null=True, blank=True, related_name="images", verbose_name=_("product")
    )
    role = models.CharField(
        _("role"),
        max_length=10,
        choices=ImageRole,
        default=ImageRole.GALLERY,
        help_text=_("Query pictures belong to a benchmark and are never found."),
    )
    file = models.FileField(_("file"), max_length=200)
    thumbnail = models.FileField(_("thumbnail"), max_length=200, blank=True)
    sha256 = models.CharField("SHA-256", max_length=64, db_index=True)
    size = models.PositiveBigIntegerField(_("bytes"))
    width = models.PositiveIntegerField(_("width"))
    height = models.PositiveIntegerField(_("height"))
    format = models.CharField(_("format"), max_length=10)
    source = models.CharField(
        _("source"), max_length=1000, blank=True, help_text=_("Path in the import, or the URL it came from.")
    )
    created = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        ordering = ["id"]
        verbose_name, verbose_name_plural = _("picture"), _("pictures")
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["collection", "product", "role", "sha256"],
                condition=Q(product__isnull=False),
                name="image_once_in_product",
            ),
            models.UniqueConstraint(
                fields=["collection", "role", "sha256"],
                condition=Q(product__isnull=True),
                name="image_once_without_product",
            ),
            models.CheckConstraint(condition=Q(role__in=ImageRole.values), name="image_role_known"),
        ]
        indexes: ClassVar = [models.Index(fields=["collection", "role", "id"])]

    def __str__(self) -> str:
        return self.source or f"{self.sha256[:12]}.{self.format.lower()}"
