"""DICOM on the pages: the chooser of frame and window, on the query and on a picture."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from catalog.models import Collection, Image
from catalog.services import image_add
from search.builds import index_for
from search.embedding import embed_pending
from tests import factories
from tests.browser.conftest import Open
from tests.catalog.dicom_files import made

pytestmark = pytest.mark.browser


def chest(seed: int) -> bytes:
    """Three slices of something like a chest: soft tissue around two lungs and a spine, in Hounsfield units."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[-1:1:192j, -1:1:192j]
    slices = []
    for size in (0.6, 0.8, 0.7):
        values = np.full(x.shape, -1000.0)
        values[x**2 + (1.3 * y) ** 2 < 0.9] = 40
        for side in (-0.4, 0.4):
            values[((x - side) / 0.6) ** 2 + y**2 < size**2 / 2] = -800
        values[x**2 + (y - 0.45) ** 2 < 0.02] = 700 + 10 * seed
        slices.append(values + rng.normal(0, 25, x.shape))
    stored = (np.stack(slices) + 1024).clip(0, 4095).astype("<u2")
    tags: dict[str, Any] = {"RescaleSlope": 1, "RescaleIntercept": -1024, "WindowCenter": 40, "WindowWidth": 400}
    return made(stored, PatientID=f"P{seed}", BodyPartExamined="CHEST", **tags)


@pytest.fixture
def scans(transactional_db: None) -> Collection:
    collection = factories.CollectionFactory.create(name="Scans", slug="scans")
    for seed in range(6):
        image_add(collection, chest(seed))
    embed_pending(collection, index_for(collection).feature_model)
    return collection


def test_a_query_is_searched_again_at_another_window(
    open_page: Open, scans: Collection, tmp_path: Path, shot: Callable[[Page, str], None]
) -> None:
    (tmp_path / "scan.dcm").write_bytes(chest(9))
    page = open_page("/c/scans/")
    page.set_input_files("[name=file]", str(tmp_path / "scan.dcm"))
    page.wait_for_url("**/search/**")
    form = page.locator("form.dicom")
    expect(form).to_be_visible()
    expect(page.locator(".hit")).to_have_count(6)
    expect(form.locator("[name=own]")).to_be_hidden()
    shot(page, "dicom-stored")
    form.locator("[name=window]").select_option("lung")
    form.locator("[name=frame]").select_option("2")
    form.get_by_role("button").click()
    expect(page.locator("[data-stage] img")).to_have_attribute("src", re.compile(r"/view/\?frame=2&window=lung$"))
    expect(form.locator("[name=window]")).to_have_value("lung")
    shot(page, "dicom-lung")
    form.locator("[name=window]").select_option("own")
    expect(form.locator("[name=own]")).to_be_visible()
    form.locator("[name=own]").fill("500/2000")
    form.get_by_role("button").click()
    expect(form.locator("[name=own]")).to_have_value("500/2000")
    shot(page, "dicom-own")


def test_a_picture_is_shown_at_another_window(
    open_page: Open, scans: Collection, shot: Callable[[Page, str], None]
) -> None:
    image = Image.objects.filter(collection=scans).first()
    assert image is not None
    page = open_page(f"/c/scans/images/{image.pk}/")
    page.locator("form.dicom [name=window]").select_option("bone")
    page.locator("form.dicom").get_by_role("button").click()
    expect(page.locator(".one-picture img")).to_have_attribute("src", f"/images/{image.pk}/view/?window=bone")
    shot(page, "dicom-picture")
