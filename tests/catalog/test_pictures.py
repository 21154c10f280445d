"""image_add, image_delete and the files behind them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import default_storage
from django.db import DatabaseError, transaction

from catalog import files, pictures
from catalog.images import TooManyBytes
from catalog.models import Image, ImageRole
from catalog.services import ProductElsewhere, files_sweep, image_add, image_delete
from catalog.signals import images_added
from tests.catalog.helpers import remote
from tests.factories import CollectionFactory, ImageFactory, ImportJobFactory, ProductFactory, picture

Commit = Any  # django_capture_on_commit_callbacks


def stored(settings: Any) -> set[str]:
    root = Path(settings.MEDIA_ROOT)
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


@pytest.fixture
def announced() -> Iterator[list[tuple[int, list[int]]]]:
    heard: list[tuple[int, list[int]]] = []

    def hear(sender: object, collection: Any, image_ids: list[int], **kwargs: Any) -> None:
        assert transaction.get_connection().in_atomic_block
        heard.append((collection.pk, image_ids))

    images_added.connect(hear)
    yield heard
    images_added.disconnect(hear)


@pytest.mark.django_db
class TestAdd:
    def test_row_file_and_thumbnail(self, settings: Any, announced: list[Any]) -> None:
        collection, data = CollectionFactory.create(), picture(1, (640, 480))
        image, created = image_add(collection, data, source="shelf/1.jpg")
        assert created
        assert (image.width, image.height, image.format, image.size) == (640, 480, "JPEG", len(data))
        assert image.file.name == f"images/{image.sha256[:2]}/{image.sha256}.jpg"
        assert image.thumbnail.name == f"thumbnails/{image.sha256[:2]}/{image.sha256}.webp"
        assert image.file.read() == data
        assert stored(settings) == {image.file.name, image.thumbnail.name}
        assert announced == [(collection.pk, [image.pk])]

    def test_files_are_readable_as_settings_say(self, settings: Any) -> None:
        settings.FILE_UPLOAD_PERMISSIONS = 0o640
        image = ImageFactory.create()
        assert Path(image.file.path).stat().st_mode & 0o777 == 0o640

    def test_twice_is_once(self, settings: Any, announced: list[Any]) -> None:
        collection = CollectionFactory.create()
        first, _ = image_add(collection, picture(1))
        again, created = image_add(collection, picture(1), source="elsewhere")
        assert (again.pk, created) == (first.pk, False)
        assert len(announced) == 1
        assert len(stored(settings)) == 2

    def test_known_is_not_decoded_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        image = ImageFactory.create(product=None, seed=1)
        monkeypatch.setattr(pictures, "decode", lambda *_args, **_kwargs: pytest.fail("decoded again"))
        assert image_add(image.collection, picture(1)) == (image, False)

    def test_lost_file_is_written_again(self) -> None:
        image = ImageFactory.create(product=None, seed=1)
        Path(image.file.path).unlink()
        again, created = image_add(image.collection, picture(1))
        assert (again.pk, created) == (image.pk, False)
        assert Path(image.file.path).read_bytes() == picture(1)

    def test_file_of_the_wrong_length_is_written_again(self) -> None:
        """What a power cut can leave of a file that was never synced."""
        first = ImageFactory.create(product=None, seed=1)
        Path(first.file.path).write_bytes(b"")
        second = ImageFactory.create(product=None, seed=1)
        assert second.pk != first.pk
        assert Path(first.file.path).read_bytes() == picture(1)

    def test_same_bytes_in_other_products_and_collections_share_the_file(self, settings: Any) -> None:
        products = [ProductFactory.create(), ProductFactory.create()]
        rows = [image_add(product.collection, picture(1), product=product)[0] for product in products]
        rows.append(image_add(products[0].collection, picture(1))[0])
        rows.append(image_add(products[0].collection, picture(1), role=ImageRole.QUERY)[0])
        assert len({row.pk for row in rows}) == 4
        assert len(stored(settings)) == 2

    def test_product_of_another_collection(self) -> None:
        with pytest.raises(ProductElsewhere):
            image_add(CollectionFactory.create(), picture(1), product=ProductFactory.create())

    @pytest.mark.parametrize("data", [picture(1)[:500], b"text", b""])
    def test_bad_picture_leaves_nothing(self, settings: Any, data: bytes) -> None:
        with pytest.raises(pictures.LookalikeError):
            image_add(CollectionFactory.create(), data)
        assert not Image.objects.exists()
        assert stored(settings) == set()

    def test_limits_come_from_settings(self, settings: Any) -> None:
        settings.IMAGE_MAX_BYTES = 100
        with pytest.raises(TooManyBytes):
            image_add(CollectionFactory.create(), picture(1))

    def test_long_source_is_cut(self) -> None:
        image, _ = image_add(CollectionFactory.create(), picture(1), source="x" * 2000)
        assert len(Image.objects.get(pk=image.pk).source) == 1000


@pytest.mark.django_db(transaction=True)
class TestFailure:
    def test_database_failure_leaves_no_file(self, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        collection = CollectionFactory.create()

        def fail(*args: Any, **kwargs: Any) -> None:
            raise DatabaseError("disk full")

        monkeypatch.setattr(Image.objects, "get_or_create", fail)
        with pytest.raises(DatabaseError):
            image_add(collection, picture(1))
        assert stored(settings) == set()

    def test_database_failure_spares_the_file_of_another_row(
        self, settings: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        kept = ImageFactory.create(product=None, seed=1)
        monkeypatch.setattr(pictures, "images_announce", lambda *_args: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            image_add(CollectionFactory.create(), picture(1))
        assert stored(settings) == {kept.file.name, kept.thumbnail.name}
        assert Image.objects.count() == 1

    def test_disk_failure_leaves_no_part(self, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        collection = CollectionFactory.create()

        def fail(self: Path, target: Path) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(Path, "replace", fail)
        with pytest.raises(OSError, match="No space"):
            image_add(collection, picture(1))
        assert stored(settings) == set()
        assert not Image.objects.exists()


@pytest.mark.django_db
class TestDelete:
    def test_row_and_files_after_commit(self, settings: Any, django_capture_on_commit_callbacks: Commit) -> None:
        image = ImageFactory.create()
        with django_capture_on_commit_callbacks(execute=True):
            image_delete(image)
            assert len(stored(settings)) == 2  # until the commit nothing is lost
        assert not Image.objects.exists()
        assert stored(settings) == set()

    def test_files_stay_while_another_row_names_them(
        self, settings: Any, django_capture_on_commit_callbacks: Commit
    ) -> None:
        first, second = ImageFactory.create(seed=1), ImageFactory.create(seed=1)
        with django_capture_on_commit_callbacks(execute=True):
            image_delete(first)
        assert second.file.read() == picture(1)
        with django_capture_on_commit_callbacks(execute=True):
            image_delete(second)
        assert stored(settings) == set()

    def test_rolled_back_deletion_deletes_nothing(
        self, settings: Any, django_capture_on_commit_callbacks: Commit
    ) -> None:
        image = ImageFactory.create()

        def delete_and_fail() -> None:
            with transaction.atomic():
                image_delete(image)
                raise ZeroDivisionError

        with django_capture_on_commit_callbacks(execute=True), pytest.raises(ZeroDivisionError):
            delete_and_fail()
        assert Image.objects.filter(source=image.source).exists()
        assert len(stored(settings)) == 2


def age(settings: Any, hours: float) -> None:
    then = time.time() - hours * 3600
    for name in stored(settings):
        os.utime(Path(settings.MEDIA_ROOT) / name, (then, then))


@pytest.mark.django_db
class TestSweep:
    def test_files_of_cascaded_deletes(self, settings: Any) -> None:
        gone, kept = ImageFactory.create(), ImageFactory.create()
        gone.collection.delete()
        age(settings, 2)
        assert files_sweep() == 2
        assert stored(settings) == {kept.file.name, kept.thumbnail.name}

    def test_young_files_are_spared(self, settings: Any) -> None:
        ImageFactory.create().collection.delete()
        assert files_sweep() == 0
        assert files_sweep(older_than=timedelta(0)) == 2

    def test_parts_of_killed_writers(self, settings: Any) -> None:
        image = ImageFactory.create()
        part = Path(image.file.path).with_name(".0123.part")
        part.write_bytes(b"half")
        age(settings, 2)
        assert files_sweep() == 1
        assert stored(settings) == {image.file.name, image.thumbnail.name}

    def test_uploads_and_reports_without_a_job(self, settings: Any) -> None:
        from django.core.files.base import ContentFile

        kept, gone = ImportJobFactory.create(), ImportJobFactory.create()
        for job in (kept, gone):
            job.upload.save("shop.csv", ContentFile(b"sku,image\n"))
            job.report.save("imports/report.csv", ContentFile(b"row\n"))
        gone.delete()
        age(settings, 2)
        assert files_sweep() == 2
        assert stored(settings) == {kept.upload.name, kept.report.name}

    def test_other_folders_are_left_alone(self, settings: Any) -> None:
        default_storage.save("queries/visitor.jpg", default_storage.open(ImageFactory.create().file.name))
        age(settings, 2)
        assert files_sweep() == 0

    def test_empty_storage(self) -> None:
        assert files_sweep() == 0


@pytest.mark.django_db(transaction=True)
def test_a_file_deleted_while_its_row_is_made_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last row that named a file goes after the file was found there and before the new row is written."""
    old = ImageFactory.create(product=None, seed=1)
    real: Callable[..., files.Stored] = pictures.picture_store

    def store_then_lose(*args: Any) -> files.Stored:
        result = real(*args)
        image_delete(old)
        assert not default_storage.exists(result.file)
        return result

    monkeypatch.setattr(pictures, "picture_store", store_then_lose)
    image, created = image_add(CollectionFactory.create(), picture(1))
    assert created
    assert image.file.read() == picture(1)
    assert default_storage.exists(image.thumbnail.name)


@pytest.mark.django_db
def test_storage_elsewhere(settings: Any, tmp_path: Path, django_capture_on_commit_callbacks: Commit) -> None:
    settings.STORAGES = remote(settings.STORAGES)
    image = ImageFactory.create(seed=1)
    twin = ImageFactory.create(seed=1)
    assert image.file.name == twin.file.name
    assert twin.file.read() == picture(1)
    for row in (image, twin):
        with django_capture_on_commit_callbacks(execute=True):
            image_delete(row)
    assert not default_storage.exists(image.file.name)
    assert stored(settings) == set()
