"""The admin's pages of duplicates, for people who may everything, something and nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from catalog.models import Collection, Image
from search import serving
from search.models import DuplicateGroup, DuplicateScan
from tests.factories import CollectionFactory, ProductFactory, StaffFactory
from tests.search.duplicates.gallery import add, again, original, scan

pytestmark = pytest.mark.django_db
LIST = "admin:search_duplicategroup_changelist"


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    serving.forget()
    yield
    serving.forget()


@pytest.fixture
def collection() -> Collection:
    return CollectionFactory(slug="shop", name="Shop")


@pytest.fixture
def groups(collection: Collection) -> list[DuplicateGroup]:
    """Two groups: one within a product, one of two products."""
    product = ProductFactory(collection=collection)
    add(collection, original(1), product=product), add(collection, again(1), product=product)
    add(collection, original(2)), add(collection, again(2))
    scan(collection)
    return list(DuplicateGroup.objects.order_by("id"))


def client(*permissions: str) -> Client:
    """Staff with these permissions; without any: all of them."""
    user = StaffFactory(is_superuser=not permissions)
    for name in permissions:
        user.user_permissions.add(Permission.objects.get(codename=name))
    signed_in = Client()
    signed_in.force_login(user)
    return signed_in


def page(group: DuplicateGroup) -> str:
    return reverse("admin:search_duplicategroup_change", args=[group.pk])


def decide(asker: Client, group: DuplicateGroup, **given: Any) -> Any:
    return asker.post(reverse("admin:search_duplicategroup_decide", args=[group.pk]), given, follow=True)


def test_the_list_and_the_page_show_pictures_and_measures(groups: list[DuplicateGroup]) -> None:
    admin = client()
    listed = admin.get(reverse(LIST), {"state__exact": "open"}).content.decode()
    assert all(page(group) in listed for group in groups)
    shown = admin.get(page(groups[0])).content.decode()
    for member in groups[0].members.select_related("image"):
        assert member.image.thumbnail.url in shown
        assert f"{member.image.width} × {member.image.height}" in shown
    assert "hash distance" in shown
    assert shown.count('lk-state-done">best') == 1


@pytest.mark.parametrize(("decision", "state"), [("keep", "kept"), ("dismiss", "dismissed")])
def test_a_decision_leads_to_the_next_group(groups: list[DuplicateGroup], decision: str, state: str) -> None:
    admin = client()
    answer = decide(admin, groups[0], decision=decision)
    assert answer.redirect_chain[-1][0] == page(groups[1])
    groups[0].refresh_from_db()
    assert (groups[0].state, groups[0].decided_by) == (state, answer.wsgi_request.user)
    assert decide(admin, groups[1], decision=decision).redirect_chain[-1][0].startswith(reverse(LIST))
    decide(admin, groups[0], decision="reopen")
    groups[0].refresh_from_db()
    assert groups[0].state == "open"


def test_merging_asks_first(groups: list[DuplicateGroup]) -> None:
    admin = client()
    keep, gone = (member.image for member in groups[1].members.select_related("image__product"))
    asked = decide(admin, groups[1], decision="merge", keep=keep.pk).content.decode()
    assert "cannot be undone" in asked
    assert gone.product.sku in asked
    assert Image.objects.count() == 4
    refused = decide(admin, groups[1], decision="merge", keep=keep.pk, confirmed="yes")
    assert "different products" in refused.content.decode()
    assert Image.objects.count() == 4
    decide(admin, groups[1], decision="merge", keep=keep.pk, confirmed="yes", across_products="yes")
    assert not Image.objects.filter(pk=gone.pk).exists()
    assert (
        "Merged" not in admin.get(page(groups[1])).content.decode()
    )  # the page of what is decided says so differently


def test_permissions(groups: list[DuplicateGroup]) -> None:
    looker = client("view_duplicategroup")
    shown = looker.get(page(groups[0])).content.decode()
    assert "lk-dup-buttons" not in shown
    assert decide(looker, groups[0], decision="keep").status_code == 403
    judge = client("view_duplicategroup", "change_duplicategroup")
    shown = judge.get(page(groups[0])).content.decode()
    assert 'value="keep"' in shown
    assert 'value="merge"' not in shown
    keep = groups[0].members.first()
    assert keep is not None
    refused = decide(judge, groups[0], decision="merge", keep=keep.image_id, confirmed="yes")
    assert refused.status_code == 403
    assert Image.objects.count() == 4
    assert client("view_image").get(page(groups[0])).status_code == 403
    assert decide(judge, groups[0], decision="dismiss").status_code == 200


def test_deciding_takes_a_post(groups: list[DuplicateGroup]) -> None:
    assert client().get(reverse("admin:search_duplicategroup_decide", args=[groups[0].pk])).status_code == 403


def act(admin: Client, name: str, groups: list[DuplicateGroup], **more: str) -> str:
    given = {"action": name, "_selected_action": [group.pk for group in groups], **more}
    return admin.post(reverse(LIST), given, follow=True).content.decode()


def test_bulk_actions(groups: list[DuplicateGroup]) -> None:
    admin = client()
    assert "2 groups decided" in act(admin, "not_duplicates", groups)
    assert "2 groups decided" in act(admin, "reopen", groups)
    assert "cannot be undone" in act(admin, "merge_into_best", groups)
    assert Image.objects.count() == 4
    told = act(admin, "merge_into_best", groups, confirmed="yes")
    assert "different products" in told
    assert [group.state for group in DuplicateGroup.objects.order_by("id")] == ["merged", "open"]
    assert Image.objects.count() == 3


def test_a_scan_is_started_from_the_collection_and_from_its_form(
    collection: Collection, celery_eager: None, django_capture_on_commit_callbacks: Any
) -> None:
    add(collection, original(1)), add(collection, again(1))
    admin = client()
    where = reverse("admin:catalog_collection_changelist")
    with django_capture_on_commit_callbacks(execute=True):
        given = {"action": "find_duplicates", "_selected_action": collection.pk}
        assert "Looking for duplicates" in admin.post(where, given, follow=True).content.decode()
    assert DuplicateScan.objects.get().found == 1
    shown = admin.get(reverse("admin:catalog_collection_change", args=[collection.pk])).content.decode()
    assert "1 group of duplicates" in shown
    with django_capture_on_commit_callbacks(execute=True):
        add_page = reverse("admin:search_duplicatescan_add")
        admin.post(add_page, {"collection": collection.pk, "max_hash_distance": "0", "min_score": "1"})
    assert DuplicateScan.objects.filter(max_hash_distance=0, state="done").count() == 1
    wrong = admin.post(add_page, {"collection": collection.pk, "min_score": "7"}).content.decode()
    assert "7.0 is no threshold" in wrong
    for scan_row in DuplicateScan.objects.all():
        assert admin.get(reverse("admin:search_duplicatescan_change", args=[scan_row.pk])).status_code == 200
    assert admin.get(reverse("admin:search_duplicatescan_changelist")).status_code == 200


def test_groups_of_deleted_pictures_are_not_shown(groups: list[DuplicateGroup]) -> None:
    gone = groups[0].members.last()
    assert gone is not None
    gone.image.delete()
    admin = client()
    assert page(groups[0]) not in admin.get(reverse(LIST)).content.decode()
    assert admin.get(page(groups[0])).status_code == 404
