"""The form of an index: each field is checked before it is saved, with cause and cure."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from search.models import SearchIndex
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(factories.StaffFactory())
    return client


def send(client: Client, **fields: Any) -> Any:
    """A new index of a new collection, with these fields; all others as the page has them at first."""
    collection, model = factories.CollectionFactory(), factories.FeatureModelFactory(dim=32)
    base = {"collection": collection.pk, "name": "main", "feature_model": model.pk, "engine": "faiss", "preset": ""}
    usual = {"search_params": "{}", "rules": "[]", "fine_depth": 200, "rules_depth": 200, "rebuild_share": 0.1}
    expansion = {"expansion_method": "none", "expansion_k": 5, "expansion_alpha": 3, "dba_neighbours": 0}
    return client.post(
        reverse("admin:search_searchindex_add"), {**base, **usual, **expansion, "factory": "", "cut_off": "", **fields}
    )


@pytest.mark.parametrize(
    ("fields", "field", "says"),
    [
        ({"preset": "own", "factory": "NoSuch7"}, "factory", "FAISS cannot make"),
        ({"preset": "own", "factory": ""}, "factory", "Write a factory string"),
        ({"preset": "nothing_like_it"}, "preset", "no kind of index"),
        (
            {"preset": "own", "factory": "Flat", "search_params": '{"nprobe": 3}'},
            "search_params",
            "no search parameter",
        ),
        ({"preset": "graph", "search_params": '{"nprobe": 3}'}, "search_params", "no search param"),
        ({"search_params": '{"nprobe": 3}'}, "search_params", "no search param"),
        ({"engine": "milvus"}, "engine", "MILVUS_URI is not set"),
        ({"search_params": "{nprobe}"}, "search_params", "valid JSON"),
        ({"engine": "lucene"}, "engine", "valid choice"),
        ({"fine_depth": 0}, "fine_depth", "greater than or equal to 1"),
        ({"fine_depth": 10**6}, "fine_depth", "less than or equal to"),
        ({"rules_depth": -1}, "rules_depth", "greater than or equal to 1"),
        ({"expansion_method": "magic"}, "expansion_method", "valid choice"),
        ({"expansion_method": "alpha", "expansion_k": 0}, "expansion_k", "greater than or equal to 1"),
        ({"expansion_method": "alpha", "expansion_alpha": 99}, "expansion_alpha", "less than or equal to"),
        ({"dba_neighbours": 1000}, "dba_neighbours", "less than or equal to"),
        ({"cut_off": 1.5}, "cut_off", "probability from 0"),
        ({"rules": '[{"rule": "min_score"}]'}, "rules", "cannot be used"),
    ],
)
def test_what_cannot_work_is_said_beside_its_field(staff: Client, fields: Any, field: str, says: str) -> None:
    page = send(staff, **fields)
    assert page.status_code == 200
    errors = page.context["adminform"].form.errors
    assert list(errors) == [field]
    assert says in str(errors[field])
    assert not SearchIndex.objects.exists()


def test_everything_set_is_saved(staff: Client) -> None:
    fields = {"preset": "own", "factory": "IVF4,SQ8", "search_params": '{"nprobe": 2}', "rules_depth": 50}
    more = {"expansion_method": "alpha", "expansion_k": 7, "expansion_alpha": 2.5, "dba_neighbours": 3, "cut_off": 0.5}
    assert send(staff, **fields, **more).status_code == 302
    made = SearchIndex.objects.get()
    assert (made.preset, made.factory, made.search_params) == ("", "IVF4,SQ8", {"nprobe": 2})
    assert made.expansion == {"method": "alpha", "k": 7, "alpha": 2.5}
    assert (made.rules_depth, made.dba_neighbours, made.cut_off) == (50, 3, 0.5)


def test_the_kind_that_is_ticked_goes_before_a_factory_left_in_its_field(staff: Client) -> None:
    assert send(staff, preset="", factory="IVF4,SQ8").status_code == 302
    assert SearchIndex.objects.get().factory == ""


def test_expansion_is_shown_as_it_was_saved_and_switched_off_again(staff: Client) -> None:
    send(staff, expansion_method="average", expansion_k=9)
    made = SearchIndex.objects.get()
    url = reverse("admin:search_searchindex_change", args=[made.pk])
    form = staff.get(url).context["adminform"].form
    assert (form["expansion_method"].value(), form["expansion_k"].value()) == ("average", 9)
    posted = {name: form[name].value() for name in form.fields if form[name].value() is not None}
    staff.post(url, {**posted, "search_params": "{}", "rules": "[]", "expansion_method": "none"})
    made.refresh_from_db()
    assert made.expansion == {}


def test_what_a_kind_would_be_is_told_for_the_collections_size(staff: Client) -> None:
    index = factories.SearchIndexFactory(feature_model=factories.FeatureModelFactory(dim=32))
    factories.ImageFactory.create_batch(3, collection=index.collection, product=None)
    chosen = {"collection": index.collection_id, "feature_model": index.feature_model_id, "factory": "Flat"}
    told = staff.get(reverse("admin:search_searchindex_kinds"), chosen).json()
    assert told[""].startswith("SQfp16 · 72 B a picture")
    assert told["own"] == "Flat · 136 B a picture · 408 bytes in memory"
    bad = staff.get(reverse("admin:search_searchindex_kinds"), {**chosen, "factory": "IVF4"}).json()
    assert "FAISS cannot make" in bad["own"]
    assert staff.get(reverse("admin:search_searchindex_kinds"), {"collection": "x"}).json() == {}


def test_kinds_are_for_those_who_may_make_an_index(client: Client) -> None:
    client.force_login(factories.StaffFactory(is_superuser=False))
    assert client.get(reverse("admin:search_searchindex_kinds")).status_code == 403


def test_a_preset_is_saved_by_its_name(staff: Client) -> None:
    assert send(staff, preset="balanced", search_params='{"efSearch": 64}').status_code == 302
    made = SearchIndex.objects.get()
    assert (made.preset, made.factory, made.search_params) == ("balanced", "", {"efSearch": 64})


def test_who_may_only_look_sees_the_expansion_too(client: Client) -> None:
    user = factories.StaffFactory(is_superuser=False)
    user.user_permissions.set(Permission.objects.filter(codename="view_searchindex"))
    client.force_login(user)
    index = factories.SearchIndexFactory(expansion={"method": "alpha", "k": 7, "alpha": 2.5})
    html = client.get(reverse("admin:search_searchindex_change", args=[index.pk])).content.decode()
    assert '<div class="readonly">alpha</div>' in html
    assert '<div class="readonly">2.5</div>' in html


class TestMilvus:
    @pytest.fixture(autouse=True)
    def server(self, settings: Any) -> None:
        settings.MILVUS_URI = "http://nowhere:19530"  # a form asks no server

    @pytest.mark.parametrize(
        ("fields", "field", "says"),
        [
            ({"preset": "own", "factory": "HNSW32,SQ8"}, "factory", "Milvus cannot make"),
            ({"preset": "own", "factory": "IVF_SQ8", "search_params": '{"ef": 3}'}, "search_params", "no search param"),
            ({"preset": "hash_256"}, "preset", "Milvus cannot make"),
        ],
    )
    def test_what_it_cannot_make_is_refused(self, staff: Client, fields: Any, field: str, says: str) -> None:
        model = factories.FeatureModelFactory(dim=256)
        page = send(staff, engine="milvus", **{"feature_model": model.pk, **fields})
        assert says in str(page.context["adminform"].form.errors[field])

    def test_its_own_types_are_saved(self, staff: Client) -> None:
        factory = "IVF_SQ8(nlist=64)"
        sent = send(staff, engine="milvus", preset="own", factory=factory, search_params='{"nprobe": 8}')
        assert sent.status_code == 302
        assert SearchIndex.objects.get().factory == factory

    def test_kinds_are_told_by_milvus_names(self, staff: Client) -> None:
        index = factories.SearchIndexFactory(feature_model=factories.FeatureModelFactory(dim=32))
        asked = {"collection": index.collection_id, "feature_model": index.feature_model_id, "engine": "milvus"}
        told = staff.get(reverse("admin:search_searchindex_kinds"), asked).json()
        assert told[""].startswith("FLAT · ")
        assert told["graph"].startswith("HNSW(M=32) · ")
