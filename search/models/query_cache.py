"""What cached answers depend on and no other row tells, and how often the caches answered."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from search.models.indexes import SearchIndex


class CatalogChange(models.Model):
    """Something of a collection changed that a search can depend on. Written by the database's own triggers.

    No foreign key: a collection that is being deleted still changes.
    """

    class Kind(models.TextChoices):
        PICTURES = "pictures", "pictures"  # which can be found
        PRODUCTS = "products", "products"  # what business rules may look at

    collection_id = models.BigIntegerField()
    kind = models.CharField(max_length=10, choices=Kind)
    created = models.DateTimeField()

    class Meta:
        indexes: ClassVar = [models.Index(fields=["collection_id", "id"], name="catalog_change_order")]

    def __str__(self) -> str:
        return f"{self.collection_id} {self.kind} {self.pk}"


class QueryCacheCount(models.Model):
    """How often the two caches had what a search of an index asked for, a row a day."""

    index = models.ForeignKey(SearchIndex, models.CASCADE, related_name="cache_counts", verbose_name=_("index"))
    day = models.DateField(_("day"))
    hits = models.PositiveBigIntegerField(default=0)
    misses = models.PositiveBigIntegerField(default=0)
    descriptor_hits = models.PositiveBigIntegerField(default=0)
    descriptor_misses = models.PositiveBigIntegerField(default=0)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["index", "day"], name="cache_count_once_a_day")]

    def __str__(self) -> str:
        return f"{self.index_id} {self.day}"
