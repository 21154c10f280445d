"""Imports, indexes, builds."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers
from rest_framework.reverse import reverse

from catalog.models import ImageRole, ImportJob
from search.api.serializers.common import JobSerializer
from search.models import SearchIndex


class ImportSerializer(JobSerializer):
    source = serializers.SerializerMethodField(help_text="Name of the file.")  # type: ignore[assignment]
    added = serializers.IntegerField(read_only=True)
    known = serializers.IntegerField(read_only=True, help_text="Rows that were there already.")
    bad = serializers.IntegerField(read_only=True, help_text="Rows with an error.")
    report_url = serializers.SerializerMethodField(help_text="One line for each bad row; null where there is none.")

    def get_source(self, job: ImportJob) -> str:
        return (job.upload.name or job.path).rsplit("/", 1)[-1]

    def get_report_url(self, job: ImportJob) -> str | None:
        if not job.report:
            return None
        where = {"slug": job.collection.slug, "pk": job.pk}
        return reverse("api:import-report", kwargs=where, request=self.context["request"])


class ImportUploadSerializer(serializers.Serializer[Any]):
    file = serializers.FileField(help_text="A CSV, a ZIP archive, or a .txt with an address of a picture a line.")
    role = serializers.ChoiceField(choices=ImageRole.choices, default=ImageRole.GALLERY)


class IndexSerializer(serializers.ModelSerializer[SearchIndex]):
    feature_model = serializers.SlugRelatedField[Any](slug_field="name", read_only=True)
    search_params = serializers.DictField(read_only=True)
    rules = serializers.ListField(child=serializers.DictField(), read_only=True)
    expansion = serializers.DictField(read_only=True, help_text="Query expansion; empty: none.")
    calibration = serializers.DictField(read_only=True, help_text="What scores mean, and how well that is known.")
    tuning = serializers.DictField(read_only=True, help_text="What manage.py tune_index found.")
    active_build = serializers.IntegerField(source="active_build_id", read_only=True, allow_null=True)

    class Meta:
        model = SearchIndex
        fields = [
            "name",
            "is_default",
            "feature_model",
            "engine",
            "preset",
            "factory",
            "search_params",
            "fine_depth",
            "rules_depth",
            "rules",
            "expansion",
            "dba_neighbours",
            "cut_off",
            "calibration",
            "tuning",
            "rebuild_share",
            "active_build",
            "created",
        ]
        read_only_fields = fields


class BuildSerializer(JobSerializer):
    index = serializers.CharField(source="index.name", read_only=True)
    is_active = serializers.BooleanField(read_only=True)
    engine = serializers.CharField(read_only=True, help_text="faiss or milvus.")
    factory = serializers.CharField(read_only=True)
    fingerprint = serializers.CharField(read_only=True)
    count = serializers.IntegerField(read_only=True, help_text="Pictures in it.")
    size_bytes = serializers.IntegerField(read_only=True, help_text="On disk.")
    code_bytes = serializers.IntegerField(read_only=True, help_text="In memory, while it is served.")
    ann_recall = serializers.FloatField(read_only=True, allow_null=True, help_text="Of the first ten, against exact.")
    timings = serializers.DictField(read_only=True)


class BuildStartSerializer(serializers.Serializer[Any]):
    index = serializers.CharField(required=False, max_length=100, help_text="Name; the default index if left out.")
    factory = serializers.CharField(required=False, max_length=100, help_text="FAISS factory, instead of the index's.")
    activate = serializers.BooleanField(default=True, help_text="Serve it as soon as it is done.")
