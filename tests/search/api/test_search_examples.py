"""Searching by several pictures, by feedback, with probabilities."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import RequestFactory
from rest_framework.request import Request

from catalog.models import Collection, Image
from search import serving
from search.api.answers import results_answer
from search.api.serializers.search import MOST_PICTURES, ResultsSerializer
from search.builds import build_create, build_run, index_for
from search.calibration import Calibration
from search.examples import MOST
from search.models import SearchIndex
from search.services import Example, search_by_examples
from tests.factories import ImageFactory, picture
from tests.search.api.conftest import Api, error_of, upload
from tests.search.api.test_search import search, skus

pytestmark = pytest.mark.django_db


@pytest.fixture
def ids(gallery: Collection) -> list[int]:
    return list(gallery.images.order_by("id").values_list("id", flat=True))


@pytest.fixture
def calibrated(gallery: Collection) -> SearchIndex:
    index = index_for(gallery)
    made = Calibration("labels", (0.0, 1.0), (0.0, 1.0)).to_dict()
    index.calibration, index.cut_off = made | {"fingerprint": index.feature_model.fingerprint}, 0.4
    index.save()
    serving.forget()
    return index


def test_feedback_moves_hits_and_leaves_out_what_was_ticked(anonymous: Api, ids: list[int]) -> None:
    plain = search(anonymous, image_id=ids[0]).json()["hits"]
    ticked = search(anonymous, image_id=ids[0], like=[ids[1]], unlike=[ids[2]])
    assert len(skus(ticked)) == 3
    assert not {"LAMP-0", "LAMP-1", "LAMP-2"} & set(skus(ticked))
    before = {hit["image"]["id"]: hit["score"] for hit in plain}
    assert all(hit["score"] != pytest.approx(before[hit["image"]["id"]]) for hit in ticked.json()["hits"])


def test_the_same_search_in_every_spelling(anonymous: Api, gallery: Collection, ids: list[int]) -> None:
    wanted = search_by_examples(
        gallery,
        [
            Example(image=Image.objects.get(pk=ids[0])),
            Example(image=Image.objects.get(pk=ids[1])),
            Example(image=Image.objects.get(pk=ids[2]), weight=-1),
        ],
    )
    scores = [hit.score for hit in wanted.hits]
    unlike = [{"image_id": ids[2], "weight": -1}]
    bodies: list[dict[str, Any]] = [
        {"image_id": ids[0], "like": [ids[1]], "unlike": [ids[2]]},
        {"like": [ids[0], ids[1]], "unlike": ids[2]},
        {"examples": [{"image_id": ids[0]}, {"image_id": ids[1], "weight": 1}, *unlike]},
        {"image_id": ids[0], "like": ids[1], "examples": unlike},
    ]
    answers = [search(anonymous, **body) for body in bodies]
    form = {"image_id": ids[0], "like": [ids[1]], "unlike": [ids[2]]}
    answers.append(anonymous.post("search/", form={"collection": "lamps", **form}))
    form = {"like": [ids[0], ids[1]], "examples": json.dumps(unlike)}
    answers.append(anonymous.post("search/", form={"collection": "lamps", **form}))
    for answer in answers:
        assert [hit["score"] for hit in answer.json()["hits"]] == pytest.approx(scores, abs=1e-6)


def test_several_files(anonymous: Api, gallery: Collection) -> None:
    form = {"collection": "lamps", "image": [upload(picture(2)), upload(picture(5))], "k": 2}
    assert set(skus(anonymous.post("search/", form=form))) == {"LAMP-1", "LAMP-4"}


def test_a_picture_by_address_beside_one_by_id(anonymous: Api, ids: list[int], monkeypatch: Any) -> None:
    monkeypatch.setattr("search.api.uploads.fetch", lambda *_args, **_limits: picture(5))
    answer = search(anonymous, image_id=ids[0], examples=[{"url": "https://shop.example/a.jpg", "weight": 50}], k=1)
    assert skus(answer) == ["LAMP-4"]


def test_a_box_of_an_example(anonymous: Api, ids: list[int]) -> None:
    whole, part = (
        search(anonymous, examples=[{"image_id": ids[0], **box}]).json()["hits"]
        for box in ({}, {"box": [0, 0, 30, 30]})
    )
    assert [hit["score"] for hit in whole] != [hit["score"] for hit in part]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, None),
        ({"unlike": [1]}, None),
        ({"examples": [{"image_id": 1, "weight": -1}]}, None),
        ({"examples": []}, None),
        ({"like": ["x"]}, "like.0"),
        ({"like": [0]}, "like.0"),
        ({"like": {}}, "like.0"),
        ({"like": list(range(1, MOST + 2))}, "like"),
        ({"image_id": 1, "examples": [{}]}, "examples.0"),
        ({"image_id": 1, "examples": [{"image_id": 1, "url": "https://a.example/"}]}, "examples.0"),
        ({"image_id": 1, "examples": [{"image_id": 1, "weight": 0}]}, "examples.0.weight"),
        ({"image_id": 1, "examples": [{"image_id": 1, "weight": "x"}]}, "examples.0.weight"),
        ({"image_id": 1, "examples": [{"image_id": 1, "weight": 1e9}]}, "examples.0.weight"),
        ({"image_id": 1, "examples": [{"image_id": 1, "box": [1]}]}, "examples.0.box"),
        ({"image_id": 1, "examples": {"image_id": 1}}, "examples"),
        ({"image_id": 1, "examples": "[{"}, "examples"),
        ({"image_id": 1, "examples": [{"image_id": 1}] * (MOST + 1)}, "examples"),
        ({"image_id": 1, "examples": [{"url": "https://a.example/"}] * (MOST_PICTURES + 1)}, "examples"),
        ({"image_id": 1, "expand": {"method": "beta"}}, "expand.method"),
        ({"image_id": 1, "expand": {"k": 0}}, "expand.k"),
        ({"image_id": 1, "expand": [1]}, "expand"),
        ({"image_id": 1, "expand": "{"}, "expand"),
        ({"image_id": 1, "min_probability": 1.5}, "min_probability"),
        ({"image_id": 1, "min_probability": "x"}, "min_probability"),
        ({"like": [1], "box": [0, 0, 5, 5]}, "box"),
    ],
)
def test_malformed_requests_name_the_field(
    anonymous: Api, gallery: Collection, body: dict[str, Any], field: str | None
) -> None:
    response = search(anonymous, **body)
    assert response.status_code == 400, response.content
    assert error_of(response)["code"] == "invalid"
    assert set(error_of(response).get("fields", {})) == ({field} if field else set())


def test_a_box_of_two_files_is_refused(anonymous: Api, gallery: Collection) -> None:
    form = {"collection": "lamps", "image": [upload(picture(2)), upload(picture(5))], "box": "0,0,9,9"}
    assert set(error_of(anonymous.post("search/", form=form))["fields"]) == {"box"}


def test_too_many_files_are_refused(anonymous: Api, gallery: Collection) -> None:
    form = {"collection": "lamps", "image": [upload(picture(2)) for _ in range(MOST_PICTURES + 1)]}
    assert set(error_of(anonymous.post("search/", form=form))["fields"]) == {"image"}


def test_pictures_of_another_collection_are_not_there(anonymous: Api, ids: list[int], private: Collection) -> None:
    other = ImageFactory(collection=private, product=None)
    for body in ({"like": [ids[0], other.pk]}, {"image_id": ids[0], "unlike": [other.pk]}, {"like": [10**30]}):
        response = search(anonymous, **body)
        assert (response.status_code, error_of(response)["code"]) == (404, "image_not_found")


def test_too_many_examples_in_all(anonymous: Api, ids: list[int]) -> None:
    response = search(anonymous, like=[ids[0]] * MOST, unlike=[ids[1]])
    assert error_of(response)["code"] == "bad_examples"


def test_expansion_is_timed_and_can_be_switched_off(anonymous: Api, gallery: Collection, ids: list[int]) -> None:
    plain = search(anonymous, image_id=ids[0]).json()
    assert "expansion" not in plain["timings_ms"]
    asked = search(anonymous, image_id=ids[0], expand={"method": "average", "k": 2}).json()
    assert asked["timings_ms"]["expansion"] > 0
    assert [hit["score"] for hit in asked["hits"]] != [hit["score"] for hit in plain["hits"]]
    SearchIndex.objects.filter(collection=gallery).update(expansion={"method": "average", "k": 2})
    serving.forget()
    assert [hit["score"] for hit in search(anonymous, image_id=ids[0]).json()["hits"]] == pytest.approx(
        [hit["score"] for hit in asked["hits"]]
    )
    form = {"collection": "lamps", "image_id": ids[0], "expand": json.dumps({"method": "none"})}
    off = anonymous.post("search/", form=form).json()
    assert [hit["score"] for hit in off["hits"]] == pytest.approx([hit["score"] for hit in plain["hits"]])


def test_hits_carry_probabilities_where_scores_are_calibrated(
    anonymous: Api, calibrated: SearchIndex, ids: list[int]
) -> None:
    body = search(anonymous, image_id=ids[0]).json()
    assert body["cut_off"] == 0.4
    assert [hit["probability"] for hit in body["hits"]] == pytest.approx(
        [hit["score"] for hit in body["hits"]], abs=1e-3
    )
    third = body["hits"][2]["probability"]
    likely = search(anonymous, image_id=ids[0], min_probability=third - 1e-6).json()
    assert [hit["rank"] for hit in likely["hits"]] == [1, 2, 3]
    assert likely["has_more"] is False


def test_without_calibration_there_is_no_least_probability(anonymous: Api, ids: list[int]) -> None:
    assert {hit["probability"] for hit in search(anonymous, image_id=ids[0]).json()["hits"]} == {None}
    refused = search(anonymous, image_id=ids[0], min_probability=0.5)
    assert (refused.status_code, error_of(refused)["code"]) == (409, "not_calibrated")
    assert search(anonymous, image_id=ids[0], min_probability=None).status_code == 200


def test_rules_are_named_and_tiers_told(anonymous: Api, gallery: Collection, ids: list[int]) -> None:
    SearchIndex.objects.filter(collection=gallery).update(rules=[{"rule": "in_stock_first"}])
    build_run(build_create(index_for(gallery)).pk)
    serving.forget()
    body = search(anonymous, image_id=ids[0]).json()
    assert {reason["rule"] for hit in body["hits"] for reason in hit["reasons"]} == {"in_stock_first"}
    assert all(reason["text"] for hit in body["hits"] for reason in hit["reasons"])
    assert [tier["name"] for tier in body["tiers"]] == ["coarse", "fine", "rules"]
    assert body["tiers"][2]["in"] == body["tiers"][1]["out"]


def test_the_quick_answer_is_the_serializers(gallery: Collection, calibrated: SearchIndex, ids: list[int]) -> None:
    SearchIndex.objects.filter(collection=gallery).update(rules=[{"rule": "in_stock_first"}])
    serving.forget()
    ImageFactory(collection=gallery, product=None, seed=40)
    Image.objects.filter(pk=ids[3]).update(thumbnail="")
    build_run(build_create(index_for(gallery)).pk)
    serving.forget()
    results = search_by_examples(gallery, [Example(data=picture(2))])
    request = Request(RequestFactory().get("/"))
    slow = ResultsSerializer(results, context={"request": request}).data
    assert results_answer(results, request) == json.loads(json.dumps(slow))
