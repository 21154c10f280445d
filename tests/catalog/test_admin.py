"""The catalog in the admin: pictures go through the services, errors are form errors, labels keep their version."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from catalog.jobs import JobState
from catalog.models import Benchmark, Collection, Grade, Image, ImportJob, Label, Product, Query
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(factories.StaffFactory())
    return client


def address(name: str, *args: object) -> str:
    return reverse(f"admin:catalog_{name}", args=args)


def upload(name: str = "red.jpg", data: bytes | None = None) -> SimpleUploadedFile:
    return SimpleUploadedFile(name, factories.picture(7) if data is None else data)


def inline(total: int = 0, initial: int = 0, **fields: Any) -> dict[str, Any]:
    return {"images-TOTAL_FORMS": total, "images-INITIAL_FORMS": initial, **fields}


def product_fields(collection: Collection, **fields: Any) -> dict[str, Any]:
    return {"collection": collection.pk, "sku": "A1", "title": "Mug", "attributes": '{"colour": "红"}', **fields}


def errors_of(response: Any) -> str:
    assert response.status_code == 200, response.headers.get("Location")
    return response.content.decode()


class TestPictures:
    def test_an_upload_is_decoded_stored_and_announced(
        self, staff: Client, django_capture_on_commit_callbacks: Any
    ) -> None:
        collection = factories.CollectionFactory()
        fields = {"collection": collection.pk, "role": "gallery", "source": "", "upload": upload()}
        response = staff.post(address("image_add"), fields)
        assert response.status_code == 302
        image = Image.objects.get()
        assert (image.format, image.width, image.height, image.source) == ("JPEG", 96, 72, "red.jpg")
        assert default_storage.exists(image.thumbnail.name)

    def test_the_same_picture_again_adds_nothing_and_says_so(self, staff: Client) -> None:
        image = factories.ImageFactory(product=None, data=factories.picture(7))
        fields = {"collection": image.collection_id, "role": "gallery", "source": "", "upload": upload()}
        response = staff.post(address("image_add"), fields, follow=True)
        assert "already there" in response.content.decode()
        assert Image.objects.count() == 1

    @pytest.mark.parametrize(
        ("data", "says"),
        [
            (b"hello, I am text\n" * 20, "text file"),
            (factories.picture(7)[:-400], "truncated or corrupt"),
            (b"", "empty"),
        ],
    )
    def test_a_broken_picture_is_a_form_error(self, staff: Client, data: bytes, says: str) -> None:
        collection = factories.CollectionFactory()
        fields = {"collection": collection.pk, "role": "gallery", "source": "", "upload": upload("x.jpg", data)}
        assert says in errors_of(staff.post(address("image_add"), fields))
        assert not Image.objects.exists()

    def test_a_picture_over_the_limit_is_a_form_error(self, staff: Client, settings: Any) -> None:
        settings.IMAGE_MAX_PIXELS = 1000
        collection = factories.CollectionFactory()
        fields = {"collection": collection.pk, "role": "gallery", "source": "", "upload": upload()}
        assert "too large" in errors_of(staff.post(address("image_add"), fields))

    def test_a_file_over_the_limit_is_refused_in_units_people_read(self, staff: Client, settings: Any) -> None:
        settings.IMAGE_MAX_BYTES = 2048
        collection = factories.CollectionFactory()
        big = upload(data=factories.picture(7) + bytes(4096))
        fields = {"collection": collection.pk, "role": "gallery", "source": "", "upload": big}
        assert "too large: more than 2 KB." in errors_of(staff.post(address("image_add"), fields))

    def test_a_product_of_another_collection_is_refused(self, staff: Client) -> None:
        product = factories.ProductFactory()
        other = factories.CollectionFactory()
        fields = {"collection": other.pk, "product": product.pk, "role": "gallery", "source": "", "upload": upload()}
        assert "another collection" in errors_of(staff.post(address("image_add"), fields))

    def test_a_stored_picture_cannot_be_changed(self, staff: Client) -> None:
        image = factories.ImageFactory()
        before = Image.objects.values().get()
        response = staff.post(address("image_change", image.pk), {"role": "query", "upload": upload()})
        assert response.status_code == 403
        assert Image.objects.values().get() == before

    @pytest.mark.parametrize("how", ["page", "action"])
    def test_deleting_takes_the_files_too(
        self, staff: Client, how: str, django_capture_on_commit_callbacks: Any
    ) -> None:
        image = factories.ImageFactory()
        with django_capture_on_commit_callbacks(execute=True):
            if how == "page":
                staff.post(address("image_delete", image.pk), {"post": "yes"})
            else:
                chosen = {"action": "delete_selected", "_selected_action": image.pk, "post": "yes"}
                staff.post(address("image_changelist"), chosen)
        assert not Image.objects.exists()
        assert not default_storage.exists(image.file.name)
        assert not default_storage.exists(image.thumbnail.name)


class TestProducts:
    def test_a_new_product_with_pictures(self, staff: Client) -> None:
        collection = factories.CollectionFactory()
        pictures = {"images-0-upload": upload(), "images-1-upload": upload("b.png", factories.picture(8, format="PNG"))}
        response = staff.post(address("product_add"), product_fields(collection, **inline(2, **pictures)))
        assert response.status_code == 302
        product = Product.objects.get()
        assert product.attributes == {"colour": "红"}
        assert [image.format for image in product.images.all()] == ["JPEG", "PNG"]
        assert all(default_storage.exists(image.thumbnail.name) for image in product.images.all())

    def test_a_broken_picture_among_them_stops_all(self, staff: Client) -> None:
        collection = factories.CollectionFactory()
        pictures = {"images-0-upload": upload(), "images-1-upload": upload("b.jpg", b"no picture at all")}
        response = staff.post(address("product_add"), product_fields(collection, **inline(2, **pictures)))
        assert "text file" in errors_of(response)
        assert not Product.objects.exists()
        assert not Image.objects.exists()

    def test_a_picture_is_added_and_another_deleted(
        self, staff: Client, django_capture_on_commit_callbacks: Any
    ) -> None:
        image = factories.ImageFactory(product__attributes={"colour": "红"})
        product = image.product
        rows = {
            "images-0-id": image.pk,
            "images-0-product": product.pk,
            "images-0-DELETE": "on",
            "images-1-product": product.pk,
            "images-1-upload": upload(),
        }
        fields = product_fields(product.collection, sku=product.sku, **inline(2, 1, **rows))
        with django_capture_on_commit_callbacks(execute=True):
            assert staff.post(address("product_change", product.pk), fields).status_code == 302
        (kept,) = product.images.all()
        assert kept.pk != image.pk
        assert not default_storage.exists(image.file.name)

    @pytest.mark.parametrize("written", ["[1, 2]", "not json", '"text"'])
    def test_attributes_are_names_and_values(self, staff: Client, written: str) -> None:
        collection = factories.CollectionFactory()
        fields = product_fields(collection, attributes=written, **inline())
        assert "errorlist" in errors_of(staff.post(address("product_add"), fields))

    def test_empty_attributes_are_none(self, staff: Client) -> None:
        collection = factories.CollectionFactory()
        staff.post(address("product_add"), product_fields(collection, attributes="", **inline()))
        assert Product.objects.get().attributes == {}

    @pytest.mark.parametrize("term", ["A-17", "kettle", "steel", "钢", "KETTLE"])
    def test_found_by_sku_title_and_attribute(self, staff: Client, term: str) -> None:
        attributes = {"material": "steel", "材料": "钢"}
        factories.ProductFactory(sku="A-17", title="Kettle", attributes=attributes)
        factories.ProductFactory(sku="B-1", title="Pan", attributes={"material": "iron"})
        found = staff.get(address("product_changelist"), {"q": term}).context["cl"].result_list
        assert [product.sku for product in found] == ["A-17"]

    def test_filters(self, staff: Client) -> None:
        for stock, category in ((3, "mugs"), (0, "pots"), (None, "pots")):
            factories.ProductFactory(sku=f"{category}-{stock}", stock=stock, category=category)

        def found(**asked: str) -> set[str]:
            return {p.sku for p in staff.get(address("product_changelist"), asked).context["cl"].result_list}

        assert found(in_stock="yes") == {"mugs-3"}
        assert found(in_stock="no") == {"pots-0"}
        assert found(in_stock="unknown") == {"pots-None"}
        assert found(category="pots") == {"pots-0", "pots-None"}

    def test_deleting_takes_pictures_and_files(self, staff: Client, django_capture_on_commit_callbacks: Any) -> None:
        image = factories.ImageFactory()
        with django_capture_on_commit_callbacks(execute=True):
            staff.post(address("product_delete", image.product_id), {"post": "yes"})
        assert not Product.objects.exists()
        assert not default_storage.exists(image.file.name)


@pytest.mark.parametrize("kind", ["product", "benchmark"])
def test_a_row_does_not_leave_its_collection(staff: Client, kind: str) -> None:
    """What hangs on it, pictures and queries, would stay behind."""
    row = factories.ImageFactory(product=factories.ProductFactory()).product
    fields: dict[str, Any] = {"sku": "again", "attributes": "{}", "images-TOTAL_FORMS": 0, "images-INITIAL_FORMS": 0}
    if kind == "benchmark":
        row, fields = factories.QueryFactory().benchmark, {"name": "again", "relevance": "labels"}
    home, fields["collection"] = row.collection, factories.CollectionFactory().pk
    assert staff.post(address(f"{kind}_change", row.pk), fields).status_code == 302
    row.refresh_from_db()
    assert row.collection == home
    assert "again" in (getattr(row, "sku", ""), getattr(row, "name", ""))


def test_an_sku_that_is_taken_is_a_form_error(staff: Client) -> None:
    product = factories.ProductFactory()
    taken = factories.ProductFactory(collection=product.collection)
    fields = {"sku": taken.sku, "attributes": "{}", "images-TOTAL_FORMS": 0, "images-INITIAL_FORMS": 0}
    response = staff.post(address("product_change", product.pk), {"collection": product.collection_id, **fields})
    assert "errorlist" in errors_of(response)


class TestImports:
    def archive(self) -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as file:
            file.writestr("mugs/red.jpg", factories.picture(1))
            file.writestr("pots/blue.jpg", factories.picture(2))
            file.writestr("pots/broken.jpg", factories.picture(3)[:-300])
        return buffer.getvalue()

    def test_upload_runs_and_reports(
        self, staff: Client, celery_eager: None, django_capture_on_commit_callbacks: Any
    ) -> None:
        collection = factories.CollectionFactory()
        fields = {"collection": collection.pk, "role": "gallery", "upload": upload("shop.zip", self.archive())}
        with django_capture_on_commit_callbacks(execute=True):
            response = staff.post(address("importjob_add"), fields)
        job = ImportJob.objects.get()
        assert response["Location"] == address("importjob_change", job.pk)
        assert (job.state, job.added, job.bad) == (JobState.DONE, 2, 1)
        page = staff.get(response["Location"]).content.decode()
        assert address("importjob_report", job.pk) in page
        assert "pots/broken.jpg" in page
        assert "truncated or corrupt" in page  # the cause is on the page, not in the file alone
        report = b"".join(staff.get(address("importjob_report", job.pk)).streaming_content).decode()
        assert "broken.jpg" in report
        job.report.storage.delete(job.report.name)
        assert staff.get(response["Location"]).status_code == 200  # swept away: the page stands without it

    def test_the_only_collection_is_chosen_already(self, staff: Client) -> None:
        factories.CollectionFactory(name="Only one")
        assert "selected>Only one" in staff.get(address("importjob_add")).content.decode()
        factories.CollectionFactory(name="Another")
        assert "selected>Only one" not in staff.get(address("importjob_add")).content.decode()

    def test_the_role_that_was_chosen_is_the_pictures(self, staff: Client) -> None:
        fields = {"collection": factories.CollectionFactory().pk, "upload": upload("shop.zip", self.archive())}
        staff.post(address("importjob_add"), {**fields, "role": "nonsense"})
        assert not ImportJob.objects.exists()
        staff.post(address("importjob_add"), {**fields, "role": "query", "upload": upload("q.zip", self.archive())})
        assert ImportJob.objects.get().role == "query"

    @pytest.mark.parametrize(
        ("name", "data"), [("empty.zip", b"PK\x05\x06" + bytes(18)), ("notes.docx", b"x"), ("x.zip", b"no zip")]
    )
    def test_what_cannot_be_read_is_a_form_error(self, staff: Client, name: str, data: bytes) -> None:
        collection = factories.CollectionFactory()
        fields = {"collection": collection.pk, "role": "gallery", "upload": upload(name, data)}
        assert "errorlist" in errors_of(staff.post(address("importjob_add"), fields))
        assert not ImportJob.objects.exists()

    def test_the_button_of_a_collection_opens_the_form_with_it(self, staff: Client) -> None:
        collection = factories.CollectionFactory()
        page = staff.get(address("collection_change", collection.pk)).content.decode()
        link = f"{address('importjob_add')}?collection={collection.pk}"
        assert link in page
        assert f'<option value="{collection.pk}" selected>' in staff.get(link).content.decode()

    def test_cancel_and_delete(self, staff: Client) -> None:
        job = factories.ImportJobFactory()
        assert staff.post(address("importjob_delete", job.pk), {"post": "yes"}).status_code == 403  # still runs
        chosen = {"action": "cancel", "_selected_action": job.pk, "_return": job.pk}
        response = staff.post(address("importjob_changelist"), chosen)
        assert response["Location"] == address("importjob_change", job.pk)
        job.refresh_from_db()
        assert job.state == JobState.CANCELLED
        assert staff.post(address("importjob_delete", job.pk), {"post": "yes"}).status_code == 302

    def test_report_needs_the_permission(self, client: Client) -> None:
        job = factories.ImportJobFactory()
        client.force_login(factories.StaffFactory(is_superuser=False))
        assert client.get(address("importjob_report", job.pk)).status_code == 403


class TestGroundTruth:
    def version(self, benchmark: Benchmark) -> int:
        return Benchmark.objects.get(pk=benchmark.pk).version

    def form(self, query: Query, labels: list[Label], new: dict[str, Any], **fields: Any) -> dict[str, Any]:
        data = {"benchmark": query.benchmark_id, "name": query.name, "image": query.image_id, "box": "", **fields}
        data |= {"labels-TOTAL_FORMS": len(labels) + bool(new), "labels-INITIAL_FORMS": len(labels)}
        rows = [{"id": r.pk, "query": query.pk, "image": r.image_id, "grade": r.grade} for r in labels]
        rows += [{"query": query.pk, **new}] if new else []
        return data | {f"labels-{n}-{key}": value for n, row in enumerate(rows) for key, value in row.items()}

    def test_changed_labels_raise_the_version_once(self, staff: Client) -> None:
        label = factories.LabelFactory()
        query, benchmark = label.query, label.query.benchmark
        url = address("query_change", query.pk)
        assert staff.post(url, self.form(query, [label], {})).status_code == 302
        assert self.version(benchmark) == 1  # saved, nothing changed
        other = factories.ImageFactory(product=None, collection=benchmark.collection)
        assert staff.post(url, self.form(query, [label], {"image": other.pk, "grade": Grade.JUNK})).status_code == 302
        assert self.version(benchmark) == 2
        assert query.labels.count() == 2

    def test_label_list_and_deletes_raise_the_version(self, staff: Client) -> None:
        label = factories.LabelFactory()
        benchmark = label.query.benchmark
        edited = {"form-TOTAL_FORMS": 1, "form-INITIAL_FORMS": 1, "form-0-id": label.pk, "form-0-grade": "hard"}
        assert staff.post(address("label_changelist"), {**edited, "_save": "Save"}).status_code == 302
        assert (Label.objects.get().grade, self.version(benchmark)) == ("hard", 2)
        chosen = {"action": "delete_selected", "_selected_action": label.pk, "post": "yes"}
        staff.post(address("label_changelist"), chosen)
        assert (Label.objects.count(), self.version(benchmark)) == (0, 3)
        staff.post(address("query_delete", label.query_id), {"post": "yes"})
        assert (Query.objects.count(), self.version(benchmark)) == (0, 4)

    @pytest.mark.parametrize("box", ["[1, 2, 3]", '["a", 0, 1, 1]', "[0, 0, 0, 5]", "[500, 0, 10, 10]", "{}"])
    def test_a_bad_box_is_a_form_error(self, staff: Client, box: str) -> None:
        query = factories.QueryFactory()
        data = self.form(query, [], {}, box=box)
        assert "errorlist" in errors_of(staff.post(address("query_change", query.pk), data))

    def test_a_box_is_drawn_on_the_picture(self, staff: Client) -> None:
        query = factories.QueryFactory(box=[24, 18, 48, 36])
        page = staff.get(address("query_change", query.pk)).content.decode()
        assert "left:25.00%;top:25.00%;width:50.00%;height:50.00%" in page

    def test_a_picture_of_another_collection_is_no_query(self, staff: Client) -> None:
        query = factories.QueryFactory()
        foreign = factories.ImageFactory()
        data = self.form(query, [], {}, image=foreign.pk)
        assert "another collection" in errors_of(staff.post(address("query_change", query.pk), data))

    def test_very_many_labels_get_their_own_list(self, staff: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("catalog.admin.benchmarks.LABELS_INLINE", 1)
        query = factories.QueryFactory()
        factories.LabelFactory.create_batch(2, query=query)
        page = staff.get(address("query_change", query.pk)).content.decode()
        assert "labels-TOTAL_FORMS" not in page
        assert f"{address('label_changelist')}?query__id__exact={query.pk}" in page


class TestCollections:
    def test_a_benchmark_of_its_categories(self, staff: Client) -> None:
        collection = factories.CollectionFactory()
        for _ in range(2):
            factories.ImageFactory(product__collection=collection)
        for _ in range(2):
            chosen = {"action": "make_benchmark", "_selected_action": collection.pk}
            staff.post(address("collection_changelist"), chosen)
        assert sorted(collection.benchmarks.values_list("name", flat=True)) == ["categories", "categories 2"]
        assert collection.benchmarks.first().queries.count() == 2

    def test_nothing_to_make_one_of_is_said(self, staff: Client) -> None:
        collection = factories.CollectionFactory()
        chosen = {"action": "make_benchmark", "_selected_action": collection.pk}
        response = staff.post(address("collection_changelist"), chosen, follow=True)
        assert "no picture that could be a query" in response.content.decode()

    def test_deleting_counts_what_goes_with_it(self, staff: Client) -> None:
        image = factories.ImageFactory()
        collection = image.collection
        page = staff.get(address("collection_delete", collection.pk)).content.decode()
        assert "Pictures: 1" in page
        assert str(image) not in page
        assert staff.post(address("collection_delete", collection.pk), {"post": "yes"}).status_code == 302
        assert not Collection.objects.exists()

    def test_deleting_needs_the_permission_for_all_of_it(self, client: Client) -> None:
        image = factories.ImageFactory()
        user = factories.StaffFactory(is_superuser=False)
        codes = ["view_collection", "delete_collection", "delete_product"]
        user.user_permissions.set(Permission.objects.filter(codename__in=codes))
        client.force_login(user)
        response = client.post(address("collection_delete", image.collection_id), {"post": "yes"})
        assert response.status_code == 403
        assert Collection.objects.exists()
