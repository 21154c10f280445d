"""Training runs: what makes a feature model out of another one, and what product attributes it proposes."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from catalog.jobs import UNFINISHED, Job
from catalog.models import Collection, Product
from search.models.features import FeatureModel


class TrainingKind(models.TextChoices):
    FINETUNE = "finetune", _("fine-tuning")
    DISTILL = "distill", _("distillation")
    BRANCH = "branch", _("attribute branch")
    QUANTISE = "quantise", _("8-bit quantisation")


class TrainingRun(Job):
    """One training. Its checkpoints lie in ``folder``; ``curve`` grows while it runs, a row a measuring."""

    Kind = TrainingKind
    kind = models.CharField(_("kind"), max_length=10, choices=TrainingKind)
    name = models.CharField(_("name"), max_length=100, help_text=_("Of the feature model that comes out."))
    collection = models.ForeignKey(
        Collection,
        models.CASCADE,
        null=True,
        blank=True,
        related_name="training_runs",
        verbose_name=_("collection"),
    )
    base = models.ForeignKey(
        FeatureModel,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="trained_from",
        verbose_name=_("begins with"),
    )
    options = models.JSONField(_("options"), default=dict, blank=True)
    curve = models.JSONField(_("curve"), default=list, blank=True, editable=False)
    results = models.JSONField(_("results"), default=dict, blank=True, editable=False)
    result = models.ForeignKey(
        FeatureModel,
        models.SET_NULL,
        null=True,
        blank=True,
        editable=False,
        related_name="training_runs",
        verbose_name=_("feature model"),
    )

    class Meta:
        ordering = ["-id"]
        verbose_name, verbose_name_plural = _("training run"), _("training runs")
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(kind__in=TrainingKind.values), name="training_run_kind_known"),
            models.UniqueConstraint(
                fields=["name"], condition=Q(state__in=UNFINISHED), name="training_run_one_of_a_name"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} #{self.pk}"

    @property
    def folder(self) -> Path:
        return Path(settings.TRAINING_ROOT) / str(self.pk)


class ProposalState(models.TextChoices):
    OPEN = "open", _("to be decided")
    ACCEPTED = "accepted", _("accepted")
    DISMISSED = "dismissed", _("dismissed")


class AttributeProposal(models.Model):
    """A value that a feature model predicts for an attribute a product lacks. A dismissed one never returns."""

    State = ProposalState
    product = models.ForeignKey(Product, models.CASCADE, related_name="proposals", verbose_name=_("product"))
    feature_model = models.ForeignKey(
        FeatureModel, models.SET_NULL, null=True, related_name="+", verbose_name=_("feature model")
    )
    attribute = models.CharField(_("attribute"), max_length=100)
    value = models.CharField(_("value"), max_length=200)
    confidence = models.FloatField(_("confidence"), help_text=_("Predicted probability."))
    state = models.CharField(
        _("state"), max_length=10, choices=ProposalState, default=ProposalState.OPEN, db_index=True
    )
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+", verbose_name=_("by")
    )
    decided = models.DateTimeField(_("decided"), null=True, blank=True)
    created = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        ordering = ["-confidence", "id"]
        verbose_name, verbose_name_plural = _("attribute proposal"), _("attribute proposals")
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["product", "attribute", "value"], name="attribute_proposal_once"),
        ]

    def __str__(self) -> str:
        return f"{self.product_id} {self.attribute}: {self.value}"
