"""The chooser of frame and window, and the pictures it shows."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from PIL import Image as PillowImage

from catalog.images import decode
from catalog.models import Collection, Image
from catalog.services import image_add
from search.models import UploadedQuery
from tests import factories
from tests.catalog.dicom_files import made
from tests.search.web.conftest import Page, embed

pytestmark = pytest.mark.django_db
HU = {"RescaleSlope": 1, "RescaleIntercept": -1024}


def volume(patient: str, seed: int, **tags: Any) -> bytes:
    """Three slices, each other than the next."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(200, 1800, (3, 4, 4)).repeat(12, 1).repeat(12, 2).astype("<u2")
    return made(coarse, PatientID=patient, **{**HU, "WindowCenter": 40, "WindowWidth": 400, **tags})


@pytest.fixture
def scans(db: None) -> Collection:
    collection = factories.CollectionFactory.create(name="Scans", slug="scans")
    for number in range(4):
        image_add(collection, volume(f"P{number}", number))
    image_add(collection, factories.picture(3))
    embed(collection)
    return collection


@pytest.fixture
def asked(client: Client, scans: Collection) -> UploadedQuery:
    answer = client.post("/c/scans/query/", {"file": SimpleUploadedFile("DOE.dcm", volume("P9", 9))})
    assert answer.status_code == 303
    return UploadedQuery.objects.get()


def pixels(response: Any) -> np.ndarray:
    assert response["Content-Type"] == "image/png"
    return np.asarray(PillowImage.open(io.BytesIO(response.content)))


def test_the_query_offers_its_frames_and_windows(client: Client, asked: UploadedQuery) -> None:
    page = Page(client.get(f"/c/scans/search/?query={asked.pk}"))
    options = [(found.get("value", text), text) for found, text in page.all("option")]
    assert [text for _, text in options[:3]] == ["1", "2", "3"]
    assert ("", "As stored (40 / 400)") in options
    assert ("lung", "Lung (-600 / 1,500)") in options or ("lung", "Lung (-600 / 1500)") in options
    assert page.all("img", src=f"/q/{asked.pk}/view/")
    assert len(page.all("article", class_="hit")) == 5


def test_a_window_that_the_file_has_not_is_not_called_stored(client: Client, scans: Collection) -> None:
    data = volume("P9", 9, WindowCenter=None, WindowWidth=None)
    client.post("/c/scans/query/", {"file": SimpleUploadedFile("x.dcm", data)})
    page = Page(client.get(f"/c/scans/search/?query={UploadedQuery.objects.get().pk}"))
    names = [text for _, text in page.all("option")]
    assert any(name.startswith("Derived (") for name in names)
    assert not any(name.startswith("As stored") for name in names)


def test_another_frame_and_window_search_again(client: Client, asked: UploadedQuery) -> None:
    plain = client.get(f"/c/scans/search/?query={asked.pk}")
    answer = client.get(f"/c/scans/search/?query={asked.pk}&frame=3&window=bone&own=")
    page = Page(answer)
    assert answer.status_code == 200
    assert page.all("img", src=f"/q/{asked.pk}/view/?frame=3&window=bone")
    assert [found for found, _ in page.all("option") if "selected" in found and found.get("value") == "bone"]
    sources = [found.get("src", "") for found, _ in page.all("img")]
    shown = [source for source in sources if source.startswith("/images/") and "window=bone" in source]
    assert len(shown) == 4  # the hits that came as DICOM are shown at the same window
    assert Page(plain).all("span", class_="score") != page.all("span", class_="score")
    kept = {(found["name"], found["value"]) for found, _ in page.all("input", type="hidden") if "name" in found}
    assert {("frame", "3"), ("window", "bone")} <= kept  # filters keep the view


def test_own_centre_and_width(client: Client, asked: UploadedQuery) -> None:
    page = Page(client.get(f"/c/scans/search/?query={asked.pk}&window=own&own=100/50"))
    assert page.all("img", src=f"/q/{asked.pk}/view/?window=100/50")
    assert page.all("input", name="own", value="100/50")


@pytest.mark.parametrize(("params", "status"), [("window=lungs", 400), ("frame=9", 400), ("window=own&own=1", 400)])
def test_what_cannot_be_shown_is_said(client: Client, asked: UploadedQuery, params: str, status: int) -> None:
    answer = client.get(f"/c/scans/search/?query={asked.pk}&{params}")
    assert answer.status_code == status
    assert Page(answer).alert()


def test_views_are_what_the_decoder_shows(client: Client, scans: Collection, asked: UploadedQuery) -> None:
    image = Image.objects.filter(format="DICOM").first()
    assert image is not None
    where = reverse("web:image_view", args=[image.pk])
    plain = client.get(where)
    with image.file.open() as file:
        assert (pixels(plain) == np.asarray(decode(file.read()).pixels)[..., 0]).all()
    assert (pixels(client.get(f"{where}?window=brain")) != pixels(plain)).any()
    assert client.get(where, headers={"If-None-Match": plain["ETag"]}).status_code == 304
    assert client.get(f"{where}?window=nonsense").status_code == 400
    second = client.get(f"/q/{asked.pk}/view/?frame=2")
    assert (pixels(second) != pixels(client.get(f"/q/{asked.pk}/view/"))).any()
    assert pixels(client.get(f"{where}?small=1")).shape == (48, 48)


def test_only_those_see_it_who_may(client: Client, scans: Collection, asked: UploadedQuery) -> None:
    scans.is_public = False
    scans.save()
    image = Image.objects.filter(format="DICOM").first()
    assert image is not None
    for where in (f"/images/{image.pk}/view/", f"/q/{asked.pk}/view/"):
        assert client.get(where).status_code == 404
    client.force_login(factories.StaffFactory())
    assert client.get(f"/images/{image.pk}/view/").status_code == 200


def test_a_picture_of_another_format_has_no_chooser(client: Client, scans: Collection) -> None:
    image = Image.objects.get(format="JPEG")
    page = Page(client.get(f"/c/scans/images/{image.pk}/"))
    assert not page.all("form", class_="dicom")
    assert client.get(f"/images/{image.pk}/view/").status_code == 404


def test_a_pictures_page_shows_it_at_a_window(client: Client, scans: Collection) -> None:
    image = Image.objects.filter(format="DICOM").first()
    assert image is not None
    page = Page(client.get(f"/c/scans/images/{image.pk}/?window=lung&own="))
    assert page.all("img", src=f"/images/{image.pk}/view/?window=lung")
    assert page.all("form", class_="dicom")
    assert Page(client.get(f"/c/scans/images/{image.pk}/?window=nonsense")).all("img", src=f"/images/{image.pk}/view/")


def test_the_api_takes_frame_and_window(client: Client, scans: Collection) -> None:
    def hits(**body: Any) -> Any:
        sent = {"collection": "scans", "image": SimpleUploadedFile("DOE.dcm", volume("P9", 9)), **body}
        return client.post("/api/v1/search/", sent)

    plain, other = hits(), hits(frame="middle", window="-600/1500")
    assert plain.status_code == other.status_code == 200
    assert [hit["score"] for hit in plain.json()["hits"]] != [hit["score"] for hit in other.json()["hits"]]
    for body, code in (({"window": "lungs"}, "bad_window"), ({"frame": "7"}, "bad_frame")):
        answer = hits(**body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)
    asked = {"collection": "scans", "image_id": scans.images.first().pk, "window": "lung"}
    assert client.post("/api/v1/search/", asked, content_type="application/json").status_code == 400
