"""Searching by several pictures: hits that were ticked, and pictures that were added."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from catalog.models import Collection
from search.models import UploadedQuery
from search.web import forms
from search.web.asked import example_of
from tests import factories
from tests.search.web.conftest import Page

pytestmark = pytest.mark.django_db
QUERY = "/c/tableware/query/"
JSON = {"accept": "application/json"}


@pytest.fixture
def ids(shop: Collection) -> list[int]:
    return list(shop.images.order_by("id").values_list("id", flat=True))


def address(ids: list[int], rest: str = "") -> str:
    return f"/c/tableware/search/?image={ids[0]}{rest}"


def query_of(href: str) -> list[tuple[str, str]]:
    return parse_qsl(urlsplit(href).query)


def named(number: int) -> SimpleUploadedFile:
    return SimpleUploadedFile(f"picture{number}.jpg", factories.picture(number), "image/jpeg")


def test_what_is_liked_moves_the_ranking_and_is_no_hit_itself(client: Client, ids: list[int]) -> None:
    alone = Page(client.get(address(ids))).titles()
    liked = Page(client.get(address(ids, f"&like={ids[20]}"))).titles()
    alike = Page(client.get(f"/c/tableware/search/?image={ids[20]}")).titles()
    assert "Thing 20" not in liked
    assert liked != alone
    assert len(set(liked[:8]) & set(alike[:8])) >= len(set(alone[:8]) & set(alike[:8]))


def test_what_is_unliked_moves_the_ranking_too(client: Client, ids: list[int]) -> None:
    alone = Page(client.get(address(ids))).titles()
    page = Page(client.get(address(ids, f"&unlike={ids[20]}")))
    assert "Thing 20" not in page.titles()
    assert [title for title in alone if title != "Thing 20"][:23] != page.titles()[:23]


def test_examples_are_shown_and_each_can_be_taken_away(client: Client, ids: list[int]) -> None:
    page = Page(client.get(address(ids, f"&like={ids[3]}&unlike={ids[5]}&category=mugs&page=1")))
    shown = [found["alt"] for found, _ in page.all("img") if found.get("width") == "64"]
    assert shown == ["Liked: Thing 3", "Disliked: Thing 5"]
    without = {found["aria-label"]: found["href"] for found, _ in page.all("a") if "data-live" in found}
    assert query_of(without["Search without Thing 3"]) == [
        ("image", str(ids[0])),
        ("unlike", str(ids[5])),
        ("category", "mugs"),
    ]
    assert ("like", str(ids[3])) in query_of(without["Search without Thing 5"])


def test_paging_chips_and_filters_keep_the_examples(client: Client, ids: list[int]) -> None:
    page = Page(client.get(address(ids, f"&like={ids[3]}&unlike={ids[5]}&price_max=33&min_p=0.25")))
    more = {("like", str(ids[3])), ("unlike", str(ids[5]))}
    assert more < set(query_of(page.link(rel="next")))
    assert ("min_p", "0.25") in query_of(page.link(rel="next"))
    assert more < set(query_of(page.link(class_="chip")))
    hidden = {(found["name"], found["value"]) for found, _ in page.all("input", type="hidden") if "value" in found}
    assert more < hidden


def test_ticks_are_sent_by_a_form_that_starts_at_the_first_page(client: Client, ids: list[int]) -> None:
    page = Page(client.get(address(ids, f"&like={ids[3]}&price_max=33&page=2")))
    ((form, text),) = page.all("form", id="feedback")
    assert (form["method"], form["action"]) == ("get", "/c/tableware/search/")
    assert "Search again" in text
    assert not page.all("input", name="page")
    page = Page(client.get(address(ids)))
    ticks = [found for found, _ in page.all("input", form="feedback")]
    assert {found["type"] for found in ticks} == {"checkbox"}
    assert [found["aria-label"] for found in ticks[:2]] == [
        f"{what}: {page.titles()[0]}" for what in ("Liked", "Disliked")
    ]
    assert {found["name"] for found in ticks} == {"like", "unlike"}
    assert len(ticks) == 48
    assert not any("checked" in found for found in ticks)


def test_what_is_both_liked_and_not_is_liked(shop: Collection, ids: list[int], rf: Any) -> None:
    text = f"image={ids[0]}&like={ids[3]}&unlike={ids[3]}&unlike={ids[0]}&like={ids[3]}"
    asked = example_of(shop, rf.get(f"/?{text}").GET)
    assert [one.pk for one in asked.liked] == [ids[3]]
    assert asked.unliked == ()


def test_what_cannot_be_an_example_is_left_out(client: Client, shop: Collection, ids: list[int]) -> None:
    elsewhere = factories.ImageFactory.create(product=None)
    foreign = factories.UploadedQueryFactory.create()
    junk = f"&like=x&like=-1&like={'9' * 40}&like=²&unlike={elsewhere.pk}&also=x&also={uuid.uuid4()}&also={foreign.pk}"
    answer = client.get(address(ids, junk))
    assert answer.status_code == 200
    assert not [1 for found, _ in Page(answer).all("img") if found.get("width") == "64"]
    assert Page(answer).titles() == Page(client.get(address(ids))).titles()


def test_more_examples_than_a_search_takes_are_refused_in_place(
    client: Client, ids: list[int], shop: Collection
) -> None:
    many = "".join(f"&like={pk}" for pk in ids[1:]) + "".join(
        f"&unlike={factories.ImageFactory.create(collection=shop, product=None, seed=100 + n).pk}" for n in range(21)
    )
    answer = client.get(address(ids, many))
    assert answer.status_code == 400
    assert "at most 50" in Page(answer).alert()


def test_several_files_make_one_search(client: Client, shop: Collection) -> None:
    answer = client.post(QUERY, {"file": [named(8), named(18), named(8)]})  # one of them twice
    assert answer.status_code == 303
    first, second = UploadedQuery.objects.order_by("created")
    assert query_of(answer["Location"]) == [("query", str(first.pk)), ("also", str(second.pk))]
    page = Page(client.get(answer["Location"]))
    assert set(page.titles()[:2]) == {"Thing 7", "Thing 17"}
    assert [found["alt"] for found, _ in page.all("img") if found.get("width") == "64"] == ["Your picture 2"]


def test_a_picture_is_added_to_what_was_asked(client: Client, ids: list[int]) -> None:
    before = f"image={ids[0]}&like={ids[3]}&category=mugs&box=1,1,40,40"
    page = Page(client.get(address(ids, before.removeprefix(f"image={ids[0]}"))))
    ((hidden, _),) = page.all("input", type="hidden", name="asked")
    assert dict(parse_qsl(hidden["value"])) == dict(parse_qsl(before))
    answer = client.post(QUERY, {"asked": hidden["value"], "file": named(30)}, headers=JSON)
    uploaded = UploadedQuery.objects.get()
    assert query_of(answer.json()["url"]) == [
        ("image", str(ids[0])),
        ("box", "1,1,40,40"),
        ("also", str(uploaded.pk)),
        ("like", str(ids[3])),
        ("category", "mugs"),
    ]


@pytest.mark.parametrize("text", ["image=999999", "nonsense", "query=00000000-0000-4000-8000-000000000000"])
def test_nothing_can_be_added_to_what_is_not_there(client: Client, shop: Collection, text: str) -> None:
    assert client.post(QUERY, {"asked": text, "file": named(1)}).status_code == 404


def test_a_question_that_cannot_be_is_refused_when_adding(client: Client, ids: list[int]) -> None:
    answer = client.post(QUERY, {"asked": f"image={ids[0]}&price_min=x", "file": named(1)}, headers=JSON)
    assert answer.status_code == 400
    assert "Price from" in answer.json()["error"]["message"]


def test_one_bad_picture_among_several_is_named(client: Client, shop: Collection) -> None:
    letter = SimpleUploadedFile("letter.txt", b"Dear Sir or Madam,\n")
    answer = client.post(QUERY, {"file": [named(8), letter]}, headers=JSON)
    assert answer.status_code == 415
    assert answer.json()["error"]["message"].startswith("letter.txt: This is a text file")


def test_the_second_is_named_when_it_is_the_large_one(client: Client, shop: Collection, settings: Any) -> None:
    settings.IMAGE_MAX_BYTES = len(factories.picture(8))
    large = SimpleUploadedFile("large.jpg", factories.picture(8) + b"x")
    answer = client.post(QUERY, {"file": [named(8), large]}, headers=JSON)
    assert answer.status_code == 413
    assert answer.json()["error"]["message"].startswith("large.jpg: The file is too large")


def test_too_many_at_once_are_refused(client: Client, shop: Collection) -> None:
    answer = client.post(QUERY, {"file": [named(n) for n in range(forms.MOST_PICTURES + 1)]})
    assert answer.status_code == 400
    assert f"Choose at most {forms.MOST_PICTURES}." in Page(answer).alert()
    assert not UploadedQuery.objects.exists()


def test_home_of_several_takes_a_picture_and_says_where_it_searches(
    client: Client, shop: Collection, upload: Callable[..., Any]
) -> None:
    birds = factories.CollectionFactory.create(name="Birds", slug="birds")
    factories.ImageFactory.create(collection=birds, product=None)
    factories.CollectionFactory.create(name="Bare", slug="bare")
    page = Page(client.get("/"))
    assert [found["value"] for found, _ in page.all("option")][:2] == ["birds", "tableware"]
    assert page.all("form", action="/query/", method="post")
    answer = client.post("/query/", {"collection": "tableware", "file": upload(factories.picture(8))})
    assert answer["Location"].startswith("/c/tableware/search/?query=")
    refused = client.post("/query/", {"collection": "tableware", "file": upload(b"text")})
    assert refused.status_code == 415
    assert "text file" in Page(refused).alert()
    assert Page(refused).all("li", class_="shelf")


@pytest.mark.parametrize("slug", ["", "nowhere", "secret"])
def test_home_searches_no_collection_that_cannot_be_seen(client: Client, shop: Collection, slug: str) -> None:
    factories.CollectionFactory.create(slug="secret", is_public=False)
    assert client.post("/query/", {"collection": slug, "file": named(1)}).status_code == 404
    assert not UploadedQuery.objects.exists()


def test_back_from_a_refused_upload_is_home(client: Client, shop: Collection) -> None:
    assert client.get("/query/")["Location"] == "/"
