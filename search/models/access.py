"""API keys."""

from __future__ import annotations

import hashlib
import secrets
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from catalog.models import Collection

PREFIX = "lk_"


class Scope(models.TextChoices):
    """Each scope includes the ones before it."""

    READ = "read", _("read: search and list")
    WRITE = "write", _("write: also add, change and delete")
    ADMIN = "admin", _("admin: also builds and evaluation runs")


class ApiKey(models.Model):
    """A key of an app. Only its hash is kept; the key itself is shown once."""

    name = models.CharField(_("name"), max_length=100)
    prefix = models.CharField(_("begins with"), max_length=12, editable=False)
    hash = models.CharField(max_length=64, unique=True, editable=False)
    scope = models.CharField(_("scope"), max_length=10, choices=Scope, default=Scope.READ)
    # A field of its own, not "none chosen": a key bound to one collection must not see all when that one is deleted.
    all_collections = models.BooleanField(
        _("all collections"), default=False, help_text=_("Also those made later. Else only the ones chosen below.")
    )
    collections = models.ManyToManyField(
        Collection,
        blank=True,
        related_name="api_keys",
        verbose_name=_("collections"),
    )
    rate = models.CharField(
        _("rate limit"),
        max_length=20,
        blank=True,
        help_text=_("For example 600/min. Empty: the site's default."),
    )
    is_active = models.BooleanField(_("active"), default=True)
    last_used = models.DateTimeField(_("last used"), null=True, blank=True, editable=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("by"),
    )
    created = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        ordering: ClassVar = ["name"]
        verbose_name, verbose_name_plural = _("API key"), _("API keys")

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    def visible_collections(self) -> models.QuerySet[Collection]:
        return Collection.objects.all() if self.all_collections else Collection.objects.filter(api_keys=self)

    @staticmethod
    def digest(key: str) -> str:
        # A fast hash is enough: the key is 256 random bits, not a password.
        return hashlib.sha256(key.encode()).hexdigest()

    def issue(self) -> str:
        """Give this row a new key and return it; it cannot be read again."""
        key = PREFIX + secrets.token_urlsafe(32)
        self.prefix, self.hash = key[:8], self.digest(key)
        return key
