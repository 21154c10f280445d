"""Duplicates: scans that look for them, groups that people decide on, and what they decided."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from catalog.jobs import UNFINISHED, Job
from catalog.models import Collection, Image
from search.models.features import FeatureModel


class DuplicateScan(Job):
    """One search for duplicates through a collection."""

    collection = models.ForeignKey(
        Collection, models.CASCADE, related_name="duplicate_scans", verbose_name=_("collection")
    )
    feature_model = models.ForeignKey(FeatureModel, models.PROTECT, related_name="+", verbose_name=_("feature model"))
    max_hash_distance = models.PositiveSmallIntegerField(
        _("hash distance"), help_text=_("Bits of the perceptual hash that may differ.")
    )
    min_score = models.FloatField(_("score"), help_text=_("Inner product of the descriptors, at least."))
    found = models.PositiveIntegerField(_("new groups"), default=0)
    dismissed = models.PositiveIntegerField(_("pairs dismissed before"), default=0)

    class Meta:
        ordering = ["-id"]
        verbose_name, verbose_name_plural = _("duplicate scan"), _("duplicate scans")
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["collection"], condition=Q(state__in=UNFINISHED), name="duplicate_scan_one_at_a_time"
            )
        ]

    def __str__(self) -> str:
        return f"{self.collection} #{self.pk}"


class DuplicateKind(models.TextChoices):
    EXACT = "exact", _("the same file")
    NEAR = "near", _("the same picture, saved or cut otherwise")


class DuplicateState(models.TextChoices):
    OPEN = "open", _("to be decided")
    KEPT = "kept", _("kept: duplicates that may stay")
    MERGED = "merged", _("merged into one picture")
    DISMISSED = "dismissed", _("not duplicates")


class DuplicateGroup(models.Model):
    """Pictures that look like one, and what was decided on them."""

    Kind, State = DuplicateKind, DuplicateState
    collection = models.ForeignKey(
        Collection, models.CASCADE, related_name="duplicate_groups", verbose_name=_("collection")
    )
    scan = models.ForeignKey(
        DuplicateScan, models.SET_NULL, null=True, related_name="groups", verbose_name=_("duplicate scan")
    )
    kind = models.CharField(_("kind"), max_length=10, choices=DuplicateKind)
    state = models.CharField(
        _("state"), max_length=10, choices=DuplicateState, default=DuplicateState.OPEN, db_index=True
    )
    score = models.FloatField(_("lowest score"), null=True, blank=True)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+", verbose_name=_("by")
    )
    decided = models.DateTimeField(_("decided"), null=True, blank=True)
    created = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        ordering = ["id"]
        verbose_name, verbose_name_plural = _("duplicate group"), _("duplicate groups")

    def __str__(self) -> str:
        return f"{self.collection} {self.get_kind_display()} #{self.pk}"


class DuplicateMember(models.Model):
    """A picture of a group. ``score`` and ``hash_distance`` are to the group's first picture."""

    group = models.ForeignKey(DuplicateGroup, models.CASCADE, related_name="members", verbose_name=_("duplicate group"))
    image = models.ForeignKey(Image, models.CASCADE, related_name="+", verbose_name=_("picture"))
    score = models.FloatField(_("score"), null=True, blank=True)
    hash_distance = models.PositiveSmallIntegerField(_("hash distance"), null=True, blank=True)

    class Meta:
        ordering = ["id"]
        verbose_name, verbose_name_plural = _("duplicate"), _("duplicates")
        constraints: ClassVar = [models.UniqueConstraint(fields=["group", "image"], name="duplicate_member_once")]

    def __str__(self) -> str:
        return f"{self.group_id}/{self.image_id}"


class DecidedPair(models.Model):
    """Two contents that somebody decided on. By hash, not by row: a picture imported again stays decided."""

    collection = models.ForeignKey(
        Collection, models.CASCADE, related_name="decided_pairs", verbose_name=_("collection")
    )
    first_sha256 = models.CharField(max_length=64)  # the lower of the two
    second_sha256 = models.CharField(max_length=64)
    created = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        verbose_name, verbose_name_plural = _("decided pair"), _("decided pairs")
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["collection", "first_sha256", "second_sha256"], name="decided_pair_once"),
            models.CheckConstraint(condition=Q(first_sha256__lte=F("second_sha256")), name="decided_pair_in_order"),
        ]

    def __str__(self) -> str:
        return f"{self.first_sha256[:12]} {self.second_sha256[:12]}"


class PerceptualHash(models.Model):
    """A picture's perceptual hash: 64 bits, big-endian; survives scaling and another compression."""

    image = models.OneToOneField(Image, models.CASCADE, related_name="perceptual_hash", verbose_name=_("picture"))
    value = models.BinaryField(_("value"), max_length=8)

    class Meta:
        verbose_name, verbose_name_plural = _("perceptual hash"), _("perceptual hashes")

    def __str__(self) -> str:
        return bytes(self.value).hex()
