"""What the admin shows of compression, projections and schedules."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from search.models import Engine, IndexBuild
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(factories.StaffFactory())
    return client


def address(name: str, *args: object) -> str:
    return reverse(f"admin:search_{name}", args=args)


def test_a_build_tells_memory_a_picture_and_an_unusual_engine(staff: Client) -> None:
    build = factories.IndexBuildFactory(count=1000, code_bytes=72_000, size_bytes=5 * 1024**2, factory="IVF_SQ8")
    IndexBuild.objects.filter(pk=build.pk).update(engine=Engine.MILVUS)
    for page in (address("indexbuild_changelist"), address("indexbuild_change", build.pk)):
        html = staff.get(page).content.decode()
        assert "72 B a picture" in html
        assert "5 MB" in html
        assert "Milvus" in html


def test_a_projected_feature_model_says_from_what_and_is_not_edited(staff: Client) -> None:
    base = factories.FeatureModelFactory(name="base", dim=1280)
    row = factories.FeatureModelFactory(
        name="small", dim=256, projection="projections/abc.npz", projection_sha256="a" * 64, projected_from=base
    )
    assert "1280 → 256" in staff.get(address("featuremodel_changelist")).content.decode()
    html = staff.get(address("featuremodel_change", row.pk)).content.decode()
    assert "projections/abc.npz" in html
    assert address("featuremodel_change", base.pk) in html
    assert 'name="projection"' not in html
    assert "Projection" not in staff.get(address("featuremodel_change", base.pk)).content.decode()


def test_a_copy_of_a_projected_feature_model_keeps_the_projection(staff: Client) -> None:
    row = factories.FeatureModelFactory(name="small", dim=256, projection="p.npz", projection_sha256="a" * 64)
    staff.post(address("featuremodel_changelist"), {"action": "copy", "_selected_action": row.pk})
    copy: Any = type(row).objects.get(name="small copy")
    assert (copy.projection, copy.projection_sha256, copy.dim) == ("p.npz", "a" * 64, 256)


def test_a_schedule_without_a_crontab_says_nothing_undefined(staff: Client) -> None:
    html = staff.get(reverse("admin:django_celery_beat_periodictask_add")).content.decode()
    assert "Translation:" not in html
    assert "readable-crontabs" in html
