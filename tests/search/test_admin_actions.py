"""What the actions and forms of the search side's admin do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.core.files.storage import default_storage
from django.test import Client
from django.urls import reverse
from django_celery_beat.models import PeriodicTask

from catalog.jobs import JobState
from catalog.models import Collection, Image
from search.builds import build_create, build_run
from search.models import ApiKey, Embedding, FeatureModel, IndexBuild, SearchIndex, UploadedQuery
from tests import factories
from tests.search.admin_site import Site, make_site

pytestmark = pytest.mark.django_db


@pytest.fixture
def site() -> Site:
    return make_site()


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(factories.StaffFactory())
    return client


@pytest.fixture
def commit(django_capture_on_commit_callbacks: Any, celery_eager: None) -> Any:
    """Runs what was enqueued on commit, where it is sent."""
    return lambda: django_capture_on_commit_callbacks(execute=True)


def address(name: str, *args: object) -> str:
    app = "catalog" if name.startswith(("collection", "image", "product")) else "search"
    return reverse(f"admin:{app}_{name}", args=args)


def act(client: Client, model: str, action: str, *rows: Any, **more: Any) -> str:
    """Choose an action for rows in the list; the page that follows."""
    data = {"action": action, "_selected_action": [row.pk for row in rows], **more}
    response = client.post(address(f"{model}_changelist"), data, follow=True)
    assert response.status_code == 200
    return response.content.decode()


class TestBuilding:
    @pytest.mark.parametrize("model", ["collection", "searchindex"])
    def test_build_runs_and_becomes_active(self, site: Site, staff: Client, commit: Any, model: str) -> None:
        row = site.collection if model == "collection" else site.index
        with commit():
            page = act(staff, model, "build", row)
        build = IndexBuild.objects.first()
        assert (build.state, build.created_by.is_staff) == (JobState.DONE, True)
        assert build.pk != site.build.pk
        assert SearchIndex.objects.get().active_build == build
        assert address("indexbuild_change", build.pk) in page

    def test_a_second_build_at_once_is_refused_in_words(self, site: Site, staff: Client) -> None:
        build_create(site.index)
        assert "is being built already" in act(staff, "searchindex", "build", site.index)
        assert IndexBuild.objects.count() == 2

    def test_a_collection_without_an_index_gets_one(self, staff: Client, commit: Any) -> None:
        image = factories.ImageFactory()
        with commit():
            act(staff, "collection", "embed_missing", image.collection)
        with commit():
            act(staff, "collection", "build", image.collection)
        assert SearchIndex.objects.get().active_build.count == 1

    def test_roll_back_asks_first(self, site: Site, staff: Client) -> None:
        newer = build_run(build_create(site.index).pk)
        assert SearchIndex.objects.get().active_build == newer
        assert "Yes, I" in act(staff, "searchindex", "roll_back", site.index)
        assert SearchIndex.objects.get().active_build == newer
        act(staff, "searchindex", "roll_back", site.index, confirmed="yes")
        assert SearchIndex.objects.get().active_build == site.build
        assert "no older build" in act(staff, "searchindex", "roll_back", site.index, confirmed="yes")

    def test_activate_and_its_refusal(self, site: Site, staff: Client) -> None:
        build_run(build_create(site.index).pk)
        act(staff, "indexbuild", "activate", site.build)
        assert SearchIndex.objects.get().active_build == site.build
        waiting = build_create(site.index)
        assert "cannot be served" in act(staff, "indexbuild", "activate", waiting)
        act(staff, "indexbuild", "cancel", waiting)
        waiting.refresh_from_db()
        assert waiting.state == JobState.CANCELLED

    def test_only_a_build_out_of_use_is_deleted_and_its_files_go(
        self, site: Site, staff: Client, django_capture_on_commit_callbacks: Any
    ) -> None:
        old, new = site.build, build_run(build_create(site.index).pk)
        assert old.folder.is_dir()
        assert staff.post(address("indexbuild_delete", new.pk), {"post": "yes"}).status_code == 403
        with django_capture_on_commit_callbacks(execute=True):
            act(staff, "indexbuild", "delete_selected", old, new, post="yes")
        assert list(IndexBuild.objects.all()) == [new]
        assert not old.folder.exists()
        assert new.folder.is_dir()

    def test_a_button_of_the_page_leads_back_to_it(self, site: Site, staff: Client) -> None:
        url = address("searchindex_change", site.index.pk)
        page = staff.get(url).content.decode()
        assert 'name="action" value="build"' in page
        assert 'name="action" value="roll_back"' not in page  # there is one build only
        data = {"action": "nightly", "_selected_action": site.index.pk, "_return": site.index.pk}
        assert staff.post(address("searchindex_changelist"), data)["Location"] == url

    def test_reindex_nightly_makes_one_periodic_task(self, site: Site, staff: Client) -> None:
        from search.tasks import reindex

        act(staff, "searchindex", "nightly", site.index)
        assert "already" in act(staff, "searchindex", "nightly", site.index)
        task = PeriodicTask.objects.get(task=reindex.name)
        assert json.loads(task.args) == [site.index.pk]
        assert task.crontab.hour == "2"
        assert task.enabled

    def test_reindex_needs_the_permission_of_schedules(self, site: Site, client: Client) -> None:
        user = factories.StaffFactory(is_superuser=False)
        codes = ["view_searchindex", "change_searchindex", "add_indexbuild"]
        user.user_permissions.set(Permission.objects.filter(codename__in=codes))
        client.force_login(user)
        page = act(client, "searchindex", "nightly", site.index)
        assert 'value="nightly"' not in page
        assert 'value="build"' in page
        assert not PeriodicTask.objects.filter(task="search.reindex").exists()


class TestEmbedding:
    def test_failed_ones_are_shown_and_tried_again(self, site: Site, staff: Client, commit: Any) -> None:
        Embedding.objects.filter(pk=Embedding.objects.first().pk).update(vector=None, error="out of memory")
        page = staff.get(address("collection_changelist")).content.decode()
        assert "1 failed" in page
        assert "87 %" in page
        kept = set(Embedding.objects.filter(error="").values_list("pk", flat=True))
        with commit():
            act(staff, "collection", "embed_missing", site.collection)
        assert not Embedding.objects.exclude(error="").exists()
        assert kept <= set(Embedding.objects.values_list("pk", flat=True))

    @pytest.mark.parametrize("model", ["collection", "featuremodel"])
    def test_re_embedding_asks_and_starts_anew(self, site: Site, staff: Client, commit: Any, model: str) -> None:
        row = site.collection if model == "collection" else site.feature_model
        before = dict(Embedding.objects.values_list("image", "vector"))
        newest = Embedding.objects.latest("id").pk
        assert "Yes, I" in act(staff, model, "embed_again", row)
        assert Embedding.objects.latest("id").pk == newest
        with commit():
            act(staff, model, "embed_again", row, confirmed="yes")
        assert not Embedding.objects.filter(pk__lte=newest).exists()
        after = dict(Embedding.objects.values_list("image", "vector"))
        assert before.items() <= after.items()

    def test_pictures_link_to_their_look_alikes(self, site: Site, staff: Client) -> None:
        image = Image.objects.first()
        page = staff.get(address("image_change", image.pk)).content.decode()
        assert f"/c/shop/search/?image={image.pk}" in page
        assert "baseline" in page


def model_fields(**fields: Any) -> dict[str, Any]:
    base = {"name": "m", "backbone": "color_gradient", "pooling": "mean", "gem_p": "3", "runtime": "auto"}
    return {**base, "preprocessing": "{}", **fields}


class TestFeatureModels:
    def test_saving_prepares_it(self, staff: Client) -> None:
        assert staff.post(address("featuremodel_add"), model_fields()).status_code == 302
        row = FeatureModel.objects.get()
        assert row.dim > 0
        assert len(row.fingerprint) == 64

    def test_weights_that_cannot_be_opened_are_a_form_error(self, staff: Client, tmp_path: Path) -> None:
        broken = tmp_path / "broken.onnx"
        broken.write_bytes(b"not a network")
        for weights in ("/nowhere/net.onnx", str(broken)):
            page = staff.post(address("featuremodel_add"), model_fields(backbone="onnx", weights=weights))
            assert page.status_code == 200
            assert "errorlist" in page.content.decode()
        assert not FeatureModel.objects.exists()

    def test_there_is_one_default(self, staff: Client) -> None:
        old = factories.FeatureModelFactory(is_default=True)
        assert staff.post(address("featuremodel_add"), model_fields(is_default="on")).status_code == 302
        assert FeatureModel.objects.get(is_default=True).name == "m"
        assert FeatureModel.objects.filter(pk=old.pk).exists()

    def test_fixed_once_it_has_embedded_and_copied_to_change(self, site: Site, staff: Client) -> None:
        row = site.feature_model
        row.refresh_from_db()
        page = staff.get(address("featuremodel_change", row.pk)).content.decode()
        assert 'name="backbone"' not in page
        assert 'name="name"' in page
        changed = model_fields(name="renamed", pooling="max", backbone="onnx")
        assert staff.post(address("featuremodel_change", row.pk), changed).status_code == 302
        after = FeatureModel.objects.get(pk=row.pk)
        assert (after.name, after.backbone, after.pooling, after.fingerprint) == (
            "renamed", "color_gradient", "mean", row.fingerprint,
        )  # fmt: skip
        act(staff, "featuremodel", "copy", row)
        copy = FeatureModel.objects.exclude(pk=row.pk).get()
        assert copy.name == "renamed copy"
        assert 'name="backbone"' in staff.get(address("featuremodel_change", copy.pk)).content.decode()

    def test_one_in_use_is_not_deleted(self, site: Site, staff: Client) -> None:
        staff.post(address("featuremodel_delete", site.feature_model.pk), {"post": "yes"})
        assert FeatureModel.objects.filter(pk=site.feature_model.pk).exists()


def index_fields(site: Site, **fields: Any) -> dict[str, Any]:
    base = {"collection": site.collection.pk, "name": "second", "feature_model": site.feature_model.pk, "factory": ""}
    return {
        **base,
        "engine": "faiss",
        "search_params": "{}",
        "rules": "[]",
        "fine_depth": 200,
        "rebuild_share": 0.1,
        **fields,
    }


class TestIndexes:
    @pytest.mark.parametrize(
        ("fields", "says"),
        [
            ({"factory": "NoSuchIndex7"}, "FAISS cannot make"),
            ({"factory": "IVF4,Flat", "search_params": '{"efSearch": 3}'}, "no search parameter"),
            ({"search_params": "[1]"}, "names and numbers"),
            ({"rules": '[{"rule": "cheapest_first"}]'}, "cannot be used"),
            ({"rules": '[{"rule": "min_score", "score": "high"}]'}, "cannot be used"),
            ({"rebuild_share": 0}, "above 0"),
            ({"name": "main"}, "already exists"),
        ],
    )
    def test_what_cannot_work_is_a_form_error(self, site: Site, staff: Client, fields: Any, says: str) -> None:
        page = staff.post(address("searchindex_add"), index_fields(site, **fields))
        assert page.status_code == 200
        assert says in page.content.decode()
        assert SearchIndex.objects.count() == 1

    def test_a_good_one_is_saved_and_takes_the_default(self, site: Site, staff: Client) -> None:
        fields = index_fields(site, factory="IVF4,Flat", search_params='{"nprobe": 2}', is_default="on")
        fields["rules"] = '[{"rule": "in_stock_first"}, {"rule": "min_score", "score": 0.4}]'
        assert staff.post(address("searchindex_add"), fields).status_code == 302
        made = SearchIndex.objects.get(name="second")
        assert made.is_default
        assert made.search_params == {"nprobe": 2}
        assert [rule["rule"] for rule in made.rules] == ["in_stock_first", "min_score"]
        assert not SearchIndex.objects.get(name="main").is_default

    def test_a_changed_factory_says_that_a_build_is_needed(self, site: Site, staff: Client) -> None:
        fields = index_fields(site, name="main", factory="HNSW8", is_default="on")
        response = staff.post(address("searchindex_change", site.index.pk), fields, follow=True)
        assert "Build the index for this change" in response.content.decode()
        assert SearchIndex.objects.get().active_build == site.build

    def test_size_of_the_side_index(self, site: Site, staff: Client, commit: Any) -> None:
        with commit():
            factories.ImageFactory(product=site.products[0])
        (row,) = staff.get(address("searchindex_changelist")).context["cl"].result_list
        assert row.side_size == 1

    def test_deleting_a_collection_takes_builds_and_uploads(
        self, site: Site, staff: Client, django_capture_on_commit_callbacks: Any
    ) -> None:
        upload = UploadedQuery.objects.get()
        with django_capture_on_commit_callbacks(execute=True):
            assert staff.post(address("collection_delete", site.collection.pk), {"post": "yes"}).status_code == 302
        assert not Collection.objects.exists()
        assert not site.build.folder.exists()
        assert not default_storage.exists(upload.file.name)


class TestApiKeys:
    def test_the_key_is_shown_once_and_only_its_hash_kept(self, staff: Client) -> None:
        data = {"name": "shop", "scope": "write", "rate": "600/min", "is_active": "on", "all_collections": "on"}
        page = staff.post(address("apikey_add"), data, follow=True).content.decode()
        row = ApiKey.objects.get()
        key = page.split('data-copy="')[1].split('"')[0]
        assert key.startswith("lk_")
        assert ApiKey.digest(key) == row.hash
        assert row.created_by.is_staff
        for url in (address("apikey_changelist"), address("apikey_change", row.pk)):
            assert key not in staff.get(url).content.decode()

    def test_a_key_that_would_open_nothing_is_a_form_error(self, staff: Client) -> None:
        data = {"name": "shop", "scope": "read", "is_active": "on"}
        assert "would open nothing" in staff.post(address("apikey_add"), data).content.decode()
        assert not ApiKey.objects.exists()
        staff.post(address("apikey_add"), {**data, "collections": [factories.CollectionFactory().pk]})
        assert ApiKey.objects.exists()

    @pytest.mark.parametrize("rate", ["fast", "10", "0/min", "-5/min", "10/fortnight"])
    def test_a_bad_rate_is_a_form_error(self, staff: Client, rate: str) -> None:
        data = {"name": "shop", "scope": "read", "rate": rate, "is_active": "on"}
        assert "600/min, 10/s" in staff.post(address("apikey_add"), data).content.decode()
        assert not ApiKey.objects.exists()

    def test_switched_off_and_issued_again(self, staff: Client) -> None:
        row = factories.ApiKeyFactory()
        act(staff, "apikey", "switch_off", row)
        assert not ApiKey.objects.get().is_active
        assert "Yes, I" in act(staff, "apikey", "issue_again", row)
        assert ApiKey.objects.get().hash == row.hash
        assert "data-copy" in act(staff, "apikey", "issue_again", row, confirmed="yes")
        assert ApiKey.objects.get().hash != row.hash


class TestVisitors:
    def test_deleting_an_upload_takes_files_no_other_row_names(
        self, staff: Client, django_capture_on_commit_callbacks: Any
    ) -> None:
        first, second = (factories.UploadedQueryFactory(data=factories.picture(3)) for _ in range(2))
        assert first.file.name == second.file.name
        for row, remains in ((first, True), (second, False)):
            with django_capture_on_commit_callbacks(execute=True):
                staff.post(address("uploadedquery_delete", row.pk), {"post": "yes"})
            assert default_storage.exists(row.file.name) is remains
            assert default_storage.exists(row.preview.name) is remains

    def test_the_log_shows_the_percentiles_of_the_last_day(self, site: Site, staff: Client) -> None:
        page = staff.get(address("searchlog_changelist")).content.decode()
        assert "<b>12.4 ms</b>" in page
