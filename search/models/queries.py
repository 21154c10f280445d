"""What visitors asked: the pictures they uploaded, for a while, and a log without pictures."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from catalog.models import Collection
from search.models.indexes import SearchIndex


class UploadedQuery(models.Model):
    """A visitor's picture, kept for QUERY_RETENTION_DAYS so that its address can be shared and paged."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    collection = models.ForeignKey(Collection, models.CASCADE, related_name="+", verbose_name=_("collection"))
    file = models.FileField(_("file"), max_length=200)
    preview = models.FileField(_("preview"), max_length=200)
    sha256 = models.CharField("SHA-256", max_length=64)
    width = models.PositiveIntegerField(_("width"))
    height = models.PositiveIntegerField(_("height"))
    created = models.DateTimeField(_("created"), auto_now_add=True, db_index=True)

    class Meta:
        verbose_name, verbose_name_plural = _("uploaded query"), _("uploaded queries")

    def __str__(self) -> str:
        return str(self.id)


class SearchLog(models.Model):
    """One search: when, where, how long each tier took. No picture, no address."""

    index = models.ForeignKey(SearchIndex, models.CASCADE, related_name="log", verbose_name=_("index"))
    source = models.CharField(_("source"), max_length=10, choices=[("web", "web"), ("api", "api")])
    hits = models.PositiveIntegerField(_("hits"))
    best_score = models.FloatField(_("best score"), null=True)
    timings_ms = models.JSONField(_("milliseconds"), default=dict)
    created = models.DateTimeField(_("created"), auto_now_add=True, db_index=True)

    class Meta:
        ordering: ClassVar = ["-id"]
        verbose_name, verbose_name_plural = _("search"), _("searches")

    def __str__(self) -> str:
        return f"{self.index} {self.created:%Y-%m-%d %H:%M}"
