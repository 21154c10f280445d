"""Feature models (named extractor configurations) and the descriptors they gave."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from catalog.models import Image
from search.extraction.spec import ExtractorSpec, Pooling, Runtime
from search.models.quantisation import clean_may_serve

# torch is for a GPU worker, by EXTRACTION_RUNTIME: as a property of the row the web process would load it too.
RUNTIMES = (Runtime.AUTO, Runtime.OPENVINO, Runtime.ONNX)


class FeatureModel(models.Model):
    """One extractor configuration. Fixed once it has embedded something: copy it to change it."""

    name = models.CharField(_("name"), max_length=100, unique=True)
    backbone = models.CharField(
        _("backbone"),
        max_length=60,
        help_text=_("onnx, color_gradient, or a torchvision network such as resnet50."),
    )
    layer = models.CharField(
        _("layer"), max_length=40, blank=True, help_text=_("avgpool or layer4, for a torchvision network.")
    )
    weights = models.CharField(
        _("weights"),
        max_length=500,
        blank=True,
        help_text=_("Path or URL. For torchvision also 'default' (its own weights) or 'none' (random, for tests)."),
    )
    weights_sha256 = models.CharField(_("SHA-256 of the weights"), max_length=64, blank=True)
    pooling = models.CharField(
        _("pooling"), max_length=10, choices=[(p.value, p.value) for p in Pooling], default=Pooling.MEAN.value
    )
    gem_p = models.FloatField(_("GeM exponent"), default=3.0)
    power = models.FloatField(
        _("power"),
        default=1.0,
        help_text=_("Of each pooled value, sign kept, before its length is made 1. 0.5: square roots. 1: none."),
    )
    scales = models.JSONField(
        _("scales"),
        default=list,
        blank=True,
        help_text=_("Descriptors of the picture at these sizes are averaged: [1, 0.7071]. Empty: as it is."),
    )
    flip = models.BooleanField(
        _("flip"), default=False, help_text=_("The mirrored picture's descriptor is averaged in.")
    )
    preprocessing = models.JSONField(
        _("preprocessing"),
        default=dict,
        blank=True,
        help_text=_("Overrides of the backbone's own: resize, crop, mean, std (of pixels 0 to 255)."),
    )
    runtime = models.CharField(
        _("runtime"), max_length=10, choices=[(r.value, r.value) for r in RUNTIMES], default=Runtime.AUTO.value
    )
    projection = models.CharField(
        _("projection"),
        max_length=200,
        blank=True,
        help_text=_("PCA or whitening applied to the descriptor: a file that fit_projection wrote. Empty: none."),
    )
    projection_sha256 = models.CharField(_("SHA-256 of the projection"), max_length=64, blank=True)
    projected_from = models.ForeignKey(
        "self",
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="projections",
        verbose_name=_("projected from"),
        help_text=_("Its stored embeddings are projected, so that no picture goes through the network again."),
    )
    quantised_from = models.ForeignKey(
        "self",
        models.SET_NULL,
        null=True,
        blank=True,
        editable=False,
        related_name="quantised",
        verbose_name=_("8 bits of"),
    )
    quantisation = models.JSONField(_("what 8 bits cost"), default=dict, blank=True, editable=False)
    dim = models.PositiveIntegerField(_("dimensions"), default=0, editable=False)
    fingerprint = models.CharField(_("fingerprint"), max_length=64, blank=True, editable=False)
    is_default = models.BooleanField(_("default for new collections"), default=False)
    created = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        ordering = ["name"]
        verbose_name, verbose_name_plural = _("feature model"), _("feature models")
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["is_default"], condition=Q(is_default=True), name="feature_model_one_default"
            )
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        if self.is_default:
            clean_may_serve(self, "is_default")

    @property
    def spec(self) -> ExtractorSpec:
        return ExtractorSpec(
            backbone=self.backbone,
            layer=self.layer,
            weights=self.weights,
            weights_sha256=self.weights_sha256,
            pooling=Pooling(self.pooling),
            gem_p=self.gem_p,
            power=self.power,
            scales=tuple(self.scales),
            flip=self.flip,
            preprocessing=dict(self.preprocessing),
            runtime=Runtime(self.runtime),
            projection=self.projection,
            projection_sha256=self.projection_sha256,
        )


class Embedding(models.Model):
    """A picture's descriptor under a feature model: the source of every build.

    ``vector`` holds little-endian float16, ``dim`` of them, of the L2-normalised descriptor. A picture
    that could not be embedded keeps the reason in ``error`` instead, so it is not tried again and again.
    """

    image = models.ForeignKey(Image, models.CASCADE, related_name="embeddings", verbose_name=_("picture"))
    feature_model = models.ForeignKey(
        FeatureModel, models.CASCADE, related_name="embeddings", verbose_name=_("feature model")
    )
    vector = models.BinaryField(_("vector"), null=True)
    error = models.TextField(_("error"), blank=True)
    created = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        verbose_name, verbose_name_plural = _("embedding"), _("embeddings")
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["image", "feature_model"], name="embedding_once"),
            models.CheckConstraint(
                condition=Q(vector__isnull=False, error="") | (Q(vector__isnull=True) & ~Q(error="")),
                name="embedding_vector_or_error",
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["feature_model", "id"])]

    def __str__(self) -> str:
        return f"{self.image_id}/{self.feature_model_id}"
