"""Home, the page with the drop zone, the frame of every page, errors and access."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client, override_settings
from django.urls import path

from catalog.models import Collection
from tests import factories
from tests.search.web.conftest import Page, embed

pytestmark = pytest.mark.django_db


def test_home_of_one_collection_goes_straight_to_it(client: Client) -> None:
    factories.CollectionFactory.create(slug="only")
    assert client.get("/")["Location"] == "/c/only/"


def test_home_of_several_shows_a_card_each_with_counts_and_pictures(client: Client, shop: Collection) -> None:
    other = factories.ImageFactory.create(collection=factories.CollectionFactory.create(name="Birds"), product=None)
    page = Page(client.get("/"))
    cards = dict(zip(("Birds", "Tableware"), page.all("li", class_="shelf"), strict=True))
    assert "1 picture" in cards["Birds"][1]
    assert "30 pictures" in cards["Tableware"][1]
    assert f"/media/{other.thumbnail.name}" in {found.get("src") for found, _ in page.all("img")}
    assert page.all("a", href="/c/tableware/")


@pytest.mark.parametrize(
    ("user", "cure"),
    [
        (None, "log in"),
        (factories.UserFactory, "make you a member"),
        (factories.StaffFactory, "manage.py import_catalog"),
    ],
)
def test_home_with_nothing_to_search_says_what_to_do(client: Client, user: Any, cure: str) -> None:
    if user:
        client.force_login(user.create())
    response = client.get("/")
    assert response.status_code == 200
    assert cure in response.content.decode()


def test_the_page_of_a_collection_asks_for_a_picture_in_every_way(client: Client, shop: Collection) -> None:
    page = Page(client.get("/c/tableware/"))
    forms = [found for found, _ in page.all("form", action="/c/tableware/query/")]
    assert {form["method"] for form in forms} == {"post"}
    assert page.all("input", type="file", name="file", accept="image/*,.dcm,.dicom,.ima")
    assert page.all("input", type="file", name="photo", capture="environment")
    assert page.all("input", name="url")
    tries = [found["href"] for found, _ in page.all("a", class_="try")]
    assert len(tries) == len(set(tries)) == 12
    assert all(client.get(href).status_code == 200 for href in tries[:2])


def test_a_collection_without_pictures_says_so_and_takes_none(client: Client) -> None:
    factories.CollectionFactory.create(slug="bare")
    response = client.get("/c/bare/")
    assert "has no pictures yet" in response.content.decode()
    assert not Page(response).all("input", type="file")


def test_pictures_to_try_are_those_that_are_still_there(client: Client, shop: Collection) -> None:
    before = {found["href"] for found, _ in Page(client.get("/c/tableware/")).all("a", class_="try")}
    gone = shop.images.order_by("id").first()
    address = f"/c/tableware/search/?image={gone.pk}"
    assert address in before
    gone.delete()
    after = {found["href"] for found, _ in Page(client.get("/c/tableware/")).all("a", class_="try")}
    assert before - after == {address}


@pytest.mark.parametrize("address", ["/c/secret/", "/c/secret/search/?image={image}", "/c/secret/images/{image}/"])
def test_a_private_collection_exists_for_its_members_alone(client: Client, address: str) -> None:
    secret = factories.CollectionFactory.create(slug="secret", is_public=False)
    image = factories.ImageFactory.create(collection=secret, product=None)
    embed(secret)
    address = address.format(image=image.pk)

    stranger = client.get(address)
    assert stranger.status_code == 404
    (login,) = (found["href"] for found, _ in Page(stranger).all("a") if found["href"].startswith("/login/"))
    client.force_login(factories.UserFactory.create())
    assert client.get(address).status_code == 404

    member = factories.UserFactory.create(username="member")
    secret.members.add(member)
    client.logout()
    answer = client.post(login, {"username": "member", "password": "correct horse battery", "next": address})
    assert answer["Location"] == address
    assert client.get(address).status_code == 200


def test_logging_out_is_a_post_from_the_page(client: Client) -> None:
    client.force_login(factories.UserFactory.create())
    assert Page(client.get("/")).all("form", action="/logout/", method="post")
    client.post("/logout/")
    assert "_auth_user_id" not in client.session


def test_a_wrong_password_is_said_and_the_name_kept(client: Client) -> None:
    page = Page(client.post("/login/", {"username": "someone", "password": "wrong"}))
    assert page.alert()
    assert page.all("input", name="username", value="someone")


def test_login_never_leads_to_another_site(client: Client) -> None:
    factories.UserFactory.create(username="member")
    sent = {"username": "member", "password": "correct horse battery", "next": "https://evil.example/"}
    assert client.post("/login/", sent)["Location"] == "/"


def test_every_page_loads_from_this_site_alone(client: Client, shop: Collection) -> None:
    key = shop.images.first().pk
    for address in ("", f"search/?image={key}", f"images/{key}/"):
        response = client.get(f"/c/tableware/{address}")
        policy = response["Content-Security-Policy"]
        assert "default-src 'self'" in policy
        assert "unsafe-inline" not in policy.split("style-src")[0]
        page = Page(response)
        pictures = [found for found, _ in page.all("img") if "src" in found]
        assert all("alt" in found and found["width"] and found["height"] for found in pictures)
        loaded = [found["src"] for found in pictures] + [found["src"] for found, _ in page.all("script")]
        loaded += [found["href"] for found, _ in page.all("link")]
        assert len(loaded) > 12
        assert all(source.startswith(("/static/", "/media/", "/q/")) for source in loaded)


def broken(request: Any) -> None:
    raise RuntimeError("boom")


def forbidden(request: Any) -> None:
    from django.core.exceptions import PermissionDenied

    raise PermissionDenied


class Broken:
    """The site's addresses, and two that fail."""

    from retrieval_site.urls import urlpatterns

    urlpatterns = [path("broken/", broken), path("forbidden/", forbidden), *urlpatterns]


@override_settings(ROOT_URLCONF=Broken)
@pytest.mark.parametrize(
    ("address", "status", "said"),
    [
        ("/nowhere/", 404, "There is nothing here"),
        ("/broken/", 500, "broke on our side"),
        ("/forbidden/", 403, "may not"),
    ],
)
def test_errors_look_like_the_site(address: str, status: int, said: str) -> None:
    response = Client(raise_request_exception=False).get(address)
    assert response.status_code == status
    assert said in response.content.decode()
    assert Page(response).all("link", href="/static/lookalike/lookalike.css")


def test_a_form_without_its_token_is_refused_in_the_sites_look(shop: Collection) -> None:
    response = Client(enforce_csrf_checks=True).post("/c/tableware/query/", {"url": "https://example.com/a.jpg"})
    assert response.status_code == 403
    assert "open for too long" in response.content.decode()


def test_the_language_is_switched_and_kept(client: Client, shop: Collection) -> None:
    english = client.get("/c/tableware/")
    assert '<html lang="en">' in english.content.decode()
    answer = client.post("/i18n/setlang/", {"language": "zh-hans", "next": "/c/tableware/"})
    assert answer["Location"] == "/c/tableware/"
    assert '<html lang="zh-hans">' in client.get("/c/tableware/").content.decode()


def test_a_chinese_browser_is_answered_in_chinese(client: Client, shop: Collection) -> None:
    response = client.get("/c/tableware/", headers={"accept-language": "zh-CN,zh;q=0.9"})
    assert '<html lang="zh-hans">' in response.content.decode()
